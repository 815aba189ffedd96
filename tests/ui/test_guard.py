"""The door drops a question whose client has gone."""

import asyncio
from typing import Any

import pytest
from own_loop import run_alone

from clustercast.ui import guard
from clustercast.ui.guard import Guard

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"127.0.0.1:8765")]}
BODY = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


def through(application: Any, messages: list[dict[str, Any]], scope: dict[str, Any] | None = None) -> list[Any]:
    sent: list[Any] = []

    async def whole() -> None:
        async def receive() -> Any:
            if not messages:
                await asyncio.Event().wait()
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        async with asyncio.timeout(10):
            await Guard(application, 8765)(scope or SCOPE, receive, send)

    run_alone(whole())
    return sent


def test_an_answer_that_nobody_waits_for_is_given_up() -> None:
    ended = []

    async def endless(*_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    assert through(endless, [BODY, GONE]) == []
    assert ended == [True]


def test_a_client_that_goes_before_its_body_is_there_asks_nothing() -> None:
    async def never(*_: Any) -> None:
        raise AssertionError

    assert through(never, [GONE]) == []


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_S", 0.05)

    async def never(*_: Any) -> None:
        raise AssertionError

    assert through(never, [])[0]["status"] == 408


def test_a_fault_of_the_application_is_not_hidden() -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        through(broken, [BODY])


@pytest.mark.parametrize("headers", [[], [(b"host", b"127.0.0.1:8765"), (b"host", b"127.0.0.1:8765")]])
def test_one_host_is_needed(headers: list[tuple[bytes, bytes]]) -> None:
    async def never(*_: Any) -> None:
        raise AssertionError

    assert through(never, [BODY], SCOPE | {"headers": headers})[0]["status"] == 403


def test_web_sockets_are_closed() -> None:
    async def never(*_: Any) -> None:
        raise AssertionError

    assert through(never, [], {"type": "websocket", "headers": []}) == []
