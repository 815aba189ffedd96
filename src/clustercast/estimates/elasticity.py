"""What one per cent more of a resource buys at a fixed plan, by finite differences of the same formulas."""

import math
from collections.abc import Callable
from typing import Final

from clustercast.estimates.result import Elasticity
from clustercast.records import Chip, Cluster, Kernels, ServingSetting, Setting, Tier

STEP: Final = 1e-4  # either way, of a resource
RESOURCES: Final = ("flops", "hbm_bandwidth", "scale_up", "scale_out", "latency", "host")
NAMES: Final = {"flops": "compute"}  # how the limiting resource is called


def _tier(tier: Tier, bandwidth: float, latency: float) -> Tier:
    return tier._replace(
        bytes_per_s=tier.bytes_per_s * bandwidth, latency_s=tier.latency_s / latency, launch_s=tier.launch_s / latency
    )


Hardware = tuple[Chip, Kernels, Cluster]


def improved_hardware(chip: Chip, kernels: Kernels, cluster: Cluster, resource: str, factor: float) -> Hardware:
    """Chip, kernels and network with one resource `factor` times as good; the host is no part of them."""
    if resource == "flops":
        chip = chip._replace(
            matmul_flop_per_s=chip.matmul_flop_per_s * factor,
            expert_flop_per_s=chip.expert_flop_per_s * factor,
            attention_flop_per_s=chip.attention_flop_per_s * factor,
            head_flop_per_s=chip.head_flop_per_s * factor,
        )
    elif resource == "hbm_bandwidth":
        chip = chip._replace(hbm_bytes_per_s=chip.hbm_bytes_per_s * factor)
    elif resource == "hbm_capacity":
        chip = chip._replace(hbm_bytes=chip.hbm_bytes * factor)
    up = factor if resource == "scale_up" else 1.0
    out = factor if resource == "scale_out" else 1.0
    quick = factor if resource == "latency" else 1.0
    launches = [name for name in kernels._fields if name.endswith("_launch_s")]
    kernels = kernels._replace(**{name: getattr(kernels, name) / quick for name in launches})
    cluster = cluster._replace(
        package=_tier(cluster.package, up, quick),
        scale_up=_tier(cluster.scale_up, up, quick),
        rail=_tier(cluster.rail, out, quick),
        spine=_tier(cluster.spine, out, quick),
    )
    return chip, kernels, cluster


def improved(setting: Setting, resource: str, factor: float) -> Setting:
    """The same setting with one resource `factor` times as good."""
    stack = setting.stack
    if resource == "host":
        fields = [name for name in stack._fields if name.startswith("host_") and name.endswith("_s")]
        stack = stack._replace(**{name: getattr(stack, name) / factor for name in fields})
        chip = setting.chip._replace(host_bytes_per_s=setting.chip.host_bytes_per_s * factor)
        return setting._replace(stack=stack, chip=chip)
    chip, kernels, cluster = improved_hardware(setting.chip, setting.kernels, setting.cluster, resource, factor)
    return setting._replace(chip=chip, kernels=kernels, cluster=cluster)


HOST_TIMES: Final = (
    "host_step_s", "host_sequence_s", "layer_s", "sparse_layer_s", "prefill_step_s", "first_token_s", "handover_s"
)  # fmt: skip
LATENCIES: Final = ("all_reduce_s", "exchange_s", "forward_s", "grouped_launch_s")


def improved_serving(setting: ServingSetting, resource: str, factor: float) -> ServingSetting:
    """The same serving setting with one resource `factor` times as good."""
    chip, kernels, cluster = improved_hardware(setting.chip, setting.kernels, setting.cluster, resource, factor)
    faster = {"host": HOST_TIMES, "latency": LATENCIES}.get(resource, ())
    engine = setting.engine
    engine = engine._replace(**{name: getattr(engine, name) / factor for name in faster})
    return setting._replace(chip=chip, kernels=kernels, cluster=cluster, engine=engine)


def elasticity(time_s: Callable[[str, float], float], *, bubble: float = 0.0, capacity: float = 0.0) -> Elasticity:
    """d ln(throughput) / d ln(resource): how much faster per cent of each resource.

    time_s    the time that throughput is the inverse of, with a resource `factor` times as good
    bubble    share of the time that a pipeline is empty
    capacity  the same derivative for memory capacity, where the batch may grow with it
    """
    between = math.log((1.0 + STEP) / (1.0 - STEP))
    slopes = {
        resource: -math.log(time_s(resource, 1.0 + STEP) / time_s(resource, 1.0 - STEP)) / between
        for resource in RESOURCES
    }
    return Elasticity(hbm_capacity=capacity, bubble=bubble, **slopes)


def limiting(slopes: Elasticity) -> str:
    """The resource with the largest elasticity."""
    values = {name: getattr(slopes, name) for name in Elasticity.__dataclass_fields__}
    largest = max(values, key=lambda name: values[name])
    return NAMES.get(largest, largest)


def bound(times_ms: dict[str, float], slopes: Elasticity) -> dict[str, float]:
    """A step by what each part answers to: kernels wait for compute and for memory as the elasticities say.

    >>> slopes = Elasticity(0.75, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    >>> bound({"compute": 1.0, "weights": 3.0, "kv_cache": 0.0, "comm": 1.0, "host": 0.0}, slopes)
    {'compute': 3.0, 'weights': 1.0, 'kv_cache': 0.0, 'comm': 1.0, 'host': 0.0}
    """
    read_ms = {name: times_ms.get(name, 0.0) for name in ("weights", "kv_cache")}
    kernels_ms = times_ms["compute"] + sum(read_ms.values())
    flops, hbm = max(slopes.flops, 0.0), max(slopes.hbm_bandwidth, 0.0)
    compute_ms = kernels_ms * flops / (flops + hbm) if flops + hbm > 0.0 else times_ms["compute"]
    of_weights = read_ms["weights"] / sum(read_ms.values()) if sum(read_ms.values()) > 0.0 else 1.0
    waiting_ms = kernels_ms - compute_ms
    parts = {"compute": compute_ms, "weights": waiting_ms * of_weights, "kv_cache": waiting_ms * (1.0 - of_weights)}
    return parts | {name: value for name, value in times_ms.items() if name not in parts}
