"""What was measured, as the file holds it."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from clustercast.display import Notebook

SCHEMA: Final = "clustercast.measure/1"


@dataclass(frozen=True, slots=True)
class Point:
    """One operation with its time, the median of the samples."""

    kind: str  # matmul, attention_forward, attention_both, memory, all_reduce, …
    shape: dict[str, int]  # m, n, k; batch, heads, …; bytes
    number_format: str
    seconds: float
    low_s: float
    high_s: float
    n: int  # samples
    flop: float = 0.0
    moved_bytes: float = 0.0  # of memory, or of the whole vector of a collective

    @property
    def flop_per_s(self) -> float:
        """FLOPs of the operation over its time."""
        return self.flop / self.seconds

    @property
    def bytes_per_s(self) -> float:
        """Bytes over the time."""
        return self.moved_bytes / self.seconds


@dataclass(frozen=True, slots=True)
class Measurement(Notebook):
    """All points of one run."""

    device: str
    backend: str
    hosts: tuple[str, ...]  # of every rank, as numbers of their own: names of machines stay where they are
    points: tuple[Point, ...]
    left_out: tuple[str, ...]  # what was not run, and why
    quick: bool
    date: str
    clustercast: str
    output: str = ""

    def of(self, kind: str) -> list[Point]:
        """The points of one kind."""
        return [each for each in self.points if each.kind == kind]

    def as_dict(self) -> dict[str, Any]:
        """The document of the file, and of `measure --json`."""
        return {"schema": SCHEMA} | asdict(self)
