"""The answer of `serve`: the setup, what clients and operators see of it, what limits it, what it costs."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from clustercast import records, units
from clustercast.catalog import constants
from clustercast.display import Notebook
from clustercast.errors import NoAnswer, Number
from clustercast.estimates import interval
from clustercast.estimates.elasticity import elasticity, improved_serving, limiting
from clustercast.estimates.job import usd_per_chip_hour
from clustercast.estimates.result import Assumption, Elasticity, Search, ServingMemory
from clustercast.estimates.serving import too_large
from clustercast.physics.job import energy_j
from clustercast.physics.loop import closed_loop
from clustercast.physics.parameters import matmul_active_params
from clustercast.physics.queueing import (
    Steady,
    open_loop,
    saturation_requests_per_s,
    tpot_percentile_s,
    ttft_percentile_s,
    turn,
)
from clustercast.physics.serving import (
    Pass,
    decode_pass,
    free_bytes,
    mean_cached_tokens,
    new_tokens,
    prompts_pass,
    rank_sequence_bytes,
    serving_weights_bytes,
    token_steps_factor,
)
from clustercast.physics.serving import serve as serve_step
from clustercast.studies.serving import search, simulation
from clustercast.studies.serving.question import ServeAsked, ServeQuestion, fill_serve
from clustercast.studies.serving.search import Found, Layouts, Load, Nearest
from clustercast.studies.serving.split import constant, in_words

CAPACITY_STEP: Final = 1.1
MILLION: Final = 1e6
HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """One setup that no other beats in both speed for a user and throughput of a chip."""

    tokens_per_s_per_user: float
    output_tokens_per_s_per_chip: float
    ttft_ms: float
    tpot_ms: float
    requests_per_s: float
    batch: int  # sequences in flight on all chips
    batch_per_replica: int
    plan: dict[str, Any]
    plan_text: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Times of simulated requests in milliseconds; none where every answer is one token."""

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Simulation:
    """What an event simulation of the scheduler saw of one replica under its share of the load, beside the formulas."""

    n_requests: int  # counted, after those that warm it up
    seed: int
    ttft_ms: Spread
    tpot_ms: Spread
    latency_ms: Spread
    requests_per_s: float  # of all replicas
    output_tokens_per_s: float
    in_flight: float  # sequences that decode, on all chips, mean over time
    in_system: float  # those that wait or prefill too
    busy_fraction: float
    prefill_fraction: float
    kv_fraction: float
    preemptions_per_request: float
    n_steps: int
    step_ms: float
    assumed: str  # of the traffic


