"""Measured training steps as points of one chip with one stack."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Final, NamedTuple

from clustercast import records
from clustercast.catalog import ChipProfile, constants
from clustercast.errors import ClustercastError, NoAnswer
from clustercast.physics.training import training_step
from clustercast.studies.calibrate import refusals
from clustercast.studies.calibrate.belonging import Covers, Task
from clustercast.studies.calibrate.files import Row, Source, rows_of
from clustercast.studies.calibrate.fit import parameter, settings, with_pace
from clustercast.studies.record import numbers
from clustercast.studies.record import training as record

SHORTEST_S: Final = 1e-9
LONGEST_S: Final = 1e9
METRICS: Final = ("iteration_s", "tokens_per_s_per_gpu")
# what says where a figure comes from or how it was written down, not what was run
NOT_THE_RUN: Final = frozenset(
    ("id", "source", "date", "value", "metric", "notes", "study", "complete", "tflops_convention", "model_name")
)


class Step(NamedTuple):
    """One measured optimizer step; what it depends on is made anew for every fit, over what was calibrated before."""

    cells: dict[str, str]
    chip: ChipProfile
    stack: str
    seconds: float
    configuration: Hashable
    where: str


def steps(found: Source, chip: str | None, stack: str | None) -> tuple[list[Step], list[str]]:
    """The complete rows of a file, and how many others it has. Raises WrongInput with the line for a broken one."""
    points, n_context = [], 0
    for row in rows_of(found):
        cells = dict(row.cells)
        if cells.get("complete", "yes") != "yes" or cells.get("metric") not in METRICS:
            n_context += 1
            continue
        if chip is not None and not cells.get("chip"):
            cells["chip"] = chip
        try:
            points.append(_step(found, row, cells, stack))
        except ClustercastError as error:
            raise found.wrong(error.message, line=row.line, hint=error.hint) from None
        except (KeyError, ValueError, ZeroDivisionError, OverflowError, IndexError) as error:
            raise found.wrong(f"cannot be read as a training step: {error}", line=row.line) from None
    if not points:
        raise NoAnswer(
            f"too little data: {found.name} holds no complete step",
            hint=f"a complete row has complete = yes and the metric {' or '.join(METRICS)}",
            numbers={"n": 0, "n_context": n_context},
        )
    remarks = [f"{found.name}: {n_context} rows left out: not complete, or no time or rate"] if n_context else []
    return points, remarks


def _step(found: Source, row: Row, cells: dict[str, str], stack: str | None) -> Step:
    chip = numbers.chip_of(cells)
    name = stack or record.stack_of(cells)
    setting, plan = _setting(cells, chip, name)
    record.check(cells, setting, plan)
    measured = float(cells["value"] or "nan")
    if not 0.0 < measured < math.inf:
        raise found.wrong(f"value: expected a positive number, got {cells['value']!r}", line=row.line)
    tokens = float(setting.job.global_batch) * setting.job.seq_len
    rate = measured * record.number(cells, "n_chips", 1)
    seconds = measured if cells["metric"] == "iteration_s" else tokens / rate
    if not 0.0 < training_step(setting, plan).step_s < math.inf:
        raise found.wrong("gives no step: check its shape and plan", line=row.line)
    if not SHORTEST_S < seconds < LONGEST_S:
        raise found.wrong(f"value: {cells['value']!r} makes a step of {seconds:.3g} s: check its unit", line=row.line)
    configuration = tuple(sorted((key, text) for key, text in cells.items() if text and key not in NOT_THE_RUN))
    return Step(cells, chip, name, seconds, configuration, f"{found.name}:{row.line}")


def _setting(cells: dict[str, str], chip: ChipProfile, stack: str) -> tuple[records.Setting, records.Plan]:
    """The row as the physics sees it, with the stack that was measured."""
    setting, plan = record.setting_of(cells)
    used = record.ability_of(cells, constants.stack(stack, chip.name, chip.family))
    return setting._replace(stack=records.as_declared(used)), plan


def tasks(points: Sequence[Step]) -> list[tuple[str, str]]:
    """The pairs of chip and stack that were measured."""
    return list(dict.fromkeys((point.chip.name, point.stack) for point in points))


def task(points: Sequence[Step], chip_file: str | None, chip: str, stack: str) -> Task:
    """The steps of one chip with one stack. Raises NoAnswer for too few, contradictory or impossible ones."""
    mine = [point for point in points if (point.chip.name, point.stack) == (chip, stack)]
    configurations = [point.configuration for point in mine]
    seconds, where = [point.seconds for point in mine], [point.where for point in mine]
    refusals.too_few("steps", len(set(configurations)), f"steps of {chip} with {stack}")
    refusals.contradictory(configurations, seconds, where)
    numbers.forget()
    made = [_setting(point.cells, point.chip, stack) for point in mine]
    shares = []
    for (setting, plan), point in zip(made, mine, strict=True):
        most_flop_per_s = record.number(point.cells, "n_chips", 1) * setting.chip.matmul_flop_per_s
        shares.append(training_step(setting, plan).model_flop / (point.seconds * most_flop_per_s))
    refusals.impossible(
        "the dense peak", shares, where, "check the unit of value, the number of chips, the shape and the precision"
    )
    known = constants.stack(stack, chip, mine[0].chip.family).constants
    mixtures = any(setting.model.n_moe_layers > 0 for setting, _ in made)
    names = [name for name in settings("parameters")["steps"] if mixtures or name not in OF_MIXTURES]
    own = [parameter(name, known[name], "s" if name.endswith("_s") else "1", "steps") for name in names]
    parameters = with_pace("steps", own, known)

    def predict(values: Mapping[str, float], place: int) -> float:
        setting, plan = made[place]
        return training_step(setting._replace(stack=setting.stack._replace(**values)), plan).step_s

    if chip_file is None and mine[0].chip.file == numbers.MADE:
        chip_file = numbers.MADE
    return Task(
        "steps",
        chip,
        chip_file,
        stack,
        parameters,
        predict,
        tuple(seconds),
        tuple(configurations),
        tuple(where),
        {},
        (),
        _covers(mine, stack, made),
    )


def _covers(points: Sequence[Step], stack: str, made: Sequence[tuple[records.Setting, records.Plan]]) -> Covers:
    """What the steps are like."""
    mixtures = [setting.model.n_moe_layers > 0 for setting, _ in made]
    kinds = tuple(name for name, is_there in (("dense", not all(mixtures)), ("mixture", any(mixtures))) if is_there)
    software = constants.stack(stack)
    recipes = tuple(dict.fromkeys(record.recipe_of(point.cells, software) for point in points))
    counts = [record.number(point.cells, "n_chips", 1) for point in points]
    return Covers(kinds, recipes, min(counts), max(counts))


OF_MIXTURES: Final = ("expert_factor", "expert_half_width", "host_moe_layer_s")
