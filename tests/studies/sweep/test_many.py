"""The Dask engine: the bytes of the thread engine, whoever dies on the way."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
import sweeps
from distributed import LocalCluster

import clustercast
from clustercast.errors import WrongInput
from clustercast.studies.sweep import many, run, store
from clustercast.studies.sweep.result import Progress

KILLS = 10
SUMS = str(Path(sweeps.__file__))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A study of sums in 70 parts, for this process and for the workers that it starts."""
    monkeypatch.setattr(run, "space_of", sweeps.space_of)
    monkeypatch.setattr(run, "evaluator_of", sweeps.Sums)
    path = tmp_path / "study.yaml"
    path.write_text(f"{sweeps.STUDY}part_size: 2\n")
    with dask.config.set({"distributed.worker.preload": [SUMS]}):
        yield path


@pytest.fixture
def whole(study: Path, tmp_path: Path) -> dict[str, bytes]:
    """Every file of a run on threads."""
    clustercast.sweep(study, tmp_path / "whole", n_threads=2)
    return sweeps.bytes_in(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_behind_a_scheduler_write_the_bytes_of_threads(
    study: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", protocol="tcp", dashboard_address=None
    ) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        found = clustercast.sweep(study, tmp_path / "out", engine="dask", scheduler=cluster.scheduler_address)
        assert (found.engine, found.workers, found.parts_done, found.counts["kept"]) == ("dask", 2, 70, 133)
        assert sweeps.bytes_in(tmp_path / "out") == whole
        refused_elsewhere(study, tmp_path / "other", cluster.scheduler_address)


def refused_elsewhere(study: Path, out: Path, scheduler: str) -> None:
    """The same workers, told of a run that their own code and libraries would not give."""
    versions = store._versions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_versions", lambda space: versions(space) | {"numpy": "9.9"})
        with pytest.raises(WrongInput) as caught:
            clustercast.sweep(study, out, engine="dask", scheduler=scheduler)
    assert "a worker is not like the machine that sweeps: numpy (9.9 before, " in caught.value.message


def workers_of_this_process() -> list[int]:
    """Processes that dask's nannies have started here and that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for the workers in /proc")
def test_ten_killed_workers_cost_no_part_and_double_none(study: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    rng, killed, over = random.Random(10), [], threading.Event()

    def kill() -> None:
        done = 0  # none before the first part: workers that never came up are another matter
        while len(killed) < KILLS and not over.is_set():
            time.sleep(0.005)
            workers, now = workers_of_this_process(), len(list((tmp_path / "out" / "parts").glob("*.json")))
            if now > done and len(workers) == 2:
                os.kill(victim := rng.choice(workers), signal.SIGKILL)
                killed.append(victim)
                done = now + 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = clustercast.sweep(study, tmp_path / "out", engine="dask", n_workers=2)
    finally:
        over.set()
        killer.join()
    assert len(set(killed)) == KILLS
    assert (found.parts_done, found.counts) == (70, {"considered": 140, "illegal": 7, "kept": 133})
    assert sweeps.bytes_in(tmp_path / "out") == whole


def test_a_scheduler_that_is_not_there_is_said(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "WAIT_S", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense:nonsense:1", "abc://1"):
        with pytest.raises(WrongInput) as caught:
            clustercast.sweep(study, tmp_path / "out", engine="dask", scheduler=address)
        assert caught.value.message.startswith(f"--scheduler: {address!r} cannot be reached: ")
        assert "tcp://10.0.0.5:8786" in (caught.value.hint or "")


def test_without_its_package_it_is_said(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(WrongInput, match="--engine dask needs the package distributed") as caught:
        clustercast.sweep(study, tmp_path / "out", engine="dask")
    assert "clustercast[dask]" in (caught.value.hint or "")


@pytest.mark.slow
def test_an_interrupt_leaves_whole_parts_and_no_process(study: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    def interrupt(now: Progress) -> None:
        if now.parts_done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clustercast.sweep(study, tmp_path / "out", engine="dask", n_workers=1, progress=interrupt)
    assert workers_of_this_process() == []
    there = sweeps.bytes_in(tmp_path / "out")
    assert all(whole[name] == content for name, content in there.items() if not name.endswith(".tmp"))
    clustercast.sweep(study, tmp_path / "out")
    assert sweeps.bytes_in(tmp_path / "out") == whole
