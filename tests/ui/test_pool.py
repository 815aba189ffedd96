"""Workers behind a queue: what is remembered, shared, taken back, stopped."""

import asyncio
import json
from typing import Any

import pytest
from own_loop import run_alone

from clustercast.ui import pool as pools
from clustercast.ui.pool import BusyError, Memory, Pool, Reply

WAIT_S = 30.0


class Told:
    """A worker that answers when it is told to, and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = asyncio.Event()
        self.process: object | None = None

    async def start(self) -> None:
        self.process = object()

    async def ask(self, line: bytes) -> Reply:
        verb = json.loads(line)["verb"]
        self.asked.append(verb)
        await self.go.wait()
        if verb == "dies":
            raise EOFError
        return Reply(200, verb.encode())

    async def end(self) -> None:
        self.process = None


def run(monkeypatch: pytest.MonkeyPatch, test: Any, n_workers: int = 1, **limits: float) -> None:
    async def whole() -> None:
        told = Told()
        monkeypatch.setattr(pools, "Worker", lambda: told)
        pool = Pool(n_workers, **limits)
        await pool.start()
        try:
            async with asyncio.timeout(WAIT_S):
                await test(pool, told)
        finally:
            await pool.stop()

    run_alone(whole())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def ask(pool: Pool, verb: str, *, slow: bool = False) -> "asyncio.Task[Reply]":
    return asyncio.ensure_future(pool.answer(verb, {}, slow=slow))


def test_the_same_question_is_asked_once_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(pool: Pool, told: Told) -> None:
        both = [ask(pool, "a"), ask(pool, "a")]
        await settle()
        told.go.set()
        assert await asyncio.gather(*both) == [Reply(200, b"a")] * 2
        assert await pool.answer("a", {}, slow=False) == Reply(200, b"a")
        assert told.asked == ["a"]

    run(monkeypatch, test)


def test_a_question_that_nobody_waits_for_any_more_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(pool: Pool, told: Told) -> None:
        first, gone, last = ask(pool, "first"), ask(pool, "gone"), ask(pool, "last")
        await settle()
        gone.cancel()
        await settle()
        told.go.set()
        await asyncio.gather(first, last)
        assert told.asked == ["first", "last"]

    run(monkeypatch, test)


def test_slow_questions_leave_a_worker_to_quick_ones_and_are_not_kept_waiting_by_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(pool: Pool, told: Told) -> None:
        tasks = [ask(pool, "slow", slow=True), ask(pool, "slower", slow=True)]
        await settle()
        assert told.asked == ["slow"]
        tasks += [ask(pool, name) for name in ("quick", "quicker")]
        await settle()
        assert told.asked == ["slow", "quick"]
        told.go.set()
        await asyncio.gather(*tasks)
        assert sorted(told.asked[2:]) == ["quicker", "slower"]

    run(monkeypatch, test, n_workers=2)


def test_too_many_waiting_questions_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MOST_WAITING", 2)

    async def test(pool: Pool, told: Told) -> None:
        tasks = [ask(pool, "a")]
        await settle()
        tasks += [ask(pool, "b"), ask(pool, "c")]
        await settle()
        with pytest.raises(BusyError):
            await pool.answer("d", {}, slow=False)
        told.go.set()
        await asyncio.gather(*tasks)

    run(monkeypatch, test)


def test_a_question_that_takes_too_long_is_stopped_and_the_next_one_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(pool: Pool, told: Told) -> None:
        reply = await pool.answer("endless", {}, slow=True)
        assert reply.status == 422
        assert json.loads(reply.body)["error"] == "no answer within 0.05 s"
        told.go.set()
        assert (await pool.answer("b", {}, slow=False)).status == 200
        assert (await pool.answer("endless", {}, slow=True)).status == 200  # that it was stopped is not remembered

    run(monkeypatch, test, slow_s=0.05)


def test_a_worker_that_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(pool: Pool, told: Told) -> None:
        told.go.set()
        assert (await pool.answer("dies", {}, slow=False)).status == 500
        assert (await pool.answer("b", {}, slow=False)).status == 200

    run(monkeypatch, test)


def test_a_real_search_that_would_take_a_day_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from clustercast.ui import questions

    anything = "schedule=any,cp_kind=any,tp_overlap=any,dp_overlap=any,offload=any,sequence_parallel=any"
    endless = questions.Estimate(chip="h20", model="1.8T", count=10_000_000, plan=anything)

    async def whole() -> None:
        pool = Pool(1, slow_s=0.3)
        await pool.start()
        try:
            reply = await pool.answer("estimate", endless.model_dump(mode="json"), slow=True)
            assert reply.status == 422
        finally:
            await pool.stop()

    run_alone(whole())


def test_memory_forgets_what_was_asked_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MOST_KEPT", 2)
    memory = Memory()
    for key in (b"a", b"b"):
        memory.put(key, Reply(200, key))
    assert memory.get(b"a")
    memory.put(b"c", Reply(200, b"c"))
    assert (memory.get(b"a"), memory.get(b"b")) == (Reply(200, b"a"), None)
    monkeypatch.setattr(pools, "MOST_KEPT_BYTES", 5)
    memory.put(b"d", Reply(200, b"12345"))
    assert list(memory.kept) == [b"d"]
    assert memory.n_bytes == 5
