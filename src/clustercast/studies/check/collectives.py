"""The output of nccl-tests against the model: bus bandwidth of large messages, start of small ones."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from clustercast import catalog, records
from clustercast.catalog import ChipProfile, FabricProfile, constants, read
from clustercast.errors import WrongInput
from clustercast.estimates import interval
from clustercast.estimates.question import profile_set
from clustercast.studies.calibrate.collectives import cluster_of, seconds_of, tier_of
from clustercast.studies.calibrate.nccl import OPERATIONS, Collective, Stated, bus_ratio
from clustercast.studies.calibrate.run import other_chip
from clustercast.studies.check import rank
from clustercast.studies.check.result import FAST, NORMAL, SLOW, Check, Figure
from clustercast.studies.check.training_causes import (
    Change,
    crosses_nodes,
    has_links,
    over_pcie,
    scaled_links,
    slower_network,
)
from clustercast.studies.logs import nccl

MOST_GROUPS: Final = 64
LINKS: Final = ("package", "scale_up", "rail", "spine")


class Group(NamedTuple):
    """Messages of one collective over the same ranks, the largest last."""

    operation: str
    n_ranks: int
    n_hosts: int
    points: tuple[Collective, ...]

    @property
    def title(self) -> str:
        """The group in words."""
        hosts = "1 host" if self.n_hosts == 1 else f"{self.n_hosts} hosts"
        return f"{self.operation} over {self.n_ranks} ranks on {hosts}"


class Bench(NamedTuple):
    """One measured message with all that its time depends on."""

    chip: ChipProfile
    fabric: FabricProfile
    point: Collective
    cluster: records.Cluster
    expected_s: float

    def seconds(self, cluster: records.Cluster, gain: float = 1.0) -> float:
        """The time of the message in another cluster."""
        return seconds_of(cluster, self.fabric, self.point, gain)


def check_collectives(
    content: str, path: Path, chip_name: str, fabric_name: str | None, settings: tuple[str, ...], stated: Stated
) -> Check:
    """What nccl-tests measured, judged.

    Raises WrongInput with the line for what is broken, and for ranks that the fabric does not have.
    """
    if stated.operation not in (None, *OPERATIONS.values()):
        known = ", ".join(OPERATIONS.values())
        raise WrongInput(f"--operation: unknown operation {stated.operation!r}", hint=f"there are {known}")
    chip = profile_set(catalog.find_chip(chip_name), "chip", settings)
    fabric = profile_set(catalog.find_fabric(fabric_name or chip.fabric), "fabric", settings)
    told = nccl.read_text(content, path, stated)
    groups = _groups(told.collectives)
    figures: list[Figure] = []
    for group in groups[:MOST_GROUPS]:
        figures += _figures(chip, fabric, group, _cleared(groups, group, figures))
    left = len(groups) - MOST_GROUPS
    return Check(
        kind="collectives",
        file=read.shown(path),
        tool="nccl-tests",
        chip=chip.name,
        model=None,
        count=max(group.n_ranks for group in groups),
        plan="",
        figures=tuple(figures),
        setup={"fabric": fabric.name},
        assumptions=() if fabric_name else (f"fabric is {fabric.full_name}: the chip's usual one, {fabric.name}",),
        notes=(f"{left} further collectives are left out",) if left > 0 else (),
        warnings=tuple(other_chip(chip, told.devices)),
    )


OF_NODE: Final = ("half_scale_up", "no_scale_up", "no_peer_access")


def _cleared(groups: Sequence[Group], group: Group, figures: Sequence[Figure]) -> tuple[str, ...]:
    """Causes inside a node, where the same file shows that nodes are well."""
    if group.n_hosts == 1:
        return ()
    inside = [each.title for each in groups if each.n_hosts == 1]
    seen = [each for each in figures if any(each.where.startswith(title) for title in inside)]
    well = any(each.metric == "bus_bytes_per_s" and each.verdict == NORMAL for each in seen)
    return OF_NODE if well else ()


def _groups(points: Sequence[Collective]) -> list[Group]:
    found: dict[tuple[str, int, int], list[Collective]] = {}
    for point in points:
        found.setdefault((point.operation, point.n_ranks, point.n_hosts), []).append(point)
    made = [Group(*key, tuple(sorted(those, key=lambda point: point.payload_bytes))) for key, those in found.items()]
    return sorted(made, key=lambda group: group.n_hosts)


def threshold(name: str) -> float:
    """A number of check.yaml on collectives."""
    data = constants.table("check")
    return constants.constant(data["collectives"][name], "weight", data["sources"]).value


def _figures(chip: ChipProfile, fabric: FabricProfile, group: Group, cleared: tuple[str, ...]) -> list[Figure]:
    """The bus bandwidth at the largest size, and the start where there are small sizes."""
    largest = group.points[-1]
    tiny = [point for point in group.points if point.payload_bytes <= threshold("tiny_bytes")]
    found = []
    if largest.payload_bytes > threshold("small_bytes"):
        found.append(_large(_bench(chip, fabric, largest), group, cleared))
    if tiny:
        middle = statistics.median_low([point.seconds for point in tiny])
        point = next(each for each in tiny if each.seconds == middle)
        found.append(_small(_bench(chip, fabric, point), group))
    if not found:
        found.append(_large(_bench(chip, fabric, largest), group, cleared))
    return found


def _bench(chip: ChipProfile, fabric: FabricProfile, point: Collective) -> Bench:
    cluster = records.as_declared(cluster_of(chip, fabric, point))
    return Bench(chip, fabric, point, cluster, seconds_of(cluster, fabric, point, 1.0))


def _size(payload_bytes: float) -> str:
    """A message's size as nccl-tests are asked for it.

    >>> _size(8 * 2**30), _size(1000.0)
    ('8 GiB', '1000 B')
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if payload_bytes >= factor:
            return f"{payload_bytes / factor:.3g} {unit}"
    return f"{payload_bytes:.0f} B"


