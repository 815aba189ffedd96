"""A replica whose clients ask again as soon as they are answered: its steady state, from what its steps take.

Requests begin only where others end, and others end only at the ends of decode steps. So prompts come in groups: those
that ended in one step come back together. What follows counts the groups that a step of prefill meets.
"""

import math
from typing import Final, NamedTuple

from clustercast.physics.formula import formula
from clustercast.physics.queueing import (
    Demand,
    Strata,
    cached_tokens,
    n_decode_steps,
    n_pieces,
    n_services,
    new_tokens,
    prefill_budget_tokens,
)
from clustercast.physics.serving import decode_pass, drafting_factor, in_flight_limit, n_above_zero, prefill_pass
from clustercast.records import Load, ServingJob, ServingPlan, ServingSetting

NEARLY_ALL: Final = 0.03  # of the clients: that far from all decoding, steps with prompts are as with all


class Piece(NamedTuple):
    """What a step's prompts add to it."""

    riding_s: float  # beyond the decode step that they ride on; in turns the whole step
    quiet_s: float  # where nothing decodes
    late_s: float  # from the end of the step to its first tokens


class Costs(NamedTuple):
    """What steps take around a number of decoding sequences."""

    n_places: float  # prompts that fill a step
    n_pieces: float  # steps that a prompt takes because a rank takes a chunk a step
    n_few: float  # pieces in a step, and what they add: few, some and as many as it takes
    few: Piece
    n_some: float
    some: Piece
    n_full: float
    full: Piece
    own_s: float  # steps of one prompt alone, with what decodes beside it
    quiet_s: float  # where nothing decodes
    late_s: float  # from the end of the last of them to its first token


class Batch(NamedTuple):
    """Prompts that are prefilled together."""

    added_s: float  # beyond decoding
    late_s: float
    n_steps: float


class Run(NamedTuple):
    """Prefill steps that follow one another, from the first group of prompts that meets a decode step."""

    token_s: float  # from one decode step to the next, mean
    first_s: float  # from arrival to first token, mean
    late_s: float  # part of it: after the step
    added_s: float  # prefill of the whole run
    n_groups: float
    before_s: float  # mean prefill of the run that follows one's own


class Flow(NamedTuple):
    """A closed loop in its steady state."""

    in_flight: float
    token_s: float
    first_s: float
    residence_s: float  # of a decoding sequence
    wait_s: float  # for a slot
    requests_per_s: float
    swing_fraction: float  # 1: decode and prefill alternate in waves; 0: they do not


@formula
def demand_of_job(job: ServingJob) -> Demand:
    """The lengths of a job as the scheduler's formulas take them; cache blocks of a token.

    Source:  arithmetic

    >>> from clustercast.physics.examples import SERVING_JOB
    >>> demand_of_job(SERVING_JOB).input_len == SERVING_JOB.input_len
    True
    """
    return Demand(
        float(job.input_len),
        float(job.output_len),
        job.input_square_factor,
        job.output_square_factor,
        job.output_square_factor,
        job.hit_fraction,
        job.n_drafts,
        job.accepted_tokens,
        1.0,
        0.0,
        Strata(1.0, 1.0, 1.0, 1.0, 1.0),
        Strata(1.0, 1.0, 1.0, 1.0, 1.0),
    )


@formula
def piece(
    tokens: float, n_prompts: float, shared_s: float, demand: Demand, setting: ServingSetting, plan: ServingPlan
) -> Piece:
    """Prefill of so many tokens in one step, as `turn` counts it.

    shared_s  weights and starts of the decode step that it rides on, 0 in turns
    Source:   [agrawal2024]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> found = piece(100.0, 1.0, 0.0, demand, SERVING_SETTING, SERVING_PLAN)
    >>> found.riding_s == found.quiet_s
    True
    """
    keys = (demand.input_len - 0.5 * new_tokens(demand)) * demand.input_square_factor
    length = 2.0 * keys
    n_busy = min(max(n_prompts, 1.0), float(plan.attention_dp))
    alone = prefill_pass(tokens / n_busy / length, length, n_busy, setting, plan)
    # the stage with most layers sets the pace
    stage_share = math.ceil(setting.model.n_layers / plan.pp) / float(setting.model.n_layers)
    waited_s = setting.engine.interference_factor * alone.total_s * stage_share
    riding_s = max(waited_s - shared_s, waited_s * alone.compute_s / alone.total_s)
    return Piece(riding_s, waited_s, max(alone.total_s - waited_s, 0.0))


