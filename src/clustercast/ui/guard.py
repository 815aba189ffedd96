"""Who may ask, how much, and what a browser may do with the answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from clustercast.ui import answers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY: Final = 64 * 2**10
BODY_S: Final = 10.0
HOSTS: Final = ("127.0.0.1", "localhost")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Refused(Exception):
    """A request that is not let in: an HTTP status and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Guard:
    """The door of an ASGI application: this machine's own page only, small bodies, safe headers; drops a request whose
    client has gone."""

    def __init__(self, application: Application, port: int | None = None) -> None:
        self.application = application
        self.hosts = {host if port is None else f"{host}:{port}" for host in HOSTS}
        if port == 80:
            self.hosts |= set(HOSTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or refuse with `clustercast.error/1`."""
        if scope["type"] == "lifespan":
            await self.application(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a web socket: closed without a word
        safe = _with_headers(send)
        try:
            self.check(scope)
            body = await _body(receive)
        except Refused as refused:
            await refuse(safe, refused.status, str(refused))
            return
        if body is not None:
            await _until_gone(self.application(scope, _replayed(body, receive), safe), receive)

    def check(self, scope: Scope) -> None:
        """Raise Refused for a foreign host, origin or page, and for a body that is no JSON."""
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            raise Refused(403, "this server answers for this machine alone")
        for origin in _values(scope, b"origin"):
            if origin.removeprefix("http://").lower() not in self.hosts or not origin.startswith("http://"):
                raise Refused(403, "another site may not ask this server")
        asked_by = _values(scope, b"sec-fetch-site")
        if scope["path"].startswith("/api/") and any(each not in ("same-origin", "none") for each in asked_by):
            raise Refused(403, "another site may not ask this server")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refused(405, f"{scope['method'][:20]} is not known here, expected GET or POST")
        kinds = [kind.split(";")[0].strip().lower() for kind in _values(scope, b"content-type")]
        if scope["method"] == "POST" and kinds != ["application/json"]:
            raise Refused(415, "expected a body of application/json")
        if any(not each.isdigit() or int(each[:20]) > MOST_BODY for each in _values(scope, b"content-length")):
            raise Refused(413, f"the body is larger than {MOST_BODY:,} bytes")


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where the client goes before it is there. Raises Refused for one too large or too slow."""
    found = b""
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                found += bytes(message.get("body", b""))
                if len(found) > MOST_BODY:
                    raise Refused(413, f"the body is larger than {MOST_BODY:,} bytes")
                if not message.get("more_body", False):
                    return found
    except TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_S:g} s") from None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body, and then waits."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


async def _until_gone(answering: Awaitable[None], receive: Receive) -> None:
    """Answer, or stop as soon as the client is gone."""
    answer = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not answer.done():
            answer.cancel()
    await asyncio.gather(answer, gone, return_exceptions=True)
    if answer.done() and not answer.cancelled():
        answer.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _with_headers(send: Send) -> Send:
    async def safe(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(key, value) for key, value in message.get("headers", ()) if key.lower() not in dict(HEADERS)]
            message = {**message, "headers": [*own, *HEADERS]}
        await send(message)

    return safe


async def refuse(send: Send, status: int, message: str) -> None:
    """Answer with an error document."""
    body = json.dumps(answers.failure(2, message)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
