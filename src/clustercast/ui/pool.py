"""Worker processes behind a queue: answers are remembered, the same question is asked once, none runs for long.

A question that takes too long is stopped by ending its worker, which nothing inside the process could promise: a search
is compiled code. Questions that may be slow never take the last worker, so that a slider does not wait behind a search;
and one of them is always on its way, so that a search does not wait for all sliders to rest.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from clustercast.ui import answers
from clustercast.ui.worker import READY

LEAST_WORKERS: Final = 3  # two searches of a page that opens, and a slider
MOST_WORKERS: Final = 8
MOST_WAITING: Final = 200
QUICK_S: Final = 10.0
SLOW_S: Final = 30.0
START_S: Final = 300.0  # the very first start compiles the search
MOST_KEPT: Final = 8192
MOST_KEPT_BYTES: Final = 64 * 2**20


class Reply(NamedTuple):
    """A status and a JSON document."""

    status: int
    body: bytes


class BusyError(Exception):
    """More questions are waiting than may."""


@dataclass(eq=False)
class Job:
    """One question on its way; whoever asks the same waits for the same."""

    key: bytes
    slow: bool
    reply: "asyncio.Future[Reply]"
    n_asking: int = 0


@dataclass
class Memory:
    """The last answers by question, within a number and a size."""

    kept: "OrderedDict[bytes, Reply]" = field(default_factory=OrderedDict)
    n_bytes: int = 0

    def get(self, key: bytes) -> Reply | None:
        """The answer to a question that was asked before."""
        found = self.kept.get(key)
        if found is not None:
            self.kept.move_to_end(key)
        return found

    def put(self, key: bytes, reply: Reply) -> None:
        """Keep an answer, and forget the oldest where there are too many."""
        self.kept[key] = reply
        self.n_bytes += len(reply.body)
        while len(self.kept) > MOST_KEPT or self.n_bytes > MOST_KEPT_BYTES:
            _, oldest = self.kept.popitem(last=False)
            self.n_bytes -= len(oldest.body)


class Worker:
    """One process. `ask` is called by one task at a time."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "clustercast.ui.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(START_S):
            if await self._stdout().readline() != READY:
                raise OSError("a worker did not start")

    async def ask(self, line: bytes) -> Reply:
        """Write a question and read its answer. Raises EOFError where the process has ended."""
        if self.process is None or self.process.stdin is None:
            raise EOFError
        self.process.stdin.write(line + b"\n")
        head = await self._stdout().readline()
        if not head:
            raise EOFError
        status, length = map(int, head.split())
        return Reply(status, await self._stdout().readexactly(length))

    async def end(self) -> None:
        """End the process, whatever it does."""
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _stdout(self) -> asyncio.StreamReader:
        if self.process is None or self.process.stdout is None:
            raise EOFError
        return self.process.stdout


def usual_workers() -> int:
    """One for each core, within reason: each takes 100 MB."""
    return max(LEAST_WORKERS, min(MOST_WORKERS, os.cpu_count() or 1))


class Pool:
    """Workers, the questions that wait for one, and the answers that are remembered."""

    def __init__(self, n_workers: int, quick_s: float = QUICK_S, slow_s: float = SLOW_S) -> None:
        self.n_workers = n_workers
        self.limits_s = {False: quick_s, True: slow_s}
        self.memory = Memory()
        self.jobs: dict[bytes, Job] = {}  # waiting or running
        self.waiting: dict[bool, deque[Job]] = {False: deque(), True: deque()}
        self.n_slow = 0  # running
        self.changed = asyncio.Condition()
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the workers; questions may come before they are ready."""
        self.tasks = [asyncio.create_task(self._work()) for _ in range(self.n_workers)]

    async def stop(self) -> None:
        """End the workers and whatever they do."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def answer(self, verb: str, fields: dict[str, Any], *, slow: bool) -> Reply:
        """The answer to a question. A caller that is cancelled takes the question back where nobody else asks it.

        Raises BusyError where too many are waiting.
        """
        key = json.dumps({"verb": verb, "fields": fields}, separators=(",", ":"), sort_keys=True, default=str).encode()
        known = self.memory.get(key)
        if known is not None:
            return known
        job = self.jobs.get(key)
        if job is None:
            if sum(map(len, self.waiting.values())) >= MOST_WAITING:
                raise BusyError
            job = self.jobs[key] = Job(key, slow, asyncio.get_running_loop().create_future())
            self.waiting[slow].append(job)
            await self._tell()
        with self._asking(job):
            return await asyncio.shield(job.reply)

    @contextlib.contextmanager
    def _asking(self, job: Job) -> Iterator[None]:
        job.n_asking += 1
        try:
            yield
        finally:
            job.n_asking -= 1
            if not job.n_asking and job in self.waiting[job.slow]:
                self.waiting[job.slow].remove(job)
                del self.jobs[job.key]

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _next(self) -> Job | None:
        """The question to take: one slow one at a time before all, then quick ones, then slow ones but for a worker."""
        most_slow = max(1, self.n_workers - 1)
        if self.waiting[True] and (self.n_slow == 0 or (self.n_slow < most_slow and not self.waiting[False])):
            return self.waiting[True].popleft()
        return self.waiting[False].popleft() if self.waiting[False] else None

    async def _work(self) -> None:
        """Be one worker: take questions until cancelled, start the process again where it has ended."""
        worker = Worker()
        try:
            while True:
                if worker.process is None:
                    await worker.start()
                async with self.changed:
                    job = self._next()
                    while job is None:
                        await self.changed.wait()
                        job = self._next()
                await self._run(worker, job)
        finally:
            await worker.end()

    async def _run(self, worker: Worker, job: Job) -> None:
        self.n_slow += job.slow
        try:
            async with asyncio.timeout(self.limits_s[job.slow]):
                reply = await worker.ask(job.key)
            if reply.status < answers.OUR_FAULT:
                self.memory.put(job.key, reply)
        except TimeoutError:
            await worker.end()
            reply = _too_long(self.limits_s[job.slow])
        except (EOFError, OSError, asyncio.IncompleteReadError):
            await worker.end()
            reply = _failed(answers.OUR_FAULT, 1, "the process that was to answer has ended", "ask again")
        finally:
            self.n_slow -= job.slow
            self.jobs.pop(job.key, None)
        if not job.reply.done():
            job.reply.set_result(reply)
        await self._tell()


def _too_long(limit_s: float) -> Reply:
    message = f"no answer within {limit_s:g} s"
    return _failed(
        answers.NO_ANSWER, 3, message, "ask for fewer chips or fix more of the plan, or use the command line"
    )


def _failed(status: int, exit_status: int, message: str, hint: str) -> Reply:
    return Reply(status, json.dumps(answers.failure(exit_status, message, hint)).encode())
