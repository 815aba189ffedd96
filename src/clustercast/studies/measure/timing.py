"""How a time is taken: warm up, write over the cache, time, several times; the median counts.

A run that is too short for a timer is timed together with others of its kind; then the cache is written over before the
first of them only.
"""

import math
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from clustercast.catalog import constants
from clustercast.studies.measure.device import Device, Group, Run


class Taken(NamedTuple):
    """One time."""

    seconds: float  # the median, of one run
    low_s: float  # of the samples
    high_s: float
    n: int  # samples
    together: int  # runs in each sample


class Budget:
    """What is left of the time that the user gave."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.ends_s = clock() + seconds

    def left_s(self) -> float:
        """Seconds that are left, never below 0."""
        return max(0.0, self.ends_s - self.clock())


def setting(name: str) -> float:
    """A number of measure.yaml, in seconds where its name says so."""
    data = constants.table("measure")
    return constants.constant(data["timing"][name], name, data["sources"]).value


def taken(device: Device, run: Run, repeats: int) -> Taken | None:
    """The time of one run on a device; None for one that takes too long."""
    return _taken(device.seconds, run, repeats, device.flush)


def taken_together(group: Group, run: Run, repeats: int) -> Taken | None:
    """The time of one collective: every rank takes part, the slowest counts, and all do the same number of runs."""
    return _taken(group.seconds, run, repeats, None)


def _taken(
    seconds: Callable[[Run, int], float], run: Run, repeats: int, flush: Callable[[], None] | None
) -> Taken | None:
    first = seconds(run, 1)
    if not math.isfinite(first) or first * repeats > setting("longest_s"):
        return None
    for _ in range(int(setting("warm_up_runs"))):
        seconds(run, 1)
    once = max(seconds(run, 1), 1e-9)
    together = max(1, min(int(setting("most_together")), math.ceil(setting("least_s") / once)))
    samples = []
    for _ in range(repeats):
        if flush is not None:
            flush()
        samples.append(seconds(run, together) / together)
    middle = statistics.median(samples)
    if not math.isfinite(middle) or middle <= 0.0:
        return None
    return Taken(middle, min(samples), max(samples), repeats, together)
