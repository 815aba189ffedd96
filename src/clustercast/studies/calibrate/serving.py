"""Measured serving points as points of one chip with one engine."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from clustercast import records
from clustercast.catalog import ChipProfile
from clustercast.catalog import serving as catalogue
from clustercast.errors import ClustercastError, NoAnswer
from clustercast.studies.calibrate import refusals
from clustercast.studies.calibrate.belonging import Task
from clustercast.studies.calibrate.files import Row, Source, rows_of
from clustercast.studies.calibrate.fit import parameter, settings, with_pace
from clustercast.studies.record import numbers
from clustercast.studies.record import serving as record

# what says where a figure comes from, not what was run
NOT_THE_RUN: Final = frozenset(("id", "source", "date", "value", "notes", "complete"))
SHORTEST_S: Final = 1e-12
LONGEST_S: Final = 1e9
OF_LATENCY: Final = "_ms"
SHARES: Final = (
    "matmul_fraction",
    "matmul_memory_fraction",
    "expert_fraction",
    "expert_memory_fraction",
    "head_fraction",
    "attention_forward_fraction",
    "decode_attention_fraction",
    "decode_attention_memory_fraction",
    "element_fraction",
)
LAUNCHES: Final = ("matmul_launch_s", "expert_launch_s", "attention_launch_s", "element_launch_s")
# an engine that adds nothing and whose kernels lose nothing
NEUTRAL: Final = ("matmul_factor", "matmul_memory_factor", "expert_factor", "expert_memory_factor", "kv_factor")


class Point(NamedTuple):
    """One measured figure; what it depends on is made anew for every fit, over what was calibrated before it."""

    cells: dict[str, str]
    chip: ChipProfile
    engine: str
    measured: float  # seconds, or seconds per token or request of a rate
    configuration: Hashable
    where: str


def points(found: Source, chip: str | None, engine: str | None) -> tuple[list[Point], list[str]]:
    """The complete rows of a file, and how many others it has. Raises WrongInput with the line for a broken one."""
    made, n_context = [], 0
    for row in rows_of(found):
        cells = dict(row.cells)
        if cells.get("complete", "yes") != "yes":
            n_context += 1
            continue
        if chip is not None and not cells.get("chip"):
            cells["chip"] = chip
        if engine is not None:
            cells["engine"] = engine
        try:
            made.append(_point(found, row, cells))
        except ClustercastError as error:
            raise found.wrong(error.message, line=row.line, hint=error.hint) from None
        except (KeyError, ValueError, ZeroDivisionError, OverflowError, IndexError) as error:
            raise found.wrong(f"cannot be read as a serving point: {error}", line=row.line) from None
    if not made:
        raise NoAnswer(
            f"too little data: {found.name} holds no complete serving point",
            hint="a complete row has complete = yes",
            numbers={"n": 0, "n_context": n_context},
        )
    return made, [f"{found.name}: {n_context} rows left out: not complete"] if n_context else []


def _point(found: Source, row: Row, cells: dict[str, str]) -> Point:
    case = record.case_of(cells)
    measured = float(cells["value"] or "nan")
    if not 0.0 < measured < math.inf:
        raise found.wrong(f"value: expected a positive number, got {cells['value']!r}", line=row.line)
    if not SHORTEST_S < in_time(case.metric, measured) < LONGEST_S:
        raise found.wrong(f"value: {cells['value']!r} is no {case.metric}: check its unit", line=row.line)
    if not 0.0 < seconds(case, case.setting) < math.inf:
        raise found.wrong("gives no time: check its lengths, its concurrency and its layout", line=row.line)
    configuration = tuple(sorted((key, text) for key, text in cells.items() if text and key not in NOT_THE_RUN))
    where = f"{found.name}:{row.line}"
    return Point(cells, numbers.chip_of(cells), case.engine, in_time(case.metric, measured), configuration, where)


def in_time(metric: str, value: float) -> float:
    """A latency in seconds; a rate as the seconds that one of it takes."""
    return 1e-3 * value if metric.endswith(OF_LATENCY) else 1.0 / value


def seconds(case: record.Case, setting: records.ServingSetting) -> float:
    """The model's figure of a row, as `in_time` has it."""
    done = record.LOADS[case.load](setting, case.job, case.plan)
    return in_time(case.metric, record.in_metric(case, done))


def tasks(found: Sequence[Point]) -> list[tuple[str, str]]:
    """The pairs of chip and engine that were measured."""
    return list(dict.fromkeys((point.chip.name, point.engine) for point in found))


def task(found: Sequence[Point], chip_file: str | None, chip: str, engine: str) -> Task:
    """The points of one chip with one engine. Raises NoAnswer for too few, contradictory or impossible ones."""
    mine = [point for point in found if (point.chip.name, point.engine) == (chip, engine)]
    configurations = [point.configuration for point in mine]
    measured, where = [point.measured for point in mine], [point.where for point in mine]
    refusals.too_few("serving", len(set(configurations)), f"serving points of {chip} with {engine}")
    refusals.contradictory(configurations, measured, where)
    numbers.forget()
    cases = [record.case_of(point.cells) for point in mine]
    # stages of a pipeline may work on parts of a batch at once, which the formula of one batch does not count
    least = [seconds(case, _ideal(case.setting)) / case.plan.pp for case in cases]
    shares = [ideal_s / measured_s for ideal_s, measured_s in zip(least, measured, strict=True)]
    hint = "check the chips, the formats and the unit of value; guessed tokens need mtp = yes"
    refusals.impossible("the chip's datasheet", shares, where, hint)
    known = catalogue.engine(engine, mine[0].chip.family, chip).constants
    names = [name for name in settings("parameters")["serving"] if name in known]
    own = [parameter(name, known[name], "s" if name.endswith("_s") else "1", "serving") for name in names]
    parameters = with_pace("serving", own, known)

    def predict(values: Mapping[str, float], place: int) -> float:
        setting = cases[place].setting
        return seconds(cases[place], setting._replace(engine=_engine(setting.engine, values)))

    if chip_file is None and mine[0].chip.file == numbers.MADE:
        chip_file = numbers.MADE
    return Task(
        "serving",
        chip,
        chip_file,
        engine,
        parameters,
        predict,
        tuple(measured),
        tuple(configurations),
        tuple(where),
        {},
        (),
    )


def _engine(engine: records.Engine, values: Mapping[str, float]) -> records.Engine:
    changes: dict[str, Any] = dict(values)
    return engine._replace(**changes)


def _ideal(setting: records.ServingSetting) -> records.ServingSetting:
    """The chip at its datasheet under an engine that adds nothing."""
    engine = dict.fromkeys((name for name in records.Engine._fields if name.endswith("_s")), 0.0)
    engine |= dict.fromkeys(NEUTRAL, 1.0) | {"launch_factor": 0.0, "interference_factor": 0.0}
    kernels: dict[str, Any] = dict.fromkeys(SHARES, 1.0) | dict.fromkeys(LAUNCHES, 0.0)
    return setting._replace(engine=_engine(setting.engine, engine), kernels=setting.kernels._replace(**kernels))
