"""`clustercast sweep`: a real study on threads, on Dask and through interrupts, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sweeps
from command_line import Cli, heed_interrupts

from clustercast.studies.sweep import store

STUDY = """\
schema: clustercast.study/1
title: Small
about: training
axes:
  chip: [h20, h100]
  count: [64, 128]
  tp: [1, 2, 4, 8]
  pp: [1, 2, 3, 4]
  chip.hbm_bandwidth: [0.5x, 1x, 2x]
fixed: {model: llama-3.1-8b, tokens: 1T, precision: bf16, zero: 1, micro_batch: 1}
where: ["tp * pp <= 16"]
outputs: [days, step_s, memory_bytes]
part_size: 32
"""
N_POINTS = 192  # 6 parts
COMPILING = "compiling the formulas for this machine (once, about ten seconds) ...\n"  # whoever comes first


@pytest.fixture
def study(tmp_path: Path) -> str:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return str(path)


def test_a_study_becomes_parts_and_a_document(cli: Cli, study: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    done = cli("sweep", study, "--out", out, "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert (document["schema"], document["action"]) == ("clustercast.sweep/1", "run")
    assert (document["points"], document["parts"], document["parts_done"]) == (N_POINTS, 6, 6)
    counts = document["counts"]
    assert counts["considered"] == N_POINTS
    assert counts["outside"] == 2 * (2 * 2 * 3)  # tp 8 with pp 3 and 4
    assert counts["kept"] + counts["illegal"] + counts["outside"] + counts["unsupported"] == N_POINTS
    again = cli("sweep", study, "--out", out)
    assert (again.status, "all there before and checked" in again.out, "query" in again.out) == (0, True, True)
    assert all(len(line) <= 80 for line in again.out.splitlines() if out not in line)
    seen = cli("sweep", study, "--out", out, "--verify", "--json")
    assert (seen.status, seen.document["action"], seen.document["complete"]) == (0, "verified", True)


def test_a_sweep_is_drawn(cli: Cli, study: str, tmp_path: Path) -> None:
    picture = tmp_path / "sweep.svg"
    done = cli("sweep", study, "--out", str(tmp_path / "out"), "--plot", str(picture), "--json")
    assert (done.status, done.document["complete"]) == (0, True)
    drawn = picture.read_text(encoding="utf-8")
    assert "days" in drawn
    assert "clustercast" in drawn  # where the numbers are from
    refused = cli("sweep", study, "--dry-run", "--plot", str(picture))
    assert (refused.status, "--dry-run keeps no point" in refused.err) == (2, True)


def test_a_dry_run_says_how_many_and_how_long(cli: Cli, study: str, tmp_path: Path) -> None:
    done = cli("sweep", study, "--out", str(tmp_path / "out"), "--dry-run")
    assert (done.status, (tmp_path / "out").exists()) == (0, False)
    assert "192 points in 6 parts; nothing was written" in done.out
    assert "points of them meet the conditions" in done.out
    assert "by a trial of one" in done.out


def test_what_is_wrong_is_said(cli: Cli, study: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert cli("sweep", study).err.startswith("error: --out is missing\nhint: ")
    assert cli("sweep", str(tmp_path / "none.yaml"), "--out", out).status == 2
    assert cli("sweep", study, "--out", out, "--threads", "two").status == 2
    assert cli("sweep", study, "--out", out).status == 0
    Path(study).write_text(STUDY.replace("count: [64, 128]", "count: [64]"))
    done = cli("sweep", study, "--out", out, "--json")
    assert (done.status, done.document["exit"]) == (2, 2)
    assert "the study (axes.count: [64, 128] before, [64] now)" in done.document["error"]
    assert "--out" in done.document["hint"]


def test_without_its_package_it_is_said(cli: Cli, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = cli("sweep", study, "--out", str(tmp_path / "out"))
    assert (done.status, "pip install 'clustercast[sweep]'" in done.err) == (2, True)


def started(*arguments: str) -> "subprocess.Popen[str]":
    """The command in a session of its own, as a terminal would run it."""
    command = [sys.executable, "-m", "clustercast", "sweep", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ},
        preexec_fn=heed_interrupts,  # noqa: PLW1509 (it calls one function of the system)
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("engine", [("threads", "--threads", "1"), ("dask", "--workers", "1")])
def test_an_interrupt_exits_with_130_and_the_same_command_goes_on(
    cli: Cli, study: str, tmp_path: Path, engine: tuple[str, ...]
) -> None:
    Path(study).write_text(STUDY.replace("part_size: 32", "part_size: 2"))
    out = tmp_path / "out"
    process = started(study, "--out", str(out), "--engine", *engine)
    while process.poll() is None and len(list(out.glob("parts/*.json"))) < 3:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches all processes of a terminal's foreground
    printed, said = process.communicate()
    assert (process.returncode, printed) == (130, "")
    assert "parts are done; the same command goes on after them" in said
    assert "Traceback" not in said
    done = cli("sweep", study, "--out", str(out), "--json")
    assert 3 <= done.document["parts_before"] < 96
    assert done.document["complete"] is True


@pytest.mark.slow
def test_dask_writes_what_threads_write_of_a_real_study(study: str, tmp_path: Path) -> None:
    one, other = str(tmp_path / "threads"), str(tmp_path / "dask")
    processes = [
        started(study, "--out", one),
        started(study, "--out", other, "--engine", "dask", "--workers", "2", "--json"),
    ]
    printed = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    document = json.loads(printed[1][0])
    assert (document["engine"], document["workers"], printed[1][1]) == ("dask", 2, "")
    assert sweeps.bytes_in(Path(one)) == sweeps.bytes_in(Path(other))


@pytest.mark.slow
def test_every_module_that_a_sweep_loads_is_in_its_identity(study: str, tmp_path: Path) -> None:
    code = (
        "import sys, clustercast; clustercast.sweep(*sys.argv[1:]); "
        "print(*(getattr(m, '__file__', '') for n, m in sys.modules.items() if n.startswith('clustercast.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, study, str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    package = Path(store.__file__).parents[2]
    loaded = {Path(each).relative_to(package).as_posix() for each in done.stdout.split()}
    assert {"physics/training.py", "studies/sweep/points.py"} <= loaded
    # one holds nothing but its name, one how an answer looks in a notebook, one who is told how far it is
    assert loaded - set(store.code_files()) <= {"studies/__init__.py", "display.py", "progress.py"}
