"""What a sweep did, and how far it is while it runs."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from clustercast.display import Notebook

SCHEMA: Final = "clustercast.sweep/1"

RUN: Final = "run"
PLANNED: Final = "planned"
VERIFIED: Final = "verified"

THREADS: Final = "threads"
DASK: Final = "dask"
ENGINES: Final = (THREADS, DASK)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sweep is. Rates and times count what this command did, not what lay in the folder before."""

    points: int  # of the whole study
    parts: int
    points_done: int  # with those that lay in the folder before
    parts_done: int
    points_before: int
    parts_before: int
    kept: int  # rows written by this command
    wall_s: float
    checking: bool = False  # parts that are there are still being read

    @property
    def points_per_s(self) -> float | None:
        """Points considered per second by this command."""
        done = self.points_done - self.points_before
        return done / self.wall_s if done > 0 and self.wall_s > 0.0 else None

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest takes at this rate."""
        rate = self.points_per_s
        return None if rate is None else (self.points - self.points_done) / rate


@dataclass(frozen=True, slots=True)
class Damage:
    """A part, or another file, that is not as it was written."""

    part: int | None
    why: str


@dataclass(frozen=True, slots=True)
class SweepResult(Notebook):
    """What `clustercast.sweep` did with a study and its folder."""

    action: str  # run, planned, verified
    title: str
    about: str
    study: str  # the file
    out: str  # the folder
    points: int
    part_size: int
    parts: int
    parts_done: int
    parts_before: int  # there before this command
    complete: bool
    counts: dict[str, int]  # of all parts done: considered, outside, illegal, too_large, kept
    bytes: int  # of all parts done
    engine: str | None  # None: nothing was evaluated
    workers: int | None  # threads or processes
    points_per_s: float | None  # of this command, on all workers together
    wall_s: float
    left_s: float | None = None  # planned: how long the rest takes, about
    passing: int | None = None  # planned: points that meet the conditions
    passing_exact: bool | None = None  # whether all points were tried for that, or some that are spread out

    def as_dict(self) -> dict[str, Any]:
        """The document of --json."""
        return {"schema": SCHEMA, **asdict(self)}
