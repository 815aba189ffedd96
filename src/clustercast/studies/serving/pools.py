"""Prefill and decode in pools of their own, each on its own chip: the best split, and whether it pays."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from clustercast import records
from clustercast.catalog import constants
from clustercast.display import Notebook
from clustercast.errors import NoAnswer
from clustercast.estimates import interval
from clustercast.estimates.elasticity import elasticity, improved_serving, limiting
from clustercast.estimates.job import usd_per_chip_hour
from clustercast.estimates.question import Question
from clustercast.estimates.result import Assumption, Elasticity
from clustercast.physics.job import energy_j
from clustercast.physics.queueing import (
    cached_tokens,
    n_slots_of,
    open_loop,
)
from clustercast.physics.serving import decode_pass, prefill_pass
from clustercast.studies.serving.question import ServeQuestion, like
from clustercast.studies.serving.result import serve
from clustercast.studies.serving.search import with_chunk
from clustercast.studies.serving.split import (
    DECODE,
    NEARLY,
    Filled,
    Goal,
    Option,
    Pair,
    PoolsAsked,
    Problem,
    Running,
    Shares,
    Side,
    Solved,
    all_splits,
    best_by_size,
    best_together,
    cheapest_token,
    constant,
    decode_step_s,
    each_token_s,
    even_candidates,
    first_token_s,
    fixed_of,
    holds_one,
    problem_of,
    shown_plan,
    solve,
)

MILLION: Final = 1e6
HOUR_S: Final = 3600.0
FRONTIER_POINTS: Final = 24  # objectives on TPOT between the fastest token and the slowest


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool of the answer."""

    chip: str
    chip_name: str
    count: int
    replicas: int
    plan: dict[str, int]
    plan_text: str  # as --prefill-plan or --decode-plan takes it back
    precision: str
    engine: str
    fabric: str
    capacity_requests_per_s: float  # under the objective
    used_fraction: float  # of that capacity
    idle_fraction: float
    batch_per_replica: float  # prompts in a full step, or sequences that decode
    slots_per_replica: float
    limiting: str
    elasticity: Elasticity
    usd_per_chip_hour: float
    price_basis: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """A cache on its way from one pool to the other."""

    bytes_per_sequence: float
    link: str  # scale-up, or nic
    bytes_per_s: float  # of one sequence, the link to itself
    alone_ms: float
    shared_ms: float
    exposed_ms: float  # part of TTFT
    used_fraction: float  # of the narrower pool's links


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to spend as many chips on the same requests and objectives, all of one kind."""

    name: str
    kind: str  # pools, one pool
    chip: str
    count: int
    prefill_count: int | None
    decode_count: int | None
    requests_per_s: float | None
    output_tokens_per_s: float | None
    output_tokens_per_s_per_chip: float | None
    usd_per_hour: float | None
    cost_usd_per_million_output_tokens_all_in: float | None
    ttft_ms: float | None
    tpot_ms: float | None
    plan_text: str
    why: str  # empty, or why there is no answer


@dataclass(frozen=True, slots=True)
class PoolsPoint:
    """One split and pair of layouts that no other beats in both speed for a user and throughput of a chip."""

    tokens_per_s_per_user: float
    output_tokens_per_s_per_chip: float
    ttft_ms: float
    tpot_ms: float
    requests_per_s: float
    batch: int  # sequences that decode on all chips
    cost_usd_per_million_output_tokens_all_in: float
    prefill_count: int
    decode_count: int
    prefill_plan_text: str
    decode_plan_text: str


@dataclass(frozen=True, slots=True)
class Pools(Notebook):
    """Two pools in their steady state under arrivals at random."""

    model: str
    model_name: str
    count: int
    input_len: int
    output_len: int
    ttft_objective_ms: float
    tpot_objective_ms: float
    percentile: str
    rate: float | None
    requests_per_s: float
    requests_per_s_low: float
    requests_per_s_high: float
    bottleneck: str  # prefill, decode, transfer, load
    ttft_ms: float
    ttft_ms_low: float
    ttft_ms_high: float
    ttft_percentile_ms: float | None  # at the percentile of the objective
    ttft_p50_ms: float
    ttft_p90_ms: float
    ttft_p99_ms: float
    tpot_ms: float
    tpot_ms_low: float
    tpot_ms_high: float
    latency_ms: float
    output_tokens_per_s: float
    output_tokens_per_s_per_chip: float
    input_tokens_per_s: float
    cost_usd_per_million_input_tokens: float  # the prefill pool; with the next it adds up to both pools' rent
    cost_usd_per_million_output_tokens: float  # the decode pool
    cost_usd_per_million_output_tokens_all_in: float  # both pools' rent over the output tokens
    cost_usd_per_million_output_tokens_all_in_low: float
    cost_usd_per_million_output_tokens_all_in_high: float
    usd_per_hour: float
    decode_usd_per_chip_hour_break_even: float | None  # up to which the split beats what needs no decode chip
    energy_j_per_input_token: float | None  # the prefill pool, between idle and peak power as it is busy, at the meter
    energy_j_per_output_token: float | None  # the decode pool
    limiting_prefill: str
    limiting_decode: str
    prefill: Pool
    decode: Pool
    transfer: Transfer
    alternatives: tuple[Alternative, ...]
    frontier: tuple[PoolsPoint, ...] | None
    n_considered: int
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]
    export: str | None = None  # the tool that `launch` is for
    launch: dict[str, str] | None = None  # a launch file of the prefill and one of the decode pool

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `serve --json` with pools apart."""
        fields = asdict(self)
        parts = ("prefill", "decode", "transfer", "bottleneck", "n_considered")
        pools = {name: fields.pop(name) for name in parts}
        return {"schema": "clustercast.serve/1"} | fields | {"pools": pools}


