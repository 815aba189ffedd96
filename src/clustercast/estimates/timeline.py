"""The pipeline as blocks on a time axis: what each stage does when, for a few micro-batches."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from clustercast import records
from clustercast.physics.layer import ends, layer
from clustercast.physics.stages import n_stage_layers
from clustercast.physics.training import n_microbatches, n_slots
from clustercast.records import (
    SCHEDULE_DUALPIPE,
    SCHEDULE_GPIPE,
    SCHEDULE_NAMES,
    SCHEDULE_ZERO_BUBBLE,
)

FORWARD: Final = "forward"
BACKWARD: Final = "backward"
WEIGHTS: Final = "weight gradient"
MOST_STAGES: Final = 12  # that are drawn
FEW: Final = 4  # micro-batches beyond those that fill the pipeline


@dataclass(frozen=True, slots=True)
class Block:
    """One pass of one micro-batch on one stage."""

    stage: int  # counted from 0
    kind: str
    micro_batch: int  # counted from 0
    chunk: int  # of the stage's layers, where stages take turns
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """The blocks of the stages that are shown."""

    chip: str
    schedule: str
    n_stages: int
    n_microbatches: int  # of the whole step
    n_drawn: int
    shown: tuple[int, ...]  # stages
    blocks: tuple[Block, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Task(NamedTuple):
    """A pass to run: where, what, and for which micro-batch and chunk."""

    stage: int
    kind: str
    batch: int
    chunk: int


class Costs(NamedTuple):
    """Seconds of each stage's passes, for all of its layers."""

    forward_s: list[float]
    backward_s: list[float]  # both gradients, recompute too; without the weights' where a schedule delays them
    weights_s: list[float]  # that a schedule delays; else 0


