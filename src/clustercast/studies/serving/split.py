"""Pools apart, the search: every layout of either pool costed once, then every way to share the chips."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, NamedTuple

from clustercast import records, units
from clustercast.catalog import constants
from clustercast.catalog.constants import Constant
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates.elasticity import elasticity, improved_serving, limiting
from clustercast.estimates.job import usd_per_chip_hour
from clustercast.estimates.question import Question
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
    tpot_percentile_s,
    ttft_percentile_s,
    turn,
)
from clustercast.physics.serving import free_bytes, prefill_pass, rank_sequence_bytes
from clustercast.studies.serving.question import ServeQuestion, check_percentile, fill_serve, like, parse_plan
from clustercast.studies.serving.search import candidates, chunks_of, with_chunk

HALVINGS: Final = 20
LEAST_SHARE: Final = 1e-6  # of what a replica can do: below it a rate is none
HELD_STEPS: Final = 12
NEAR_TOP: Final = 1.0 / 32.0
MOST_COUNT: Final = 100_000
PREFILL, DECODE, TOGETHER, BOUND = range(4)
PLAIN_ROWS: Final = (2, 200, 0, 200)  # layouts of each kind below which plain Python is done before numba is loaded
NEARLY: Final = 1.0 + 1e-9
MOST_CANDIDATES: Final = 64  # sizes of a pool that are tried for a rate


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
    percentile: float | None = None  # of requests that meet the objectives; None: their mean does
    rate: float | None = None  # requests per second; None: the most that holds the objectives
    hit_fraction: float = 0.0
    n_drafts: float | None = None
    accepted_tokens: float | None = None


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
    chunk_tokens: int


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
        if owner == "job":  # is laid over the defaults
            continue
        if owner not in (*names, "chip", "fabric", "engine") or not rest:
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
    if question.demand.output_len < 2.0:
        raise WrongInput("--osl: expected at least 2 tokens where decode has a pool of its own")
    ttft_s = asked.ttft_s or constant("objective", "ttft_s").value
    tpot_s = asked.tpot_s or constants.default("serving", "tpot_s").value
    return Goal(question.demand, ttft_s, tpot_s, float(asked.percentile or 0))


def question_of(asked: PoolsAsked, side: Side, count: int) -> ServeQuestion:
    """One pool's chip, model, precision and engine. Raises WrongInput."""
    check_percentile(asked.percentile)
    own = {name: getattr(side, name) for name in ("chip", "engine", "precision", "fabric", "settings")}
    return fill_serve(like(asked, n_chips=count, percentile=None, **own))


def layout_of(text: str, setting: records.ServingSetting) -> tuple[dict[str, int], records.ServingSetting]:
    """What a plan fixes of a replica, and the setting with the chunk that it names. Raises WrongInput."""
    fixed = parse_plan(text)
    chunk = fixed.pop("chunk", None)
    left = [name for name in fixed if name not in records.ServingPlan._fields]
    if left:
        raise WrongInput(f"--plan: {left[0]} cannot be fixed here: the load and the chips decide it")
    return fixed, setting if chunk is None else with_chunk(setting, chunk)


def fixed_of(option: str, text: str) -> dict[str, int]:
    """What a pool's plan fixes of a replica. Raises WrongInput."""
    fixed = parse_plan(text, option)
    left = [name for name in fixed if name not in (*records.ServingPlan._fields, "chunk")]
    if left:
        raise WrongInput(f"{option}: {left[0]} cannot be fixed here: the load and the chips decide it")
    return fixed


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
    return goal.demand._replace(
        output_len=1.0,
        output_square_factor=1.0,
        output_inverse_factor=1.0,
        n_drafts=0.0,
        accepted_tokens=1.0,
    )


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


def first_token_s(done: Steady, demand: Demand, percentile: float) -> float:
    """TTFT at the percentile that the objective speaks of, 0: the mean."""
    if percentile <= 0.0 or not math.isfinite(done.ttft_s):
        return done.ttft_s
    return ttft_percentile_s(0.01 * percentile, done.shape, demand)


