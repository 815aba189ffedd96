"""`clustercast ui`."""

from typing import Annotated

import typer

from clustercast.cli import options

Port = Annotated[
    str | None, typer.Option("--port", metavar="N", help="Port on 127.0.0.1. Default: 8765, or a free one.")
]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Do not open the page in a browser.")]

MOST_PORT = 65535


def ui(*, port: Port = None, no_browser: NoBrowser = False) -> None:
    """A page on this machine to look at, and the HTTP API behind it."""
    from clustercast import errors

    number = options.whole("--port", port)
    if number is not None and not 0 <= number <= MOST_PORT:
        raise errors.WrongInput(f"--port: expected a number from 0 to {MOST_PORT}, got {number}")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise errors.WrongInput("ui needs FastAPI and uvicorn", hint='pip install "clustercast[ui]"') from None
    from clustercast.ui import server

    server.run(number, browser=not no_browser)
