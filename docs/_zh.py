"""What the Chinese pages show: the generated English with its words in Chinese, and every number as it was made.

`chinese` takes what the English page prints. A table's cells and whole sentences are looked up here; one that is not
known raises LookupError, so that a change of the English words cannot leave the Chinese page behind unseen.
"""

import re
from typing import Final

# A cell of a table, as it stands.
CELLS: Final = {
    # of docs/why-h20.md
    "memory TB/s": "显存带宽 TB/s",
    "memory GiB": "显存 GiB",
    "link GB/s": "互联 GB/s",
    "FLOP per byte": "每字节 FLOP",
    "power W": "功耗 W",
    "density": "性能密度",
    "rule of 2022": "2022 年规则",
    "rule of 2023": "2023 年规则",
    "letter of 2025": "2025 年通知函",
    "caught": "受限",
    "free": "不受限",
    "**the best that the rule allows**": "**规则允许的最佳芯片**",
    "within the rule": "符合规则",
    "yes": "是",
    "no": "否",
    "training": "训练",
    "prefill": "预填充",
    "decode": "解码",
    "best chip under": "以下规则下的最佳芯片",
    "October 2022": "2022 年 10 月",
    "October 2023": "2023 年 10 月",
    "with the letter of April 2025": "再加 2025 年 4 月的通知函",
    "bound on": "限制对象",
    "at": "限值",
    "tpp": "TPP",
    "pd": "性能密度 PD",
    "hbm bandwidth": "显存带宽",
    "hbm capacity": "显存容量",
    "io": "I/O 带宽",
    "model": "模型",
    "job": "任务",
    "limited by": "瓶颈",
    "+10 % of it buys": "该资源 +10 % 换来",
    "the H100 does": "H100 是它的",
    "of that compute": "其中算力",
    "memory bandwidth": "显存带宽",
    "the rest": "其余",
    "compute": "算力",
    "HBM bandwidth": "HBM 带宽",
    "HBM capacity": "HBM 容量",
    "scale-up links": "机内互联",
    "scale-out network": "机间网络",
    "latency": "延迟",
    "the host": "主机",
    "pipeline bubble": "流水线气泡",
    "context": "上下文",
    "USD an hour": "美元/小时",
    "64 cards": "64 张卡",
    "USD per million output tokens": "美元/百万输出 token",
    "output tokens/s per card": "每卡输出 token/s",
    # of README.md: the story
    "chip": "芯片",
    "HBM TB/s": "HBM TB/s",
    "train 1.8T on 10,000: days (80 % interval)": "10,000 张卡训练 1.8T：天数（80 % 区间）",
    "MFU": "MFU",
    "decode Llama 70B, 8 cards, batch 16: ms per token (cards of a replica)":
        "8 张卡解码 Llama 70B，批量 16：每 token 毫秒（每副本卡数）",
    "prefill tokens/s per card": "每卡预填充 token/s",
    "hbm_bandwidth": "HBM 带宽",
    "hbm_capacity": "HBM 容量",
    "scale_up": "机内互联",
    "scale_out": "机间网络",
    "host": "主机",
    "bubble": "流水线气泡",
    # of README.md: errors
    "median / p90": "中位数 / p90",
    "rows": "行数",
    "in the fit": "参与拟合",
    "a fifth of the configurations out": "留出五分之一配置",
    "study out": "留出一项研究",
    "chip out": "留出一种芯片",
    "model out": "留出一个模型",
    "campaign out": "留出一次测试",
    "all studies but vTrain": "除 vTrain 外的全部研究",
    "mixtures of experts": "混合专家模型",
    "vTrain, multi-node": "vTrain，多机",
    "vTrain, single node": "vTrain，单机",
    "Korthikanti et al. 2022, table 5": "Korthikanti 等 2022，表 5",
    "TPOT, one pool": "TPOT，单池",
    "TTFT, one pool": "TTFT，单池",
    "TPOT, pools apart": "TPOT，预填充与解码分离",
    "TTFT, pools apart": "TTFT，预填充与解码分离",
    "offline throughput": "离线吞吐",
    # of README.md: speed
    "must": "必须",
    "aim": "目标",
    "measured": "实测",
    "times the aim": "达到目标的倍数",
    "plans evaluated whole per second, one core": "单核每秒完整计算的并行方案数",
    "plans an exact search considers per second: GPT-3 175B on 1,024 A100":
        "精确搜索每秒考虑的方案数：1,024 张 A100 上的 GPT-3 175B",
    "the same: GPT-4 1.8T on 10,000 H20": "同上：10,000 张 H20 上的 GPT-4 1.8T",
    "serving setups costed per second, one core": "单核每秒计算的推理部署数",
    "`estimate`, plan given: the whole process": "`estimate`，给定方案：整个进程",
    "`estimate` with its search: the whole process": "`estimate`，含搜索：整个进程",
    "`--help`": "`--help`",
    "`sweep`: 10,000,000 plans to Parquet, two threads": "`sweep`：10,000,000 个方案写入 Parquet，两个线程",
    "`sweep`: peak memory of that process": "`sweep`：该进程的内存峰值",
    "`sweep`: two threads over one": "`sweep`：两个线程与一个线程之比",
}  # fmt: skip

COUNTED: Final = r"([0-9][0-9.,]*)"
SHARE: Final = r"([−+-]?[0-9.,]+ ?%)"

