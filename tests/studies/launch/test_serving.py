"""Launch files and `serve`: what a file asks, what contradicts it, and files for what `serve` chose."""

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Cli
from serving_launches import file_in

import clustercast
from clustercast.errors import WrongInput
from clustercast.studies.launch import serving
from clustercast.studies.launch.launch import ServingLaunch
from clustercast.studies.serving.question import ServeAsked

VLLM = (
    "vllm serve deepseek-ai/DeepSeek-R1-0528 \\\n  --tensor-parallel-size 8 \\\n  --enable-expert-parallel \\\n"
    "  --max-num-seqs 64 \\\n  --max-num-batched-tokens 4096 \\\n  --gpu-memory-utilization 0.85 \\\n"
    "  --kv-cache-dtype fp8 --max-model-len 16384\n"
)
TENSORRT = "trtllm-serve openai/gpt-oss-120b --tp_size 2 --ep_size 2 --kv_cache_free_gpu_memory_fraction 0.8\n"
SPECULATIVE = (
    "python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 8 --speculative-algorithm EAGLE\n"
)


def launch(folder: Path, text: str = VLLM, name: str = "launch.sh") -> ServingLaunch:
    return serving.read_serving(file_in(folder, name, text))


@pytest.mark.parametrize(
    ("text", "name", "tool"),
    [
        (VLLM, "a.sh", "vllm"),
        (SPECULATIVE, "a.txt", "sglang"),
        (TENSORRT, "a", "tensorrt-llm"),
        ("tensor-parallel-size: 8\n", "a.yaml", "vllm"),
        ("tp-size: 8\n", "a.yml", "sglang"),
        ("tensor_parallel_size: 8\n", "a.yaml", "tensorrt-llm"),
    ],
)
def test_the_tool_is_told_by_what_a_file_holds(tmp_path: Path, text: str, name: str, tool: str) -> None:
    assert launch(tmp_path, text, name).tool == tool


def test_the_question_takes_everything_that_the_file_says(tmp_path: Path) -> None:
    asked = serving.asked_with(launch(tmp_path), ServeAsked("h200", "", ttft_s=2.0))
    assert (asked.model, asked.n_chips, asked.precision, asked.kv_precision) == ("deepseek-r1", 8, "fp8-block", "fp8")
    assert asked.plan == "tp=8,pp=1,attention_dp=1,ep=8,etp=1,replicas=1,chunk=4096"
    assert asked.settings == ("engine.max_batch=64", "engine.memory_fraction=0.85")
    assert (asked.engine, asked.ttft_s) == ("vllm", 2.0)


@pytest.mark.parametrize(
    ("given", "own_engine", "message"),
    [
        ({"n_chips": 16}, True, "--count 16 contradicts {}:2, which says 8"),
        ({"model": "llama-3.1-8b"}, True, "--model llama-3.1-8b contradicts {}:1, which says deepseek-r1"),
        ({"precision": "bf16"}, True, "--precision bf16 contradicts {}, which says fp8-block"),
        ({"plan": "tp=4"}, True, "--plan tp=4 contradicts {}:2, which says tp=8"),
        ({"plan": "chunk=8192"}, True, "--plan chunk=8192 contradicts {}:5, which says chunk=4096"),
        ({"engine": "sglang"}, False, "--engine sglang contradicts {}, which says vllm"),
        (
            {"settings": ("engine.max_batch=9",)},
            True,
            "--set engine.max_batch=9 contradicts {}:4, which says max_batch 64",
        ),
        ({"n_drafts": 1.0, "accepted_tokens": 1.5}, True, ""),
    ],
)
def test_a_contradiction_names_both(tmp_path: Path, given: dict[str, object], own_engine: bool, message: str) -> None:
    read = launch(tmp_path)
    asked = replace(ServeAsked("h200", ""), **given)  # type: ignore[arg-type]
    if not message:
        assert serving.asked_with(read, asked, own_engine=own_engine).n_drafts == 1.0
        return
    with pytest.raises(WrongInput) as caught:
        serving.asked_with(read, asked, own_engine=own_engine)
    assert caught.value.message == message.format(tmp_path / "launch.sh")


def test_what_agrees_is_no_contradiction(tmp_path: Path) -> None:
    given = ServeAsked(
        "h200", "deepseek-r1", 8, precision="fp8-block", plan="tp=8,dp=1", settings=("engine.max_batch=64",)
    )
    assert serving.asked_with(launch(tmp_path), given, own_engine=False).settings.count("engine.max_batch=64") == 1


def test_guessed_tokens_ask_how_many_a_step_yields(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="a step guesses 3 tokens: say how many it yields") as caught:
        serving.asked_with(launch(tmp_path, SPECULATIVE), ServeAsked("h200", ""))
    assert caught.value.hint == "--accept 1.8"