@formula
def costs(
    n_seen: float,
    n_group: float,
    decode_s: float,
    shared_s: float,
    demand: Demand,
    setting: ServingSetting,
    plan: ServingPlan,
) -> Costs:
    """What steps with prompts take beside `n_seen` decoding sequences; prompts come in groups of about `n_group`.

    A prompt longer than a step's budget takes whole steps:  own = w + k (p + D),   k of mean `n_services`

    Source:  [agrawal2024]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> demand = Demand(100.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> costs(1.0, 1.0, 1.0, 0.0, demand, SERVING_SETTING, SERVING_PLAN).n_pieces
    1.0
    """
    new = new_tokens(demand)
    places = prefill_budget_tokens(n_seen, demand, setting, plan) / new
    pieces = n_pieces(demand, setting, plan)
    n_full = places * pieces
    size = new / pieces
    n_few = min(n_full, 1.0)
    full = piece(n_full * size, n_full, shared_s, demand, setting, plan)
    few = full
    if n_full > 1.0:
        few = piece(n_few * size, 1.0, shared_s, demand, setting, plan)
    n_some = min(max(n_group, 2.0), n_full)
    if plan.attention_dp > 1:
        n_some = min(max(n_some, float(plan.attention_dp)), n_full)
    some = few
    if n_some > n_few:
        some = piece(n_some * size, n_some, shared_s, demand, setting, plan)
    beside_s = 0.0
    if setting.engine.mixed_share > 0.5:
        beside_s = decode_s
    own_s = (few.riding_s + beside_s) * pieces
    quiet_s = few.quiet_s * pieces
    late_s = few.late_s
    if n_full < 1.0:
        half = piece(0.5 * n_few * size, 1.0, shared_s, demand, setting, plan)
        n_own = n_services(1.0 / places, demand.input_square_factor)
        each_s = max(few.riding_s - half.riding_s, 0.0) / (0.5 * n_few)
        own_s = each_s + n_own * (few.riding_s - each_s * n_few + beside_s)
        each_s = max(few.quiet_s - half.quiet_s, 0.0) / (0.5 * n_few)
        quiet_s = each_s + n_own * (few.quiet_s - each_s * n_few)
        spread = min(demand.input_square_factor - 1.0, 1.0)
        late_s *= (1.0 - spread) * (1.0 / places - math.ceil(1.0 / places) + 1.0) + 0.5 * spread
    return Costs(places, pieces, n_few, few, n_some, some, n_full, full, own_s, quiet_s, late_s)


@formula
def batch(n_prompts: float, cost: Costs) -> Batch:
    """So many prompts prefilled together, between the counts that `costs` has evaluated; more than fit take more steps.

    Source:  arithmetic

    >>> one, two = Piece(1.0, 1.0, 0.0), Piece(2.0, 2.0, 0.0)
    >>> batch(3.0, Costs(2.0, 1.0, 1.0, one, 2.0, two, 2.0, two, 1.0, 1.0, 0.0)).added_s
    3.0
    """
    if n_prompts >= cost.n_full or (n_prompts >= cost.n_places and cost.n_full <= cost.n_places):
        n_steps = max(n_prompts / cost.n_places, 1.0)
        return Batch(n_steps * cost.full.riding_s, cost.full.late_s, n_steps)
    low, high = cost.few, cost.some
    n_low, n_high = cost.n_few, cost.n_some
    if n_prompts > cost.n_some:
        low, high = cost.some, cost.full
        n_low, n_high = cost.n_some, cost.n_full
    share = 0.0
    if n_high > n_low:
        share = min(max((n_prompts - n_low) / (n_high - n_low), 0.0), 1.0)
    taken_s = low.riding_s + share * (high.riding_s - low.riding_s)
    late_s = low.late_s + share * (high.late_s - low.late_s)
    n_steps = max(n_prompts / cost.n_places, cost.n_pieces)
    return Batch(taken_s * cost.n_pieces, late_s, n_steps)


@formula
def prompt_s(cost: Costs) -> float:
    """What one prompt more adds to a step, between one and as many as fit; longer prompts: the steps they fill.

    Source:  arithmetic

    >>> one, two = Piece(1.0, 1.0, 0.0), Piece(4.0, 4.0, 0.0)
    >>> prompt_s(Costs(4.0, 1.0, 1.0, one, 4.0, two, 4.0, two, 1.0, 1.0, 0.0))
    1.0
    """
    if cost.n_full > cost.n_few:
        return (cost.full.riding_s - cost.few.riding_s) / (cost.n_full - cost.n_few) * cost.n_pieces
    return cost.full.riding_s / cost.n_places