# A cell or a sentence with what is put into it; what is put in stays as it is or is looked up in turn.
PATTERNS: Final = tuple(
    (re.compile(pattern), template)
    for pattern, template in (
        # cells of docs/why-h20.md
        (rf"(\S+) on {COUNTED}", "{0}，{1} 张卡"),
        (rf"(\S+) on {COUNTED}, {COUNTED} in flight", "{0}，{1} 张卡，{2} 个并发序列"),
        (r"(\S+): (training|prefill|decode)", "{0}：{1}"),
        (rf"{COUNTED} H100 prefill, {COUNTED} H20 decode", "{0} 张 H100 预填充，{1} 张 H20 解码"),
        (r"(\S+), one pool", "{0}，单池"),
        (r"(\S+), pools apart", "{0}，预填充与解码分离"),
        # sentences of docs/why-h20.md
        (rf"Of an H100 the H20 keeps {SHARE} of the compute, {SHARE} of the memory bandwidth, {SHARE} of the memory "
         rf"capacity, {SHARE} of the links\.",
         "H20 的算力是 H100 的 {0}，显存带宽是 {1}，显存容量是 {2}，互联带宽是 {3}。"),
        (rf"TPP {COUNTED} is {SHARE} of the line of {COUNTED} for a die as dense as its own\.",
         "TPP 为 {0}，是同等密度芯片红线 {2} 的 {1}。"),
        (rf"Of the best chip that the rule allows, the H20 reaches {SHARE} in training, {SHARE} in prefill, {SHARE} in "
         r"decode\.", "H20 达到规则允许的最佳芯片的：训练 {0}，预填充 {1}，解码 {2}。"),
        (rf"The letter of April 2025 takes from what the rule of 2023 left: {SHARE} in training, {SHARE} in prefill, "
         rf"{SHARE} in decode\.",
         "与 2023 年规则留下的相比，2025 年 4 月的通知函带来的变化：训练 {0}，预填充 {1}，解码 {2}。"),
        (rf"Decode of (\S+) on {COUNTED} cards turns compute-bound at a batch of: (.*)\.",
         "{1} 张卡解码 {0} 时，由访存受限转为算力受限的批量：{2}。"),
        (rf"{COUNTED} tokens: (\S+) ({COUNTED}|never before memory is full), (\S+) ({COUNTED}|never before memory is "
         "full)", "上下文 {0}：{1} {2}，{4} {5}"),
        ("never before memory is full", "直到显存用满也不会"),
        (rf"In prefill an H20 does {COUNTED} to {COUNTED} of an H100, at any length\.",
         "预填充时，无论长度，H20 只有 H100 的 {0} 到 {1}。"),
        # sentences of README.md
        (rf"Measured on (.*), {COUNTED} cores, (\S+)\.", "测试环境：{0}，{1} 核，{2}。"),
        (rf"One evaluation is {COUNTED} scalar operations, {SHARE} of what this core does of multiplications and "
         rf"additions one at a time \({SHARE} when divisions and roots count at their own rate\)\.",
         "一次完整计算有 {0} 个标量运算，是该核逐个做乘加时的 {1}（若除法与开方按各自速率计，为 {2}）。"),
        (rf"It runs {COUNTED} times as fast as the same formulas over whole NumPy arrays, {COUNTED} times as fast as "
         rf"plain Python, which it equals bit for bit, and {COUNTED} times as fast on two threads\.",
         "它比同样公式的 NumPy 整数组写法快到 {0} 倍，比纯 Python 快到 {1} 倍（结果逐位相同），两个线程快到 {2} 倍。"),
        (rf"To cost all {COUNTED} legal plans for GPT-3 one by one takes {COUNTED} times as long as to search them, "
         r"and finds the same best plan\.",
         "把 GPT-3 的全部 {0} 个合法方案逐一计算，耗时是搜索的 {1} 倍，找到的最佳方案相同。"),
        (rf"Seconds per point of a sweep differ by {SHARE} from {COUNTED} to {COUNTED} points\.",
         "从 {1} 到 {2} 个点，扫描每点耗时相差 {0}。"),
    )
)  # fmt: skip

WORD: Final = re.compile(r"(?<![\w.-])[A-Za-z][a-z]{2,}(?![\w.-])")
SENTENCE: Final = re.compile(r"(?<=[a-z0-9)%]\.) (?=[A-Z])")
NAMES: Final = frozenset({"TFLOP", "TPOT", "TTFT", "Llama"})


def chinese(english: str) -> str:
    """Generated Markdown in Chinese. A fenced block is what a program prints, and stays.

    >>> print(chinese("| model | training |\\n|---|---|\\n| deepseek-v3 on 32 | 1.5 |"))
    | 模型 | 训练 |
    |---|---|
    | deepseek-v3，32 张卡 | 1.5 |
    """
    lines, fenced = [], False
    for line in english.split("\n"):
        fence = line.startswith("```")
        lines.append(line if fenced or fence else _line(line))
        fenced ^= fence
    return "\n".join(lines)


def _line(line: str) -> str:
    if line.startswith("|"):
        return "|".join(f" {_text(cell.strip())} " if cell.strip(" -") else cell for cell in line.split("|"))
    return "".join(_text(sentence) for sentence in SENTENCE.split(line))


def _text(text: str, *, inner: bool = False) -> str:
    """A cell, a sentence, or what stands in one, which may be a name."""
    if text in CELLS:
        return CELLS[text]
    for pattern, template in PATTERNS:
        found = pattern.fullmatch(text)
        if found:
            parts = (group.split("; ") for group in found.groups(""))
            return template.format(*("；".join(_text(part, inner=True) for part in each) for each in parts))
    unknown = [] if inner else [word for word in WORD.findall(text) if word not in NAMES]
    if unknown:
        raise LookupError(f"docs/_zh.py has no Chinese for {text!r} (it has {unknown[0]!r} in it)")
    return text
