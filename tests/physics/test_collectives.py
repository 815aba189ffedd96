"""Laws of collectives: a faster link is never slower, one rank costs nothing."""

import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from strategies import clusters, degrees_of_two, sizes

from clustercast.physics.collectives import (
    Spread,
    all_reduce_s,
    all_to_all_s,
    direct_exchange_s,
    dispatch_s,
    distinct_nodes,
    even_all_to_all_s,
    exchange_bytes_per_s,
    exchange_stream_s,
    forwarded_exchange_s,
    hops,
    latency_s,
    launch_s,
    ramped_s,
    ranks_inside,
    reachable_nodes,
    send_s,
    shard_exchange_s,
    spread,
    stream_s,
    tier_bytes_per_s,
)
from clustercast.physics.examples import TIER
from clustercast.records import TORUS, Cluster

SLACK = 1.0 + 1e-12

COLLECTIVES: dict[str, Callable[[float, Spread, Cluster], float]] = {
    "all_reduce": all_reduce_s,
    "shard_exchange": shard_exchange_s,
    "all_to_all": lambda payload_bytes, where, cluster: all_to_all_s(payload_bytes, payload_bytes, where, cluster),
    "even_all_to_all": even_all_to_all_s,
    "dispatch": lambda payload, where, cluster: dispatch_s(payload, 1.0, 8.0, 0, 0, 0.0, where, cluster),
    "deduplicated": lambda payload_bytes, where, cluster: dispatch_s(
        payload_bytes, 1.0, 8.0, 8, 4, 1.0, where, cluster
    ),
    "stream": stream_s,
    "exchange": lambda payload, where, cluster: exchange_stream_s(payload, 0.5 * payload, where, cluster),
    "direct": lambda payload, where, cluster: direct_exchange_s(payload, 1.0, 8.0, 4e-5, where, cluster),
    "forwarded": lambda payload, where, cluster: forwarded_exchange_s(payload, 1.0, 8.0, 8, 4, 2e-4, where, cluster),
}
TIERS = ("package", "scale_up", "rail", "spine")

strides = st.sampled_from([1, 2, 3, 8, 16])
groups = st.integers(1, 512)


@given(payload_bytes=sizes, cluster=clusters, stride=strides)
def test_one_rank_costs_nothing(payload_bytes: float, cluster: Cluster, stride: int) -> None:
    for collective in COLLECTIVES.values():
        assert collective(payload_bytes, spread(1, stride, cluster), cluster) == 0.0


@given(payload_bytes=sizes, cluster=clusters, n_ranks=groups, stride=strides, tier=st.sampled_from(TIERS))
def test_a_faster_link_is_never_slower(
    payload_bytes: float, cluster: Cluster, n_ranks: int, stride: int, tier: str
) -> None:
    slow = getattr(cluster, tier)
    faster = cluster._replace(**{tier: slow._replace(bytes_per_s=1.5 * slow.bytes_per_s)})
    where = spread(n_ranks, stride, cluster)
    for collective in COLLECTIVES.values():
        assert collective(payload_bytes, where, faster) <= collective(payload_bytes, where, cluster) * SLACK


@given(payload_bytes=sizes, cluster=clusters, n_ranks=groups, stride=strides)
def test_more_bytes_are_never_faster(payload_bytes: float, cluster: Cluster, n_ranks: int, stride: int) -> None:
    where = spread(n_ranks, stride, cluster)
    for collective in COLLECTIVES.values():
        taken_s = collective(payload_bytes, where, cluster)
        assert 0.0 <= taken_s <= collective(1.5 * payload_bytes, where, cluster) * SLACK


@given(cluster=clusters, n_ranks=st.integers(1, 4096), stride=strides)
def test_the_spread_holds_every_rank(cluster: Cluster, n_ranks: int, stride: int) -> None:
    where = spread(n_ranks, stride, cluster)
    assert math.prod(where) >= n_ranks
    assert min(where) >= 1.0
    assert where.n_package * where.n_scale_up < cluster.scale_up.n_chips + cluster.package.n_chips


@given(n_ranks=st.integers(1, 4096), stride=strides, n_chips=st.integers(1, 4096))
def test_the_ranks_inside_a_block_fit_it(n_ranks: int, stride: int, n_chips: int) -> None:
    inside = ranks_inside(n_ranks, stride, n_chips)
    assert 1 <= inside <= n_ranks
    assert (inside - 1) * stride < n_chips


