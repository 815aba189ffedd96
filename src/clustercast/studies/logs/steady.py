"""From the steps of a log to the step that counts: what is warm-up, what is a pause, how the rest moves.

Nothing here knows a model of performance: it looks at the times alone.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple

from clustercast.catalog import constants

MOST_LOOKED_AT: Final = 20_000  # of steps; more are thinned evenly


class Timed(NamedTuple):
    """One step (or the mean of several) and its seconds."""

    number: int
    seconds: float
    line: int
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """Steps that took longer than their neighbours."""

    cause: str  # checkpoint, evaluation, restart, or nothing that the log names
    n: int
    extra_s: float  # that each took more, in the middle
    first_step: int
    every_steps: int | None  # that many steps lie between them, where it is always as many


@dataclass(frozen=True, slots=True)
class Steady:
    """The steps that count, and what was left out of them."""

    n: int  # lines that count
    n_warm_up: int
    n_other_batch: int  # of another global batch than the last one
    median_s: float
    low_s: float  # 10 of 100 lie below
    high_s: float
    first_step: int
    last_step: int
    drift_fraction: float  # of the median, from the first tenth to the last, where it is more than the scatter; else 0
    shift_step: int | None  # from here on all steps are slower or faster
    shift_factor: float | None
    levels: tuple[float, float] | None  # two times between which steps jump, in seconds
    high_share: float | None  # of steps at the upper level
    lost_fraction: float  # of the time that went into pauses
    pauses: tuple[Pause, ...] = ()
    patterns: tuple[str, ...] = field(default_factory=tuple)  # spread, periodic, drift, shift, two-levels, still-warm

    @property
    def spread(self) -> float:
        """How far apart nine and one in ten lie, as a factor."""
        return self.high_s / self.low_s


def setting(name: str) -> float:
    """A threshold of check.yaml."""
    data = constants.table("check")
    return constants.constant(data["steps"][name], name, data["sources"]).value


def steady(steps: Sequence[Timed], batches: Sequence[int | None] = ()) -> Steady:
    """What counts of the steps of one log, in its order; at least one is needed.

    batches  the global batch of each, where the log prints it: only the last one counts

    >>> steady([Timed(i, 30.0 if i == 1 else 5.0, i) for i in range(1, 20)]).median_s
    5.0
    """
    kept = list(steps)
    n_other = 0
    if batches and batches[-1] is not None:
        kept = [each for each, batch in zip(steps, batches, strict=True) if batch == batches[-1]]
        n_other = len(steps) - len(kept)
    if len(kept) > MOST_LOOKED_AT:
        every = len(kept) / MOST_LOOKED_AT
        kept = [kept[int(place * every)] for place in range(MOST_LOOKED_AT)]
    n_warm = _warm_up([each.seconds for each in kept])
    warm = kept[n_warm:]
    level = statistics.median(each.seconds for each in warm)
    scatter = _scatter([each.seconds for each in warm], level)
    high = level + max(setting("outlier_scatters") * scatter, setting("outlier_share") * level)
    outside = [each for each in warm if each.seconds > high]
    counted = warm
    if len(outside) <= setting("most_outliers") * len(warm):
        counted = [each for each in warm if each.seconds <= high]
    else:
        outside = []
    times = [each.seconds for each in counted]
    median = statistics.median(times)
    pauses = _pauses(outside, median, kept)
    shift = _shift(counted, median)
    levels = None if shift else _levels(times)
    drift = 0.0 if shift else _drift(counted, median)
    lost = sum(each.seconds - median for each in outside) / sum(each.seconds for each in warm)
    result = Steady(
        n=len(counted),
        n_warm_up=n_warm,
        n_other_batch=n_other,
        median_s=median,
        low_s=_quantile(times, 0.1),
        high_s=_quantile(times, 0.9),
        first_step=counted[0].number,
        last_step=counted[-1].number,
        drift_fraction=drift,
        shift_step=shift[0] if shift else None,
        shift_factor=shift[1] if shift else None,
        levels=levels[:2] if levels else None,
        high_share=levels[2] if levels else None,
        lost_fraction=max(0.0, lost),
        pauses=pauses,
    )
    return _with_patterns(result, len(kept))


def _with_patterns(found: Steady, n_kept: int) -> Steady:
    patterns = []
    if found.spread > 1.0 + setting("wide_spread"):
        patterns.append("spread")
    if any(pause.every_steps and pause.cause == "" for pause in found.pauses):
        patterns.append("periodic")
    if found.drift_fraction:
        patterns.append("drift")
    if found.shift_step is not None:
        patterns.append("shift")
    if found.levels is not None:
        patterns.append("two-levels")
    if n_kept < setting("few_steps") and found.n_warm_up == 0:
        patterns.append("still-warm")
    return replace(found, patterns=tuple(patterns))


def _quantile(values: Sequence[float], share: float) -> float:
    """Linear between ranks."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _scatter(values: Sequence[float], level: float) -> float:
    """Standard deviation as the median deviation says it, which outliers do not move."""
    return 1.4826 * statistics.median(abs(value - level) for value in values)