def pools(asked: PoolsAsked, *, compare: bool = True, frontier: bool = False) -> Pools:
    """Prefill and decode apart: the best split of the chips, and the rate that it takes under the objectives.

    compare   whether to judge either chip alone too, in one pool and in two
    frontier  also the Pareto set of throughput against speed, over objectives on TPOT

    Raises WrongInput for a wrong question; NoAnswer, with the nearest point, where nothing meets the objectives.
    """
    problem = problem_of(asked)
    found, pair, goal = solve(problem), problem.pair, problem.pair.goal
    one, two = problem.one.base, problem.two.base
    now = found.now
    usd = usd_per_chip_hour(one), usd_per_chip_hour(two)
    usd_per_h = usd[0][0] * found.n_prefill + usd[1][0] * found.n_decode
    output, put_in = now.rate * goal.demand.output_len, now.rate * goal.demand.input_len
    evidence = interval.evidence_of(one.chip, "serving"), interval.evidence_of(two.chip, "serving")
    mixture = one.record.n_moe_layers > 0

    def width(purpose: str, which: tuple[int, ...]) -> float:
        unknown = [
            constants.default(purpose, "unknown_engine").value * (not (one, two)[n].engine.settled) for n in which
        ]
        widths = [interval.half_width(evidence[n], 1, mixture=mixture, purpose=purpose) for n in which]
        return max(width + more for width, more in zip(widths, unknown, strict=True))

    rate_low, rate_high = interval.around(now.rate, width("throughput_interval", (0, 1)))
    ttft_low, ttft_high = interval.around(now.steady.ttft_s + now.beyond_s, width("ttft_interval", (0,)))
    tpot_low, tpot_high = interval.around(now.tpot_s, width("tpot_interval", (1,)))
    per_million = usd_per_h / HOUR_S / output * MILLION
    count = found.n_prefill + found.n_decode
    limits = {"prefill": found.first.rate, "decode": found.second.rate, "transfer": found.link_rate}
    narrow = min(limits, key=lambda name: limits[name])
    if asked.rate is not None and found.most > asked.rate * NEARLY:
        narrow = "load"
    warnings = [*dict.fromkeys((*one.warnings, *two.warnings))]
    if pair.prefill_setting.precision.kv_bytes != pair.decode_setting.precision.kv_bytes:
        warnings.append("the two pools keep the cache in different formats: it is sent as prefill writes it")
    steady = now.steady
    others = tuple(alternatives(problem, count)) if compare else ()
    energy = energies(pair, found, now)
    first = pool_of(one, pair.prefill_setting, found.first, found.n_prefill, now, goal, usd[0], "prefill")
    second = pool_of(two, pair.decode_setting, found.second, found.n_decode, now, goal, usd[1], "decode")
    return Pools(
        model=one.model.name,
        model_name=one.model.full_name,
        count=count,
        input_len=one.input_len,
        output_len=one.output_len,
        ttft_objective_ms=1e3 * goal.ttft_s,
        tpot_objective_ms=1e3 * goal.tpot_s,
        percentile=f"p{asked.percentile:g}" if asked.percentile else "mean",
        rate=asked.rate,
        requests_per_s=now.rate,
        requests_per_s_low=rate_low,
        requests_per_s_high=rate_high,
        bottleneck=narrow,
        ttft_ms=1e3 * (steady.ttft_s + now.beyond_s),
        ttft_ms_low=1e3 * ttft_low,
        ttft_ms_high=1e3 * ttft_high,
        ttft_percentile_ms=1e3 * now.ttft_s if asked.percentile else None,
        ttft_p50_ms=1e3 * (steady.ttft_p50_s + now.beyond_s),
        ttft_p90_ms=1e3 * (steady.ttft_p90_s + now.beyond_s),
        ttft_p99_ms=1e3 * (steady.ttft_p99_s + now.beyond_s),
        tpot_ms=1e3 * now.tpot_s,
        tpot_ms_low=1e3 * tpot_low,
        tpot_ms_high=1e3 * tpot_high,
        latency_ms=1e3 * (steady.ttft_s + now.beyond_s + (goal.demand.output_len - 1.0) * now.tpot_s),
        output_tokens_per_s=output,
        output_tokens_per_s_per_chip=output / count,
        input_tokens_per_s=put_in,
        cost_usd_per_million_input_tokens=usd[0][0] * found.n_prefill / HOUR_S / put_in * MILLION,
        cost_usd_per_million_output_tokens=usd[1][0] * found.n_decode / HOUR_S / output * MILLION,
        cost_usd_per_million_output_tokens_all_in=per_million,
        cost_usd_per_million_output_tokens_all_in_low=per_million * now.rate / rate_high,
        cost_usd_per_million_output_tokens_all_in_high=per_million * now.rate / rate_low,
        usd_per_hour=usd_per_h,
        decode_usd_per_chip_hour_break_even=break_even(others, output, found, usd[0][0], one.chip.name, two.chip.name),
        energy_j_per_input_token=None if energy is None else energy[0] / put_in,
        energy_j_per_output_token=None if energy is None else energy[1] / output,
        limiting_prefill=first.limiting,
        limiting_decode=second.limiting,
        prefill=first,
        decode=second,
        transfer=Transfer(
            bytes_per_sequence=pair.link.bytes_each,
            link=pair.link.name,
            bytes_per_s=pair.link.bytes_each / now.transfer_alone_s,
            alone_ms=1e3 * now.transfer_alone_s,
            shared_ms=1e3 * now.transfer_shared_s,
            exposed_ms=1e3 * now.transfer_exposed_s,
            used_fraction=now.link_fraction,
        ),
        alternatives=others,
        frontier=tuple(frontier_of(problem)) if frontier else None,
        n_considered=found.n_considered,
        assumptions=said(problem),
        warnings=tuple(warnings),
    )