@dataclass(frozen=True, slots=True)
class ServeResult(Notebook):
    """Serving in its steady state. Times are means over requests unless a percentile is named."""

    chip: str
    chip_name: str
    count: int
    model: str
    model_name: str
    model_resolved_as: str
    fabric: str
    fabric_name: str
    total_params: float
    active_params: float
    precision: str
    engine: str
    engine_title: str
    load: str  # full, concurrency, rate
    concurrency: float | None
    rate: float | None
    objectives: dict[str, float | int | str | bool | None]
    input_len: int
    output_len: int
    lengths: dict[str, Any]
    prefix_hit: float
    n_drafts: float
    accepted_tokens: float
    plan: dict[str, Any]
    plan_text: str
    replicas: int
    batch: float  # sequences in flight on all chips
    batch_per_replica: float
    in_flight: float  # of them those that decode, on all chips
    max_batch: int  # sequences that fit all replicas
    chunk_tokens: int
    ttft_ms: float
    ttft_ms_low: float
    ttft_ms_high: float
    ttft_percentile_ms: float | None  # at the percentile of the objectives
    tpot_percentile_ms: float | None
    ttft_p50_ms: float | None
    ttft_p90_ms: float | None
    ttft_p99_ms: float | None
    ttft_ms_bracket: tuple[float, float | None]
    tpot_ms: float
    tpot_ms_low: float
    tpot_ms_high: float
    tpot_p90_ms: float | None
    tpot_ms_bracket: tuple[float, float | None]
    itl_ms: float  # from one output of a sequence to its next: accepted tokens come together
    itl_full_chunk_ms: float  # the same where a full prefill step comes between
    latency_ms: float
    requests_per_s: float
    capacity_requests_per_s: float | None  # most under arrivals
    load_fraction: float | None  # of that
    output_tokens_per_s: float
    input_tokens_per_s: float
    output_tokens_per_s_per_chip: float
    output_tokens_per_s_per_chip_low: float
    output_tokens_per_s_per_chip_high: float
    output_tokens_per_s_per_used_chip: float
    input_tokens_per_s_per_chip: float
    prefill_tokens_per_s_per_chip: float  # of chips that only prefill
    tokens_per_s_per_user: float | None  # none where an answer is one token
    decode_time_ms: dict[str, float]  # memory traffic, and what compute takes beyond it
    prefill_time_ms: dict[str, float]
    decode_bound_ms: dict[str, float]  # the same time by what it answers to: agrees with the elasticities
    prefill_bound_ms: dict[str, float]
    memory_bytes: ServingMemory
    kv_fraction: float
    utilisation: dict[str, float | None]
    limiting_prefill: str
    limiting_decode: str
    elasticity: Elasticity  # of a decode step
    elasticity_prefill: Elasticity
    elasticity_throughput: Elasticity  # of requests per second at this plan and batch
    evidence: str
    usd_per_chip_hour: float
    price_basis: str
    cost_usd_per_hour: float
    cost_usd_per_million_input_tokens: float
    cost_usd_per_million_output_tokens: float  # with that of the input it adds up to the rent
    cost_usd_per_million_output_tokens_all_in: float  # all rent over the output tokens
    energy_j_per_input_token: float | None  # at the meter, between idle and peak power as `utilisation.busy` says
    energy_j_per_output_token: float | None
    search: Search
    simulation: Simulation | None
    frontier: tuple[FrontierPoint, ...] | None
    frontier_setups: int | None
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]
    export: str | None = None  # the tool that `launch` is for
    launch: str | None = None  # a launch file for the setup

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `serve --json`."""
        return {"schema": "clustercast.serve/1"} | asdict(self)


def serve(asked: ServeAsked, *, frontier: bool = False, n_simulated: int = 0, seed: int = 0) -> ServeResult:
    """The best plan for a load, or under objectives, and what it gives.

    frontier     also the Pareto set of throughput against speed
    n_simulated  requests of an event simulation of the plan; 0: none

    Raises WrongInput for a wrong question; NoAnswer, with the nearest that there is, where nothing meets it.
    """
    simulation.check(n_simulated, seed)
    question = fill_serve(asked)
    setting, count = question.setting, question.base.n_chips
    each = search.candidates(setting, count, question.fixed)
    space = search.holding(setting, question.job, question.input.longest + question.output.longest, each)
    if not space.rows:
        raise no_room(question, [plan for _, plan in each])
    chunks = search.chunks_of(setting, question.fixed)
    if question.load == "full":
        outcome = search.best_batch(
            setting, question.job, space, count, question.limits, chunks=chunks, fixed=question.fixed
        )
    else:
        outcome = search.best_under_load(
            setting, load_of(question), space, count, question.limits, chunks=chunks, fixed=question.fixed
        )
    if outcome.best is None:
        raise out_of_reach(question, outcome.nearest, space)
    best = plainest(question, outcome.best, space, chunks)
    done = answer(question, best, outcome.search)
    if best != outcome.best:
        done = replace(done, warnings=(*done.warnings, passed_over(outcome.best, question)))
    if n_simulated:
        done = replace(done, simulation=simulated(question, best, n_simulated, seed))
    return with_frontier(done, question, space, chunks) if frontier else done


def load_of(question: ServeQuestion) -> Load:
    """What the search is to serve."""
    concurrency, rate = float(question.asked.concurrency or 0), float(question.asked.rate or 0.0)
    return Load(question.job, question.demand, concurrency, rate, question.percentile)


def dimensions(plan: records.ServingPlan, size: int, domain: int) -> tuple[int, int]:
    """How plain a layout is, plainest first: the dimensions it divides by, one more across domains; then its chips."""
    named = (plan.tp, plan.pp, plan.attention_dp, min(plan.ep, plan.etp))
    return sum(each > 1 for each in named) + (size > domain), size


def plainest(question: ServeQuestion, best: Found, space: Layouts, chunks: tuple[int, ...]) -> Found:
    """Of the setups within a hair of the best the plainest, as many chips for a load; the best itself else."""
    setting, count = question.setting, question.base.n_chips
    full = question.load == "full"
    compiled = search.batches_pay(len(space.rows), len(chunks))
    if not full:
        compiled = search.loads_pay(len(space.rows), len(chunks), load_of(question), question.limits)
    domain = setting.cluster.scale_up.n_chips
    near = 1.0 - constant("layout", "near_tie_fraction").value
    own, _ = dimensions(best.plan, best.size, domain)
    plainer: dict[int, list[int]] = {}
    for at, row in enumerate(space.rows):
        found, _ = dimensions(space.plan(at), row[5], domain)
        if found < own:
            plainer.setdefault(found, []).append(at)
    seen = see(question, best, search.with_chunk(setting, best.chunk_tokens))
    for _, places in sorted(plainer.items()):
        part = Layouts([space.rows[at] for at in places], 0)
        if full:
            outcome = search.best_batch(
                setting, question.job, part, count, question.limits, chunks=chunks, fixed=question.fixed,
                above_requests_per_s=near * seen.requests_per_s * best.replicas, compiled=compiled,
            )  # fmt: skip
        else:
            chips = best.size * best.replicas if question.limits.given else count
            outcome = search.best_under_load(
                setting, load_of(question), part, chips, question.limits, chunks=chunks, fixed=question.fixed,
                below_s=seen.latency_s / near, compiled=compiled,
            )  # fmt: skip
        if outcome.best is not None:
            return outcome.best
    return best


def passed_over(best: Found, question: ServeQuestion) -> str:
    """What is said where a plainer setup than the best is named."""
    share = constant("layout", "near_tie_fraction").value
    return f"of the setups within {100.0 * share:g} % of the best the plainest is named; the best: " + plan_text(
        best, batch=question.load == "full"
    )


def simulated(question: ServeQuestion, found: Found, n_requests: int, seed: int) -> Simulation:
    """The chosen plan under its load, event by event: one replica with its share, the others are like it."""
    setting = search.with_chunk(question.setting, found.chunk_tokens)
    traffic = simulation.traffic_of(question, found.replicas, found.batch)
    done = simulation.simulate(setting, found.plan, traffic, n_requests=n_requests, seed=seed)
    seen = done.summary()
    has_gaps = question.output.longest > 1.0

    def spread(name: str) -> Spread:
        names = (name, *(f"{name}_p{share}" for share in simulation.PERCENTILES))
        return Spread(*(1e3 * seen[f"{each}_s"] if has_gaps or name != "tpot" else None for each in names))

    return Simulation(
        n_requests=n_requests,
        seed=seed,
        ttft_ms=spread("ttft"),
        tpot_ms=spread("tpot"),
        latency_ms=spread("latency"),
        requests_per_s=done.requests_per_s * found.replicas,
        output_tokens_per_s=done.requests_per_s * found.replicas * question.job.output_len,
        in_flight=done.in_flight * found.replicas,
        in_system=done.in_system * found.replicas,
        busy_fraction=done.busy_fraction,
        prefill_fraction=done.prefill_fraction,
        kv_fraction=done.kv_fraction,
        preemptions_per_request=done.preemptions_per_request,
        n_steps=done.n_steps,
        step_ms=1e3 * done.step_mean_s,
        assumed=simulation.said(traffic),
    )


def with_frontier(done: ServeResult, question: ServeQuestion, space: Layouts, chunks: tuple[int, ...]) -> ServeResult:
    """The same answer with the Pareto set of throughput against speed beside it."""
    front, n_setups = search.frontier(
        question.setting,
        question.job,
        space,
        question.base.n_chips,
        chunks=chunks,
        fixed=question.fixed,
        ttft_limit_s=question.limits.ttft_s,
    )
    points = []
    for point in front:
        found = Found(point.plan, point.size, point.replicas, float(point.batch), point.chunk_tokens)
        output = point.requests_per_s * question.job.output_len
        points.append(
            FrontierPoint(
                tokens_per_s_per_user=1.0 / point.tpot_s,
                output_tokens_per_s_per_chip=output / question.base.n_chips,
                ttft_ms=1e3 * point.ttft_s,
                tpot_ms=1e3 * point.tpot_s,
                requests_per_s=point.requests_per_s,
                batch=point.batch * point.replicas,
                batch_per_replica=point.batch,
                plan=plan_dict(found, question.base.n_chips),
                plan_text=plan_text(found, batch=True),
            )
        )
    return replace(done, frontier=tuple(points), frontier_setups=n_setups)


def plan_dict(found: Found, count: int) -> dict[str, Any]:
    """A setup as JSON shows it."""
    used = found.size * found.replicas
    return found.plan._asdict() | {
        "replicas": found.replicas,
        "chips": found.size,
        "idle": count - used,
        "batch": found.batch,
        "chunk": found.chunk_tokens,
    }


def plan_text(found: Found, *, batch: bool) -> str:
    """A setup as `--plan` takes it back; with its batch where no load decides it.

    >>> plan_text(Found(records.ServingPlan(8, 1, 4, 32, 1), 32, 2, 100.0, 8192), batch=True)
    'tp=8,pp=1,attention_dp=4,ep=32,etp=1,replicas=2,chunk=8192,batch=100'
    """
    parts = [f"{name}={value}" for name, value in found.plan._asdict().items()]
    parts += [f"replicas={found.replicas}", f"chunk={found.chunk_tokens}"]
    if batch:
        parts.append(f"batch={found.batch:.0f}")
    return ",".join(parts)


@dataclass(frozen=True, slots=True)
class Seen:
    """A replica in its steady state, whatever load it was asked for."""

    ttft_s: float
    tpot_s: float
    latency_s: float
    requests_per_s: float
    in_flight: float
    steady: Steady | None


def see(question: ServeQuestion, found: Found, setting: records.ServingSetting) -> Seen:
    """What one replica gives under its share of the load; infinite times beyond what it can serve."""
    if question.asked.rate is not None:
        done = open_loop(question.asked.rate / found.replicas, question.demand, setting, found.plan)
        return Seen(done.ttft_s, done.tpot_s, done.latency_s, done.requests_per_s, done.in_flight, done)
    load = closed_loop(setting, question.job._replace(batch=found.batch), found.plan)
    return Seen(load.ttft_s, load.tpot_s, load.latency_s, load.requests_per_s, load.in_flight, None)


def decode_slopes(question: ServeQuestion, found: Found, setting: records.ServingSetting, batch: float) -> Elasticity:
    """Elasticity of a decode step, and what more memory buys where the batch may grow with it."""
    queries, context = 1.0 + question.job.n_drafts, mean_cached_tokens(question.job)

    def step_s(resource: str, factor: float) -> float:
        return decode_pass(batch, queries, context, improved_serving(setting, resource, factor), found.plan).total_s

    capacity = 0.0
    if question.load == "full" and "batch" not in question.fixed:
        larger = improved_serving(setting, "hbm_capacity", CAPACITY_STEP)
        longest = question.input.longest + question.output.longest
        space = search.holding(larger, question.job, longest, [(found.size, found.plan)])
        count = found.size * found.replicas
        more = search.best_batch(larger, question.job, space, count, question.limits, compiled=False).best
        now = closed_loop(setting, question.job._replace(batch=found.batch), found.plan).requests_per_s
        if more is not None:
            then = closed_loop(larger, question.job._replace(batch=more.batch), found.plan).requests_per_s
            capacity = max(0.0, math.log(then / now) / math.log(CAPACITY_STEP))
    return elasticity(step_s, capacity=capacity)


def prefill_slopes(question: ServeQuestion, found: Found, setting: records.ServingSetting) -> Elasticity:
    """Elasticity of the prefill of one prompt alone."""

    def first_s(resource: str, factor: float) -> float:
        return prompts_pass(1.0, 1.0, question.job, improved_serving(setting, resource, factor), found.plan).total_s

    return elasticity(first_s)


def throughput_slopes(
    question: ServeQuestion, found: Found, setting: records.ServingSetting, capacity: float
) -> Elasticity:
    """Elasticity of requests per second at this plan: at this batch, or under arrivals of the most it can serve."""

    def apart_s(resource: str, factor: float) -> float:
        better = improved_serving(setting, resource, factor)
        if question.asked.rate is not None:
            return 1.0 / saturation_requests_per_s(question.demand, better, found.plan)
        return 1.0 / closed_loop(better, question.job._replace(batch=found.batch), found.plan).requests_per_s

    return elasticity(apart_s, capacity=capacity)


def brackets(
    question: ServeQuestion, found: Found, setting: records.ServingSetting, seen: Seen
) -> tuple[tuple[float, float | None], tuple[float, float | None]]:
    """TTFT and TPOT with everything overlapped and with nothing overlapped, in milliseconds; none where it saturates.

    Overlapped: the longest of compute or memory, communication and host, no other's prefill in the way, no waiting.
    Not: compute and memory one after the other, prefills that ride on nothing.
    """
    job, plan = question.job, found.plan
    kernels = setting.kernels
    best = setting._replace(kernels=kernels._replace(matmul_join=0.0))
    apart = setting.engine._replace(mixed_share=0.0)
    worst = setting._replace(kernels=kernels._replace(matmul_join=4.0), engine=apart)

    def longest(done: Pass) -> float:
        return max(done.compute_s + done.weights_s + done.kv_s, done.comm_s, done.host_s)

    step = decode_pass(seen.in_flight, 1.0 + job.n_drafts, mean_cached_tokens(job), best, plan)
    first = prompts_pass(1.0, 1.0, job, best, plan)
    upper = see(question, found, worst)
    lower_ttft = min(setting.engine.first_token_s + longest(first), seen.ttft_s)
    lower_tpot = min(longest(step) / job.accepted_tokens, seen.tpot_s)

    def shown(value_s: float, now_s: float) -> float | None:
        return 1e3 * max(value_s, now_s) if math.isfinite(value_s) else None

    return (1e3 * lower_ttft, shown(upper.ttft_s, seen.ttft_s)), (1e3 * lower_tpot, shown(upper.tpot_s, seen.tpot_s))


def half_width(question: ServeQuestion, size: int, purpose: str) -> float:
    """Half width of the interval of ln(figure)."""
    base = question.base
    width = interval.half_width(
        interval.evidence_of(base.chip, "serving"), size, mixture=base.record.n_moe_layers > 0, purpose=purpose
    )
    return width if base.engine.settled else width + constants.default(purpose, "unknown_engine").value


def answer(question: ServeQuestion, found: Found, looked: Search) -> ServeResult:
    """Everything about one setup."""
    base, job, plan, count = question.base, question.job, found.plan, question.base.n_chips
    setting = search.with_chunk(question.setting, found.chunk_tokens)
    seen = see(question, found, setting)
    running = max(seen.in_flight, min(1.0, found.batch) if found.batch > 0.0 else 1e-9)
    requests_per_s = seen.requests_per_s * found.replicas
    output, taken_in = requests_per_s * job.output_len, requests_per_s * job.input_len
    used = found.size * found.replicas
    drafted = token_steps_factor(job, setting.model)
    context = mean_cached_tokens(job)
    step = decode_pass(running, 1.0 + job.n_drafts, context, setting, plan)
    first = prompts_pass(1.0, 1.0, job, setting, plan)
    together = prompts_pass(1.0, float(plan.attention_dp), job, setting, plan)
    prefill_s = together.total_s / plan.attention_dp / plan.pp  # of the replica, per request
    decode_s = job.output_len * step.total_s * drafted / running
    prefill_share = prefill_s / (prefill_s + decode_s)
    busy = seen.steady.busy_fraction if seen.steady else min(1.0, seen.requests_per_s * (prefill_s + decode_s))
    decode_ms = {
        "compute": 1e3 * step.compute_s * drafted,
        "weights": 1e3 * step.weights_s * drafted,
        "kv_cache": 1e3 * step.kv_s * drafted,
        "comm": 1e3 * step.comm_s * drafted,
        "host": 1e3 * step.host_s * drafted,
    }
    decode_ms = with_rest(decode_ms, 1e3 * seen.tpot_s, "prefills_of_others")
    decode = decode_slopes(question, found, setting, running)
    decode_bound = with_rest(bound_ms(step, decode, drafted), 1e3 * seen.tpot_s, "prefills_of_others")
    prefill_ms = {
        "compute": 1e3 * (first.compute_s + first.weights_s),
        "comm": 1e3 * first.comm_s,
        "host": 1e3 * (first.host_s + setting.engine.first_token_s),
    }
    prefill_ms = with_rest(prefill_ms, 1e3 * seen.ttft_s, "waiting")
    prefill = prefill_slopes(question, found, setting)
    prefill_bound = bound_ms(first, prefill, 1.0)
    prefill_bound["host"] += 1e3 * setting.engine.first_token_s
    prefill_bound = with_rest(prefill_bound, 1e3 * seen.ttft_s, "waiting")
    throughput = throughput_slopes(question, found, setting, decode.hbm_capacity)
    ttft_bracket, tpot_bracket = brackets(question, found, setting, seen)
    ttft_low, ttft_high = interval.around(seen.ttft_s, half_width(question, found.size, "ttft_interval"))
    tpot_low, tpot_high = interval.around(seen.tpot_s, half_width(question, found.size, "tpot_interval"))
    per_chip = output / count
    low, high = interval.around(per_chip, half_width(question, found.size, "throughput_interval"))
    usd_per_h, basis = usd_per_chip_hour(base)
    usd_per_s = usd_per_h * used / HOUR_S
    watts = power_w(setting.chip, used, busy)
    rank_bytes = rank_sequence_bytes(context, setting, plan) * running / plan.attention_dp
    free = free_bytes(setting, plan)
    keys = 2.0 * (job.input_len - 0.5 * new_tokens(job)) * job.input_square_factor
    budget = setting.engine.chunk_tokens * plan.attention_dp
    n_prompts = max(budget / new_tokens(job), 1.0)
    full = turn(running, context, budget, 0.5 * keys, n_prompts, job.n_drafts, setting, plan)
    steady = seen.steady
    named = None
    if steady is not None and question.percentile:
        share = 0.01 * question.percentile
        named = (
            ttft_percentile_s(share, steady.shape, question.demand),
            tpot_percentile_s(share, steady.shape, question.demand),
        )
    weights = serving_weights_bytes(setting, plan)
    kept = min(rank_bytes, free)
    prefill_only = serve_step(setting, job, plan).prefill_tokens_per_s * found.replicas / count
    flop_per_s = 2.0 * matmul_active_params(setting.model) * requests_per_s * (new_tokens(job) + job.output_len)
    return ServeResult(
        chip=base.chip.name,
        chip_name=base.chip.full_name,
        count=count,
        model=base.model.name,
        model_name=base.model.full_name,
        model_resolved_as=base.model.resolved_as,
        fabric=base.fabric.name,
        fabric_name=base.fabric.full_name,
        total_params=base.total_params,
        active_params=base.active_params,
        precision=base.precision,
        engine=base.engine.name,
        engine_title=base.engine.title,
        load=question.load,
        concurrency=question.asked.concurrency,
        rate=question.asked.rate,
        objectives=objectives(question),
        input_len=job.input_len,
        output_len=job.output_len,
        lengths={"input": asdict(question.input), "output": asdict(question.output)},
        prefix_hit=job.hit_fraction,
        n_drafts=job.n_drafts,
        accepted_tokens=job.accepted_tokens,
        plan=plan_dict(replace_batch(found, running), count),
        plan_text=plan_text(found, batch=question.load == "full"),
        replicas=found.replicas,
        batch=(found.batch or running) * found.replicas,
        batch_per_replica=found.batch or running,
        in_flight=seen.in_flight * found.replicas,
        max_batch=most_sequences(question, found, setting) * found.replicas,
        chunk_tokens=found.chunk_tokens,
        ttft_ms=1e3 * seen.ttft_s,
        ttft_ms_low=1e3 * ttft_low,
        ttft_ms_high=1e3 * ttft_high,
        ttft_percentile_ms=1e3 * named[0] if named else None,
        tpot_percentile_ms=1e3 * named[1] if named else None,
        ttft_p50_ms=1e3 * steady.ttft_p50_s if steady else None,
        ttft_p90_ms=1e3 * steady.ttft_p90_s if steady else None,
        ttft_p99_ms=1e3 * steady.ttft_p99_s if steady else None,
        ttft_ms_bracket=ttft_bracket,
        tpot_ms=1e3 * seen.tpot_s,
        tpot_ms_low=1e3 * tpot_low,
        tpot_ms_high=1e3 * tpot_high,
        tpot_p90_ms=1e3 * steady.tpot_p90_s if steady else None,
        tpot_ms_bracket=tpot_bracket,
        itl_ms=1e3 * seen.tpot_s * job.accepted_tokens,
        itl_full_chunk_ms=1e3 * full.taken_s,
        latency_ms=1e3 * seen.latency_s,
        requests_per_s=requests_per_s,
        capacity_requests_per_s=steady.saturation_requests_per_s * found.replicas if steady else None,
        load_fraction=steady.load_fraction if steady else None,
        output_tokens_per_s=output,
        input_tokens_per_s=taken_in,
        output_tokens_per_s_per_chip=per_chip,
        output_tokens_per_s_per_chip_low=low,
        output_tokens_per_s_per_chip_high=high,
        output_tokens_per_s_per_used_chip=output / used,
        input_tokens_per_s_per_chip=taken_in / count,
        prefill_tokens_per_s_per_chip=prefill_only,
        tokens_per_s_per_user=1.0 / seen.tpot_s if seen.tpot_s > 0.0 else None,
        decode_time_ms=decode_ms,
        prefill_time_ms=prefill_ms,
        decode_bound_ms=decode_bound,
        prefill_bound_ms=prefill_bound,
        memory_bytes=ServingMemory(
            weights=weights,
            kv_cache=kept,
            workspace=setting.engine.workspace_bytes,
            total=weights + kept + setting.engine.workspace_bytes,
            capacity=(setting.chip.hbm_bytes - setting.chip.reserved_bytes) * setting.engine.memory_fraction,
        ),
        kv_fraction=steady.kv_fraction if steady else min(1.0, rank_bytes / free),
        utilisation={
            "busy": busy,
            "prefill": min(1.0, busy * prefill_share),
            "flops": flop_per_s / (used * setting.chip.matmul_flop_per_s),
            "decode_reading": (step.weights_s + step.kv_s) / step.total_s,
        },
        limiting_prefill=limiting(prefill),
        limiting_decode=limiting(decode),
        elasticity=decode,
        elasticity_prefill=prefill,
        elasticity_throughput=throughput,
        evidence=interval.evidence_of(base.chip, "serving"),
        usd_per_chip_hour=usd_per_h,
        price_basis=basis,
        cost_usd_per_hour=usd_per_h * used,
        cost_usd_per_million_input_tokens=MILLION * usd_per_s * prefill_share / taken_in,
        cost_usd_per_million_output_tokens=MILLION * usd_per_s * (1.0 - prefill_share) / output,
        cost_usd_per_million_output_tokens_all_in=MILLION * usd_per_s / output,
        energy_j_per_input_token=None if watts is None else watts * prefill_share / taken_in,
        energy_j_per_output_token=None if watts is None else watts * (1.0 - prefill_share) / output,
        search=looked,
        simulation=None,
        frontier=None,
        frontier_setups=None,
        assumptions=(*question.assumptions, *cost_assumptions(question, usd_per_h, basis)),
        warnings=(*question.warnings, *remarks(question, found, setting)),
    )


def bound_ms(step: Pass, slopes: Elasticity, factor: float) -> dict[str, float]:
    """A step in milliseconds by what each part answers to; the parts add up to `factor` times the step.

    Kernels wait for compute and for bandwidth at once: their time is shared out as the elasticities are.
    """
    flops, hbm = max(slopes.flops, 0.0), max(slopes.hbm_bandwidth, 0.0)
    kernels_s, read_s = step.compute_s + step.weights_s + step.kv_s, step.weights_s + step.kv_s
    compute_s = kernels_s * flops / (flops + hbm) if flops + hbm > 0.0 else step.compute_s
    of_weights = step.weights_s / read_s if read_s > 0.0 else 0.0
    host_s = min(step.host_s, max(slopes.host, 0.0) * step.total_s)
    parts = {
        "compute": compute_s,
        "weights": (kernels_s - compute_s) * of_weights,
        "kv_cache": (kernels_s - compute_s) * (1.0 - of_weights),
        "comm": step.comm_s,
        "launches": step.host_s - host_s,
        "host": host_s,
    }
    return {name: 1e3 * factor * value for name, value in parts.items()}


def with_rest(parts: dict[str, float], whole: float, rest: str) -> dict[str, float]:
    """The parts and what is left of the whole; where steps overlap (stages of a pipeline), each part in proportion.

    >>> with_rest({"compute": 3.0, "host": 1.0}, 5.0, "waiting")
    {'compute': 3.0, 'host': 1.0, 'waiting': 1.0}
    >>> with_rest({"compute": 3.0, "host": 1.0}, 2.0, "waiting")
    {'compute': 1.5, 'host': 0.5, 'waiting': 0.0}
    """
    said = math.fsum(parts.values())
    if said <= whole:
        return parts | {rest: whole - said}
    return {name: value * whole / said for name, value in parts.items()} | {rest: 0.0}


def replace_batch(found: Found, running: float) -> Found:
    """The same setup with what decodes at once where arrivals decide it."""
    return found if found.batch > 0.0 else found._replace(batch=running)


def most_sequences(question: ServeQuestion, found: Found, setting: records.ServingSetting) -> int:
    """Sequences that fit one replica."""
    space = search.holding(setting, question.job, 1.0, [(found.size, found.plan)])
    return space.rows[0][6] if space.rows else 0


def power_w(chip: records.Chip, n_chips: int, busy: float) -> float | None:
    """Watts at the meter of so many chips; nothing where the chip's power is not known."""
    if chip.peak_w <= 0.0:
        return None
    wall, pue = (constants.default("power", name).value for name in ("wall_over_chip", "pue"))
    return energy_j(float(n_chips), chip.idle_w, chip.peak_w, busy, wall, pue, 1.0)