def each_token_s(done: Steady, demand: Demand, percentile: float) -> float:
    """TPOT at the percentile that the objective speaks of, 0: the mean."""
    if percentile <= 0.0 or not math.isfinite(done.tpot_s):
        return done.tpot_s
    return tpot_percentile_s(0.01 * percentile, done.shape, demand)


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

    0.0 where not even `least` does. The rate is one of 2^HALVINGS even steps up to `most`, whatever `least` is.
    """
    low = most * LEAST_SHARE
    high = most
    rate = max(least, low)
    for step in range(HALVINGS + 1):
        if step == 0 or rate > least:
            done = open_loop(rate, demand, setting, plan)
            held = first_token_s(done, demand, percentile) <= ttft_s
            held = held and each_token_s(done, demand, percentile) <= tpot_s
            if step == 0 and not held:
                return 0.0
            if step > 0 and held:
                low = rate
            elif step > 0:
                high = rate
        else:
            low = rate
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
    rows  [n, 7] a plan, the place of its size in `best`, and how many such replicas there are
    best  [sizes] the highest rate so far: a layout that does not reach it is given 0; TOGETHER [0] that of all replicas
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
        if kind == TOGETHER:
            least = best[0] / row[6]
            if rate > least:
                rate = open_rate(setting, plan, demand, ttft_s, tpot_s, percentile, least, rate)
                best[0] = max(best[0], rate * row[6])
            else:
                rate = 0.0
        else:
            best[size] = max(best[size], rate)
        out[at][0] = rate
        out[at][1] = batch


HELPERS: Final = (first_token_s, each_token_s, decode_step_s, decode_rate, crowded, decode_batch, open_rate)


def rates(
    setting: records.ServingSetting,
    demand: Demand,
    found: list[tuple[int, records.ServingPlan]],
    kind: int,
    goal: Goal,
    count: int,
    best: list[float] | None = None,
) -> list[list[float]]:
    """Rate and batch of each size and layout, plain or compiled; both give the same numbers.

    best  the highest rates so far by size, ascending; it is brought up to date
    """
    margin = constant("slots", "margin_factor").value
    normal = NormalDist().inv_cdf(0.01 * goal.percentile) if goal.percentile > 0.0 else 0.0
    numbers = (goal.ttft_s, goal.tpot_s, goal.percentile, normal, margin)
    places = {size: place for place, size in enumerate(sorted({size for size, _ in found}))}
    rows = [(*plan, places[size], max(count // size, 1)) for size, plan in found]
    highest = best if best is not None else [0.0] * len(places)
    if len(rows) <= PLAIN_ROWS[kind]:
        plain = [[0.0, 0.0] for _ in rows]
        fill_rates(setting, demand, rows, kind, *numbers, highest, plain)
        return plain
    import numpy as np

    from clustercast.physics import grid

    out = np.zeros((len(rows), 2))
    table = np.array(rows, dtype=np.float64)
    kept = np.array(highest)
    grid.compiled(fill_rates, *HELPERS)(setting, demand, table, kind, *numbers, kept, out)
    highest[:] = kept.tolist()
    return [list(map(float, line)) for line in out]


def best_by_size(
    setting: records.ServingSetting, count: int, goal: Goal, kind: int, fixed: Mapping[str, int]
) -> dict[int, Option]:
    """For each size of a replica the layout, and of a prefill pool the chunk, that takes the highest rate."""
    demand = only_prefill(goal) if kind == PREFILL else goal.demand
    each = even_candidates(setting, count, {name: value for name, value in fixed.items() if name != "chunk"})
    best: dict[int, Option] = {}
    highest = dict.fromkeys(sorted({size for size, _ in each}), 0.0)
    for chunk in (
        chunks_of(setting, fixed) if kind == PREFILL else (fixed.get("chunk", int(setting.engine.chunk_tokens)),)
    ):
        here = with_chunk(setting, chunk)
        fits = holds_prompts if kind == PREFILL else holds_one
        found = [one for one in each if fits(here, one[1], demand)]
        sizes = sorted({size for size, _ in found})
        so_far = [highest[size] for size in sizes]
        for (size, plan), (rate, batch) in zip(
            found, rates(here, demand, found, kind, goal, count, so_far), strict=True
        ):
            if rate > 0.0 and (size not in best or rate > best[size].rate * NEARLY):
                best[size] = Option(size, plan, rate, batch, chunk)
        highest |= dict(zip(sizes, so_far, strict=True))
    return best


def best_together(setting: records.ServingSetting, count: int, goal: Goal) -> "Filled | None":
    """The layout that prefills and decodes most in one pool of so many chips, and then its best chunk."""
    found = [each for each in even_candidates(setting, count, {}) if holds_one(setting, each[1], goal.demand)]
    guesses = rates(setting, goal.demand, found, BOUND, goal, count)
    order = sorted(range(len(found)), key=lambda at: -guesses[at][0] * (count // found[at][0]))
    found = [found[at] for at in order]  # the likeliest first: what cannot reach the best is soon done with
    best: Filled | None = None
    own = int(setting.engine.chunk_tokens)
    for size, plan, rate, batch in (
        (size, plan, rate, batch)
        for (size, plan), (rate, batch) in zip(
            found, rates(setting, goal.demand, found, TOGETHER, goal, count), strict=True
        )
    ):
        one = Filled(count // size, Option(size, plan, rate, batch, own))
        if rate > 0.0 and (best is None or one.rate > best.rate * NEARLY):
            best = one
    if best is None:
        return None
    for chunk in chunks_of(setting, {})[1:]:
        size, plan = best.option.size, best.option.plan
        here, highest = with_chunk(setting, chunk), [best.rate]
        ((rate, batch),) = rates(here, goal.demand, [(size, plan)], TOGETHER, goal, count, highest)
        if rate * best.replicas > best.rate * NEARLY:
            best = Filled(best.replicas, Option(size, plan, rate, batch, chunk))
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


def candidates_for(best: dict[int, Option], most: int, rate: float) -> list[tuple[int, Filled]]:
    """Numbers of chips without an idle one that take a rate, the fewest first: at most MOST_CANDIDATES of them."""
    counts: set[int] = set()
    for size, option in best.items():
        least = max(math.ceil(rate / NEARLY / option.rate), 1)
        counts |= {size * n for n in range(least, min(most // size, least + MOST_CANDIDATES) + 1)}
    found = []
    for count in sorted(counts)[:MOST_CANDIDATES]:
        use = filled(best, count)
        if use is not None and use.rate * NEARLY >= rate:
            found.append((count, use))
    return found


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
    prefill_setting = with_chunk(pair.prefill_setting, first.option.chunk_tokens)
    steady = open_loop(rate / first.replicas, prompt, prefill_setting, first.option.plan)
    alone_s = transfer_alone_s(pair, first.option, second.option)
    load = rate / link_rate(pair, first, second)
    shared_s = shared_transfer_s(alone_s, load)
    prefill_s = prefill_pass(1.0, demand.input_len, 1.0, prefill_setting, first.option.plan).total_s
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
        first_token_s(steady, prompt, goal.percentile) + beyond_s,
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


class Shares(NamedTuple):
    """What the question leaves open of the number of chips."""

    first: int | None
    second: int | None
    total: int

    @property
    def most_first(self) -> int:
        """The most chips that may prefill."""
        return self.first or self.total - (self.second or 1)

    @property
    def most_second(self) -> int:
        """The most chips that may decode."""
        return self.second or self.total - (self.first or 1)

    def splits(self) -> list[tuple[int, int]]:
        """Every way to share all the chips."""
        if self.first is not None or self.second is not None:
            return [(self.most_first, self.most_second)]
        return [(n, self.total - n) for n in range(1, self.total)]


def shares_of(asked: PoolsAsked) -> Shares:
    """How many chips there are. Raises WrongInput where the question contradicts itself."""
    first, second, total = asked.prefill.count, asked.decode.count, asked.count
    for name, value in (("--prefill-count", first), ("--decode-count", second), ("--count", total)):
        if value is not None and not 1 <= value <= MOST_COUNT:
            raise WrongInput(f"{name}: expected a whole number from 1 to {MOST_COUNT:,}, got {value:,}")
    if first is not None and second is not None:
        if total is not None and first + second != total:
            raise WrongInput(
                f"--count: {total:,} is not --prefill-count {first:,} and --decode-count {second:,} together"
            )
        return Shares(first, second, first + second)
    if total is None:
        total = int(constant("objective", "count").value)
    given = first or second or 0
    if given >= total:
        raise WrongInput(f"--count: {total:,} leaves no chip beside a pool of {given:,}")
    if total < 2:
        raise WrongInput("--count: two pools need at least 2 chips")
    return Shares(first, second, total)


class Problem(NamedTuple):
    """A question with every layout of both pools costed once."""

    asked: PoolsAsked
    shares: Shares
    one: ServeQuestion
    two: ServeQuestion
    pair: Pair
    firsts: dict[int, Option]
    seconds: dict[int, Option]
    usd: tuple[float, float]

    def cost_per_h(self, n_first: int, n_second: int) -> float:
        """USD per hour of both pools."""
        return self.usd[0] * n_first + self.usd[1] * n_second


def problem_of(
    asked: PoolsAsked, firsts: dict[int, Option] | None = None, seconds: dict[int, Option] | None = None
) -> Problem:
    """Both pools' layouts by size, unless known. Raises WrongInput; NoAnswer where a pool misses its objective."""
    shares = shares_of(asked)
    one, two = (question_of(asked, side, shares.total) for side in (asked.prefill, asked.decode))
    goal = goal_of(asked, one)
    first_fixed, second_fixed = (fixed_of(f"--{name}-plan", side.plan) for name, side in sides_of(asked))
    setting = undisturbing(one.setting)
    pair = Pair(setting, two.setting, goal, link_between(one.base, two.base, shares.total, setting))
    inside = goal._replace(ttft_s=goal.ttft_s - setting.engine.handover_s)
    if firsts is None:
        firsts = best_by_size(setting, shares.most_first, inside, PREFILL, first_fixed)
    if not firsts:
        raise no_prefill(setting, one.base, shares.most_first, goal, first_fixed)
    if seconds is None:
        seconds = best_by_size(two.setting, shares.most_second, goal, DECODE, second_fixed)
    if not seconds:
        raise no_decode(two.setting, two.base, shares.most_second, goal, second_fixed)
    usd = usd_per_chip_hour(one.base)[0], usd_per_chip_hour(two.base)[0]
    return Problem(asked, shares, one, two, pair, firsts, seconds, usd)


