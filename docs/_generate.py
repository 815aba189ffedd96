"""Tables of the documentation that are made from the code: called between cog marks, checked by `make check`."""

import ast
import inspect
import io
import tokenize
from functools import cache
from typing import Any, Final, NamedTuple

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


@cache
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


@cache
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


class Goal(NamedTuple):
    """One figure of speed: where a bench keeps it, and what it has to be."""

    what: str
    bench: str
    path: tuple[str, ...]
    form: str
    must: float
    aim: float
    unit: str = ""
    less_is_better: bool = False


SPEED_GOALS: Final = (
    Goal("plans evaluated whole per second, one core", "plan_rate", ("evaluations_per_s_per_core",), ",.0f", 3e5, 1e6),
    Goal("plans an exact search considers per second: GPT-3 175B on 1,024 A100", "search_rate",
         ("questions", "GPT-3 175B on 1,024 A100", "considered_plans_per_s"), ",.0f", 2e6, 1e7),
    Goal("the same: GPT-4 1.8T on 10,000 H20", "search_rate",
         ("questions", "GPT-4 1.8T on 10,000 H20", "considered_plans_per_s"), ",.0f", 2e6, 1e7),
    Goal("serving setups costed per second, one core", "serve_rate", ("setups_per_s_per_core",), ",.0f", 2e4, 1e5),
    Goal("`estimate`, plan given: the whole process", "process_rate",
         ("processes", "estimate_plan_given", "best_s"), ".2f", 0.4, 0.25, " s", True),
    Goal("`estimate` with its search: the whole process", "process_rate",
         ("processes", "estimate_with_search", "best_s"), ".2f", 1.0, 0.5, " s", True),
    Goal("`--help`", "process_rate", ("processes", "help", "best_s"), ".2f", 0.3, 0.2, " s", True),
    Goal("`sweep`: 10,000,000 plans to Parquet, two threads", "sweep_rate", ("wall_s",), ".0f", 120, 120, " s", True),
    Goal("`sweep`: peak memory of that process", "sweep_rate", ("peak_bytes",), ",.0f", 2**30, 2**30, " B", True),
    Goal("`sweep`: two threads over one", "sweep_rate", ("two_threads_over_one",), ".2f", 1.7, 1.7),
)  # fmt: skip


def speed_results() -> dict[str, Any]:
    """What the benches kept last, by their names."""
    import json
    from pathlib import Path

    folder = Path(__file__).parents[1] / "bench" / "results"
    names = {goal.bench for goal in SPEED_GOALS}
    files = {name: folder / f"{name}.json" for name in sorted(names)}
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}


def speed_row(goal: Goal, found: Any) -> str:
    """One row; the ratio is above 1 where the aim is passed."""
    for step in goal.path:
        found = found[step]
    ratio = goal.aim / found if goal.less_is_better else found / goal.aim
    bound = "≤ " if goal.less_is_better else ""
    must, aim, measured = (f"{value:{goal.form}}{goal.unit}" for value in (goal.must, goal.aim, found))
    return f"| {goal.what} | {bound}{must} | {bound}{aim} | {measured} | {ratio:.3g} |"


def speed_table() -> str:
    """The last measured speed beside what it must and should be, and what it is held against."""
    results = speed_results()
    lines = ["| | must | aim | measured | times the aim |", "|---|---|---|---|---|"]
    lines += [speed_row(goal, results[goal.bench]) for goal in SPEED_GOALS if goal.bench in results]
    plan = results["plan_rate"]
    whole = results["search_rate"]["questions"]["GPT-3 175B on 1,024 A100"]
    every = whole["every_plan_whole"]
    runs = sorted({(found["machine"], found["cores"], found["date"]) for found in results.values()})
    where = "; ".join(f"{machine}, {cores} cores, {date}" for machine, cores, date in runs)
    lines += [
        "",
        f"Measured on {where}. One evaluation is {plan['operations_per_evaluation']:,} scalar operations, "
        f"{plan['share_of_scalar_peak']:.0%} of what this core does of multiplications and additions one at a time "
        f"({plan['share_of_mixed_peak']:.0%} when divisions and roots count at their own rate). It runs "
        f"{plan['compiled_over_numpy']:.3g} times as fast as the same formulas over whole NumPy arrays, "
        f"{plan['compiled_over_plain']:.3g} times as fast as plain Python, which it equals bit for bit, "
        f"and {plan['two_threads_over_one']:.3g} times as fast on "
        f"two threads. To cost all {every['costed']:,} legal plans for GPT-3 one by one takes "
        f"{every['times_as_long']:,} times as long as to search them, and finds the same best plan.",
    ]
    if "sweep_rate" in results:
        sweep = results["sweep_rate"]
        sizes = [int(n) for n in sweep["us_per_point"]]
        lines[-1] += (
            f" Seconds per point of a sweep differ by {sweep['spread_over_sizes']:.0%} from {min(sizes):,} to "
            f"{max(sizes):,} points."
        )
    return "\n".join(lines)
