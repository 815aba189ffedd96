"""A few constants, fitted to a user's points, that start from the catalogue and move only as far as the points say.

Residuals are ln(modelled / measured) over their scatter, under a soft absolute loss. The catalogue's value and range
of every constant is a normal prior, and a band around that range is never left. A constant that the points do not
narrow stays where the catalogue has it, and so does the least needed one while there are more constants than points
allow. What is slower by the same factor whatever limits it is one number, the pace, that all constants follow.
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
FAR: Final = 6.0  # prior spreads from the prior, as far as a search may look for a number between two bounds
AT_THE_END: Final = 0.02  # of a searched range: so near to its end a value presses against it
PACE: Final = "pace"
LONGEST_SEARCH: Final = 60  # steps of one search
CLOSE_ENOUGH: Final = 1e-5  # relative change at which a search ends
LOOKED_AT: Final = (-5.0, -2.0, 2.0, 5.0)  # prior spreads from the prior
SLOPE_STEP: Final = 0.3  # prior spreads
NO_TIME_S: Final = 1e-30  # stands for a time of 0, which has no logarithm
NOISE_SETTLED: Final = 0.1  # of ln(scatter)
SETTLINGS: Final = 4  # times that the scatter is taken from what it weighed

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
    band: float = 1e3  # times beyond its range that it may go, as searched by its logarithm
    widening: float = 2.0  # of the range, to the 80 % range of the prior
    exponent: float = 0.0  # the pace moves it by pace ** exponent
    own: bool = True  # may move by itself

    @property
    def in_log(self) -> bool:
        """Whether it is searched as a logarithm: what has no lower bound but 0 and is not 0 itself."""
        return self.before > 0.0 and self.low > 0.0 and self.least == 0.0

    @property
    def follows(self) -> bool:
        """Whether the pace moves it."""
        return self.exponent != 0.0 and self.before > 0.0

    def paced(self, value: float, pace: float) -> float:
        """Its own value as the pace moves it, never outside what it can be."""
        return min(max(value * pace**self.exponent, self.least), self.most) if self.follows else value

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
    identified: bool  # by itself, or moved by the pace
    alone: bool = False  # by itself
    pressing: bool = False  # against the end of what is plausible
    far: bool = False  # outside what published machines reach


class Fit(NamedTuple):
    """All constants, and the relative errors of the points: modelled over measured, less one."""

    constants: tuple[Estimated, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    left_out: tuple[float, ...]  # of points that the fit did not see; empty for too few points
    half_width: float | None  # 80 % of ln(modelled / measured) of points not seen lies within it; None: too few points
    n_free: int  # numbers that were fitted
    pace: Estimated | None  # that all constants follow, where the points show one


def setting(name: str) -> float:
    """One number of the section `calibration` of defaults.yaml."""
    return constants.default("calibration", name).value


def settings(name: str) -> dict[str, Any]:
    """One table of the section `calibration` of defaults.yaml."""
    found: dict[str, Any] = constants.table("defaults")["calibration"][name]
    return found


def parameter(name: str, found: Constant, unit: str, kind: str = "") -> Parameter:
    """A constant of the catalogue as one to fit to a kind of measurements."""
    least, most = overlay.bounds(name)
    of_host = name in constants.table("defaults")["calibration"]["host"]
    return Parameter(
        name,
        unit,
        found.value,
        found.low,
        found.high,
        least,
        most,
        float(settings("band").get(kind, settings("band")["usual"])),
        setting("host_prior_widening" if of_host else "prior_widening"),
    )


def with_pace(kind: str, parameters: Sequence[Parameter], known: Mapping[str, Constant]) -> tuple[Parameter, ...]:
    """The parameters of a kind, each as it follows the pace, with the constants that only follow, and the pace."""
    exponents: dict[str, float] = settings("pace")[kind]
    followed = [each._replace(exponent=float(exponents.get(each.name, 0.0))) for each in parameters]
    there = {each.name for each in parameters}
    for name in exponents:
        if name not in there and known[name].value > 0.0:
            only = parameter(name, known[name], "s" if name.endswith("_s") else "1", kind)
            followed.append(only._replace(exponent=float(exponents[name]), own=False))
    pace = parameter(PACE, constants.constant(settings("pace")["prior"], PACE, {}), "1", kind)
    return (pace, *followed)


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
    return max(each.widening * width / (2.0 * TENTH), least)


def needs_scipy() -> None:
    """Raise for an environment without scipy, which does the fitting."""
    try:
        import scipy.optimize  # noqa: F401 (only asked whether it is there)
    except ImportError:
        raise WrongInput(
            "scipy is not installed, and calibrate fits with it", hint="pip install 'clustercast[fit]'"
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
    before = [predict(values_at(data, (), ()), i) for i in range(len(every))]
    left_out = folds(data, free, found, configurations, noise)
    median = statistics.median(abs(math.expm1(each)) for each in left_out or found.residuals)
    if free and median > setting("most_median_error"):
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
        constants=tuple(result(each, free, found) for each in parameters if each.name != PACE),
        before=tuple(each / seconds - 1.0 for each, seconds in zip(before, measured_s, strict=True)),
        after=tuple(math.expm1(each) for each in found.residuals),
        left_out=tuple(math.expm1(each) for each in left_out),
        half_width=half_width(left_out, distinct - len(free)) if left_out else None,
        n_free=len(free),
        pace=next((result(each, free, found) for each in free if each.name == PACE), None),
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
    covariance: tuple[tuple[float, ...], ...]
    residuals: tuple[float, ...]
    cost: float  # of the points and of the distance from the prior

    @property
    def spreads(self) -> tuple[float, ...]:
        """Standard errors of the searched values."""
        return tuple(math.sqrt(max(row[place], 0.0)) for place, row in enumerate(self.covariance))

    def at(self, free: Sequence[Parameter]) -> dict[str, float]:
        """The searched values by name, for another search to start from."""
        return {each.name: inner for each, inner in zip(free, self.inner, strict=True)}


def doubt(each: Parameter, spread: float) -> float:
    """How little is known of a constant after a fit: 1 and above is too little to move it."""
    against_prior = spread / prior_spread(each) / setting("identified_below")
    return max(against_prior, spread / setting("most_spread")) if each.in_log else against_prior


def chosen(data: Data, most: int, noise: float) -> tuple[list[Parameter], dict[str, float]]:
    """The constants that the points identify, at most so many, and about where they lie.

    Where there is a pace, the points may be explained with it or without: with it, unless without is far more likely.
    """
    movable = [each for each in data.parameters if each.own and prior_spread(each) > 0.0]
    single = [each for each in movable if each.name != PACE]
    with_it = selected(data, movable, most, noise)
    if len(single) == len(movable):
        return with_it
    both = [with_it, selected(data, single, most, noise)]
    scatter = noise
    for _ in range(SETTLINGS):
        scatter = min(scatter_of(solve(data, free, scatter, start).residuals, len(free)) for free, start in both)
    costs = [cost_of(data, free, scatter, start) for free, start in both]
    return both[0] if costs[0] < costs[1] + setting("pace_margin") else both[1]


def cost_of(data: Data, free: Sequence[Parameter], noise: float, start: Values) -> float:
    """How unlikely the points and the constants are together, at best."""
    found = solve(data, free, noise, start)
    far = distances(free, found.inner, (), noise)
    return sum(math.hypot(1.0, each / noise) - 1.0 for each in found.residuals) + sum(0.5 * each * each for each in far)


def selected(data: Data, free: list[Parameter], most: int, noise: float) -> tuple[list[Parameter], dict[str, float]]:
    """The constants of some that the points identify, at most so many, and about where they lie.

    What the fit misses least goes first, then what is least known; at the end each one that went may come back.
    """
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
    values |= {each.name: each.outer(float(x)) for each, x in zip(free, inner, strict=True)}
    pace = values.pop(PACE, 1.0)
    if pace != 1.0:
        values = {each.name: each.paced(values[each.name], pace) for each in data.parameters if each.name != PACE}
    return values


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
    """Where a constant is searched: what it can be, and no further from the catalogue than is plausible."""
    centre, spread = each.inner(each.before), prior_spread(each)
    if each.in_log:
        low, high = usual_range(each)
        return math.log(low / each.band), min(math.log(high * each.band), math.log(each.most))
    return max(centre - FAR * spread, each.least), min(centre + FAR * spread, each.most)


def usual_range(each: Parameter) -> tuple[float, float]:
    """What published machines reach: the catalogue's range, and some way around a value that it gives without one."""
    around = math.exp(TENTH * setting("least_prior_spread"))
    return min(each.low, each.before / around), max(each.high, each.before * around)


