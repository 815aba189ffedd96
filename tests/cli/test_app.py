"""The process as a whole: help everywhere, pages that mention every command, closed pipes, speed of `--help`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli

import clustercast
from clustercast.cli import app

ROOT = Path(__file__).resolve().parents[2]


def process(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "clustercast", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.mark.parametrize("path", app.command_paths(), ids=lambda path: " ".join(path) or "clustercast")
def test_every_command_has_help_and_is_in_the_documentation(cli: Cli, path: tuple[str, ...]) -> None:
    done = cli(*path, "--help")
    assert done.status == 0
    assert done.out.startswith(f"Usage: {' '.join(('clustercast', *path))} ")
    assert len(done.out.splitlines()) > 4
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert f"## `{' '.join(('clustercast', *path))}`" in page
    if path and path[0] not in {"chips", "models", "fabrics"}:
        assert cli(*path, "-h").out == done.out


def test_nothing_asked_shows_the_help(cli: Cli) -> None:
    assert cli().out == cli("--help").out
    assert cli("chips").out == cli("chips", "--help").out


def test_the_version_is_the_package_s(cli: Cli) -> None:
    assert cli("--version") == (0, f"clustercast {clustercast.__version__}\n", "")


def test_estimate_alone_is_the_same_command(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = cli("estimate", "--help").out
    monkeypatch.setattr(sys, "argv", ["estimate", "--help"])
    assert app.estimate_main() == 0
    assert capsys.readouterr().out == expected


def test_a_closed_pipe_is_silent() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "clustercast", "chips", "list", "--json"]
    with os.fdopen(write, "wb") as gone:
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_plain_terminal_gets_plain_letters() -> None:
    done = process("rules", "--chip", "mi300x", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_help_brings_no_heavy_guest() -> None:
    code = (
        "import sys; from clustercast.cli import app; app.run(['--help']); print([n for n in %r if n in sys.modules])"
    )
    heavy = ("numba", "numpy", "pydantic", "rich", "ruamel", "scipy")
    done = subprocess.run([sys.executable, "-c", code % (heavy,)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
