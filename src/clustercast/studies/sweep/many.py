"""Parts over the processes of a Dask cluster, here or on many machines.

A worker is told the study's text, the folder and the number of a part; it evaluates the part and writes it itself.
What comes back is what the part is: some hundred bytes. A worker that dies costs the part that it was at.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cache
from multiprocessing import resource_tracker
from pathlib import Path
from queue import Empty, SimpleQueue
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clustercast.errors import WrongInput
from clustercast.studies.sweep import run as engine
from clustercast.studies.sweep import store

if TYPE_CHECKING:
    from distributed import Client, Future

    from clustercast.studies.sweep.space import Space

IN_FLIGHT: Final = 3  # parts per worker that the scheduler knows of: none waits for work, and millions do not flood it
RETRIES: Final = 2  # of a part that raised: storage on a network has bad moments
MOST_DEATHS: Final = 20  # of workers at one part, before the part is taken for the cause
WAIT_S: Final = 60  # for a scheduler, for its first worker, and for another one when all are gone
LOOK_S: Final = 1.0  # between two looks at the workers

# Dask has its workers give memory back at once; blocks of points that come and go then cost as much as the formulas.
KEEP_MEMORY: Final = {"MALLOC_TRIM_THRESHOLD_": 2**30, "MALLOC_MMAP_THRESHOLD_": 2**25}
OURS: Final = {
    "distributed.scheduler.allowed-failures": MOST_DEATHS,
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, **KEEP_MEMORY},
    "distributed.worker.profile.enabled": False,
}

_PREPARING: Final = threading.Lock()


class Task(NamedTuple):
    """What a worker has to know beside the number of a part."""

    study: str  # the text
    name: str  # of its file, for messages
    folder: str
    run: str  # that the folder belongs to


def spread(
    task: Task,
    todo: Iterable[int],
    n_workers: int | None,
    scheduler: str | None,
    on_entry: Callable[[store.Entry], None],
    on_points: Callable[[int, int], None],
    tell: Callable[[], Any],
) -> int:
    """Evaluate parts on a cluster; how many workers it has. Raises WrongInput.

    scheduler  address of one that runs, like tcp://10.0.0.5:8786; None: `n_workers` processes here
    on_points  told the points and the rows of a part that came back
    """
    _guests()
    with _client(n_workers, scheduler) as client:
        n_threads: int = sum(client.nthreads().values())
        for entry in _entries(client, task, todo, IN_FLIGHT * n_threads, tell):
            on_points(entry.last - entry.first, entry.rows)
            on_entry(entry)
            tell()
    return n_threads


def _guests() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise WrongInput(
            f"--engine dask needs the package {error.name}", hint="install it with: pip install 'clustercast[dask]'"
        ) from None


@contextmanager
def _client(n_workers: int | None, scheduler: str | None) -> "Iterator[Client]":
    """A client of the scheduler at this address, or of processes of our own; quiet."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with _ours(n_workers or engine.n_cores()) if scheduler is None else _reached(scheduler) as client:
            yield client
    finally:
        logger.setLevel(before)


@contextmanager
def _ours(n_workers: int) -> "Iterator[Client]":
    """Processes of our own, one thread each."""
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set(OURS), ExitStack() as stack:
        with _deaf():
            cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
        stack.enter_context(cluster)
        yield stack.enter_context(Client(cluster))


@contextmanager
def _deaf() -> Iterator[None]:
    """Threads and processes started here never hear Ctrl-C, which a terminal sends to all of them: we end them."""
    resource_tracker.ensure_running()  # the first process would start it, which lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _reached(scheduler: str) -> "Iterator[Client]":
    from distributed import Client

    try:
        client = Client(scheduler, timeout=WAIT_S)
    except (OSError, TimeoutError, ValueError) as error:
        said = str(error) or "no answer"
        raise WrongInput(
            f"--scheduler: {scheduler!r} cannot be reached: {said.splitlines()[0].lower()}",
            hint="expected an address like tcp://10.0.0.5:8786, as `dask scheduler` prints it",
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError:
            raise WrongInput(
                f"--scheduler: no worker has come to {scheduler!r} in {WAIT_S} s",
                hint=f"start `dask worker {scheduler}`",
            ) from None
        yield client


def _entries(
    client: "Client", task: Task, todo: Iterable[int], most: int, tell: Callable[[], Any]
) -> Iterator[store.Entry]:
    """Finished parts as they come; at most so many are with the scheduler."""
    parts, session = iter(todo), token_hex(8)
    done: SimpleQueue[Future[dict[str, Any]]] = SimpleQueue()

    def give() -> bool:
        for part in parts:
            key = f"part-{part}-{session}"
            client.submit(work, *task, part, key=key, pure=False, retries=RETRIES).add_done_callback(done.put)
            return True
        return False

    at_work = sum(give() for _ in range(most))
    while at_work:
        future = _next(client, done, tell)
        at_work += give() - 1
        yield _entry(future)


def _next(client: "Client", done: "SimpleQueue[Future[dict[str, Any]]]", tell: Callable[[], Any]) -> "Future[Any]":
    """The next future that is done. Raises WrongInput where no worker is left to do one."""
    alone_s = time.monotonic()
    while True:
        try:
            return done.get(timeout=LOOK_S)
        except Empty:
            tell()
            if client.nthreads():
                alone_s = time.monotonic()
            elif time.monotonic() - alone_s > WAIT_S:
                raise WrongInput(
                    f"no worker has been left for {WAIT_S} s",
                    hint="start some and give the same command again: it goes on after the parts that are done",
                ) from None


def _entry(future: "Future[dict[str, Any]]") -> store.Entry:
    """What a part is, or its error in our words."""
    from distributed import KilledWorker

    try:
        return store.Entry(**future.result())
    except KilledWorker:
        part = str(future.key).split("-")[1]
        raise WrongInput(
            f"part {part} ended every worker that it was given to",
            hint="they may lack memory: fewer workers on a machine, or a smaller part_size in the study",
        ) from None
    except ImportError as error:
        raise WrongInput(
            f"a worker lacks the package {error.name}", hint="install clustercast[sweep,dask] where the workers run"
        ) from None


def work(study: str, name: str, folder: str, run: str, part: int) -> dict[str, Any]:
    """Evaluate and write one part, on a worker; what the part is. Raises WrongInput."""
    with _PREPARING:  # a worker may have several threads
        space, evaluator = _prepared(study, name, folder, run)
    done = engine.make_part(evaluator, Path(folder), run, part, space.part(part), space.part_size)
    return asdict(done)


@cache
def _prepared(study: str, name: str, folder: str, run: str) -> "tuple[Space, engine.Evaluates]":
    """The study made ready, once per process. Raises WrongInput where this worker would write other bytes."""
    content = study.encode()
    space = engine.space_of(content, Path(name))
    identity = store.identity_of(space, content)
    if store.run_of(identity) != run:
        before = store.read_identity(Path(folder))
        said = store.differences(before, identity, content, content)
        raise WrongInput(
            f"a worker is not like the machine that sweeps: {', '.join(said) or 'it sees another folder'}",
            hint="install the same clustercast and the same libraries everywhere, and mount the folder everywhere",
        )
    if not (Path(folder) / store.IDENTITY).exists():
        raise WrongInput(
            f"a worker does not see {folder!r}", hint="--out has to be on storage that all workers mount at one path"
        )
    return space, engine.evaluator_of(space)