@formula
def ramp(share: float, low_share: float, high_share: float) -> float:
    """From 0 at one share to 1 at another, straight between them.

    Source:  arithmetic

    >>> ramp(1.5, 1.0, 3.0)
    0.25
    """
    return min(max((share - low_share) / (high_share - low_share), 0.0), 1.0)


@formula
def n_emitted(lag_s: float, n_steps: float, decode_s: float, square_factor: float) -> float:
    """Decode steps, weighted by who is left to end in them, that a batch without arrivals does within a time.

        G F(x),   x = t / (G D),   F = (2 - s) min(x, 1) + (s - 1) (1 - exp(-x))     s the square factor, at most 2

    F is how many have ended of those that a random instant meets: exact for fixed and for exponential answers.
    Source:  [kleinrock1975], residual life

    >>> n_emitted(3.0, 100.0, 1.0, 1.0)
    3.0
    """
    if lag_s <= 0.0:
        return 0.0
    share = lag_s / (n_steps * decode_s)
    spread = min(square_factor - 1.0, 1.0)
    return n_steps * ((1.0 - spread) * min(share, 1.0) - spread * math.expm1(-share))


@formula
def run_of(
    n_decoding: float,
    others_fraction: float,
    decode_s: float,
    token_s: float,
    n_groups_before: float,
    delay_s: float,
    apart_share: float,
    cost: Costs,
    demand: Demand,
    setting: ServingSetting,
) -> Run:
    """A run of prefill steps: a first group of prompts, then what arrives while it is prefilled, and so on.

        a    = 1 - exp(-n / G)           decode steps that somebody ends in; their prompts are a group of n / (G a)
        e(t) = decode steps of the time that is now arriving: dense before a run, as many as usual long before it
        goes on with probability 1 - (1 - a)^e, with a e groups
        token = D + a sum P / sum groups;   first = rest of the step that a group meets + its prefill

    others_fraction  of all clients: the others
    token_s, n_groups_before   of a run, as found before
    delay_s          from the end of a request to the arrival of the next, beyond steps
    apart_share      1: no run meets what ended before the one before
    Source:          [kleinrock1975], the busy period; [agrawal2024]

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> one = Piece(1.0, 1.0, 0.0)
    >>> cost = Costs(9.0, 1.0, 1.0, one, 9.0, one, 9.0, one, 1.0, 1.0, 0.0)
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> run_of(1e-9, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, cost, demand, SERVING_SETTING).n_groups
    1.0
    """
    mixed = setting.engine.mixed_share > 0.5
    beside_s = 0.0
    if mixed:
        beside_s = decode_s
    n_steps = max(n_decode_steps(demand), 1e-9)
    ending = n_decoding / n_steps * others_fraction
    some = -math.expm1(-ending)
    group = ending / some
    mates = max(n_decoding - 1.0, 0.0) / n_steps * others_fraction
    full_s = cost.full.riding_s + beside_s
    each_s = prompt_s(cost)
    spread_s2 = 0.0
    reach, groups, at_s, before_s = 1.0, 1.0, 0.0, 0.0
    n_groups, added_s, first_s, late_s, follow_s, n_run = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    thin, emitted_before = 1.0, 0.0
    for i in range(5):
        together = batch(max(groups * group, 1.0), cost)
        taken_s = together.added_s + beside_s * together.n_steps
        if i == 0 and apart_share < 0.5 and delay_s > 0.0:
            thin = 1.0 - min(some / n_groups_before, 1.0) * max(0.0, 1.0 - taken_s / delay_s)
        n_own = 1.0 + mates + (groups - 1.0) * group
        own = batch(n_own, cost)
        own_s = own.added_s + beside_s * own.n_steps
        own_late_s = own.late_s
        if n_own > cost.n_places:
            own_s = 0.5 * (own_s + full_s)
        if cost.n_full < 2.0:
            own_late_s = cost.late_s
            queued_s = cost.own_s + 0.5 * (n_own - 1.0) / cost.n_places * full_s
            own_s = max(queued_s, own_s)
            if cost.n_places < 1.0:
                own_s = queued_s
        rest_s = 0.0
        if i == 0:
            if delay_s > 0.0:
                rest_s = max(decode_s - delay_s, 0.5 * decode_s)
        elif mixed:
            rest_s = 0.5 * (before_s + spread_s2 / before_s)
        else:
            within_s = min(at_s, delay_s) - min(at_s - before_s, delay_s)
            if within_s > 0.0:
                rest_s = before_s - 0.5 * within_s
        weight = reach * groups
        follow_s += reach * together.added_s * n_groups
        n_groups += weight
        added_s += reach * together.added_s
        n_run += reach * together.n_steps
        first_s += weight * (rest_s + own_s + own_late_s)
        late_s += weight * own_late_s
        began_s = min(at_s, delay_s)
        past_s = max(at_s - delay_s, 0.0)
        at_s += taken_s
        before_s = taken_s
        # longer steps meet more: their number and lengths spread
        spread_s2 = each_s * each_s * groups * group * demand.input_square_factor
        ended_s = min(at_s, delay_s)
        emitted_now = n_emitted(ended_s, n_steps, decode_s, demand.output_square_factor)
        emitted = emitted_now - emitted_before
        emitted_before = emitted_now
        if thin < 1.0 and emitted > 0.0:
            emitted *= max(
                math.exp(0.5 * (began_s + ended_s) / decode_s * math.log(max(thin, 1e-9))), decode_s / token_s
            )
        if mixed and apart_share < 0.5:
            emitted += (max(at_s - delay_s, 0.0) - past_s) / taken_s * together.n_steps
        more = some * emitted
        goes_on = min(more, 1.0)
        if apart_share < 0.5:
            goes_on = min(more, -math.expm1(emitted * math.log1p(-min(some, 1.0 - 1e-12))))
        if goes_on <= 1e-6:
            break
        groups = more / goes_on
        if i == 3 and apart_share < 0.5:
            goes_on = min(goes_on, 0.999)
            goes_on /= 1.0 - goes_on
        elif i == 3:
            # as many more as fit the way
            n_more = max(delay_s - at_s, 0.0) / taken_s
            if goes_on < 0.999:
                n_more = min(n_more, (1.0 - goes_on**n_more) / (1.0 - goes_on))
            goes_on *= max(n_more, 1.0)
        reach *= goes_on
    if mixed and apart_share > 0.5:
        # the steps of the run end requests too: their prompts come one group a step
        later = n_run * some / (1.0 - min(some, 0.5))
        one = batch(group, cost)
        own = batch(1.0 + mates, cost)
        own_s = own.added_s + decode_s
        if cost.n_full < 2.0:
            own_s = max(own_s, cost.own_s)
        n_groups += later
        added_s += later * one.added_s
        first_s += later * (0.5 * decode_s + own_s + own.late_s)
        late_s += later * own.late_s
    return Run(
        decode_s + some * added_s / n_groups,
        first_s / n_groups,
        late_s / n_groups,
        added_s,
        n_groups,
        follow_s / n_groups,
    )


