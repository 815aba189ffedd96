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

        taken = D + max(i P / p - m (weights and starts of D), what P computes)
        first = D + ... + (1 - i / p) P          p stages, i the share of a prefill that decoding waits for

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
        shared_s = engine.mixed_share * (step.weights_s + step.host_s)
    if prefill_tokens <= 0.0:
        return Turn(decode_s, decode_s)
    n_busy = min(n_prompts, float(plan.attention_dp))
    length = 2.0 * prefill_context
    alone = prefill_pass(prefill_tokens / n_busy / length, length, n_busy, setting, plan)
    waited_s = engine.interference_factor * alone.total_s / plan.pp
    added_s = max(waited_s - shared_s, waited_s * alone.compute_s / alone.total_s)
    return Turn(decode_s + added_s, decode_s + added_s + max(alone.total_s - waited_s, 0.0))


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


class Cycle(NamedTuple):
    """The steps of a replica at a steady number of decoding sequences, prompts arriving at random."""

    token_s: float  # from one decode of a sequence to its next
    step_s: float  # mean step
    seen_s: float  # mean length of the step that a random instant falls in
    whole_s: float  # a step that is full of prefill
    first_s: float  # an arrival to its first token: rest of the step, queue, own prefill
    first_deviation_s: float
    extra_s: float  # that a request decodes longer because it begins among prompts
    n_together: float  # other prompts whose first tokens come out with one's own
    prefill_fraction: float  # of time that prompts take beyond decoding


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
def n_left_behind(load_fraction: float, n_places: float) -> float:
    """Mean customers that a full server leaves behind, places served together at fixed times, in units of its places.

        rho^sqrt(2 (c + 1)) / (2 c (1 - rho))       c places, c >= 1
        rho (1 / c - 1 + rho) / (2 (1 - rho))       one customer takes 1 / c services

    Source:  [sakasegawa1977] for many places; [kleinrock1975] for one (exact where 1 / c is whole)

    >>> n_left_behind(0.5, 1.0)
    0.25
    """
    if load_fraction >= 1.0:
        return math.inf
    if n_places >= 1.0:
        power = math.exp(math.sqrt(2.0 * (n_places + 1.0)) * math.log(max(load_fraction, 1e-300)))
        return power / (2.0 * n_places * (1.0 - load_fraction))
    return load_fraction * (1.0 / n_places - 1.0 + load_fraction) / (2.0 * (1.0 - load_fraction))


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


@formula
def prefill_turn(
    n_prompts: float, n_decoding: float, demand: Demand, setting: ServingSetting, plan: ServingPlan
) -> Turn:
    """A step with so many prompts or pieces of them, as far as its budget goes; in turns nothing decodes beside them.

    Source:  [agrawal2024]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> prefill_turn(0.0, 0.0, demand, SERVING_SETTING, SERVING_PLAN).taken_s
    0.0
    """
    new = new_tokens(demand)
    keys = (demand.input_len - 0.5 * new) * demand.input_square_factor
    riding = 0.0
    if setting.engine.mixed_share > 0.5:
        riding = n_decoding
    tokens = min(
        n_prompts * new / n_pieces(demand, setting, plan), prefill_budget_tokens(n_decoding, demand, setting, plan)
    )
    return turn(riding, cached_tokens(demand), tokens, keys, max(n_prompts, 1.0), demand.n_drafts, setting, plan)


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
    whole_s = prefill_turn(max(places, 1.0), n_decoding, demand, setting, plan).taken_s
    one = prefill_turn(1.0, n_decoding, demand, setting, plan)
    late_s = one.first_s - one.taken_s
    if places < 2.0:
        size = min(1.0, places)
        half_s = prefill_turn(0.5 * size, n_decoding, demand, setting, plan).taken_s
        prompt_s = max(one.taken_s - half_s, 0.0) / (0.5 * size)
        return Prompts(decode_s, one.taken_s - prompt_s * size, prompt_s, late_s, 0.0, whole_s, places)
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
        fixed_s = (sum_s - prompt_s * sum_k) / total
        return Prompts(decode_s, fixed_s, prompt_s, late_s, late_prompt_s, whole_s, places)
    n_few = max(min(n_arrived + 0.5 - node, n_many - 1.0), 1.0)
    few_s = one.taken_s
    if n_few > 1.0:
        few_s = prefill_turn(n_few, n_decoding, demand, setting, plan).taken_s
    prompt_s = max(many.taken_s - few_s, 0.0) / (n_many - n_few)
    return Prompts(decode_s, few_s - prompt_s * n_few, prompt_s, late_s, late_prompt_s, whole_s, places)


