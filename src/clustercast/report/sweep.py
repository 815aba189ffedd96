"""A sweep while it runs, on standard error, and what it did."""

import shlex
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, TextIO

from clustercast import units
from clustercast.errors import NoAnswer, WrongInput
from clustercast.report import terminal
from clustercast.report.layout import Block, Line, Table, percent, short, wrap
from clustercast.report.text import counted
from clustercast.studies.sweep.result import PLANNED, VERIFIED, Progress, SweepResult

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

QUIET_S: Final = 1.0  # what is done sooner needs no word on the way
LINE_S: Final = 30.0  # between two lines where there is no terminal

# Questions of `query` that a sweep is drawn by, the first that its points answer.
DRAWN: Final = ("best", "break-even", "pareto", "spread", "plan-changes")

# Counts in the order in which a point can drop out.
LABELS: Final = {
    "outside": "outside the conditions",
    "unsupported": "not supported",
    "illegal": "plans that break a rule",
    "too_large": "plans that do not fit",
    "kept": "kept",
}


def sweep(found: SweepResult) -> list[Block]:
    """The answer in lines of at most 80 characters."""
    blocks: list[Block] = [*wrap(headline(found), style="bold"), ""]
    rows = [(label(name, found.counts), f"{n:,}", percent(n / considered)) for name, n, considered in _counts(found)]
    if rows:
        blocks += [Table(("points", "", ""), rows, frozenset({1, 2})), ""]
    if found.action == PLANNED:
        blocks += [*wrap(how_many(found)), *wrap(how_long(found))]
    elif found.action != VERIFIED and found.engine is not None:
        blocks += wrap(how_fast(found))
    if found.out and found.parts_done:
        blocks += wrap(f"{size(found.bytes)} in {counted(found.parts_done, 'part')} in {found.out}")
    if found.action == VERIFIED:
        blocks += wrap("every byte is as it was written")
    return [*blocks, *_next(found)]


def label(name: str, counts: Mapping[str, int]) -> str:
    """A count in words. What is kept may count among the others, too, by `keep` of the study.

    >>> label("kept", {"considered": 5, "too_large": 2, "kept": 5})
    'kept, with those that do not fit'
    """
    twice = sum(counts.values()) - 2 * counts.get("considered", 0)
    if name != "kept" or twice <= 0:
        return LABELS.get(name, name)
    return (
        "kept, with those that do not fit" if twice == counts.get("too_large") else "kept, with those that cannot run"
    )


def headline(found: SweepResult) -> str:
    """What was done, in a line."""
    what = f"{found.title}: " if found.title else ""
    points = f"{counted(found.points, 'point')} in {counted(found.parts, 'part')}"
    if found.action == PLANNED:
        there = f"; {found.parts_done:,} are there" if found.parts_done else ""
        return f"{what}{points}{there}; nothing was written"
    if found.action == VERIFIED:
        return f"{what}{found.parts_done:,} of {counted(found.parts, 'part')} are there and whole"
    if found.engine is None:
        return f"{what}{points}, all there before and checked"
    before = f", of which {found.parts_before:,} were there before" if found.parts_before else ""
    return f"{what}{points}{before}, done"


def how_fast(found: SweepResult) -> str:
    """Rate, time and workers of what this command evaluated."""
    rate = "" if found.points_per_s is None else f" ({units.count(found.points_per_s)} points/s)"
    return f"{units.seconds(found.wall_s)} on {_workers(found)}{rate}"


def how_many(found: SweepResult) -> str:
    """How many points meet the conditions."""
    if found.passing in (None, found.points):
        return "all points meet the conditions"
    about = "" if found.passing_exact else "about "
    return f"{about}{counted(found.passing or 0, 'point')} of them meet the conditions"


def how_long(found: SweepResult) -> str:
    """What a trial says about the rest."""
    rate = units.count(found.points_per_s or 0.0)
    took = units.seconds(found.left_s or 0.0)
    return f"about {took} on {_workers(found)}, at {rate} points/s by a trial of one"


def _workers(found: SweepResult) -> str:
    return counted(found.workers or 1, "thread" if found.engine == "threads" else "worker")


