"""A replica under arrivals: what one scheduler step takes, and the steady state of many, by queueing theory."""

import math
from typing import NamedTuple

from clustercast.physics.formula import formula
from clustercast.physics.serving import decode_pass, drafting_factor, free_bytes, prefill_pass, rank_sequence_bytes
from clustercast.records import ServingPlan, ServingSetting


class Turn(NamedTuple):
    """One step of a replica's scheduler."""

    taken_s: float  # until the next step begins
    first_s: float  # until the first tokens of its prompts are out: later than the next step where stages follow


@formula
def turn(
    n_decoding: float,
    context: float,
    prefill_tokens: float,
    prefill_context: float,
    n_prompts: float,
    n_drafts: float,
    setting: ServingSetting,
    plan: ServingPlan,
) -> Turn:
    """One scheduler step: `n_decoding` sequences each decode a token, and `prefill_tokens` of new prompts ride on it.

        taken = D + max(i s P - m (weights and starts of D), what P computes)
        first = D + ... + (1 - i s) P      s layers of the largest stage over all, i what decoding waits for

    context          mean tokens in the cache of a decoding sequence
    prefill_context  mean keys that a prefilled token sees
    n_prompts        prompts that these tokens belong to, spread over the attention ranks
    Source:          [agrawal2024] for prefills that ride on decode steps; [kwon2023] for turns of either

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> turn(8.0, 1000.0, 0.0, 0.0, 0.0, 0.0, SERVING_SETTING, SERVING_PLAN).taken_s == (
    ...     decode_pass(8.0, 1.0, 1000.0, SERVING_SETTING, SERVING_PLAN).total_s)
    True
    """
    engine = setting.engine
    decode_s = 0.0
    shared_s = 0.0
    if n_decoding > 0.0:
        step = decode_pass(n_decoding, 1.0 + n_drafts, context, setting, plan)
        decode_s = step.total_s * drafting_factor(n_drafts, setting.model)
        shared_s = engine.mixed_share * step.once_s
    if prefill_tokens <= 0.0:
        return Turn(decode_s, decode_s)
    n_busy = min(n_prompts, float(plan.attention_dp))
    length = 2.0 * prefill_context
    alone = prefill_pass(prefill_tokens / n_busy / length, length, n_busy, setting, plan)
    # the stage with most layers sets the pace
    stage_share = math.ceil(setting.model.n_layers / plan.pp) / float(setting.model.n_layers)
    waited_s = engine.interference_factor * alone.total_s * stage_share
    added_s = max(waited_s - shared_s, waited_s * alone.compute_s / alone.total_s)
    return Turn(decode_s + added_s, decode_s + added_s + max(alone.total_s - waited_s, 0.0))


class Strata(NamedTuple):
    """Lengths over their mean: mean of the shortest 30 %, of the next 30, 25 and 12 %, of the longest 3 %."""

    lowest_factor: float = 1.0
    low_factor: float = 1.0
    middle_factor: float = 1.0
    high_factor: float = 1.0
    highest_factor: float = 1.0


class Demand(NamedTuple):
    """What one request asks of a replica, on average and in its spread."""

    input_len: float  # mean tokens of a prompt
    output_len: float
    input_square_factor: float  # mean square over square of the mean: 1 for a fixed length
    output_square_factor: float
    output_inverse_factor: float  # mean of 1 / (O - 1) times the mean of O - 1: 1 for a fixed length
    hit_fraction: float  # of a prompt that the prefix cache holds
    n_drafts: float
    accepted_tokens: float  # a step yields per sequence, the sure one included
    block_tokens: float  # of one cache block
    reserve_fraction: float  # of the cache that admission leaves free
    input_strata: Strata = Strata()  # what percentiles need of lengths that differ
    output_strata: Strata = Strata()


class Meeting(NamedTuple):
    """What an arrival meets, and its first token: mean and deviation by what was met, own length apart."""

    clear_fraction: float  # of arrivals that meet nobody
    clear_s: float
    clear_deviation_s: float
    met_s: float
    met_deviation_s: float
    grows_s: float  # per prompt length of its own


class Cycle(NamedTuple):
    """The steps of a replica at a steady number of decoding sequences, prompts arriving at random."""

    token_s: float  # from one decode of a sequence to its next
    step_s: float  # mean step
    seen_s: float  # mean length of the step that a random instant falls in
    whole_s: float  # a step that is full of prefill
    first_s: float  # an arrival to its first token: rest of the step, queue, own prefill
    extra_s: float  # that a request decodes longer because it begins among prompts
    n_together: float  # other prompts whose first tokens come out with one's own
    prefill_fraction: float  # of time that prompts take beyond decoding
    own_s: float  # step that completes a prompt
    start_fraction: float  # of requests that begin with others behind
    start_s: float  # mean time that those take before its second token, or of its steps with them
    meets: Meeting


class Shape(NamedTuple):
    """What percentiles of TTFT and TPOT are made of: `ttft_percentile_s`, `tpot_percentile_s`."""

    first_token_s: float  # before anything else
    clear_fraction: float  # of arrivals that meet nobody
    clear_s: float
    clear_deviation_s: float
    met_s: float
    met_deviation_s: float
    grows_s: float  # of TTFT, per prompt length of its own
    held_fraction: float  # of arrivals that wait for a slot
    held_s: float  # mean wait of those
    gap_s: float  # a gap between tokens in which nobody is prefilled
    gap_deviation_s: float  # by the number in flight
    token_s: float  # mean gap, the beginning apart
    noise_s: float  # deviation of one gap
    start_s: float  # more of a request that begins among prompts
    start_deviation_s: float
    start_fraction: float  # of requests that do
    n_gap_arrivals: float  # per gap


class Steady(NamedTuple):
    """A replica under load in its steady state, as clients and operators see it."""

    requests_per_s: float
    ttft_s: float
    ttft_p50_s: float
    ttft_p90_s: float
    ttft_p99_s: float
    tpot_s: float
    tpot_p90_s: float
    latency_s: float
    in_flight: float  # sequences that decode
    wait_s: float  # part of TTFT: until memory or a slot is free
    busy_fraction: float
    kv_fraction: float
    n_slots: float  # sequences that fit
    saturation_requests_per_s: float
    load_fraction: float  # of that rate
    shape: Shape  # for any percentile


@formula
def cached_tokens(demand: Demand) -> float:
    """Mean tokens in the cache of a decoding sequence: longer answers are seen longer.

        L + E[O^2] / (2 E[O])

    Source:  [kleinrock1975], the mean residual life

    >>> cached_tokens(Demand(100.0, 20.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0))
    110.0
    """
    return demand.input_len + 0.5 * demand.output_len * demand.output_square_factor


@formula
def n_slots_of(demand: Demand, setting: ServingSetting, plan: ServingPlan) -> float:
    """Sequences in flight that the cache holds in blocks, and the engine takes; at least 1.

    Source:  [kwon2023]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> n_slots_of(Demand(1e9, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0), SERVING_SETTING, SERVING_PLAN)
    1.0
    """
    tokens = cached_tokens(demand) + 1.0 + demand.n_drafts + 0.5 * demand.block_tokens
    each_bytes = rank_sequence_bytes(tokens, setting, plan)
    fitting = free_bytes(setting, plan) * (1.0 - demand.reserve_fraction) / each_bytes
    return max(math.floor(min(fitting, setting.engine.max_batch) * plan.attention_dp), 1.0)


@formula
def single_server_wait_s(requests_per_s: float, service_s: float, square_factor: float) -> float:
    """Mean wait before one server under random arrivals; infinite from full load on.

        lambda E[x^2] / (2 (1 - lambda E[x]))

    square_factor  mean square of the service time over the square of its mean
    Source:        [pollaczek1930]; [kleinrock1975]

    >>> single_server_wait_s(0.5, 1.0, 2.0)
    1.0
    """
    busy = requests_per_s * service_s
    if busy >= 1.0:
        return math.inf
    return busy * service_s * square_factor / (2.0 * (1.0 - busy))


@formula
def n_services(n_full: float, square_factor: float) -> float:
    """Mean whole services that a customer of mean `n_full` full services takes.

    ceil(n) if sizes are fixed, 1 / (1 - exp(-1 / n)) if exponential; between them by the squared variation.
    Source:  arithmetic

    >>> n_services(1.5, 1.0)
    2.0
    """
    spread = min(square_factor - 1.0, 1.0)
    return (1.0 - spread) * math.ceil(n_full) - spread / math.expm1(-1.0 / n_full)