def objectives(question: ServeQuestion) -> dict[str, float | int | str | bool | None]:
    """What was aimed at."""
    limits = question.limits
    return {
        "ttft_ms": 1e3 * limits.ttft_s if math.isfinite(limits.ttft_s) else None,
        "tpot_ms": 1e3 * limits.tpot_s if math.isfinite(limits.tpot_s) else None,
        "percentile": question.percentile or "mean",
        "assumed": question.limits_assumed,
        "aim": aim(question),
    }


def aim(question: ServeQuestion) -> str:
    """What the search made as large or small as it could."""
    if question.load == "full":
        return "most tokens per second under the objectives" if question.limits.given else "most tokens per second"
    return "fewest chips that meet the objectives" if question.limits.given else "shortest request latency"


def cost_assumptions(question: ServeQuestion, usd_per_h: float, basis: str) -> list[Assumption]:
    """Constants behind cost, energy and the host that nobody was asked for."""
    said = []
    for name in ("pue", "wall_over_chip"):
        found = constants.default("power", name)
        said.append(Assumption(name, found.value, found.kind, found.note or found.source, found.low, found.high))
    kind = "reported" if question.base.chip.get("price.rent") else "assumed"
    said.append(Assumption("usd_per_chip_hour", usd_per_h, kind, basis))
    engine = question.base.engine
    for name in ("host_step_s", "first_token_s", "interference_factor"):
        found = engine.constants[name]
        text = found.note or found.source
        said.append(Assumption(f"{engine.name}.{name}", found.value, found.kind, text, found.low, found.high))
    return said


