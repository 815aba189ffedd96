"""How well each cause explains a measured time: its weight times how likely the time is with it.

    share of a cause = weight x mean over its sizes of t(ln(measured / expected with it) / s) / the sum of all

t is Student's density and s the scale at which 80 % of it lie within the half width of the interval: the model with the
cause in it is taken to be as good as the model without. A cause of unknown size is tried at sizes between low and high,
so that one which can explain anything explains nothing well. "Nothing is wrong" and "something else" take part.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from clustercast.catalog import constants
from clustercast.catalog.constants import Constant
from clustercast.studies.check.result import FAST, NORMAL, SLOW, Cause, Figure

ONE: Final = Constant(1.0, 1.0, 1.0, "reported", "", "")


class Observed(NamedTuple):
    """One measured number: every cause has to explain all that were measured together."""

    measured: float
    expected: float
    half_width: float  # of the 80 % interval of ln(number)


class Tried(NamedTuple):
    """One cause of check.yaml with what every number would be at each of its sizes."""

    name: str
    sizes: tuple[float, ...]
    expected: tuple[tuple[float, ...], ...]  # by size, then by number
    denied: bool = False


class Ranked(NamedTuple):
    """The causes that are worth naming, with what one number would be, and the shares of the two that have no name."""

    causes: tuple[Cause, ...]
    nothing: float
    unknown: float
    n_tried: int

    def of(self, figure: Figure) -> Figure:
        """The figure with these causes."""
        return replace(
            figure,
            causes=self.causes,
            nothing_share=self.nothing,
            unknown_share=self.unknown,
            n_tried=self.n_tried,
        )


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
    ((0.5,), 25)
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
    section: str, observed: Sequence[Observed], tried: Sequence[Tried], patterns: Sequence[str] = ()
) -> list[Ranked]:
    """The causes by how well they explain what was measured, for each number; those that explain next to nothing are
    left out.

    patterns  that the steps show
    """

    def density(values: Sequence[float]) -> float:
        """How likely all numbers are together where these are expected."""
        return math.prod(_density(each, value) for each, value in zip(observed, values, strict=True))

    weights: dict[str, float] = {}
    best: dict[str, int] = {}
    for each in tried:
        entry = entries(section)[each.name]
        likely = [density(values) for values in each.expected]
        best[each.name] = likely.index(max(likely))
        weight = float(entry["weight"]) * (setting("said") if each.denied else 1.0) * _seen(entry, patterns)
        weights[each.name] = weight * sum(likely) / len(likely)
    nothing = setting("nothing") * density([each.expected for each in observed])
    # an unknown cause moves a number by any factor up to the most, each as likely; the densities are in the same unit
    spread = setting("tails_peak") * math.log(setting("unknown_most"))
    unknown = setting("unknown") / spread ** len(observed)
    total = sum(weights.values()) + nothing + unknown
    named = [each for each in tried if weights[each.name] >= setting("least_share") * total]
    named.sort(key=lambda each: (-weights[each.name], each.name))
    return [
        Ranked(
            tuple(
                _cause(section, each, best[each.name], place, weights[each.name] / total, patterns) for each in named
            ),
            nothing / total,
            unknown / total,
            len(tried),
        )
        for place in range(len(observed))
    ]


def _density(one: Observed, value: float) -> float:
    """Student's density of a measured number where a value is expected, up to a factor that all causes share."""
    scale = one.half_width / setting("tails_90")
    return student(math.log(one.measured / value) / scale, setting("tails")) / scale


def _seen(entry: Mapping[str, Any], patterns: Sequence[str]) -> float:
    """How much more or less likely a cause is for what the steps show."""
    shows = entry.get("shows", ())
    if set(shows) & set(patterns):
        return setting("shown")
    return float(entry.get("without", setting("not_shown"))) if shows else 1.0


def _cause(section: str, tried: Tried, at: int, place: int, share: float, patterns: Sequence[str]) -> Cause:
    entry = entries(section)[tried.name]
    seen = tuple(each for each in entry.get("shows", ()) if each in patterns)
    source = size_of(section, tried.name).source if "size" in entry else "the model's own terms"
    size = tried.sizes[at] if "size" in entry else None
    value = tried.expected[at][place]
    return Cause(tried.name, entry["title"], entry["of"], value, size, share, seen, tried.denied, source, entry["look"])


def tries(
    section: str,
    changes: Sequence[Mapping[str, Callable[[float], float | None]]],
    observed: Sequence[Observed],
    *,
    longer: bool,
    denied: Iterable[str] = (),
) -> list[Tried]:
    """Every cause of a section that can be at work, with every number at each of its sizes.

    changes  for each number, from a cause to the number at one size; None where the cause cannot be at work there
    longer   whether a cause has to make the first number larger (else smaller)
    """
    found = []
    least = setting("least_effect")
    usual = observed[0].expected
    for name in changes[0]:
        sizes, values = [], []
        for size in sizes_of(section, name):
            those = [change[name](size) if name in change else None for change in changes]
            if those[0] is None:
                continue
            row = [each.expected if value is None else value for value, each in zip(those, observed, strict=True)]
            if all(math.isfinite(value) and value > 0.0 for value in row) and (row[0] > usual) == longer:
                sizes.append(size)
                values.append(tuple(row))
        if any(abs(math.log(row[0] / usual)) >= least for row in values):
            found.append(Tried(name, tuple(sizes), tuple(values), name in set(denied)))
    return found
