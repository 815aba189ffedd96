"""A few constants, fitted to a user's points, that start from the catalogue and move only as far as the points say.

Residuals are ln(modelled / measured) over their scatter, under a soft absolute loss. The catalogue's value and range
of every constant is a normal prior. A constant that the points do not narrow stays where the catalogue has it, and
so does the least needed one while there are more constants than points allow.
"""

import math
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from clustercast.catalog import constants, overlay
from clustercast.catalog.constants import Constant
from clustercast.errors import NoAnswer, WrongInput

TENTH: Final = 1.2815515655446004  # standard normal: 10 % lie above it
MEDIAN_TO_DEVIATION: Final = 1.4826022185056018  # of a normal distribution, from the median absolute deviation
FAR: Final = 6.0  # prior spreads from the prior, as far as a search may look
LONGEST_SEARCH: Final = 60  # steps of one search
CLOSE_ENOUGH: Final = 1e-5  # relative change at which a search ends
LOOKED_AT: Final = (-5.0, -2.0, 2.0, 5.0)  # prior spreads from the prior
SLOPE_STEP: Final = 0.3  # prior spreads
NO_TIME_S: Final = 1e-30  # stands for a time of 0, which has no logarithm
NOISE_SETTLED: Final = 0.1  # of ln(scatter)

Values = Mapping[str, float]
Predict = Callable[[Values, int], float]  # seconds of the point of this index


class Parameter(NamedTuple):
    """One constant before the fit: the catalogue's value and range, and what it can be at all."""

    name: str
    unit: str  # "s" or "1"
    before: float
    low: float
    high: float
    least: float
    most: float

    @property
    def in_log(self) -> bool:
        """Whether it is searched as a logarithm: what has no lower bound but 0 and is not 0 itself."""
        return self.before > 0.0 and self.low > 0.0 and self.least == 0.0

    def inner(self, value: float) -> float:
        """The value as it is searched."""
        return math.log(value) if self.in_log else value

    def outer(self, inner: float) -> float:
        """The value from what is searched, never outside what it can be."""
        value = math.exp(inner) if self.in_log else inner
        return min(max(value, self.least), self.most)


class Estimated(NamedTuple):
    """One constant after the fit."""

    parameter: Parameter
    value: float
    standard_error: float
    low: float  # 10 % lie below, by the standard error
    high: float
    identified: bool
    n_spreads: float = 0.0  # prior spreads from the prior


