"""A study file to a folder of parts: what is there is checked, what is missing is evaluated, over threads here.

The engine asks little of the evaluator: `part(first, last)` gives the kept points of a range as a table, and counts.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from clustercast.errors import WrongInput
from clustercast.studies.sweep import store
from clustercast.studies.sweep.result import DASK, ENGINES, PLANNED, RUN, THREADS, VERIFIED, Progress, SweepResult

if TYPE_CHECKING:
    import pyarrow as pa

    from clustercast.studies.sweep.space import Space

PIECES: Final = 8  # that a part is evaluated in: what lies in memory beside its rows, and how soon a stop is heard
WARMED_PLACES: Final = 8  # points all over the study that are tried until one is kept
TICK_S: Final = 0.2  # between two looks at how far it is
TRIAL_S: Final = 0.3  # a trial takes as many points as need this long
TRIAL_POINTS: Final = 16  # that it begins with, in so many places of the study
TRIAL_PLACES: Final = 25
TRIAL_GROWTH: Final = 4
MOST_WORKERS: Final = 10_000

OnProgress = Callable[[Progress], None]


class Evaluated(Protocol):
    """The kept points of a range of points."""

    @property
    def table(self) -> "pa.Table": ...
    @property
    def counts(self) -> Mapping[str, int]: ...


class Evaluates(Protocol):
    """What turns points into rows; from several threads at once."""

    def part(self, first: int, last: int) -> Evaluated: ...


@dataclass(frozen=True, slots=True)
class SweepAsked:
    """The question as the user put it; None is open."""

    study: Path
    out: Path | None
    engine: str = THREADS
    n_threads: int | None = None
    n_workers: int | None = None
    scheduler: str | None = None
    verify: bool = False
    repair: bool = False
    dry_run: bool = False


class _Stopped(Exception):
    """A part was broken off because the sweep ends."""


def sweep(asked: SweepAsked, on_progress: OnProgress = lambda _: None) -> SweepResult:
    """Do what is asked. Raises WrongInput; KeyboardInterrupt after the parts at work have stopped.

    on_progress  told how far it is a few times a second
    """
    from clustercast.catalog import read

    _check(asked)
    content = read.read_bytes(asked.study)
    if asked.verify:
        return _verified(asked, content, on_progress)
    _guests()
    space = space_of(content, asked.study)
    identity = store.identity_of(space, content)
    if asked.dry_run:
        return _planned(asked, space, identity, content)
    return _run(asked, space, identity, content, on_progress)


def space_of(content: bytes, path: Path) -> "Space":
    """The study as the engine reads it. Raises WrongInput."""
    from clustercast.catalog import read
    from clustercast.studies.sweep import file

    return file.study_of(read.text_of(content, path), str(path))


def evaluator_of(space: "Space") -> Evaluates:
    """What evaluates this study's points, compiled: two threads that compile at once would each do it."""
    evaluator = _evaluator(space)
    for place in range(WARMED_PLACES):
        point = place * (space.n_points - 1) // (WARMED_PLACES - 1)
        if evaluator.part(point, point + 1).table.num_rows:
            break
    return evaluator


def _evaluator(space: "Space") -> Evaluates:
    from clustercast.studies.sweep.points import Evaluator

    return Evaluator(space)


def _check(asked: SweepAsked) -> None:
    """Refuse what contradicts itself before anything is read. Raises WrongInput."""
    if asked.engine not in ENGINES:
        raise WrongInput(f"--engine: expected {' or '.join(ENGINES)}, got {asked.engine!r}")
    if asked.out is None and not asked.dry_run:
        raise WrongInput("--out is missing", hint="name the folder that the parts go into")
    for option, n in (("--threads", asked.n_threads), ("--workers", asked.n_workers)):
        if n is not None and not 1 <= n <= MOST_WORKERS:
            raise WrongInput(f"{option}: expected 1 to {MOST_WORKERS:,}, got {n}")
    of_dask = [("--workers", asked.n_workers), ("--scheduler", asked.scheduler)]
    wrong = [option for option, value in of_dask if value is not None and asked.engine != DASK]
    if wrong:
        raise WrongInput(f"{wrong[0]} goes with --engine {DASK}", hint=f"add --engine {DASK}")
    if asked.n_threads is not None and asked.engine != THREADS:
        raise WrongInput(f"--threads goes with --engine {THREADS}", hint="say --workers")
    if asked.n_workers is not None and asked.scheduler is not None:
        raise WrongInput("--workers is for a cluster on this machine", hint="leave it out: the scheduler knows its own")
    if asked.verify and (asked.dry_run or asked.repair):
        raise WrongInput(f"--verify only reads: it does not go with {'--dry-run' if asked.dry_run else '--repair'}")


def _guests() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise WrongInput(
            f"sweep needs the package {error.name}", hint="install it with: pip install 'clustercast[sweep]'"
        ) from None


def n_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


# --- one part -------------------------------------------------------------------------------------------------------


