"""Kept machine code does what numba does with the same loop, or numba does it."""

import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strategies

from clustercast.physics import grid, native
from clustercast.records import Job, Plan, as_declared

LINUX = sys.platform.startswith("linux")


def add_up(job: Job, scale: float, rows: Any, out: Any) -> None:
    """A loop with one argument of each kind."""
    for i in range(len(rows)):
        out[i] = scale * (rows[i, 0] + rows[i, 1]) + job.seq_len


def divide(rows: Any, out: Any) -> None:
    """A loop that raises for a tuple that is too short."""
    for i in range(len(rows)):
        out[i] = (1.0, 2.0)[rows[i]]


def allocate(rows: Any, out: Any) -> None:
    """A loop that needs numba's runtime."""
    table = np.zeros(len(rows) + 1)
    for i in range(len(rows)):
        table[i + 1] = table[i] + rows[i]
        out[i] = table[i + 1]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and nothing remembered."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path)
    grid.compiled.cache_clear()
    yield tmp_path  # type: ignore[misc]
    grid.compiled.cache_clear()


def objects(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.o"))


def summed(rows: Any) -> list[float]:
    out = np.zeros(len(rows))
    grid.compiled(add_up)(Job(10, 1), 0.5, rows, out)
    found: list[float] = out.tolist()
    return found


ROWS = np.array([[1, 2], [3, 4]])
EXPECTED = [11.5, 13.5]


def test_a_loop_is_kept_and_loaded_again(cache: Path) -> None:
    assert summed(ROWS) == EXPECTED
    assert len(objects(cache)) == int(LINUX)
    grid.compiled.cache_clear()
    before = {file: file.stat().st_mtime_ns for file in objects(cache)}
    assert summed(ROWS) == EXPECTED
    assert {file: file.stat().st_mtime_ns for file in objects(cache)} == before


@pytest.mark.skipif(not LINUX, reason="object files are kept on Linux only")
@pytest.mark.parametrize("damage", [slice(None, -100), slice(40, None), slice(0, 0)])
def test_a_damaged_file_is_made_again(cache: Path, damage: slice) -> None:
    summed(ROWS)
    (file,) = objects(cache)
    whole = file.read_bytes()
    file.write_bytes(whole[damage])
    grid.compiled.cache_clear()
    assert summed(ROWS) == EXPECTED
    assert native.load(file) is not None
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    file.write_bytes(flipped)
    assert native.load(file) is None


def test_other_kinds_of_arguments_are_other_code(cache: Path) -> None:
    assert summed(ROWS.astype(float)) == EXPECTED
    assert summed(ROWS) == EXPECTED
    assert summed(np.asfortranarray(ROWS)) == EXPECTED
    frozen = ROWS.copy()
    frozen.setflags(write=False)
    assert summed(frozen) == EXPECTED
    assert summed(memoryview(ROWS.astype(np.int64))) == EXPECTED
    assert summed(np.zeros((0, 2), np.int64)) == []
    assert len(objects(cache)) == 2 * LINUX


def test_what_needs_numbas_runtime_is_left_to_numba(cache: Path) -> None:
    out = np.zeros(3)
    grid.compiled(allocate)(np.array([1, 2, 3]), out)
    assert out.tolist() == [1.0, 3.0, 6.0]
    assert objects(cache) == []


def test_a_loop_that_raises_raises(cache: Path) -> None:
    out = np.zeros(1)
    grid.compiled(divide)(np.array([1]), out)
    assert out.tolist() == [2.0]
    with pytest.raises(IndexError):
        grid.compiled(divide)(np.array([7]), out)


def test_a_folder_that_cannot_be_written_is_no_matter(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "not here")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert summed(ROWS) == EXPECTED
    assert objects(cache) == []


def test_a_packed_record_is_its_row() -> None:
    for seed, kind in enumerate(strategies.KINDS):
        setting = as_declared(strategies.setting(random.Random(seed), kind))
        assert native.packed(setting).content == grid.row(setting).tobytes()


def test_kinds_tell_types_apart() -> None:
    assert native.kind_of(1) != native.kind_of(1.0)
    assert native.kind_of(Job(1, 1)) != native.kind_of((1, 1))
    assert native.kind_of(Job(1, 1)) != native.kind_of(Job(1, 1.0))  # type: ignore[arg-type]
    assert native.kind_of(ROWS) != native.kind_of(ROWS[0])
    assert native.kind_of("text") is native.kind_of(True) is native.kind_of(None) is None
    assert native.kinds_of((1, "text")) == ()


@pytest.mark.slow
def test_machine_code_equals_numba_bit_for_bit_from_two_threads() -> None:
    rng = random.Random(5)
    setting = as_declared(strategies.setting(rng, "mixture", global_batch=2304))
    plans = np.array(strategies.legal_plans(rng, setting, 500), np.int64)
    by_numba = np.empty((len(plans), grid.N_STEP_FIELDS))
    helpers = (grid.plan_of,)
    folder = grid._folder_of(grid.run_steps, *helpers)
    with grid._settings(folder):
        grid._dispatcher(grid.run_steps, helpers, folder, "grid.run_steps")(grid.row(setting), plans, by_numba)
    found: list[Any] = [None, None]

    def work(at: int) -> None:
        found[at] = grid.steps(setting, plans)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all((each == by_numba).all() for each in found)
    assert plans.shape[1] == len(Plan._fields)


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="object files are kept on Linux only")
def test_a_second_search_does_without_numba() -> None:
    command = (
        "import sys, clustercast; clustercast.estimate('h20', 'gpt-3', n_chips=1024);"
        "print([name for name in ('numba', 'numpy') if name in sys.modules])"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
