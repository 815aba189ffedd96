"""The 80 % interval: wider with less evidence, with scale, and for mixtures of experts."""

import math

from clustercast.catalog import constants, overlay
from clustercast.catalog.chips import ChipProfile

BASE = {"measured chip": "measured_chip", "measured family": "measured_family", "datasheet only": "datasheet_only"}
REFERENCE_CHIPS = 1000.0


def evidence_of(chip: ChipProfile, purpose: str) -> str:
    """How good the evidence for a chip is: runs of the chip itself, of its family, or a datasheet.

    Runs are published ones, or a user's own that the active calibration was fitted on.

    purpose  "training" or "serving"
    """
    if overlay.calibrated(chip.name, purpose) is not None:
        return "measured chip"
    measured = constants.table("defaults")["evidence"][purpose]
    if chip.name in measured["chips"]:
        return "measured chip"
    return "measured family" if chip.family in measured["families"] else "datasheet only"


def half_width(
    evidence: str,
    n_chips: int,
    *,
    mixture: bool,
    purpose: str = "interval",
    calibration: overlay.Calibration | None = None,
) -> float:
    """Half width of the interval of ln(time).

        base(evidence) + mixture + slope * log10(chips / 1,000) beyond 1,000 chips

    purpose      the section of defaults.yaml that holds the widths
    calibration  a user's own runs of this chip and software: their spread goes before base and mixture where narrower
    """
    width = constants.default(purpose, BASE[evidence]).value
    if mixture:
        width += constants.default(purpose, "mixture").value
    if calibration is not None:
        width = min(width, calibration.half_width)
    decades = max(0.0, math.log10(n_chips / REFERENCE_CHIPS))
    return width + constants.default(purpose, "per_decade_of_chips").value * decades


def around(value: float, width: float) -> tuple[float, float]:
    """Low and high around a time."""
    return value * math.exp(-width), value * math.exp(width)
