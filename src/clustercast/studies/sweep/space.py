"""The points of a study: the product of its axes, each point known by its index alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np

# Kinds of axes.
NAME: Final = "name"  # text
WHOLE: Final = "whole"  # whole numbers; tokens are whole too, but floats
PLAN: Final = "plan"  # codes of a plan's dimension
NUMBER: Final = "number"  # floats in base units, or multiples of the usual one

TRAINING: Final = "training"
SERVING: Final = "serving"

LEGAL: Final = "legal"  # keep points whose plan keeps the rules, also where it does not fit the memory
FITTING: Final = "fitting"
ALL: Final = "all"
KEEP: Final = (LEGAL, FITTING, ALL)

SOBOL: Final = "sobol"
LATIN: Final = "latin-hypercube"
METHODS: Final = (SOBOL, LATIN)

MOST_POINTS: Final = 10**13
KEPT_SAMPLES: Final = 2**20  # as many are drawn at once and kept, 8 MB per number; of more, each block alone
MOST_SAMPLES: Final = {SOBOL: 2**24, LATIN: KEPT_SAMPLES}  # a latin hypercube is only whole; 2**24 pass in 0.1 s

# Points of a part. Each is a second of work or less and one Parquet file: of plans that are given, 262,144 take tenths
# of a second and some MB; where every point searches its own plan a part of a thousand takes as long, and serving
# tries many batches for each layout.
PART_GIVEN: Final = 262_144
PART_SEARCHED: Final = 1_024
PART_SERVING_SEARCHED: Final = 128
MOST_PART: Final = 2**22

COUNT_ALL_TO: Final = 10**7  # points that are all tried when the passing ones are counted
COUNT_SPREAD: Final = 10**5  # of more, as many as these are tried


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the product."""

    name: str
    kind: str  # NAME, WHOLE, PLAN, NUMBER
    values: tuple[Any, ...]  # text, ints (tokens: floats), codes, floats
    relative: bool = False  # NUMBER: the values are multiples of the usual one
    dimension: str = ""  # NUMBER: as `clustercast.units` calls it


@dataclass(frozen=True, slots=True)
class Range:
    """The ends between which a number is drawn."""

    name: str
    low: float  # base units, or a multiple of the usual one
    high: float
    log: bool = False
    relative: bool = False
    dimension: str = ""


@dataclass(frozen=True, slots=True)
class Samples:
    """Numbers drawn together: one more axis, the fastest."""

    method: str  # of METHODS
    n: int
    seed: int
    axes: tuple[Range, ...]


class Passing(NamedTuple):
    """How many points meet the conditions."""

    n: int
    exact: bool  # False: estimated from points spread over the study


