"""Examples of docs/sweep.md and docs/query.md: the studies of docs/studies are swept once and asked.

A command is run as it is shown, in a folder of its own that holds `docs/studies` and `runs`. What its answer says of
the machine and the moment (times, rates, numbers of threads, sizes of files) is shown as `…`.
"""

import contextlib
import io
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from clustercast.cli import app

HERE: Final = Path(__file__).parent
NUMBER: Final = r"[0-9][0-9.,]*"
MOVING: Final = (
    (rf"{NUMBER} \w+ on {NUMBER} threads?", "… on … threads"),
    (rf"{NUMBER}[kMG]? points/s", "… points/s"),
    (rf"{NUMBER} [kMG]?B in ({NUMBER} parts?)", r"… in \1"),
)
RUN: Final = re.compile(r"runs/([\w-]+)")


@lru_cache(1)
def place() -> "tempfile.TemporaryDirectory[str]":
    """The folder that commands run in; it goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="clustercast-docs-")
    shutil.copytree(HERE / "studies", Path(folder.name, "docs", "studies"))
    Path(folder.name, "runs").mkdir()
    return folder


def answer(command: str, status: int = 0) -> str:
    """What a command line prints, or what it says where it ends with an error. Raises RuntimeError if it should not."""
    program, *arguments = shlex.split(command.replace("\\\n", ""))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(place().name), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = app.run(arguments, program)
    if ended != status:
        raise RuntimeError(f"{command} ended with {ended}: {err.getvalue()}")
    return (err if status else out).getvalue()


@lru_cache(100)
def swept(name: str) -> str:
    """What the first sweep of a study says; the others find its points in `runs/NAME`."""
    return answer(sweep_of(name))


def sweep_of(name: str) -> str:
    return f"clustercast sweep docs/studies/{name}.yaml --out runs/{name}"


def shown(command: str, said: str) -> str:
    """A command and what it printed."""
    for moving, still in MOVING:
        said = re.sub(moving, still, said)
    return f"```text\n$ {command}\n{said.rstrip()}\n```"


def shell(command: str, status: int = 0) -> str:
    """A command line and its answer. The study that it asks is swept before."""
    command = command.strip()
    for name in RUN.findall(command):
        if command == sweep_of(name):
            return shown(command, swept(name))
        swept(name)
    return shown(command, answer(command, status))


def broken_off(name: str, n_parts: int) -> str:
    """The sweep of a study that was broken off after so many parts."""
    swept(name)
    folder = Path(place().name, "runs", name)
    (folder / "manifest.json").unlink()
    for path in sorted((folder / "parts").iterdir()):
        if int(re.findall("[0-9]+", path.name)[0]) >= n_parts:
            path.unlink()
    return shown(sweep_of(name), answer(sweep_of(name)))


def refused(command: str, file: str, old: str, new: str) -> str:
    """A command that ends with an error after the first `old` in a file has become `new`."""
    for name in RUN.findall(command):
        swept(name)
    with changed(Path(place().name, file), old.encode(), new.encode()):
        return shown(command, answer(command, status=2))


@contextlib.contextmanager
def changed(path: Path, old: bytes, new: bytes) -> Iterator[None]:
    """A file with its first `old` replaced, for a while."""
    content = path.read_bytes()
    path.write_bytes(content.replace(old, new, 1))
    try:
        yield
    finally:
        path.write_bytes(content)
