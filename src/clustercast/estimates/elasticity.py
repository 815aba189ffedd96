"""What one per cent more of a resource buys at a fixed plan, by finite differences of the same formulas."""

import math
from collections.abc import Callable
from typing import Final

from clustercast.estimates.result import Elasticity
from clustercast.records import Engine, Setting, Tier

STEP: Final = 0.01
RESOURCES: Final = ("flops", "hbm_bandwidth", "scale_up", "scale_out", "latency", "host")
NAMES: Final = {"flops": "compute"}  # how the limiting resource is called


def _tier(tier: Tier, bandwidth: float, latency: float) -> Tier:
    return tier._replace(
        bytes_per_s=tier.bytes_per_s * bandwidth, latency_s=tier.latency_s / latency, launch_s=tier.launch_s / latency
    )


def improved(setting: Setting, resource: str, factor: float) -> Setting:
    """The same setting with one resource `factor` times as good."""
    chip, kernels, stack, cluster = setting.chip, setting.kernels, setting.stack, setting.cluster
    if resource == "flops":
        return setting._replace(
            chip=chip._replace(
                matmul_flop_per_s=chip.matmul_flop_per_s * factor,
                expert_flop_per_s=chip.expert_flop_per_s * factor,
                attention_flop_per_s=chip.attention_flop_per_s * factor,
                head_flop_per_s=chip.head_flop_per_s * factor,
            )
        )
    if resource == "hbm_bandwidth":
        return setting._replace(chip=chip._replace(hbm_bytes_per_s=chip.hbm_bytes_per_s * factor))
    if resource == "hbm_capacity":
        return setting._replace(chip=chip._replace(hbm_bytes=chip.hbm_bytes * factor))
    if resource == "host":
        fields = [name for name in stack._fields if name.startswith("host_") and name.endswith("_s")]
        return setting._replace(stack=stack._replace(**{name: getattr(stack, name) / factor for name in fields}))
    up = factor if resource == "scale_up" else 1.0
    out = factor if resource == "scale_out" else 1.0
    quick = factor if resource == "latency" else 1.0
    launches = [name for name in kernels._fields if name.endswith("_launch_s")]
    return setting._replace(
        kernels=kernels._replace(**{name: getattr(kernels, name) / quick for name in launches}),
        cluster=cluster._replace(
            package=_tier(cluster.package, up, quick),
            scale_up=_tier(cluster.scale_up, up, quick),
            rail=_tier(cluster.rail, out, quick),
            spine=_tier(cluster.spine, out, quick),
        ),
    )


def improved_engine(engine: Engine, resource: str, factor: float) -> Engine:
    """The same serving engine with one resource `factor` times as good."""
    if resource == "host":
        return engine._replace(
            host_step_s=engine.host_step_s / factor,
            host_layer_s=engine.host_layer_s / factor,
            prefill_step_s=engine.prefill_step_s / factor,
        )
    if resource == "latency":
        return engine._replace(all_reduce_s=engine.all_reduce_s / factor)
    return engine


def elasticity(time_s: Callable[[str, float], float], *, bubble: float = 0.0, capacity: float = 0.0) -> Elasticity:
    """d ln(throughput) / d ln(resource): how much faster per cent of each resource.

    time_s    the time that throughput is the inverse of, with a resource `factor` times as good
    bubble    share of the time that a pipeline is empty
    capacity  the same derivative for memory capacity, where the batch may grow with it
    """
    now_s = time_s(RESOURCES[0], 1.0)
    slopes = {
        resource: -math.log(time_s(resource, 1.0 + STEP) / now_s) / math.log(1.0 + STEP) for resource in RESOURCES
    }
    return Elasticity(hbm_capacity=capacity, bubble=bubble, **slopes)


def limiting(slopes: Elasticity) -> str:
    """The resource with the largest elasticity."""
    values = {name: getattr(slopes, name) for name in Elasticity.__dataclass_fields__}
    largest = max(values, key=lambda name: values[name])
    return NAMES.get(largest, largest)
