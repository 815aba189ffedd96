"""Which layout, batch and prefill chunk serve best: an exact search over a stated space.

The space: every layout of `estimates.serving.layouts` over the replica sizes that divide the chips, every chunk of
`CHUNKS` and the engine's own, every whole number of sequences that fits. A larger batch hardly ever makes a request
faster, and never by more than `KEPT` leaves (a law that the tests hold), so throughput of any batch up to b is at most
b over that share of the latency of the smallest: whole ranges of batches are left out unseen, and what is found is the
best of all. The loops below are plain Python and are compiled as they stand where that pays; both give the same
numbers.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from clustercast.errors import WrongInput
from clustercast.estimates.result import Search
from clustercast.estimates.serving import layouts, sizes
from clustercast.physics.loop import closed_loop
from clustercast.physics.queueing import Demand, open_loop, tpot_percentile_s, ttft_percentile_s
from clustercast.physics.serving import decode_pool, free_bytes, in_flight_limit, rank_sequence_bytes
from clustercast.plans import rules
from clustercast.records import ServingJob, ServingPlan, ServingSetting

CHUNKS: Final = (2048, 4096, 8192, 16384)  # most tokens of one prefill step
ONE_POOL: Final = 0  # prefill and decode in turns on the same chips
DECODE_ONLY: Final = 1
NOTHING: Final[Mapping[str, int]] = MappingProxyType({})
SCANNED: Final = 64  # replicas that are tried one by one
PER_DOUBLING: Final = 8  # batches of a frontier
KEPT: Final = 0.8  # of its latency that a request takes at least when there are more of them
KEPT_TPOT: Final = 0.6
KEPT_TTFT: Final = 0.65  # prompts may meet other steps
KEPT_IN_TURNS: Final = 0.75  # the same where prefill stops decoding: more clients may swing, which groups their prompts
KEPT_TPOT_IN_TURNS: Final = 0.5
KEPT_TTFT_IN_TURNS: Final = 0.15
DEPTH: Final = 256  # ranges of batches that wait to be looked at
PLAIN_SETUPS: Final = 400  # below this the plain loop is done before the compiled one is loaded: bench/serve_rate.py
STARTS_PER_LAYOUT: Final = 4  # setups that a layout costs, about
PLAIN_ARRIVALS: Final = 40  # the same limit where a setup is a whole steady state under arrivals
FEASIBLE, BY_TTFT, BY_TPOT, BY_RATE, BY_CACHE, WORSE = range(6)
REASONS: Final = ("feasible", "ttft", "tpot", "capacity", "cache", "not better")


class Limits(NamedTuple):
    """Objectives in seconds; infinite where there is none."""

    ttft_s: float = math.inf
    tpot_s: float = math.inf

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return math.isfinite(self.ttft_s) or math.isfinite(self.tpot_s)


class Layouts(NamedTuple):
    """The layouts of a question: rows of tp, pp, attention_dp, ep, etp, chips, most sequences that fit."""

    rows: list[tuple[int, int, int, int, int, int, int]]
    n_too_large: int  # layouts whose chips do not hold the weights and one request

    def plan(self, at: int) -> ServingPlan:
        """One layout as the physics takes it."""
        return ServingPlan(*self.rows[at][:5])


class Load(NamedTuple):
    """What one replica sees, of everything that a search may ask for."""

    job: ServingJob
    demand: Demand
    concurrency: float  # requests in flight on all chips, 0: none given
    requests_per_s: float  # on all chips, 0: none given
    percentile: float  # of TTFT and TPOT that the objectives speak of, 0: the mean


class Found(NamedTuple):
    """One setup of the space."""

    plan: ServingPlan
    size: int  # chips of a replica
    replicas: int
    batch: float  # sequences on one replica
    chunk_tokens: int


class Nearest(NamedTuple):
    """How near the space comes to objectives that nothing in it meets."""

    setup: Found
    ttft_s: float
    tpot_s: float
    capacity_requests_per_s: float  # most that any setup finishes, where none keeps up with arrivals; else 0


class Outcome(NamedTuple):
    """What a search came to: the best setup, or how near it got."""

    best: Found | None
    nearest: Nearest | None
    search: Search


class Point(NamedTuple):
    """One setup of the frontier."""

    plan: ServingPlan
    size: int
    replicas: int
    batch: int
    chunk_tokens: int
    ttft_s: float
    tpot_s: float
    requests_per_s: float  # of all replicas


def with_chunk(setting: ServingSetting, chunk_tokens: float) -> ServingSetting:
    """The same setting with another size of prefill steps."""
    return setting._replace(engine=setting.engine._replace(chunk_tokens=float(chunk_tokens)))


def chunks_of(setting: ServingSetting, fixed: Mapping[str, int]) -> tuple[int, ...]:
    """Prefill chunks to try; the engine's own first, so that it wins a tie."""
    if "chunk" in fixed:
        return (fixed["chunk"],)
    own = int(setting.engine.chunk_tokens)
    return (own, *(chunk for chunk in CHUNKS if chunk != own))