def evaluated(
    evaluator: Evaluates,
    bounds: tuple[int, int],
    piece: int,
    on_piece: Callable[[int, int], None] = lambda _points, _kept: None,
) -> "tuple[pa.Table, dict[str, int]]":
    """The rows of a range of points, evaluated in pieces, and their counts.

    piece  points of a piece; the same for all engines, so that all write the same bytes
    """
    import pyarrow as pa

    first, last = bounds
    tables, counts = [], dict[str, int]()
    for start in range(first, last, piece):
        end = min(start + piece, last)
        found = evaluator.part(start, end)
        tables.append(found.table)
        for name, n in found.counts.items():
            counts[name] = counts.get(name, 0) + n
        on_piece(end - start, found.table.num_rows)
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks(), counts


def make_part(
    evaluator: Evaluates,
    folder: Path,
    run: str,
    part: int,
    bounds: tuple[int, int],
    part_size: int,
    on_piece: Callable[[int, int], None] = lambda _points, _kept: None,
) -> store.Entry:
    """Evaluate one part and write it. Raises WrongInput where it cannot be written."""
    table, counts = evaluated(evaluator, bounds, -(-part_size // PIECES), on_piece)
    return store.write_part(folder, run, part, bounds, table, counts)


# --- the whole run --------------------------------------------------------------------------------------------------


class _Count:
    """How far it is, added up from several threads."""

    def __init__(self, start: Progress, on_progress: OnProgress) -> None:
        self._lock = threading.Lock()
        self._now = start
        self._on_progress = on_progress
        self._begun_s = time.perf_counter()

    def piece(self, points: int, kept: int) -> None:
        """Points evaluated and rows found."""
        with self._lock:
            now = self._now
            self._now = replace(now, points_done=now.points_done + points, kept=now.kept + kept)

    def part(self) -> None:
        """A part is written."""
        with self._lock:
            self._now = replace(self._now, parts_done=self._now.parts_done + 1)

    def tell(self) -> Progress:
        """Say how far it is, in the main thread."""
        now = replace(self._now, wall_s=time.perf_counter() - self._begun_s)
        self._on_progress(now)
        return now


def _run(
    asked: SweepAsked, space: "Space", identity: store.Identity, content: bytes, on_progress: OnProgress
) -> SweepResult:
    assert asked.out is not None  # _check has seen to it
    folder = asked.out
    with store.opened(folder, identity, content):
        entries = _checked(folder, identity, on_progress, repair=asked.repair)
        before = len(entries)
        points_before = sum(each.last - each.first for each in entries.values())
        start = Progress(space.n_points, space.n_parts, points_before, before, points_before, before, 0, 0.0)
        count = _Count(start, on_progress)
        n = _n_workers(asked)
        if before < space.n_parts:
            store.forget_manifest(folder)
            count.tell()
            todo = (part for part in range(space.n_parts) if part not in entries)

            def on_entry(entry: store.Entry) -> None:
                entries[entry.part] = entry
                count.part()

            if asked.engine == DASK:
                from clustercast.studies.sweep import many

                task = many.Task(content.decode(), str(asked.study), str(folder.resolve()), store.run_of(identity))
                n = many.spread(task, todo, asked.n_workers, asked.scheduler, on_entry, count.piece, count.tell)
            else:
                work = _in_thread(evaluator_of(space), space, folder, store.run_of(identity), count)
                _over_threads(work, todo, n, on_entry, count.tell)
        now = count.tell()
        store.forget_left_overs(folder)
        store.write_manifest(folder, identity, entries)
    done = _result(asked, identity, entries, RUN, space.title, space.about)
    evaluated_now = len(entries) > before
    return replace(
        done,
        parts_before=before,
        engine=asked.engine if evaluated_now else None,
        workers=n if evaluated_now else None,
        points_per_s=now.points_per_s,
        wall_s=now.wall_s,
    )


def _checked(
    folder: Path, identity: store.Identity, on_progress: OnProgress, *, repair: bool = False, whole: bool = True
) -> dict[int, store.Entry]:
    """The parts that are there and right; damage is refused, or its parts forgotten. Raises WrongInput."""
    begun_s = time.perf_counter()
    there = [0]

    def on_part() -> None:
        there[0] += 1
        wall_s = time.perf_counter() - begun_s
        points = min(there[0] * identity["part_size"], identity["n_points"])
        on_progress(
            Progress(identity["n_points"], identity["n_parts"], points, there[0], points, there[0], 0, wall_s, True)
        )

    entries, damage = store.checked(
        folder, identity, _bounds(identity), whole=whole, n_threads=n_cores(), on_part=on_part
    )
    if damage and not (repair and all(each.part is not None for each in damage)):
        raise store.damaged(folder, damage)
    for each in damage:
        if each.part is not None:
            store.forget(folder, each.part)
    return entries


def _bounds(identity: store.Identity) -> Callable[[int], tuple[int, int]]:
    n_points, part_size = identity["n_points"], identity["part_size"]
    return lambda part: (part * part_size, min((part + 1) * part_size, n_points))


def _in_thread(
    evaluator: Evaluates, space: "Space", folder: Path, run: str, count: _Count
) -> Callable[[int, threading.Event], store.Entry]:
    """What a thread does with one part; it hears a stop between two pieces."""

    def work(part: int, stop: threading.Event) -> store.Entry:
        def on_piece(points: int, kept: int) -> None:
            count.piece(points, kept)
            if stop.is_set():
                raise _Stopped

        return make_part(evaluator, folder, run, part, space.part(part), space.part_size, on_piece)

    return work


def _over_threads(
    work: Callable[[int, threading.Event], store.Entry],
    todo: Iterable[int],
    n_threads: int,
    on_entry: Callable[[store.Entry], None],
    tell: Callable[[], Any],
) -> None:
    """Parts over threads, one more waiting than there are threads. The first error stops all and is raised."""
    parts, stop = iter(todo), threading.Event()
    waiting: set[Future[store.Entry]] = set()
    with ThreadPoolExecutor(n_threads, "sweep") as pool:
        try:
            while True:
                for part in parts:
                    waiting.add(pool.submit(work, part, stop))
                    if len(waiting) > n_threads:
                        break
                if not waiting:
                    return
                done, waiting = wait(waiting, TICK_S, FIRST_COMPLETED)
                for each in done:
                    on_entry(each.result())
                tell()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _n_workers(asked: SweepAsked) -> int:
    """Threads or processes that are asked for, or one per core."""
    asked_for = asked.n_workers if asked.engine == DASK else asked.n_threads
    return asked_for or n_cores()


def _result(
    asked: SweepAsked,
    identity: store.Identity,
    entries: Mapping[int, store.Entry],
    action: str,
    title: str,
    about: str,
) -> SweepResult:
    """What is in the folder now."""
    sums = store.totals(entries)
    return SweepResult(
        action=action,
        title=title,
        about=about,
        study=str(asked.study),
        out="" if asked.out is None else str(asked.out),
        points=identity["n_points"],
        part_size=identity["part_size"],
        parts=identity["n_parts"],
        parts_done=len(entries),
        parts_before=len(entries),
        complete=len(entries) == identity["n_parts"],
        counts=sums["counts"],
        bytes=sums["bytes"],
        engine=None,
        workers=None,
        points_per_s=None,
        wall_s=0.0,
    )


# --- looking without doing ------------------------------------------------------------------------------------------


def _verified(asked: SweepAsked, content: bytes, on_progress: OnProgress) -> SweepResult:
    """Read every byte of a folder; nothing is evaluated or changed. Raises WrongInput where anything is damaged."""
    assert asked.out is not None  # _check has seen to it
    begun_s = time.perf_counter()
    identity = store.read_identity(asked.out)
    store.refuse_other_study(asked.out, identity, content)
    entries = _checked(asked.out, identity, on_progress)
    if len(entries) == identity["n_parts"]:
        store.check_manifest(asked.out, identity, entries)
    said = store.canonical(content)
    found = _result(asked, identity, entries, VERIFIED, str(said.get("title", "")), str(said.get("about", "")))
    return replace(found, wall_s=time.perf_counter() - begun_s)


def _planned(asked: SweepAsked, space: "Space", identity: store.Identity, content: bytes) -> SweepResult:
    """What the command would do, and how long it takes by a trial of some points."""
    begun_s = time.perf_counter()
    entries: dict[int, store.Entry] = {}
    if asked.out is not None:
        store.refuse_strange(asked.out, content)
        if (asked.out / store.IDENTITY).exists():
            store.refuse_other(asked.out, identity, content)
            entries = _checked(asked.out, identity, lambda _: None, whole=False)
    passing = space.count_passing()
    n = min(_n_workers(asked), max(space.n_parts - len(entries), 1))
    rate = n * trial(evaluator_of(space), space)
    left = space.n_points - sum(each.last - each.first for each in entries.values())
    found = _result(asked, identity, entries, PLANNED, space.title, space.about)
    wall_s = time.perf_counter() - begun_s
    return replace(
        found,
        engine=asked.engine,
        workers=n,
        points_per_s=rate,
        wall_s=wall_s,
        left_s=left / rate,
        passing=passing.n,
        passing_exact=passing.exact,
    )


def trial(evaluator: Evaluates, space: "Space") -> float:
    """Points per second of one thread, evaluated and encoded, by points from all over the study."""
    most = min(-(-space.part_size // PIECES), space.n_points)
    n = min(TRIAL_POINTS, most)
    while True:
        begun_s = time.perf_counter()
        for place in range(TRIAL_PLACES):
            first = place * (space.n_points - n) // (TRIAL_PLACES - 1)
            store.parquet(evaluator.part(first, first + n).table, {})
        took_s = time.perf_counter() - begun_s
        if took_s > TRIAL_S or n == most:
            return TRIAL_PLACES * n / took_s
        n = min(TRIAL_GROWTH * n, most)