@formula
def n_queued(
    n_clients: float,
    n_decoding: float,
    others_fraction: float,
    step_s: float,
    delay_s: float,
    cost: Costs,
    demand: Demand,
) -> float:
    """Prompts that wait for a place in a step where prefill rides: many clients against few places a step.

        Q = normal above zero of mean C - G b - ..., variance G b (1 + c^2) / 2,   times load^sqrt(2 (b + 1))

    b  places; c^2 squared variation of prompts of about a step
    Source:  [kleinrock1976]; [sakasegawa1977]

    >>> one = Piece(1.0, 1.0, 0.0)
    >>> cost = Costs(9.0, 1.0, 1.0, one, 9.0, one, 9.0, one, 1.0, 1.0, 0.0)
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> round(n_queued(2000.0, 900.0, 1.0, 1.0, 0.0, cost, demand))
    1091
    """
    n_steps = max(n_decode_steps(demand), 1e-9)
    places = max(cost.n_places, 1.0)
    most = cost.n_places * n_steps
    mean = n_clients - most * (1.0 + delay_s / (n_steps * step_s)) - places
    deviation = math.sqrt(0.5 * most * (1.0 + (demand.input_square_factor - 1.0) / places))
    load = min(n_decoding / n_steps * others_fraction / cost.n_places, 1.0)
    if load <= 0.0:
        return 0.0
    return n_above_zero(mean, deviation) * math.exp(math.sqrt(2.0 * (places + 1.0)) * math.log(load))


