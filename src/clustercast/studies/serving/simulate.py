"""An event-driven simulation of a serving engine's scheduler: arrivals, steps, cache blocks, preemption.

One replica, step by step; what a step takes is the physics (`physics.queueing.turn`), nothing is tabulated. The loop is
plain Python over arrays and is compiled as it stands for large runs; both give the same numbers, bit for bit. It checks
the steady-state formulas of `physics.queueing`, and it gives percentiles.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clustercast.catalog.constants import default
from clustercast.errors import NoAnswer, WrongInput
from clustercast.physics.queueing import Demand, Strata, stratum_share, turn
from clustercast.physics.serving import free_bytes, rank_sequence_bytes
from clustercast.records import ServingPlan, ServingSetting

if TYPE_CHECKING:
    import numpy as np

PERCENTILES: Final = (50, 90, 99)
N_TOTALS: Final = 8
WARM_SHARE: Final = 0.2  # requests before the counted ones, per counted one
PLAIN_REQUESTS: Final = 300  # below this the plain loop is done before the compiled one is loaded


class Lengths(NamedTuple):
    """How long prompts or answers are: `values` to draw from, or with `shares` the percentiles between them."""

    values: tuple[float, ...]
    shares: tuple[float, ...] = ()  # cumulative, 0 to 1, one per value; empty: every value is as likely

    @property
    def mean(self) -> float:
        """Mean tokens."""
        return self.moment(1)

    @property
    def variation(self) -> float:
        """Squared coefficient of variation: variance over the square of the mean."""
        return max(0.0, self.moment(2) / self.moment(1) ** 2 - 1.0)

    @property
    def inverse(self) -> float:
        """Mean of 1 / (x - 1) times the mean of x - 1, over lengths of at least two tokens."""
        if self.shares:
            n_points = 4096
            at = [(i + 0.5) / n_points for i in range(n_points)]
            import numpy as np

            values = np.interp(at, self.shares, self.values).tolist()
        else:
            values = list(self.values)
        gaps = [value - 1.0 for value in (round(value) for value in values) if value > 1]
        if not gaps:
            return 1.0
        return math.fsum(1.0 / gap for gap in gaps) / len(gaps) * math.fsum(gaps) / len(gaps)

    def moment(self, order: int) -> float:
        """Mean of the first or second power."""
        if not self.shares:
            return math.fsum(value**order for value in self.values) / len(self.values)
        total = 0.0
        for i in range(len(self.values) - 1):
            low, high = self.values[i], self.values[i + 1]
            mean = 0.5 * (low + high) if order == 1 else (low * low + low * high + high * high) / 3.0
            total += (self.shares[i + 1] - self.shares[i]) * mean
        return total

    @property
    def strata(self) -> Strata:
        """Means of the shortest, longer and longest shares of the lengths, over the mean of all."""
        import numpy as np

        n_points = 4000
        at = (np.arange(n_points) + 0.5) / n_points
        if self.shares:
            lengths = np.interp(at, self.shares, self.values)
        else:
            lengths = np.sort(np.array(self.values))[(at * len(self.values)).astype(np.int64)]
        ends = np.rint(np.cumsum([stratum_share(i) for i in range(5)]) * n_points).astype(np.int64)
        parts = np.split(lengths, ends[:-1])
        return Strata(*(float(part.mean() / lengths.mean()) for part in parts))

    def draw(self, rng: "np.random.Generator", n_requests: int) -> "np.ndarray":
        """Whole lengths of `n_requests`, at least 1."""
        import numpy as np

        if self.shares:
            drawn = np.interp(rng.random(n_requests), self.shares, self.values)
        else:
            drawn = rng.choice(np.array(self.values, dtype=np.float64), n_requests)
        return np.maximum(np.rint(drawn), 1.0).astype(np.int64)


def fixed(tokens: float) -> Lengths:
    """Every length the same."""
    return empirical([tokens])


def empirical(values: Sequence[float]) -> Lengths:
    """Lengths as they were recorded, every one as likely. Raises WrongInput for none or one below 1."""
    if not values or min(values) < 1.0:
        raise WrongInput("lengths: expected at least one, each of at least 1 token")
    return Lengths(tuple(float(value) for value in values))


def by_percentiles(percentiles: Mapping[float, float]) -> Lengths:
    """Lengths by percentile, {50: 900, 90: 3000, 99: 8000}, straight between them.

    Below the first and above the last percentile given lengths are taken to be those two.
    Raises WrongInput where percentiles are not within 0 to 100 or lengths fall.
    """
    pairs = sorted((float(share) / 100.0, float(value)) for share, value in percentiles.items())
    if not pairs or pairs[0][0] < 0.0 or pairs[-1][0] > 1.0:
        raise WrongInput("lengths: expected percentiles from 0 to 100")
    values = [value for _, value in pairs]
    if values != sorted(values) or values[0] < 1.0:
        raise WrongInput("lengths: expected lengths of at least 1 token that never fall as the percentile rises")
    shares = [share for share, _ in pairs]
    return Lengths((values[0], *values, values[-1]), (0.0, *shares, 1.0))


class Traffic(NamedTuple):
    """Requests of one replica: Poisson arrivals at a rate, or a number of clients that each ask again at once."""

    input_len: Lengths
    output_len: Lengths
    requests_per_s: float = 0.0  # open loop
    concurrency: int = 0  # closed loop; exactly one of the two is given
    burst: bool = False  # closed loop: the first requests all arrive together, not spread over one request's time
    hit_fraction: float = 0.0  # of a prompt that the prefix cache holds
    n_drafts: float = 0.0
    accepted_tokens: float = 1.0  # a step yields per sequence, the sure one included
    block_tokens: int = int(default("serving", "block_tokens").value)  # of one cache block
    reserve_fraction: float = default("serving", "reserve_fraction").value  # of the cache that admission leaves free


def demand_of(traffic: Traffic) -> Demand:
    """What one request of the traffic asks on average, for the steady-state formulas."""
    return Demand(
        input_len=traffic.input_len.mean,
        output_len=traffic.output_len.mean,
        input_square_factor=1.0 + traffic.input_len.variation,
        output_square_factor=1.0 + traffic.output_len.variation,
        output_inverse_factor=traffic.output_len.inverse,
        hit_fraction=float(traffic.hit_fraction),
        n_drafts=float(traffic.n_drafts),
        accepted_tokens=float(traffic.accepted_tokens),
        block_tokens=float(traffic.block_tokens),
        reserve_fraction=traffic.reserve_fraction,
        input_strata=traffic.input_len.strata,
        output_strata=traffic.output_len.strata,
    )


class Knobs(NamedTuple):
    """What the loop needs beside physics and requests, as numbers."""

    hit_fraction: float
    n_drafts: float
    accept_fraction: float  # of drafts, each given that those before it were accepted
    block_tokens: float
    reserve_bytes: float
    capacity_bytes: float
    closed: int  # 1: a request that ends brings the next one
    n_warm: int  # requests before the counted ones
    n_counted: int
    seed: int


class Simulated(NamedTuple):
    """What was seen of the counted requests. Arrays hold one number per request, in order of arrival."""

    ttft_s: "np.ndarray"
    tpot_s: "np.ndarray"  # mean gap between output tokens of a request; NaN for answers of one token
    latency_s: "np.ndarray"
    input_len: "np.ndarray"
    output_len: "np.ndarray"
    n_preempted: "np.ndarray"  # times that the request lost its cache and was prefilled again
    requests_per_s: float  # finished per second while the counted ones ran
    in_flight: float  # sequences that decode, mean over time
    in_system: float  # requests that wait, prefill or decode
    busy_fraction: float  # of time that a step runs
    prefill_fraction: float  # of time, steps with prefill
    kv_fraction: float  # of the cache that is taken, mean over time
    n_steps: int
    preemptions_per_request: float
    step_mean_s: float

    def summary(self) -> dict[str, float]:
        """Means and percentiles of TTFT, TPOT and latency, rates and shares; all finite."""
        import numpy as np

        found: dict[str, float] = {}
        for name, values in (("ttft", self.ttft_s), ("tpot", self.tpot_s), ("latency", self.latency_s)):
            seen = values[np.isfinite(values)]
            found[f"{name}_s"] = float(seen.mean()) if len(seen) else 0.0
            for share in PERCENTILES:
                found[f"{name}_p{share}_s"] = float(np.percentile(seen, share)) if len(seen) else 0.0
        found["requests_per_s"] = self.requests_per_s
        found["output_tokens_per_s"] = self.requests_per_s * float(self.output_len.mean())
        for name in ("in_flight", "in_system", "busy_fraction", "prefill_fraction", "kv_fraction"):
            found[name] = getattr(self, name)
        found["preemptions_per_request"] = self.preemptions_per_request
        return found


def held_bytes(n_blocks: float, knobs: Knobs, setting: ServingSetting, plan: ServingPlan) -> float:
    """Cache of a sequence that holds `n_blocks`, on the chip that holds it."""
    return rank_sequence_bytes(n_blocks * knobs.block_tokens, setting, plan)


def run_events(
    setting: ServingSetting,
    plan: ServingPlan,
    knobs: Knobs,
    starts_s: Any,
    inputs: Any,
    outputs: Any,
    places: Any,
    blocks: Any,
    held: Any,
    times_s: Any,
    totals: Any,
) -> None:
    """The scheduler, step by step, until the counted requests are done.

    starts_s  [requests] times at which requests arrive, ascending; those known so far, then NaN
    inputs, outputs  [requests] tokens
    places    [8, requests] whole numbers: running, stopped, ended, left, cached, produced, decoding, times stopped
    blocks, held     [requests] blocks of the cache and their bytes
    times_s   [4, requests] arrival, first token, end, delay of what comes out behind the step
    totals    [N_TOTALS] sums over the counted time
    """
    running, stopped, ended, left = places[0], places[1], places[2], places[3]
    cached, produced, decoding, n_stops = places[4], places[5], places[6], places[7]
    engine = setting.engine
    n_requests = len(starts_s)
    mixed = engine.mixed_share > 0.5
    chunk = int(engine.chunk_tokens)
    budget_all = chunk * plan.attention_dp
    queries = 1 + math.ceil(knobs.n_drafts)
    most = int(engine.max_batch) * plan.attention_dp
    random = knobs.seed % 2147483646 + 1
    free = knobs.capacity_bytes
    clock_s, next_start, next_new, n_starts = 0.0, 0, 0, 0
    while n_starts < n_requests and not math.isnan(starts_s[n_starts]):
        n_starts += 1
    n_running, n_stopped, n_finished, n_counted = 0, 0, 0, 0
    counting = knobs.n_warm == 0
    while n_counted < knobs.n_counted:
        while next_start < n_starts and starts_s[next_start] <= clock_s:
            times_s[0, next_start] = starts_s[next_start]
            left[next_start] = inputs[next_start] - int(knobs.hit_fraction * inputs[next_start])
            left[next_start] = max(left[next_start], 1)
            cached[next_start] = inputs[next_start] - left[next_start]
            next_start += 1
        n_ended, n_decoding, n_prompts = 0, 0, 0
        context_sum, prefill, keys = 0.0, 0, 0.0
        budget = budget_all
        preempted = False
        for phase in range(2):
            if (phase == 0) == mixed:
                if prefill > 0 and not mixed:
                    continue
                i = 0
                while i < n_running:
                    r = running[i]
                    if decoding[r] == 1:
                        wanted = math.ceil((cached[r] + queries) / knobs.block_tokens)
                        if wanted > blocks[r]:
                            more = held_bytes(float(wanted), knobs, setting, plan) - held[r]
                            while more > free and n_running > 1:
                                preempted = True
                                n_running -= 1
                                v = running[n_running]
                                free += held[v]
                                held[v] = 0.0
                                blocks[v] = 0
                                decoding[v] = 0
                                hits = int(knobs.hit_fraction * inputs[v])
                                left[v] = max(inputs[v] + produced[v] - hits, 1)
                                cached[v] = inputs[v] + produced[v] - left[v]
                                n_stops[v] += 1
                                stopped[n_stopped] = v
                                n_stopped += 1
                                if v == r:
                                    break
                            if i >= n_running:
                                break
                            free -= more
                            held[r] += more
                            blocks[r] = wanted
                        n_decoding += 1
                        context_sum += cached[r]
                        budget -= queries
                    i += 1
            else:
                i = 0
                while budget > 0:
                    if i == n_running:
                        if preempted or n_running >= most:
                            break
                        if n_stopped > 0:
                            r = stopped[n_stopped - 1]
                        elif next_new < next_start:
                            r = next_new
                        else:
                            break
                        wanted = math.ceil((cached[r] + left[r] + queries) / knobs.block_tokens)
                        more = held_bytes(float(wanted), knobs, setting, plan)
                        spare = knobs.reserve_bytes
                        if n_running == 0:
                            spare = 0.0
                        if more > free - spare:
                            break
                        free -= more
                        held[r] = more
                        blocks[r] = wanted
                        running[n_running] = r
                        n_running += 1
                        if n_stopped > 0:
                            n_stopped -= 1
                        else:
                            next_new += 1
                    r = running[i]
                    i += 1
                    if decoding[r] == 0:
                        tokens = min(left[r], budget, chunk)
                        budget -= tokens
                        prefill += tokens
                        n_prompts += 1
                        keys += tokens * (cached[r] + 0.5 * tokens)
                        cached[r] += tokens
                        left[r] -= tokens
                        if left[r] == 0:
                            ended[n_ended] = r
                            n_ended += 1
        if n_decoding == 0 and prefill == 0:
            if next_start >= n_starts:
                break
            if counting:
                totals[0] += starts_s[next_start] - clock_s
            clock_s = starts_s[next_start]
            continue
        context = context_sum / max(n_decoding, 1)
        key_mean = keys / max(prefill, 1)
        step = turn(
            float(n_decoding), context, float(prefill), key_mean, float(n_prompts), knobs.n_drafts, setting, plan
        )
        clock_s += step.taken_s
        if counting:
            totals[0] += step.taken_s
            totals[1] += step.taken_s
            if prefill > 0:
                totals[2] += step.taken_s
            n_decoders = 0
            for i in range(n_running):
                n_decoders += decoding[running[i]]
            totals[3] += step.taken_s * n_decoders
            totals[4] += step.taken_s * (n_running + n_stopped + next_start - next_new)
            totals[5] += step.taken_s * (knobs.capacity_bytes - free) / knobs.capacity_bytes
            totals[6] += 1.0
        for i in range(n_ended):
            r = ended[i]
            produced[r] += 1
            if produced[r] == 1:
                times_s[3, r] = step.first_s - step.taken_s + engine.first_token_s
                times_s[1, r] = clock_s + times_s[3, r]
        kept = 0
        for i in range(n_running):
            r = running[i]
            if decoding[r] == 1 and n_decoding > 0:
                gained = 1
                if knobs.n_drafts > 0.0:
                    for _ in range(queries - 1):
                        random = random * 48271 % 2147483647
                        if random >= knobs.accept_fraction * 2147483647.0:
                            break
                        gained += 1
                produced[r] += gained
                cached[r] += gained
            elif left[r] == 0:
                decoding[r] = 1
            if produced[r] < outputs[r]:
                running[kept] = r
                kept += 1
                continue
            free += held[r]
            held[r] = 0.0
            times_s[2, r] = clock_s + times_s[3, r]
            n_finished += 1
            if counting:
                totals[7] += 1.0
            if n_finished == knobs.n_warm:
                counting = True
            if knobs.n_warm <= r < knobs.n_warm + knobs.n_counted:
                n_counted += 1
            if knobs.closed == 1 and n_starts < n_requests:
                j = n_starts
                while j > next_start and starts_s[j - 1] > times_s[2, r]:
                    starts_s[j] = starts_s[j - 1]
                    j -= 1
                starts_s[j] = times_s[2, r]
                n_starts += 1
        n_running = kept


def accept_fraction(n_drafts: float, accepted_tokens: float) -> float:
    """How often a guessed token is right, so that a step yields `accepted_tokens` on average.

    1 + q + ... + q^d = accepted; each guess counts only if those before it were right. Raises WrongInput where no
    share from 0 to 1 does that.
    """
    n_guesses = math.ceil(n_drafts)
    if not 1.0 <= accepted_tokens <= 1.0 + n_guesses:
        raise WrongInput(
            f"accepted tokens: expected 1 to {1 + n_guesses} with {n_guesses} drafts, got {accepted_tokens}"
        )
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if math.fsum(middle**i for i in range(n_guesses + 1)) < accepted_tokens:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def check(setting: ServingSetting, plan: ServingPlan, traffic: Traffic, longest: int) -> float:
    """Bytes of cache of the replica. Raises WrongInput for half a load, NoAnswer where a request alone does not fit."""
    if (traffic.requests_per_s > 0.0) == (traffic.concurrency > 0):
        raise WrongInput("traffic: expected a rate or a concurrency, and not both")
    if not 0.0 <= traffic.hit_fraction < 1.0:
        raise WrongInput(f"prefix cache hits: expected a share from 0 to below 1, got {traffic.hit_fraction}")
    capacity_bytes = free_bytes(setting, plan) * plan.attention_dp
    most = math.ceil((longest + 1 + math.ceil(traffic.n_drafts)) / traffic.block_tokens) * traffic.block_tokens
    needed_bytes = rank_sequence_bytes(float(most), setting, plan)
    if needed_bytes > free_bytes(setting, plan):
        raise NoAnswer(
            f"a request of {longest:,} tokens needs {needed_bytes / 2**30:.1f} GiB of cache per chip, "
            f"{free_bytes(setting, plan) / 2**30:.1f} GiB are free",
            numbers={"needed_bytes": needed_bytes, "free_bytes": free_bytes(setting, plan)},
        )
    return capacity_bytes


def simulate(
    setting: ServingSetting,
    plan: ServingPlan,
    traffic: Traffic,
    *,
    n_requests: int = 10_000,
    n_warm: int | None = None,
    seed: int = 0,
    compiled: bool | None = None,
) -> Simulated:
    """Simulate one replica under traffic and report on `n_requests` counted requests.

    n_warm    requests before them that are not counted; by default a fifth as many, and four rounds of the clients
    compiled  None: where it pays
    The same seed gives the same numbers, compiled or not. Raises WrongInput, NoAnswer as `check` does.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    warm = n_warm if n_warm is not None else max(int(WARM_SHARE * n_requests), 4 * traffic.concurrency)
    closed = traffic.concurrency > 0
    n_all = warm + n_requests + 2 * traffic.concurrency + (0 if closed else n_requests // 10 + 10)
    inputs = traffic.input_len.draw(rng, n_all)
    outputs = traffic.output_len.draw(rng, n_all)
    capacity_bytes = check(setting, plan, traffic, int((inputs + outputs).max()))
    starts_s = np.full(n_all, np.nan)
    if closed:
        n_first = min(traffic.concurrency, n_all)
        first = turn(1.0, traffic.input_len.mean, 0.0, 0.0, 0.0, 0.0, setting, plan)
        span_s = 0.0 if traffic.burst else traffic.output_len.mean * first.taken_s / traffic.accepted_tokens
        starts_s[:n_first] = np.sort(rng.random(n_first)) * span_s
    else:
        starts_s[:] = np.cumsum(rng.exponential(1.0 / traffic.requests_per_s, n_all))
    knobs = Knobs(
        hit_fraction=float(traffic.hit_fraction),
        n_drafts=float(traffic.n_drafts),
        accept_fraction=accept_fraction(traffic.n_drafts, traffic.accepted_tokens),
        block_tokens=float(traffic.block_tokens),
        reserve_bytes=traffic.reserve_fraction * capacity_bytes,
        capacity_bytes=capacity_bytes,
        closed=int(closed),
        n_warm=warm,
        n_counted=n_requests,
        seed=int(rng.integers(2**31)),
    )
    places = np.zeros((8, n_all), dtype=np.int64)
    times_s = np.zeros((4, n_all))
    totals = np.zeros(N_TOTALS)
    run: Any = run_events
    if compiled or (compiled is None and n_requests > PLAIN_REQUESTS):
        from clustercast.physics import grid

        run = grid.compiled(run_events, held_bytes)
    run(
        setting,
        plan,
        knobs,
        starts_s,
        inputs,
        outputs,
        places,
        np.zeros(n_all, dtype=np.int64),
        np.zeros(n_all),
        times_s,
        totals,
    )
    counted = slice(warm, warm + n_requests)
    arrival_s, first_s, end_s = times_s[0, counted], times_s[1, counted], times_s[2, counted]
    gaps = outputs[counted] - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        tpot_s = np.where(gaps > 0, (end_s - first_s) / gaps, np.nan)
    span_s = max(float(totals[0]), 1e-300)
    return Simulated(
        ttft_s=first_s - arrival_s,
        tpot_s=tpot_s,
        latency_s=end_s - arrival_s,
        input_len=inputs[counted],
        output_len=outputs[counted],
        n_preempted=places[7, counted],
        requests_per_s=float(totals[7]) / span_s,
        in_flight=float(totals[3]) / span_s,
        in_system=float(totals[4]) / span_s,
        busy_fraction=float(totals[1]) / span_s,
        prefill_fraction=float(totals[2]) / span_s,
        kv_fraction=float(totals[5]) / span_s,
        n_steps=int(totals[6]),
        preemptions_per_request=float(places[7, counted].mean()),
        step_mean_s=float(totals[1]) / max(float(totals[6]), 1.0),
    )
