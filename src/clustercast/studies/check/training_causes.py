"""What would make a training step longer or shorter: each cause as a change of what the physics is given."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from clustercast import records
from clustercast.catalog import ChipProfile, build, constants
from clustercast.estimates.question import Question
from clustercast.physics.training import training_step
from clustercast.studies.check.rank import setting as threshold

Change = Callable[[float], float | None]
FULL_BYTES: Final = ("fp8", "fp8-block", "mxfp8", "nvfp4")
NARROWER: Final = {"bf16": "fp8", "fp16": "fp8", "fp8": "nvfp4", "fp8-block": "nvfp4", "mxfp8": "nvfp4"}
TUNED: Final = "nemo"
TUNED_STACKS: Final = ("nemo", "nemo-2026")
UNTUNED: Final = "megatron-core"
HOST: Final = (
    "host_layer_forward_s",
    "host_layer_backward_s",
    "host_moe_layer_s",
    "host_microbatch_s",
    "host_step_s",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the physics sees it, and what is known of it beside."""

    question: Question
    setting: records.Setting
    plan: records.Plan
    step: records.Step
    patterns: tuple[str, ...] = ()
    used_fraction: float | None = None  # of the chip's memory, where the log prints it

    def step_s(self, *, plan: records.Plan | None = None, **parts: object) -> float:
        """The step with another plan or other parts of the setting."""
        setting = self.setting._replace(**parts)  # type: ignore[arg-type]
        return training_step(setting, plan or self.plan).step_s


def slower(run: Run) -> dict[str, Change]:
    """Causes of a step that takes longer, by their names in check.yaml."""
    return _of_plan(run) | _of_network(run) | _of_chip(run) | _of_stack(run) | _of_waiting(run)


def _of_plan(run: Run) -> dict[str, Change]:
    plan = run.plan

    def other(applies: bool, **fields: int) -> Change:
        return lambda _: run.step_s(plan=plan._replace(**fields)) if applies else None

    many = plan.dp * plan.cp > 1
    return {
        "tp_overlap_off": other(plan.tp > 1 and plan.tp_overlap == 1, tp_overlap=0),
        "dp_overlap_off": other(many and plan.dp_overlap == 1, dp_overlap=0),
        "sequence_parallel_off": other(plan.sequence_parallel == 1, sequence_parallel=0),
        "not_interleaved": other(plan.vpp > 1, vpp=1),
        "recompute_full": other(
            plan.recompute != records.RECOMPUTE_FULL, recompute=records.RECOMPUTE_FULL, recompute_layers=0
        ),
        "recompute_selective": other(plan.recompute == records.RECOMPUTE_NONE, recompute=records.RECOMPUTE_SELECTIVE),
    }


def crosses_nodes(cluster: records.Cluster) -> bool:
    """Whether chips of the cluster lie in several scale-up domains."""
    return cluster.rail.n_chips > 1 and cluster.n_chips > cluster.scale_up.n_chips


def slower_network(cluster: records.Cluster, factor: float) -> records.Cluster:
    """The cluster with another rate between its nodes."""
    rail, spine = cluster.rail, cluster.spine
    return cluster._replace(
        rail=rail._replace(bytes_per_s=rail.bytes_per_s * factor),
        spine=spine._replace(bytes_per_s=spine.bytes_per_s * factor),
    )


def scaled_links(cluster: records.Cluster, factor: float) -> records.Cluster:
    """The cluster with another rate inside its nodes."""
    return cluster._replace(scale_up=cluster.scale_up._replace(bytes_per_s=cluster.scale_up.bytes_per_s * factor))