@formula
def flow_at(
    n_decoding: float,
    n_clients: float,
    n_slots: float,
    decode_s: float,
    think_s: float,
    apart_share: float,
    cost: Costs,
    demand: Demand,
    setting: ServingSetting,
) -> Flow:
    """The loop with so many decoding sequences, whether or not as many clients as there are fill it.

    think_s  from the answer to the arrival of the next request, tokenising and transport
    Source:  the parts above

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> one = Piece(1.0, 1.0, 0.0)
    >>> cost = Costs(9.0, 1.0, 1.0, one, 9.0, one, 9.0, one, 1.0, 1.0, 0.0)
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> flow_at(1.0, 1.0, 9.0, 1.0, 0.0, 0.0, cost, demand, SERVING_SETTING).residence_s
    100.0
    """
    n_steps = max(n_decode_steps(demand), 1e-9)
    quiet_s = cost.quiet_s + cost.late_s
    others = max(n_clients - 1.0, 0.0) / n_clients
    ending = n_decoding / n_steps * others
    if ending <= 1e-12:
        rate = n_decoding / (n_steps * decode_s)
        return Flow(n_decoding, decode_s, quiet_s, n_steps * decode_s, 0.0, rate, 0.0)
    mixed = setting.engine.mixed_share > 0.5
    some = -math.expm1(-ending)
    first_group = batch(ending / some, cost)
    late_s = first_group.late_s
    token_s = decode_s + some * first_group.added_s
    n_groups = 1.0
    delay_s = think_s
    found = Run(token_s, 0.0, late_s, 0.0, 1.0, 0.0)
    for _ in range(2):
        delay_s = 0.0
        if think_s >= 0.0:
            delay_s = think_s + late_s
        found = run_of(n_decoding, others, decode_s, token_s, n_groups, delay_s, apart_share, cost, demand, setting)
        token_s = found.token_s
        if apart_share < 0.5:
            late_s = found.late_s
        n_groups = found.n_groups
    first_s = found.first_s
    extra_s = 0.0
    if mixed:
        full_s = cost.full.riding_s + decode_s
        load = ending / cost.n_places
        if load >= 1.0:
            token_s = min(token_s, full_s)
        if apart_share < 0.5:
            queued = n_queued(min(n_clients, n_slots), n_decoding, others, full_s, delay_s, cost, demand)
            full_first_s = max(min(first_s, cost.own_s + 1.5 * full_s + late_s), cost.own_s + late_s)
            first_s += ramp(load, 0.9, 1.0) * (full_first_s - first_s) + queued / cost.n_places * full_s
    else:
        near = 1.0
        if delay_s > 0.0:
            near = max(0.0, 1.0 - batch(ending / some, cost).added_s / delay_s)
        chance_s = decode_s / some
        regular = 1.0 - (chance_s / (chance_s + delay_s)) ** 2
        extra_s = found.before_s - 0.5 * found.added_s * (1.0 - near) * regular
        extra_s = max(extra_s, -0.5 * n_steps * (token_s - decode_s))
        extra_s *= ramp(found.n_groups * ending / some, 1.5, 4.0)
    none = 0.0
    if n_clients > 1.0:
        none = max(1.0 - n_decoding / n_clients, 0.0) ** (n_clients - 1.0)
    first_s = none * quiet_s + (1.0 - none) * first_s
    residence_s = n_steps * token_s + extra_s
    return Flow(n_decoding, token_s, first_s, residence_s, 0.0, n_decoding / residence_s, apart_share)