@given(cluster=clusters, n_ranks=degrees_of_two)
def test_no_tier_carries_more_than_its_links(cluster: Cluster, n_ranks: int) -> None:
    tier = cluster.scale_up
    inside = float(min(n_ranks, tier.n_chips))
    assert 0.0 < tier_bytes_per_s(tier, inside) <= tier.bytes_per_s * SLACK
    assert exchange_bytes_per_s(tier, inside) <= tier_bytes_per_s(tier, inside)


@given(payload_bytes=sizes, cluster=clusters, n_ranks=groups)
def test_an_all_reduce_costs_at_most_a_scatter_and_a_gather(
    payload_bytes: float, cluster: Cluster, n_ranks: int
) -> None:
    where = spread(n_ranks, 1, cluster)
    both_s = 2.0 * shard_exchange_s(payload_bytes, where, cluster)
    assert all_reduce_s(payload_bytes, where, cluster) <= both_s * SLACK


@given(n_ranks=st.integers(2, 10**6))
def test_latency_grows_with_ranks_no_faster_than_a_ring(n_ranks: int) -> None:
    assert 1.0 <= hops(float(n_ranks)) <= n_ranks - 1
    assert hops(float(n_ranks)) <= hops(n_ranks + 1.0)


@given(start_s=st.floats(0.0, 10.0), stream_time_s=st.floats(0.0, 10.0), ramp=st.floats(0.0, 2.0))
def test_a_ramp_costs_at_most_the_two_half_norm(start_s: float, stream_time_s: float, ramp: float) -> None:
    taken_s = ramped_s(start_s, stream_time_s, ramp)
    assert (start_s + stream_time_s) <= taken_s * SLACK
    assert taken_s <= (math.sqrt(start_s) + math.sqrt(stream_time_s)) ** 2 * SLACK


@given(cluster=clusters, n_ranks=groups, stride=strides)
def test_a_collective_starts_after_launch_and_latency(cluster: Cluster, n_ranks: int, stride: int) -> None:
    where = spread(n_ranks, stride, cluster)
    started_s = launch_s(where, cluster) + latency_s(where, cluster)
    assert math.prod(where) == 1.0 or shard_exchange_s(1.0, where, cluster) >= started_s


@given(n_nodes=st.integers(1, 1000), n_choices=st.integers(1, 64))
def test_distinct_nodes_are_no_more_than_nodes_or_choices(n_nodes: int, n_choices: int) -> None:
    reached = distinct_nodes(float(n_nodes), float(n_choices))
    assert reached * SLACK >= 1.0
    assert reached <= min(n_nodes, n_choices) * (1.0 + 1e-9)


@given(n_nodes=st.integers(1, 512), n_groups=st.sampled_from([0, 1, 2, 8, 16]), n_active=st.integers(1, 8))
def test_limited_routing_reaches_some_nodes_and_no_more_than_all(n_nodes: int, n_groups: int, n_active: int) -> None:
    reached = reachable_nodes(float(n_nodes), n_groups, min(n_active, max(n_groups, 1)))
    assert 0.0 < reached <= n_nodes
    if n_active >= n_groups:
        assert reached == n_nodes


@given(payload_bytes=sizes, cluster=clusters, n_ranks=groups, stride=strides)
def test_deduplication_never_slows_a_dispatch(
    payload_bytes: float, cluster: Cluster, n_ranks: int, stride: int
) -> None:
    where = spread(n_ranks, stride, cluster)
    copied_s = dispatch_s(payload_bytes, 1.0, 8.0, 0, 0, 0.0, where, cluster)
    assert dispatch_s(payload_bytes, 1.0, 8.0, 0, 0, 1.0, where, cluster) <= copied_s * SLACK


@given(payload_bytes=sizes, cluster=clusters, stride=st.integers(1, 5000), tier=st.sampled_from(TIERS))
def test_a_message_over_a_faster_link_is_never_slower(
    payload_bytes: float, cluster: Cluster, stride: int, tier: str
) -> None:
    slow = getattr(cluster, tier)
    faster = cluster._replace(**{tier: slow._replace(bytes_per_s=1.5 * slow.bytes_per_s)})
    assert send_s(payload_bytes, stride, faster) <= send_s(payload_bytes, stride, cluster) * SLACK


def test_a_long_torus_axis_starves_an_exchange() -> None:
    long = TIER._replace(shape=TORUS, n_axes=1, axis_chips=64)
    assert exchange_bytes_per_s(long, 64.0) == tier_bytes_per_s(long, 64.0) / 16.0