def remarks(question: ServeQuestion, found: Found, setting: records.ServingSetting) -> list[str]:
    """What a reader of the answer should know about it."""
    said = []
    model, plan = setting.model, found.plan
    if model.n_moe_layers and model.n_experts % plan.ep:
        said.append(f"ep={plan.ep} does not divide {model.n_experts} experts: some chips hold one more")
    idle = question.base.n_chips - found.size * found.replicas
    if idle and question.load == "full":
        said.append(f"{idle:,} of {question.base.n_chips:,} chips are idle: no replica divides them all as well")
    for name, sizes in (("input", question.input), ("output", question.output)):
        if sizes.square_factor > 1.0:
            said.append(
                f"{name} lengths ({sizes.said}) enter by their mean of {sizes.mean:,.0f} tokens and their mean square, "
                f"{sizes.square_factor:.2f} times the mean's; a request of the longest, {sizes.longest:,.0f}, fits"
            )
    if question.load != "rate":
        said.append("times are means of a closed loop in which each request that ends is replaced at once")
    return said


def no_room(question: ServeQuestion, plans: list[records.ServingPlan]) -> NoAnswer:
    """The answer where no layout holds the weights and one request."""
    setting, base = question.setting, question.base
    longest = question.input.longest + question.output.longest
    roomy = [plan for plan in plans if free_bytes(setting, plan) > 0.0]
    if not roomy:
        least = min(serve_step(setting, question.job, plan).memory_bytes for plan in plans)
        return too_large(base, setting, least)

    def fits(plan: records.ServingPlan) -> float:
        low, high = 0.0, longest
        while high - low > 1.0:
            middle = 0.5 * (low + high)
            if rank_sequence_bytes(middle, setting, plan) <= free_bytes(setting, plan):
                low = middle
            else:
                high = middle
        return math.floor(low)

    best = max(roomy, key=fits)
    needed, free = rank_sequence_bytes(longest, setting, best), free_bytes(setting, best)
    most = fits(best)
    return NoAnswer(
        f"a request of {longest:,.0f} tokens needs {units.gib(needed)} of cache per chip, {units.gib(free)} are free "
        f"beside the weights of {base.model.name}",
        hint=f"up to {most:,.0f} tokens fit {base.n_chips:,} x {base.chip.name}" if most else None,
        numbers={"needed_bytes": needed, "free_bytes": free, "longest_tokens": most, "count": base.n_chips},
    )


