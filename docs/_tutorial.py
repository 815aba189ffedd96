"""Commands of docs/tutorials: each is run as it is shown, in a folder of its own, and its answer stands below it.

Times, rates and the number of threads are shown as `…`; so is what a long answer says after its first lines.
"""

import atexit
import contextlib
import io
import re
import shlex
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Final

import _sweep

from clustercast.cli import app

MOVING: Final = (
    *_sweep.MOVING,
    (r"considered in [0-9.]+ \w+", "considered in … s"),
    (r"(costed whole), [0-9.]+ \w+", r"\1"),
    (r"[0-9.]+ \w+ on [0-9]+ workers? \([^)]*\)", "… on … workers"),
    (r"(written by clustercast) [0-9]\S*?,", r"\1 …,"),
)
OTHERS: Final = ("cat", "head", "ls")  # programs that a tutorial may call beside clustercast and dask
SCHEDULER: Final = "tcp://10.0.0.5:8786"  # stands for the address of the machine at hand
WAIT_S: Final = 30.0


def place() -> Path:
    """The folder that all commands of all tutorials run in."""
    return Path(_sweep.place().name)


@cache
def answer(command: str, status: int = 0) -> str:
    """What one command prints. Raises RuntimeError if it ends otherwise than it should."""
    program, *arguments = shlex.split(command.replace("\\\n", ""))
    if program in OTHERS:
        done = subprocess.run([program, *arguments], cwd=place(), capture_output=True, text=True, check=True)
        return done.stdout
    if program != "clustercast":
        raise RuntimeError(f"a tutorial cannot run {program}")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(place()), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = app.run(arguments, program)
    if ended != status:
        raise RuntimeError(f"{command} ended with {ended}: {err.getvalue()}")
    return (err if status else out).getvalue()


def shell(command: str, lines: int | None = None, status: int = 0) -> str:
    """A command and its answer, or the first lines of it."""
    return shown(command.strip(), answer(command.strip(), status), lines)


def found(pattern: str, command: str) -> str:
    """What a pattern's group matches in a command's answer."""
    match = re.search(pattern, answer(command))
    if match is None:
        raise RuntimeError(f"{command} does not say {pattern}")
    return match[1]


def shown(command: str, said: str, lines: int | None = None) -> str:
    for moving, still in MOVING:
        said = re.sub(moving, still, said)
    kept = said.rstrip().split("\n")
    kept = kept if lines is None or len(kept) <= lines else [*kept[:lines], "…"]
    return "\n".join(["```text", f"$ {command}", *kept, "```"])


def file(name: str) -> str:
    """A file of the folder, as it stands."""
    kind = Path(name).suffix.lstrip(".")
    return f"```{kind}\n{(place() / name).read_text(encoding='utf-8').rstrip()}\n```"


def write(name: str, text: str) -> str:
    """Make a file of the folder, and show it."""
    (place() / name).write_text(text.lstrip("\n"), encoding="utf-8")
    return file(name)


@cache
def workers(n: int) -> str:
    """Start a Dask scheduler and so many workers on this machine; its address. They end with this process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    commands = (
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        [*dask, "worker", address, "--nworkers", str(n), "--nthreads", "1", "--memory-limit", "0", "--no-dashboard"],
    )
    for each in commands:
        started = subprocess.Popen(each, cwd=place(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(stop, started)
        _wait(port)
    return address


def _wait(port: int) -> None:
    begin_s = time.monotonic()
    while time.monotonic() - begin_s < WAIT_S:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.05)
    raise RuntimeError("the scheduler does not answer")


def stop(started: "subprocess.Popen[bytes]") -> None:
    started.terminate()
    started.wait(WAIT_S)


def elsewhere(command: str, n_workers: int = 2) -> str:
    """A command that names the scheduler, run on workers of this machine."""
    address = workers(n_workers)
    said = answer(command.replace(SCHEDULER, address))
    return shown(command, said.replace(address, SCHEDULER))
