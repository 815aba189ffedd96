"""Measured collectives as points of the link that they cross furthest out."""

from collections.abc import Mapping, Sequence
from typing import Any

from clustercast import records
from clustercast.catalog import ChipProfile, FabricProfile, build, constants
from clustercast.errors import WrongInput
from clustercast.physics import collectives as physics
from clustercast.studies.calibrate import refusals
from clustercast.studies.calibrate.belonging import Task
from clustercast.studies.calibrate.fit import parameter, setting, settings
from clustercast.studies.calibrate.nccl import Collective

UNITS = {"launch": "s", "latency": "s"}
FIELD_OF = {"fraction": "fraction", "launch": "launch_s", "latency": "latency_s", "ramp": "ramp"}


def tasks(chip: ChipProfile, fabric: FabricProfile, points: Sequence[Collective]) -> list[tuple[int, str]]:
    """The links that points belong to with their tier, innermost first; a link of two tiers once."""
    tiers: dict[str, int] = {}
    for tier, link in sorted({tier_of(chip, fabric, point) for point in points}):
        tiers.setdefault(link, tier)
    return [(tier, link) for link, tier in tiers.items()]


def _stride(fabric: FabricProfile, point: Collective) -> int:
    """Chips between neighbouring ranks: more than one where every host ran fewer ranks than it has chips."""
    per_host = max(1, point.n_ranks // point.n_hosts)
    domain = fabric.scale_up.n_chips
    if point.n_hosts == 1 or domain > setting("most_chips_of_a_host"):
        return 1  # a domain that is larger than any host joins hosts
    return max(1, domain // per_host)


def where_of(cluster: records.Cluster, fabric: FabricProfile, point: Collective) -> physics.Spread:
    """Over which tiers the ranks of a point lie."""
    return physics.spread(point.n_ranks, _stride(fabric, point), cluster)


def cluster_of(chip: ChipProfile, fabric: FabricProfile, point: Collective) -> records.Cluster:
    """The cluster that a point was measured on. Raises WrongInput for more ranks on a host than it joins."""
    if point.n_hosts == 1 and point.n_ranks > fabric.scale_up.n_chips:
        raise WrongInput(
            f"{point.where}: {point.n_ranks} ranks on one host, but {fabric.name} joins {fabric.scale_up.n_chips}",
            hint="give --hosts, or the --fabric that they ran in",
        )
    return build.cluster(chip, fabric, point.n_ranks * _stride(fabric, point))


def tier_of(chip: ChipProfile, fabric: FabricProfile, point: Collective) -> tuple[int, str]:
    """The tier that a point crosses furthest out, and its link."""
    where = where_of(cluster_of(chip, fabric, point), fabric, point)
    if where.n_spine > 1.0:
        return 3, fabric.spine_link
    if where.n_rail > 1.0 and fabric.rail is not None:
        return 2, fabric.rail.link
    if where.n_scale_up > 1.0 or fabric.package is None:
        return 1, fabric.scale_up.link
    return 0, fabric.package.link


def task(
    chip: ChipProfile, chip_file: str | None, fabric: FabricProfile, points: Sequence[Collective], link: str
) -> Task:
    """The points that cross a link furthest out. Raises NoAnswer for too few or impossible ones."""
    mine = [point for point in points if tier_of(chip, fabric, point)[1] == link]
    configurations = [(p.operation, p.payload_bytes, p.n_ranks, p.n_hosts) for p in mine]
    seconds = [point.seconds for point in mine]
    where = [point.where for point in mine]
    refusals.too_few("collectives", len(set(configurations)), "messages")
    refusals.too_narrow([point.payload_bytes for point in mine])
    refusals.contradictory(configurations, seconds, where)
    clusters = {p: cluster_of(chip, fabric, p) for p in mine}
    best = {"fraction": 1.0, "launch": 0.0, "latency": 0.0, "ramp": 0.0, "reduction_gain": 2.0}
    shares = [seconds_of(_laid(_ideal(clusters[p]), fabric, link, best), fabric, p, 2.0) / p.seconds for p in mine]
    bandwidth = f"the datasheet's links ({link})"
    refusals.impossible(bandwidth, shares, where, "check --chip, --fabric and the ranks; chips show prints the links")
    known = constants.link(link, chip.name)
    reduces = any(p.operation == "all-reduce" and p.n_ranks > 2 for p in mine)
    names = [name for name in settings("parameters")["collectives"] if name != "reduction_gain" or reduces]
    parameters = tuple(parameter(name, known[name], UNITS.get(name, "1"), "collectives") for name in names)

    def predict(values: Mapping[str, float], place: int) -> float:
        point = mine[place]
        laid = _laid(clusters[point], fabric, link, values)
        return seconds_of(laid, fabric, point, values.get("reduction_gain", 1.0))

    outside = any(tier_of(chip, fabric, p)[0] > 1 and p.operation == "all-reduce" for p in mine)
    remark = "reduction_gain between nodes is kept in the overlay as evidence: steps count rings there"
    return Task(
        "collectives",
        chip.name,
        chip_file,
        link,
        parameters,
        predict,
        tuple(seconds),
        tuple(configurations),
        tuple(where),
        {},
        (remark,) if outside else (),
    )


def _laid(cluster: records.Cluster, fabric: FabricProfile, link: str, values: Mapping[str, float]) -> records.Cluster:
    """The cluster with new constants on every tier that runs over a link."""
    changes: dict[str, Any] = {FIELD_OF[name]: value for name, value in values.items() if name in FIELD_OF}
    tiers = {"scale_up": fabric.scale_up.link, "spine": fabric.spine_link}
    if fabric.package is not None:
        tiers["package"] = fabric.package.link
    if fabric.rail is not None:
        tiers["rail"] = fabric.rail.link
    for name, own in tiers.items():
        if own == link:
            tier: records.Tier = getattr(cluster, name)
            if name == "scale_up" and "reduction_gain" in values:
                tier = tier._replace(reduction_gain=values["reduction_gain"])
            laid: dict[str, Any] = {name: tier._replace(**changes)}
            cluster = cluster._replace(**laid)
    return cluster


def _ideal(cluster: records.Cluster) -> records.Cluster:
    """The cluster at the datasheet: no latency, all of the bandwidth."""
    tiers: dict[str, Any] = {}
    for name in ("package", "scale_up", "rail", "spine"):
        tier: records.Tier = getattr(cluster, name)
        tiers[name] = tier._replace(fraction=1.0, latency_s=0.0, launch_s=0.0, ramp=0.0, reduction_gain=2.0)
    return cluster._replace(**tiers)


def seconds_of(cluster: records.Cluster, fabric: FabricProfile, point: Collective, gain: float) -> float:
    """The model's time of a collective.

    gain  of in-network reduction or of trees between nodes, where the formula counts rings alone
    """
    where = where_of(cluster, fabric, point)
    payload = point.payload_bytes
    if point.operation == "send":
        per_host = max(1, point.n_ranks // point.n_hosts)
        crosses = where.n_rail * where.n_spine > 1.0
        return physics.send_s(payload, max(_stride(fabric, point) * per_host, 1) if crosses else 1, cluster)
    if point.operation == "all-reduce":
        if where.n_rail * where.n_spine > 1.0:
            payload /= gain
        return physics.all_reduce_s(payload, where, cluster)
    if point.operation == "all-to-all":
        return physics.even_all_to_all_s(payload, where, cluster)
    return physics.shard_exchange_s(payload, where, cluster)