def over_pcie(cluster: records.Cluster, chip: ChipProfile, factor: float = 1.0) -> records.Cluster:
    """The cluster whose nodes have no links but PCIe of the chip's generation."""
    generation = chip.pcie_generation if chip.pcie_generation in (3, 4, 5) else 5 if chip.pcie_generation else 3
    link = constants.link(f"pcie{generation}", "")
    return cluster._replace(
        scale_up=cluster.scale_up._replace(
            bytes_per_s=build.host_bytes_per_s(chip) * factor,
            fraction=link["fraction"].value,
            latency_s=link["latency"].value,
            launch_s=link["launch"].value,
            ramp=link["ramp"].value,
            shape=records.PCIE_TREE,
            pair_fraction=1.0,
            reduction_gain=1.0,
        )
    )


def has_links(cluster: records.Cluster) -> bool:
    """Whether the chips of a node have links of their own."""
    return cluster.scale_up.n_chips > 1 and cluster.scale_up.shape != records.PCIE_TREE


def _of_network(run: Run) -> dict[str, Change]:
    cluster, crosses, links = run.setting.cluster, crosses_nodes(run.setting.cluster), has_links(run.setting.cluster)
    several = run.plan.tp * run.plan.pp * run.plan.cp * run.plan.dp > 1

    def network(size: float) -> float | None:
        return run.step_s(cluster=slower_network(cluster, size)) if crosses else None

    def inside(size: float) -> float | None:
        return run.step_s(cluster=scaled_links(cluster, size)) if links and several else None

    def pcie(_: float) -> float | None:
        return run.step_s(cluster=over_pcie(cluster, run.question.chip)) if links and several else None

    named = ("one_rail", "half_nic", "no_gpudirect", "tcp_sockets", "shared_network")
    return dict.fromkeys(named, network) | {"half_scale_up": inside, "no_scale_up": pcie}


def _of_chip(run: Run) -> dict[str, Change]:
    chip = run.setting.chip
    n_chips = run.plan.tp * run.plan.pp * run.plan.cp * run.plan.dp

    def clocks(size: float) -> float:
        return run.step_s(chip=chip._replace(clock_fraction=chip.clock_fraction * size))

    def slow_one(size: float) -> float | None:
        return clocks(1.0 / size) if n_chips > 1 else None

    def wider(_: float) -> float | None:
        return with_recipe(run, "bf16") if run.question.precision in FULL_BYTES else _in_tf32(run)

    return {"slow_clocks": clocks, "straggler": slow_one, "wider_precision": wider}


def with_recipe(run: Run, name: str) -> float | None:
    """The step under another precision recipe; nothing where the chip has no such format."""
    profile = run.question.chip
    if not build.fits(profile, name):
        return None
    silicon = build.silicon(profile, name, "")
    return run.step_s(
        chip=build.in_training(silicon.chip, profile.family),
        kernels=silicon.kernels,
        precision=silicon.recipe.training,
    )


def _in_tf32(run: Run) -> float | None:
    """Matmuls at the rate of TF32, where nothing casts to 16 bit."""
    peaks = run.question.chip.peaks()
    if "tf32" not in peaks:
        return None
    rate = peaks["tf32"]
    slow = {f"{kind}_flop_per_s": rate for kind in ("matmul", "expert", "attention", "head")}
    return run.step_s(chip=run.setting.chip._replace(**slow))


def _of_stack(run: Run) -> dict[str, Change]:
    stack, model, plan = run.setting.stack, run.setting.model, run.plan

    def unfused(size: float) -> float | None:
        return run.step_s(stack=stack._replace(score_bytes=size)) if stack.score_bytes < size else None

    def elements(size: float) -> float:
        return run.step_s(stack=stack._replace(element_bytes_factor=stack.element_bytes_factor * size))

    def host(size: float) -> float:
        return run.step_s(stack=stack._replace(**{name: getattr(stack, name) * size for name in HOST}))

    def experts(size: float) -> float | None:
        if model.n_moe_layers == 0 or plan.ep == 1:
            return None
        extra = (size - 1.0) / math.log2(plan.ep)
        return run.step_s(stack=stack._replace(expert_imbalance=max(stack.expert_imbalance, extra)))

    def untuned(_: float) -> float | None:
        if run.question.stack.name not in TUNED_STACKS:
            return None
        other = _matmul_factor(run, UNTUNED)
        return run.step_s(stack=stack._replace(matmul_factor=other)) if other < stack.matmul_factor else None

    return {
        "unfused_attention": unfused,
        "unfused_elements": elements,
        "host_bound": host,
        "unequal_experts": experts,
        "untuned_stack": untuned,
    }


