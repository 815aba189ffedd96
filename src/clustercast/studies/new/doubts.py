"""Numbers of a datasheet that look like a slip: sparse peaks, both directions counted, bits for bytes, prefixes.

Every number is held against the chips of the catalogue that came out within a few years of it. One that lies far
outside is named with the slip that would bring it back; one that is twice that of a chip like it is named too.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from clustercast import catalog, units
from clustercast.catalog import constants
from clustercast.catalog.chips import ChipProfile
from clustercast.catalog.quantity import Quantity

# Numbers that have a usual range, and how each is shown.
_COMPARED: Final = {
    "memory.capacity": "B",
    "memory.bandwidth": "B/s",
    "scale_up.per_direction": "B/s",
    "nic": "B/s",
    "power": "W",
}
TWICE: Final = 0.05  # datasheets round: 733 with sparsity over 362.05 without
_PEAK_SLIPS: Final = ((2.0, "the peak with sparsity"), (1000.0, "another prefix"))
_LINK_SLIPS: Final = ((2.0, "both directions together"), (8.0, "bits for bytes"), (1000.0, "another prefix"))
_BYTE_SLIPS: Final = ((8.0, "bits for bytes"), (1000.0, "another prefix"))
_OTHER_SLIPS: Final = ((1000.0, "another prefix"),)


def of(chip: ChipProfile, like: ChipProfile | None) -> list[str]:
    """A sentence for every number that deserves a second look."""
    numbers = constants.table("new_chip")
    near = _contemporaries(chip, int(numbers["years"]["value"]))
    slack = float(numbers["slack"]["value"])
    found = []
    for name, each in chip.quantities():
        if name in _COMPARED or name.startswith("peaks."):
            others = [other.get(name) for other in near]
            sentence = _outside(name, each, [other.value for other in others if other is not None], slack)
            found += [sentence] if sentence else list(_twice(name, each, like))
    return [*found, *_between_peaks(chip, float(numbers["steps"]["value"]))]


def _contemporaries(chip: ChipProfile, years: int) -> list[ChipProfile]:
    """Chips of the catalogue for the same use that came out within so many years."""
    released = int(chip.released[:4])
    every = [catalog.find_chip(name) for name in catalog.chip_names()]
    every = [each for each in every if each.data_centre == chip.data_centre]
    near = [each for each in every if abs(int(each.released[:4]) - released) <= years]
    return near or every


def _outside(name: str, each: Quantity, values: Sequence[float], slack: float) -> str:
    """What is odd about a number that lies far outside what others have; empty where it does not."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if low / slack <= each.value <= high * slack:
        return ""
    above = each.value > high
    what = f"{name} {each.text} is {'more' if above else 'less'} than that of any chip of its years"
    unit = _COMPARED.get(name, "FLOP/s")
    what += f" ({_shown(low, unit)} to {_shown(high, unit)})"
    slips = _slips(name)
    guesses = [said for factor, said in slips if low <= (each.value / factor if above else each.value * factor) <= high]
    return f"{what}: {' or '.join(guesses)}?" if guesses else what


def _slips(name: str) -> tuple[tuple[float, str], ...]:
    if name.startswith("peaks."):
        return _PEAK_SLIPS
    if name == "scale_up.per_direction":
        return _LINK_SLIPS
    return _BYTE_SLIPS if name in ("memory.bandwidth", "nic", "memory.capacity") else _OTHER_SLIPS


def _twice(name: str, each: Quantity, like: ChipProfile | None) -> Iterator[str]:
    """A peak or link that is twice that of the chip that it is said to be like."""
    other = like.get(name) if like is not None else None
    slip = {"p": "the peak with sparsity", "s": "both directions together"}.get(name[0])
    if other is not None and like is not None and slip and abs(each.value / other.value - 2.0) < TWICE:
        yield f"{name} {each.text} is twice that of {like.name} ({other.text}): {slip}?"


def _between_peaks(chip: ChipProfile, most: float) -> Iterator[str]:
    """Peaks of half as many bits that are more than so many times as high: one is dense and the other is not."""
    peaks: dict[str, Any] = chip.peaks()
    for wide, narrow in (("bf16", "fp8"), ("fp16", "fp8"), ("bf16", "int8"), ("fp16", "int8"), ("fp8", "fp4")):
        if wide in peaks and narrow in peaks and peaks[narrow] > most * peaks[wide]:
            times = peaks[narrow] / peaks[wide]
            yield f"peaks.{narrow} is {times:.3g} times peaks.{wide}, usually 2: is one of them with sparsity?"
            return


def _shown(value: float, unit: str) -> str:
    return units.gib(value) if unit == "B" else units.si(value, unit)