def sides_of(asked: PoolsAsked) -> tuple[tuple[str, Side], tuple[str, Side]]:
    """Both pools by name."""
    return ("prefill", asked.prefill), ("decode", asked.decode)


class Split(NamedTuple):
    """One way to share the chips, and the rate that neither pool nor the link exceeds."""

    n_first: int
    n_second: int
    first: Filled
    second: Filled
    most: float


def all_splits(problem: Problem) -> list[Split]:
    """Every split in which both pools hold a replica. Raises NoAnswer where there is none."""
    found = []
    for n_first, n_second in problem.shares.splits():
        first, second = filled(problem.firsts, n_first), filled(problem.seconds, n_second)
        if first is not None and second is not None:
            most = min(first.rate, second.rate, link_rate(problem.pair, first, second))
            found.append(Split(n_first, n_second, first, second, most))
    if not found:
        least = min(problem.firsts), min(problem.seconds)
        total, names = problem.shares.total, (problem.one.base.chip.name, problem.two.base.chip.name)
        raise NoAnswer(
            f"{total:,} chips hold no replica for prefill ({least[0]:,} {names[0]}) beside one for decode "
            f"({least[1]:,} {names[1]})",
            numbers={"count": total, "smallest_prefill": least[0], "smallest_decode": least[1]},
        )
    return found


