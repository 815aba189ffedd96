"""The shortest plank, with numbers: what more of each resource buys, and what makes one chip differ from another."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any, Final

from clustercast import progress, records
from clustercast.display import Notebook
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates import serving, training
from clustercast.estimates.elasticity import NAMES, RESOURCES, bound, improved, improved_serving
from clustercast.estimates.question import Asked, Question, fill
from clustercast.physics.serving import serve
from clustercast.physics.training import training_step
from clustercast.plans import search, text

JOBS: Final = ("training", "prefill", "decode")
BUYS: Final = (*RESOURCES[:2], "hbm_capacity", *RESOURCES[2:])
MORE: Final = 1.1  # ten per cent
PROPERTIES: Final = ("compute", "hbm_bandwidth", "hbm_capacity", "scale_up", "scale_out", "rest")
OF_CHIP: Final = {
    "compute": ("matmul_flop_per_s", "expert_flop_per_s", "attention_flop_per_s", "head_flop_per_s", "clock_fraction"),
    "hbm_bandwidth": ("hbm_bytes_per_s",),
    "hbm_capacity": ("hbm_bytes", "reserved_bytes"),
}
OF_CLUSTER: Final = {"scale_up": ("package", "scale_up"), "scale_out": ("rail", "spine", "rails_cross")}


@dataclass(frozen=True, slots=True)
class Plank:
    """One resource: what ten per cent more of it buys, as a share of throughput."""

    resource: str
    same_plan: float
    best_plan: float  # with the plan chosen again


@dataclass(frozen=True, slots=True)
class Part:
    """One property in the way from one chip to another: the factor on throughput that it explains."""

    property: str
    factor: float


@dataclass(frozen=True, slots=True)
class JobWhy:
    """One job: throughput, where its time goes, what each resource buys, and the way to the other chip."""

    job: str
    tokens_per_s: float
    limiting: str
    time_s: dict[str, float]  # exposed seconds by cause; they add up to the step, the prefill or the token
    planks: tuple[Plank, ...]  # the shortest first
    other_tokens_per_s: float | None
    parts: tuple[Part, ...]  # their product is the other's throughput over this one's
    other_reason: str | None


@dataclass(frozen=True, slots=True)
class Why(Notebook):
    """The answer for every job that the chip can do."""

    chip: str
    other: str | None
    model: str
    count: int
    plan: str | None
    serving_plan: dict[str, Any] | None
    batch: int | None
    jobs: tuple[JobWhy, ...]
    reasons: dict[str, str]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `why --json`."""
        return {"schema": "clustercast.why/1"} | asdict(self)


def why(asked: Asked, other: str | None = None) -> Why:
    """Which plank is the shortest for training, prefill and decode, and what separates the chip from another.

    The other chip gets the same count, precision recipe where it can, and questions. Raises WrongInput, and NoAnswer
    when the chip can do none of the jobs.
    """
    question = fill(asked)
    against = None if other is None else fill(replace(asked, chip=other, n_chips=question.n_chips))
    if against is not None and against.chip.name == question.chip.name:
        raise WrongInput(f"--other: {against.chip.name} is the chip itself")
    jobs: list[JobWhy] = []
    reasons: dict[str, str] = {}
    plan_text: str | None = None
    layout: dict[str, Any] | None = None
    batch: int | None = None
    if question.silicon.recipe.serving_only:
        reasons["training"] = f"precision {question.precision} is for serving only"
    else:
        try:
            one, plan_text = of_training(question, against)
            jobs.append(one)
        except NoAnswer as error:
            if asked.plan:
                raise
            reasons["training"] = error.message
    try:
        both, layout, batch = of_serving(question, against)
        jobs += both
    except NoAnswer as error:
        reasons["serving"] = error.message
    if not jobs:
        raise NoAnswer("; ".join(reasons.values()))
    return Why(
        question.chip.name, None if against is None else against.chip.name, question.model.name, question.n_chips,
        plan_text, layout, batch, tuple(jobs), reasons,
        tuple(dict.fromkeys([*question.warnings, *(() if against is None else against.warnings)])),
    )  # fmt: skip


def of_training(question: Question, against: Question | None) -> tuple[JobWhy, str]:
    """Training at its best plan."""
    done = training.train(question, explain=False)
    setting = question.setting()
    fixed = text.parse(question.asked.plan)
    plan = training.given(setting, text.parse(done.plan_text))
    tokens = question.job.global_batch * question.job.seq_len * done.goodput

    def same(resource: str) -> float:
        if resource == "hbm_capacity":
            return tokens / done.step_s
        return tokens / training_step(improved(setting, resource, MORE), plan).step_s

    def best(resource: str) -> float:
        return tokens / fastest_s(improved(setting, resource, MORE), question.n_chips, fixed)

    def of_subset(kept: frozenset[str]) -> float:
        assert against is not None
        return tokens / fastest_s(hybrid(setting, against.setting(), kept), question.n_chips, fixed)

    found = explained(tokens / done.step_s, same, best)
    then: float | None = None
    parts: tuple[Part, ...] = ()
    reason: str | None = None
    if against is not None:
        then, parts, reason = way(differing(setting, against.setting()), of_subset)
    one = JobWhy("training", tokens / done.step_s, done.limiting, asdict(done.time_s), found, then, parts, reason)
    return one, done.plan_text


def fastest_s(setting: records.Setting, n_chips: int, fixed: dict[str, int]) -> float:
    """Seconds of a step of the best plan; infinite where none fits."""
    found = search.fastest(setting, n_chips, fixed)
    return training_step(setting, found.plans[0]).step_s if found.plans else math.inf