def break_even(
    others: tuple[Alternative, ...], output: float, found: Solved, prefill_usd: float, prefill: str, decode: str
) -> float | None:
    """USD per decode chip-hour at which the split costs what the best alternative of the prefill chip alone does.

    None where the chips are the same, or where the prefill chip alone has no answer.
    """
    costs = [
        each.cost_usd_per_million_output_tokens_all_in
        for each in others
        if each.chip == prefill and each.cost_usd_per_million_output_tokens_all_in is not None
    ]
    if prefill == decode or not costs:
        return None
    worth_usd_per_h = min(costs) / MILLION * output * HOUR_S
    return max(0.0, (worth_usd_per_h - prefill_usd * found.n_prefill) / found.n_decode)


def energies(pair: Pair, found: Solved, now: Running) -> tuple[float, float] | None:
    """Watts at the meter of either pool, each as busy as the rate makes it; None where a chip's power is not known."""
    settings = pair.prefill_setting, pair.decode_setting
    if any(setting.chip.peak_w <= 0.0 for setting in settings):
        return None
    return (
        meter_w(settings[0], found.n_prefill, min(1.0, now.rate / found.first.rate)),
        meter_w(settings[1], found.n_decode, min(1.0, now.rate / found.second.rate)),
    )


def meter_w(setting: records.ServingSetting, count: int, busy_fraction: float) -> float:
    """Power at the meter of chips between idle and peak."""
    wall = constants.default("power", "wall_over_chip").value
    pue = constants.default("power", "pue").value
    return energy_j(float(count), setting.chip.idle_w, setting.chip.peak_w, busy_fraction, wall, pue, 1.0)


