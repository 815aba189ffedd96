"""Tables of the documentation that are made from the code: called between cog marks, checked by `make check`."""

import ast
import inspect
import io
import tokenize
from typing import Final, NamedTuple

from clustercast import records

# The longest ending that matches names the unit.
UNIT_OF_ENDING: Final = {
    "_flop_per_s": "FLOP/s",
    "_bytes_per_s": "B/s",
    "_tokens_per_s": "tokens/s",
    "_per_doubling": "1 per doubling",
    "_bytes_factor": "1",
    "_flop": "FLOP",
    "_bytes": "B",
    "_w": "W",
    "_usd": "USD",
    "_s": "s",
    "_ms": "ms",
    "_fraction": "0…1",
    "_factor": "1",
    "_overlap": "0…1",
    "_params": "parameters",
}


class Symbol(NamedTuple):
    """One field of a record, as its definition writes it."""

    name: str
    kind: str
    meaning: str


def unit(name: str, kind: str) -> str:
    """The unit that the ending of a name states; counts, codes and widths have none.

    >>> unit("hbm_bytes_per_s", "float"), unit("n_layers", "int")
    ('B/s', '')
    """
    if name.startswith("n_") or kind == "int":
        return ""
    return next(
        (UNIT_OF_ENDING[ending] for ending in sorted(UNIT_OF_ENDING, key=len, reverse=True) if name.endswith(ending)),
        "",
    )


def comments(source: str) -> dict[int, str]:
    """The trailing comment of each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def symbols(definition: ast.ClassDef, comment_of: dict[int, str]) -> list[Symbol]:
    return [
        Symbol(field.target.id, ast.unparse(field.annotation), comment_of.get(field.end_lineno or 0, ""))
        for field in definition.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    ]


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def symbol_tables() -> str:
    """One table per record of `clustercast.records`, in the order of the file."""
    source = inspect.getsource(records)
    comment_of = comments(source)
    lines: list[str] = []
    for definition in ast.parse(source).body:
        if not isinstance(definition, ast.ClassDef):
            continue
        lines += [f"### {definition.name}", "", ast.get_docstring(definition) or "", ""]
        lines += ["| name | type | unit | meaning |", "|---|---|---|---|"]
        for name, kind, meaning in symbols(definition, comment_of):
            lines.append(f"| `{name}` | {kind} | {unit(name, kind)} | {cell(meaning)} |")
        lines.append("")
    return "\n".join(lines)


def code_table() -> str:
    """The integer codes that records carry, with the names that people type."""
    lines = ["| code | names, from 0 |", "|---|---|"]
    for name, value in vars(records).items():
        if name.endswith("_NAMES"):
            lines.append(f"| {name.removesuffix('_NAMES').lower()} | {', '.join(f'`{word}`' for word in value)} |")
    return "\n".join(lines)


def command_line() -> str:
    """The help of every command, as an 80-column terminal shows it."""
    import os

    from clustercast.cli import app

    os.environ["COLUMNS"] = "80"
    parts: list[str] = []
    for path in app.command_paths():
        title = " ".join(("clustercast", *path))
        parts += [f"## `{title}`", "", "```text", app.help_of(path).rstrip(), "```", ""]
    return "\n".join(parts)


def run(*arguments: str, lines: int | None = None) -> str:
    """What a command prints, without the time that the search took."""
    import os
    import re
    import subprocess
    import sys

    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "clustercast", *arguments], capture_output=True, text=True, env=environment, check=True
    )
    text = re.sub(r"(costed whole), [0-9.]+ \w+", r"\1", done.stdout)
    shown = text.splitlines()[:lines]
    if lines is not None:
        shown.append("…")
    return "\n".join(["```text", f"$ clustercast {' '.join(arguments)}", *shown, "```"])


STORY: Final = (
    "h100",
    "h800",
    "h20",
    "a100",
    "a800",
    "v100",
    "ascend-910b",
    "ascend-910c",
    "h200",
    "b200",
    "gb200",
    "mi300x",
)


def story_table() -> str:
    """The question of the README for several chips: train the 1.8T mixture on 10,000, decode Llama 3.1 70B on 8."""
    import clustercast

    lines = [
        "| chip | BF16 TFLOP/s | HBM TB/s | train 1.8T on 10,000: days (80 % interval) | MFU | limited by "
        "| decode Llama 70B, 8 cards, batch 16: ms per token (cards of a replica) | limited by "
        "| prefill tokens/s per card |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in STORY:
        chip = clustercast.chip(name)
        big = clustercast.estimate(name, "1.8T", n_chips=10_000).training
        small = clustercast.estimate(name, "llama-3.1-70b", n_chips=8, batch=16).serving
        peaks = chip.peaks()
        flops = peaks.get("bf16", peaks.get("fp16", 0.0)) / 1e12
        training = ("–", "–", "–")
        if big is not None:
            days = f"{big.days:,.0f} ({big.days_low:,.0f}–{big.days_high:,.0f})"
            training = (days, f"{big.mfu:.0%}", big.limiting)
        serving = ("–", "–", "–")
        if small is not None:
            speed = f"{small.prefill_tokens_per_s_per_chip:,.0f}"
            serving = (f"{small.tpot_ms:.0f} ({small.plan['chips']})", small.limiting_decode, speed)
        row = (name, f"{flops:,.0f}", f"{chip.value('memory.bandwidth') / 1e12:.2f}", *training, *serving)
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def record_errors() -> list[tuple[dict[str, str], float]]:
    """Every row of the shipped record with the error of its step time."""
    import csv
    from pathlib import Path

    from clustercast.studies.record import training as record

    path = Path(__file__).parents[1] / "bench" / "record" / "training.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return [(row, record.time_error(row)) for row in csv.DictReader(file) if row["complete"] == "yes"]


def korthikanti_table() -> str:
    """The eight runs of Korthikanti et al. 2022, table 5, one by one."""
    from clustercast.studies.record import training as record

    lines = [
        "| model | chips | plan | measured s | estimated s | error | memory GiB of 80 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, error in record_errors():
        if not row["id"].startswith("KORT"):
            continue
        value, step = record.estimated(row)
        plan = f"tp {row['TP']}, pp {row['PP']}, vpp {row['virtual_pp']}, {row['recompute']}"
        lines.append(
            f"| {row['model_name']} | {row['n_chips']} | {plan} | {float(row['value']):.2f} | {value:.2f} "
            f"| {error:+.1%} | {step.memory_bytes / 2**30:.0f} |"
        )
    return "\n".join(lines)


def speed_table() -> str:
    """The last measured speed of plan evaluation and search."""
    import json
    from pathlib import Path

    last = sorted((Path(__file__).parents[1] / "bench" / "results").glob("plan_rate*.json"))[-1]
    found = json.loads(last.read_text(encoding="utf-8"))
    rows = (
        ("whole plan evaluations per second, one core", f"{found['evaluations_per_s_per_core']:,}"),
        ("arithmetic operations per evaluation", f"{found['operations_per_evaluation']:,}"),
        ("plans in the space of the headline question", f"{found['considered']:,}"),
        ("time of its exact search", f"{1e3 * found['search_s']:.0f} ms"),
        ("compiled equals plain, bit for bit", "yes" if found["compiled_equals_plain"] else "no"),
        ("machine, date", f"{found['machine']}, {found['date']}"),
    )
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