def _counts(found: SweepResult) -> list[tuple[str, int, int]]:
    """Each count that is not nothing with what it is a part of."""
    counts = found.counts
    considered = max(counts.get("considered", 0), 1)
    names = [*(name for name in LABELS if name in counts), *(name for name in counts if name not in LABELS)]
    return [(name, counts[name], considered) for name in names if name != "considered" and counts[name]]


def _next(found: SweepResult) -> list[Block]:
    """The command that most people want now."""
    out = shlex.quote(found.out or "DIR")
    if found.action == PLANNED or not found.complete:
        return ["", Line(f"next: clustercast sweep {shlex.quote(found.study)} --out {out}", "dim")]
    return ["", Line(f'next: clustercast query {out} "SELECT * FROM points LIMIT 10"', "dim")]


def size(n_bytes: int) -> str:
    """Bytes as a file manager shows them.

    >>> size(0), size(812), size(414_000_000)
    ('0 B', '812 B', '414 MB')
    """
    return f"{n_bytes} B" if n_bytes < 1000 else units.si(float(n_bytes), "B")


def save_plot(found: SweepResult, path: str) -> None:
    """Draw the first of DRAWN that the points answer with a picture. Raises WrongInput where none is."""
    from clustercast.report import plot, query_plot
    from clustercast.studies.query import QueryAsked, query

    plot.check(path)
    for question in DRAWN:
        try:
            answer = query(QueryAsked(found.out, question))
            if answer.picture is not None and answer.rows:
                query_plot.save(answer, path)
                return
        except (WrongInput, NoAnswer):
            continue  # it asks for axes or outputs that this study has not
    raise WrongInput(
        "--plot: no ready-made question can be drawn of these points",
        hint=f"ask one with: clustercast query {shlex.quote(found.out)} SQL --plot FILE",
    )


class Shown:
    """Shows how far a sweep is: a bar on a terminal, a line now and then elsewhere, nothing for programs."""

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        self._stream = stream
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._silent = as_json and not stream.isatty()
        self._begun_s: float | None = None  # when it was first told anything
        self._line_s: float | None = None
        self._last: Progress | None = None

    def __enter__(self) -> "Shown":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self._last is not None:
            done = f"{self._last.parts_done:,} of {counted(self._last.parts, 'part')} are done"
            self._say(f"stopped: {done}; the same command goes on after them")

    def __call__(self, now: Progress) -> None:
        """Show it, if it is time."""
        self._last, now_s = now, time.monotonic()
        self._begun_s = now_s if self._begun_s is None else self._begun_s
        nothing_yet = now.points_per_s is None and not now.checking
        if self._silent or nothing_yet or now_s - self._begun_s < QUIET_S:
            return
        if self._line_s is None:
            self._line_s = now_s
            self._say(f"{counted(now.points, 'point')} in {counted(now.parts, 'part')}")
        if self._stream.isatty():
            self._draw(now)
        elif now_s - self._line_s >= LINE_S:
            self._line_s = now_s
            self._say(line(now))

    def _say(self, text: str) -> None:
        terminal.write([text], self._stream)
        self._stream.flush()

    def _draw(self, now: Progress) -> None:
        if self._bar is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                BarColumn(), TextColumn("{task.fields[said]}"), console=Console(file=self._stream), transient=True
            )
            self._task = self._bar.add_task("", total=now.points, said="")
            self._bar.start()
        self._bar.update(self._task, completed=now.points_done, said=line(now))


def line(now: Progress) -> str:
    """How far it is, in a line.

    >>> line(Progress(1000, 10, 500, 5, 0, 0, 400, 2.0))
    '50.0 %, 5 of 10 parts, 400 rows kept, 250 points/s, 2 s left'
    """
    parts = f"{percent(now.points_done / now.points)}, {now.parts_done:,} of {counted(now.parts, 'part')}"
    if now.checking:
        return f"checking what is there: {parts}"
    rate, left_s = now.points_per_s, now.left_s
    said = [parts, f"{units.count(now.kept) if now.kept >= 1e6 else format(now.kept, ',')} rows kept"]
    if rate is not None and left_s is not None:
        said += [f"{units.count(rate) if rate >= 1e3 else short(rate)} points/s", f"{units.seconds(left_s)} left"]
    return ", ".join(said)


def shown(*, as_json: bool) -> Shown:
    """How far a sweep is, on standard error."""
    return Shown(sys.stderr, as_json=as_json)