def timeline(chip: str, setting: records.Setting, plan: records.Plan) -> Timeline | None:
    """The first micro-batches of a step in the plan's schedule; None for one stage, and for DualPipe.

    Communication is spread over the passes; gradients between replicas and the optimizer come after the last block.
    DualPipe runs forward and backward of two micro-batches as one, from both ends: blocks in a row would be another
    schedule.
    """
    if plan.pp == 1 or plan.schedule == SCHEDULE_DUALPIPE:
        return None
    n_all = int(n_microbatches(setting.job, plan))
    n_drawn = min(n_all, plan.pp + FEW)
    if plan.vpp > 1:
        n_drawn = min(n_all, -(-n_drawn // plan.pp) * plan.pp)  # interleaving takes them in rounds of P
    blocks = run(orders(plan, n_drawn), costs(setting, plan), plan)
    apart = -(-plan.pp // MOST_STAGES)
    shown = tuple(stage for stage in range(plan.pp) if stage % apart == 0 or stage == plan.pp - 1)
    kept = tuple(each for each in blocks if each.stage in shown)
    return Timeline(chip, SCHEDULE_NAMES[plan.schedule], plan.pp, n_all, n_drawn, shown, kept)


def costs(setting: records.Setting, plan: records.Plan) -> Costs:
    """What each stage's passes take, the exposed communication of a layer shared out by their lengths."""
    one, end = layer(setting, plan), ends(setting, plan)
    kernels_s = one.forward_s + one.backward_s + one.recompute_s
    beside = (kernels_s + one.slowdown_s + one.tp_exposed_s + one.cp_exposed_s + one.ep_exposed_s + one.host_s) / (
        kernels_s
    )
    heads = 1.0 + setting.model.n_mtp_layers
    head_s = heads * (end.head_forward_s + end.head_backward_s + end.head_comm_s)
    delayed_s = one.weight_gradient_s if plan.schedule == SCHEDULE_ZERO_BUBBLE else 0.0
    found = Costs([], [], [])
    for stage in range(plan.pp):
        n = n_stage_layers(kernels_s * beside, end.embedding_s, head_s, n_slots(setting.model), stage, plan) * beside
        first_s = end.embedding_s if stage == 0 else 0.0
        head = stage == plan.pp - 1
        found.forward_s.append(n * one.forward_s + first_s + head * heads * (end.head_forward_s + end.head_comm_s / 2))
        back_s = n * (one.backward_s + one.recompute_s - delayed_s)
        found.backward_s.append(back_s + head * heads * (end.head_backward_s + end.head_comm_s / 2))
        found.weights_s.append(n * delayed_s)
    return found


def orders(plan: records.Plan, n_batches: int) -> list[list[Task]]:
    """What each stage does, in order."""
    of: Callable[[int, int, int, int], Iterator[Task]] = _one_forward_one_backward
    if plan.schedule == SCHEDULE_GPIPE:
        of = _all_forward_all_backward
    elif plan.schedule == SCHEDULE_ZERO_BUBBLE:
        of = _zero_bubble
    elif plan.vpp > 1:
        of = _interleaved
    return [list(of(stage, plan.pp, plan.vpp, n_batches)) for stage in range(plan.pp)]


def _all_forward_all_backward(stage: int, _stages: int, _turns: int, n: int) -> Iterator[Task]:
    yield from (Task(stage, FORWARD, batch, 0) for batch in range(n))
    yield from (Task(stage, BACKWARD, batch, 0) for batch in range(n))


def _one_forward_one_backward(stage: int, stages: int, _turns: int, n: int) -> Iterator[Task]:
    ahead = min(stages - stage - 1, n)
    yield from (Task(stage, FORWARD, batch, 0) for batch in range(ahead))
    for batch in range(n):
        if ahead + batch < n:
            yield Task(stage, FORWARD, ahead + batch, 0)
        yield Task(stage, BACKWARD, batch, 0)


def _interleaved(stage: int, stages: int, turns: int, n: int) -> Iterator[Task]:
    """Micro-batches in rounds of P, each round through all chunks of the stage."""
    passes = n * turns

    def task(kind: str, place: int) -> Task:
        turn, within = divmod(place, stages * turns)
        chunk, batch = divmod(within, stages)
        return Task(stage, kind, turn * stages + batch, chunk if kind == FORWARD else turns - 1 - chunk)

    ahead = min(2 * (stages - stage - 1) + (turns - 1) * stages, passes)
    yield from (task(FORWARD, place) for place in range(ahead))
    for place in range(passes):
        if ahead + place < passes:
            yield task(FORWARD, ahead + place)
        yield task(BACKWARD, place)


def _zero_bubble(stage: int, stages: int, turns: int, n: int) -> Iterator[Task]:
    """As 1F1B, the weights' gradients put off by as many micro-batches as the stage lies from the first."""
    waiting: list[int] = []
    for each in _one_forward_one_backward(stage, stages, turns, n):
        yield each
        if each.kind == BACKWARD:
            waiting.append(each.batch)
            if len(waiting) > stage:
                yield Task(stage, WEIGHTS, waiting.pop(0), 0)
    yield from (Task(stage, WEIGHTS, batch, 0) for batch in waiting)


def run(order: list[list[Task]], spent: Costs, plan: records.Plan) -> list[Block]:
    """Every stage works through its order; a pass starts when its stage is free and what it needs has arrived.

    Raises ValueError where an order can never be worked through.
    """
    done: dict[Task, float] = {}
    free = [0.0] * len(order)
    place = [0] * len(order)
    blocks: list[Block] = []
    left = sum(map(len, order))
    while left:
        before = left
        for stage, tasks in enumerate(order):
            while place[stage] < len(tasks):
                task = tasks[place[stage]]
                needed = _needs(task, plan)
                if needed is not None and needed not in done:
                    break
                start_s = max(free[stage], 0.0 if needed is None else done[needed])
                done[task] = free[stage] = start_s + _long_s(task, spent, plan)
                blocks.append(Block(stage, task.kind, task.batch, task.chunk, start_s, free[stage]))
                place[stage] += 1
                left -= 1
        if left == before:
            msg = "the order of the passes waits for itself"
            raise ValueError(msg)
    return blocks


def _needs(task: Task, plan: records.Plan) -> Task | None:
    """The pass that must be over: of the stage before, or where stages take turns of the last stage's chunk before."""
    last, turns = plan.pp - 1, plan.vpp
    stage, kind, batch, chunk = task
    if kind == WEIGHTS:
        return Task(stage, BACKWARD, batch, chunk)
    if kind == FORWARD:
        if stage > 0:
            return Task(stage - 1, FORWARD, batch, chunk)
        return Task(last, FORWARD, batch, chunk - 1) if chunk > 0 else None
    if stage < last:
        return Task(stage + 1, BACKWARD, batch, chunk)
    return Task(0, BACKWARD, batch, chunk + 1) if chunk < turns - 1 else Task(stage, FORWARD, batch, chunk)


def _long_s(task: Task, spent: Costs, plan: records.Plan) -> float:
    of = {FORWARD: spent.forward_s, BACKWARD: spent.backward_s, WEIGHTS: spent.weights_s}[task.kind]
    return of[task.stage] / plan.vpp
