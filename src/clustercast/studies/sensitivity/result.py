"""What a study of sensitivity found."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from clustercast.display import Notebook

SCHEMA: Final = "clustercast.sensitivity/1"
TORNADO: Final = "tornado"
MORRIS: Final = "morris"
SOBOL: Final = "sobol"
METHODS: Final = (TORNADO, MORRIS, SOBOL)
LOG_UNIFORM: Final = "log-uniform"
UNIFORM: Final = "uniform"


@dataclass(frozen=True, slots=True)
class Varied:
    """One parameter with its range, in base units."""

    name: str
    title: str
    group: str
    value: float
    low: float
    high: float
    unit: str
    distribution: str  # either side of the median
    median: float
    kind: str  # of the evidence for it; given: the user's own range
    source: str


@dataclass(frozen=True, slots=True)
class Swing:
    """One parameter alone at both ends of its range."""

    parameter: str
    at_low: float
    at_high: float
    fits_low: bool
    fits_high: bool
    swing: float  # the distance between the least and the most of the answer, over its usual value
    replanned: bool  # whether the plan was searched again at the ends
    replanned_low: float | None  # None: not searched, or no plan fits
    replanned_high: float | None
    plan_low: str | None
    plan_high: str | None


@dataclass(frozen=True, slots=True)
class Screened:
    """Elementary effects of one parameter, Morris: the change of the answer for its whole range."""

    parameter: str
    mu: float
    mu_star: float
    mu_star_conf: float  # half width of the 95 % interval
    sigma: float


@dataclass(frozen=True, slots=True)
class Share:
    """Shares of the answer's variance, Sobol: by one parameter alone, and by all that it takes part in."""

    parameter: str
    first: float
    first_conf: float
    total: float
    total_conf: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Share of the variance that two parameters have together only."""

    parameters: tuple[str, str]
    second: float
    second_conf: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The answer over the samples that fit."""

    mean: float
    deviation: float
    p10: float
    median: float
    p90: float


Effect = Swing | Screened | Share


@dataclass(frozen=True, slots=True)
class Answered:
    """One output: its usual value and what moves it, most first."""

    of: str
    title: str
    unit: str
    value: float
    effects: tuple[Effect, ...]
    pairs: tuple[Pair, ...]
    sampled: Spread | None


@dataclass(frozen=True, slots=True)
class Sensitivity(Notebook):
    """The whole study."""

    method: str
    half: str  # training, serving
    chip: str
    chip_name: str
    count: int
    model: str
    model_name: str
    precision: str
    plan: str
    batch: int | None  # serving: sequences on all chips
    seed: int
    n_asked: int | None
    evaluations: int
    infeasible: float  # share of the samples (tornado: of the ends) at which the plan does not fit
    parameters: tuple[Varied, ...]
    held: tuple[str, ...]  # parameters that a screening found to move least, and that were held for that
    outputs: tuple[Answered, ...]
    warnings: tuple[str, ...]
    wall_s: float

    def output(self, of: str) -> Answered:
        """One output by name."""
        return next(each for each in self.outputs if each.of == of)

    def parameter(self, name: str) -> Varied:
        """One parameter by name."""
        return next(each for each in self.parameters if each.name == name)

    def as_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {"schema": SCHEMA} | asdict(self)