def candidates(setting: ServingSetting, n_chips: int, fixed: Mapping[str, int]) -> list[tuple[int, ServingPlan]]:
    """Every layout that holds what is fixed, with its chips, small replicas first.

    Raises WrongInput where what is fixed breaks a rule, or where no layout of so many chips holds it.
    """
    model, domain = setting.model, setting.cluster.scale_up.n_chips
    broken = rules.tp_broken(fixed.get("tp", 1), model)
    if not broken and fixed.get("pp", 1) > model.n_layers:
        broken = f"pipeline parallel {fixed['pp']} is more than {model.n_layers} layers"
    if not broken and model.n_moe_layers == 0:
        named = [name for name in ("attention_dp", "ep", "etp") if fixed.get(name, 1) > 1]
        broken = f"{named[0]} {fixed[named[0]]} needs a mixture of experts; use replicas" if named else ""
    if not broken and fixed.get("ep", 1) > max(model.n_experts, 1):
        broken = f"expert parallel {fixed['ep']} is more than {model.n_experts} experts"
    if not broken and model.n_moe_layers and model.expert_ffn % fixed.get("etp", 1):
        broken = f"expert tensor parallel {fixed['etp']} does not divide the expert width {model.expert_ffn}"
    if broken:
        raise WrongInput(f"--plan: {broken}")
    names = [name for name in ServingPlan._fields if name in fixed]
    if {"tp", "pp", "attention_dp"} <= set(names) or {"tp", "attention_dp"} <= set(names):
        return [_given(setting, n_chips, fixed)]
    replicas = fixed.get("replicas", 1)
    found = []
    for size in sizes(n_chips // replicas, domain):
        for plan in layouts(size, model, domain):
            if all(getattr(plan, name) == fixed[name] for name in names):
                found.append((size, plan))
    if not found:
        shown = ", ".join(f"{name}={value}" for name, value in fixed.items())
        raise WrongInput(f"--plan: no layout of {n_chips:,} chips holds {shown or 'anything'}")
    return found


def _given(setting: ServingSetting, n_chips: int, fixed: Mapping[str, int]) -> tuple[int, ServingPlan]:
    """The layout that a plan with tp and attention_dp means; one pipeline stage and spread experts if not said."""
    model = setting.model
    tp, pp, attention_dp = fixed["tp"], fixed.get("pp", 1), fixed["attention_dp"]
    group = tp * attention_dp
    ep, etp = 1, 1
    if model.n_moe_layers:
        ep = fixed.get("ep", group // fixed["etp"] if "etp" in fixed else math.gcd(group, model.n_experts))
        etp = fixed.get("etp", max(group // ep, 1))
        if ep * etp != group:
            raise WrongInput(f"--plan: ep x etp {ep} x {etp} is not tp x attention_dp {tp} x {attention_dp}")
        if model.expert_ffn % etp:
            raise WrongInput(f"--plan: expert slices {etp} do not divide the expert width {model.expert_ffn}")
    used = group * pp * fixed.get("replicas", 1)
    if used > n_chips:
        raise WrongInput(f"--plan: tp x pp x attention_dp x replicas {used:,} is more than {n_chips:,} chips")
    return group * pp, ServingPlan(tp, pp, attention_dp, ep, etp)


def holding(
    setting: ServingSetting, job: ServingJob, longest: float, each: Sequence[tuple[int, ServingPlan]]
) -> Layouts:
    """The layouts whose chips hold the weights and a request of `longest` tokens, with the sequences that fit them."""
    rows = []
    endless = job._replace(batch=math.inf)
    for size, plan in each:
        if rank_sequence_bytes(longest, setting, plan) <= free_bytes(setting, plan):
            rows.append((*plan, size, math.floor(in_flight_limit(endless, setting, plan))))
    return Layouts(rows, len(each) - len(rows))


def _load_of(kind: int, batch: float, job: ServingJob, setting: ServingSetting, plan: ServingPlan) -> Any:
    """One replica with so many sequences in flight."""
    here = ServingJob(
        job.input_len,
        job.output_len,
        batch,
        job.n_drafts,
        job.accepted_tokens,
        job.hit_fraction,
        job.input_square_factor,
        job.output_square_factor,
        job.n_waves,
    )
    if kind == DECODE_ONLY:
        return decode_pool(setting, here, plan)
    return closed_loop(setting, here, plan)


def search_batches(
    setting: ServingSetting,
    job: ServingJob,
    rows: Any,
    n_chips: int,
    max_replicas: int,
    least_batch: int,
    ttft_limit_s: float,
    tpot_limit_s: float,
    kind: int,
    best: Any,
    counts: Any,
    waiting: Any,
) -> None:
    """The layout and batch with the most requests per second, into `best` if above its rate.

    best     [6] rate, layout, batch; least excess over the objectives with one batch, its layout, 1 once known
    counts   [REASONS] setups
    waiting  [DEPTH, 3] smallest and largest batch of a range, latency at the smallest
    """
    kept, kept_tpot, kept_ttft = KEPT_IN_TURNS, KEPT_TPOT_IN_TURNS, KEPT_TTFT_IN_TURNS
    if setting.engine.mixed_share > 0.5:
        kept, kept_tpot, kept_ttft = KEPT, KEPT_TPOT, KEPT_TTFT
    for at in range(len(rows)):
        row = rows[at]
        plan = ServingPlan(int(row[0]), int(row[1]), int(row[2]), int(row[3]), int(row[4]))
        replicas = float(min(n_chips // int(row[5]), max_replicas))
        most = int(row[6])
        low = least_batch
        high = most
        n_waiting = 0
        latency_s = 0.0
        fresh = True  # `low` has not been looked at
        leap = True  # straight to the least batch that could be better, between two halvings
        while True:
            if fresh:
                found = _load_of(kind, float(low), job, setting, plan)
                latency_s = found.latency_s
                verdict = FEASIBLE
                if found.tpot_s > tpot_limit_s:
                    verdict = BY_TPOT
                elif found.ttft_s > ttft_limit_s:
                    verdict = BY_TTFT
                if low == least_batch:
                    excess = max(found.ttft_s / ttft_limit_s, found.tpot_s / tpot_limit_s)
                    if best[5] == 0.0 or excess < best[3]:
                        best[3] = excess
                        best[4] = at
                        best[5] = 1.0
                if verdict == FEASIBLE:
                    counts[FEASIBLE] += 1
                    if replicas * found.requests_per_s > best[0]:
                        best[0] = replicas * found.requests_per_s
                        best[1] = at
                        best[2] = low
                elif kept_tpot * found.tpot_s > tpot_limit_s or kept_ttft * found.ttft_s > ttft_limit_s:
                    counts[verdict] += high - low + 1
                    high = low
                else:
                    counts[verdict] += 1
            if high > low and replicas * high / (kept * latency_s) > best[0]:
                needed = min(math.floor(kept * best[0] * latency_s / replicas) + 1, high)
                if leap and needed > low + 1:
                    counts[WORSE] += needed - low - 1
                    low = needed
                    fresh = True
                    leap = False
                    continue
                middle = low + 1 + (high - low - 1) // 2
                waiting[n_waiting][0] = low
                waiting[n_waiting][1] = middle - 1
                waiting[n_waiting][2] = latency_s
                n_waiting += 1
                low = middle
                fresh = True
                leap = True
                continue
            counts[WORSE] += high - low
            if n_waiting == 0:
                break
            n_waiting -= 1
            low = int(waiting[n_waiting][0])
            high = int(waiting[n_waiting][1])
            latency_s = waiting[n_waiting][2]
            fresh = False
            leap = True


def _under_load(
    replicas: int,
    concurrency: float,
    requests_per_s: float,
    percentile: float,
    job: ServingJob,
    demand: Demand,
    setting: ServingSetting,
    plan: ServingPlan,
) -> tuple[float, float, float, float]:
    """TTFT, TPOT and latency when so many replicas share the load, infinite beyond what they can serve, and that."""
    if requests_per_s <= 0.0:
        found = _load_of(ONE_POOL, concurrency / replicas, job, setting, plan)
        return found.ttft_s, found.tpot_s, found.latency_s, 0.0
    steady = open_loop(requests_per_s / replicas, demand, setting, plan)
    ttft_s = steady.ttft_s
    tpot_s = steady.tpot_s
    if percentile > 0.0 and math.isfinite(steady.latency_s):
        ttft_s = ttft_percentile_s(0.01 * percentile, steady.shape, demand)
        tpot_s = tpot_percentile_s(0.01 * percentile, steady.shape, demand)
    return ttft_s, tpot_s, steady.latency_s, replicas * steady.saturation_requests_per_s


def _verdict(ttft_s: float, tpot_s: float, latency_s: float, ttft_limit_s: float, tpot_limit_s: float) -> int:
    """Whether times meet the objectives, and if not, which they miss."""
    if not math.isfinite(latency_s):
        return BY_RATE
    if tpot_s > tpot_limit_s:
        return BY_TPOT
    if ttft_s > ttft_limit_s:
        return BY_TTFT
    return FEASIBLE


def search_replicas(
    setting: ServingSetting,
    job: ServingJob,
    demand: Demand,
    rows: Any,
    n_chips: int,
    max_replicas: int,
    least_replicas: int,
    concurrency: float,
    requests_per_s: float,
    percentile: float,
    ttft_limit_s: float,
    tpot_limit_s: float,
    cheapest: int,
    all_at_once: int,
    best: Any,
    counts: Any,
) -> None:
    """The layout and number of replicas for a load, into `best` if better than what is there.

    cheapest     1: fewest chips that meet the objectives, then the fastest; 0: the fastest, all replicas in use
    all_at_once  1: nobody may wait for memory
    best         [11] chips, latency, layout, replicas; least excess, its layout, replicas, TTFT, TPOT; most requests
                 per second, its layout
    Up to SCANNED numbers of replicas are tried one by one; more, and under arrivals, by halving: more replicas are not
    slower.
    """
    for at in range(len(rows)):
        row = rows[at]
        plan = ServingPlan(int(row[0]), int(row[1]), int(row[2]), int(row[3]), int(row[4]))
        size = int(row[5])
        most = min(n_chips // size, max_replicas)
        if concurrency > 0.0:
            most = max(min(most, int(concurrency)), least_replicas)
        fewest = most
        if cheapest == 1:
            fewest = int(min(float(most), best[0] // size))
        counts[WORSE] += most - max(fewest, least_replicas - 1)
        low = least_replicas - 1
        if all_at_once == 1:
            low = max(low, math.ceil(concurrency / row[6]) - 1)
            counts[BY_CACHE] += max(min(low, fewest) - least_replicas + 1, 0)
        if fewest <= low:
            continue
        scan = cheapest == 1 and fewest - low <= SCANNED and requests_per_s <= 0.0
        replicas = fewest
        if scan:
            replicas = low + 1
        chosen_s = -1.0
        while replicas > low:
            ttft_s, tpot_s, latency_s, capacity = _under_load(
                replicas, concurrency, requests_per_s, percentile, job, demand, setting, plan
            )
            verdict = _verdict(ttft_s, tpot_s, latency_s, ttft_limit_s, tpot_limit_s)
            if replicas == most and capacity > best[9]:
                best[9] = capacity
                best[10] = at
            if verdict == FEASIBLE:
                counts[FEASIBLE] += 1
                counts[WORSE] += fewest - replicas
                if chosen_s >= 0.0:
                    counts[WORSE] -= 1  # the one that did before
                fewest = replicas
                chosen_s = latency_s
                if cheapest == 0:
                    counts[WORSE] += fewest - low - 1
                if scan or cheapest == 0:
                    break
            else:
                excess = max(ttft_s / ttft_limit_s, tpot_s / tpot_limit_s)
                if verdict != BY_RATE and excess < best[4]:
                    best[4] = excess
                    best[5] = at
                    best[6] = replicas
                    best[7] = ttft_s
                    best[8] = tpot_s
                next_one = replicas + 1
                if scan and verdict == BY_RATE:
                    next_one = max(next_one, min(math.ceil(requests_per_s / (capacity / replicas)), fewest))
                if scan:
                    counts[verdict] += next_one - replicas
                    replicas = next_one
                    if replicas > fewest:
                        break
                    continue
                counts[verdict] += replicas - low
                low = replicas
                if replicas == fewest:
                    break
            replicas = (low + fewest) // 2
        if chosen_s < 0.0:
            continue
        chips = 0.0
        if cheapest == 1:
            chips = float(fewest * size)
        if chips < best[0] or (chips == best[0] and chosen_s < best[1]):
            best[0] = chips
            best[1] = chosen_s
            best[2] = at
            best[3] = fewest


def run_points(setting: ServingSetting, job: ServingJob, rows: Any, batches: Any, kind: int, out: Any) -> None:
    """TTFT, TPOT, latency and requests per second of each layout with its batch, into `out` [n, 4]."""
    for at in range(len(rows)):
        row = rows[at]
        plan = ServingPlan(int(row[0]), int(row[1]), int(row[2]), int(row[3]), int(row[4]))
        found = _load_of(kind, float(batches[at]), job, setting, plan)
        out[at][0] = found.ttft_s
        out[at][1] = found.tpot_s
        out[at][2] = found.latency_s
        out[at][3] = found.requests_per_s


HELPERS: Final = (_load_of, _under_load, _verdict)


def _driver(function: Callable[..., None], *, compiled: bool) -> tuple[Callable[..., None], Callable[[Any], Any]]:
    """The loop plain or compiled, and what makes a table for it."""
    if not compiled:
        return function, lambda table: table
    import numpy as np

    from clustercast.physics import grid

    return grid.compiled(function, *HELPERS), lambda table: np.array(table, dtype=np.float64)


def batches_pay(n_layouts: int, n_chunks: int) -> bool:
    """Whether a search for the best batch is done sooner compiled."""
    return STARTS_PER_LAYOUT * n_layouts * n_chunks > PLAIN_SETUPS


def loads_pay(n_layouts: int, n_chunks: int, load: Load, limits: Limits) -> bool:
    """Whether a search for a load is done sooner compiled."""
    setups = (3 if limits.given else 1) * n_layouts * n_chunks
    return setups > (PLAIN_ARRIVALS if load.requests_per_s > 0.0 else PLAIN_SETUPS)


def best_batch(
    setting: ServingSetting,
    job: ServingJob,
    space: Layouts,
    n_chips: int,
    limits: Limits,
    *,
    chunks: Sequence[int] = (),
    fixed: Mapping[str, int] = NOTHING,
    kind: int = ONE_POOL,
    above_requests_per_s: float = 0.0,
    compiled: bool | None = None,
) -> Outcome:
    """The setup with the most tokens per second under objectives on mean times.

    chunks    prefill chunks to try; none: the engine's own
    fixed     replicas and batch (of one replica), where they are fixed
    above_requests_per_s  a setup counts only if it does more
    compiled  None: where it pays
    """
    started = time.perf_counter()
    tried = tuple(chunks) or (int(setting.engine.chunk_tokens),)
    most_replicas, least = fixed.get("replicas", n_chips), fixed.get("batch", 1)
    kept = [(*row[:6], fixed.get("batch", row[6])) for row in space.rows if row[6] >= least]
    space = Layouts(kept, space.n_too_large + len(space.rows) - len(kept))
    if compiled is None:
        compiled = batches_pay(len(kept), len(tried))
    run, table = _driver(search_batches, compiled=compiled)
    best = table([above_requests_per_s, -1.0, 0.0, math.inf, -1.0, 0.0])
    counts = table([0.0] * len(REASONS))
    waiting = table([[0.0] * 3 for _ in range(DEPTH)])
    rows = table(kept)
    chosen = nearest_chunk = tried[0]
    for chunk in tried if kept else ():
        before, excess = float(best[0]), float(best[3])
        run(
            with_chunk(setting, chunk), job, rows, n_chips, most_replicas, least,
            limits.ttft_s, limits.tpot_s, kind, best, counts, waiting,
        )  # fmt: skip
        chosen = chunk if float(best[0]) > before else chosen
        nearest_chunk = chunk if float(best[3]) < excess else nearest_chunk

    def setup(at: int, batch: int, chunk: int) -> Found:
        size = kept[at][5]
        return Found(space.plan(at), size, min(n_chips // size, most_replicas), float(batch), chunk)

    looked = _looked(counts, space, len(tried), started, fixed)
    if best[1] >= 0:
        return Outcome(setup(int(best[1]), int(best[2]), chosen), None, looked)
    if best[4] < 0:
        return Outcome(None, None, looked)
    near = setup(int(best[4]), least, nearest_chunk)
    found = _load_of(kind, float(least), job, with_chunk(setting, nearest_chunk), near.plan)
    return Outcome(None, Nearest(near, found.ttft_s, found.tpot_s, 0.0), looked)


def best_under_load(
    setting: ServingSetting,
    load: Load,
    space: Layouts,
    n_chips: int,
    limits: Limits,
    *,
    chunks: Sequence[int] = (),
    fixed: Mapping[str, int] = NOTHING,
    below_s: float = math.inf,
    compiled: bool | None = None,
) -> Outcome:
    """The setup for a load: fewest chips that meet the objectives, or the fastest where there is no objective.

    below_s  of setups on all `n_chips` one counts only if a request takes less

    Where requests in flight are given with an objective but none on TTFT, none of them may wait for memory.
    """
    started = time.perf_counter()
    tried = tuple(chunks) or (int(setting.engine.chunk_tokens),)
    if compiled is None:
        compiled = loads_pay(len(space.rows), len(tried), load, limits)
    run, table = _driver(search_replicas, compiled=compiled)
    at_once = load.concurrency > 0.0 and limits.given and not math.isfinite(limits.ttft_s)
    most = float(n_chips) + (0.0 if math.isfinite(below_s) else 1.0)
    first = [most if limits.given else 0.0, below_s, -1.0, 0.0]
    best = table([*first, math.inf, -1.0, 0.0, 0.0, 0.0, 0.0, -1.0])
    counts = table([0.0] * len(REASONS))
    rows = table(space.rows)
    chosen = nearest_chunk = widest_chunk = tried[0]
    for chunk in tried if space.rows else ():
        before = [float(each) for each in best]
        run(
            with_chunk(setting, chunk), load.job, load.demand, rows, n_chips,
            fixed.get("replicas", n_chips), fixed.get("replicas", 1), load.concurrency, load.requests_per_s,
            load.percentile, limits.ttft_s, limits.tpot_s, int(limits.given), int(at_once), best, counts,
        )  # fmt: skip
        chosen = chunk if before[:2] != [float(each) for each in best[:2]] else chosen
        nearest_chunk = chunk if float(best[4]) < before[4] else nearest_chunk
        widest_chunk = chunk if float(best[9]) > before[9] else widest_chunk

    def setup(at: int, replicas: int, chunk: int) -> Found:
        return Found(space.plan(at), space.rows[at][5], replicas, load.concurrency / replicas, chunk)

    looked = _looked(counts, space, len(tried), started, fixed)
    if best[2] >= 0:
        return Outcome(setup(int(best[2]), int(best[3]), chosen), None, looked)
    if best[5] >= 0:
        near = setup(int(best[5]), int(best[6]), nearest_chunk)
        return Outcome(None, Nearest(near, float(best[7]), float(best[8]), 0.0), looked)
    if best[10] >= 0:
        at = int(best[10])
        near = setup(at, min(n_chips // space.rows[at][5], fixed.get("replicas", n_chips)), widest_chunk)
        return Outcome(None, Nearest(near, math.inf, math.inf, float(best[9])), looked)
    return Outcome(None, None, looked)


def _looked(counts: Any, space: Layouts, n_chunks: int, started: float, fixed: Mapping[str, int]) -> Search:
    found = {name: int(counts[at]) for at, name in enumerate(REASONS)}
    n_feasible = found.pop("feasible")
    rejected = {"memory": space.n_too_large * n_chunks, **found}
    considered = n_feasible + sum(rejected.values())
    rejected = {name: n for name, n in rejected.items() if n}
    return Search(considered, n_feasible, rejected, time.perf_counter() - started, dict(fixed))


def batches_up_to(most: int) -> list[int]:
    """Batches of a frontier: eight per doubling, and the most that fit.

    >>> batches_up_to(10)
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    n_steps = math.ceil(PER_DOUBLING * math.log2(most)) if most > 1 else 0
    return sorted({round(2.0 ** (step / PER_DOUBLING)) for step in range(n_steps)} | {most})


def frontier(
    setting: ServingSetting,
    job: ServingJob,
    space: Layouts,
    n_chips: int,
    *,
    chunks: Sequence[int] = (),
    fixed: Mapping[str, int] = NOTHING,
    ttft_limit_s: float = math.inf,
    kind: int = ONE_POOL,
    compiled: bool | None = None,
) -> tuple[list[Point], int]:
    """The Pareto set of requests per second against the time of a token, fastest token first, and how many setups.

    Over every layout and chunk with the batches of `batches_up_to`, those that miss the TTFT left out.
    """
    tried = tuple(chunks) or (int(setting.engine.chunk_tokens),)
    pairs = []
    for at, row in enumerate(space.rows):
        batches = [fixed["batch"]] if "batch" in fixed else batches_up_to(row[6])
        pairs += [(at, batch) for batch in batches if batch <= row[6]]
    if compiled is None:
        compiled = len(pairs) * len(tried) > PLAIN_SETUPS
    run, table = _driver(run_points, compiled=compiled)
    rows = table([space.rows[at] for at, _ in pairs])
    sequences = table([float(batch) for _, batch in pairs])
    sharing = [min(n_chips // row[5], fixed.get("replicas", n_chips)) for row in space.rows]
    found: list[tuple[float, float, int, int, float]] = []
    for chunk in tried if pairs else ():
        out = table([[0.0] * 4 for _ in pairs])
        run(with_chunk(setting, chunk), job, rows, sequences, kind, out)
        lines = out if isinstance(out, list) else out.tolist()
        found += [
            (line[1], -line[3] * sharing[pair[0]], at, tried.index(chunk), line[0])
            for at, (pair, line) in enumerate(zip(pairs, lines, strict=True))
            if line[0] <= ttft_limit_s
        ]
    front = []
    most = 0.0
    for tpot_s, slower, at, chunk, ttft_s in sorted(found):
        if -slower > most:
            most = -slower
            layout, batch = pairs[at]
            size = space.rows[layout][5]
            front.append(Point(space.plan(layout), size, sharing[layout], batch, tried[chunk], ttft_s, tpot_s, most))
    return front, len(pairs) * len(tried)