def test_memory_that_the_weights_leave_becomes_a_share_of_the_chip(tmp_path: Path) -> None:
    asked = serving.asked_with(launch(tmp_path, TENSORRT), ServeAsked("h200", ""))
    share = float(asked.settings[0].partition("=")[2])
    assert 0.8 < share < 1.0


def test_requests_longer_than_the_server_takes_are_refused(tmp_path: Path) -> None:
    path = file_in(tmp_path, "launch.sh", VLLM)
    with pytest.raises(WrongInput, match=r"tokens of 40,000|of 40,000 tokens are longer than .*:8 allows \(16,384\)"):
        clustercast.serve("h200", launch=path, input_len=36_000, output_len=4_000)


@pytest.mark.parametrize("tool", ["vllm", "sglang", "tensorrt-llm"])
@pytest.mark.parametrize(
    ("chip", "model", "plan"),
    [("h100", "llama-3.1-70b", "tp=8,pp=1,dp=1"), ("h200", "deepseek-v3", "tp=8,pp=1,dp=1,ep=8")],
)
def test_the_file_of_an_answer_asks_for_that_answer(
    tmp_path: Path, tool: str, chip: str, model: str, plan: str
) -> None:
    lengths = {"input_len": 2000, "output_len": 500}
    done = clustercast.serve(chip, model, n_chips=8, plan=f"{plan},batch=32", export=tool, **lengths)  # type: ignore[arg-type]
    assert done.launch is not None
    assert done.export == tool
    path = file_in(tmp_path, "launch.sh", done.launch)
    again = clustercast.serve(chip, launch=path, concurrency=32, **lengths)  # type: ignore[arg-type]
    shared = ("tp", "pp", "attention_dp", "ep", "etp", "replicas", "chunk")
    assert [again.plan[name] for name in shared] == [done.plan[name] for name in shared]
    assert (again.model, again.precision, again.engine) == (done.model, done.precision, done.engine)
    assert again.tpot_ms == pytest.approx(done.tpot_ms, rel=1e-6)
    assert again.ttft_ms == pytest.approx(done.ttft_ms, rel=1e-6)


def test_the_head_of_a_file_says_what_it_is_for() -> None:
    done = clustercast.serve("h100", "llama-3.1-8b", n_chips=1, input_len="4k", output_len=100, export="vllm")
    head = [line for line in (done.launch or "").splitlines() if line.startswith("# ")]
    assert head[0].startswith("# vllm@99d7eb5, written by clustercast ")
    assert [line.split(":")[0] for line in head[1:]] == ["# question", "# command", "# one server", "# expected"]
    assert head[2] == (
        "# command: clustercast serve --chip h100 --model llama-3.1-8b --count 1 --isl 4k --osl 100 --engine vllm "
        "--export vllm"
    )
    assert f"TPOT {done.tpot_ms:.2f} ms" in head[4]


def test_a_name_that_would_end_a_comment_does_not(tmp_path: Path) -> None:
    launch = ServingLaunch("vllm", "drawn", "llama-3.1-8b", {"tp": 1}, n_chips=1)
    text = serving.TOOLS["vllm"].write(launch, ("question: x\nrm -rf y\x1b[31m",), 8)
    assert "# question: x rm -rf y [31m" in text.splitlines()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--export", "vlm"), 2, "error: --export: unknown serving tool 'vlm'\nhint: did you mean vllm?"),
        (
            ("--export", "vllm", "--engine", "sglang"),
            2,
            "error: --export vllm: the answer is for sglang\nhint: --engine vllm",
        ),
        (("--out", "x.sh"), 2, "error: --out needs --export\nhint: --export vllm"),
        (
            ("--precision", "mxfp8", "--chip", "b200", "--export", "tensorrt-llm"),
            2,
            "error: --export tensorrt-llm: it has no mxfp8",
        ),
    ],
)
def test_a_wrong_export_is_told_in_one_line(cli: Cli, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = cli("serve", "--chip", "h100", "--model", "llama-3.1-8b", "--count", "1", *arguments)
    assert done.status == status
    assert said in done.err


def test_the_command_line_writes_the_file_whole_and_prints_the_answer(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "serve.sh"
    small = ("serve", "--chip", "h100", "--model", "llama-3.1-8b", "--count", "1", "--isl", "1k", "--osl", "100")
    done = cli(*small, "--export", "vllm", "--out", str(path))
    assert (done.status, done.err) == (0, "")
    assert path.read_text(encoding="utf-8") == cli(*small, "--export", "vllm").out
    assert cli(*small, "--export", "vllm", "--json").document["launch"] == path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["serve.sh"]
    again = cli("serve", "--chip", "h100", "--launch", str(path), "--isl", "1k", "--osl", "100", "--json").document
    assert again["plan"]["tp"] == 1


def test_without_a_model_and_a_launch_there_is_no_question(cli: Cli) -> None:
    done = cli("serve", "--chip", "h100")
    assert (done.status, done.err) == (2, "error: --model is missing\nhint: or --launch FILE\n")
