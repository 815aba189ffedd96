"""How well each cause explains a measured time: its weight times how likely the time is with it.

    share of a cause = weight x mean over its sizes of t(ln(measured / expected with it) / s) / the sum of all

t is Student's density and s the scale at which 80 % of it lie within the half width of the interval: the model with the
cause in it is taken to be as good as the model without. A cause of unknown size is tried at sizes between low and high,
so that one which can explain anything explains nothing well. "Nothing is wrong" and "something else" take part.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from clustercast.catalog import constants
from clustercast.catalog.constants import Constant
from clustercast.studies.check.result import FAST, NORMAL, SLOW, Cause, Figure

ONE: Final = Constant(1.0, 1.0, 1.0, "reported", "", "")


class Tried(NamedTuple):
    """One cause of check.yaml with what the figure would be at each of its sizes."""

    name: str
    sizes: tuple[float | None, ...]
    expected: tuple[float, ...]
    denied: bool = False


class Ranked(NamedTuple):
    """The causes that are worth naming, and the shares of the two that have no name."""

    causes: tuple[Cause, ...]
    nothing: float
    unknown: float
    n_tried: int


def setting(name: str) -> float:
    """A threshold of check.yaml."""
    data = constants.table("check")
    return constants.constant(data["judging"][name], "weight", data["sources"]).value


def entries(section: str) -> dict[str, dict[str, Any]]:
    """The causes of one kind of measurement."""
    found: dict[str, dict[str, Any]] = constants.table("check")[section]
    return found


def size_of(section: str, name: str) -> Constant:
    """The size of a cause, with its range and source; 1 for one that is on or off."""
    data = constants.table("check")
    entry = data[section][name].get("size")
    return ONE if entry is None else constants.constant(entry, "size", data["sources"])


def sizes_of(section: str, name: str) -> tuple[float, ...]:
    """The sizes that a cause is tried at: one, or several between low and high, each factor as far from the next.

    >>> sizes_of("training", "half_nic"), len(sizes_of("training", "slow_clocks"))
    ((0.5,), 7)
    """
    size = size_of(section, name)
    if size.low >= size.high:
        return (size.value,)
    n = int(setting("sizes"))
    step = math.log(size.high / size.low) / (n - 1)
    return tuple(size.low * math.exp(step * place) for place in range(n))


def verdict(measured: float, low: float, high: float, *, rate: bool = False) -> str:
    """Normal, slow or fast.

    >>> verdict(5.0, 1.0, 2.0), verdict(5.0, 1.0, 2.0, rate=True), verdict(1.5, 1.0, 2.0)
    ('slow', 'fast', 'normal')
    """
    if low <= measured <= high:
        return NORMAL
    return SLOW if (measured > high) != rate else FAST


def student(x: float, degrees: float) -> float:
    """Student's density, up to a factor that all causes share."""
    return math.pow(1.0 + x * x / degrees, -0.5 * (degrees + 1.0))


def rank(
    section: str,
    measured: float,
    expected: float,
    half_width: float,
    tried: Iterable[Tried],
    patterns: Sequence[str] = (),
) -> Ranked:
    """The causes by how well they explain a measured figure, those that explain next to nothing left out.

    half_width  of the 80 % interval of ln(figure)
    patterns    that the steps show
    """
    degrees = setting("tails")
    scale = half_width / setting("tails_90")

    def density(value: float) -> float:
        return student(math.log(measured / value) / scale, degrees) / scale

    weights = {}
    found = list(tried)
    for each in found:
        entry = entries(section)[each.name]
        weight = float(entry["weight"]) * (setting("said") if each.denied else 1.0) * _seen(entry, patterns)
        weights[each.name] = weight * sum(map(density, each.expected)) / len(each.expected)
    nothing = setting("nothing") * density(expected)
    # an unknown cause moves the time by any factor up to the most, each as likely; the density is in the same unit
    spread = setting("tails_peak") * math.log(setting("unknown_most"))
    unknown = setting("unknown") / spread
    total = sum(weights.values()) + nothing + unknown
    causes = [
        _cause(section, each, measured, weights[each.name] / total, patterns)
        for each in found
        if weights[each.name] >= setting("least_share") * total
    ]
    causes.sort(key=lambda cause: (-cause.share, cause.name))
    return Ranked(tuple(causes), nothing / total, unknown / total, len(found))


def _seen(entry: Mapping[str, Any], patterns: Sequence[str]) -> float:
    """How much more or less likely a cause is for what the steps show."""
    shows = entry.get("shows", ())
    if set(shows) & set(patterns):
        return setting("shown")
    return setting("not_shown") if shows else 1.0


def _cause(section: str, tried: Tried, measured: float, share: float, patterns: Sequence[str]) -> Cause:
    entry = entries(section)[tried.name]
    off = [abs(math.log(measured / value)) for value in tried.expected]
    best = off.index(min(off))
    seen = tuple(each for each in entry.get("shows", ()) if each in patterns)
    source = size_of(section, tried.name).source if "size" in entry else "the model's own terms"
    size = tried.sizes[best] if "size" in entry else None
    return Cause(
        tried.name, entry["title"], tried.expected[best], size, share, seen, tried.denied, source, entry["look"]
    )


def tries(
    section: str,
    changes: Mapping[str, Callable[[float], float | None]],
    expected: float,
    *,
    longer: bool,
    denied: Iterable[str] = (),
) -> list[Tried]:
    """Every cause of a section that can be at work, with the figure at each of its sizes.

    changes  from a cause to the figure at one size; None where it cannot be at work
    longer   whether a cause has to make the figure larger (else smaller)
    """
    found = []
    least = setting("least_effect")
    for name, change in changes.items():
        pairs = [(size, change(size)) for size in sizes_of(section, name)]
        kept = [(size, value) for size, value in pairs if value is not None and math.isfinite(value) and value > 0.0]
        moved = [(size, value) for size, value in kept if (value > expected) == longer]
        if moved and any(abs(math.log(value / expected)) >= least for _, value in moved):
            sizes, values = zip(*moved, strict=True)
            found.append(Tried(name, tuple(sizes), tuple(values), name in set(denied)))
    return found


def sound(figure: Figure) -> bool:
    """Whether every number of a figure is one."""
    return all(math.isfinite(each) and each > 0.0 for each in (figure.measured, figure.expected, figure.low))
