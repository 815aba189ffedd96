"""From profiles and constants to the records that the physics sees, with the origin of every number kept."""

from typing import NamedTuple

from clustercast import records
from clustercast.catalog import constants
from clustercast.catalog.chips import ChipProfile
from clustercast.catalog.constants import Constant
from clustercast.catalog.fabrics import FabricProfile, TierProfile
from clustercast.errors import WrongInput

ABSENT = records.Tier(1, 1.0, 1.0, 0.0, 0.0, 0.0, records.SWITCH, 1.0, 1, 1, 1.0)


class Silicon(NamedTuple):
    """A chip under one recipe: its record, its kernels', and how good the evidence is."""

    chip: records.Chip
    kernels: records.Kernels
    recipe: constants.Recipe
    evidence: str  # measured chip, measured family, datasheet only
    constants: dict[str, Constant]


def default_recipe(chip: ChipProfile, wanted: str) -> tuple[str, str]:
    """The recipe to assume for a chip when the user names none, and why it is not `wanted` if it is not.

    The model's own recipe where the silicon has its formats; else BF16, else FP16.
    """
    peaks = chip.peaks()
    for name in (wanted, "bf16", "fp16"):
        recipe = constants.recipe(name)
        missing = sorted(set(recipe.formats.values()) - set(peaks))
        if not missing:
            if name == wanted:
                return name, ""
            lacking = ", ".join(sorted(set(constants.recipe(wanted).formats.values()) - set(peaks)))
            return name, f"{chip.name} has no {lacking}: {name} is assumed instead of {wanted}"
    raise WrongInput(
        f"{chip.file}: {chip.name} states no 16-bit matmul peak ({', '.join(peaks)} only)",
        hint="give one with --set chip.peak.bf16=... or name a --precision that it has",
    )


def silicon(chip: ChipProfile, recipe_name: str, evidence: str) -> Silicon:
    """A chip's records under a recipe.

    Raises WrongInput when the silicon lacks a format that the recipe needs: nothing is substituted.
    """
    recipe = constants.recipe(recipe_name)
    recipe = recipe._replace(formats=formats_on(chip, recipe))
    peaks = chip.peaks()
    for operation, number_format in recipe.formats.items():
        if number_format not in peaks:
            having = [name for name in constants.recipe_names() if fits(chip, name)]
            raise WrongInput(
                f"--precision {recipe.name}: {chip.name} has no {number_format} (needed for {operation})",
                hint=f"it can run {', '.join(having)}" if having else f"it has {', '.join(peaks)}",
            )
    curves = constants.kernels(chip.family, chip.name, recipe.formats, float(chip.n_cores or 0))
    kernels = records.Kernels(**{field: curves[field].value for field in records.Kernels._fields})
    power_w = chip.get("power")
    peak_w = power_w.value if power_w else 0.0
    record = records.Chip(
        matmul_flop_per_s=peaks[recipe.formats["matmul"]],
        expert_flop_per_s=peaks[recipe.formats["expert"]],
        attention_flop_per_s=peaks[recipe.formats["attention"]],
        head_flop_per_s=peaks[recipe.formats["head"]],
        hbm_bytes=chip.value("memory.capacity"),
        hbm_bytes_per_s=chip.value("memory.bandwidth"),
        reserved_bytes=constants.default("chip", "reserved_bytes").value,
        clock_fraction=constants.clock_fraction(chip.family).value,
        idle_w=constants.default("power", "idle_fraction").value * peak_w,
        peak_w=peak_w,
        host_bytes_per_s=host_bytes_per_s(chip),
    )
    return Silicon(records.as_declared(record), records.as_declared(kernels), recipe, evidence, curves)


def in_training(chip: records.Chip, family: str) -> records.Chip:
    """The chip as it runs inside a training step: its matmul clock times the family's factor."""
    factor = constants.family_factor(family).value
    return chip._replace(clock_fraction=chip.clock_fraction * factor)


def fits(chip: ChipProfile, recipe_name: str) -> bool:
    """Whether the silicon has every format of a recipe."""
    return set(formats_on(chip, constants.recipe(recipe_name)).values()) <= set(chip.peaks())


def formats_on(chip: ChipProfile, recipe: constants.Recipe) -> dict[str, str]:
    """What a chip computes a recipe in: recipes for serving alone mean 16 bits of either kind by BF16."""
    if recipe.serving_only and "bf16" not in chip.peaks():
        return {operation: "fp16" if each == "bf16" else each for operation, each in recipe.formats.items()}
    return recipe.formats


def host_bytes_per_s(chip: ChipProfile) -> float:
    """Bandwidth to host memory, one direction, by PCIe generation."""
    from clustercast import units

    table = constants.table("defaults")["chip"]["host_bandwidth"]
    return units.parse(table.get(f"pcie{chip.pcie_generation}", table["other"]), "bytes/s")


def cluster(chip: ChipProfile, fabric: FabricProfile, n_chips: int) -> records.Cluster:
    """The tiers of a cluster of `n_chips`, cut to its size."""
    scale_up = _tier(chip, fabric.scale_up, _scale_up_bytes_per_s(chip, fabric))
    package = ABSENT
    if fabric.package is not None and fabric.package.bandwidth is not None:
        package = _tier(chip, fabric.package, fabric.package.bandwidth.value)
    nic = _nic_bytes_per_s(chip, fabric)
    rail, spine = ABSENT, ABSENT
    if fabric.rail is not None:
        rail = _tier(chip, fabric.rail, nic)
        link = constants.link(fabric.spine_link, chip.name)
        spine = rail._replace(
            n_chips=n_chips,
            bytes_per_s=nic / fabric.oversubscription.value,
            fraction=link["fraction"].value,
            latency_s=link["latency"].value,
            launch_s=link["launch"].value,
            ramp=link["ramp"].value,
        )
    elif n_chips > fabric.scale_up.n_chips:
        raise WrongInput(f"{fabric.file}: fabric {fabric.name} ends at {fabric.scale_up.n_chips} chips, not {n_chips}")
    return records.as_declared(records.Cluster(n_chips, package, scale_up, rail, spine, int(fabric.rails_cross)))


def _scale_up_bytes_per_s(chip: ChipProfile, fabric: FabricProfile) -> float:
    own = chip.get("scale_up.per_direction")
    if own is not None and (fabric.scale_up.bandwidth is None or own.source == "--set"):
        return own.value
    if fabric.scale_up.bandwidth is not None:
        return fabric.scale_up.bandwidth.value
    raise WrongInput(
        f"{chip.name} has no links of its own and fabric {fabric.name} states no scale_up.bandwidth",
        hint="choose a PCIe fabric with --fabric",
    )


def _nic_bytes_per_s(chip: ChipProfile, fabric: FabricProfile) -> float:
    own = chip.get("nic")
    if own is not None:
        return own.value
    if fabric.rail is not None and fabric.rail.bandwidth is not None:
        return fabric.rail.bandwidth.value
    return 1.0


def _tier(chip: ChipProfile, tier: TierProfile, bytes_per_s: float) -> records.Tier:
    link = constants.link(tier.link, chip.name)
    return records.Tier(
        n_chips=tier.n_chips,
        bytes_per_s=bytes_per_s,
        fraction=link["fraction"].value,
        latency_s=link["latency"].value,
        launch_s=link["launch"].value,
        ramp=link["ramp"].value,
        shape=records.SHAPE_NAMES.index(tier.shape),
        pair_fraction=tier.pair_fraction,
        n_axes=max(1, tier.n_axes),
        axis_chips=max(1, tier.axis_chips),
        reduction_gain=link["reduction_gain"].value,
    )