def counted(number: int, thing: str) -> str:
    """A number of things.

    >>> counted(1, "replica"), counted(1200, "replica")
    ('1 replica', '1,200 replicas')
    """
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def out_of_reach(question: ServeQuestion, nearest: Nearest | None, space: Layouts) -> NoAnswer:
    """The answer where nothing meets the objectives or the rate: the nearest there is, and what binds."""
    base, limits = question.base, question.limits
    who = f"{base.n_chips:,} x {base.chip.name}"
    if nearest is None:
        most = max(row[6] * (base.n_chips // row[5]) for row in space.rows)
        asked = question.fixed.get("batch") or question.asked.concurrency
        return NoAnswer(
            f"no plan of {who} holds {asked:,} sequences{' per replica' if 'batch' in question.fixed else ''} of "
            f"{base.model.name} at once: {most:,} fit",
            hint="an objective on TTFT lets requests wait for memory" if question.asked.concurrency else None,
            numbers={"asked": asked, "fitting": most, "count": base.n_chips},
        )
    setup = nearest.setup
    setting = search.with_chunk(question.setting, setup.chunk_tokens)
    shown = plan_text(setup, batch=question.load == "full")
    numbers: dict[str, Number] = {"plan": shown, "count": base.n_chips}
    if not math.isfinite(nearest.tpot_s):
        rate, capacity = question.asked.rate or 0.0, nearest.capacity_requests_per_s
        return NoAnswer(
            f"{rate:g} requests/s are more than {who} can serve: at most {capacity:.3g} requests/s, with {shown}",
            hint=f"about {math.ceil(rate / capacity * setup.size * setup.replicas):,} {base.chip.name} would do",
            numbers=numbers | {"rate": rate, "capacity_requests_per_s": capacity},
        )
    missed: list[tuple[float, str, float, float, Callable[[], Elasticity]]] = [
        (nearest.ttft_s / limits.ttft_s, "TTFT", nearest.ttft_s, limits.ttft_s,
         lambda: prefill_slopes(question, setup, setting)),
        (nearest.tpot_s / limits.tpot_s, "TPOT", nearest.tpot_s, limits.tpot_s,
         lambda: decode_slopes(question, setup, setting, max(setup.batch, 1.0))),
    ]  # fmt: skip
    missed.sort(key=lambda each: -each[0])
    _, name, value_s, limit_s, slopes = missed[0]
    binds = limiting(slopes())
    words = "mean" if not question.percentile else f"p{question.percentile:g}"
    at = counted(setup.replicas, "replica")
    if question.load == "full":
        at = counted(round(setup.batch), "sequence") + " per replica"
    return NoAnswer(
        f"no plan of {who} serves {base.model.name} with a {words} {name} under {units.seconds(limit_s)}: the nearest "
        f"is TTFT {units.seconds(nearest.ttft_s)} and TPOT {units.seconds(nearest.tpot_s)} with {shown} and {at}; "
        f"{in_words(binds)} binds",
        hint=f"--{name.lower()} {units.seconds(1.01 * value_s).replace(' ', '')} can be met by that plan",
        numbers=numbers
        | {
            "ttft_ms": 1e3 * nearest.ttft_s,
            "tpot_ms": 1e3 * nearest.tpot_s,
            "ttft_objective_ms": 1e3 * limits.ttft_s if math.isfinite(limits.ttft_s) else None,
            "tpot_objective_ms": 1e3 * limits.tpot_s if math.isfinite(limits.tpot_s) else None,
            "binds": binds,
        },
    )
