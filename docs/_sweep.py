"""Examples of docs/sweep.md and docs/query.md: the studies of docs/studies are swept once and asked.

Every command is shown as it is typed and is run as it is shown, in a folder of its own that holds `docs/studies` and
`runs`. What depends on the machine and the moment, times, rates, threads and the size of files, is shown as `…`.
"""

import contextlib
import io
import os
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
    (rf"{NUMBER} \w+ on {NUMBER} threads?", "… s on … threads"),
    (rf"{NUMBER}\w? points/s", "… points/s"),
    (rf"{NUMBER} [kMG]?B in {NUMBER} part", "… MB in {} part"),
)


@lru_cache(1)
def place() -> tempfile.TemporaryDirectory[str]:
    """The folder that commands run in; it goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="clustercast-docs-")
    shutil.copytree(HERE / "studies", Path(folder.name) / "docs" / "studies")
    (Path(folder.name) / "runs").mkdir()
    return folder


def study(name: str) -> str:
    return f"docs/studies/{name}.yaml"


@lru_cache(1000)
def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, answer and talk of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(place().name), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = app.run(arguments)
    return status, out.getvalue(), err.getvalue()


def swept(name: str) -> str:
    """The folder of a study's points."""
    folder = f"runs/{name}"
    status, _, said = run("sweep", study(name), "--out", folder)
    if status:
        raise RuntimeError(said)
    return folder