class Prompts(NamedTuple):
    """What prefill adds to the steps of a replica while a number of sequences decode."""

    decode_s: float  # a step without prompts
    fixed_s: float  # a step with prompts, less what grows with them
    prompt_s: float  # more of it per prompt
    late_s: float  # from the end of a step with one prompt to its first token
    late_prompt_s: float  # more of it per further prompt
    whole_s: float  # a step that is full of prompts
    n_places: float  # mean prompts that fill a step
    deviation_s: float  # of a step with one prompt, by its length
    n_ranks: float  # that prefill prompts at once


class Filled(NamedTuple):
    """A step with prompts, their lengths being drawn."""

    taken_s: float  # mean, until the next step begins
    first_s: float  # mean, until the first tokens of its prompts are out
    deviation_s: float  # by lengths


@formula
def prefill_turn(
    n_prompts: float, n_decoding: float, demand: Demand, setting: ServingSetting, plan: ServingPlan
) -> Filled:
    """Mean step with so many prompts or pieces of them, as far as its budget goes; in turns nothing decodes beside.

    Lengths that differ: the two-point Gauss rule for the sum of j lengths of variation c and skew c,

        tokens = j m (1 + s (c / 2 -+ sqrt(1 + c^2 / 4))),   s = c / sqrt(j)

    since a step is not linear in its tokens: few of them read the same weights.
    Source:  [agrawal2024]; [golub1969]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> prefill_turn(0.0, 0.0, demand, SERVING_SETTING, SERVING_PLAN).taken_s
    0.0
    """
    new = new_tokens(demand)
    pieces = n_pieces(demand, setting, plan)
    riding = 0.0
    if setting.engine.mixed_share > 0.5:
        riding = n_decoding
    context = cached_tokens(demand)
    budget = prefill_budget_tokens(n_decoding, demand, setting, plan)
    tokens = n_prompts * new / pieces
    keys = demand.input_len - 0.5 * new
    variance = demand.input_square_factor - 1.0
    if pieces > 1.05:
        # all pieces are full but the last
        keys *= demand.input_square_factor
        full = setting.engine.chunk_tokens * pieces / new
        last = max(pieces - (pieces - 1.0) * full, 0.0)
        variance = max(((pieces - 1.0) * full * full + last * last) / pieces - 1.0, 0.0)
        keys /= 1.0 + variance
    n_sum = max(n_prompts, 1.0)
    spread = math.sqrt(variance / n_sum)
    skew = 0.0
    if pieces <= 1.05:
        skew = 0.5 * spread
    root = math.sqrt(1.0 + skew * skew)
    high = 1.0 + spread * (skew + root)
    if spread < 0.05 or n_prompts <= 0.0 or high * tokens > budget:
        keys *= 1.0 + variance
        step = turn(riding, context, min(tokens, budget), keys, n_sum, demand.n_drafts, setting, plan)
        return Filled(step.taken_s, step.first_s, 0.0)
    low = max(1.0 + spread * (skew - root), 0.01)
    share = 0.5 * (1.0 - skew / root)
    others = variance * (1.0 - 1.0 / n_sum)
    many = turn(
        riding, context, min(high * tokens, budget), keys * (high + others), n_sum, demand.n_drafts, setting, plan
    )
    few = turn(riding, context, min(low * tokens, budget), keys * (low + others), n_sum, demand.n_drafts, setting, plan)
    return Filled(
        share * many.taken_s + (1.0 - share) * few.taken_s,
        share * many.first_s + (1.0 - share) * few.first_s,
        math.sqrt(share * (1.0 - share)) * max(many.taken_s - few.taken_s, 0.0),
    )


@formula
def new_tokens(demand: Demand) -> float:
    """Mean tokens of a prompt that the prefix cache does not hold.

    Source:  [kwon2023]

    >>> new_tokens(Demand(100.0, 9.0, 1.0, 1.0, 1.0, 0.25, 0.0, 1.0, 16.0, 0.0))
    75.0
    """
    return max(demand.input_len * (1.0 - demand.hit_fraction), 1.0)


@formula
def n_pieces(demand: Demand, setting: ServingSetting, plan: ServingPlan) -> float:
    """Pieces that a prompt is cut into because one attention rank takes a chunk per step, several ranks at once.

    Source:  [agrawal2024]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> long = Demand(20000.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> n_pieces(long, SERVING_SETTING, SERVING_PLAN._replace(attention_dp=4))
    3.0
    """
    if plan.attention_dp == 1:
        return 1.0
    return n_services(new_tokens(demand) / setting.engine.chunk_tokens, demand.input_square_factor)


@formula
def prefill_budget_tokens(n_decoding: float, demand: Demand, setting: ServingSetting, plan: ServingPlan) -> float:
    """Prefill tokens that fit a step: the engine's chunk per attention rank, less what decodes beside them.

    Source:  [agrawal2024]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> prefill_budget_tokens(9.0, demand, SERVING_SETTING, SERVING_PLAN)
    8192.0
    """
    budget = setting.engine.chunk_tokens * plan.attention_dp
    if setting.engine.mixed_share > 0.5:
        return max(budget - n_decoding * (1.0 + math.ceil(demand.n_drafts)), 1.0)
    return budget


