"""Time of collectives over a hierarchy of networks: package, scale-up domain, rail, spine."""

import math
from typing import NamedTuple

from clustercast.physics.formula import formula
from clustercast.records import CUBE_MESH, FULL_MESH, PCIE_TREE, TORUS, Cluster, Tier


class Spread(NamedTuple):
    """How the ranks of one group lie over the tiers: their product is the size of the group, rounded up."""

    n_package: float
    n_scale_up: float
    n_rail: float
    n_spine: float


@formula
def ranks_inside(n_ranks: int, stride: int, n_chips: int) -> int:
    """Ranks of a strided group that fall into one block of n_chips neighbouring chips.

        clamp(floor(n_chips / stride), 1, n_ranks)

    stride  distance between neighbouring ranks of the group, in chips
    Source:  rank order TP, CP, EP in DP, PP of [narayanan2021]

    >>> ranks_inside(16, 2, 8)
    4
    """
    return max(1, min(n_ranks, n_chips // stride))


@formula
def spread(n_ranks: int, stride: int, cluster: Cluster) -> Spread:
    """Where the ranks of a strided group lie.

    stride  distance between neighbouring ranks of the group, in chips
    Source:  rank order of [narayanan2021]

    >>> from clustercast.physics.examples import CLUSTER
    >>> spread(16, 2, CLUSTER)
    Spread(n_package=1.0, n_scale_up=4.0, n_rail=4.0, n_spine=1.0)
    """
    n_package = ranks_inside(n_ranks, stride, cluster.package.n_chips)
    n_scale_up = max(n_package, ranks_inside(n_ranks, stride, cluster.scale_up.n_chips))
    n_rail = max(n_scale_up, ranks_inside(n_ranks, stride, cluster.rail.n_chips))
    return Spread(
        float(n_package),
        float(math.ceil(n_scale_up / n_package)),
        float(math.ceil(n_rail / n_scale_up)),
        float(math.ceil(n_ranks / n_rail)),
    )


@formula
def tier_bytes_per_s(tier: Tier, n_ranks: float) -> float:
    """Bandwidth that each of n ranks has for a ring or an exchange inside one tier, one direction.

        switch       B e
        full mesh    B e (g - 1) / (n - 1)          g of n chips use the links among them
        cube mesh    B e min(1, pair log2 g)        one or two links a pair, all links at g = 8
        torus        B e a / axes                   a: axes that g chips span
        PCIe tree    B e for a pair, B e pair beyond it (shared uplinks)

    Source:  [li2020interconnect] for PCIe, cube mesh and switch; [jouppi2023] for the torus

    >>> from clustercast.physics.examples import TIER
    >>> tier_bytes_per_s(TIER._replace(shape=1, n_chips=8), 2.0) * 7
    1000000000.0
    """
    usable = tier.bytes_per_s * tier.fraction
    if tier.shape == FULL_MESH:
        return usable * (max(n_ranks, 2.0) - 1.0) / max(tier.n_chips - 1.0, 1.0)
    if tier.shape == CUBE_MESH:
        return usable * min(1.0, tier.pair_fraction * math.ceil(math.log2(max(n_ranks, 2.0))))
    if tier.shape == TORUS:
        n_axes_used = 1.0
        reach = float(tier.axis_chips)
        while reach < n_ranks and n_axes_used < tier.n_axes:
            n_axes_used += 1.0
            reach *= tier.axis_chips
        return usable * n_axes_used / tier.n_axes
    if tier.shape == PCIE_TREE and n_ranks > 2.0:
        return usable * tier.pair_fraction
    return usable


@formula
def hops(n_ranks: float) -> float:
    """Steps of latency in one tier: a ring for few ranks, a tree for many.

        min(n - 1, 2 ceil(log2 n))

    Source:  [thakur2005]; NCCL changes algorithm by size in the same way

    >>> hops(4.0), hops(64.0)
    (3.0, 12.0)
    """
    if n_ranks <= 1.0:
        return 0.0
    return min(n_ranks - 1.0, 2.0 * math.ceil(math.log2(n_ranks)))


@formula
def launch_s(where: Spread, cluster: Cluster) -> float:
    """Start of a collective: that of the outermost tier it crosses, paid once.

    Source:  fitted by bench/fit_operations.py on measured collectives

    >>> from clustercast.physics.examples import CLUSTER, TIER
    >>> launch_s(Spread(1.0, 4.0, 1.0, 1.0), CLUSTER._replace(scale_up=TIER._replace(launch_s=5.0)))
    5.0
    """
    if where.n_spine > 1.0:
        return cluster.spine.launch_s
    if where.n_rail > 1.0:
        return cluster.rail.launch_s
    if where.n_scale_up > 1.0:
        return cluster.scale_up.launch_s
    return cluster.package.launch_s


@formula
def latency_s(where: Spread, cluster: Cluster) -> float:
    """Latency of one pass of a collective over every tier that it crosses.

        sum over tiers of hops * latency

    Source:  [thakur2005]

    >>> from clustercast.physics.examples import CLUSTER, TIER
    >>> latency_s(Spread(1.0, 4.0, 1.0, 1.0), CLUSTER._replace(scale_up=TIER._replace(latency_s=1.0)))
    3.0
    """
    return (
        hops(where.n_package) * cluster.package.latency_s
        + hops(where.n_scale_up) * cluster.scale_up.latency_s
        + hops(where.n_rail) * cluster.rail.latency_s
        + hops(where.n_spine) * cluster.spine.latency_s
    )


@formula
def ramp(where: Spread, cluster: Cluster) -> float:
    """The ramp constant of the outermost tier that a group crosses.

    Source:  fitted by bench/fit_operations.py on measured collectives

    >>> from clustercast.physics.examples import CLUSTER
    >>> ramp(Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    0.0
    """
    if where.n_spine > 1.0:
        return cluster.spine.ramp
    if where.n_rail > 1.0:
        return cluster.rail.ramp
    if where.n_scale_up > 1.0:
        return cluster.scale_up.ramp
    return cluster.package.ramp


@formula
def ramped_s(start_s: float, stream_s: float, ramp_weight: float) -> float:
    """Latency and bandwidth together, with the slow rise to full bandwidth that messages of middle size see.

        t = a + b + c sqrt(a b)

    c = 0 is the alpha-beta model [thakur2005]; c = 2 the p-norm with p = 1/2.
    Source:  form chosen on measured collectives by bench/fit_operations.py; alpha-beta from [thakur2005]

    >>> ramped_s(1.0, 4.0, 0.5)
    6.0
    """
    return start_s + stream_s + ramp_weight * math.sqrt(start_s * stream_s)


@formula
def stream_s(payload_bytes: float, where: Spread, cluster: Cluster) -> float:
    """Bandwidth time of an all-gather or reduce-scatter over nodes; the tiers work at once.

        inside   (g - 1) / g * payload / bandwidth                 g ranks of a domain
        rails    (n - 1) / n * payload / g / bandwidth             one ring through all n ranks, g ports a node
        spine    (k - 1) / k * payload / (ranks further in) / bandwidth     k leaves

    The longest of them. Every chip of a node drives its own network port, so a ring over nodes has
    their sum.

    payload_bytes  the whole vector, not a shard
    Source:        [thakur2005]; rings over nodes as measured, [patarasuk2009]

    >>> from clustercast.physics.examples import CLUSTER
    >>> stream_s(8e9, Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    6.0
    """
    longest_s = 0.0
    rest_bytes = payload_bytes
    n_ranks = where.n_package * where.n_scale_up * where.n_rail * where.n_spine
    if where.n_package > 1.0:
        share = (where.n_package - 1.0) / where.n_package
        longest_s = share * rest_bytes / tier_bytes_per_s(cluster.package, where.n_package)
        rest_bytes /= where.n_package
    if where.n_scale_up > 1.0:
        share = (where.n_scale_up - 1.0) / where.n_scale_up
        longest_s = max(longest_s, share * rest_bytes / tier_bytes_per_s(cluster.scale_up, where.n_scale_up))
        rest_bytes /= where.n_scale_up
    if where.n_rail > 1.0:
        share = (n_ranks - 1.0) / n_ranks
        longest_s = max(longest_s, share * rest_bytes / tier_bytes_per_s(cluster.rail, where.n_rail))
        rest_bytes /= where.n_rail
    if where.n_spine > 1.0:
        share = (where.n_spine - 1.0) / where.n_spine
        longest_s = max(longest_s, share * rest_bytes / tier_bytes_per_s(cluster.spine, where.n_spine))
    return longest_s


@formula
def shard_exchange_s(payload_bytes: float, where: Spread, cluster: Cluster) -> float:
    """Time of an all-gather or a reduce-scatter.

        t = ramped(launch + latency, stream)

    payload_bytes  the whole vector: what each rank starts a reduce-scatter with or ends an all-gather with
    Source:        [thakur2005]

    >>> from clustercast.physics.examples import CLUSTER
    >>> shard_exchange_s(8e9, Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    6.0
    """
    if where.n_package * where.n_scale_up * where.n_rail * where.n_spine <= 1.0:
        return 0.0
    start_s = launch_s(where, cluster) + latency_s(where, cluster)
    return ramped_s(start_s, stream_s(payload_bytes, where, cluster), ramp(where, cluster))


@formula
def all_reduce_s(payload_bytes: float, where: Spread, cluster: Cluster) -> float:
    """Time of an all-reduce: reduce-scatter and all-gather, or the switch reduces.

        t = ramped(launch + 2 latency, 2 stream / gain),   gain only inside one scale-up domain

    payload_bytes  the vector that every rank holds
    Source:        [thakur2005]; in-switch reduction [klenk2020]

    >>> from clustercast.physics.examples import CLUSTER
    >>> all_reduce_s(8e9, Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    12.0
    """
    if where.n_package * where.n_scale_up * where.n_rail * where.n_spine <= 1.0:
        return 0.0
    gain = 1.0
    if where.n_rail * where.n_spine <= 1.0 and where.n_scale_up > 2.0:
        gain = cluster.scale_up.reduction_gain
    start_s = launch_s(where, cluster) + 2.0 * latency_s(where, cluster)
    return ramped_s(start_s, 2.0 * stream_s(payload_bytes, where, cluster) / gain, ramp(where, cluster))


@formula
def exchange_bytes_per_s(tier: Tier, n_ranks: float) -> float:
    """Bandwidth of an all-to-all inside one tier: a torus forwards over many hops.

        torus: ring bandwidth * min(1, 4 / longest axis used);   elsewhere as for a ring

    Source:  bisection of a torus, [jouppi2023]

    >>> from clustercast.physics.examples import TIER
    >>> exchange_bytes_per_s(TIER._replace(shape=3, n_axes=1, axis_chips=16), 16.0)
    250000000.0
    """
    ring_bytes_per_s = tier_bytes_per_s(tier, n_ranks)
    if tier.shape == TORUS:
        longest_axis = min(float(tier.axis_chips), n_ranks)
        return ring_bytes_per_s * min(1.0, 4.0 / max(longest_axis, 1.0))
    return ring_bytes_per_s


@formula
def exchange_stream_s(inside_bytes: float, outside_bytes: float, where: Spread, cluster: Cluster) -> float:
    """Bandwidth time of an all-to-all: the slowest of the tiers that work at once.

        max(inside / B_scale-up, outside / B_rail, spine share / B_spine)

    inside_bytes   sent by one chip to other chips of its domain, what it forwards for others included
    outside_bytes  sent by one chip to other domains
    Source:        [deepseek2024v3], section 3.2.2

    >>> from clustercast.physics.examples import CLUSTER
    >>> exchange_stream_s(6e9, 0.0, Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    6.0
    """
    n_domain = where.n_package * where.n_scale_up
    n_outside = where.n_rail * where.n_spine
    longest_s = 0.0
    if n_domain > 1.0:
        longest_s = inside_bytes / exchange_bytes_per_s(cluster.scale_up, n_domain)
    if n_outside > 1.0:
        longest_s = max(longest_s, outside_bytes / exchange_bytes_per_s(cluster.rail, where.n_rail))
    if where.n_spine > 1.0:
        spine_bytes = outside_bytes * (n_outside - where.n_rail) / (n_outside - 1.0)
        longest_s = max(longest_s, spine_bytes / exchange_bytes_per_s(cluster.spine, where.n_spine))
    return longest_s


@formula
def all_to_all_s(inside_bytes: float, outside_bytes: float, where: Spread, cluster: Cluster) -> float:
    """Time of an all-to-all, given what one chip sends inside its scale-up domain and beyond it.

        t = ramped(launch + latency, stream)

    inside_bytes   sent by one chip to other chips of its domain, what it forwards for others included
    outside_bytes  sent by one chip to other domains
    Source:        [deepseek2024v3], section 3.2.2; [thakur2005]

    >>> from clustercast.physics.examples import CLUSTER
    >>> all_to_all_s(6e9, 0.0, Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    6.0
    """
    n_domain = where.n_package * where.n_scale_up
    n_outside = where.n_rail * where.n_spine
    if n_domain * n_outside <= 1.0:
        return 0.0
    start_s = launch_s(where, cluster) + latency_s(where, cluster)
    return ramped_s(start_s, exchange_stream_s(inside_bytes, outside_bytes, where, cluster), ramp(where, cluster))


@formula
def even_all_to_all_s(sent_bytes: float, where: Spread, cluster: Cluster) -> float:
    """Time of an all-to-all in which every rank sends every other rank the same.

        inside = V (n_domain - 1) / n,   outside = V (n - n_domain) / n

    Where rails do not cross, what leaves a node for another rank is forwarded inside it first.

    sent_bytes  what one rank holds for all ranks, its own share included
    Source:     [thakur2005]

    >>> from clustercast.physics.examples import CLUSTER
    >>> even_all_to_all_s(8e9, Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    6.0
    """
    n_domain = where.n_package * where.n_scale_up
    n_ranks = n_domain * where.n_rail * where.n_spine
    inside_bytes = sent_bytes * (n_domain - 1.0) / n_ranks
    outside_bytes = sent_bytes * (n_ranks - n_domain) / n_ranks
    if cluster.rails_cross == 1:
        inside_bytes += outside_bytes * (n_domain - 1.0) / n_domain
    return all_to_all_s(inside_bytes, outside_bytes, where, cluster)


@formula
def distinct_nodes(n_nodes: float, n_choices: float) -> float:
    """Nodes that hold at least one of a token's experts, when its choices fall anywhere.

        N (1 - (1 - 1/N)^k)

    Source:  occupancy of uniform random choices

    >>> distinct_nodes(2.0, 2.0)
    1.5
    """
    if n_nodes <= 1.0:
        return 1.0
    return n_nodes * (1.0 - float((1.0 - 1.0 / n_nodes) ** n_choices))


@formula
def reachable_nodes(n_nodes: float, n_groups: int, n_active_groups: int) -> float:
    """Nodes that a token may reach when its experts must lie in M of G groups, spread evenly over N nodes.

        N < G:  N (1 - C(G - G/N, M) / C(G, M))     a node is out of reach if none of its groups is chosen
        else:   M N / G

    Source:  [deepseek2024v3], section 2.1.2; counting of uniform choices

    >>> reachable_nodes(8.0, 8, 4), round(reachable_nodes(2.0, 8, 4), 3)
    (4.0, 1.971)
    """
    if n_groups <= 1 or n_active_groups >= n_groups:
        return n_nodes
    if n_nodes >= n_groups:
        return n_active_groups * n_nodes / n_groups
    missed = 1.0
    for i in range(n_active_groups):
        missed *= max(0.0, n_groups - n_groups / n_nodes - i) / (n_groups - i)
    return n_nodes * (1.0 - missed)


@formula
def dispatch_s(
    tokens: float,
    token_bytes: float,
    n_choices: float,
    n_groups: int,
    n_active_groups: int,
    deduplicated: float,
    where: Spread,
    cluster: Cluster,
) -> float:
    """Time to send tokens to their experts (or the results back) over an expert-parallel group.

    A token goes to k experts that lie on N nodes. Without deduplication every copy that leaves the
    node crosses the network port; with it one copy per node does, and the node forwards it inside.
    Node-limited routing bounds the nodes that a token may choose.

        copies out  = (N - 1) / N * (k, or distinct nodes of the reachable when deduplicated)
        inside      = (g - 1) / g * k   over the g ranks of a domain, forwarded copies included;
                      only the k / N that stay, where the leaf switches reach every rank

    tokens        of this chip
    token_bytes   of one token on the wire
    n_groups      of experts, of which a token may choose n_active_groups; 0 or 1: free routing
    deduplicated  1: yes, 0: no
    Source:       [deepseek2024v3], section 3.2.2

    >>> from clustercast.physics.examples import CLUSTER
    >>> dispatch_s(1e6, 1e3, 4.0, 0, 0, 0.0, Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    3.0
    """
    n_domain = where.n_package * where.n_scale_up
    n_nodes = where.n_rail * where.n_spine
    if n_domain * n_nodes <= 1.0:
        return 0.0
    reached = distinct_nodes(reachable_nodes(n_nodes, n_groups, n_active_groups), n_choices)
    copies = deduplicated * reached + (1.0 - deduplicated) * n_choices
    sent_bytes = tokens * token_bytes
    outside_bytes = sent_bytes * copies * (n_nodes - 1.0) / n_nodes
    inside_bytes = sent_bytes * n_choices * (n_domain - 1.0) / n_domain
    if cluster.rails_cross == 0:
        inside_bytes /= n_nodes
    return all_to_all_s(inside_bytes, outside_bytes, where, cluster)


@formula
def direct_exchange_s(
    tokens: float, token_bytes: float, n_choices: float, start_s: float, where: Spread, cluster: Cluster
) -> float:
    """Time to send few tokens straight to the chips of their experts (or the results back), with one-sided writes.

    Every copy goes to its own chip, over the network port if that is in another node. All messages fly at once, so no
    hop adds latency: one start covers quantising, writing and the flags that the receiver polls.

        t = start + max(k V (g - 1) / n / B_scale-up, k V (n - g) / n / B_rail)      V the tokens, g of n ranks a domain

    With a start of 37 us this gives DeepEP's low-latency kernels on H800 (128 tokens, k = 8): dispatch 155 us at EP32
    and 194 at EP256, combine 273 and 360.

    tokens   of this chip
    start_s  of one kernel
    Source:  [deepep2025], table of low-latency kernels

    >>> from clustercast.physics.examples import CLUSTER
    >>> direct_exchange_s(1e6, 1e3, 4.0, 1.0, Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    4.0
    """
    n_domain = where.n_package * where.n_scale_up
    n_ranks = n_domain * where.n_rail * where.n_spine
    if n_ranks <= 1.0:
        return 0.0
    sent_bytes = tokens * token_bytes * n_choices
    inside_bytes = sent_bytes * (n_domain - 1.0) / n_ranks
    outside_bytes = sent_bytes * (n_ranks - n_domain) / n_ranks
    return start_s + exchange_stream_s(inside_bytes, outside_bytes, where, cluster)


@formula
def forwarded_exchange_s(
    tokens: float,
    token_bytes: float,
    n_choices: float,
    n_groups: int,
    n_active_groups: int,
    start_s: float,
    where: Spread,
    cluster: Cluster,
) -> float:
    """Time to send many tokens to their experts (or the results back): one copy a node, forwarded to one copy a chip.

        outside = V (N - 1) / N * distinct nodes of the reachable;   inside = V (g - 1) / g * distinct chips
        t       = start + max(inside / B_scale-up, outside / B_rail)

    tokens    of this chip
    n_groups  of experts, of which a token may choose n_active_groups; 0 or 1: free routing
    start_s   of one kernel: counting what goes where, waiting for the counts of the others
    Source:   [deepep2025], table of normal kernels; [deepseek2024v3], section 3.2.2

    >>> from clustercast.physics.examples import CLUSTER
    >>> forwarded_exchange_s(1e6, 1e3, 1.0, 0, 0, 1.0, Spread(1.0, 4.0, 1.0, 1.0), CLUSTER)
    1.75
    """
    n_domain = where.n_package * where.n_scale_up
    n_nodes = where.n_rail * where.n_spine
    if n_domain * n_nodes <= 1.0:
        return 0.0
    sent_bytes = tokens * token_bytes
    nodes = distinct_nodes(reachable_nodes(n_nodes, n_groups, n_active_groups), n_choices)
    chips = distinct_nodes(n_domain * n_nodes, n_choices)
    inside_bytes = sent_bytes * chips * (n_domain - 1.0) / n_domain
    outside_bytes = sent_bytes * nodes * (n_nodes - 1.0) / n_nodes
    return start_s + exchange_stream_s(inside_bytes, outside_bytes, where, cluster)


@formula
def send_s(payload_bytes: float, stride: int, cluster: Cluster) -> float:
    """Time to send a message to the chip `stride` places further on.

        t = launch + latency + payload / bandwidth of the innermost tier that holds both

    Source:  [hockney1994]

    >>> from clustercast.physics.examples import CLUSTER
    >>> send_s(1e9, 1, CLUSTER)
    1.0
    """
    if stride < cluster.package.n_chips:
        tier = cluster.package
    elif stride < cluster.scale_up.n_chips:
        tier = cluster.scale_up
    elif stride < cluster.rail.n_chips:
        tier = cluster.rail
    else:
        tier = cluster.spine
    return ramped_s(tier.launch_s + tier.latency_s, payload_bytes / tier_bytes_per_s(tier, 2.0), tier.ramp)
