"""What a calibration changed in an answer: its constants as assumptions, and a word where it changed nothing."""

from collections.abc import Iterable

from clustercast.catalog import overlay
from clustercast.catalog.chips import ChipProfile
from clustercast.catalog.constants import constant
from clustercast.catalog.fabrics import FabricProfile
from clustercast.estimates.result import Assumption

MOST_NAMED = 3


def changed(part: overlay.Part) -> str:
    """What a part of a calibration changes, in a phrase.

    >>> point = overlay.Part("steps", "h20-96gb", "nemo", 12, 0.05, 0.01, 0.02, {"matmul_factor": {}}, "mine.yaml")
    >>> changed(point)
    'mine.yaml: matmul_factor of nemo on h20-96gb, fitted to 12 points'
    """
    names = list(part.constants)
    more = len(names) - MOST_NAMED
    named = ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{part.file}: {named} of {part.belongs_to} on {part.chip}, fitted to {part.n:,} points"


def used(
    chip: ChipProfile, fabric: FabricProfile, formats: Iterable[str], stack: str, engine: str
) -> list[overlay.Part]:
    """The parts of the active calibration that an answer rests on; an empty name rests on none.

    formats  number formats of the precision recipe
    """
    laid = overlay.active()
    tiers = (fabric.package, fabric.scale_up, fabric.rail)
    owners = {
        "collectives": {fabric.spine_link} | {tier.link for tier in tiers if tier is not None},
        "matmuls": set(formats),
        "steps": {stack},
        "serving": {engine},
    }
    parts = () if laid is None else laid.parts
    return [part for part in parts if part.chip == chip.name and part.belongs_to in owners[part.kind]]


def applied(
    chip: ChipProfile, fabric: FabricProfile, formats: Iterable[str], stack: str, engine: str
) -> tuple[list[Assumption], list[str]]:
    """The calibrated constants that an answer uses, and warnings about those that it does not.

    formats  number formats of the precision recipe
    """
    laid = overlay.active()
    if laid is None or not laid.parts:
        return [], []
    said = []
    for part in used(chip, fabric, formats, stack, engine):
        for field, entry in part.constants.items():
            found = constant(entry, field, {})
            name = f"{chip.name} {part.belongs_to} {field}"
            said.append(Assumption(name, found.value, found.kind, found.source, found.low, found.high))
    if said:
        return said, []
    has = ", ".join(dict.fromkeys(f"{part.belongs_to} on {part.chip}" for part in laid.parts))
    files = ", ".join(dict.fromkeys(part.file for part in laid.parts))
    return [], [f"{files} changes nothing here: it calibrates {has}"]