@formula
def prompts(n_decoding: float, n_arrived: float, demand: Demand, setting: ServingSetting, plan: ServingPlan) -> Prompts:
    """A step with j prompts as a line p + w j.

    One attention rank: through the nodes of the two-point Gauss rule of a Poisson number of mean m,

        j = m + 1/2 -+ sqrt(m + 1/4), but at least 1 and 2

    More: least squares over the same number, for prompts on different ranks cost no more than one.
    Prompts longer than a step's budget: p per step, w for the whole prompt.

    n_arrived  m, mean prompts that arrive in a step
    Source:  [golub1969]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> prompts(0.0, 0.0, demand, SERVING_SETTING, SERVING_PLAN).decode_s
    0.0
    """
    places = prefill_budget_tokens(n_decoding, demand, setting, plan) / new_tokens(demand)
    places *= n_pieces(demand, setting, plan)
    decode_s = turn(n_decoding, cached_tokens(demand), 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
    # a step takes time, however little is asked of it
    whole_s = max(prefill_turn(max(places, 1.0), n_decoding, demand, setting, plan).taken_s, 1e-12)
    one = prefill_turn(1.0, n_decoding, demand, setting, plan)
    late_s = one.first_s - one.taken_s
    deviation_s = one.deviation_s
    ranks = float(plan.attention_dp)
    if places < 2.0:
        size = min(1.0, places)
        half_s = prefill_turn(0.5 * size, n_decoding, demand, setting, plan).taken_s
        prompt_s = max(one.taken_s - half_s, 0.0) / (0.5 * size)
        deviation_s = prompt_s * math.sqrt(demand.input_square_factor - 1.0)
        return Prompts(
            decode_s,
            max(one.taken_s - prompt_s * size, 0.0),
            prompt_s,
            late_s,
            0.0,
            whole_s,
            places,
            deviation_s,
            ranks,
        )
    node = math.sqrt(n_arrived + 0.25)
    n_many = min(max(n_arrived + 0.5 + node, 2.0), places)
    many = prefill_turn(n_many, n_decoding, demand, setting, plan)
    late_prompt_s = max(many.first_s - many.taken_s - late_s, 0.0) / (n_many - 1.0)
    if plan.attention_dp > 1 and n_arrived > 0.1:
        stride = max(math.floor(0.6 * node), 1.0)
        k = 1.0 + stride * math.floor(max(n_arrived - 3.0 * node, 0.0) / stride)
        weight, total, sum_k, sum_s, sum_kk, sum_ks = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
        while k <= n_arrived + 4.0 * node + 1.0:
            step_s = prefill_turn(k, n_decoding, demand, setting, plan).taken_s
            total += weight
            sum_k += weight * k
            sum_s += weight * step_s
            sum_kk += weight * k * k
            sum_ks += weight * k * step_s
            weight *= (n_arrived / (k + 0.5 * (stride + 1.0))) ** stride
            k += stride
        spread = sum_kk - sum_k * sum_k / total
        prompt_s = max(sum_ks - sum_k * sum_s / total, 0.0) / spread
        fixed_s = max((sum_s - prompt_s * sum_k) / total, 0.0)
        return Prompts(decode_s, fixed_s, prompt_s, late_s, late_prompt_s, whole_s, places, deviation_s, ranks)
    n_few = max(min(n_arrived + 0.5 - node, n_many - 1.0), 1.0)
    few_s = one.taken_s
    if n_few > 1.0:
        few_s = prefill_turn(n_few, n_decoding, demand, setting, plan).taken_s
    prompt_s = max(many.taken_s - few_s, 0.0) / (n_many - n_few)
    return Prompts(
        decode_s,
        max(few_s - prompt_s * n_few, 0.0),
        prompt_s,
        late_s,
        late_prompt_s,
        whole_s,
        places,
        deviation_s,
        ranks,
    )


@formula
def n_lengths(n_prompts: float, n_ranks: float) -> float:
    """Variance of a step by the lengths of its prompts, over that with one: ranks prefill in parallel.

        1 / j up to a prompt per rank,   j / ranks^2 from there on

    Source:  arithmetic

    >>> n_lengths(3.0, 1.0)
    3.0
    """
    if n_prompts <= n_ranks:
        return 1.0 / max(n_prompts, 1.0)
    return n_prompts / (n_ranks * n_ranks)


@formula
def none_share(n_arrived: float, n_variance: float) -> float:
    """Chance that nobody arrives in a time of this mean and variance, in units of the mean time between arrivals.

        (1 + v / m)^(-m^2 / v)       the time a gamma variable

    Source:  arithmetic

    >>> none_share(1.0, 1.0)
    0.5
    """
    if n_variance <= 1e-6 * n_arrived:
        return math.exp(-n_arrived)
    return math.exp(-n_arrived * n_arrived / n_variance * math.log1p(n_variance / n_arrived))


@formula
def n_prefill_turns(requests_per_s: float, start_s: float, square_factor: float, cost: Prompts) -> float:
    """Steps with prompts that follow a step of some length before one has none: what came during one is in the next.

        N(j) = 1 + E N(j - c, at least 0, + arrivals during p + w min(j, c)),   N(0) = 0

    taken as straight in j from 1 on, and made to hold at the mean of j in these steps, a deviation to either side.
    Source:  [kleinrock1975], the busy period

    >>> n_prefill_turns(0.0, 1.0, 1.0, Prompts(1.0, 2.0, 6.0, 0.0, 0.0, 32.0, 5.0, 0.0, 1.0))
    0.0
    """
    n_arrived = requests_per_s * start_s
    if n_arrived <= 0.0:
        return 0.0
    work = min(requests_per_s * cost.prompt_s, 0.999)
    fixed = requests_per_s * cost.fixed_s
    places = cost.n_places
    spread = requests_per_s * requests_per_s * cost.deviation_s * cost.deviation_s
    some = -math.expm1(-n_arrived)
    n_alone = n_services(1.0 / places, square_factor)
    part_full = max(places * (1.0 - work) - fixed, 1e-6)
    n_steps = some
    for _ in range(4):
        # j in these steps: a Poisson number above zero, wider by what steps differ
        mean = max((fixed * n_steps + n_arrived) / (1.0 - work) / n_steps, 1.0 + 1e-6)
        number = mean
        for _ in range(6):
            number = mean * -math.expm1(-number)
        variance = max(mean * (1.0 + number - mean), 0.0)
        variance = (variance + spread * n_lengths(mean, cost.n_ranks)) / (1.0 - work * work)
        deviation = max(math.sqrt(variance), 0.05)
        low = min(max(mean - deviation, 1.0), max(places, 1.0))
        high = mean + deviation
        none_low = none_share(fixed * n_alone + work * low, spread * n_lengths(low, cost.n_ranks))
        part_low = low * (1.0 - work) - fixed * n_alone
        none_high = 0.0
        part_high = part_full
        if high < places + deviation:
            # beyond a full step some are left, and the next has prompts whatever comes
            within = min(high, places)
            none_high = none_share(fixed + work * within, spread * n_lengths(within, cost.n_ranks))
            none_high *= min((places + deviation - high) / deviation, 1.0)
            part_high = within * (1.0 - work) - fixed
        span = none_low * part_high - none_high * part_low
        if span <= 1e-12:
            break
        n_steps = ((n_alone * part_high - part_low) * some + (none_low - n_alone * none_high) * n_arrived) / span
        n_steps = max(n_steps, some)
    return n_steps


@formula
def n_batch_services(n_arrived: float, n_places: float, square_factor: float) -> float:
    """Mean full steps that the prompts of one step need, any at all being there: their number Poisson of this mean.

        E[j | j > 0] = m / (1 - exp(-m)),   E[j^2 | j > 0] = (m + m^2) / (1 - exp(-m)),   lengths on top

    Source:  arithmetic

    >>> n_batch_services(0.0, 4.0, 1.0)
    1.0
    """
    mean = 1.0
    square = 1.0
    if n_arrived > 0.0:
        some = -math.expm1(-n_arrived)
        mean = n_arrived / some
        square = (n_arrived + n_arrived * n_arrived) / some
    factor = (square + mean * (square_factor - 1.0)) / (mean * mean)
    return max(n_services(mean / n_places, max(factor, 1.0)), 1.0)


@formula
def normal_share(normal_factor: float) -> float:
    """Share of a standard normal variable below a value, within 0.00015.

        1 / (1 + exp(-1.5976 z - 0.07056 z^3))

    Source:  [bowling2009]

    >>> normal_share(0.0)
    0.5
    """
    bounded = min(max(normal_factor, -8.0), 8.0)
    return 1.0 / (1.0 + math.exp(-1.5976 * bounded - 0.07056 * bounded * bounded * bounded))


@formula
def above_share(level_factor: float, variance_factor: float) -> float:
    """Share of a gamma variable of mean 1 above a level, by the cube root that makes it normal.

    Source:  [wilson1931]

    >>> round(above_share(2.0, 1.0), 1)
    0.1
    """
    if variance_factor <= 1e-9:
        if level_factor < 1.0:
            return 1.0
        return 0.0
    ninth = variance_factor / 9.0
    root = math.exp(math.log(max(level_factor, 1e-12)) / 3.0)
    return 1.0 - normal_share((root - 1.0 + ninth) / math.sqrt(ninth))


@formula
def n_full_steps(n_ahead: float, n_variance: float, n_places: float) -> float:
    """Mean full steps that a piece of a prompt waits for: whole fillings of a step by what is before it.

    n_ahead  mean prompts before it, none of them begun, with its own part;   n_variance  of them
    Source:   arithmetic

    >>> round(n_full_steps(10.5, 90.0, 1.0))
    10
    """
    if n_ahead <= 0.0:
        return 0.0
    level = n_places / n_ahead
    if level < 0.05:
        return 1.0 / level - 0.5
    variance = n_variance / (n_ahead * n_ahead)
    total = 0.0
    left = 1.0
    for i in range(100):
        left = above_share((i + 1) * level, variance)
        total += left
        if left < 1e-4:
            break
    if left >= 1e-4:
        total += left * math.sqrt(variance) / level
    return total


class Line(NamedTuple):
    """Prompts in line for the steps of a replica."""

    wait_s: float  # from an arrival to the start of the step that completes its prompt
    rest_s: float  # part of it: what is left of the step that it met
    n_full: float  # part of it: whole full steps
    n_ahead: float  # prompts in line that an arrival meets
    n_beside: float  # prompts in the step that completes its own, its own among them
    n_left_variance: float  # of those in line since before the present step


@formula
def line(requests_per_s: float, rest_s: float, cost: Prompts, square_factor: float) -> Line:
    """Prompts in line, by Little's law for the work that waits.

        V = lambda (R + W E floor((V + u) / c))       W  a full step of c prompts, u a place within one's own prompt

    rest_s   mean rest of the step that an arrival meets
    Source:  [little1961]; for c = 1 the formula of [pollaczek1930] with vacations

    >>> round(line(0.5, 0.1, Prompts(0.0, 0.0, 1.0, 0.0, 0.0, 5.0, 5.0, 0.0, 1.0), 1.0).wait_s, 3)
    0.1
    """
    places = cost.n_places
    load = requests_per_s * cost.whole_s / places
    if load >= 1.0:
        return Line(math.inf, rest_s, math.inf, math.inf, places, math.inf)
    arrived = requests_per_s * rest_s
    tail = 0.5 * load * square_factor / (1.0 - load)
    # a place within one's own prompt alone
    part = 0.5 * square_factor
    part_variance = max(square_factor / 3.0 * (square_factor - 0.75), 0.0)
    part_full = n_full_steps(part, part_variance, places)
    low = arrived
    high = (arrived + load * part) / (1.0 - load)
    ahead = low
    nobody = math.exp(-arrived)
    mean = ahead
    variance = 0.0
    for _ in range(14):
        ahead = 0.5 * (low + high)
        left = ahead - arrived
        nobody = math.exp(-arrived) * (1.0 - left / max(tail, left, 1e-300))
        mean = ahead / max(1.0 - nobody, 1e-9)
        square = arrived * square_factor + arrived * arrived / 3.0 + left * max(2.0 * max(tail, left) - left, 0.0)
        variance = max((square + ahead * ahead) / max(1.0 - nobody, 1e-9) - mean * mean, 0.0)
        full = nobody * part_full + (1.0 - nobody) * n_full_steps(mean + part, variance + part_variance, places)
        if requests_per_s * (rest_s + cost.whole_s * full) > ahead:
            low = ahead
        else:
            high = ahead
        if high - low <= 1e-3 * high:
            break
    left = ahead - arrived
    own = nobody * max(n_services(1.0 / places, square_factor) - 1.0, 0.0)
    own += (1.0 - nobody) * n_full_steps(mean + 1.0, variance + square_factor - 1.0, places)
    wait_s = rest_s + own * cost.whole_s
    begun = min(max(ahead + 1.0 - places * own, 0.0), places)
    room = places - begun
    beside = begun
    if room > 0.0:
        beside += room * -math.expm1(-requests_per_s * wait_s * min(1.0, 1.0 / room))
    return Line(wait_s, rest_s, own, ahead, beside, left * max(2.0 * max(tail, left) - left, 0.0))


class Rhythm(NamedTuple):
    """The steps of a replica: how many hold prompts, and how long they are."""

    step_s: float  # mean
    deviation_s: float
    prefill_share: float  # of steps that hold prompts
    n_steps: float  # of prompts, per prompt
    idle_fraction: float  # of time


@formula
def long_rhythm(requests_per_s: float, n_decoding: float, cost: Prompts, demand: Demand) -> Rhythm:
    """Steps of a replica whose prompts are longer than a step: full ones, the last of a prompt, and decode steps.

        steps of a prompt: n alone, 1 / c behind one another;   busy = lambda (w + n p)

    Source:  [kleinrock1975]

    >>> alone = Demand(1000.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> long_rhythm(0.0, 4.0, Prompts(1.0, 2.0, 6.0, 0.0, 0.0, 4.0, 0.3, 0.0, 1.0), alone).n_steps
    4.0
    """
    size = 1.0 / cost.n_places
    n_alone = n_services(size, demand.input_square_factor)
    n_steps = n_alone
    for _ in range(3):
        load = min(requests_per_s * (n_steps * cost.fixed_s + cost.prompt_s), 1.0)
        n_steps = n_alone - load * (n_alone - size)
    request_s = max(n_steps * cost.fixed_s + cost.prompt_s, 1e-12)
    busy = min(requests_per_s * request_s, 1.0 - 1e-9)
    full_s = request_s / n_steps
    last_s = max(request_s - (n_steps - 1.0) * cost.whole_s, 0.0)
    square = ((n_steps - 1.0) * cost.whole_s * cost.whole_s + last_s * last_s) / n_steps
    idle = 0.0
    some = 1.0
    if n_decoding > 0.0:
        # steps: a / (1 - a) = time of prefill over its step by time of decoding over its step
        some = busy / full_s / (busy / full_s + (1.0 - busy) / max(cost.decode_s, 1e-12))
    else:
        idle = 1.0 - busy
    step_s = some * full_s + (1.0 - some) * cost.decode_s
    variance = some * square + (1.0 - some) * cost.decode_s * cost.decode_s - step_s * step_s
    return Rhythm(step_s, math.sqrt(max(variance, 0.0)), some, n_steps, idle)


@formula
def short_rhythm(requests_per_s: float, n_decoding: float, cost: Prompts, demand: Demand) -> Rhythm:
    """Steps of a replica whose steps take several prompts: what arrives during a step is prefilled in the next.

        m1 = (D + a (p - D)) / (1 - lambda w),   a the share of steps with prompts = 1 - E exp(-lambda s)
        v  = (w^2 lambda m1 + (p - D)^2 a (1 - a) + 2 w (p - D) (1 - a) lambda m1) / (1 - (lambda w)^2)

    Where prefill goes first, steps without prompts decode. Without decoding sequences, what is no step is idle, and a
    prompt that meets it takes p + w. A batch may need several steps; none is longer than a full one.
    Source:  [kleinrock1975] for batches of arrivals; [agrawal2024]

    >>> short = Demand(1000.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> short_rhythm(0.0, 4.0, Prompts(1.0, 2.0, 6.0, 0.0, 0.0, 4.0, 5.0, 0.0, 1.0), short).step_s
    1.0
    """
    square_factor = demand.input_square_factor
    prompt_s = cost.prompt_s
    work = min(requests_per_s * prompt_s, 0.999)
    base_s = max(cost.decode_s, 1e-12)
    if n_decoding <= 0.0:
        base_s = max(cost.fixed_s + prompt_s, 1e-12)
    extra_s = cost.fixed_s - base_s
    starts = n_prefill_turns(requests_per_s, base_s, square_factor, cost)
    some = starts / (1.0 + starts)
    step_s = max((base_s + some * extra_s) / (1.0 - work), 1e-3 * base_s)
    arrived = requests_per_s * step_s
    some = min(max(some, arrived / cost.n_places), 1.0)
    step_s = max((base_s + some * extra_s) / (1.0 - work), 1e-3 * base_s)
    arrived = requests_per_s * step_s
    variance = prompt_s * prompt_s * arrived
    variance += some * cost.deviation_s * cost.deviation_s * n_lengths(arrived / max(some, 1e-9), cost.n_ranks)
    variance += extra_s * extra_s * some * (1.0 - some) + 2.0 * prompt_s * extra_s * (1.0 - some) * arrived
    variance = max(variance, 0.0) / (1.0 - work * work)
    if some > 0.0:
        # a step holds no more than is full
        each = arrived / some
        apart_s = extra_s + prompt_s * each
        between = some * (1.0 - some) * apart_s * apart_s
        within = max(variance - between, 0.0) / some
        room = prompt_s * prompt_s * each * max(cost.n_places - each, 0.0)
        variance = between
        if within > 0.0:
            variance += some * within * room / (within + room)
    idle = 0.0
    if n_decoding <= 0.0:
        idle = 1.0
        if requests_per_s > 0.0:
            idle_s = (1.0 - some) / requests_per_s
            idle = idle_s / (idle_s + step_s)
    n_steps = 1.0
    if arrived > 0.0:
        n_steps = some / arrived
    return Rhythm(step_s, math.sqrt(variance), some, n_steps, idle)


@formula
def residence_extra_s(
    start_fraction: float,
    n_behind: float,
    behind_s: float,
    first_extra_s: float,
    steps: Rhythm,
    cost: Prompts,
    demand: Demand,
    requests_per_s: float,
    setting: ServingSetting,
) -> float:
    """What a request decodes longer than its steps at their mean, because it begins among prompts.

    In turns: the prompts behind it, and those that come meanwhile, go first. Riding: steps with prompts follow each
    other, so that the first steps are more often slow than others.

    start_fraction  chance that prompts are behind it;   n_behind  their mean number
    behind_s  time that they take
    Source:   [kleinrock1975], the busy period and the chain of two states

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> short = Demand(1000.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> cost = Prompts(1.0, 2.0, 6.0, 0.0, 0.0, 4.0, 5.0, 0.0, 1.0)
    >>> residence_extra_s(0.0, 0.0, 0.0, 0.0, Rhythm(1.0, 0.0, 0.0, 1.0, 0.0), cost, short, 0.0, SERVING_SETTING)
    0.0
    """
    free = max(1.0 - requests_per_s * (cost.prompt_s + cost.fixed_s * steps.n_steps), 1e-3)
    if setting.engine.mixed_share <= 0.5:
        between_s = steps.step_s / max(1.0 - steps.prefill_share, 1e-9) - cost.decode_s
        return behind_s / free - between_s
    n_tokens = n_decode_steps(demand)
    if start_fraction <= 0.0 or steps.prefill_share <= 0.0:
        return 0.0
    if cost.n_places >= 2.0:
        # steps follow each other as a busy period does: what is in the first is more than the mean
        return first_extra_s / (1.0 - min(requests_per_s * cost.prompt_s, 0.999))
    slow_s = max((steps.step_s - (1.0 - steps.prefill_share) * cost.decode_s) / steps.prefill_share, cost.decode_s)
    period = max(steps.n_steps / free, 1.0)
    first = max(n_behind / start_fraction * steps.n_steps / free, 1.0)
    slow = start_fraction * first * -math.expm1(-n_tokens / first)
    rest = max(n_tokens - slow, 0.0)
    leave = 1.0 / period
    enter = leave * steps.prefill_share / max(1.0 - steps.prefill_share, 1e-9)
    slow += steps.prefill_share * max(rest + math.expm1(-(leave + enter) * rest) / (leave + enter), 0.0)
    return (slow - n_tokens * steps.prefill_share) * (slow_s - cost.decode_s)


@formula
def meeting(
    requests_per_s: float,
    n_decoding: float,
    more_s: float,
    first_s: float,
    cost: Prompts,
    steps: Rhythm,
    queue: Line,
    square_factor: float,
) -> Meeting:
    """What an arrival meets, and how far its first token spreads, own length apart.

        nobody: idle, or a step that only decodes and nobody else in it;   T = U D + own
        else    T = U S + w (those who came in S) + full steps of those in line,   S the step met

    more_s   of its pieces before the last;   first_s  mean of all
    Source:  [kleinrock1975] for a random instant; moments of gamma variables

    >>> alone = Meeting(1.0, 8.0, 0.0, 8.0, 0.0, 6.0)
    >>> alone.clear_fraction
    1.0
    """
    small = min(cost.n_places, 1.0)
    size = 1.0 / cost.n_places
    n_alone = max(n_services(size, square_factor), 1.0)
    own_s = n_alone * cost.fixed_s + cost.prompt_s + more_s
    late_s = cost.late_s
    grows_s = cost.prompt_s + cost.fixed_s * max(size - 1.0, 0.0)
    if cost.n_places < 1.0:
        late_s *= min((1.0 - (n_alone - 1.0) * cost.n_places) / small, 1.0)
        late_s = max(late_s, 0.0)
    elif square_factor > 1.0:
        grows_s = cost.deviation_s / math.sqrt(square_factor - 1.0)
        grows_s *= 1.0 + late_s / (cost.fixed_s + cost.prompt_s)
    # moments of the step met
    some = steps.prefill_share
    base_s = cost.decode_s
    if n_decoding <= 0.0:
        some = 1.0
        base_s = 0.0
    mean_s = base_s
    within = 0.0
    if some > 0.0:
        mean_s = (steps.step_s - (1.0 - some) * base_s) / some
        within = steps.deviation_s * steps.deviation_s / some - (1.0 - some) * (mean_s - base_s) * (mean_s - base_s)
        within = max(within, 0.0) / (mean_s * mean_s)
    cube = (1.0 - some) * base_s * base_s * base_s
    cube += some * mean_s * mean_s * mean_s * (1.0 + within) * (1.0 + 2.0 * within)
    seen_s = steps.step_s + steps.deviation_s * steps.deviation_s / steps.step_s
    square = cube / steps.step_s
    each_s = (cost.prompt_s + cost.late_prompt_s) * min(max(cost.n_places - 1.0, 0.0), 1.0)
    slope = 0.5 + each_s * requests_per_s
    variance = square / 12.0 + each_s * each_s * requests_per_s * seen_s * square_factor
    variance += slope * slope * max(square - seen_s * seen_s, 0.0)
    full_s = cost.whole_s / cost.n_places
    variance += full_s * full_s * min(queue.n_left_variance, 1e12)
    clear_s = own_s + late_s
    if n_decoding <= 0.0:
        clear = steps.idle_fraction
        met_s = clear_s
        if clear < 1.0:
            met_s = (first_s - clear * clear_s) / (1.0 - clear)
        return Meeting(clear, clear_s, 0.0, max(met_s, clear_s), math.sqrt(variance), grows_s)
    clear = (1.0 - some) * base_s / steps.step_s * math.exp(-requests_per_s * base_s)
    clear_s += 0.5 * base_s
    clear_variance = base_s * base_s / 12.0
    if clear >= 1.0 - 1e-9 or not first_s < math.inf:
        return Meeting(clear, clear_s, math.sqrt(clear_variance), first_s, math.sqrt(clear_variance), grows_s)
    met_s = max((first_s - clear * clear_s) / (1.0 - clear), clear_s)
    apart_s = met_s - clear_s
    met = (variance - clear * clear_variance) / (1.0 - clear) - clear * apart_s * apart_s
    return Meeting(clear, clear_s, math.sqrt(clear_variance), met_s, math.sqrt(max(met, clear_variance)), grows_s)


@formula
def cycle_of(
    requests_per_s: float, n_decoding: float, n_own: float, cost: Prompts, demand: Demand, setting: ServingSetting
) -> Cycle:
    """Steps of a replica and what an arrival goes through, prompts costing so much.

        TTFT = (1 - idle) E[s^2] / (2 E[s]) + full steps + p + w (its own and those beside it)

    requests_per_s  of pieces of prompts;   n_own  of one prompt, one after another
    Source:  [kleinrock1975] for a random instant; the parts above

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> short = Demand(1000.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> cycle_of(0.0, 4.0, 1.0, Prompts(1.0, 2.0, 6.0, 0.0, 0.0, 4.0, 5.0, 0.0, 1.0), short, SERVING_SETTING).first_s
    8.5
    """
    square_factor = demand.input_square_factor
    if cost.n_places < 1.0:
        steps = long_rhythm(requests_per_s, n_decoding, cost, demand)
    else:
        steps = short_rhythm(requests_per_s, n_decoding, cost, demand)
    seen_s = steps.step_s + steps.deviation_s * steps.deviation_s / steps.step_s
    busy = 1.0 - steps.idle_fraction
    queue = line(requests_per_s, 0.5 * busy * seen_s, cost, square_factor)
    last_s = cost.fixed_s + cost.prompt_s * queue.n_beside
    late_s = cost.late_s * min(queue.n_beside / min(cost.n_places, 1.0), 1.0)
    late_s += cost.late_prompt_s * max(queue.n_beside - 1.0, 0.0)
    more_s = (n_own - 1.0) * (cost.fixed_s + cost.prompt_s)
    first_s = queue.wait_s + last_s + late_s + more_s
    first_s += (n_own - 1.0) * cost.prompt_s * requests_per_s * steps.step_s
    meets = meeting(requests_per_s, n_decoding, more_s, first_s, cost, steps, queue, square_factor)
    token_s = math.inf
    extra_s = 0.0
    part = busy
    start = 0.0
    start_s = 0.0
    left = max(queue.n_ahead + 1.0 - cost.n_places * queue.n_full + requests_per_s * queue.wait_s - queue.n_beside, 0.0)
    behind = left + requests_per_s * last_s
    if n_decoding > 0.0:
        token_s = steps.step_s
        if setting.engine.mixed_share <= 0.5:
            token_s /= max(1.0 - steps.prefill_share, 1e-9)
        part = 1.0 - cost.decode_s / token_s
    if n_decoding > 0.0 and behind < 1e9:
        start = 1.0 - math.exp(-requests_per_s * last_s) / (1.0 + left)
        start_s = behind * cost.prompt_s + cost.fixed_s * max(start, behind * steps.n_steps)
        more_steps_s = (behind - requests_per_s * steps.step_s) * cost.prompt_s
        more_steps_s += (start - steps.prefill_share) * (cost.fixed_s - cost.decode_s)
        extra_s = residence_extra_s(start, behind, start_s, more_steps_s, steps, cost, demand, requests_per_s, setting)
        start_s /= max(1.0 - requests_per_s * (cost.prompt_s + cost.fixed_s * steps.n_steps), 1e-3)
    beside = max(queue.n_beside - 1.0, 0.0)
    if n_decoding > 0.0 and setting.engine.mixed_share <= 0.5:
        beside = max(beside, 0.5 * requests_per_s * token_s)
    return Cycle(
        token_s, steps.step_s, seen_s, cost.whole_s, first_s, extra_s, beside, part, last_s, start, start_s, meets
    )


@formula
def cycle(
    requests_per_s: float, n_decoding: float, demand: Demand, setting: ServingSetting, plan: ServingPlan
) -> Cycle:
    """Steps of a replica on which `n_decoding` sequences decode while prompts arrive at random.

    Source:  the parts above

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> quiet = cycle(0.0, 4.0, demand, SERVING_SETTING, SERVING_PLAN)
    >>> quiet.token_s == quiet.step_s and quiet.prefill_fraction == 0.0
    True
    """
    cost = prompts(n_decoding, 0.0, demand, setting, plan)
    n_own = n_pieces(demand, setting, plan)
    rate = requests_per_s * n_own
    found = cycle_of(rate, n_decoding, n_own, cost, demand, setting)
    taken = 0.0
    for _ in range(4):
        arrived = min(rate * found.step_s, cost.n_places)
        if arrived <= 0.5 or cost.n_places <= 2.0 or abs(arrived - taken) <= 0.05 * arrived:
            break
        taken = arrived
        cost = prompts(n_decoding, arrived, demand, setting, plan)
        found = cycle_of(rate, n_decoding, n_own, cost, demand, setting)
    return found


@formula
def n_decode_steps(demand: Demand) -> float:
    """Mean decode steps of a request: its first token comes from prefill.

        (O - 1 + what the last step yields too much) / accepted

    Source:  [kleinrock1975], the mean residual life; exact for one draft

    >>> n_decode_steps(Demand(100.0, 21.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0))
    20.0
    """
    if demand.output_len <= 1.0:
        return 0.0
    accepted = demand.accepted_tokens
    square = accepted * accepted + (accepted - 1.0) * (demand.n_drafts + 1.0 - accepted)
    return (demand.output_len - 1.0 + 0.5 * (square / accepted - 1.0)) / accepted


@formula
def saturation_requests_per_s(demand: Demand, setting: ServingSetting, plan: ServingPlan) -> float:
    """Requests per second that a replica finishes with every slot taken, or with every step full of prefill.

        riding:    n (1 + steps of a prompt / G) = M,     lambda = n / (G s(n, j)),   j = n / G prompts in a step
        in turns:  lambda = (M / G) / (D(M) + P(M / G))   what ended in a decode step is prefilled after it

    M slots, G decode steps of a request. A slot is taken again by one who waits, so prompts come as answers end.
    Source:  [little1961]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> saturation_requests_per_s(demand, SERVING_SETTING, SERVING_PLAN) > 0.0
    True
    """
    n_slots = n_slots_of(demand, setting, plan)
    n_steps = n_decode_steps(demand)
    pieces = n_pieces(demand, setting, plan)
    if n_steps <= 0.0:
        cost = prompts(0.0, n_slots, demand, setting, plan)
        return cost.n_places / cost.whole_s / pieces
    square_factor = demand.input_square_factor
    if setting.engine.mixed_share <= 0.5:
        ended = n_slots / n_steps * pieces
        cost = prompts(0.0, ended, demand, setting, plan)
        decode_s = turn(n_slots, cached_tokens(demand), 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        if ended > cost.n_places:
            # the last of several steps is full by half
            half_s = prefill_turn(0.5 * cost.n_places, 0.0, demand, setting, plan).taken_s
            prefill_s = cost.whole_s * (ended / cost.n_places - 0.5) + half_s
        else:
            n_full = n_batch_services(ended, cost.n_places, square_factor)
            prefill_s = -math.expm1(-ended) * n_full * cost.fixed_s + ended * cost.prompt_s
        return n_slots / n_steps / (decode_s + prefill_s)
    # decoding takes of the same budget: n (new + queries G) = budget G
    budget_tokens = setting.engine.chunk_tokens * plan.attention_dp
    queries = 1.0 + math.ceil(demand.n_drafts)
    n_most = budget_tokens * n_steps / (new_tokens(demand) + queries * n_steps)
    n_here = min(n_slots * n_steps / (n_steps + pieces), n_most)
    cost = prompts(n_here, n_here / n_steps * pieces, demand, setting, plan)
    n_own = pieces * max(1.0 / cost.n_places, 1.0)
    if cost.n_places < 2.0:
        n_own = pieces * max(n_services(1.0 / cost.n_places, square_factor), 1.0)
    n_here = min(n_slots * n_steps / (n_steps + n_own), n_most)
    if n_here >= n_most:
        return cost.n_places / cost.whole_s / pieces
    begun = n_here / n_steps * pieces
    cost = prompts(n_here, begun, demand, setting, plan)
    some = min(-math.expm1(-begun) * n_batch_services(begun, cost.n_places, square_factor), 1.0)
    step_s = cost.decode_s + some * (cost.fixed_s - cost.decode_s) + begun * cost.prompt_s
    return min(n_here / n_steps / step_s, cost.n_places / cost.whole_s / pieces)


@formula
def gamma_quantile_s(mean_s: float, deviation_s: float, normal_factor: float) -> float:
    """A percentile of a gamma variable with this mean and standard deviation, by the cube of a normal one.

        q = mean_s (1 - 1 / (9 k) + z / (3 sqrt(k)))^3,   k = (mean_s / deviation_s)^2

    normal_factor   the same percentile of a standard normal variable
    Source:  [wilson1931]

    >>> gamma_quantile_s(2.0, 0.0, 1.28)
    2.0
    """
    if deviation_s <= 0.0 or not math.isfinite(deviation_s):
        return mean_s
    shape = mean_s * mean_s / (deviation_s * deviation_s)
    root = max(1.0 - 1.0 / (9.0 * shape) + normal_factor / (3.0 * math.sqrt(shape)), 0.0)
    return mean_s * root * root * root


class Crowd(NamedTuple):
    """How many requests are with a replica under random arrivals."""

    in_flight: float  # that decode, mean
    n_waiting: float  # for a slot, mean
    alone_fraction: float  # of time that none decodes
    batch_deviation_factor: float  # of those that decode, standard deviation
    full_fraction: float  # of time that every slot is taken


@formula
def crowd(
    requests_per_s: float,
    n_near: float,
    stretch_factor: float,
    extra_s: float,
    n_together: float,
    n_slots: float,
    load_fraction: float,
    demand: Demand,
    setting: ServingSetting,
    plan: ServingPlan,
) -> Crowd:
    """Requests that decode and wait: a birth-death process whose service is shared among those in flight.

        P(k) / P(k - 1) = lambda (G S(k) + extra) / min(k, M)

    Waiting beyond the M slots is (1 + c^2) / 2 of an exponential's. Shared service makes P insensitive to how answer
    lengths spread; states far from the likeliest are stepped over.

    n_near            the likeliest number, about; the sums run from it outwards
    stretch_factor  time of a token over a decode step alone: prefills come between
    extra_s         more of it per request
    n_together        others that begin with a request, prefilled in the same step: it meets so many more
    Source:         [kelly1979] for shared service; [kingman1961] for the spread of waiting

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> few = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> crowd(1e-9, 0.0, 1.0, 0.0, 0.0, 100.0, 0.0, few, SERVING_SETTING, SERVING_PLAN).alone_fraction > 0.999
    True
    """
    context = cached_tokens(demand)
    extra = requests_per_s * extra_s
    per_step = requests_per_s * n_decode_steps(demand) * stretch_factor
    start = min(max(math.floor(n_near), 0.0), n_slots)
    stride = max(math.floor(0.5 * math.sqrt(start)), 1.0)
    total, first, second, waiting, none, full = 1.0, start, start * start, 0.0, 0.0, 0.0
    weight = 1.0
    k = start
    while k < n_slots and weight > 1e-6:
        jump = min(stride, n_slots - k)
        middle = k + 0.5 * (jump + 1.0)
        step_s = turn(middle + n_together, context, 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        ratio = max(per_step * step_s + extra, 0.25 * per_step * step_s) / middle
        fall = math.exp(min(jump * math.log(max(ratio, 1e-300)), 200.0))
        share = weight * jump
        if abs(ratio - 1.0) > 1e-9:
            share = weight * ratio * (1.0 - fall) / (1.0 - ratio)
        weight = min(weight * fall, 1e100)
        k += jump
        total += share
        first += share * middle
        second += share * middle * middle
    if k >= n_slots:
        ratio = min(load_fraction, 1.0 - 1e-9)
        beyond = weight * ratio / (1.0 - ratio)
        total += beyond
        full = beyond
        first += beyond * n_slots
        second += beyond * n_slots * n_slots
        waiting = 0.5 * demand.output_square_factor * beyond / (1.0 - ratio)
    weight = 1.0
    k = start
    while k > 0.0 and weight > 1e-6:
        jump = min(stride, k)
        middle = k - 0.5 * (jump - 1.0)
        step_s = turn(middle + n_together, context, 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        ratio = middle / max(per_step * step_s + extra, 0.25 * per_step * step_s)
        fall = math.exp(min(jump * math.log(max(ratio, 1e-300)), 200.0))
        share = weight * jump
        if abs(ratio - 1.0) > 1e-9:
            share = weight * ratio * (1.0 - fall) / (1.0 - ratio)
        weight = min(weight * fall, 1e100)
        k -= jump
        total += share
        first += share * (middle - 1.0)
        second += share * (middle - 1.0) * (middle - 1.0)
        none = weight
    if start == 0.0:
        none = 1.0
    if k > 0.0:
        none = 0.0
    mean = first / total
    return Crowd(mean, waiting / total, none / total, math.sqrt(max(second / total - mean * mean, 0.0)), full / total)


@formula
def n_balanced(
    requests_per_s: float, n_slots: float, demand: Demand, setting: ServingSetting, plan: ServingPlan
) -> float:
    """Sequences that decode where as many end as arrive: the least N = lambda (G S(N) + extra), at most the slots.

    Source:  [little1961]; the secant rule, kept between what is too few and what is too many

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> n_balanced(0.0, 100.0, demand, SERVING_SETTING, SERVING_PLAN)
    0.0
    """
    n_steps = n_decode_steps(demand)
    low = 0.0
    high = n_slots
    low_miss = 0.0
    high_miss = -1.0  # not known
    at = 0.0
    miss = 0.0
    for _ in range(12):
        found = cycle(requests_per_s, max(at, 1.0), demand, setting, plan)
        miss = requests_per_s * (n_steps * found.token_s + found.extra_s) - at
        if abs(miss) <= 1e-3 * at or (at >= n_slots and miss > 0.0):
            break
        before = at
        if miss > 0.0:
            slope = 1.0
            if at > low:
                slope = min(max((low_miss - miss) / (at - low), 0.2), 1.0)
            low = at
            low_miss = miss
            at = min(at + miss / slope, max(2.0 * at, at + miss))
        else:
            high = at
            high_miss = -miss
            at = low
        if high_miss >= 0.0:
            at = (low * high_miss + high * low_miss) / max(low_miss + high_miss, 1e-300)
        at = min(max(at, 0.0), high)
        if abs(at - before) <= 1e-3 * at:
            break
    if miss > at:
        return n_slots
    return at


@formula
def below_share(time_s: float, least_s: float, mean_s: float, deviation_s: float) -> float:
    """Share of a gamma variable, counted from `least_s` on, below a time.

    Source:  [wilson1931]

    >>> below_share(2.0, 1.0, 1.5, 0.0)
    1.0
    """
    if time_s <= least_s:
        return 0.0
    if mean_s <= least_s:
        return 1.0
    beyond_s = mean_s - least_s
    variation = deviation_s / beyond_s
    return 1.0 - above_share((time_s - least_s) / beyond_s, variation * variation)


@formula
def stratum_share(n_stratum: int) -> float:
    """Share of the lengths in each of the five strata: 0.3, 0.3, 0.25, 0.12, 0.03.

    Source:  arithmetic

    >>> round(sum(stratum_share(i) for i in range(5)), 12)
    1.0
    """
    if n_stratum < 2:
        return 0.3
    if n_stratum == 2:
        return 0.25
    if n_stratum == 3:
        return 0.12
    return 0.03


@formula
def stratum_variance_factor(n_stratum: int, strata: Strata) -> float:
    """Variance of a length within its stratum, over the square of the mean: as if even, to halfway to the next ones.

    Source:  arithmetic

    >>> stratum_variance_factor(0, Strata())
    0.0
    """
    below = strata[min(max(n_stratum - 1, 0), 4)]
    above = strata[min(n_stratum + 1, 4)]
    width = 0.5 * (above - below)
    return width * width / 12.0


@formula
def strata_of(square_factor: float) -> Strata:
    """Strata of gamma lengths with this mean square over the square of the mean: their middles, made to mean 1.

    Source:  [wilson1931]

    >>> strata_of(1.0).highest_factor
    1.0
    """
    deviation = math.sqrt(max(square_factor - 1.0, 0.0))
    # normal values at 15, 45, 72.5, 91 and 98.5 %
    lowest = gamma_quantile_s(1.0, deviation, -1.0364)
    low = gamma_quantile_s(1.0, deviation, -0.1257)
    middle = gamma_quantile_s(1.0, deviation, 0.5978)
    high = gamma_quantile_s(1.0, deviation, 1.3408)
    highest = gamma_quantile_s(1.0, deviation, 2.1701)
    mean = 0.3 * lowest + 0.3 * low + 0.25 * middle + 0.12 * high + 0.03 * highest
    return Strata(lowest / mean, low / mean, middle / mean, high / mean, highest / mean)


@formula
def ttft_share(time_s: float, shape: Shape, strata: Strata) -> float:
    """Share of requests whose first token is out by then: those that met nobody, those that met some, those held.

    Each part a gamma variable about what its own prompt takes; strata of prompt lengths together.
    Source:  arithmetic

    >>> shape = Shape(0.1, 0.5, 0.1, 0.01, 0.2, 0.1, 0.1, 0.0, 0.0, 0.01, 0.001, 0.02, 0.02, 0.1, 0.1, 0.1, 0.01)
    >>> ttft_share(0.0, shape, Strata())
    0.0
    """
    total = 0.0
    base_s = time_s - shape.first_token_s
    n_strata = 5
    if strata.lowest_factor >= strata.highest_factor:
        n_strata = 1
    for i in range(n_strata):
        more_s = (strata[i] - 1.0) * shape.grows_s
        wider = shape.grows_s * shape.grows_s * stratum_variance_factor(i, strata)
        least_s = max(shape.clear_s - 1.8 * shape.clear_deviation_s, 0.0) + more_s
        least_s -= 1.8 * math.sqrt(wider)
        clear_s = shape.clear_s + more_s
        met_s = shape.met_s + more_s
        clear = shape.clear_deviation_s * shape.clear_deviation_s + wider
        met = shape.met_deviation_s * shape.met_deviation_s + wider
        share = shape.clear_fraction * below_share(base_s, least_s, clear_s, math.sqrt(clear))
        share += (1.0 - shape.clear_fraction) * below_share(base_s, least_s, met_s, math.sqrt(met))
        if shape.held_fraction > 0.0:
            mean_s = shape.clear_fraction * clear_s + (1.0 - shape.clear_fraction) * met_s + shape.held_s
            held = below_share(base_s, least_s, mean_s, math.sqrt(met + shape.held_s * shape.held_s))
            share += shape.held_fraction * (held - share)
        if n_strata == 1:
            return share
        total += stratum_share(i) * share
    return total


@formula
def tpot_share(time_s: float, shape: Shape, demand: Demand) -> float:
    """Share of requests whose mean gap between tokens is below that.

    A request of g gaps meets nobody's prefill with (1 - start) exp(-arrivals g); else

        mean  token + start / g,   variance  of the number in flight + noise^2 / g + start's / g^2

    Source:  arithmetic

    >>> shape = Shape(0.1, 0.5, 0.1, 0.01, 0.2, 0.1, 0.1, 0.0, 0.0, 0.01, 0.001, 0.02, 0.02, 0.1, 0.1, 0.1, 0.01)
    >>> tpot_share(0.0, shape, Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0))
    0.0
    """
    total = 0.0
    strata = demand.output_strata
    n_strata = 5
    if strata.lowest_factor >= strata.highest_factor:
        n_strata = 1
    for i in range(n_strata):
        gaps = max(demand.output_len * strata[i] - 1.0, 1.0)
        mean_s = max(shape.token_s + shape.start_s / gaps, shape.gap_s)
        calm = shape.gap_deviation_s * shape.gap_deviation_s
        variance = (
            calm + (shape.noise_s * shape.noise_s + shape.start_deviation_s * shape.start_deviation_s / gaps) / gaps
        )
        clear = (1.0 - shape.start_fraction) * math.exp(-shape.n_gap_arrivals * gaps)
        least_s = max(shape.gap_s - 3.0 * shape.gap_deviation_s, 0.5 * shape.gap_s)
        share = clear * below_share(time_s, least_s, shape.gap_s, shape.gap_deviation_s)
        if clear < 1.0 - 1e-6:
            met_s = (mean_s - clear * shape.gap_s) / (1.0 - clear)
            apart_s = met_s - shape.gap_s
            met = max((variance - clear * calm) / (1.0 - clear) - clear * apart_s * apart_s, calm)
            share += (1.0 - clear) * below_share(time_s, least_s, met_s, math.sqrt(met))
        if n_strata == 1:
            return share
        total += stratum_share(i) * share
    return total


@formula
def ttft_percentile_s(share: float, shape: Shape, demand: Demand) -> float:
    """Time by which this share of requests has its first token; any share within 0 to 1.

    Source:  arithmetic

    >>> shape = Shape(0.1, 0.5, 0.1, 0.01, 0.2, 0.1, 0.1, 0.0, 0.0, 0.01, 0.001, 0.02, 0.02, 0.1, 0.1, 0.1, 0.01)
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> ttft_percentile_s(0.5, shape, demand) < ttft_percentile_s(0.9, shape, demand)
    True
    """
    if not math.isfinite(shape.met_s):
        return shape.met_s
    low = 0.0
    high = 2.0 * (shape.first_token_s + shape.met_s)
    for _ in range(20):
        if ttft_share(high, shape, demand.input_strata) >= share:
            break
        low = high
        high *= 2.0
    for _ in range(24):
        middle = 0.5 * (low + high)
        if ttft_share(middle, shape, demand.input_strata) < share:
            low = middle
        else:
            high = middle
        if high - low <= 1e-4 * high:
            break
    return 0.5 * (low + high)


@formula
def tpot_percentile_s(share: float, shape: Shape, demand: Demand) -> float:
    """Mean gap between tokens that this share of requests stays below; any share within 0 to 1.

    Source:  arithmetic

    >>> shape = Shape(0.1, 0.5, 0.1, 0.01, 0.2, 0.1, 0.1, 0.0, 0.0, 0.01, 0.001, 0.02, 0.02, 0.1, 0.1, 0.1, 0.01)
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> tpot_percentile_s(0.5, shape, demand) < tpot_percentile_s(0.9, shape, demand)
    True
    """
    if not math.isfinite(shape.token_s) or shape.token_s <= 0.0:
        return shape.token_s
    low = 0.0
    high = 2.0 * shape.token_s
    for _ in range(20):
        if tpot_share(high, shape, demand) >= share:
            break
        low = high
        high *= 2.0
    for _ in range(24):
        middle = 0.5 * (low + high)
        if tpot_share(middle, shape, demand) < share:
            low = middle
        else:
            high = middle
        if high - low <= 1e-4 * high:
            break
    return 0.5 * (low + high)


@formula
def open_loop(requests_per_s: float, demand: Demand, setting: ServingSetting, plan: ServingPlan) -> Steady:
    """A replica under Poisson arrivals, in its steady state; all infinite where they exceed what it can serve.

        N    = lambda G S           TPOT = N / (lambda (O - 1))           by Little's law
        TTFT = T0 + wait for a slot + rest of a step + queue + own prefill

    Source:  [little1961]; the parts above

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> busy = open_loop(1.0, demand, SERVING_SETTING, SERVING_PLAN)
    >>> round(busy.in_flight / (100 * busy.tpot_s), 9)
    1.0
    """
    n_slots = n_slots_of(demand, setting, plan)
    n_steps = n_decode_steps(demand)
    most = saturation_requests_per_s(demand, setting, plan)
    load = requests_per_s / most
    late_s = setting.engine.first_token_s
    quiet = cycle(min(requests_per_s, most), 0.0, demand, setting, plan)
    loaded = quiet
    people = Crowd(0.0, 0.0, 1.0, 0.0, 0.0)
    gap_s = 0.0
    gap_deviation_s = 0.0
    if n_steps > 0.0 and load < 1.0:
        n_near = n_balanced(requests_per_s, n_slots, demand, setting, plan)
        beside = cycle(requests_per_s, max(n_near, 1.0), demand, setting, plan)
        # where prefill starves decoding, full slots end it
        token_s = min(beside.token_s, n_slots / (requests_per_s * n_steps))
        extra_s = max(beside.extra_s, -0.5 * token_s)
        together = min(beside.n_together, n_slots)
        context = cached_tokens(demand)
        alone_s = turn(max(n_near, 1.0), context, 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        # prompts hold slots while they are prefilled
        room = max(n_slots - requests_per_s * beside.own_s, min(n_slots, 1.0))
        people = crowd(
            requests_per_s, n_near, token_s / max(alone_s, 1e-12), extra_s, together, room, load, demand, setting, plan
        )
        some = 1.0 - people.alone_fraction
        around = 1.0
        if some > 0.0:
            around = max(people.in_flight / some, 1.0)
        loaded = cycle(requests_per_s, around, demand, setting, plan)
        aside = people.batch_deviation_factor
        above_s = turn(around + aside, context, 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        below_s = turn(max(around - aside, 1.0), context, 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        gap_s = 0.5 * (above_s + below_s)
        gap_deviation_s = 0.5 * (above_s - below_s)
    return steady_of(
        requests_per_s,
        n_slots,
        n_steps,
        most,
        late_s,
        gap_s,
        gap_deviation_s,
        quiet,
        loaded,
        people,
        demand,
        setting,
        plan,
    )


@formula
def steady_of(
    requests_per_s: float,
    n_slots: float,
    n_steps: float,
    n_most_per_s: float,
    late_s: float,
    gap_s: float,
    gap_deviation_s: float,
    quiet: Cycle,
    loaded: Cycle,
    people: Crowd,
    demand: Demand,
    setting: ServingSetting,
    plan: ServingPlan,
) -> Steady:
    """What clients see of a replica on which so many decode: `quiet` with none of them, `loaded` else.

    gap_s    a decode step, gap_deviation_s  its deviation by the number in flight
    Source:  [little1961]; the parts above

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> quiet = cycle(1.0, 0.0, demand, SERVING_SETTING, SERVING_PLAN)
    >>> nobody = Crowd(0.0, 0.0, 1.0, 0.0, 0.0)
    >>> steady_of(1.0, 9.0, 0.0, 9.0, 0.0, 0.0, 0.0, quiet, quiet, nobody, demand, SERVING_SETTING, SERVING_PLAN).tpot_s
    0.0
    """
    load = requests_per_s / n_most_per_s
    full = math.inf
    if load >= 1.0:
        shape = Shape(late_s, 0.0, full, 0.0, full, 0.0, 0.0, 0.0, 0.0, full, 0.0, full, 0.0, 0.0, 0.0, 0.0, 0.0)
        return Steady(
            n_most_per_s,
            full,
            full,
            full,
            full,
            full,
            full,
            full,
            n_slots,
            full,
            1.0,
            1.0,
            n_slots,
            n_most_per_s,
            load,
            shape,
        )
    alone = people.alone_fraction
    some = 1.0 - alone
    wait_s = people.n_waiting / requests_per_s
    first_s = alone * quiet.first_s + some * loaded.first_s
    clear, apart = quiet.meets, loaded.meets
    clear_fraction = alone * clear.clear_fraction + some * apart.clear_fraction
    clear_s, clear_square = clear.clear_s, clear.clear_deviation_s * clear.clear_deviation_s
    if clear_fraction > 0.0:
        share = some * apart.clear_fraction / clear_fraction
        between_s = apart.clear_s - clear.clear_s
        clear_s += share * between_s
        clear_square += share * (apart.clear_deviation_s * apart.clear_deviation_s - clear_square)
        clear_square += share * (1.0 - share) * between_s * between_s
    met_fraction = 1.0 - clear_fraction
    met_s, met_square = clear.met_s, clear.met_deviation_s * clear.met_deviation_s
    if apart.met_s == math.inf and some > 0.0:
        met_s = math.inf
    elif met_fraction > 1e-12:
        share = some * (1.0 - apart.clear_fraction) / met_fraction
        between_s = apart.met_s - clear.met_s
        met_s += share * between_s
        met_square += share * (apart.met_deviation_s * apart.met_deviation_s - met_square)
        met_square += share * (1.0 - share) * between_s * between_s
    held_s = 0.0
    if people.full_fraction > 0.0:
        held_s = wait_s / people.full_fraction
    gaps = max(demand.output_len - 1.0, 0.0)
    tpot_s, token_s, noise_s, start_s, start_deviation_s, arrivals, each_s = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    busy = quiet.prefill_fraction
    gap_mean_s, gap_apart_s = 0.0, 0.0
    if n_steps > 0.0 and gaps > 0.0:
        busy = some + alone * quiet.prefill_fraction
        start_s = max(loaded.extra_s, -0.5 * min(loaded.token_s, n_slots / (requests_per_s * n_steps)))
        token_s = max(people.in_flight / requests_per_s - start_s, 0.0) / gaps
        tpot_s = max(token_s + start_s * demand.output_inverse_factor / gaps, min(gap_s * n_steps / gaps, token_s))
        part = min(loaded.prefill_fraction, 0.999)
        each_s = part / requests_per_s
        per_gap = n_steps / gaps
        gap_mean_s = min(gap_s * per_gap, token_s)
        # one's own time is a mean over the numbers that come and go
        gap_apart_s = 0.8 * gap_deviation_s * per_gap / (1.0 - part)
        arrivals = requests_per_s * gap_s * per_gap
        noise = requests_per_s * token_s * each_s * each_s * demand.input_square_factor / ((1.0 - part) * (1.0 - part))
        accepted = demand.accepted_tokens
        guesses = (accepted - 1.0) * (demand.n_drafts + 1.0 - accepted)
        noise_s = math.sqrt(noise + token_s * token_s * max(guesses, 0.0) / accepted)
        chance = max(loaded.start_fraction, 1e-9)
        start_deviation_s = loaded.start_s * math.sqrt(max(2.0 / chance - 1.0, 1.0))
    ttft_s = late_s + wait_s + first_s
    each_bytes = rank_sequence_bytes(cached_tokens(demand) + 0.5 * demand.block_tokens, setting, plan)
    kv = people.in_flight * each_bytes / (max(free_bytes(setting, plan), each_bytes) * plan.attention_dp)
    shape = Shape(
        late_s,
        clear_fraction,
        clear_s,
        math.sqrt(clear_square),
        met_s,
        math.sqrt(met_square),
        loaded.meets.grows_s,
        people.full_fraction,
        held_s,
        gap_mean_s,
        gap_apart_s,
        token_s,
        noise_s,
        start_s,
        start_deviation_s,
        loaded.start_fraction,
        arrivals,
    )
    return Steady(
        requests_per_s,
        ttft_s,
        ttft_percentile_s(0.5, shape, demand),
        ttft_percentile_s(0.9, shape, demand),
        ttft_percentile_s(0.99, shape, demand),
        tpot_s,
        tpot_percentile_s(0.9, shape, demand),
        ttft_s + gaps * tpot_s,
        people.in_flight,
        wait_s,
        busy,
        min(kv, 1.0),
        n_slots,
        n_most_per_s,
        load,
        shape,
    )