@formula
def waves_flow(
    n_clients: float,
    n_slots: float,
    decode_s: float,
    think_s: float,
    cost: Costs,
    demand: Demand,
    setting: ServingSetting,
) -> Flow:
    """The loop of an engine in turns where it swings: all decode until the first comes back, then what ended prefills.

    Where prefill of what ends meanwhile takes longer than the way to a client and back, nothing is left on the way when
    it is over, and it begins anew. `swing_fraction` is 0 where it does not, 1 where it does for sure.

        cycle = D / a + T + sum P,   rate = requests of the groups / cycle

    Source:  the parts above

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> one = Piece(1.0, 1.0, 0.0)
    >>> cost = Costs(9.0, 1.0, 1.0, one, 9.0, one, 9.0, one, 1.0, 1.0, 0.0)
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> waves_flow(2.0, 9.0, 1.0, 0.0, cost, demand, SERVING_SETTING).swing_fraction
    0.0
    """
    n_steps = max(n_decode_steps(demand), 1e-9)
    others = max(n_clients - 1.0, 0.0) / n_clients
    n_all = min(n_clients, n_slots)
    calm = Flow(n_all, decode_s, 0.0, 0.0, 0.0, 0.0, 0.0)
    ending = n_all / n_steps * others
    # prefill of what ends in a decode step against the step
    if ending <= 1e-12:
        return calm
    some = -math.expm1(-ending)
    first = batch(ending / some, cost)
    swing = max(ramp(prompt_s(cost) * ending / decode_s, 1.0, 1.4), ramp(some * first.added_s / decode_s, 0.9, 1.2))
    if swing <= 0.0:
        return calm
    # the way of those that were prefilled first, which is the shortest
    delay_s = think_s + first.late_s
    found = run_of(n_all, others, decode_s, decode_s, 1.0, delay_s, 1.0, cost, demand, setting)
    n_requests = found.n_groups * ending / some
    swing *= ramp(found.added_s / max(delay_s, 1e-9), 0.8, 1.0) * ramp(n_requests, 1.5, 2.5)
    swing *= 1.0 - ramp(delay_s / (n_steps * decode_s), 0.8, 1.1)
    if swing <= 0.0:
        return calm
    apart_s = max(decode_s / some + delay_s, decode_s * found.n_groups / some)
    rate = n_requests / (found.added_s + apart_s)
    n_decoding = n_clients - rate * (think_s + found.first_s)
    if n_decoding <= 0.0:
        return calm
    return Flow(n_decoding, found.token_s, found.first_s, n_decoding / rate, 0.0, rate, swing)


@formula
def balanced_flow(
    n_clients: float,
    n_slots: float,
    n_start: float,
    n_near: float,
    decode_s: float,
    more_decode_s: float,
    think_s: float,
    apart_share: float,
    tolerance_fraction: float,
    cost: Costs,
    demand: Demand,
    setting: ServingSetting,
) -> Flow:
    """The loop that as many clients as there are fill: C = n + rate (think + first), solved for n.

    n_start        where to begin
    n_near         sequences that a step of `decode_s` decodes;   more_decode_s  of it for one more
    Source:  [little1961]

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> one = Piece(1.0, 1.0, 0.0)
    >>> cost = Costs(9.0, 1.0, 1.0, one, 9.0, one, 9.0, one, 1.0, 1.0, 0.0)
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> round(balanced_flow(1.0, 9.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1e-4, cost, demand, SERVING_SETTING).in_flight, 3)
    0.99
    """
    others = max(n_clients - 1.0, 0.0) / n_clients
    low, high = 0.0, min(n_clients, n_slots)
    n_now = min(n_start, high)
    found = Flow(n_now, decode_s, 0.0, 0.0, 0.0, 0.0, 0.0)
    for i in range(12):
        seen = min(1.0 + n_now * others, max(n_clients, 1.0))
        step_s = max(decode_s + (seen - n_near) * more_decode_s, 0.1 * decode_s)
        found = flow_at(n_now, n_clients, n_slots, step_s, think_s, apart_share, cost, demand, setting)
        total = n_now + found.requests_per_s * (max(think_s, 0.0) + found.first_s)
        if total > n_clients:
            high = n_now
        else:
            low = n_now
        if abs(total - n_clients) <= tolerance_fraction * n_clients:
            break
        then = n_now * n_clients / total
        if not low <= then <= high or (i >= 3 and abs(then - n_now) > 0.2 * n_now):
            then = 0.5 * (low + high)
        n_now = then
    return found


@formula
def swing_fraction(flow: Flow, decode_s: float, think_s: float, cost: Costs, demand: Demand) -> float:
    """Whether a loop whose prefills ride on decode steps swings: 0 to 1.

    A small change of the length of a step comes back after the way to the client with the factor -w q / (D + p): q
    prompts a step that each add w. Steps swing where it is above 1 and the way longer than a step.
    Source:  arithmetic: linear stability of s(t) = (D + p) / (1 - w q / s(t - T))

    >>> one = Piece(1.0, 1.0, 0.0)
    >>> cost = Costs(9.0, 1.0, 1.0, one, 9.0, one, 9.0, one, 1.0, 1.0, 0.0)
    >>> demand = Demand(100.0, 101.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.0)
    >>> swing_fraction(Flow(9.0, 1.0, 1.0, 100.0, 0.0, 1.0, 0.0), 1.0, 9.0, cost, demand)
    0.0
    """
    ending = flow.in_flight / max(n_decode_steps(demand), 1e-9)
    swing = ramp(ending, 1.0, 1.5) * (1.0 - ramp(ending / cost.n_places, 0.9, 1.0))
    if swing <= 0.0:
        return 0.0
    each_s = prompt_s(cost)
    fixed_s = max(cost.few.riding_s * cost.n_pieces - each_s, 0.0)
    some = -math.expm1(-ending)
    together = batch(ending / some, cost)
    swing *= ramp(each_s * ending / (decode_s + fixed_s), 1.0, 1.4)
    return swing * ramp((think_s + together.late_s) / (decode_s + together.added_s), 1.0, 1.3)