def _warm_up(seconds: Sequence[float]) -> int:
    """How many of the first steps are slower than those that follow, at most half of them."""
    if len(seconds) < 2:
        return 0
    later = seconds[len(seconds) // 2 :]
    level = statistics.median(later)
    high = level + max(setting("outlier_scatters") * _scatter(later, level), setting("outlier_share") * level)
    n = 0
    while n < len(seconds) // 2 and seconds[n] > high:
        n += 1
    return n


def _pauses(outside: Sequence[Timed], median: float, kept: Sequence[Timed]) -> tuple[Pause, ...]:
    """Outliers by what the log says before them."""
    by_cause: dict[str, list[Timed]] = {}
    for each in outside:
        by_cause.setdefault(each.after[0] if each.after else "", []).append(each)
    spacing = Counter(b.number - a.number for a, b in pairwise(kept)).most_common(1)
    usual = spacing[0][0] if spacing else 1
    return tuple(
        Pause(
            cause,
            len(those),
            statistics.median(each.seconds for each in those) - median,
            those[0].number,
            _every(those, usual),
        )
        for cause, those in sorted(by_cause.items(), key=lambda pair: -len(pair[1]))
    )


def _every(those: Sequence[Timed], usual: int) -> int | None:
    """How many steps lie between pauses, where most of them lie so many apart."""
    if len(those) <= setting("least_repeats"):
        return None
    gaps = Counter(b.number - a.number for a, b in pairwise(those))
    gap, n = gaps.most_common(1)[0]
    return gap if gap > usual and n >= setting("share_of_repeats") * (len(those) - 1) else None


def _shift(counted: Sequence[Timed], median: float) -> tuple[int, float] | None:
    """The step from which on all are slower or faster, and by what factor."""
    n = len(counted)
    least = int(setting("least_part"))
    if n < 2 * least:
        return None
    times = [each.seconds for each in counted]
    total, squares = sum(times), sum(value * value for value in times)
    left, best, place = 0.0, 0.0, 0
    for at in range(1, n):
        left += times[at - 1]
        if least <= at <= n - least:
            between = left * left / at + (total - left) ** 2 / (n - at) - total * total / n
            if between > best:
                best, place = between, at
    within = squares - total * total / n - best
    if place == 0 or best < setting("shift_share") * (best + max(within, 0.0)):
        return None
    before, after = statistics.median(times[:place]), statistics.median(times[place:])
    factor = after / before
    wide = max(_scatter(times[:place], before), _scatter(times[place:], after), setting("least_scatter") * median)
    far = abs(after - before) > setting("outlier_scatters") * wide
    if abs(math.log(factor)) < math.log1p(setting("least_change")) or not far:
        return None
    return counted[place].number, factor


def _levels(times: Sequence[float]) -> tuple[float, float, float] | None:
    """Two times between which steps jump, and the share at the upper one; nothing where there is one level."""
    ordered = sorted(times)
    n = len(ordered)
    least = max(2, int(setting("least_share_of_level") * n))
    if n < 2 * int(setting("least_part")):
        return None
    gap, place = max((ordered[at] - ordered[at - 1], at) for at in range(least, n - least + 1))
    low, high = statistics.median(ordered[:place]), statistics.median(ordered[place:])
    wide = max(_scatter(ordered[:place], low), _scatter(ordered[place:], high), setting("least_scatter") * low)
    if high / low < 1.0 + setting("least_change") or gap < setting("gap_scatters") * wide:
        return None
    return low, high, (n - place) / n


def _drift(counted: Sequence[Timed], median: float) -> float:
    """How much longer the last steps take than the first, as a share; 0 where that is no more than the scatter."""
    n = len(counted)
    part = max(int(setting("least_part")), n // 10)
    if n < 3 * part:
        return 0.0
    times = [each.seconds for each in counted]
    first, middle, last = times[:part], times[(n - part) // 2 : (n + part) // 2], times[-part:]
    a, b, c = statistics.median(first), statistics.median(middle), statistics.median(last)
    wide = max(_scatter(first, a), _scatter(last, c), setting("least_scatter") * median)
    drift = (c - a) / median
    monotone = min(a, c) <= b <= max(a, c)
    far = abs(c - a) > setting("outlier_scatters") * wide
    return drift if monotone and far and abs(drift) > setting("least_drift") else 0.0