def pool_of(
    question: Question,
    setting: records.ServingSetting,
    pool: Filled,
    count: int,
    now: Running,
    goal: Goal,
    usd: tuple[float, str],
    purpose: str,
) -> Pool:
    """One pool of the answer, with what limits it."""
    plan = pool.option.plan
    demand = goal.demand
    setting = with_chunk(setting, pool.option.chunk_tokens)

    def time_s(resource: str, factor: float) -> float:
        better = improved_serving(setting, resource, factor)
        if purpose == "prefill":
            full = max(1.0, better.engine.chunk_tokens / demand.input_len)
            return prefill_pass(full, demand.input_len, float(plan.attention_dp), better, plan).total_s
        return decode_pass(now.batch, 1.0 + demand.n_drafts, cached_tokens(demand), better, plan).total_s

    slopes = elasticity(time_s)
    used = now.rate / pool.rate
    chunk = {"chunk": pool.option.chunk_tokens} if purpose == "prefill" else {}
    return Pool(
        chip=question.chip.name,
        chip_name=question.chip.full_name,
        count=count,
        replicas=pool.replicas,
        plan=plan._asdict() | chunk | {"chips": pool.option.size, "idle": count - pool.replicas * pool.option.size},
        plan_text=",".join(f"{name}={value}" for name, value in (plan._asdict() | chunk).items()),
        precision=question.precision,
        engine=question.engine.name,
        fabric=question.fabric.name,
        capacity_requests_per_s=pool.rate,
        used_fraction=min(used, 1.0),
        idle_fraction=max(0.0, 1.0 - used),
        batch_per_replica=pool.option.batch if purpose == "prefill" else now.batch,
        slots_per_replica=n_slots_of(demand, setting, plan),
        limiting=limiting(slopes),
        elasticity=slopes,
        usd_per_chip_hour=usd[0],
        price_basis=usd[1],
        evidence=interval.evidence_of(question.chip, "serving"),
    )


def said(problem: Problem) -> tuple[Assumption, ...]:
    """What the answer rests on and nobody was asked for."""
    asked, one, two = problem.asked, problem.one.base, problem.two.base
    kept = ("input_len", "output_len", "fabric", "precision")
    found = [replace(each, name=f"prefill.{each.name}") for each in one.assumptions if each.name in kept[2:]]
    found += [replace(each, name=f"decode.{each.name}") for each in two.assumptions if each.name in kept[2:]]
    found += [each for each in one.assumptions if each.name in kept[:2]]
    named = {
        name: constant(section, name)
        for section, name in (("transfer", "overlap_fraction"), ("slots", "margin_factor"))
    }
    if asked.ttft_s is None:
        named["ttft_s"] = constant("objective", "ttft_s")
    if asked.tpot_s is None:
        named["tpot_s"] = constants.default("serving", "tpot_s")
    if asked.count is asked.prefill.count is asked.decode.count is None:
        named["count"] = constant("objective", "count")
    named |= {name: constants.default("power", name) for name in ("pue", "wall_over_chip")}
    for name, number in named.items():
        text = number.note or number.source
        found.append(Assumption(name, number.value, number.kind, text, number.low, number.high))
    for name, question in (("prefill", one), ("decode", two)):
        usd, basis = usd_per_chip_hour(question)
        own = question.chip.get("price.rent")
        found.append(Assumption(f"{name}.usd_per_chip_hour", usd, own.kind if own else "assumed", basis))
    return tuple(found)


