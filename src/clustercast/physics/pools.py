"""Prefill and decode apart: the cache on its way between them, and how full a decode pool may be."""

import math

from clustercast.physics.collectives import tier_bytes_per_s
from clustercast.physics.formula import formula
from clustercast.physics.serving import kv_sequence_bytes
from clustercast.records import Cluster, ServingPlan, ServingSetting


@formula
def handed_bytes(input_len: float, setting: ServingSetting) -> float:
    """Cache of one prompt, every part once: what a prefill pool sends for a sequence.

    Source:  [patel2024], section 4.2; the parts in kv_sequence_bytes

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> handed_bytes(10.0, SERVING_SETTING) == 8 * 10 * 2.0 * 8 * 256
    True
    """
    return kv_sequence_bytes(setting.model, 1, setting.precision.kv_bytes, input_len)


@formula
def rank_link_bytes_per_s(plan: ServingPlan, cluster: Cluster, inside: float) -> float:
    """Bandwidth at which the chips that hold one sequence send or take its cache, each through its own link.

    inside   1: both pools lie in one scale-up domain; 0: between nodes
    Source:  [patel2024], section 4.2

    >>> from clustercast.physics.examples import CLUSTER, SERVING_PLAN
    >>> one = rank_link_bytes_per_s(SERVING_PLAN._replace(tp=1), CLUSTER, 0.0)
    >>> rank_link_bytes_per_s(SERVING_PLAN._replace(tp=4), CLUSTER, 0.0) == 4.0 * one
    True
    """
    each = tier_bytes_per_s(cluster.rail, 2.0)
    if inside > 0.5:
        each = tier_bytes_per_s(cluster.scale_up, 2.0)
    return plan.tp * plan.pp * each


@formula
def shared_transfer_s(alone_s: float, load_fraction: float) -> float:
    """Time of a transfer on a link that transfers arriving at random share evenly.

        t / (1 - u);   infinite where they ask for more than the link has

    Source:  [kelly1979], processor sharing

    >>> shared_transfer_s(1.0, 0.5)
    2.0
    """
    if load_fraction >= 1.0:
        return math.inf
    return alone_s / (1.0 - load_fraction)


@formula
def exposed_transfer_s(transfer_s: float, prefill_s: float, n_layers: float, overlap_fraction: float) -> float:
    """What a request waits for its cache after prefill, the layers sent as they are done.

        max(t / L, t - o P)        the last layer cannot hide; o the share of prefill that a transfer can run beside

    Source:  [patel2024], section 4.2; [qin2024], section 5.2

    >>> exposed_transfer_s(1.0, 10.0, 10.0, 1.0), exposed_transfer_s(1.0, 10.0, 10.0, 0.0)
    (0.1, 1.0)
    """
    return max(transfer_s / n_layers, transfer_s - overlap_fraction * prefill_s)


@formula
def staffed_batch(slots_batch: float, margin_factor: float) -> float:
    """Mean sequences in flight that leave room for chance: arrivals at random scatter by the root of their number.

        N + z sqrt(N) = slots

    Source:  [halfin1981]

    >>> staffed_batch(110.0, 1.0)
    100.0
    """
    root = 0.5 * (math.sqrt(margin_factor * margin_factor + 4.0 * slots_batch) - margin_factor)
    return root * root


@formula
def slot_wait_s(load_fraction: float, slots_batch: float, service_s: float, square_factor: float) -> float:
    """Mean wait for one of many slots, arrivals at random.

        rho^(sqrt(2 (c + 1)) - 1) / (c (1 - rho)) * service * E[s^2] / (2 E[s]^2)

    service_s      for which a request holds its slot
    square_factor  mean square over square of the mean of that time
    Source:        [sakasegawa1977]

    >>> slot_wait_s(0.5, 1.0, 2.0, 2.0)
    2.0
    """
    if load_fraction >= 1.0:
        return math.inf
    power: float = load_fraction ** (math.sqrt(2.0 * (slots_batch + 1.0)) - 1.0)
    return 0.5 * square_factor * service_s * power / (slots_batch * (1.0 - load_fraction))