def _width(bench: Bench) -> tuple[float, str]:
    """Half width of the interval of ln(time), and how good the evidence for the link is."""
    tier, link = tier_of(bench.chip, bench.fabric, bench.point)
    measured = constants.table("collectives")["links"][link]["evidence"] == "measured"
    evidence = f"{link}: {'measured' if measured else 'not measured, judged from public reports'}"
    return threshold("measured" if measured and tier < 2 else "prior"), evidence


def _large(bench: Bench, group: Group, cleared: tuple[str, ...]) -> Figure:
    """Bus bandwidth, as nccl-tests define it."""
    width, evidence = _width(bench)
    moved = bench.point.payload_bytes * bus_ratio(group.operation, group.n_ranks)
    low_s, high_s = interval.around(bench.expected_s, width)
    figure = _judged(bench, width, slower(bench), faster(bench, group), cleared)
    start_s = bench.seconds(_without_bandwidth_time(bench.cluster))
    return replace(
        figure,
        metric="bus_bytes_per_s",
        unit="B/s",
        where=f"{group.title}, {_size(bench.point.payload_bytes)}",
        measured=moved / bench.point.seconds,
        expected=moved / bench.expected_s,
        low=moved / high_s,
        high=moved / low_s,
        time_s={"link": max(bench.expected_s - start_s, 0.0), "start": min(start_s, bench.expected_s)},
        causes=tuple(replace(each, expected=moved / each.expected) for each in figure.causes),
        evidence=evidence,
    )


def _without_bandwidth_time(cluster: records.Cluster) -> records.Cluster:
    """The cluster whose links take no time for bytes."""
    tiers = {name: getattr(cluster, name) for name in LINKS}
    return cluster._replace(**{name: tier._replace(bytes_per_s=math.inf) for name, tier in tiers.items()})


def _small(bench: Bench, group: Group) -> Figure:
    """The time of a small message: start and hops."""
    figure = _judged(bench, threshold("starting"), {"slow_start": _slow_start(bench)}, {})
    return replace(
        figure,
        where=f"{group.title}, {_size(bench.point.payload_bytes)}",
        time_s={"start": bench.expected_s},
        evidence=_width(bench)[1],
    )


def _judged(
    bench: Bench, width: float, causes: dict[str, Change], others: dict[str, Change], cleared: tuple[str, ...] = ()
) -> Figure:
    """The message's time against what is expected, with causes in seconds."""
    measured, expected = bench.point.seconds, bench.expected_s
    low, high = interval.around(expected, width)
    verdict = rank.verdict(measured, low, high)
    figure = Figure("collective_s", "s", "", measured, expected, low, high, verdict, {})
    if verdict == NORMAL:
        return figure
    section, changes = ("collective", causes) if verdict == SLOW else ("collective_fast", others)
    observed = [rank.Observed(measured, expected, width)]
    tried = rank.tries(section, [changes], observed, longer=verdict != FAST, denied=cleared)
    return rank.rank(section, observed, tried)[0].of(figure)


def _slow_start(bench: Bench) -> Change:
    tiers = {name: getattr(bench.cluster, name) for name in LINKS}

    def change(size: float) -> float:
        slow = {
            name: tier._replace(launch_s=tier.launch_s * size, latency_s=tier.latency_s * size)
            for name, tier in tiers.items()
        }
        return bench.seconds(bench.cluster._replace(**slow))

    return change


def slower(bench: Bench) -> dict[str, Change]:
    """Causes of a message that takes longer."""
    cluster = bench.cluster
    crosses, links = crosses_nodes(cluster) and bench.point.n_hosts > 1, has_links(cluster)

    def network(size: float) -> float | None:
        return bench.seconds(slower_network(cluster, size)) if crosses else None

    def inside(size: float) -> float | None:
        return bench.seconds(scaled_links(cluster, size)) if links else None

    def pcie(size: float) -> float | None:
        return bench.seconds(over_pcie(cluster, bench.chip, size)) if links else None

    named = ("one_rail", "half_nic", "no_gpudirect", "tcp_sockets", "shared_network")
    return dict.fromkeys(named, network) | {
        "half_scale_up": inside,
        "no_scale_up": pcie,
        "no_peer_access": pcie,
        "slow_start": _slow_start(bench),
    }


def faster(bench: Bench, group: Group) -> dict[str, Change]:
    """Causes of a message that takes less."""
    cluster = bench.cluster
    crosses = crosses_nodes(cluster) and group.n_hosts > 1
    reduces = group.operation == "all-reduce"

    def in_switch(size: float) -> float | None:
        if not reduces:
            return None
        gain = cluster.scale_up.reduction_gain * size
        tier = cluster.scale_up._replace(reduction_gain=gain)
        return bench.seconds(cluster._replace(scale_up=tier), size)

    def network(size: float) -> float | None:
        return bench.seconds(slower_network(cluster, size)) if crosses else None

    def tree(size: float) -> float | None:
        return bench.seconds(cluster, size) if reduces and crosses else None

    return {
        "in_switch": in_switch,
        "faster_network": network,
        "two_node_tree": tree,
        "cached": lambda size: bench.expected_s / size,
    }