def of_serving(question: Question, against: Question | None) -> tuple[list[JobWhy], dict[str, Any], int]:
    """Prefill and decode at the layout that decodes best."""
    done, _ = serving.serve_estimate(question)
    setting = question.serving_setting()
    plan = records.ServingPlan(*(int(done.plan[name]) for name in records.ServingPlan._fields))
    batch = float(done.batch_per_replica)
    replicas = done.replicas

    def speeds(one: records.ServingSetting) -> tuple[float, float]:
        now = serve(one, serving.job_of(question, batch), plan)
        return now.prefill_tokens_per_s * replicas, now.output_tokens_per_s * replicas

    def chosen(one: records.ServingSetting) -> tuple[float, float]:
        layout, size, each, _ = serving.choose(question, one)
        now = serve(one, serving.job_of(question, each), layout)
        times = question.n_chips // size
        return now.prefill_tokens_per_s * times, now.output_tokens_per_s * times

    def subset(kept: frozenset[str]) -> tuple[float, float]:
        assert against is not None
        try:
            return chosen(hybrid(setting, against.serving_setting(), kept))
        except NoAnswer:
            return 0.0, 0.0

    known: dict[frozenset[str], tuple[float, float]] = {}

    def of_subset(kept: frozenset[str], place: int) -> float:
        if kept not in known:
            known[kept] = subset(kept)
        return known[kept][place]

    now = speeds(setting)
    same = {resource: speeds(improved_serving(setting, resource, MORE)) for resource in BUYS}
    again = {
        resource: chosen(improved_serving(setting, resource, MORE))
        for resource in progress.track(tuple(BUYS), "planks of serving")
    }
    answers = []
    for place, name in enumerate(("prefill", "decode")):
        of_same = {resource: speed[place] for resource, speed in same.items()}
        of_again = {resource: speed[place] for resource, speed in again.items()}
        found = explained(now[place], of_same.__getitem__, of_again.__getitem__)
        then: float | None = None
        parts: tuple[Part, ...] = ()
        reason: str | None = None
        if against is not None:
            names = differing(setting, against.serving_setting())
            then, parts, reason = way(names, partial(of_subset, place=place))
        slopes = (done.elasticity_prefill, done.elasticity)[place]
        parts_ms = bound((done.prefill_time_ms, done.decode_time_ms)[place], slopes)
        limiting = max(found, key=lambda plank: plank.same_plan).resource
        times = {key: value / 1e3 for key, value in parts_ms.items()}
        answers.append(JobWhy(name, now[place], limiting, times, found, then, parts, reason))
    return answers, done.plan, done.batch


def explained(now: float, same: Callable[[str], float], best: Callable[[str], float]) -> tuple[Plank, ...]:
    """Every resource with what ten per cent more of it buys, what buys most first.

    now   tokens per second as it is; `same` and `best` with ten per cent more, at this plan and at the best one
    """
    planks = []
    for resource in progress.track(tuple(BUYS), "planks"):
        kept, searched = same(resource) / now - 1.0, best(resource) / now - 1.0
        planks.append(Plank(NAMES.get(resource, resource), kept, max(searched, kept)))
    return tuple(sorted(planks, key=lambda plank: -plank.best_plan))


def hybrid(one: Any, two: Any, kept: Iterable[str]) -> Any:
    """The setting `one` with these properties of `two`."""
    taken = set(kept)
    setting = two if "rest" in taken else one
    chip, cluster = setting.chip, setting.cluster
    for name, fields in OF_CHIP.items():
        source = two.chip if name in taken else one.chip
        chip = chip._replace(**{field: getattr(source, field) for field in fields})
    for name, fields in OF_CLUSTER.items():
        origin = two.cluster if name in taken else one.cluster
        cluster = cluster._replace(**{field: getattr(origin, field) for field in fields})
    return setting._replace(chip=chip, cluster=cluster)


def differing(one: Any, two: Any) -> tuple[str, ...]:
    """The properties in which two settings differ."""
    return tuple(name for name in PROPERTIES if hybrid(one, two, (name,)) != one)


def way(names: tuple[str, ...], value: Callable[[frozenset[str]], float]) -> tuple[float, tuple[Part, ...], str | None]:
    """The throughput at the other end, and the factor that each property explains of the way there.

    A property's share of ln(throughput) is its mean over all orders in which properties can be exchanged (Shapley's
    value), so the factors multiply to the whole and no order is preferred.
    """
    n = len(names)
    values: dict[frozenset[str], float] = {}
    subsets = [frozenset(chosen) for size in range(n + 1) for chosen in combinations(names, size)]
    for subset in progress.track(subsets, "steps from chip to chip"):
        values[subset] = value(subset)
    then = values[frozenset(names)]
    empty = [subset for subset, found in values.items() if found <= 0.0]
    if empty:
        least = min(empty, key=len)
        return then, (), f"with {' and '.join(sorted(least)) or 'nothing'} exchanged nothing fits: no way to divide"
    parts = []
    for name in names:
        share = 0.0
        others = [each for each in names if each != name]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - 1 - size) / math.factorial(n)
            for chosen in combinations(others, size):
                before = frozenset(chosen)
                share += weight * math.log(values[before | {name}] / values[before])
        parts.append(Part(name, math.exp(share)))
    return then, tuple(sorted(parts, key=lambda part: -abs(math.log(part.factor)))), None