def alternatives(problem: Problem, count: int) -> Iterator[Alternative]:
    """Either chip alone: on as many chips, or under the same load; in one pool, and in two."""
    asked, shares = problem.asked, problem.shares
    most = count if asked.rate is None else shares.total
    same = shares == Shares(None, None, most) and not asked.prefill.plan and not asked.decode.plan
    mixed = problem.one.base.chip.name != problem.two.base.chip.name
    first = asked.prefill, problem.one, (problem.firsts, None)
    second = asked.decode, problem.two, (None, problem.seconds)
    for side, question, known in (first, second) if mixed else (first,):
        yield alone(problem, side, question, most)
        if mixed:
            plain = replace(side, count=None, plan="")
            alike = replace(asked, prefill=plain, decode=plain, count=most)
            yield apart(alike, question.base.chip.name, known if same else (None, None))


def alone(problem: Problem, side: Side, question: ServeQuestion, count: int) -> Alternative:
    """One pool of one chip under the same objectives: as many chips, or the fewest for the same load."""
    asked, goal = problem.asked, problem.pair.goal
    chip = question.base.chip.name
    name = f"{chip}, one pool"
    usd = usd_per_chip_hour(question.base)[0]
    if asked.rate is not None:
        own = {each: getattr(side, each) for each in ("chip", "engine", "precision", "fabric", "settings")}
        limits = {"ttft_s": goal.ttft_s, "tpot_s": goal.tpot_s}
        try:
            served = serve(like(asked, n_chips=count, **limits, **own))
        except NoAnswer as error:
            return nothing(name, "one pool", chip, count, error.message)
        used = count - int(served.plan["idle"])
        times = served.ttft_ms / 1e3, served.tpot_ms / 1e3
        return spent(name, "one pool", chip, (used, 0), asked.rate, goal, usd * used, times, served.plan_text)
    found = best_together(question.setting, count, goal)
    if found is None:
        return nothing(name, "one pool", chip, count, "no layout holds both objectives")
    option = found.option
    done = open_loop(option.rate, goal.demand, with_chunk(question.setting, option.chunk_tokens), option.plan)
    times = (first_token_s(done, goal.demand, goal.percentile), each_token_s(done, goal.demand, goal.percentile))
    return spent(name, "one pool", chip, (count, 0), found.rate, goal, usd * count, times, shown_plan(option.plan))


def apart(
    asked: PoolsAsked, chip: str, known: tuple[dict[int, Option] | None, dict[int, Option] | None]
) -> Alternative:
    """Two pools of one chip under the same load and objectives; `known`: layouts that are costed already."""
    name = f"{chip}, pools apart"
    try:
        problem = problem_of(asked, *known)
        found = solve(problem)
    except NoAnswer as error:
        return nothing(name, "pools", chip, asked.count or 0, error.message)
    texts = f"{shown_plan(found.first.option.plan)} | {shown_plan(found.second.option.plan)}"
    counts = found.n_prefill, found.n_decode
    times = found.now.ttft_s, found.now.tpot_s
    usd_per_h = problem.cost_per_h(*counts)
    return spent(name, "pools", chip, counts, found.now.rate, problem.pair.goal, usd_per_h, times, texts)