def solve(problem: Problem) -> Solved:
    """The split, the layouts and the rate that cost least per token under the objectives, exactly over the space.

    Without a rate all chips are spent, and the rate is the most that holds the objectives; with one, no more chips
    than take it, the least rent first. Raises NoAnswer with what is nearest.
    """
    rate = problem.asked.rate
    if rate is None:
        return cheapest_token(problem, all_splits(problem))
    shares = problem.shares
    if shares.first is not None and shares.second is not None:
        found = cheapest_token(problem, [each._replace(most=min(each.most, rate)) for each in all_splits(problem)])
        if found.now.rate * NEARLY < rate:
            raise beyond(problem, found.now.rate)
        return found
    return least_rent(problem, rate)


def cheapest_token(problem: Problem, each: list[Split]) -> Solved:
    """The best of some splits: each is bounded by its slower part, and judged whole while its bound can win."""
    pair = problem.pair
    order = sorted((problem.cost_per_h(one.n_first, one.n_second) / one.most, one.n_first, one) for one in each)
    best: tuple[float, Split, Running] | None = None
    for bound, _, one in order:
        if best is not None and bound >= best[0]:
            break
        usd_per_h = problem.cost_per_h(one.n_first, one.n_second)
        if best is not None and not holds(pair, running(pair, one.first, one.second, usd_per_h / best[0])):
            continue
        held = held_rate(pair, one.first, one.second, one.most)
        if held > 0.0 and (best is None or usd_per_h / held < best[0]):
            best = usd_per_h / held, one, running(pair, one.first, one.second, held)
    if best is None:
        raise slow_link(problem, order[0][2])
    return solved(problem, best[1], best[2], len(each))


