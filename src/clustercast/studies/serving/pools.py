"""Prefill and decode in pools of their own, each on its own chip: the best split, and whether it pays."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, NamedTuple

from clustercast import records, units
from clustercast.catalog import constants
from clustercast.catalog.constants import Constant
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates import interval
from clustercast.estimates.elasticity import elasticity, improved_serving, limiting
from clustercast.estimates.question import Question
from clustercast.estimates.result import Assumption, Elasticity
from clustercast.estimates.training import rent
from clustercast.physics.job import energy_j
from clustercast.physics.pools import (
    exposed_transfer_s,
    handed_bytes,
    rank_link_bytes_per_s,
    shared_transfer_s,
    slot_wait_s,
    staffed_batch,
)
from clustercast.physics.queueing import (
    Demand,
    Steady,
    cached_tokens,
    n_decode_steps,
    n_slots_of,
    open_loop,
    saturation_requests_per_s,
    turn,
)
from clustercast.physics.serving import decode_pass, free_bytes, prefill_pass, rank_sequence_bytes
from clustercast.studies.serving.question import ServeAsked, ServeQuestion, fill_serve, parse_plan
from clustercast.studies.serving.search import NORMAL_P90, NORMAL_P99, candidates, with_chunk

HALVINGS: Final = 20
HELD_STEPS: Final = 12
NEAR_TOP: Final = 1.0 / 32.0
MOST_COUNT: Final = 100_000
MILLION: Final = 1e6
PERCENTILES: Final = {"mean": 0.0, "p50": 50.0, "p90": 90.0, "p99": 99.0}
PREFILL, DECODE, TOGETHER, BOUND = range(4)
PLAIN_ROWS: Final = (8, 200, 8, 200)  # layouts of each kind below which plain Python is done before numba is loaded
NEARLY: Final = 1.0 + 1e-9


@dataclass(frozen=True, slots=True)
class Side:
    """One pool as it was asked for; None and empty are open."""

    chip: str
    count: int | None = None
    plan: str = ""
    precision: str | None = None
    engine: str = "vllm"
    fabric: str | None = None
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolsAsked:
    """The question as the user put it."""

    model: str
    prefill: Side
    decode: Side
    count: int | None = None  # of both pools together, to be split
    input_len: int | str | None = None  # tokens, or percentiles: "p50=1k,p90=8k"
    output_len: int | str | None = None
    lengths: str | None = None  # a CSV file
    ttft_s: float | None = None
    tpot_s: float | None = None
    percentile: str = "mean"  # of TTFT
    rate: float | None = None  # requests per second; None: the most that holds the objectives
    hit_fraction: float = 0.0
    n_drafts: float | None = None
    accepted_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool of the answer."""

    chip: str
    chip_name: str
    count: int
    replicas: int
    plan: dict[str, int]
    plan_text: str
    precision: str
    engine: str
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
    cost_usd_per_million_output_tokens: float | None
    ttft_ms: float | None
    tpot_ms: float | None
    plan_text: str
    why: str  # empty, or why there is no answer


@dataclass(frozen=True, slots=True)
class Pools:
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
    cost_usd_per_million_output_tokens: float  # both pools
    cost_usd_per_million_output_tokens_low: float
    cost_usd_per_million_output_tokens_high: float
    cost_usd_per_million_tokens_in: float  # the prefill pool alone
    cost_usd_per_million_tokens_out: float  # the decode pool alone
    usd_per_hour: float
    decode_usd_per_chip_hour_break_even: float | None  # up to which the split beats what needs no decode chip
    energy_j_per_output_token: float | None
    prefill: Pool
    decode: Pool
    transfer: Transfer
    alternatives: tuple[Alternative, ...]
    n_considered: int
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `serve --json` with pools apart."""
        fields = asdict(self)
        parts = ("prefill", "decode", "transfer", "bottleneck", "n_considered")
        pools = {name: fields.pop(name) for name in parts}
        return {"schema": "clustercast.serve/1"} | fields | {"pools": pools}


class Goal(NamedTuple):
    """What has to hold, and what a request is."""

    demand: Demand
    ttft_s: float
    tpot_s: float
    percentile: float  # 0: the mean


class Option(NamedTuple):
    """A layout of one replica and the rate that it takes under its objective."""

    size: int
    plan: records.ServingPlan
    rate: float
    batch: float


def constant(section: str, name: str) -> Constant:
    """A number of catalog/data/pools.yaml."""
    data = constants.table("pools")
    return constants.constant(data[section][name], name, data["sources"])


def settings_of(settings: tuple[str, ...], names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The settings of each of several chips: "name.key=value" is for that one, "chip." and "fabric." for all.

    Raises WrongInput for an owner that is none of these.

    >>> settings_of(("decode-chip.power=400W", "fabric.oversubscription=2"), ("prefill-chip", "decode-chip"))
    [('fabric.oversubscription=2',), ('chip.power=400W', 'fabric.oversubscription=2')]
    """
    found: list[list[str]] = [[] for _ in names]
    for setting in settings:
        owner, _, rest = setting.strip().partition(".")
        if owner not in (*names, "chip", "fabric") or not rest:
            raise WrongInput(
                f"--set {setting}: expected <owner>.<key>=<value>, the owner one of {', '.join((*names, 'fabric'))}",
                hint=f"--set {names[-1]}.hbm_bandwidth=6TB/s",
            )
        for name, own in zip(names, found, strict=True):
            if owner == name:
                own.append(f"chip.{rest}")
            elif owner not in names:
                own.append(setting.strip())
    return [tuple(own) for own in found]


