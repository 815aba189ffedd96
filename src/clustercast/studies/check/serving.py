"""Results of load tests against the model: first tokens, further tokens and rates, run by run."""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from clustercast.catalog import constants, read
from clustercast.errors import WrongInput
from clustercast.studies.check import rank, serving_causes
from clustercast.studies.check.result import FAST, NORMAL, SLOW, Check, Figure
from clustercast.studies.check.serving_causes import Served
from clustercast.studies.launch.serving import read_serving
from clustercast.studies.logs import results
from clustercast.studies.logs.benchmarks import runs_of
from clustercast.studies.record import door, numbers
from clustercast.studies.record import serving as record
from clustercast.studies.record.files import SERVING, Row
from clustercast.studies.serving.question import parse_plan

MOST_FIGURES: Final = 300
UNITS: Final = {"ttft_ms": "ms", "tpot_ms": "ms", "request_latency_ms": "ms"}
COLUMNS: Final = {"tp": "tp", "pp": "pp", "attention_dp": "attention_dp", "ep": "ep", "etp": "moe_tp"}


def check_serving(
    path: Path,
    text: str,
    chip: str,
    *,
    model: str,
    n_chips: int | None,
    plan: str,
    precision: str | None,
    engine: str | None,
    launch: str | None,
) -> Check:
    """A benchmark's result judged.

    Raises WrongInput for a file that is broken, and where file, launch file and user contradict or leave much open.
    """
    cells: dict[str, str | None] = {
        "chip": chip,
        "model": model or None,
        "n_chips": None if n_chips is None else str(n_chips),
        "engine": engine,
    }
    if precision is not None:
        weight, expert, _ = constants.recipe(precision).parts
        cells |= {"weight_dtype": weight, "moe_dtype": expert}
    said = results.given_of((), launch, **_layout(plan), **cells)._replace(by_option=True)
    eager = "" if launch is None else read_serving(launch, model or None).eager
    counted = _counted(text, path)
    numbers.forget()
    found = results.record_file(path, text, said)
    figures: list[Figure] = []
    notes = [f"{eager}: steps run without captured graphs, which the model does not know"] if eager else []
    for _, rows in groupby(found.rows[:MOST_FIGURES], key=_run):
        figures += _with_causes(
            [_judged(_checked(row, found.name), notes) for row in rows], counted, ("no-graphs",) if eager else ()
        )
    first = found.rows[0].cells
    case = record.case_of(first)
    layout = ", ".join(f"{name}={value}" for name, value in case.plan._asdict().items() if value > 1)
    return Check(
        kind="serving",
        file=read.shown(path),
        tool=first.get("engine") or "",
        chip=numbers.chip_of(first).name,
        model=first.get("model"),
        count=case.n_chips,
        plan=layout.replace(" ", ""),
        figures=tuple(figures),
        setup={"engine": case.engine, "precision": case.precision},
        assumptions=case.said,
        notes=tuple(dict.fromkeys(notes)),
        rows=tuple(row.cells for row in found.rows),
    )


def _counted(text: str, path: Path) -> frozenset[str]:
    """Causes that the totals of every run of a result rule out: lengths that it counted."""
    runs = runs_of(text, path)
    prompts = {"longer_prompts", "shorter_prompts"} if all(run.input_len is not None for run in runs) else set()
    answers = {"short_answers"} if all(run.output_len is not None for run in runs) else set()
    return frozenset(prompts | answers)


def _run(row: Row) -> str:
    """The run that a row is of: its name without the metric."""
    return row.cells["id"].removesuffix(row.cells["metric"])


def _checked(row: Row, name: str) -> Row:
    wrong = door.flaw_of(row.cells, SERVING)
    if wrong:
        raise WrongInput(f"{name}:{row.line}: {wrong}")
    return row


def _layout(plan: str) -> dict[str, str | None]:
    """The cells that a serving plan fills."""
    found = parse_plan(plan) if plan else {}
    unknown = [name for name in found if name not in COLUMNS]
    if unknown:
        raise WrongInput(f"--plan: {unknown[0]} does not go with a result", hint=f"it takes {', '.join(COLUMNS)}")
    return {COLUMNS[name]: str(int(value)) for name, value in found.items()}


class Judged(NamedTuple):
    """One figure with what its causes are tried on."""

    figure: Figure
    served: Served
    observed: rank.Observed
    counts: bool  # whether it is to be leant on


def _judged(row: Row, notes: list[str]) -> Judged:
    """One row against what is expected of it, without causes."""
    cells = row.cells
    case = record.case_of(cells)
    answer = record.answer_of(cells)
    measured = float(cells["value"])
    metric = case.metric
    rate = metric not in UNITS
    doubt = cells.get("notes", "") if cells.get("complete") != "yes" else ""
    if doubt:
        notes.append(f"{metric}: shown and not to be leant on: {doubt}")
    figure = Figure(
        metric=metric,
        unit=UNITS.get(metric, "tokens/s"),
        where=f"{case.job.input_len} in, {case.job.output_len} out, {case.job.batch * case.workers:,.0f} in flight",
        measured=measured,
        expected=answer.estimated,
        low=answer.low,
        high=answer.high,
        verdict=rank.verdict(measured, answer.low, answer.high, rate=rate),
        time_s={name: value for name, value in answer.terms.items() if value > 0.0} if metric == "tpot_ms" else {},
        evidence=answer.evidence,
    )
    mixture = case.setting.model.n_moe_layers > 0
    width = record.half_width(answer.evidence, metric, mixture=mixture, settled=case.settled)
    served = Served(cells, case, numbers.chip_of(cells), answer.estimated)
    return Judged(figure, served, rank.Observed(measured, answer.estimated, width), not doubt)


def _with_causes(run: Sequence[Judged], ruled_out: frozenset[str], patterns: Sequence[str]) -> list[Figure]:
    """The figures of one run: a cause has to explain first tokens and further tokens together.

    ruled_out  causes that the result itself rules out
    patterns   what the launch file says that a cause shows by
    """
    figures = [each.figure for each in run]
    leaning = [place for place, each in enumerate(run) if each.counts] or list(range(len(run)))
    outside = [place for place in leaning if figures[place].verdict != NORMAL]
    if not outside:
        return figures
    first = max(outside, key=lambda place: abs(math.log(figures[place].ratio)))
    order = [first, *(place for place in leaning if place != first)]
    verdict, rate = figures[first].verdict, figures[first].metric not in UNITS
    section = "serving" if verdict == SLOW else "serving_fast"
    make = serving_causes.slower if verdict == SLOW else serving_causes.faster
    observed = [run[place].observed for place in order]
    made = [make(run[place].served) for place in order]
    changes = [{name: change for name, change in each.items() if name not in ruled_out} for each in made]
    denied = _denied(run[first].served.row)
    tried = rank.tries(section, changes, observed, longer=(verdict != FAST) != rate, denied=denied)
    for place, ranked in zip(order, rank.rank(section, observed, tried, patterns), strict=True):
        if figures[place].verdict != NORMAL:
            figures[place] = ranked.of(figures[place])
    return figures


def _denied(cells: dict[str, str]) -> list[str]:
    """Causes that the result or the launch deny: formats that are said."""
    weights = ["wider_weights", "narrower_weights"] if cells.get("weight_dtype") else []
    cache = ["wider_cache", "narrower_cache"] if cells.get("kv_dtype") else []
    return weights + cache