def least_rent(problem: Problem, rate: float) -> Solved:
    """The pools that take a rate for the least rent: pairs of sizes in order of their rent until one holds TTFT."""
    shares, pair = problem.shares, problem.pair
    firsts = candidates_for(problem.firsts, shares.most_first, rate)
    seconds = candidates_for(problem.seconds, shares.most_second, rate)
    if shares.first is not None:
        firsts = [(shares.first, use) for use in (filled(problem.firsts, shares.first),) if use and use.rate >= rate]
    if shares.second is not None:
        seconds = [
            (shares.second, use) for use in (filled(problem.seconds, shares.second),) if use and use.rate >= rate
        ]
    each = [
        Split(n_first, n_second, first, second, link_rate(pair, first, second))
        for n_first, first in firsts
        for n_second, second in seconds
        if n_first + n_second <= shares.total
    ]
    each.sort(key=lambda one: (problem.cost_per_h(one.n_first, one.n_second), one.n_first + one.n_second))
    for one in each:
        if rate < one.most:
            now = running(pair, one.first, one.second, rate)
            if holds(pair, now):
                return solved(problem, one, now, len(each))
    if each:
        raise slow_link(problem, each[-1])
    raise beyond(problem, max(one.most for one in all_splits(problem)))


def holds(pair: Pair, now: Running) -> bool:
    """Whether TTFT is within its objective."""
    return now.ttft_s <= pair.goal.ttft_s * NEARLY


def solved(problem: Problem, one: Split, now: Running, n_considered: int) -> Solved:
    """A split as it is answered."""
    link = link_rate(problem.pair, one.first, one.second)
    return Solved(one.first, one.second, one.n_first, one.n_second, now, link, n_considered)


def slow_link(problem: Problem, one: Split) -> NoAnswer:
    """The answer where the cache comes too late."""
    pair, goal = problem.pair, problem.pair.goal
    sent_s = transfer_alone_s(pair, one.first.option, one.second.option)
    return NoAnswer(
        f"no split of {problem.shares.total:,} chips hands over the cache within TTFT {units.seconds(goal.ttft_s)}: "
        f"{pair.link.bytes_each / 1e6:,.0f} MB take {units.seconds(sent_s)} on the link alone",
        numbers={
            "ttft_s": goal.ttft_s, "count": problem.shares.total, "bytes": pair.link.bytes_each, "transfer_s": sent_s,
        },
    )  # fmt: skip


def beyond(problem: Problem, most: float) -> NoAnswer:
    """The answer where a rate is more than the chips take: the most they do, and which part of the best split binds."""
    rate, goal, total = problem.asked.rate or 0.0, problem.pair.goal, problem.shares.total
    one = max(all_splits(problem), key=lambda each: each.most)
    limits = {"prefill": one.first.rate, "decode": one.second.rate}
    limits["transfer"] = link_rate(problem.pair, one.first, one.second)
    binds = min(limits, key=lambda name: limits[name])
    return NoAnswer(
        f"{rate:g} requests/s are more than {most:.3g}, the most that {total:,} chips take under "
        f"TTFT {units.seconds(goal.ttft_s)} and TPOT {units.seconds(goal.tpot_s)}: {one.n_first:,} prefill and "
        f"{one.n_second:,} decode, {binds} binds",
        hint=f"about {math.ceil(total * rate / most):,} chips would do",
        numbers={
            "rate": rate, "most": most, "count": total, "prefill_count": one.n_first, "decode_count": one.n_second,
            "binds": binds,
        },
    )  # fmt: skip