def goal_of(asked: PoolsAsked, question: ServeQuestion) -> Goal:
    """Requests and objectives, with what nobody said taken from the defaults. Raises WrongInput."""
    if asked.percentile not in PERCENTILES:
        raise WrongInput(f"--percentile: expected one of {', '.join(PERCENTILES)}, got {asked.percentile!r}")
    if asked.rate is not None and not 0.0 < asked.rate < math.inf:
        raise WrongInput(f"--rate: expected requests per second above 0, got {asked.rate:g}")
    if question.demand.output_len < 2.0:
        raise WrongInput("--osl: expected at least 2 tokens where decode has a pool of its own")
    ttft_s = asked.ttft_s or constant("objective", "ttft_s").value
    tpot_s = asked.tpot_s or constants.default("serving", "tpot_s").value
    return Goal(question.demand, ttft_s, tpot_s, PERCENTILES[asked.percentile])


def question_of(asked: PoolsAsked, side: Side, count: int) -> ServeQuestion:
    """One pool's chip, model, precision and engine. Raises WrongInput."""
    return fill_serve(
        ServeAsked(
            chip=side.chip,
            model=asked.model,
            n_chips=count,
            input_len=asked.input_len,
            output_len=asked.output_len,
            lengths=asked.lengths,
            engine=side.engine,
            precision=side.precision,
            fabric=side.fabric,
            ttft_s=asked.ttft_s,
            tpot_s=asked.tpot_s,
            hit_fraction=asked.hit_fraction,
            n_drafts=asked.n_drafts,
            accepted_tokens=asked.accepted_tokens,
            settings=side.settings,
        )
    )


def layout_of(text: str, setting: records.ServingSetting) -> tuple[dict[str, int], records.ServingSetting]:
    """What a plan fixes of a replica, and the setting with the chunk that it names. Raises WrongInput."""
    fixed = parse_plan(text)
    chunk = fixed.pop("chunk", None)
    left = [name for name in fixed if name not in records.ServingPlan._fields]
    if left:
        raise WrongInput(f"--plan: {left[0]} cannot be fixed here: the load and the chips decide it")
    return fixed, setting if chunk is None else with_chunk(setting, chunk)


def even_candidates(
    setting: records.ServingSetting, count: int, fixed: Mapping[str, int]
) -> list[tuple[int, records.ServingPlan]]:
    """Sizes and layouts of a replica that hold what is fixed, pipelines only of nearly equal stages unless fixed."""
    found = candidates(setting, count, fixed)
    if "pp" in fixed:
        return found
    most = constant("layout", "uneven_factor").value
    n_layers = setting.model.n_layers
    return [each for each in found if math.ceil(n_layers / each[1].pp) * each[1].pp <= most * n_layers]


def undisturbing(setting: records.ServingSetting) -> records.ServingSetting:
    """A pool without decoding sequences: a prefill takes the replica for all of its time, whatever it leaves others."""
    return setting._replace(engine=setting.engine._replace(interference_factor=1.0))


def only_prefill(goal: Goal) -> Demand:
    """The same requests, done when their first token is out."""
    plain = {
        "output_len": 1.0,
        "output_square_factor": 1.0,
        "output_inverse_factor": 1.0,
        "n_drafts": 0.0,
        "accepted_tokens": 1.0,
    }
    return goal.demand._replace(**plain)


def holds_prompts(setting: records.ServingSetting, plan: records.ServingPlan, demand: Demand) -> bool:
    """Whether a replica's memory holds its weights and the prompts of one step."""
    together = max(1.0, setting.engine.chunk_tokens / demand.input_len)
    return free_bytes(setting, plan) >= together * rank_sequence_bytes(demand.input_len, setting, plan)


def holds_one(setting: records.ServingSetting, plan: records.ServingPlan, demand: Demand) -> bool:
    """Whether a replica's memory holds its weights and one whole sequence per rank."""
    length = demand.input_len + demand.output_len
    return free_bytes(setting, plan) >= rank_sequence_bytes(length, setting, plan)


