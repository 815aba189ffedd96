"""How far a long answer is: one line on standard error that goes again, for a terminal alone."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from clustercast import progress

QUIET_S: Final = 1.0  # what is done sooner needs no word on the way
EVERY_S: Final = 0.1
BAR: Final = 20
CLEAR: Final = "\r\x1b[K"


class Shown:
    """The line, once the command has taken longer than a second."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._start_s = time.monotonic()
        self._begun_s: dict[str, float] = {}  # of each loop
        self._last_s = 0.0
        self._there = False

    def __call__(self, what: str, done: int, of: int) -> None:
        """Show how many are done of how many, if it is time."""
        now_s = time.monotonic()
        if done == 0:
            self._begun_s[what] = now_s
        if done == of:
            self.clear()
        if done == of or now_s - self._start_s < QUIET_S or now_s - self._last_s < EVERY_S:
            return
        self._last_s, self._there = now_s, True
        self._stream.write(CLEAR + line(what, done, of, now_s - self._begun_s.get(what, now_s)))
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        if self._there:
            self._there = False
            self._stream.write(CLEAR)
            self._stream.flush()


_shown: list[Shown] = []  # the one that shows, if any


def line(what: str, done: int, of: int, taken_s: float) -> str:
    """How far it is, its rate and the time left.

    >>> line("chips", 5, 20, 2.5)
    'chips #####............... 5 of 20, 2/s, 7.5 s left'
    """
    from clustercast import units
    from clustercast.report.layout import short

    full = BAR * done // max(of, 1)
    said = f"{what} {'#' * full}{'.' * (BAR - full)} {done:,} of {of:,}"
    if not done or taken_s <= 0.0:
        return said
    rate = done / taken_s
    return f"{said}, {short(rate, 2)}/s, {units.seconds((of - done) / rate)} left"


@contextmanager
def shown(stream: TextIO | None = None) -> Iterator[None]:
    """Show the progress of what is asked in the block, if standard error is a terminal."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield
        return
    one = Shown(stream)
    _shown.append(one)
    try:
        with progress.listening(one):
            yield
    finally:
        one.clear()
        _shown.remove(one)


def clear() -> None:
    """Make room for an answer."""
    for one in _shown:
        one.clear()
