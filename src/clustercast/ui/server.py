"""`clustercast ui`: the server on 127.0.0.1, until it is interrupted."""

import socket
import sys
from typing import Final

from clustercast.errors import WrongInput

HOST: Final = "127.0.0.1"
USUAL_PORT: Final = 8765
KEEP_ALIVE_S: Final = 30
MOST_REQUESTS: Final = 1000  # beyond what the queue takes, so that the page's files are always given


def bound(port: int | None) -> socket.socket:
    """A socket on this machine alone: on the port, or on the usual one, or on a free one if that is taken.

    Raises WrongInput for a port that is taken or not allowed.
    """
    # asyncio sends small answers at once only on sockets that say TCP; else each waits 40 ms for an acknowledgement
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":  # there it would share a port that is taken
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for each in [USUAL_PORT, 0] if port is None else [port]:
        try:
            made.bind((HOST, each))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            wrong = WrongInput(f"--port {each}: {reason}", hint="give another, or none: then a free one is taken")
        else:
            return made
    made.close()
    raise wrong


def run(port: int | None = None, *, browser: bool = True) -> None:
    """Serve the page until interrupted. Raises WrongInput for a port that is taken."""
    import asyncio
    import gc

    made = bound(port)
    gc.enable()  # the command line turns it off: this process stays
    with made:
        asyncio.run(_serve(made, browser=browser))


async def _serve(made: socket.socket, *, browser: bool) -> None:
    import uvicorn

    from clustercast.ui.app import application
    from clustercast.ui.pool import Pool, usual_workers

    port = made.getsockname()[1]
    config = uvicorn.Config(
        application(Pool(usual_workers()), port), log_level="warning", access_log=False, server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S, limit_concurrency=MOST_REQUESTS, timeout_graceful_shutdown=2,
    )  # fmt: skip
    address = f"http://{HOST}:{port}/"
    server = uvicorn.Server(config)
    sys.stderr.write(f"{address} (Ctrl+C ends it)\n")
    sys.stderr.flush()
    if browser:
        await _open(address)
    await server.serve(sockets=[made])


async def _open(address: str) -> None:
    """Show the page in the user's browser, where there is one."""
    import asyncio
    import webbrowser

    asyncio.get_running_loop().run_in_executor(None, webbrowser.open, address)