def _matmul_factor(run: Run, name: str) -> float:
    chip = run.question.chip
    return constants.stack(name, chip.name, chip.family).record.matmul_factor


def _of_waiting(run: Run) -> dict[str, Change]:
    """Causes that make the whole step wait: their size is the factor on it."""
    step_s = run.step.step_s
    used = run.used_fraction
    if used is None and run.step.capacity_bytes > 0.0:
        used = run.step.memory_bytes / run.step.capacity_bytes
    full = used is not None and used >= threshold("full_memory")

    def waits(applies: bool) -> Change:
        return lambda size: step_s * size if applies else None

    return {
        "data_loader": waits(True),
        "garbage_collection": waits(True),
        "allocator_retries": waits(full),
        "still_warm": waits("still-warm" in run.patterns),
    }


def faster(run: Run) -> dict[str, Change]:
    """Causes of a step that takes less, or seems to."""
    step, plan, model, stack = run.step, run.plan, run.setting.model, run.setting.stack
    job, cluster = run.setting.job, run.setting.cluster

    def batch(size: float) -> float:
        fewer = job.global_batch * size
        whole = fewer == int(fewer) and int(fewer) % (plan.dp * plan.micro_batch) == 0
        return run.step_s(job=job._replace(global_batch=int(fewer))) if whole else step.step_s * size

    def documents(size: float) -> float | None:
        length = max(1, int(job.seq_len * size))
        return run.step_s(job=records.Job(length, max(1, round(job.global_batch * job.seq_len / length))))

    def dropped(size: float) -> float | None:
        if model.n_moe_layers == 0:
            return None
        return run.step_s(stack=stack._replace(expert_factor=stack.expert_factor / size))

    def tuned(_: float) -> float | None:
        other = _matmul_factor(run, TUNED)
        return run.step_s(stack=stack._replace(matmul_factor=other)) if other > stack.matmul_factor else None

    def network(size: float) -> float | None:
        return run.step_s(cluster=slower_network(cluster, size)) if crosses_nodes(cluster) else None

    def narrower(_: float) -> float | None:
        name = NARROWER.get(run.question.precision)
        return with_recipe(run, name) if name else None

    none = plan._replace(recompute=records.RECOMPUTE_NONE, recompute_layers=0)
    return {
        "tokens_twice": batch,
        "one_micro_batch": lambda _: step.step_s / step.n_microbatches,
        "other_count": lambda size: step.step_s / size,
        "short_documents": documents,
        "dropped_tokens": dropped,
        "recompute_off": lambda _: run.step_s(plan=none) if plan.recompute else None,
        "narrower_precision": narrower,
        "all_overlapped": lambda _: step.lower_s,
        "tuned_stack": tuned,
        "faster_network": network,
    }


# What a log or a launch says of the plan, and the cause that it denies.
DENIED_BY: Final = {
    "tp_overlap": ("tp_overlap_off",),
    "dp_overlap": ("dp_overlap_off",),
    "sequence_parallel": ("sequence_parallel_off",),
    "vpp": ("not_interleaved",),
    "recompute": ("recompute_full", "recompute_selective", "recompute_off"),
    "precision": ("wider_precision", "narrower_precision"),
}


def denied(said: Iterable[str]) -> list[str]:
    """The causes that contradict what was said.

    >>> denied(["vpp", "tp"])
    ['not_interleaved']
    """
    return [cause for name in said for cause in DENIED_BY.get(name, ())]
