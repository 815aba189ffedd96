"""Tokens per second and chip of one question's chip: training, prefill, decode, each with the plan that is best for it.

The same plans and formulas as `estimate`, without what only its page shows. `fleet` and `design` ask it many times.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from clustercast import records
from clustercast.catalog import constants
from clustercast.estimates import interval
from clustercast.estimates.question import Question
from clustercast.estimates.serving import SLOWER_THAN_ALONE, job_of, largest_batch, layouts, sizes
from clustercast.physics.serving import serve
from clustercast.physics.training import training_step
from clustercast.plans import search, text

TRAINING: Final = "training"
PREFILL: Final = "prefill"
DECODE: Final = "decode"
JOBS: Final = (TRAINING, PREFILL, DECODE)
MOST_TIMES_SMALLEST: Final = 8  # of the smallest replica, as the search of `estimate` has it


class Rate(NamedTuple):
    """Tokens per second and chip in one job; None where nothing fits, and then `why`."""

    tokens_per_s: float | None
    width: float  # half width of the 80 % interval of its logarithm
    plan_text: str
    why: str


Layouts = Sequence[tuple[int, records.ServingPlan]]  # chips of a replica, and how they are laid out


def rate_of(
    question: Question,
    job: str,
    tpot_s: float | None = None,
    among: Layouts | None = None,
    *,
    often: bool = False,
) -> Rate:
    """The rate of one job: `training`, `prefill` or `decode`.

    tpot_s  what decoding has to hold; the usual if None
    among   the layouts to try in serving; every one from the smallest that fits if None
    often   it will be asked many times: compile the search of training plans at once
    """
    if job == TRAINING:
        return training(question, often=often)
    return prefill(question, among) if job == PREFILL else decode(question, tpot_s, among)


def nothing(question: Question, job: str) -> Rate:
    """No plan fits."""
    return Rate(None, 0.0, "", f"{question.model.name} fits no plan for {job} on {question.n_chips:,} chips")


def training(question: Question, *, often: bool = False) -> Rate:
    """Tokens per second and chip of the fastest training plan; chips that it leaves idle count."""
    if question.silicon.recipe.serving_only:
        return Rate(None, 0.0, "", f"precision {question.precision} is for serving only")
    setting = question.setting()
    found = search.fastest(setting, question.n_chips, {}, compiled=True if often else None)
    if not found.plans:
        return nothing(question, TRAINING)
    best = found.plans[0]
    step = training_step(setting, best)
    tokens_per_s = question.job.global_batch * question.job.seq_len / step.step_s
    width = interval.half_width(
        question.silicon.evidence,
        question.n_chips,
        mixture=question.record.n_moe_layers > 0,
        family=question.chip.family,
    )
    return Rate(tokens_per_s / question.n_chips, width, text.as_text(best), "")


def fitting(question: Question, setting: records.ServingSetting) -> Iterator[tuple[int, records.ServingPlan]]:
    """Layouts of replicas that hold one sequence, from the smallest to eight times that."""
    smallest = 0
    job = job_of(question, 1)
    for size in sizes(question.n_chips, setting.cluster.scale_up.n_chips):
        if smallest and size > MOST_TIMES_SMALLEST * smallest:
            return
        for plan in layouts(size, setting.model, setting.cluster.scale_up.n_chips):
            done = serve(setting, job, plan)
            if done.memory_bytes <= done.capacity_bytes:
                smallest = smallest or size
                yield size, plan


class Layout(NamedTuple):
    """One layout's rate."""

    tokens_per_s: float  # per chip
    size: int
    plan: records.ServingPlan
    batch: int


