"""Designs of samples and what they say: elementary effects (Morris) and shares of variance (Sobol), by SALib."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.sensitivity.result import Pair, Screened, Share, Spread

if TYPE_CHECKING:
    import numpy as np

    Evaluate = Callable[[np.ndarray], np.ndarray]

LEVELS: Final = 4  # of the grid on which Morris steps; an even number
LEAST_TRAJECTORIES: Final = 4
LEAST_BASE: Final = 16
MORRIS_EVALUATIONS: Final = 2_000
SOBOL_EVALUATIONS: Final = 25_000
MOST_EVALUATIONS: Final = 10_000_000
CONFIDENCE: Final = 0.95
RESAMPLES: Final = 100
# SALib takes a seed of 0 for none: every seed is handed on one higher.


def check_guest(method: str) -> None:
    """Refuse a method whose package is not installed. Raises WrongInput."""
    try:
        import SALib  # noqa: F401
    except ImportError:
        raise WrongInput(
            f"--method {method} needs the package SALib", hint="install it with: pip install 'clustercast[sensitivity]'"
        ) from None


def named(n_parameters: int) -> dict[str, Any]:
    """The unit cube as SALib wants it."""
    return {
        "num_vars": n_parameters,
        "names": [f"x{column}" for column in range(n_parameters)],
        "bounds": [[0.0, 1.0]] * n_parameters,
    }


def morris_cube(n_parameters: int, n: int | None, seed: int) -> "np.ndarray":
    """Trajectories through the unit cube, about `n` samples in all."""
    from SALib.sample import morris

    trajectories = max(LEAST_TRAJECTORIES, round((n or MORRIS_EVALUATIONS) / (n_parameters + 1)))
    cube: np.ndarray = morris.sample(named(n_parameters), trajectories, num_levels=LEVELS, seed=seed + 1)
    return cube


def screened(names: Sequence[str], cube: "np.ndarray", answers: "np.ndarray", seed: int) -> tuple[Screened, ...]:
    """Elementary effects of each parameter, largest mean of magnitudes first."""
    from SALib.analyze import morris

    done = morris.analyze(
        named(len(names)),
        cube,
        answers,
        num_resamples=RESAMPLES,
        conf_level=CONFIDENCE,
        num_levels=LEVELS,
        seed=seed + 1,
    )
    found = [
        Screened(name, float(mu), float(star), float(half), float(sigma))
        for name, mu, star, half, sigma in zip(
            names, done["mu"], done["mu_star"], done["mu_star_conf"], done["sigma"], strict=True
        )
    ]
    return tuple(sorted(found, key=lambda each: -each.mu_star))


def sobol_cube(n_parameters: int, n: int | None, seed: int) -> "np.ndarray":
    """Saltelli's samples of the unit cube: the power of two of base samples that makes at least `n` in all."""
    from SALib.sample import sobol

    per_base = 2 * n_parameters + 2
    base = LEAST_BASE
    while base * per_base < (n or SOBOL_EVALUATIONS):
        base *= 2
    cube: np.ndarray = sobol.sample(named(n_parameters), base, calc_second_order=True, seed=seed + 1)
    return cube


def shares(names: Sequence[str], answers: "np.ndarray", seed: int) -> tuple[tuple[Share, ...], tuple[Pair, ...]]:
    """First-order and total indices, largest total first, and second-order ones, largest first."""
    if float(answers.max() - answers.min()) <= 0.0:  # nothing moves it: no variance to share
        return tuple(Share(name, 0.0, 0.0, 0.0, 0.0) for name in names), ()
    from SALib.analyze import sobol

    done = sobol.analyze(
        named(len(names)),
        answers,
        calc_second_order=True,
        num_resamples=RESAMPLES,
        conf_level=CONFIDENCE,
        seed=seed + 1,
    )
    columns = (done["S1"], done["S1_conf"], done["ST"], done["ST_conf"])
    found = [Share(name, *(float(each[i]) for each in columns)) for i, name in enumerate(names)]
    pairs = [
        Pair((names[i], names[j]), float(done["S2"][i, j]), float(done["S2_conf"][i, j]))
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]
    return (
        tuple(sorted(found, key=lambda each: -each.total)),
        tuple(sorted(pairs, key=lambda each: -each.second)),
    )


def spread(answers: "np.ndarray") -> Spread | None:
    """How far the answer lies over samples; nothing without a sample."""
    import numpy as np

    if len(answers) == 0:
        return None
    p10, median, p90 = (float(each) for each in np.quantile(answers, (0.1, 0.5, 0.9)))
    return Spread(float(answers.mean()), float(answers.std()), p10, median, p90)


def check_finite(answers: "np.ndarray", title: str) -> None:
    """Refuse samples without a number. Raises NoAnswer."""
    import numpy as np

    wrong = int(np.count_nonzero(~np.isfinite(answers)))
    if wrong:
        raise NoAnswer(
            f"{title} has no value at {wrong:,} of {len(answers):,} samples",
            hint="narrow the ranges with --param NAME=low..high",
            numbers={"samples": len(answers), "without_value": wrong},
        )


def check_number(n: int | None) -> None:
    """Refuse a number of evaluations out of bounds. Raises WrongInput."""
    if n is not None and not 1 <= n <= MOST_EVALUATIONS:
        raise WrongInput(f"--n: expected a whole number from 1 to {MOST_EVALUATIONS:,}, got {n:,}")


def relative(value: float, usual: float) -> float:
    """A change over the usual answer; nothing over nothing is nothing.

    >>> relative(2.0, 8.0), relative(0.0, 0.0)
    (0.25, 0.0)
    """
    if usual == 0.0:
        return 0.0 if value == 0.0 else math.inf
    return abs(value / usual)
