"""The thread engine: every point once, the same bytes however it went, and a clean end whatever happens."""

import os
import random
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
import sweeps

import clustercast
from clustercast.errors import WrongInput
from clustercast.studies.sweep import run, store
from clustercast.studies.sweep.result import Progress

CYCLES = 20


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of sums in nine parts."""
    monkeypatch.setattr(run, "space_of", sweeps.space_of)
    monkeypatch.setattr(run, "evaluator_of", sweeps.Sums)
    path = tmp_path / "study.yaml"
    path.write_text(sweeps.STUDY)
    return path


@pytest.fixture
def whole(study: Path, tmp_path: Path) -> dict[str, bytes]:
    """Every file of an uninterrupted run on one thread."""
    clustercast.sweep(study, tmp_path / "whole", n_threads=1)
    return sweeps.bytes_in(tmp_path / "whole")


def refusal(*arguments: Any, **options: Any) -> WrongInput:
    with pytest.raises(WrongInput) as caught:
        clustercast.sweep(*arguments, **options)
    return caught.value


def test_every_legal_point_is_there_once_and_counted(study: Path, tmp_path: Path) -> None:
    found = clustercast.sweep(study, tmp_path / "out")
    points = ds.dataset(tmp_path / "out" / "parts", format="parquet", exclude_invalid_files=True).to_table()["point"]
    assert len(points) == len(set(points.to_pylist())) == 133
    assert found.counts == {"considered": 140, "illegal": 7, "kept": 133}
    assert (found.parts_done, found.parts, found.complete, found.engine) == (9, 9, True, "threads")
    assert found.bytes == sum(path.stat().st_size for path in (tmp_path / "out" / "parts").glob("*.parquet"))


@pytest.mark.parametrize("n_threads", [2, 5])
def test_any_number_of_threads_writes_the_same_bytes(
    study: Path, tmp_path: Path, whole: dict[str, bytes], n_threads: int
) -> None:
    clustercast.sweep(study, tmp_path / "out", n_threads=n_threads)
    assert sweeps.bytes_in(tmp_path / "out") == whole


def test_a_second_run_evaluates_nothing_and_changes_nothing(
    study: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "evaluator_of", None)
    found = clustercast.sweep(study, tmp_path / "whole")
    assert (found.engine, found.parts_before, found.counts["kept"]) == (None, 9, 133)
    assert sweeps.bytes_in(tmp_path / "whole") == whole


def test_a_part_that_was_deleted_is_computed_again(study: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    store.forget(tmp_path / "whole", 3)
    found = clustercast.sweep(study, tmp_path / "whole")
    assert (found.parts_before, found.parts_done) == (8, 9)
    assert sweeps.bytes_in(tmp_path / "whole") == whole


def test_progress_adds_up_and_names_what_is_left(study: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    clustercast.sweep(study, tmp_path / "out", progress=told.append)
    assert (told[0].points_done, told[0].parts_done) == (0, 0)
    assert (told[-1].points_done, told[-1].parts_done, told[-1].kept, told[-1].left_s) == (140, 9, 133, 0.0)
    assert all(one.points_done <= other.points_done for one, other in pairwise(told))


def test_no_more_parts_are_at_work_than_threads(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, at_work, most = threading.Lock(), [0], [0]
    make = run.make_part

    def watched(*arguments: Any, **options: Any) -> Any:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        try:
            return make(*arguments, **options)
        finally:
            with lock:
                at_work[0] -= 1

    monkeypatch.setattr(run, "make_part", watched)
    clustercast.sweep(study, tmp_path / "out", n_threads=3)
    assert 1 <= most[0] <= 3


def breaking(space: Any, at: int, error: BaseException) -> Any:
    """An evaluator that raises at one point."""
    sums = sweeps.Sums(space)

    class Breaking:
        def part(self, first: int, last: int) -> sweeps.Found:
            if first <= at < last:
                raise error
            return sums.part(first, last)

    return Breaking()


def test_an_error_in_one_part_ends_the_run_and_leaves_the_others(
    study: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "evaluator_of", lambda space: breaking(space, 100, ArithmeticError("no")))
    with pytest.raises(ArithmeticError):
        clustercast.sweep(study, tmp_path / "out", n_threads=1)
    there = sweeps.bytes_in(tmp_path / "out")
    assert store.MANIFEST not in there
    assert 6 <= sum(name.endswith(".parquet") for name in there) < 9
    monkeypatch.setattr(run, "evaluator_of", sweeps.Sums)
    clustercast.sweep(study, tmp_path / "out")
    assert sweeps.bytes_in(tmp_path / "out") == whole


def test_an_interrupt_ends_it_cleanly_and_it_goes_on(study: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    def interrupt(now: Progress) -> None:
        if now.parts_done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clustercast.sweep(study, tmp_path / "out", n_threads=2, progress=interrupt)
    assert not [each.name for each in threading.enumerate() if each.name.startswith("sweep")]
    there = sweeps.bytes_in(tmp_path / "out")
    assert all(whole[name] == content for name, content in there.items())
    assert store.MANIFEST not in there
    found = clustercast.sweep(study, tmp_path / "out")
    assert found.parts_before >= 2
    assert sweeps.bytes_in(tmp_path / "out") == whole


def test_a_full_disk_ends_it_cleanly_and_it_goes_on(
    study: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    sync, left = os.fsync, [12]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "cannot be written: no space left on device" in refusal(study, tmp_path / "out").message
    there = sweeps.bytes_in(tmp_path / "out")
    assert not [name for name in there if name.endswith(".tmp")]
    clustercast.sweep(study, tmp_path / "out")
    assert sweeps.bytes_in(tmp_path / "out") == whole


def test_damage_is_refused_seen_by_verify_and_repaired(study: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    out = tmp_path / "whole"
    path = store.part_path(out, 4)
    content = path.read_bytes()
    path.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    for said in (refusal(study, out), refusal(study, out, verify=True)):
        assert said.message == f"{str(out)!r} is damaged: part 4 has changed since it was written"
        assert "--repair" in (said.hint or "")
        assert said.numbers == {"damaged": 1}
    assert clustercast.sweep(study, out, repair=True).parts_before == 8
    assert sweeps.bytes_in(out) == whole


def test_a_strange_file_among_the_parts_is_never_deleted(study: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    strange = tmp_path / "whole" / "parts" / "mine.parquet"
    strange.write_bytes(b"x")
    said = refusal(study, tmp_path / "whole", repair=True)
    assert ("parts/mine.parquet is no part of this run" in said.message, said.hint) == (True, "move it away")
    assert strange.exists()


def test_verify_reads_and_changes_nothing(study: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    out = tmp_path / "whole"
    found = clustercast.sweep(study, out, verify=True)
    assert (found.action, found.complete, found.parts_done, found.title) == ("verified", True, 9, "Sums")
    store.forget(out, 1)
    assert clustercast.sweep(study, out, verify=True).parts_done == 8
    (out / store.MANIFEST).write_bytes(b"{}")
    store.write_part(out, *part_of(whole, study, out, 1))
    assert "is not what the parts come to" in refusal(study, out, verify=True).message
    other = tmp_path / "other.yaml"
    other.write_text(sweeps.STUDY.replace("Sums", "Other"))
    assert 'another study (title: "Sums" before, "Other" now)' in refusal(other, out, verify=True).message
    assert "holds no sweep" in refusal(study, tmp_path, verify=True).message


def part_of(_: dict[str, bytes], study: Path, out: Path, part: int) -> tuple[Any, ...]:
    """The arguments that write one part again."""
    space = sweeps.space_of(study.read_bytes(), study)
    table, counts = run.evaluated(sweeps.Sums(space), space.part(part), 2)
    return store.run_of(store.read_identity(out)), part, space.part(part), table, counts


def test_a_dry_run_writes_nothing_and_says_how_long(study: Path, tmp_path: Path) -> None:
    found = clustercast.sweep(study, tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert (found.action, found.points, found.parts, found.parts_done) == ("planned", 140, 9, 0)
    assert found.points_per_s is not None
    assert found.left_s == pytest.approx(140 / found.points_per_s)
    assert clustercast.sweep(study, dry_run=True).out == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "ray"}, "--engine: expected threads or dask, got 'ray'"),
        ({"n_threads": 0}, "--threads: expected 1 to 10,000, got 0"),
        ({"n_workers": 2}, "--workers goes with --engine dask"),
        ({"scheduler": "tcp://x:1"}, "--scheduler goes with --engine dask"),
        ({"engine": "dask", "n_threads": 2}, "--threads goes with --engine threads"),
        ({"engine": "dask", "n_workers": 2, "scheduler": "x"}, "--workers is for a cluster on this machine"),
        ({"verify": True, "repair": True}, "--verify only reads: it does not go with --repair"),
    ],
)
def test_options_that_contradict_one_another_are_refused(
    study: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    assert refusal(study, tmp_path / "out", **options).message == message
    assert refusal(study).message == "--out is missing"
    assert not (tmp_path / "out").exists()


def n_described(folder: Path) -> int:
    return len(list((folder / "parts").glob("*.json"))) if folder.exists() else 0


@pytest.mark.slow
def test_twenty_kills_later_the_folder_is_the_same_to_the_byte(tmp_path: Path, study: Path) -> None:
    study.write_text(f"{sweeps.STUDY}part_size: 1\n")  # 140 parts
    clustercast.sweep(study, tmp_path / "whole", n_threads=2)
    out, rng, killed = tmp_path / "out", random.Random(20), 0
    for _ in range(CYCLES):
        before = n_described(out)
        child = sweeps.in_a_child(lambda: clustercast.sweep(study, out, n_threads=2))
        while n_described(out) < before + 3 and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.01))
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert killed == CYCLES
    assert before < n_described(out) < 140
    found = clustercast.sweep(study, out)
    assert found.parts_before >= 3 * CYCLES
    assert sweeps.bytes_in(out) == sweeps.bytes_in(tmp_path / "whole")