@formula
def long_cycle(
    requests_per_s: float, n_decoding: float, cost: Prompts, demand: Demand, setting: ServingSetting
) -> Cycle:
    """Steps of a replica whose prompts are longer than a step: prompts queue for the replica one by one.

        x    = k p + w,   k whole steps          busy = lambda x
        TTFT = x + lambda E[x^2] / (2 (1 - lambda x)) + (1 - busy) D / 2
        token: k decodes per x while prefilling if prefill rides, none in turns; one per D else

    Source:  [pollaczek1930]; [kleinrock1975] for the rest of a decode step

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> long = Demand(1000.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> long_cycle(0.0, 4.0, Prompts(1.0, 2.0, 6.0, 0.0, 0.0, 4.0, 0.5), long, SERVING_SETTING).first_s
    10.5
    """
    square_factor = demand.input_square_factor
    size = 1.0 / cost.n_places
    n_alone = n_services(size, square_factor)
    own_s = n_alone * cost.fixed_s + cost.prompt_s
    # behind one another, prompts fill their last steps
    n_steps = n_alone - min(requests_per_s * own_s, 1.0) * (n_alone - size)
    shared_s = n_steps * cost.fixed_s + cost.prompt_s
    busy = min(requests_per_s * shared_s, 1.0)
    queue_s = single_server_wait_s(requests_per_s, shared_s, square_factor)
    rest_s = 0.5 * cost.decode_s * (1.0 - busy)
    token_s = math.inf
    if n_decoding > 0.0:
        rate = (1.0 - busy) / cost.decode_s
        if setting.engine.mixed_share > 0.5:
            rate += busy * n_steps / shared_s
        if rate > 0.0:
            token_s = 1.0 / rate
    spread_s = cost.prompt_s * math.sqrt(square_factor - 1.0)
    deviation_s = math.sqrt(queue_s * queue_s + spread_s * spread_s + rest_s * rest_s / 3.0)
    spread = min(square_factor - 1.0, 1.0)
    last = (1.0 - spread) * (size - math.ceil(size) + 1.0) + 0.5 * spread
    first_s = own_s + last * cost.late_s + queue_s + rest_s
    extra_s = 0.0
    if n_decoding > 0.0 and busy < 1.0:
        # prompts that came meanwhile go before its next token, or lengthen the steps of its first tokens
        behind = requests_per_s * (own_s + queue_s + rest_s) / (1.0 - busy)
        extra_s = behind * shared_s - (token_s - cost.decode_s)
        if setting.engine.mixed_share > 0.5:
            n_slow = min(behind * n_steps, n_decode_steps(demand))
            extra_s = n_slow * max(shared_s / n_steps - token_s, 0.0)
    return Cycle(token_s, cost.whole_s, cost.whole_s, cost.whole_s, first_s, deviation_s, extra_s, 0.0, busy)


@formula
def n_prefill_turns(requests_per_s: float, start_s: float, fixed_s: float, prompt_s: float) -> float:
    """Prefill steps that follow a step of some length before one has no prompts, where prefill goes first.

        n = a + a (1 - k) / k',   a = 1 - exp(-lambda s);   a step of j prompts brings none with k, k' later on

    Source:  [kleinrock1975], the busy period

    >>> n_prefill_turns(0.0, 1.0, 2.0, 6.0)
    0.0
    """
    fixed = max(requests_per_s * fixed_s, 0.0)
    each = requests_per_s * prompt_s
    n_arrived = requests_per_s * start_s
    if n_arrived <= 0.0:
        return 0.0
    some = -math.expm1(-n_arrived)
    over = math.exp(-fixed) * (math.exp(n_arrived * math.expm1(-each)) - math.exp(-n_arrived)) / some
    n_arrived = min(fixed + each * n_arrived / some, 1.0 / max(1.0 - each, 1e-3) * max(fixed, each))
    then = -math.expm1(-n_arrived)
    later = math.exp(-fixed) * (math.exp(n_arrived * math.expm1(-each)) - math.exp(-n_arrived)) / then
    return some * (1.0 + (1.0 - over) / max(later, 1e-9))