class Fit(NamedTuple):
    """All constants, and the relative errors of the points: modelled over measured, less one."""

    constants: tuple[Estimated, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    left_out: tuple[float, ...]  # of points that the fit did not see; empty for too few points
    half_width: float  # 80 % of ln(modelled / measured) lies within it


def setting(name: str) -> float:
    """One number of the section `calibration` of defaults.yaml."""
    return constants.default("calibration", name).value


def settings(name: str) -> dict[str, Any]:
    """One table of the section `calibration` of defaults.yaml."""
    found: dict[str, Any] = constants.table("defaults")["calibration"][name]
    return found


def parameter(name: str, found: Constant, unit: str) -> Parameter:
    """A constant of the catalogue as one to fit."""
    least, most = overlay.bounds(name)
    return Parameter(name, unit, found.value, found.low, found.high, least, most)


def prior_spread(each: Parameter) -> float:
    """Standard deviation of a constant's prior, as it is searched.

    The catalogue's range holds 80 %; one machine may lie outside the range of the published ones.
    """
    least = setting("least_prior_spread")
    if each.in_log:
        width = math.log(each.high / each.low)
    else:
        width = each.high - each.low
        span = each.most - each.least
        least *= span if math.isfinite(span) else max(each.before, each.high)
    return max(setting("prior_widening") * width / (2.0 * TENTH), least)


def needs_scipy() -> None:
    """Raise for an environment without scipy, which does the fitting."""
    try:
        import scipy.optimize  # noqa: F401 (only asked whether it is there)
    except ImportError:
        raise WrongInput(
            "scipy is not installed, and calibrate fits with it", hint="install clustercast[fit]"
        ) from None


def fit(
    kind: str,
    parameters: Sequence[Parameter],
    predict: Predict,
    measured_s: Sequence[float],
    configurations: Sequence[Hashable],
) -> Fit:
    """Fit what the points identify. Raises NoAnswer where they identify nothing or contradict every value.

    measured_s      seconds of every point
    configurations  what each point is a measurement of; repeats share one
    """
    every = [Point(i, math.log(seconds)) for i, seconds in enumerate(measured_s)]
    distinct = len(set(configurations))
    most = int(distinct / setting("points_per_parameter"))
    data = Data(tuple(parameters), predict, tuple(every))
    few = int(setting("points_to_choose"))
    some = tuple(every[place * len(every) // few] for place in range(few)) if len(every) > few else data.points
    free, near = chosen(data._replace(points=some), most, float(settings("noise")[kind]))
    found, noise = settled(data, free, float(settings("noise")[kind]), near)
    before = [predict({each.name: each.before for each in parameters}, i) for i in range(len(every))]
    left_out = folds(data, free, found, configurations, noise)
    median = statistics.median(abs(math.expm1(each)) for each in left_out or found.residuals)
    if median > setting("most_median_error"):
        raise NoAnswer(
            f"the measurements contradict the setup: whatever its constants, the median error stays {median:.0%}",
            hint="check the chip, the fabric, the stack or engine and the units of the file",
            numbers={
                "median_error": median,
                "most_median_error": setting("most_median_error"),
                "n": len(every),
                "n_constants": len(free),
            },
        )
    if not free:
        raise nothing_identified(kind, parameters, distinct)
    return Fit(
        constants=tuple(result(each, free, found) for each in parameters),
        before=tuple(each / seconds - 1.0 for each, seconds in zip(before, measured_s, strict=True)),
        after=tuple(math.expm1(each) for each in found.residuals),
        left_out=tuple(math.expm1(each) for each in left_out),
        half_width=half_width(left_out, found.residuals, len(free)),
    )


class Point(NamedTuple):
    """One measured time by its place and logarithm."""

    place: int
    log_s: float


class Data(NamedTuple):
    """What every search looks at: all constants, the model, and the points."""

    parameters: tuple[Parameter, ...]
    predict: Predict
    points: tuple[Point, ...]


class Solution(NamedTuple):
    """Where a search ended: searched values, their spreads, and ln(modelled / measured) of its points."""

    inner: tuple[float, ...]
    spreads: tuple[float, ...]
    residuals: tuple[float, ...]
    cost: float  # of the points and of the distance from the prior

    def at(self, free: Sequence[Parameter]) -> dict[str, float]:
        """The searched values by name, for another search to start from."""
        return {each.name: inner for each, inner in zip(free, self.inner, strict=True)}


def doubt(each: Parameter, spread: float) -> float:
    """How little is known of a constant after a fit: 1 and above is too little to move it."""
    against_prior = spread / prior_spread(each) / setting("identified_below")
    return max(against_prior, spread / setting("most_spread")) if each.in_log else against_prior


def chosen(data: Data, most: int, noise: float) -> tuple[list[Parameter], dict[str, float]]:
    """The constants that the points identify, at most so many, and about where they lie.

    What the fit misses least goes first, then what is least known; at the end each one that went may come back.
    """
    free = [each for each in data.parameters if prior_spread(each) > 0.0]
    start = looked_around(data, free, noise)
    usual = {each.name: each.inner(each.before) for each in free}
    all_of_them = tuple(each for each in free if alone(data, free, each, noise, start) < 1.0)
    free = list(all_of_them)
    while len(free) > most:
        tried = [[*free[:place], *free[place + 1 :]] for place in range(len(free))]
        free = min(tried, key=lambda rest: solve(data, rest, noise, start).cost)
    found, _ = settled(data, free, noise, start)
    while free:
        unknown = [doubt(each, spread) for each, spread in zip(free, found.spreads, strict=True)]
        if max(unknown) < 1.0:
            break
        start |= found.at(free)
        free.pop(unknown.index(max(unknown)))
        found, _ = settled(data, free, noise, start)
    gone = [each for each in all_of_them if each not in free and len(free) < most]
    start = usual | found.at(free)
    gone.sort(key=lambda each: solve(data, [*free, each], noise, start).cost)
    for each in gone:
        if len(free) >= most:
            break
        again, _ = settled(data, [*free, each], noise, start | found.at(free))
        if all(doubt(one, spread) < 1.0 for one, spread in zip([*free, each], again.spreads, strict=True)):
            free, found = [*free, each], again
    return free, found.at(free)


def alone(data: Data, free: Sequence[Parameter], each: Parameter, noise: float, start: Values) -> float:
    """The doubt that would remain of a constant if all others were known, by its slope at the start.

    Half the usual scatter is granted, and the steeper of both sides: only what no point depends on is to be found.
    """
    place, step = list(free).index(each), SLOPE_STEP * prior_spread(each)
    inner = [start[one.name] for one in free]
    here = errors_at(data, free, inner)
    information = 0.0
    for side in (-step, step):
        there = errors_at(data, free, [*inner[:place], inner[place] + side, *inner[place + 1 :]])
        slopes = [(one - other) / step / (0.5 * noise) for one, other in zip(there, here, strict=True)]
        information = max(information, sum(slope * slope for slope in slopes))
    return doubt(each, 1.0 / math.sqrt(information + 1.0 / prior_spread(each) ** 2))


def settled(data: Data, free: Sequence[Parameter], noise: float, start: dict[str, float]) -> tuple[Solution, float]:
    """A fit and the scatter of its points, which it was weighed with."""
    found = solve(data, free, noise, start)
    scatter = scatter_of(found.residuals, len(free))
    if free and abs(math.log(scatter / noise)) > NOISE_SETTLED:
        found = solve(data, free, scatter, start | found.at(free))
    return found, scatter


def values_at(data: Data, free: Sequence[Parameter], inner: Sequence[float]) -> dict[str, float]:
    """Every constant by name: the searched ones here, the others as the catalogue has them."""
    values = {each.name: each.before for each in data.parameters}
    return values | {each.name: each.outer(float(x)) for each, x in zip(free, inner, strict=True)}


def errors_at(data: Data, free: Sequence[Parameter], inner: Sequence[float]) -> list[float]:
    """ln(modelled / measured) of all points."""
    values = values_at(data, free, inner)
    return [error_of(data, values, point) for point in data.points]


def error_of(data: Data, values: Values, point: Point) -> float:
    """ln(modelled / measured) of one point."""
    return math.log(max(data.predict(values, point.place), NO_TIME_S)) - point.log_s


def distances(free: Sequence[Parameter], inner: Sequence[float], errors: Sequence[float], noise: float) -> list[float]:
    """How far points lie from the model and constants from their priors, each in its own spread."""
    pulled = [(x - each.inner(each.before)) / prior_spread(each) for each, x in zip(free, inner, strict=True)]
    return [each / noise for each in errors] + pulled


def looked_around(data: Data, free: Sequence[Parameter], noise: float) -> dict[str, float]:
    """Where a search may start: one constant after the other at a few places, the best of them kept.

    What another term hides at the catalogue's value has no slope there.
    """
    inner = [each.inner(each.before) for each in free]

    def cost(tried: Sequence[float]) -> float:
        far = distances(free, tried, errors_at(data, free, tried), noise)
        n_points = len(data.points)
        points = sum(math.hypot(1.0, each) - 1.0 for each in far[:n_points])
        return points + sum(0.5 * each * each for each in far[n_points:])

    for place, each in enumerate(free):
        least, most = searched_range(each)
        tried = [inner]
        for steps in LOOKED_AT:
            here = min(max(inner[place] + steps * prior_spread(each), least), most)
            tried.append([*inner[:place], here, *inner[place + 1 :]])
        inner = min(tried, key=cost)
    return {each.name: x for each, x in zip(free, inner, strict=True)}


def softened(squares: Any, n_points: int) -> Any:
    """The loss of squared distances with its two derivatives: soft absolute for points, square for priors.

    points: 2 (sqrt(1 + z) - 1),   priors: z
    """
    import numpy as np

    loss = np.stack((squares, np.ones_like(squares), np.zeros_like(squares)))
    root = np.sqrt(1.0 + squares[:n_points])
    loss[:, :n_points] = 2.0 * (root - 1.0), 1.0 / root, -0.5 / root**3
    return loss


def searched_range(each: Parameter) -> tuple[float, float]:
    """Where a constant is searched: what it can be, and not too far from the catalogue."""
    centre, spread = each.inner(each.before), prior_spread(each)
    least, most = centre - FAR * spread, centre + FAR * spread
    if not each.in_log:
        least = max(least, each.least)
    return least, min(most, each.inner(each.most)) if math.isfinite(each.most) else most


def solve(data: Data, free: Sequence[Parameter], noise: float, start: Values) -> Solution:
    """The most likely values of the free constants, searched from `start`."""
    import numpy as np
    from scipy.optimize import least_squares

    if not free:
        return Solution((), (), tuple(errors_at(data, (), ())), math.inf)

    def cost(inner: Any) -> Any:
        return np.array(distances(free, inner, errors_at(data, free, inner), noise))

    ranges = [searched_range(each) for each in free]
    found = least_squares(
        cost,
        [min(max(start[each.name], least), most) for each, (least, most) in zip(free, ranges, strict=True)],
        bounds=tuple(zip(*ranges, strict=True)),
        loss=lambda squares: softened(squares, len(data.points)),
        x_scale=[prior_spread(each) for each in free],
        max_nfev=LONGEST_SEARCH,
        ftol=CLOSE_ENOUGH,
        xtol=CLOSE_ENOUGH,
    )
    covariance = np.linalg.pinv(found.jac.T @ found.jac)
    deviations = tuple(math.sqrt(max(float(each), 0.0)) for each in np.diag(covariance))
    inner = tuple(float(each) for each in found.x)
    return Solution(inner, deviations, tuple(errors_at(data, free, inner)), float(found.cost))


def scatter_of(residuals: Sequence[float], n_free: int) -> float:
    """How far points lie from their fit, whatever a few of them do."""
    middle = statistics.median(abs(each) for each in residuals)
    lost = math.sqrt(len(residuals) / max(1, len(residuals) - n_free))
    return max(MEDIAN_TO_DEVIATION * middle * lost, setting("least_noise"))


def result(each: Parameter, free: Sequence[Parameter], found: Solution) -> Estimated:
    """A constant with its standard error and the range that follows from it; as it was where it is not free."""
    if each not in free:
        return Estimated(each, each.before, 0.0, each.low, each.high, identified=False)
    place = free.index(each)
    inner, spread = found.inner[place], found.spreads[place]
    value = each.outer(inner)
    ends = (each.outer(inner - TENTH * spread), each.outer(inner + TENTH * spread))
    standard_error = value * spread if each.in_log else spread
    n_spreads = abs(inner - each.inner(each.before)) / prior_spread(each)
    return Estimated(
        each, value, standard_error, min(ends[0], value), max(ends[1], value), identified=True, n_spreads=n_spreads
    )


def folds(
    data: Data, free: Sequence[Parameter], found: Solution, configurations: Sequence[Hashable], noise: float
) -> list[float]:
    """ln(modelled / measured) of every point from a fit without its configuration; nothing for too few of them."""
    names = list(dict.fromkeys(configurations))
    if not free or len(names) < setting("least_left_out"):
        return []
    n_folds = min(len(names), int(setting("folds")))
    fold_of = {name: place % n_folds for place, name in enumerate(names)}
    errors = [0.0] * len(data.points)
    for fold in range(n_folds):
        inside = [fold_of[configurations[point.place]] == fold for point in data.points]
        kept = tuple(point for point, out in zip(data.points, inside, strict=True) if not out)
        values = values_at(data, free, solve(data._replace(points=kept), free, noise, found.at(free)).inner)
        for point, out in zip(data.points, inside, strict=True):
            if out:
                errors[point.place] = error_of(data, values, point)
    return errors


def half_width(left_out: Sequence[float], residuals: Sequence[float], n_free: int) -> float:
    """Half width of the 80 % interval of ln(time): Student's t on the scatter, out of fold where that is known."""
    from scipy.special import stdtrit

    errors, lost = (left_out, 1) if left_out else (residuals, n_free)
    freedom = max(1, len(errors) - lost)
    deviation = math.sqrt(sum(each * each for each in errors) / freedom)
    return max(float(stdtrit(freedom, 0.9)) * deviation, setting("least_noise"))


def nothing_identified(kind: str, parameters: Sequence[Parameter], n: int) -> NoAnswer:
    """The refusal of points that say less than the catalogue knows."""
    names = ", ".join(each.name for each in parameters)
    return NoAnswer(
        f"too little data: {n} different points of kind {kind} narrow none of {names}",
        hint="measure more sizes, shapes or plans that differ in what limits them",
        numbers={"n": n, "n_constants": len(parameters)},
    )