@formula
def between(one: Flow, other: Flow, share: float) -> Flow:
    """A flow between two.

    Source:  arithmetic

    >>> one = Flow(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)
    >>> between(one, one, 0.5) == one._replace(swing_fraction=0.5)
    True
    """
    if share <= 0.0:
        return one
    return Flow(
        one.in_flight + share * (other.in_flight - one.in_flight),
        one.token_s + share * (other.token_s - one.token_s),
        one.first_s + share * (other.first_s - one.first_s),
        one.residence_s + share * (other.residence_s - one.residence_s),
        one.wait_s + share * (other.wait_s - one.wait_s),
        one.requests_per_s + share * (other.requests_per_s - one.requests_per_s),
        share,
    )


@formula
def steady_loop(setting: ServingSetting, job: ServingJob, plan: ServingPlan) -> Flow:
    """The steady state of a closed loop: clients that ask again at once, more than fit waiting for a slot.

    Source:  the parts above

    >>> from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
    >>> found = steady_loop(SERVING_SETTING, SERVING_JOB, SERVING_PLAN)
    >>> held_s = SERVING_SETTING.engine.first_token_s + found.first_s + found.residence_s
    >>> abs(found.requests_per_s * held_s / SERVING_JOB.batch - 1.0) < 1e-3
    True
    """
    engine = setting.engine
    demand = demand_of_job(job)
    context = cached_tokens(demand)
    drafting = drafting_factor(job.n_drafts, setting.model)
    queries = 1.0 + job.n_drafts
    n_steps = n_decode_steps(demand)
    clients = job.batch
    slots = in_flight_limit(job, setting, plan)
    think_s = engine.first_token_s
    full = decode_pass(max(slots, 1.0), queries, context, setting, plan)
    full_s = full.total_s * drafting
    shared_s = engine.mixed_share * full.once_s
    group = 1.0
    if n_steps > 0.0:
        group = 2.0 * (slots / n_steps) / -math.expm1(-slots / n_steps)
    cost = costs(max(slots, 1.0), group, full_s, shared_s, demand, setting, plan)
    if n_steps <= 0.0:
        # answers of one token: prefill alone
        first_s = max(cost.quiet_s + cost.late_s, clients / cost.n_places * cost.full.quiet_s - think_s)
        return Flow(0.0, full_s, first_s, 0.0, 0.0, clients / (think_s + first_s), 0.0)
    population = clients
    way_s = think_s
    if clients > slots:
        population = slots
        way_s = -1.0
    waves = Flow(0.0, full_s, 0.0, 0.0, 0.0, 0.0, 0.0)
    if engine.mixed_share <= 0.5 and clients <= slots:
        waves = waves_flow(clients, slots, full_s, think_s, cost, demand, setting)
        if waves.swing_fraction >= 1.0:
            return waves
    near = max(slots, 1.0)
    more_s = 0.0
    found = balanced_flow(population, slots, 0.95 * near, near, full_s, more_s, way_s, 0.0, 0.03, cost, demand, setting)
    seen = min(1.0 + found.in_flight * max(population - 1.0, 0.0) / population, near)
    step = decode_pass(seen, queries, context, setting, plan)
    step_s = step.total_s * drafting
    if near - seen > 1e-3 * near:
        # tiles make a step jump; on average it is at most proportional
        more_s = min(max(full_s - step_s, 0.0) / (near - seen), step_s / seen)
    if near - seen > NEARLY_ALL * near:
        shared_s = engine.mixed_share * step.once_s
        ending = found.in_flight / n_steps
        group = 2.0 * ending / -math.expm1(-ending)
        cost = costs(seen, group, step_s, shared_s, demand, setting, plan)
    found = balanced_flow(
        population, slots, found.in_flight, seen, step_s, more_s, way_s, 0.0, 1e-4, cost, demand, setting
    )
    if clients > slots:
        wait_s = clients / found.requests_per_s - think_s - found.first_s - found.residence_s
        if wait_s > 0.0:
            return Flow(
                found.in_flight, found.token_s, found.first_s, found.residence_s, wait_s, found.requests_per_s, 0.0
            )
        found = balanced_flow(
            clients, slots, found.in_flight, seen, step_s, more_s, think_s, 0.0, 1e-4, cost, demand, setting
        )
    if engine.mixed_share > 0.5:
        swing = swing_fraction(found, step_s, think_s, cost, demand)
        if swing > 0.0:
            near = found.in_flight
            waves = balanced_flow(clients, slots, near, seen, step_s, more_s, think_s, 1.0, 1e-4, cost, demand, setting)
            return between(found, waves, swing)
    return between(found, waves, waves.swing_fraction)


