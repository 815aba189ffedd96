"""What a calibration changed in an answer: its constants as assumptions, and a word where it changed nothing."""

from collections.abc import Iterable

from clustercast.catalog import overlay
from clustercast.catalog.chips import ChipProfile
from clustercast.catalog.constants import constant
from clustercast.catalog.fabrics import FabricProfile
from clustercast.estimates.result import Assumption


def applied(
    chip: ChipProfile, fabric: FabricProfile, formats: Iterable[str], stack: str, engine: str
) -> tuple[list[Assumption], list[str]]:
    """The calibrated constants that an answer uses, and warnings about those that it does not.

    formats  number formats of the precision recipe
    """
    laid = overlay.active()
    if laid is None or not laid.parts:
        return [], []
    tiers = (fabric.package, fabric.scale_up, fabric.rail)
    used = {
        "collectives": {fabric.spine_link} | {tier.link for tier in tiers if tier is not None},
        "matmuls": set(formats),
        "steps": {stack},
        "serving": {engine},
    }
    said = []
    for part in laid.parts:
        if part.chip == chip.name and part.belongs_to in used[part.kind]:
            for field, entry in part.constants.items():
                found = constant(entry, field, {})
                name = f"{chip.name} {part.belongs_to} {field}"
                said.append(Assumption(name, found.value, found.kind, found.source, found.low, found.high))
    if said:
        return said, []
    has = ", ".join(dict.fromkeys(f"{part.belongs_to} on {part.chip}" for part in laid.parts))
    files = ", ".join(dict.fromkeys(part.file for part in laid.parts))
    return [], [f"{files} changes nothing here: it calibrates {has}"]