def frontier_of(problem: Problem) -> list[PoolsPoint]:
    """The Pareto set over objectives on TPOT, from the fastest token that there is to the slowest that pays."""
    demand, pair, setting = problem.pair.goal.demand, problem.pair, problem.pair.decode_setting
    fixed = fixed_of("--decode-plan", problem.asked.decode.plan)
    most = problem.shares.most_second
    fitting = [plan for _, plan in even_candidates(setting, most, fixed) if holds_one(setting, plan, demand)]
    accepted = demand.accepted_tokens
    least_s = min(decode_step_s(1.0, setting, plan, demand) for plan in fitting) / accepted
    most_s = max(decode_step_s(n_slots_of(demand, setting, plan), setting, plan, demand) for plan in fitting) / accepted
    points: list[PoolsPoint] = []
    for step in range(FRONTIER_POINTS):
        limit_s = least_s * NEARLY * (most_s / least_s) ** (step / (FRONTIER_POINTS - 1))
        goal = pair.goal._replace(tpot_s=limit_s)
        seconds = best_by_size(setting, most, goal, DECODE, fixed)
        if not seconds:
            continue
        here = problem._replace(seconds=seconds, pair=pair._replace(goal=goal), usd=(1.0, 1.0))  # per chip, not dollar
        try:
            found = cheapest_token(here, all_splits(here))
        except NoAnswer:
            continue
        points.append(point_of(problem, found))
    points.sort(key=lambda one: (one.tpot_ms, -one.output_tokens_per_s_per_chip))
    front: list[PoolsPoint] = []
    for point in points:
        if not front or point.output_tokens_per_s_per_chip > front[-1].output_tokens_per_s_per_chip:
            front.append(point)
    return front


def point_of(problem: Problem, found: Solved) -> PoolsPoint:
    """A solved split as a point of the frontier."""
    now, count = found.now, found.n_prefill + found.n_decode
    output = now.rate * problem.pair.goal.demand.output_len
    steady_s = now.steady.ttft_s + now.beyond_s
    return PoolsPoint(
        tokens_per_s_per_user=1.0 / now.tpot_s,
        output_tokens_per_s_per_chip=output / count,
        ttft_ms=1e3 * steady_s,
        tpot_ms=1e3 * now.tpot_s,
        requests_per_s=now.rate,
        batch=round(now.batch * found.second.replicas),
        cost_usd_per_million_output_tokens_all_in=problem.cost_per_h(found.n_prefill, found.n_decode)
        / HOUR_S
        / output
        * MILLION,
        prefill_count=found.n_prefill,
        decode_count=found.n_decode,
        prefill_plan_text=shown_plan(found.first.option.plan),
        decode_plan_text=shown_plan(found.second.option.plan),
    )


def spent(
    name: str,
    kind: str,
    chip: str,
    counts: tuple[int, int],
    rate: float,
    goal: Goal,
    usd_per_h: float,
    times: tuple[float, float],
    plan_text: str,
) -> Alternative:
    """An alternative that has an answer."""
    output = rate * goal.demand.output_len
    return Alternative(
        name=name,
        kind=kind,
        chip=chip,
        count=sum(counts),
        prefill_count=counts[0] if kind == "pools" else None,
        decode_count=counts[1] if kind == "pools" else None,
        requests_per_s=rate,
        output_tokens_per_s=output,
        output_tokens_per_s_per_chip=output / sum(counts),
        usd_per_hour=usd_per_h,
        cost_usd_per_million_output_tokens_all_in=usd_per_h / HOUR_S / output * MILLION,
        ttft_ms=1e3 * times[0],
        tpot_ms=1e3 * times[1],
        plan_text=plan_text,
        why="",
    )


def nothing(name: str, kind: str, chip: str, count: int, why: str) -> Alternative:
    """An alternative that has none."""
    return Alternative(
        name=name,
        kind=kind,
        chip=chip,
        count=count,
        prefill_count=None,
        decode_count=None,
        requests_per_s=None,
        output_tokens_per_s=None,
        output_tokens_per_s_per_chip=None,
        usd_per_hour=None,
        cost_usd_per_million_output_tokens_all_in=None,
        ttft_ms=None,
        tpot_ms=None,
        plan_text="",
        why=why,
    )
