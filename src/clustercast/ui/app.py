"""The addresses: the page's own files, and one for each question, by GET with a query or by POST with JSON."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any, Final, NamedTuple

from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from clustercast import __version__
from clustercast.ui import answers, questions
from clustercast.ui.guard import Application, Guard
from clustercast.ui.pool import BusyError, Pool

API: Final = "/api/1"
BUSY: Final = 503
RETRY_S: Final = 2
KINDS: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Route(NamedTuple):
    """One question: what it holds, what it is, whether it may search."""

    asked: type[BaseModel]
    summary: str
    slow: bool = True


ROUTES: Final = {
    "estimate": Route(questions.Estimate, "How long a model trains and how fast it serves, and why."),
    "board": Route(questions.Estimate, "An estimate with the rules' verdicts and the operations under their roofs."),
    "roofline": Route(questions.Estimate, "The operations of an estimate's plans and the chip's roofs."),
    "rules": Route(questions.Rules, "Which export rules catch a chip.", slow=False),
    "crossover": Route(questions.Crossover, "Where one chip serves faster than another."),
    "map": Route(questions.Map, "The ratios of a crossover alone, quickly.", slow=False),
    "plan": Route(questions.Ranking, "The fastest training plans, and what speed costs in memory."),
    "serve": Route(questions.Serve, "The best serving plan under a load or objectives."),
    "compare": Route(questions.Compare, "The same model on several chips."),
    "why": Route(questions.Why, "The shortest plank, and what explains the difference to another chip."),
    "sensitivity": Route(questions.Sensitivity, "What moves an answer."),
    "size-train": Route(questions.SizeTraining, "The fewest chips that finish training in so many days."),
    "size-serve": Route(questions.SizeServing, "The fewest chips that take so many requests per second."),
    "report": Route(questions.Report, "One HTML file to keep: the answer, why, and what it rests on."),
    "chip-file": Route(questions.Chip, "A chip, changed, as a file of the catalogue.", slow=False),
    "launch": Route(questions.Launch, "A launch file for a training plan or a serving replica."),
}
LISTS: Final = {
    "chips": "All chips of the catalogue.",
    "models": "All models of the catalogue.",
    "options": "Precisions, engines and tools.",
}
ENTRIES: Final = {"chips": ("chip", "One chip with every number's source."), "models": ("model", "One model.")}


def page_files() -> dict[str, tuple[str, bytes]]:
    """The page's files by address, with their kind: read once, so that no address ever becomes a path."""
    found = {}
    for file in resources.files("clustercast.ui").joinpath("static").iterdir():
        kind = KINDS.get(file.name.rpartition(".")[2])
        if kind:
            address = "/" if file.name == "index.html" else f"/static/{file.name}"
            found[address] = (kind, file.read_bytes())
    return found


def application(pool: Pool, port: int | None = None) -> Application:
    """The ASGI application.

    pool  who answers; started and stopped with the application
    port  that requests must name in their Host; None: none
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pool.start()
        yield
        await pool.stop()

    app = FastAPI(
        title="clustercast",
        version=__version__,
        description="How long any LLM trains and how fast it serves on a cluster of any chip. Errors are "
        "`clustercast.error/1`: 400 the question is wrong, 422 it has no answer.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    for name, route in ROUTES.items():
        _add_question(app, pool, name, route)
    for name, summary in LISTS.items():
        _add_list(app, pool, name, summary)
    for name, (verb, summary) in ENTRIES.items():
        _add_entry(app, pool, name, verb, summary)
    for address, (kind, content) in page_files().items():
        _add_file(app, address, kind, content)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(HTTPException, _unknown)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return Guard(app, port)


def _add_question(app: FastAPI, pool: Pool, name: str, route: Route) -> None:
    asked, verb = route.asked, name

    async def get(question: Any) -> Response:
        return await _reply(pool, verb, question, slow=route.slow)

    async def post(question: Any) -> Response:
        return await _reply(pool, verb, question, slow=route.slow)

    get.__annotations__["question"] = Annotated[asked, Query()]
    post.__annotations__["question"] = Annotated[asked, Body()]
    for method, function in (("GET", get), ("POST", post)):
        app.add_api_route(
            f"{API}/{name}", function, methods=[method], summary=route.summary, operation_id=f"{method.lower()}_{name}",
            response_class=Response, responses=_responses(name),
        )  # fmt: skip


def _add_list(app: FastAPI, pool: Pool, name: str, summary: str) -> None:
    async def get() -> Response:
        return await _reply(pool, name, questions.Nothing(), slow=False)

    app.add_api_route(f"{API}/{name}", get, summary=summary, response_class=Response, responses=_responses(name))


def _add_entry(app: FastAPI, pool: Pool, name: str, verb: str, summary: str) -> None:
    async def get(entry: str) -> Response:
        try:
            question = questions.Entry(name=entry)
        except ValueError:
            return _failure(404, f"there is no {verb} of such a name")
        reply = await _reply(pool, verb, question, slow=False)
        reply.status_code = 404 if reply.status_code == answers.WRONG else reply.status_code
        return reply

    app.add_api_route(
        f"{API}/{name}/{{entry}}", get, summary=summary, response_class=Response, responses=_responses(verb)
    )


def _add_file(app: FastAPI, address: str, kind: str, content: bytes) -> None:
    async def get() -> Response:
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    app.add_api_route(address, get, methods=["GET", "HEAD"], include_in_schema=False, response_class=Response)


async def _reply(pool: Pool, verb: str, question: BaseModel, *, slow: bool) -> Response:
    fields = question.model_dump(mode="json")
    held = fields.get("plan") and fields.get("serving_plan")
    try:
        found = await pool.answer(verb, fields, slow=slow and not held)
    except BusyError:
        return _failure(BUSY, "too many questions are waiting", headers={"retry-after": str(RETRY_S)})
    return Response(found.body, found.status, media_type="application/json", headers={"cache-control": "no-store"})


def _failure(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps(answers.failure(2, message))
    return Response(body, status, media_type="application/json", headers=headers)


async def _unfit(_: Request, error: Exception) -> Response:
    """A question that does not fit, in the words of the command line: which field, what is wrong."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    where = ".".join(str(part) for part in first["loc"][1:]) or "the question"
    message = str(first["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if first.get("type") == "extra_forbidden":
        message = "is not known"
    return _failure(answers.WRONG, f"{where[:80]}: {message[:300]}")


async def _unknown(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else answers.OUR_FAULT
    said = {404: "there is nothing at this address", 405: "this address takes another method"}
    return _failure(status, said.get(status, "the request cannot be answered"))


def _responses(name: str) -> dict[int | str, dict[str, Any]]:
    error = {"description": "clustercast.error/1", "content": {"application/json": {"schema": {"$ref": _ref("error")}}}}
    done = {
        "description": f"The document `clustercast.{DOCUMENTS.get(name, name)}/1`.",
        "content": {"application/json": {"schema": {"$ref": _ref(DOCUMENTS.get(name, name))}}},
    }
    return {200: done, 400: error, 422: error, 503: error}


DOCUMENTS: Final = {"chip-file": "file", "launch": "file", "report": "file", "size-train": "size", "size-serve": "size"}


def _ref(name: str) -> str:
    return f"#/components/schemas/clustercast.{name}"


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description of all addresses, with the documents' schemas that the package has."""
    if app.openapi_schema is None:
        from clustercast.ui.schemas import described

        app.openapi_schema = described(app)
    return app.openapi_schema