@dataclass(frozen=True, slots=True)
class Space:
    """A study as the engine reads it: every name resolved, every value in base units."""

    title: str
    about: str  # TRAINING, SERVING
    axes: tuple[Axis, ...]  # the first varies slowest
    samples: Samples | None
    fixed: dict[str, Any]  # as an axis of that name would hold it
    relative_fixed: frozenset[str]  # whose value is a multiple of the usual one
    conditions: tuple[str, ...]  # SQL expressions on names of axes, samples and what is fixed, all to hold
    optimise: bool  # what axes and `fixed` leave open of the plan is searched in each point
    outputs: tuple[str, ...]
    keep: str  # of KEEP
    part_size: int
    text: str  # the file as it was written
    _kept: dict[str, Any] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )  # samples, compiled conditions

    @property
    def n_points(self) -> int:
        """Points of the whole product, those outside the conditions too."""
        return prod(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has; the samples come last."""
        lengths = tuple(len(each.values) for each in self.axes)
        return lengths if self.samples is None else (*lengths, self.samples.n)

    @property
    def n_parts(self) -> int:
        """Parts that the points are cut into."""
        return -(-self.n_points // self.part_size)

    def part(self, number: int) -> tuple[int, int]:
        """First point of a part and the first one after it."""
        first = number * self.part_size
        return first, min(first + self.part_size, self.n_points)

    def indices(self, first: int, last: int) -> "np.ndarray":
        """Which value of each axis the points from `first` up to `last` have: int64 [last - first, axes].

        The first axis varies slowest; where there are samples, their index is the last column.
        """
        import numpy as np

        return self.indices_of(np.arange(first, last, dtype=np.int64))

    def indices_of(self, points: "np.ndarray") -> "np.ndarray":
        """The same of any points [n], int64."""
        import numpy as np

        shape = self.shape
        out: np.ndarray = np.empty((len(points), len(shape)), np.int64, order="F")
        rest = points
        for column in range(len(shape) - 1, 0, -1):
            above = rest // shape[column]
            out[:, column] = rest - above * shape[column]
            rest = above
        out[:, 0] = rest
        return out

    def sampled(self, first_sample: int, last_sample: int) -> "np.ndarray":
        """The numbers drawn for a range of samples: float64 [n, sampled axes], base units or multiples."""
        import numpy as np

        if self.samples is None:
            return np.empty((last_sample - first_sample, 0))
        if self.samples.n > KEPT_SAMPLES:
            return drawn(self.samples, first_sample, last_sample)
        if "samples" not in self._kept:
            self._kept["samples"] = drawn(self.samples, 0, self.samples.n)
        found: np.ndarray = self._kept["samples"]
        return found[first_sample:last_sample]

    def passes(self, first: int, last: int) -> "np.ndarray":
        """Which of the points from `first` up to `last` meet all conditions: bool [last - first]."""
        import numpy as np

        return self.passes_of(np.arange(first, last, dtype=np.int64))

    def passes_of(self, points: "np.ndarray") -> "np.ndarray":
        """The same of any points [n], int64."""
        import numpy as np

        from clustercast.studies.sweep import conditions

        if not self.conditions:
            return np.ones(len(points), bool)
        return conditions.mask(self, self.indices_of(points))

    def count_passing(self) -> Passing:
        """How many points meet the conditions: all are tried where there are few, else some that are spread out."""
        import numpy as np

        n = self.n_points
        if not self.conditions:
            return Passing(n, True)
        if n <= COUNT_ALL_TO:
            return Passing(sum(int(self.passes(*self.part(each)).sum()) for each in range(self.n_parts)), True)
        points = np.random.default_rng(0).integers(0, n, COUNT_SPREAD)
        return Passing(round(n * float(self.passes_of(points).mean())), False)


def drawn(samples: Samples, first: int, last: int) -> "np.ndarray":
    """A block of the samples: float64 [last - first, axes].

    The same seed draws the same numbers, bit for bit, whatever the block and the machine.
    """
    import numpy as np
    from scipy.stats import qmc

    if samples.method == SOBOL:
        sobol = qmc.Sobol(len(samples.axes), scramble=True, rng=samples.seed)
        if first:
            sobol.fast_forward(first)
        cube = sobol.random(last - first)
    else:
        cube = qmc.LatinHypercube(len(samples.axes), scramble=True, rng=samples.seed).random(samples.n)[first:last]
    columns = [between(each.low, each.high, cube[:, i], log=each.log) for i, each in enumerate(samples.axes)]
    return np.stack(columns, axis=1)


def between(low: float, high: float, shares: "np.ndarray | Sequence[float]", *, log: bool) -> "np.ndarray":
    """Where shares of 0 to 1 lie between two ends, evenly or in the logarithm.

    The logarithm is cut by square roots, bit by bit of the share: these are exact to the last bit on every processor,
    which powers and logarithms are not.

    >>> between(1.0, 16.0, [0.0, 0.25, 1.0], log=True).tolist(), between(1.0, 16.0, [0.5], log=False).tolist()
    ([1.0, 2.0, 16.0], [8.5])
    """
    import numpy as np

    share: np.ndarray = np.asarray(shares, float)
    if not log:
        even: np.ndarray = np.clip(low + (high - low) * share, low, high)
        return even
    found = np.where(share >= 1.0, high, low)
    left = np.where(share >= 1.0, 0.0, share)
    factor = high / low
    while left.any():
        factor = float(np.sqrt(factor))
        left = 2.0 * left
        taken = left >= 1.0
        found = np.where(taken, found * factor, found)
        left = left - taken
    inside: np.ndarray = np.clip(found, low, high)
    return inside