@formula
def short_cycle(
    requests_per_s: float,
    n_decoding: float,
    n_own: float,
    cost: Prompts,
    demand: Demand,
    setting: ServingSetting,
) -> Cycle:
    """Steps of a replica whose steps take several prompts: what arrives during a step is prefilled in the next.

        m1 = (D + a (p - D)) / (1 - lambda w),   a = P(j > 0) = 1 - E exp(-lambda s)
        v  = (w^2 lambda m1 + (p - D)^2 a (1 - a) + 2 w (p - D) (1 - a) lambda m1) / (1 - (lambda w)^2)
        TTFT = m2 / (2 m1) + left behind + p + w (1 + lambda m2 / m1)

    Riding prefills: each step decodes, a token takes m1. In turns: steps without prompts decode, m1 / (1 - a).
    Without decoding sequences, what is no step is idle, and a prompt that meets it takes p + w.

    requests_per_s  of pieces of prompts;   n_own  of one prompt, one after another
    Source:  [kleinrock1975] for a random instant and batches; [sakasegawa1977] for the full step; [agrawal2024]

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> short = Demand(1000.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> short_cycle(0.0, 4.0, 1.0, Prompts(1.0, 2.0, 6.0, 0.0, 0.0, 4.0, 5.0), short, SERVING_SETTING).first_s
    8.5
    """
    mixed = setting.engine.mixed_share > 0.5
    prompt_s = cost.prompt_s
    work = min(requests_per_s * prompt_s, 0.999)
    square_factor = demand.input_square_factor
    some = 0.0
    fixed_s = cost.fixed_s
    base_s = cost.decode_s
    if n_decoding <= 0.0:
        base_s = fixed_s + prompt_s
    extra_s = fixed_s - base_s
    step_s = base_s
    variance = 0.0
    n_turns = 1.0
    before = -1.0
    for _ in range(16):
        if abs(some - before) <= 1e-7:
            break
        before = some
        n_turns = n_batch_services(min(requests_per_s * step_s, cost.n_places), cost.n_places, square_factor)
        fixed_s = n_turns * cost.fixed_s
        if n_decoding <= 0.0:
            base_s = fixed_s + prompt_s
        extra_s = fixed_s - base_s
        if n_decoding > 0.0 and mixed:
            extra_s = n_turns * (cost.fixed_s - base_s)
        step_s = max((base_s + some * extra_s) / (1.0 - work), 1e-3 * base_s)
        arrived = requests_per_s * step_s
        variance = prompt_s * prompt_s * square_factor * arrived
        variance += extra_s * extra_s * some * (1.0 - some) + 2.0 * prompt_s * extra_s * (1.0 - some) * arrived
        variance = max(variance, 0.0) / (1.0 - work * work)
        if n_decoding > 0.0 and not mixed:
            n_prefills = n_prefill_turns(requests_per_s, cost.decode_s, fixed_s, prompt_s)
            some = n_prefills / (1.0 + n_prefills)
        else:
            long_s = (step_s - (1.0 - some) * base_s) / max(some, 1e-9)
            if some <= 0.0:
                long_s = base_s + extra_s + prompt_s
            long_s = max(long_s, 1e-3 * base_s)
            spread_s = prompt_s * prompt_s * square_factor * arrived / long_s
            none = math.exp(-requests_per_s * long_s)
            if requests_per_s * spread_s > 1e-6:
                none = math.exp(-long_s / spread_s * math.log1p(requests_per_s * spread_s))
            some = 1.0 - none / (none - math.expm1(-requests_per_s * base_s))
    seen_s = step_s + variance / step_s
    left = n_left_behind(requests_per_s * cost.whole_s / cost.n_places, cost.n_places)
    others = requests_per_s * seen_s * (0.5 + 0.5 * min(max(cost.n_places - 1.0, 0.0), 1.0))
    others = min(others, max(cost.n_places - 1.0, 0.0))
    first_s = 0.5 * seen_s + left * cost.whole_s + fixed_s + prompt_s * (1.0 + others)
    idle = 0.0
    token_s = math.inf
    if n_decoding > 0.0:
        token_s = step_s
        if not mixed:
            token_s = step_s / max(1.0 - some, 1e-9)
    elif requests_per_s > 0.0:
        idle_s = (1.0 - some) / requests_per_s
        idle = idle_s / (idle_s + step_s)
    else:
        idle = 1.0
    alone_s = fixed_s + prompt_s
    late_s = cost.late_s + cost.late_prompt_s * others * (1.0 - idle)
    mean_s = idle * alone_s + (1.0 - idle) * first_s + late_s
    mean_s += (n_own - 1.0) * (fixed_s + prompt_s * (1.0 + requests_per_s * step_s))
    gap_s = min(first_s, 1e6 * (alone_s + seen_s)) - alone_s
    left = min(left, 1e6)
    square = (1.0 - idle) * (seen_s * seen_s / 12.0 + left * left * cost.whole_s * cost.whole_s + idle * gap_s * gap_s)
    square += prompt_s * prompt_s * (others * square_factor + square_factor - 1.0)
    busy = 1.0 - idle
    if n_decoding > 0.0:
        busy = 1.0 - cost.decode_s / token_s
    late_start_s = 0.0
    n_beside = others
    if n_decoding > 0.0:
        if not mixed:
            # between decodes in turns prompts gather: a step meets half of them more than a random instant does
            n_beside = max(others, 0.5 * requests_per_s * token_s)
        own_s = fixed_s + prompt_s * (1.0 + others)
        if mixed:
            more = -math.expm1(-requests_per_s * own_s) - some
            late_start_s = (work * (own_s - step_s) + more * extra_s) / (1.0 - work)
        else:
            n_prefills = n_prefill_turns(requests_per_s, own_s, fixed_s, prompt_s)
            late_start_s = (n_prefills * fixed_s + work * own_s) / (1.0 - work) - (token_s - cost.decode_s)
    return Cycle(token_s, step_s, seen_s, cost.whole_s, mean_s, math.sqrt(square), late_start_s, n_beside, busy)


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
    if cost.n_places < 1.0:
        return long_cycle(requests_per_s, n_decoding, cost, demand, setting)
    n_own = n_pieces(demand, setting, plan)
    rate = requests_per_s * n_own
    found = short_cycle(rate, n_decoding, n_own, cost, demand, setting)
    taken = 0.0
    for _ in range(2):
        arrived = min(rate * found.step_s, cost.n_places)
        if arrived > 0.5 and cost.n_places > 2.0 and abs(arrived - taken) > 0.05 * arrived:
            taken = arrived
            cost = prompts(n_decoding, arrived, demand, setting, plan)
            found = short_cycle(rate, n_decoding, n_own, cost, demand, setting)
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

        M = lambda G S(M, lambda)         G decode steps of a request, S the time from one to the next

    Source:  [little1961]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> rate = saturation_requests_per_s(demand, SERVING_SETTING, SERVING_PLAN)
    >>> n = n_slots_of(demand, SERVING_SETTING, SERVING_PLAN)
    >>> round(rate * 100 * cycle(rate, n, demand, SERVING_SETTING, SERVING_PLAN).token_s / n, 2)
    1.0
    """
    n_slots = n_slots_of(demand, setting, plan)
    n_steps = n_decode_steps(demand)
    cost = prompts(n_slots, 0.0, demand, setting, plan)
    n_full = n_slots
    if setting.engine.mixed_share > 0.5:
        # decoding takes of the same budget: n (new + queries G) = budget G
        budget_tokens = setting.engine.chunk_tokens * plan.attention_dp
        queries = 1.0 + math.ceil(demand.n_drafts)
        n_full = min(n_slots, budget_tokens * n_steps / (new_tokens(demand) + queries * n_steps))
        cost = prompts(n_full, cost.n_places, demand, setting, plan)
    else:
        cost = prompts(0.0, cost.n_places, demand, setting, plan)
    most = cost.n_places / cost.whole_s / n_pieces(demand, setting, plan)
    if n_steps <= 0.0 or n_full < n_slots:
        return most
    low, high = 0.0, most
    for _ in range(16):
        middle = 0.5 * (low + high)
        if middle * n_steps * cycle(middle, n_slots, demand, setting, plan).token_s < n_slots:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


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


@formula
def crowd(
    requests_per_s: float,
    n_near: float,
    stretch_factor: float,
    extra_s: float,
    n_together: float,
    n_slots: float,
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
    >>> crowd(1e-9, 0.0, 1.0, 0.0, 0.0, 100.0, few, SERVING_SETTING, SERVING_PLAN).alone_fraction > 0.999
    True
    """
    context = cached_tokens(demand)
    extra = requests_per_s * extra_s
    per_step = requests_per_s * n_decode_steps(demand) * stretch_factor
    start = min(max(math.floor(n_near), 0.0), n_slots)
    stride = max(math.floor(0.5 * math.sqrt(start)), 1.0)
    total, first, second, waiting, none = 1.0, start, start * start, 0.0, 0.0
    weight = 1.0
    k = start
    while k < n_slots and weight > 1e-6:
        jump = min(stride, n_slots - k)
        middle = k + 0.5 * (jump + 1.0)
        step_s = turn(middle + n_together, context, 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        ratio = (per_step * step_s + extra) / middle
        fall = ratio**jump
        share = weight * jump
        if abs(ratio - 1.0) > 1e-9:
            share = weight * ratio * (1.0 - fall) / (1.0 - ratio)
        weight *= fall
        k += jump
        total += share
        first += share * middle
        second += share * middle * middle
    if k >= n_slots:
        full_s = turn(n_slots, context, 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        ratio = min((per_step * full_s + extra) / n_slots, 1.0 - 1e-9)
        beyond = weight * ratio / (1.0 - ratio)
        total += beyond
        first += beyond * n_slots
        second += beyond * n_slots * n_slots
        waiting = 0.5 * demand.output_square_factor * beyond / (1.0 - ratio)
    weight = 1.0
    k = start
    while k > 0.0 and weight > 1e-6:
        jump = min(stride, k)
        middle = k - 0.5 * (jump - 1.0)
        step_s = turn(middle + n_together, context, 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        ratio = middle / (per_step * step_s + extra)
        fall = ratio**jump
        share = weight * jump
        if abs(ratio - 1.0) > 1e-9:
            share = weight * ratio * (1.0 - fall) / (1.0 - ratio)
        weight *= fall
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
    return Crowd(mean, waiting / total, none / total, math.sqrt(max(second / total - mean * mean, 0.0)))


@formula
def n_balanced(
    requests_per_s: float, n_slots: float, demand: Demand, setting: ServingSetting, plan: ServingPlan
) -> float:
    """Sequences that decode where as many end as arrive: N = lambda (G S(N) + extra), at most the slots.

    Source:  [little1961]; the secant rule

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> n_balanced(0.0, 100.0, demand, SERVING_SETTING, SERVING_PLAN)
    0.0
    """
    n_steps = n_decode_steps(demand)
    before = 0.0
    found = cycle(requests_per_s, 1.0, demand, setting, plan)
    at = min(requests_per_s * (n_steps * found.token_s + found.extra_s), n_slots)
    miss = -at
    for _ in range(6):
        found = cycle(requests_per_s, max(at, 1.0), demand, setting, plan)
        now = at - requests_per_s * (n_steps * found.token_s + found.extra_s)
        slope = 1.0
        if abs(at - before) > 1e-9 * at:
            slope = min(max((now - miss) / (at - before), 0.05), 1.0)
        before = at
        miss = now
        at = min(max(at - now / slope, 0.0), n_slots)
    return at


@formula
def open_loop(requests_per_s: float, demand: Demand, setting: ServingSetting, plan: ServingPlan) -> Steady:
    """A replica under Poisson arrivals, in its steady state; all infinite where they exceed what it can serve.

        N    = lambda G S           TPOT = N / (lambda (O - 1))           by Little's law
        TTFT = T0 + wait for a slot + rest of a step + queue + own prefill

    Percentiles are those of gamma variables with the same mean and deviation.
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
    if load >= 1.0:
        full = math.inf
        return Steady(most, full, full, full, full, full, full, full, n_slots, full, 1.0, 1.0, n_slots, most, load)
    n_near = 0.0
    token_s = 0.0
    extra_s = 0.0
    stretch = 1.0
    if n_steps > 0.0:
        n_near = n_balanced(requests_per_s, n_slots, demand, setting, plan)
        beside = cycle(requests_per_s, max(n_near, 1.0), demand, setting, plan)
        token_s = beside.token_s
        extra_s = max(beside.extra_s, -0.5 * token_s)
        context = cached_tokens(demand)
        alone_s = turn(max(n_near, 1.0), context, 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
        stretch = token_s / alone_s
    people = Crowd(0.0, 0.0, 1.0, 0.0)
    if n_steps > 0.0:
        people = crowd(requests_per_s, n_near, stretch, extra_s, beside.n_together, n_slots, demand, setting, plan)
    some = 1.0 - people.alone_fraction
    quiet = cycle(requests_per_s, 0.0, demand, setting, plan)
    wait_s = people.n_waiting / requests_per_s
    first_s = quiet.first_s
    variance = quiet.first_deviation_s * quiet.first_deviation_s
    busy = quiet.prefill_fraction
    tpot_s = 0.0
    deviation_s = 0.0
    if n_steps > 0.0 and some > 0.0:
        loaded = cycle(requests_per_s, max(people.in_flight / some, 1.0), demand, setting, plan)
        first_s = people.alone_fraction * quiet.first_s + some * loaded.first_s
        own = loaded.first_deviation_s
        apart_s = loaded.first_s - quiet.first_s
        variance = people.alone_fraction * variance + some * own * own
        variance += some * people.alone_fraction * apart_s * apart_s
        busy = some + people.alone_fraction * quiet.prefill_fraction
        gaps = demand.output_len - 1.0
        residence_s = people.in_flight / requests_per_s
        tpot_s = (residence_s - extra_s) / gaps + extra_s * demand.output_inverse_factor / gaps
        deviation_s = (
            tpot_s * people.batch_deviation_factor / max(people.in_flight, 1.0) * (1.0 - loaded.prefill_fraction)
        )
    variance += wait_s * wait_s
    ttft_s = late_s + wait_s + first_s
    spread_s = math.sqrt(variance)
    each_bytes = rank_sequence_bytes(cached_tokens(demand) + 0.5 * demand.block_tokens, setting, plan)
    kv = people.in_flight * each_bytes / (max(free_bytes(setting, plan), each_bytes) * plan.attention_dp)
    return Steady(
        requests_per_s,
        ttft_s,
        late_s + gamma_quantile_s(ttft_s - late_s, spread_s, 0.0),
        late_s + gamma_quantile_s(ttft_s - late_s, spread_s, 1.2816),
        late_s + gamma_quantile_s(ttft_s - late_s, spread_s, 2.3263),
        tpot_s,
        gamma_quantile_s(tpot_s, deviation_s, 1.2816),
        ttft_s + (demand.output_len - 1.0) * tpot_s,
        people.in_flight,
        wait_s,
        busy,
        min(kv, 1.0),
        n_slots,
        most,
        load,
    )


@formula
def closed_queue(
    n_clients: float, n_waves: float, demand: Demand, setting: ServingSetting, plan: ServingPlan
) -> Steady:
    """A replica with so many clients, each of which asks again as soon as it is answered.

        lambda (TTFT + (O - 1) TPOT) = C       Little's law, solved for lambda by halving
        seen by one: lambda (C - 1) / C        arrivals of the others;   what exceeds the slots waits

    n_waves  requests of a client in the measurement, whose first all arrive together; 0: the steady state alone
    Source:  [little1961]; [reiser1980] for what a customer of a closed network sees; the parts above

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> done = closed_queue(8.0, 0.0, demand, SERVING_SETTING, SERVING_PLAN)
    >>> round(done.requests_per_s * done.latency_s, 2)
    8.0
    """
    n_slots = n_slots_of(demand, setting, plan)
    n_steps = n_decode_steps(demand)
    gaps = max(demand.output_len - 1.0, 0.0)
    late_s = setting.engine.first_token_s
    others = (n_clients - 1.0) / n_clients
    quiet = cycle(0.0, 0.0, demand, setting, plan)
    full = saturation_requests_per_s(demand, setting, plan)
    most = min(n_clients / (quiet.first_s + late_s), 1.1 * full)
    low, high = 0.0, most
    first_s, deviation_s, residence_s, extra_s, rate = quiet.first_s, 0.0, 0.0, 0.0, most
    n_now = min(n_clients, n_slots)
    for _ in range(20):
        rate = 0.5 * (low + high)
        found = quiet
        residence_s = 0.0
        for _ in range(2):
            around = n_now * others
            none = (1.0 - min(n_now / n_clients, 1.0)) ** (n_clients - 1.0)
            if n_steps > 0.0:
                found = cycle(rate * others, 1.0 + around, demand, setting, plan)
                residence_s = n_steps * found.token_s + found.extra_s
                extra_s = found.extra_s
                meets = found
                if around < 8.0:
                    meets = cycle(rate * others, max(around, 1.0), demand, setting, plan)
            else:
                found = cycle(rate * others, 0.0, demand, setting, plan)
                meets = found
                none = 0.0
            rest_s = 0.5 * meets.seen_s
            if late_s <= 0.0:
                rest_s = 0.0
            elif late_s < meets.step_s:
                rest_s = min(meets.step_s - late_s, rest_s)
            busy_s = meets.first_s
            if n_steps > 0.0:
                busy_s += rest_s - 0.5 * meets.seen_s
            first_s = (1.0 - none) * busy_s + none * quiet.first_s
            deviation_s = meets.first_deviation_s
            n_now = min(max(n_clients - rate * (late_s + first_s), min(n_clients, 1.0) * 0.01), n_slots)
        held_s = residence_s + quiet.first_s
        if rate * (late_s + first_s + residence_s) > n_clients or rate * held_s > n_slots:
            high = rate
        else:
            low = rate
    # all clients together are the longest queue there can be
    first_s = min(first_s, max(n_clients / rate - late_s - residence_s, quiet.first_s))
    deviation_s = min(deviation_s, first_s)
    wait_s = max(n_clients / rate - late_s - first_s - residence_s, 0.0)
    if wait_s < 1e-4 * residence_s:
        wait_s = 0.0
    ttft_s = late_s + wait_s + first_s
    if n_waves > 0.0:
        cost = prompts(min(0.5 * n_clients, n_slots), n_clients, demand, setting, plan)
        n_full = min(n_clients, n_slots) * n_pieces(demand, setting, plan) / cost.n_places
        burst_s = 0.5 * (n_full + 1.0) * cost.whole_s + cost.late_s
        if n_full < 1.0:
            burst_s = prefill_turn(n_clients, 0.0, demand, setting, plan).first_s
        ttft_s += max(late_s + burst_s + wait_s - ttft_s, 0.0) / n_waves
    tpot_s = 0.0
    if gaps > 0.0:
        tpot_s = (residence_s - extra_s) / gaps + extra_s * demand.output_inverse_factor / gaps
    each_bytes = rank_sequence_bytes(cached_tokens(demand) + 0.5 * demand.block_tokens, setting, plan)
    in_flight = rate * residence_s
    kv = in_flight * each_bytes / (max(free_bytes(setting, plan), each_bytes) * plan.attention_dp)
    spread_s = math.sqrt(deviation_s * deviation_s + wait_s * wait_s)
    return Steady(
        rate,
        ttft_s,
        late_s + gamma_quantile_s(ttft_s - late_s, spread_s, 0.0),
        late_s + gamma_quantile_s(ttft_s - late_s, spread_s, 1.2816),
        late_s + gamma_quantile_s(ttft_s - late_s, spread_s, 2.3263),
        tpot_s,
        tpot_s,
        ttft_s + residence_s,
        in_flight,
        wait_s,
        1.0,
        min(kv, 1.0),
        n_slots,
        full,
        rate / full,
    )