def is_far(each: Parameter, value: float) -> bool:
    """Whether a value lies where no published machine does."""
    if not each.in_log:
        return abs(value - each.before) > setting("far_from_prior") * prior_spread(each)
    low, high = usual_range(each)
    return not low / setting("far_from_range") <= value <= high * setting("far_from_range")


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
    inner = tuple(float(each) for each in found.x)
    rows = tuple(tuple(float(each) for each in row) for row in covariance)
    return Solution(inner, rows, tuple(errors_at(data, free, inner)), float(found.cost))


def scatter_of(residuals: Sequence[float], n_free: int) -> float:
    """How far points lie from their fit, whatever a few of them do."""
    middle = statistics.median(abs(each) for each in residuals)
    lost = math.sqrt(len(residuals) / max(1, len(residuals) - n_free))
    return max(MEDIAN_TO_DEVIATION * middle * lost, setting("least_noise"))


def result(each: Parameter, free: Sequence[Parameter], found: Solution) -> Estimated:
    """A constant with its standard error and the range that follows from it; as it was where it is not free."""
    at_pace = next((place for place, one in enumerate(free) if one.name == PACE), None)
    follows = at_pace is not None and each.follows
    if each not in free and not follows:
        return Estimated(each, each.before, 0.0, each.low, each.high, identified=False)
    moves = {free.index(each): 1.0} if each in free else {}
    inner = found.inner[free.index(each)] if each in free else each.inner(each.before)
    pressing = each in free and presses(each, inner)
    if at_pace is not None and follows:
        moves[at_pace] = each.exponent
        inner += each.exponent * found.inner[at_pace]
    variance = sum(a * b * found.covariance[i][j] for i, a in moves.items() for j, b in moves.items())
    spread = math.sqrt(max(variance, 0.0))
    value = each.outer(inner)
    ends = (each.outer(inner - TENTH * spread), each.outer(inner + TENTH * spread))
    return Estimated(
        each,
        value,
        value * spread if each.in_log else spread,
        min(ends[0], value),
        max(ends[1], value),
        identified=True,
        alone=each in free,
        pressing=pressing,
        far=is_far(each, value),
    )


def presses(each: Parameter, inner: float) -> bool:
    """Whether a searched value lies at the end of what is plausible and not of what can be."""
    least, most = searched_range(each)
    close = AT_THE_END * (most - least)
    return each.in_log and (inner - least < close or (most - inner < close and each.outer(most) < each.most))


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


def half_width(left_out: Sequence[float], freedom: int) -> float:
    """Half width of the 80 % interval of ln(time): Student's t on the scatter of points that the fit did not see.

    freedom  configurations less fitted numbers: few of them say little of the scatter, and the interval is wider
    """
    from scipy.special import stdtrit

    deviation = math.sqrt(sum(each * each for each in left_out) / max(1, len(left_out) - 1))
    return max(float(stdtrit(max(1, freedom), 0.9)) * deviation, setting("least_half_width"))


def nothing_identified(kind: str, parameters: Sequence[Parameter], n: int) -> NoAnswer:
    """The refusal of points that say less than the catalogue knows."""
    names = ", ".join(each.name for each in parameters)
    return NoAnswer(
        f"too little data: {n} different points of kind {kind} narrow none of {names}",
        hint="measure more sizes, shapes or plans that differ in what limits them",
        numbers={"n": n, "n_constants": len(parameters)},
    )