def prefills(question: Question, setting: records.ServingSetting, among: Layouts | None) -> list[Layout]:
    """Every layout that holds the prompt, the best first."""
    found = []
    job = job_of(question, 1)
    for size, plan in fitting(question, setting) if among is None else among:
        done = serve(setting, job, plan)
        if done.memory_bytes <= done.capacity_bytes:
            each = done.prefill_tokens_per_s * (question.n_chips // size) / question.n_chips
            found.append(Layout(each, size, plan, 1))
    return sorted(found, key=lambda one: -one.tokens_per_s)


def decodes(question: Question, setting: records.ServingSetting, tpot_s: float, among: Layouts | None) -> list[Layout]:
    """Every layout that holds the objective, each with the largest batch that does, the best first."""
    found = []
    for size, plan in fitting(question, setting) if among is None else among:
        batch = largest_batch(setting, question, plan, tpot_s)
        if batch:
            done = serve(setting, job_of(question, batch), plan)
            each = (question.n_chips // size) * batch / done.tpot_s / question.n_chips
            found.append(Layout(each, size, plan, batch))
    return sorted(found, key=lambda one: -one.tokens_per_s)


def prefill(question: Question, among: Layouts | None = None) -> Rate:
    """Tokens per second and chip, prefilling only, of the layout that is best for it and holds the prompt."""
    found = prefills(question, question.serving_setting(), among)
    if not found:
        return nothing(question, PREFILL)
    one = found[0]
    width = _serving_width(question, one.size, "throughput_interval")
    return Rate(one.tokens_per_s, width, shown(one.plan, question.n_chips // one.size, None), "")


def decode(question: Question, tpot_s: float | None = None, among: Layouts | None = None) -> Rate:
    """Tokens per second and chip, decoding only, of the layout and batch that are best within the objective.

    Where no layout holds it, the layout that is fastest alone with few sequences, and `why` says so.
    """
    setting = question.serving_setting()
    limit_s = constants.default("serving", "tpot_s").value if tpot_s is None else tpot_s
    found = decodes(question, setting, limit_s, among)
    if found:
        one = found[0]
        width = _serving_width(question, one.size, "tpot_interval")
        return Rate(one.tokens_per_s, width, shown(one.plan, question.n_chips // one.size, one.batch), "")
    alone = [
        (serve(setting, job_of(question, 1), plan).tpot_s, size, plan)
        for size, plan in (fitting(question, setting) if among is None else among)
    ]
    if not alone:
        return nothing(question, DECODE)
    least_s, size, plan = min(alone, key=lambda each: each[0])
    batch = largest_batch(setting, question, plan, SLOWER_THAN_ALONE * least_s)
    if not batch:
        return nothing(question, DECODE)
    done = serve(setting, job_of(question, batch), plan)
    replicas = question.n_chips // size
    why = f"no layout keeps TPOT under {1e3 * limit_s:.0f} ms: a sequence alone takes {1e3 * least_s:.0f} ms"
    each = replicas * batch / done.tpot_s / question.n_chips
    return Rate(each, _serving_width(question, size, "tpot_interval"), shown(plan, replicas, batch), why)


def _serving_width(question: Question, size: int, purpose: str) -> float:
    evidence = interval.evidence_of(question.chip, "serving")
    unsettled = 0.0 if question.engine.settled else constants.default(purpose, "unknown_engine").value
    return interval.half_width(evidence, size, mixture=question.record.n_moe_layers > 0, purpose=purpose) + unsettled


def shown(plan: records.ServingPlan, replicas: int, batch: int | None) -> str:
    """A replica's layout in the form that `serve --plan` reads.

    >>> shown(records.ServingPlan(4, 1, 1, 1, 1), 2, 64)
    'tp=4,pp=1,attention_dp=1,ep=1,etp=1,replicas=2,batch=64'
    """
    parts = [f"{name}={value}" for name, value in plan._asdict().items()] + [f"replicas={replicas}"]
    return ",".join(parts + ([] if batch is None else [f"batch={batch}"]))


def ratio(one: Rate, other: Rate) -> tuple[float | None, float | None, float | None]:
    """How many of the other one is, low and high with the errors of both taken as independent.

    >>> ratio(Rate(3.0, 0.0, "", ""), Rate(1.5, 0.0, "", ""))
    (2.0, 2.0, 2.0)
    """
    if one.tokens_per_s is None or not other.tokens_per_s:
        return None, None, None
    found = one.tokens_per_s / other.tokens_per_s
    low, high = interval.around(found, math.hypot(one.width, other.width))
    return found, low, high