def no_prefill(
    setting: records.ServingSetting, question: Question, count: int, goal: Goal, fixed: Mapping[str, int]
) -> NoAnswer:
    """Why no prefill pool meets the objective, with the nearest point and what binds there."""
    prompt = only_prefill(goal)
    layout = {name: value for name, value in fixed.items() if name != "chunk"}
    fitting = [plan for _, plan in even_candidates(setting, count, layout) if holds_prompts(setting, plan, prompt)]
    if not fitting:
        return does_not_fit(question, count, "prefill")

    def alone_s(plan: records.ServingPlan) -> float:
        return first_token_s(open_loop(1e-9, prompt, setting, plan), prompt, goal.percentile)

    best = min(fitting, key=alone_s)
    least_s = alone_s(best) + setting.engine.handover_s

    def time_s(resource: str, factor: float) -> float:
        return prefill_pass(1.0, prompt.input_len, 1.0, improved_serving(setting, resource, factor), best).total_s

    binds = limiting(elasticity(time_s))
    return NoAnswer(
        f"no layout on {count:,} x {question.chip.name} keeps TTFT under {units.seconds(goal.ttft_s)}: "
        f"{question.input_len:,} tokens alone take {units.seconds(least_s)} at least, with {shown_plan(best)}; "
        f"{in_words(binds)} binds",
        hint=f"--ttft {math.ceil(1.2 * least_s * 1e3):,}ms leaves room for a queue".replace(",", ""),
        numbers={
            "ttft_s": goal.ttft_s, "least_ttft_s": least_s, "count": count, "plan": shown_plan(best), "binds": binds,
        },
    )  # fmt: skip


def no_decode(
    setting: records.ServingSetting, question: Question, count: int, goal: Goal, fixed: Mapping[str, int]
) -> NoAnswer:
    """Why no decode pool meets the objective, with the nearest point and what binds there."""
    layout = {name: value for name, value in fixed.items() if name != "chunk"}
    fitting = [plan for _, plan in even_candidates(setting, count, layout) if holds_one(setting, plan, goal.demand)]
    if not fitting:
        return does_not_fit(question, count, "decode")
    demand = goal.demand
    best = min(fitting, key=lambda plan: decode_step_s(1.0, setting, plan, demand))
    least_s = decode_step_s(1.0, setting, best, demand) / demand.accepted_tokens

    def time_s(resource: str, factor: float) -> float:
        return decode_step_s(1.0, improved_serving(setting, resource, factor), best, demand)

    binds = limiting(elasticity(time_s))
    return NoAnswer(
        f"no layout on {count:,} x {question.chip.name} keeps TPOT under {units.seconds(goal.tpot_s)}: one sequence "
        f"alone takes {units.seconds(least_s)}, with {shown_plan(best)}; {in_words(binds)} binds",
        hint=f"--tpot {math.ceil(1.2 * least_s * 1e3)}ms leaves room for a batch",
        numbers={
            "tpot_s": goal.tpot_s, "least_tpot_s": least_s, "count": count, "plan": shown_plan(best), "binds": binds,
        },
    )  # fmt: skip


def in_words(resource: str) -> str:
    """A resource as a sentence names it.

    >>> in_words("hbm_bandwidth"), in_words("scale_up")
    ('HBM bandwidth', 'scale up')
    """
    return resource.replace("_", " ").replace("hbm", "HBM")


def does_not_fit(question: Question, count: int, purpose: str) -> NoAnswer:
    """The answer where memory is short."""
    return NoAnswer(
        f"{purpose}: no layout on {count:,} x {question.chip.name} holds {question.model.name} and a sequence of "
        f"{question.input_len + question.output_len:,} tokens",
        hint="more chips, fewer bytes (--precision) or shorter sequences",
        numbers={"count": count, "available_bytes": question.chip.value("memory.capacity")},
    )


def shown_plan(plan: records.ServingPlan) -> str:
    """A replica's plan without what is 1.

    >>> shown_plan(records.ServingPlan(8, 1, 2, 16, 1))
    'tp=8,attention_dp=2,ep=16'
    """
    return ",".join(f"{name}={value}" for name, value in plan._asdict().items() if value > 1) or "tp=1"
