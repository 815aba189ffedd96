"""The folder of a sweep: whose it is, one writer at a time, parts whole or not at all, no changed bit unseen."""

import errno
import json
import os
import random
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sweeps

from clustercast.errors import WrongInput
from clustercast.studies.sweep import store
from clustercast.studies.sweep.result import Damage
from clustercast.studies.sweep.space import Space

STUDY = sweeps.STUDY.encode()
N_ROWS = 5000


def space(content: bytes = STUDY) -> Space:
    return sweeps.space_of(content, Path("study.yaml"))


def identity(content: bytes = STUDY) -> store.Identity:
    return store.identity_of(space(content), content)


def table(n_rows: int = N_ROWS) -> pa.Table:
    rng = np.random.default_rng(1)
    return pa.table(
        {
            "point": np.arange(n_rows),
            "tp": np.arange(n_rows) % 4,
            "status": pa.array(np.where(np.arange(n_rows) % 3, "ok", "does not fit")).dictionary_encode(),
            "step_s": rng.uniform(1.0, 2.0, n_rows),
        }
    )


def bounds(part: int) -> tuple[int, int]:
    return part * N_ROWS, (part + 1) * N_ROWS


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder with three parts."""
    (tmp_path / store.PARTS).mkdir()
    for part in range(3):
        store.write_part(tmp_path, "a run", part, bounds(part), table(), {"kept": N_ROWS})
    return tmp_path


def begin(folder: Path, content: bytes = STUDY) -> None:
    with store.opened(folder, identity(content), content):
        pass


def refusal(folder: Path, content: bytes = STUDY) -> WrongInput:
    with pytest.raises(WrongInput) as caught:
        begin(folder, content)
    return caught.value


# --- whose it is


def test_comments_and_spelling_are_no_part_of_a_study() -> None:
    other = STUDY.replace(b"[1, 2, 4, 8]", b"[ 1, 2, 4,   8 ]   # powers") + b"\n"
    assert store.study_hash(other) == store.study_hash(STUDY)
    assert store.study_hash(STUDY.replace(b"8]", b"16]")) != store.study_hash(STUDY)


def test_the_order_of_axes_is_a_part_of_a_study(tmp_path: Path) -> None:
    begin(tmp_path)
    other = STUDY.replace(b"  tp: [1, 2, 4, 8]\n", b"") + b"  tp: [1, 2, 4, 8]\n"
    assert "changed since: the study (the order of its axes)" in refusal(tmp_path, other).message


def test_a_changed_study_is_refused_with_its_fields(tmp_path: Path) -> None:
    begin(tmp_path)
    other = STUDY.replace(b"[1, 2, 4, 8]", b"[1, 2]").replace(b"Sums", b"Other sums")
    said = refusal(tmp_path, other)
    assert said.message == (
        f"{str(tmp_path)!r} was begun with something else; changed since: the study "
        '(axes.tp: [1, 2, 4, 8] before, [1, 2] now; title: "Sums" before, "Other sums" now)'
    )
    assert "--out" in (said.hint or "")


@pytest.mark.parametrize("what", ["code", "data"])
def test_changed_code_and_data_are_refused_by_file(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path)
    files = getattr(store, f"{what}_files")
    name = sorted(files())[0]
    monkeypatch.setattr(store, f"{what}_files", lambda *given: files(*given) | {name: "0" * 16})
    assert refusal(tmp_path).message.endswith(f"changed since: the {what} ({name})")


def test_a_changed_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path)
    versions = store._versions
    monkeypatch.setattr(store, "_versions", lambda space: versions(space) | {"numpy": "9.9"})
    assert f"numpy ({np.__version__} before, 9.9 now)" in refusal(tmp_path).message


def test_physics_and_profiles_are_hashed_and_what_only_shows_is_not() -> None:
    found = identity()
    assert "physics/training.py" in found["files"]["code"]
    assert not [name for name in found["files"]["code"] if name.startswith(("cli/", "report/"))]
    assert {"hardware_profiles/chips/h20-96gb.yaml", "catalog/data/kernels.yaml"} <= set(found["files"]["data"])


def test_the_users_own_chip_is_hashed(tmp_path: Path) -> None:
    chip = tmp_path / "mine.yaml"
    chip.write_text("name: mine\n")
    own = sweeps.space_of(STUDY, Path())
    own.fixed["chip"] = str(chip)
    before = store.data_files(own)[str(chip)]
    chip.write_text("name: mine\nvendor: me\n")
    assert store.data_files(own)[str(chip)] != before


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    assert "is not empty and no sweep's folder: it holds thesis.tex" in refusal(tmp_path).message
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]
    assert "is a file, expected a folder" in refusal(tmp_path / "thesis.tex").message


def test_a_folder_that_holds_only_the_study_is_taken(tmp_path: Path) -> None:
    (tmp_path / store.STUDY).write_bytes(STUDY)
    begin(tmp_path)
    assert (tmp_path / store.IDENTITY).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"files": {}}'])
def test_a_broken_identity_is_said(tmp_path: Path, content: bytes) -> None:
    begin(tmp_path)
    (tmp_path / store.IDENTITY).write_bytes(content)
    assert "identity.json is broken" in refusal(tmp_path).message


def test_an_edited_study_in_the_folder_is_said(tmp_path: Path) -> None:
    begin(tmp_path)
    (tmp_path / store.STUDY).write_bytes(STUDY.replace(b"8]", b"16]"))
    assert "is not the study that the folder was begun with" in refusal(tmp_path).message


# --- one writer at a time


def test_two_at_once_are_refused_and_one_after_the_other_are_not(tmp_path: Path) -> None:
    with store.opened(tmp_path, identity(), STUDY):
        assert "is in use by another sweep" in refusal(tmp_path).message
    begin(tmp_path)


def test_a_dead_process_holds_no_lock(tmp_path: Path) -> None:
    ready, tell = os.pipe()

    def hold() -> None:
        with store.opened(tmp_path, identity(), STUDY):
            os.write(tell, b"!")
            signal.pause()

    child = sweeps.in_a_child(hold)
    os.read(ready, 1)
    assert "is in use" in refusal(tmp_path).message
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(tell)
    begin(tmp_path)


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    begin(tmp_path)
    left = tmp_path / store.PARTS / ".part-000001.parquet.0123456789abcdef.tmp"
    left.write_bytes(b"half")
    begin(tmp_path)
    assert not left.exists()


# --- parts


def test_a_part_is_the_same_bytes_every_time(tmp_path: Path, parts: Path) -> None:
    again = tmp_path / "again"
    (again / store.PARTS).mkdir(parents=True)
    store.write_part(again, "a run", 1, bounds(1), table(), {"kept": N_ROWS})
    for suffix in ("parquet", "json"):
        assert store.part_path(again, 1, suffix).read_bytes() == store.part_path(parts, 1, suffix).read_bytes()


def test_a_part_reads_back_as_it_was(parts: Path) -> None:
    back = pq.read_table(store.part_path(parts, 2), page_checksum_verification=True)
    assert back.replace_schema_metadata(None).equals(table())
    said = json.loads(pq.read_schema(store.part_path(parts, 2)).metadata[b"clustercast"])
    assert said == {"run": "a run", "part": 2, "first": 2 * N_ROWS, "last": 3 * N_ROWS}


def test_an_empty_part_is_a_part(tmp_path: Path) -> None:
    (tmp_path / store.PARTS).mkdir()
    entry = store.write_part(tmp_path, "a run", 0, bounds(0), table(0), {"kept": 0})
    assert store.check_part(tmp_path, "a run", 0, bounds(0)) == entry
    assert pq.read_table(store.part_path(tmp_path, 0)).num_rows == 0


def why(folder: Path, part: int = 1, *, run: str = "a run", whole: bool = True) -> str:
    found = store.check_part(folder, run, part, bounds(part), whole=whole)
    return found.why if isinstance(found, Damage) else ""


def test_what_is_wrong_with_a_part_is_said(parts: Path) -> None:
    path, beside = store.part_path(parts, 1), store.part_path(parts, 1, "json")
    content, described = path.read_bytes(), beside.read_bytes()
    assert why(parts) == ""
    assert why(parts, run="another") == "comes from another run"
    path.write_bytes(content[:-100])
    assert why(parts, whole=False) == f"has {len(content) - 100:,} bytes instead of {len(content):,}"
    path.unlink()
    assert why(parts, whole=False) == "is gone"
    path.write_bytes(content[:50] + b"?" + content[51:])
    assert (why(parts, whole=False), why(parts)) == ("", "has changed since it was written")
    for broken in (b"", b"[]", described[:-2], described.replace(b'"rows": 5', b'"rows": 6')):
        beside.write_bytes(broken)
        assert why(parts) == "has a broken description"


def test_a_part_of_another_place_is_said(parts: Path) -> None:
    for suffix in ("parquet", "json"):
        store.part_path(parts, 2, suffix).write_bytes(store.part_path(parts, 1, suffix).read_bytes())
    assert why(parts, 2) == "comes from another run"


def test_files_that_are_no_parts_are_said(parts: Path) -> None:
    (parts / store.PARTS / "part-000009.parquet").write_bytes(b"x")
    (parts / store.PARTS / "notes.txt").write_bytes(b"x")
    there, damage = store.parts_there(parts, 3)
    assert there == [0, 1, 2]
    assert [each.why for each in damage] == [
        "parts/notes.txt is no part of this run",
        "parts/part-000009.parquet is no part of this run",
    ]


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def pyarrow_sees(path: Path) -> bool:
    """Whether a plain read that verifies page checksums fails or differs."""
    try:
        back = pq.read_table(path, page_checksum_verification=True)
        back.validate(full=True)
    except (OSError, pa.ArrowException, ValueError):
        return True
    return False


def test_300_single_bit_flips_are_all_detected(parts: Path) -> None:
    rng = random.Random(6)
    seen = by_pyarrow = 0
    for _ in range(300):
        part = rng.randrange(3)
        path = store.part_path(parts, part)
        content = path.read_bytes()
        path.write_bytes(flipped(content, rng.randrange(8 * len(content))))
        seen += why(parts, part) == "has changed since it was written"
        by_pyarrow += pyarrow_sees(path)
        path.write_bytes(content)
    assert seen == 300
    assert by_pyarrow > 270  # the footer has no checksum: some flips there go unseen without the hash


def test_every_flip_in_a_description_is_detected(parts: Path) -> None:
    beside = store.part_path(parts, 1, "json")
    content = beside.read_bytes()
    rng = random.Random(6)
    for _ in range(300):
        beside.write_bytes(flipped(content, rng.randrange(8 * len(content))))
        assert why(parts) != ""


# --- storage that resists


@contextmanager
def no_file_larger_than(n_bytes: int) -> Iterator[None]:
    """The system itself refuses to write more: as near to a full disk as a test may come."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_leaves_nothing_half(parts: Path) -> None:
    before = sweeps.bytes_in(parts)
    with no_file_larger_than(10_000), pytest.raises(WrongInput) as caught:
        store.write_part(parts, "a run", 3, bounds(3), table(), {})
    assert caught.value.message == f"{store.part_path(parts, 3)} cannot be written: file too large"
    assert "make room and give the same command again" in (caught.value.hint or "")
    assert sweeps.bytes_in(parts) == before


def test_a_sync_that_fails_is_said_and_leaves_nothing_half(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = sweeps.bytes_in(parts)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WrongInput, match="no space left on device"):
            store.write_part(parts, "a run", 3, bounds(3), table(), {})
    assert sweeps.bytes_in(parts) == before


def test_a_read_only_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", read_only)
    said = refusal(tmp_path / "out")
    assert said.message == f"{tmp_path / 'out'} cannot be made: read-only file system"
    assert "name a folder that may be written" in (said.hint or "")


def test_storage_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def without(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without)
    assert "lies on storage that cannot lock files: no locks available" in refusal(tmp_path).message