def decode_step_s(batch: float, setting: records.ServingSetting, plan: records.ServingPlan, demand: Demand) -> float:
    """One decode step of a replica on which `batch` sequences of mean length decode."""
    return turn(batch, cached_tokens(demand), 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s


def decode_rate(batch: float, setting: records.ServingSetting, plan: records.ServingPlan, demand: Demand) -> float:
    """Requests per second that leave a replica on which `batch` decode: Little's law."""
    if batch <= 0.0:
        return 0.0
    return batch / (n_decode_steps(demand) * decode_step_s(batch, setting, plan, demand))


def crowded(batch: float, normal: float) -> float:
    """A percentile of the sequences in flight, `batch` on average, arrivals at random."""
    return batch + normal * math.sqrt(batch)


def first_token_s(done: Steady, percentile: float) -> float:
    """TTFT at the percentile that the objective speaks of, 0: the mean."""
    if percentile == 50.0:
        return done.ttft_p50_s
    if percentile == 90.0:
        return done.ttft_p90_s
    if percentile == 99.0:
        return done.ttft_p99_s
    return done.ttft_s


def decode_batch(
    setting: records.ServingSetting,
    plan: records.ServingPlan,
    demand: Demand,
    tpot_s: float,
    normal: float,
    margin_factor: float,
) -> float:
    """The most sequences that decode at once on average: TPOT holds, and slots are kept for chance; 0.0 if none do."""
    limit_s = tpot_s * demand.accepted_tokens
    high = staffed_batch(n_slots_of(demand, setting, plan), margin_factor)
    if decode_step_s(crowded(high, normal), setting, plan, demand) <= limit_s:
        return high
    low = min(1.0, high)
    if decode_step_s(low, setting, plan, demand) > limit_s:
        return 0.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if decode_step_s(crowded(middle, normal), setting, plan, demand) <= limit_s:
            low = middle
        else:
            high = middle
    return low


def open_rate(
    setting: records.ServingSetting,
    plan: records.ServingPlan,
    demand: Demand,
    ttft_s: float,
    tpot_s: float,
    percentile: float,
    least: float,
    most: float,
) -> float:
    """The most requests per second, above `least` and up to `most`, that one replica takes while both objectives hold.

    0.0 where not even `least` does.
    """
    low = max(least, most * 1e-6)
    high = most
    rate = low
    for step in range(HALVINGS):
        done = open_loop(rate, demand, setting, plan)
        tpot = done.tpot_s
        if percentile > 50.0:
            tpot = done.tpot_p90_s
        if first_token_s(done, percentile) <= ttft_s and tpot <= tpot_s:
            low = rate
        else:
            high = rate
        if step == 0 and high <= low:
            return 0.0
        rate = 0.5 * (low + high)
    return low


def fill_rates(
    setting: records.ServingSetting,
    demand: Demand,
    rows: Any,
    kind: int,
    ttft_s: float,
    tpot_s: float,
    percentile: float,
    normal: float,
    margin_factor: float,
    best: Any,
    out: Any,
) -> None:
    """The rate and the batch of one replica of each layout under the objectives, into `out` [n, 2].

    kind  PREFILL: prompts only;  DECODE: tokens only;  TOGETHER: both in turns;  BOUND: what TOGETHER cannot exceed
          by much, in no time
    rows  [n, 6] a plan and the place of its size in `best`
    best  [sizes] the highest rate so far: a layout that does not reach it is given 0
    """
    for at in range(len(rows)):
        row = rows[at]
        plan = records.ServingPlan(int(row[0]), int(row[1]), int(row[2]), int(row[3]), int(row[4]))
        size = int(row[5])
        rate = 0.0
        batch = 0.0
        if kind != PREFILL:
            batch = decode_batch(setting, plan, demand, tpot_s, normal, margin_factor)
            rate = decode_rate(batch, setting, plan, demand)
        if kind == BOUND and rate > 0.0:
            rate = 1.0 / (1.0 / rate + prefill_pass(1.0, demand.input_len, 1.0, setting, plan).total_s / plan.pp)
        if kind == PREFILL:
            batch = max(1.0, setting.engine.chunk_tokens / demand.input_len) * plan.attention_dp
            most = saturation_requests_per_s(demand, setting, plan)
            rate = 0.0
            if most > best[size]:
                rate = open_rate(setting, plan, demand, ttft_s, math.inf, percentile, best[size], most)
        if kind == TOGETHER and rate > best[size]:
            rate = open_rate(setting, plan, demand, ttft_s, tpot_s, percentile, best[size], rate)
        best[size] = max(best[size], rate)
        out[at][0] = rate
        out[at][1] = batch


HELPERS: Final = (first_token_s, decode_step_s, decode_rate, crowded, decode_batch, open_rate)


def rates(
    setting: records.ServingSetting, demand: Demand, found: list[tuple[int, records.ServingPlan]], kind: int, goal: Goal
) -> list[list[float]]:
    """Rate and batch of each size and layout, plain or compiled; both give the same numbers."""
    margin = constant("slots", "margin_factor").value
    normal = {90.0: NORMAL_P90, 99.0: NORMAL_P99}.get(goal.percentile, 0.0)
    numbers = (goal.ttft_s, goal.tpot_s, goal.percentile, normal, margin)
    places = {size: place for place, size in enumerate(dict.fromkeys(size for size, _ in found))}
    rows = [(*plan, places[size]) for size, plan in found]
    if len(rows) <= PLAIN_ROWS[kind]:
        plain = [[0.0, 0.0] for _ in rows]
        fill_rates(setting, demand, rows, kind, *numbers, [0.0] * len(places), plain)
        return plain
    import numpy as np

    from clustercast.physics import grid

    out = np.zeros((len(rows), 2))
    table = np.array(rows, dtype=np.float64)
    grid.compiled(fill_rates, *HELPERS)(setting, demand, table, kind, *numbers, np.zeros(len(places)), out)
    return [list(map(float, line)) for line in out]


def best_by_size(
    setting: records.ServingSetting, count: int, goal: Goal, kind: int, fixed: Mapping[str, int]
) -> dict[int, Option]:
    """For each size of a replica the layout that takes the highest rate under the objectives."""
    demand = only_prefill(goal) if kind == PREFILL else goal.demand
    fits = holds_prompts if kind == PREFILL else holds_one
    found = [each for each in even_candidates(setting, count, fixed) if fits(setting, each[1], demand)]
    if kind == TOGETHER:  # the likeliest first: what cannot reach the best of its size is soon done with
        guesses = rates(setting, demand, found, BOUND, goal)
        order = sorted(range(len(found)), key=lambda at: -guesses[at][0])
        found = [found[at] for at in order]
    best: dict[int, Option] = {}
    for (size, plan), (rate, batch) in zip(found, rates(setting, demand, found, kind, goal), strict=True):
        if rate > 0.0 and (size not in best or rate > best[size].rate):
            best[size] = Option(size, plan, rate, batch)
    return best


class Filled(NamedTuple):
    """The best use of a number of chips: how many replicas of which layout."""

    replicas: int
    option: Option

    @property
    def rate(self) -> float:
        return self.replicas * self.option.rate


def filled(best: dict[int, Option], count: int) -> Filled | None:
    """The replicas of one kind that take most on `count` chips; of equals the smallest."""
    found: Filled | None = None
    for size, option in sorted(best.items()):
        if size <= count and (found is None or count // size * option.rate > found.rate * NEARLY):
            found = Filled(count // size, option)
    return found


class Between(NamedTuple):
    """The link between two pools."""

    name: str
    inside: float
    bytes_each: float  # of one sequence


def link_between(prefill: Question, decode: Question, count: int, setting: records.ServingSetting) -> Between:
    """Pools of one kind of chip that fit one scale-up domain share it; all others meet through their NICs."""
    same = prefill.chip.name == decode.chip.name and prefill.fabric.name == decode.fabric.name
    each = handed_bytes(float(prefill.input_len), setting)
    if same and count <= prefill.fabric.scale_up.n_chips:
        return Between("scale-up", 1.0, each)
    return Between("nic", 0.0, each)


class Running(NamedTuple):
    """Two pools at one rate."""

    rate: float
    ttft_s: float  # at the percentile of the objective
    steady: Steady  # of the prefill pool
    beyond_s: float  # TTFT outside the prefill pool
    transfer_alone_s: float
    transfer_shared_s: float
    transfer_exposed_s: float
    link_fraction: float
    batch: float  # per decode replica
    tpot_s: float


class Pair(NamedTuple):
    """Everything that a rate is judged with."""

    prefill_setting: records.ServingSetting
    decode_setting: records.ServingSetting
    goal: Goal
    link: Between


def transfer_alone_s(pair: Pair, prefill: Option, decode: Option) -> float:
    """A cache's time on the narrower of the two ends."""
    ends = (
        rank_link_bytes_per_s(prefill.plan, pair.prefill_setting.cluster, pair.link.inside),
        rank_link_bytes_per_s(decode.plan, pair.decode_setting.cluster, pair.link.inside),
    )
    return pair.link.bytes_each / min(ends)


def link_rate(pair: Pair, first: Filled, second: Filled) -> float:
    """Requests per second whose caches the links of the narrower pool carry."""
    rates = []
    for side, setting in ((first, pair.prefill_setting), (second, pair.decode_setting)):
        plan = side.option.plan
        whole = side.replicas * plan.attention_dp
        rates.append(whole * rank_link_bytes_per_s(plan, setting.cluster, pair.link.inside) / pair.link.bytes_each)
    return min(rates)


def running(pair: Pair, first: Filled, second: Filled, rate: float) -> Running:
    """Both pools at a rate that neither exceeds: TTFT from arrivals at random, TPOT from what is in flight."""
    demand, goal = pair.goal.demand, pair.goal
    prompt = only_prefill(goal)
    steady = open_loop(rate / first.replicas, prompt, pair.prefill_setting, first.option.plan)
    alone_s = transfer_alone_s(pair, first.option, second.option)
    load = rate / link_rate(pair, first, second)
    shared_s = shared_transfer_s(alone_s, load)
    prefill_s = prefill_pass(1.0, demand.input_len, 1.0, pair.prefill_setting, first.option.plan).total_s
    overlap = constant("transfer", "overlap_fraction").value
    n_layers = float(pair.prefill_setting.model.n_layers)
    exposed_s = exposed_transfer_s(shared_s, prefill_s, n_layers, overlap)
    setting, plan = pair.decode_setting, second.option.plan
    batch = settled_batch(rate / second.replicas, second.option.batch, setting, plan, demand)
    step_s = decode_step_s(batch, setting, plan, demand)
    n_slots = n_slots_of(demand, setting, plan)
    held_s = n_decode_steps(demand) * step_s
    wait_s = slot_wait_s(min(batch / n_slots, 1.0 - 1e-9), n_slots, held_s, demand.output_square_factor)
    beyond_s = pair.prefill_setting.engine.handover_s + exposed_s + wait_s
    return Running(
        rate,
        first_token_s(steady, goal.percentile) + beyond_s,
        steady,
        beyond_s,
        alone_s,
        shared_s,
        exposed_s,
        load,
        batch,
        step_s / demand.accepted_tokens,
    )


def settled_batch(
    rate: float, most: float, setting: records.ServingSetting, plan: records.ServingPlan, demand: Demand
) -> float:
    """Sequences in flight on a decode replica at a rate: where as many leave as come."""
    low, high = 0.0, most
    if decode_rate(most, setting, plan, demand) <= rate:
        return most
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if decode_rate(middle, setting, plan, demand) >= rate else (middle, high)
    return high


def held_rate(pair: Pair, first: Filled, second: Filled, most: float) -> float:
    """The most requests per second, up to `most`, that hold TTFT with the cache handed over; 0.0 if none do."""
    limit_s = pair.goal.ttft_s * NEARLY
    if running(pair, first, second, most).ttft_s <= limit_s:
        return most
    low, high = 0.0, most
    for step in range(HELD_STEPS):  # what is handed over costs little: look near the top first
        middle = 0.5 * (low + high) if step else most - NEAR_TOP * most
        low, high = (middle, high) if running(pair, first, second, middle).ttft_s <= limit_s else (low, middle)
    return low


class Solved(NamedTuple):
    """The best split of a question."""

    first: Filled
    second: Filled
    n_prefill: int
    n_decode: int
    now: Running
    link_rate: float
    n_considered: int

    @property
    def most(self) -> float:
        return min(self.first.rate, self.second.rate, self.link_rate)


def splits(asked: PoolsAsked) -> list[tuple[int, int]]:
    """Every way to share the chips that the question leaves open. Raises WrongInput where it contradicts itself."""
    first, second, total = asked.prefill.count, asked.decode.count, asked.count
    for name, value in (("--prefill-count", first), ("--decode-count", second), ("--count", total)):
        if value is not None and not 1 <= value <= MOST_COUNT:
            raise WrongInput(f"{name}: expected a whole number from 1 to {MOST_COUNT:,}, got {value:,}")
    if first is not None and second is not None:
        if total is not None and first + second != total:
            raise WrongInput(
                f"--count: {total:,} is not --prefill-count {first:,} and --decode-count {second:,} together"
            )
        return [(first, second)]
    if total is None:
        total = int(constant("objective", "count").value)
    if first is not None or second is not None:
        given = first or second or 0
        if given >= total:
            raise WrongInput(f"--count: {total:,} leaves no chip beside a pool of {given:,}")
        return [(first, total - first)] if first is not None else [(total - given, given)]
    if total < 2:
        raise WrongInput("--count: two pools need at least 2 chips")
    return [(n, total - n) for n in range(1, total)]


def solve(asked: PoolsAsked) -> tuple[Solved, Pair, ServeQuestion, ServeQuestion, Goal]:
    """The split, the layouts and the rate that cost least per token under the objectives, exactly over the space.

    Both pools are costed apart, each size of a replica once; every split is bounded by its slower pool and judged
    whole in order of that bound until no bound can win. Raises NoAnswer with what is nearest.
    """
    shares = splits(asked)
    total = sum(shares[0])
    most_first, most_second = max(n for n, _ in shares), max(n for _, n in shares)
    one, two = question_of(asked, asked.prefill, total), question_of(asked, asked.decode, total)
    goal = goal_of(asked, one)
    first_fixed, first_setting = layout_of(asked.prefill.plan, one.setting)
    second_fixed, second_setting = layout_of(asked.decode.plan, two.setting)
    first_setting = undisturbing(first_setting)
    pair = Pair(first_setting, second_setting, goal, link_between(one.base, two.base, total, first_setting))
    inside = goal._replace(ttft_s=goal.ttft_s - pair.prefill_setting.engine.handover_s)
    firsts = best_by_size(pair.prefill_setting, most_first, inside, PREFILL, first_fixed)
    if not firsts:
        raise no_prefill(pair.prefill_setting, one.base, most_first, goal, first_fixed)
    seconds = best_by_size(pair.decode_setting, most_second, goal, DECODE, second_fixed)
    if not seconds:
        raise no_decode(pair.decode_setting, two.base, most_second, goal, second_fixed)
    usd = rent(one.base)[0], rent(two.base)[0]
    bounds = []
    for n_first, n_second in shares:
        first, second = filled(firsts, n_first), filled(seconds, n_second)
        if first is None or second is None:
            continue
        rate = min(first.rate, second.rate, link_rate(pair, first, second))
        rate = min(rate, asked.rate or rate)
        bounds.append(((usd[0] * n_first + usd[1] * n_second) / rate, n_first, n_second, first, second, rate))
    if not bounds:
        least = min(firsts), min(seconds)
        raise NoAnswer(
            f"{total:,} chips hold no replica for prefill ({least[0]:,} {one.base.chip.name}) beside one for decode "
            f"({least[1]:,} {two.base.chip.name})",
            numbers={"count": total, "smallest_prefill": least[0], "smallest_decode": least[1]},
        )
    bounds.sort(key=lambda each: each[:3])
    best: tuple[float, Solved] | None = None
    for bound, n_first, n_second, first, second, rate in bounds:
        if best is not None and bound >= best[0]:
            break
        usd_per_h = usd[0] * n_first + usd[1] * n_second
        if best is not None and running(pair, first, second, usd_per_h / best[0]).ttft_s > goal.ttft_s * NEARLY:
            continue
        held = held_rate(pair, first, second, rate)
        if held <= 0.0:
            continue
        cost = usd_per_h / held
        if best is None or cost < best[0]:
            now = running(pair, first, second, held)
            best = cost, Solved(first, second, n_first, n_second, now, link_rate(pair, first, second), len(bounds))
    if best is None:
        _, _, _, first, second, _ = bounds[0]
        sent_s = transfer_alone_s(pair, first.option, second.option)
        raise NoAnswer(
            f"no split of {total:,} chips hands over the cache within TTFT {units.seconds(goal.ttft_s)}: "
            f"{pair.link.bytes_each / 1e6:,.0f} MB take {units.seconds(sent_s)} on the link alone",
            numbers={"ttft_s": goal.ttft_s, "count": total, "bytes": pair.link.bytes_each, "transfer_s": sent_s},
        )
    found = best[1]
    if asked.rate is not None and found.now.rate < asked.rate / NEARLY:
        raise NoAnswer(
            f"{asked.rate:g} requests/s are more than {found.now.rate:.3g}, the most that {total:,} chips take under "
            f"TTFT {units.seconds(goal.ttft_s)} and TPOT {units.seconds(goal.tpot_s)}",
            hint=f"about {math.ceil(total * asked.rate / found.now.rate):,} chips would do",
            numbers={"rate": asked.rate, "most": found.now.rate, "count": total},
        )
    return found, pair, one, two, goal


def no_prefill(
    setting: records.ServingSetting, question: Question, count: int, goal: Goal, fixed: Mapping[str, int]
) -> NoAnswer:
    """Why no prefill pool meets the objective, with the nearest point."""
    prompt = only_prefill(goal)
    fitting = [plan for _, plan in even_candidates(setting, count, fixed) if holds_prompts(setting, plan, prompt)]
    if not fitting:
        return does_not_fit(question, count, "prefill")
    least_s = min(first_token_s(open_loop(1e-9, prompt, setting, plan), goal.percentile) for plan in fitting)
    least_s += setting.engine.handover_s
    return NoAnswer(
        f"no layout on {count:,} x {question.chip.name} keeps TTFT under {units.seconds(goal.ttft_s)}: "
        f"{question.input_len:,} tokens alone take {units.seconds(least_s)} at least",
        hint=f"--ttft {math.ceil(1.2 * least_s * 1e3):,}ms leaves room for a queue",
        numbers={"ttft_s": goal.ttft_s, "least_ttft_s": least_s, "count": count},
    )


def no_decode(
    setting: records.ServingSetting, question: Question, count: int, goal: Goal, fixed: Mapping[str, int]
) -> NoAnswer:
    """Why no decode pool meets the objective, with the nearest point."""
    fitting = [plan for _, plan in even_candidates(setting, count, fixed) if holds_one(setting, plan, goal.demand)]
    if not fitting:
        return does_not_fit(question, count, "decode")
    demand = goal.demand
    least_s = min(decode_step_s(1.0, setting, plan, demand) for plan in fitting) / demand.accepted_tokens
    return NoAnswer(
        f"no layout on {count:,} x {question.chip.name} keeps TPOT under {units.seconds(goal.tpot_s)}: one sequence "
        f"alone takes {units.seconds(least_s)}",
        hint=f"--tpot {math.ceil(1.2 * least_s * 1e3):,}ms leaves room for a batch",
        numbers={"tpot_s": goal.tpot_s, "least_tpot_s": least_s, "count": count},
    )


def does_not_fit(question: Question, count: int, purpose: str) -> NoAnswer:
    """The answer where memory is short."""
    return NoAnswer(
        f"{purpose}: no layout on {count:,} x {question.chip.name} holds {question.model.name} and a sequence of "
        f"{question.input_len + question.output_len:,} tokens",
        hint="more chips, fewer bytes (--precision) or shorter sequences",
        numbers={"count": count, "available_bytes": question.chip.value("memory.capacity")},
    )


def pools(asked: PoolsAsked, *, compare: bool = True) -> Pools:
    """Prefill and decode apart: the best split of the chips, and the rate that it takes under the objectives.

    compare  whether to judge either chip alone too, in one pool and in two

    Raises WrongInput for a wrong question; NoAnswer, with the nearest point, where nothing meets the objectives.
    """
    found, pair, first, second, goal = solve(asked)
    one, two = first.base, second.base
    now = found.now
    usd = rent(one), rent(two)
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
    ttft_low, ttft_high = interval.around(now.ttft_s, width("ttft_interval", (0,)))
    tpot_low, tpot_high = interval.around(now.tpot_s, width("tpot_interval", (1,)))
    per_million = usd_per_h / 3600.0 / output * MILLION
    count = found.n_prefill + found.n_decode
    limits = {"prefill": found.first.rate, "decode": found.second.rate, "transfer": found.link_rate}
    narrow = min(limits, key=lambda name: limits[name])
    if asked.rate is not None and found.most > asked.rate * NEARLY:
        narrow = "load"
    warnings = [*dict.fromkeys((*one.warnings, *two.warnings))]
    if pair.prefill_setting.precision.kv_bytes != pair.decode_setting.precision.kv_bytes:
        warnings.append("the two pools keep the cache in different formats: it is sent as prefill writes it")
    steady = now.steady
    others = tuple(alternatives(asked, first, second, count)) if compare else ()
    return Pools(
        model=one.model.name,
        model_name=one.model.full_name,
        count=count,
        input_len=one.input_len,
        output_len=one.output_len,
        ttft_objective_ms=1e3 * goal.ttft_s,
        tpot_objective_ms=1e3 * goal.tpot_s,
        percentile=asked.percentile,
        rate=asked.rate,
        requests_per_s=now.rate,
        requests_per_s_low=rate_low,
        requests_per_s_high=rate_high,
        bottleneck=narrow,
        ttft_ms=1e3 * (steady.ttft_s + now.beyond_s),
        ttft_ms_low=1e3 * ttft_low,
        ttft_ms_high=1e3 * ttft_high,
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
        cost_usd_per_million_output_tokens=per_million,
        cost_usd_per_million_output_tokens_low=per_million * now.rate / rate_high,
        cost_usd_per_million_output_tokens_high=per_million * now.rate / rate_low,
        cost_usd_per_million_tokens_in=usd[0][0]
        * found.n_prefill
        / 3600.0
        / now.rate
        / goal.demand.input_len
        * MILLION,
        cost_usd_per_million_tokens_out=usd[1][0] * found.n_decode / 3600.0 / output * MILLION,
        usd_per_hour=usd_per_h,
        decode_usd_per_chip_hour_break_even=break_even(others, output, found, usd[0][0], one.chip.name, two.chip.name),
        energy_j_per_output_token=watts(pair, found, now) / output if known_power(pair) else None,
        prefill=pool_of(one, pair.prefill_setting, found.first, found.n_prefill, now, goal, usd[0], "prefill"),
        decode=pool_of(two, pair.decode_setting, found.second, found.n_decode, now, goal, usd[1], "decode"),
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
        n_considered=found.n_considered,
        assumptions=said(one, two, asked),
        warnings=tuple(warnings),
    )


def break_even(
    others: tuple[Alternative, ...], output: float, found: Solved, prefill_usd: float, prefill: str, decode: str
) -> float | None:
    """USD per decode chip-hour at which the split costs what the best alternative of the prefill chip alone does.

    None where the chips are the same, or where the prefill chip alone has no answer.
    """
    costs = [
        each.cost_usd_per_million_output_tokens
        for each in others
        if each.chip == prefill and each.cost_usd_per_million_output_tokens is not None
    ]
    if prefill == decode or not costs:
        return None
    worth_usd_per_h = min(costs) / MILLION * output * 3600.0
    return max(0.0, (worth_usd_per_h - prefill_usd * found.n_prefill) / found.n_decode)


def known_power(pair: Pair) -> bool:
    """Whether both chips' power is known."""
    return pair.prefill_setting.chip.peak_w > 0.0 and pair.decode_setting.chip.peak_w > 0.0


def watts(pair: Pair, found: Solved, now: Running) -> float:
    """Power at the meter, each pool as busy as the rate makes it."""
    total = 0.0
    for setting, count, filled_by in (
        (pair.prefill_setting, found.n_prefill, found.first),
        (pair.decode_setting, found.n_decode, found.second),
    ):
        total += meter_w(setting, count, min(1.0, now.rate / filled_by.rate))
    return total


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

    def time_s(resource: str, factor: float) -> float:
        better = improved_serving(setting, resource, factor)
        if purpose == "prefill":
            full = max(1.0, better.engine.chunk_tokens / demand.input_len)
            return prefill_pass(full, demand.input_len, float(plan.attention_dp), better, plan).total_s
        return decode_pass(now.batch, 1.0 + demand.n_drafts, cached_tokens(demand), better, plan).total_s

    slopes = elasticity(time_s)
    used = now.rate / pool.rate
    shown = ", ".join(f"{name}={value}" for name, value in plan._asdict().items() if value > 1)
    return Pool(
        chip=question.chip.name,
        chip_name=question.chip.full_name,
        count=count,
        replicas=pool.replicas,
        plan=plan._asdict() | {"chips": pool.option.size, "idle": count - pool.replicas * pool.option.size},
        plan_text=shown.replace(" ", "") or "tp=1",
        precision=question.precision,
        engine=question.engine.name,
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


def said(one: Question, two: Question, asked: PoolsAsked) -> tuple[Assumption, ...]:
    """What the answer rests on and nobody was asked for."""
    kept = ("input_len", "output_len", "fabric", "precision")
    found = [replace(each, name=f"prefill.{each.name}") for each in one.assumptions if each.name in kept[2:]]
    found += [replace(each, name=f"decode.{each.name}") for each in two.assumptions if each.name in kept[2:]]
    found += [each for each in one.assumptions if each.name in kept[:2]]
    named = [("transfer", "overlap_fraction"), ("slots", "margin_factor")]
    if asked.ttft_s is None:
        named.append(("objective", "ttft_s"))
    for section, name in named:
        number = constant(section, name)
        found.append(Assumption(name, number.value, number.kind, number.note or number.source, number.low, number.high))
    if asked.tpot_s is None:
        number = constants.default("serving", "tpot_s")
        found.append(Assumption("tpot_s", number.value, number.kind, number.note or number.source))
    for name, question in (("prefill", one), ("decode", two)):
        usd, basis = rent(question)
        own = question.chip.get("price.rent")
        found.append(Assumption(f"{name}.usd_per_chip_hour", usd, own.kind if own else "assumed", basis))
    return tuple(found)


def alternatives(asked: PoolsAsked, one: ServeQuestion, two: ServeQuestion, count: int) -> Iterator[Alternative]:
    """Either chip alone on as many chips: in one pool, and in two."""
    seen: set[str] = set()
    for side, question in ((asked.prefill, one), (asked.decode, two)):
        chip = question.base.chip.name
        if chip in seen:
            continue
        seen.add(chip)
        yield alone(asked, question, count)
        if one.base.chip.name != two.base.chip.name:
            plain = replace(side, count=None, plan="")
            yield apart(replace(asked, prefill=plain, decode=plain, count=count), chip)


def alone(asked: PoolsAsked, question: ServeQuestion, count: int) -> Alternative:
    """One pool of one chip under the same load and objectives."""
    goal = goal_of(asked, question)
    chip = question.base.chip.name
    name = f"{chip}, one pool"
    found = filled(best_by_size(question.setting, count, goal, TOGETHER, {}), count)
    if found is None:
        return nothing(name, "one pool", chip, count, "no layout holds both objectives")
    option = found.option
    done = open_loop(option.rate, goal.demand, question.setting, option.plan)
    times = first_token_s(done, goal.percentile), done.tpot_s
    usd_per_h = rent(question.base)[0] * count
    return spent(name, "one pool", chip, (count, 0), found.rate, goal, usd_per_h, times, shown_plan(option.plan))


def apart(asked: PoolsAsked, chip: str) -> Alternative:
    """Two pools of one chip under the same load and objectives."""
    name = f"{chip}, pools apart"
    try:
        found, _, one, _, goal = solve(replace(asked, rate=None))
    except NoAnswer as error:
        return nothing(name, "pools", chip, asked.count or 0, error.message)
    texts = f"{shown_plan(found.first.option.plan)} | {shown_plan(found.second.option.plan)}"
    counts = found.n_prefill, found.n_decode
    usd_per_h = rent(one.base)[0] * sum(counts)
    times = found.now.ttft_s, found.now.tpot_s
    return spent(name, "pools", chip, counts, found.now.rate, goal, usd_per_h, times, texts)


def shown_plan(plan: records.ServingPlan) -> str:
    """A replica's plan without what is 1.

    >>> shown_plan(records.ServingPlan(8, 1, 2, 16, 1))
    'tp=8,attention_dp=2,ep=16'
    """
    return ",".join(f"{name}={value}" for name, value in plan._asdict().items() if value > 1) or "tp=1"


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
        cost_usd_per_million_output_tokens=usd_per_h / 3600.0 / output * MILLION,
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
        cost_usd_per_million_output_tokens=None,
        ttft_ms=None,
        tpot_ms=None,
        plan_text="",
        why=why,
    )
