"""The 80 % interval: wider with less evidence, with scale, and for mixtures of experts."""

import math

from clustercast.catalog import constants, overlay
from clustercast.catalog.chips import ChipProfile

MEASURED = "measured chip"
BASE = {MEASURED: "measured_chip", "measured family": "measured_family", "datasheet only": "datasheet_only"}
REFERENCE_CHIPS = 1000.0


def evidence_of(chip: ChipProfile, purpose: str) -> str:
    """How good the evidence for a chip is: published runs of the chip itself, of its family, or a datasheet.

    A chip whose numbers the user changed is another one of its family.

    purpose  "training" or "serving"
    """
    measured = constants.table("defaults")["evidence"][purpose]
    if chip.name in measured["chips"] and not is_changed(chip):
        return MEASURED
    return "measured family" if chip.family in measured["families"] else "datasheet only"


def is_changed(chip: ChipProfile) -> bool:
    """Whether the user set a number of a chip's datasheet."""
    return any(each.source == "--set" for _, each in chip.quantities())


def own_runs(
    chip: ChipProfile, belongs_to: str, *, mixture: bool, precision: str, n_chips: int
) -> overlay.Calibration | None:
    """The calibration whose spread holds for a step: fitted on enough runs of that chip and stack that were like it.

    Like it is the same kind of model and precision recipe, and about as many chips.
    """
    found = overlay.calibrated(chip.name, "training", belongs_to)
    if found is None or is_changed(chip):
        return None
    beyond = constants.default("calibration", "chips_beyond").value
    return found if found.covers("mixture" if mixture else "dense", precision, n_chips, beyond) else None


def half_width(
    evidence: str,
    n_chips: int,
    *,
    mixture: bool,
    purpose: str = "interval",
    calibration: overlay.Calibration | None = None,
    family: str = "",
) -> float:
    """Half width of the interval of ln(time).

        scatter(family) (base(evidence) + mixture) + slope * log10(chips / 1,000) beyond 1,000 chips

    purpose      the section of defaults.yaml that holds the widths
    family       whose published runs may scatter more than others' (an unknown bin, a shared network)
    calibration  a user's own runs, of `own_runs`: their spread goes before base and mixture where it is narrower
    """
    width = constants.default(purpose, BASE[evidence]).value
    if mixture:
        width += constants.default(purpose, "mixture").value
    scatter = constants.table("defaults")[purpose].get("scatter", {})
    if family in scatter:
        width *= scatter[family]["value"]
    if calibration is not None and calibration.half_width is not None:
        width = min(width, calibration.half_width)
    decades = max(0.0, math.log10(n_chips / REFERENCE_CHIPS))
    return width + constants.default(purpose, "per_decade_of_chips").value * decades


def around(value: float, width: float) -> tuple[float, float]:
    """Low and high around a time."""
    return value * math.exp(-width), value * math.exp(width)
