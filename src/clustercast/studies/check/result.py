"""What a check holds: measured and expected, where the time should go, and the causes that were tried."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from clustercast.display import Notebook
from clustercast.studies.logs.steady import Steady

NORMAL: Final = "normal"
SLOW: Final = "slow"
FAST: Final = "fast"


@dataclass(frozen=True, slots=True)
class Cause:
    """One change of the model's inputs, and how well the measured number follows from it."""

    name: str  # of check.yaml
    title: str
    of: str  # where it lies: plan, network, links, chip, software, data, measurement
    expected: float  # the figure with it, at the size that explains best
    size: float | None  # of the change, at that size: a factor on a rate, a time or a count
    share: float  # of all weight, causes and "nothing is wrong" together
    shown: tuple[str, ...]  # patterns over the steps that speak for it
    denied: bool  # the log or the launch says otherwise
    source: str  # where the size comes from
    look: str  # what to look at next


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number with what the model expects of it."""

    metric: str  # step_s, ttft_ms, tpot_ms, output_tokens_per_s, bus_bytes_per_s, …
    unit: str
    where: str  # what was measured: the whole run, a size of message, a level of concurrency
    measured: float
    expected: float
    low: float  # of the 80 % interval
    high: float
    verdict: str  # normal, slow, fast
    time_s: dict[str, float]  # seconds that the terms should take
    causes: tuple[Cause, ...] = ()  # the likeliest first; only where the verdict is not normal
    nothing_share: float = 0.0  # of all weight: nothing is wrong, the model is off
    unknown_share: float = 0.0  # of all weight: a cause that was not tried
    n_tried: int = 0
    bound: float | None = None  # what no machine of that datasheet can beat
    beyond_bound: bool = False
    evidence: str = ""

    @property
    def places(self) -> dict[str, float]:
        """Where the causes lie with their shares together, the likeliest first."""
        shares: dict[str, float] = {}
        for cause in self.causes:
            shares[cause.of] = shares.get(cause.of, 0.0) + cause.share
        return dict(sorted(shares.items(), key=lambda pair: -pair[1]))

    @property
    def ratio(self) -> float:
        """Measured over expected."""
        return self.measured / self.expected


@dataclass(frozen=True, slots=True)
class Printed:
    """A rate of FLOPs that the tool itself printed, and which way of counting gives it."""

    what: str  # tflop_per_s or mfu
    printed: float
    ours: float  # the same from the measured time, by our count
    convention: str  # of check.yaml; empty where none gives it
    title: str
    peak_flop_per_s: float | None = None  # that a printed MFU implies


@dataclass(frozen=True, slots=True)
class Check(Notebook):
    """The whole answer."""

    kind: str  # training, collectives, serving
    file: str
    tool: str
    chip: str
    model: str | None
    count: int
    plan: str
    figures: tuple[Figure, ...]
    setup: dict[str, str]
    steps: Steady | None = None  # of a training log
    printed: tuple[Printed, ...] = ()
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rows: tuple[dict[str, str], ...] = field(default=())  # in the form that validate and calibrate take
    calibration: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Of all figures: the one that is furthest out, in its own direction."""
        from math import log

        outside = [each for each in self.figures if each.verdict != NORMAL]
        if not outside:
            return NORMAL
        return max(outside, key=lambda each: abs(log(each.ratio))).verdict

    @property
    def likeliest(self) -> Cause | None:
        """The cause that explains the figure furthest out best; None where nothing is to be explained."""
        from math import log

        outside = [each for each in self.figures if each.causes]
        if not outside:
            return None
        return max(outside, key=lambda each: abs(log(each.ratio))).causes[0]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `check --json`."""
        document = {"schema": "clustercast.check/1", "verdict": self.verdict} | asdict(self)
        if self.steps is not None:
            document["steps"]["spread"] = self.steps.spread
        for each, figure in zip(document["figures"], self.figures, strict=True):
            each["ratio"], each["places"] = figure.ratio, figure.places
        return document