@formula
def burst_s(setting: ServingSetting, job: ServingJob, plan: ServingPlan) -> float:
    """Mean time to the first token where all clients begin at once: prefill of all, one full step after another.

        T0 + (k + 1) / 2 whole steps,   k = prompts / places      or one step that takes them all

    Source:  arithmetic

    >>> from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
    >>> one, all = (burst_s(SERVING_SETTING, SERVING_JOB._replace(batch=n), SERVING_PLAN) for n in (1.0, 8.0))
    >>> one < all
    True
    """
    engine = setting.engine
    demand = demand_of_job(job)
    slots = in_flight_limit(job, setting, plan)
    cost = costs(0.5 * slots, max(slots, 1.0), 0.0, 0.0, demand, setting, plan)
    beside_s = 0.0
    if engine.mixed_share > 0.5:
        half = decode_pass(max(0.5 * slots, 1.0), 1.0 + job.n_drafts, cached_tokens(demand), setting, plan)
        beside_s = half.total_s * drafting_factor(job.n_drafts, setting.model)
    together = batch(slots, cost)
    if slots <= cost.n_places:
        return engine.first_token_s + max(together.added_s, cost.quiet_s) + together.late_s
    full_s = cost.full.quiet_s + beside_s
    return engine.first_token_s + 0.5 * (slots / cost.n_places + 1.0) * full_s + together.late_s


@formula
def closed_loop(setting: ServingSetting, job: ServingJob, plan: ServingPlan) -> Load:
    """A replica that always has `batch` requests: each that ends is replaced as soon as its client has the answer.

        C    = rate (T0 + first + wait + residence)        Little's law
        TTFT = T0 + first + wait;   of n waves that began together  ((n - 1) TTFT + that of the burst + wait) / n
        TPOT = residence / (O - 1),   the decode steps of a request and the prefills that come between them

    What exceeds the slots of cache and engine waits for one. Lengths are taken to differ by more than a step, so that
    requests which began together do not end together.
    Source:  [little1961]; the parts above

    >>> from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
    >>> alone = closed_loop(SERVING_SETTING, SERVING_JOB._replace(batch=1.0), SERVING_PLAN)
    >>> alone.interference_s
    0.0
    """
    engine = setting.engine
    demand = demand_of_job(job)
    flow = steady_loop(setting, job, plan)
    clients = max(job.batch - 1.0, 0.0) / job.batch
    seen = max(min(1.0 + flow.in_flight * clients, job.batch), 1.0)
    step = decode_pass(seen, 1.0 + job.n_drafts, cached_tokens(demand), setting, plan)
    drafting = drafting_factor(job.n_drafts, setting.model)
    n_steps = n_decode_steps(demand)
    gaps = max(job.output_len - 1.0, 1.0)
    share = drafting * max(n_steps, 1.0) / gaps
    decode_s = step.total_s * share
    interference_s = 0.0
    if n_steps > 0.0:
        interference_s = max(flow.residence_s / gaps - decode_s, 0.0)
    if job.batch <= 1.0:
        interference_s = 0.0
    tpot_s = decode_s + interference_s
    ttft_s = engine.first_token_s + flow.first_s + flow.wait_s
    if job.n_waves > 0.0:
        ttft_s += max(burst_s(setting, job, plan) + flow.wait_s - ttft_s, 0.0) / job.n_waves
    latency_s = ttft_s + (job.output_len - 1.0) * tpot_s
    return Load(
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        latency_s=latency_s,
        requests_per_s=job.batch / latency_s,
        in_flight=flow.in_flight,
        decode_compute_s=step.compute_s * share,
        decode_weights_s=step.weights_s * share,
        decode_kv_s=step.kv_s * share,
        decode_comm_s=step.comm_s * share,
        decode_host_s=step.host_s * share,
        interference_s=interference_s,
    )
