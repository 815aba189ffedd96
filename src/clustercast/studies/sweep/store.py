"""The folder of a sweep: what it belongs to, its parts, their sums, and one writer at a time.

    DIR/study.yaml                  the study as it was given
    DIR/identity.json               written first: hashes of the study, of the code and of the data, versions, sizes
    DIR/parts/part-000000.parquet   the points kept of one range
    DIR/parts/part-000000.json      written after it: range, rows, bytes, SHA-256, counts
    DIR/manifest.json               written last: every part and the totals
    DIR/.lock                       empty; the system's lock on it ends with the process that holds it

A file is written beside its place, synced and renamed, so that it is there whole or not at all. Its bytes depend on
the study, the code, the data and the versions, and on nothing else: not on the time, the machine, the number of
workers, or on how often the run was broken off.
"""

import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from clustercast.errors import WrongInput
from clustercast.studies.sweep.result import SCHEMA, Damage

if TYPE_CHECKING:
    import pyarrow as pa

    from clustercast.studies.sweep.space import Space

STUDY: Final = "study.yaml"
IDENTITY: Final = "identity.json"
MANIFEST: Final = "manifest.json"
PARTS: Final = "parts"
LOCK: Final = ".lock"

# Ten million rows of 15 columns took 1.44 s to write with lz4, 1.50 s with snappy and 1.87 s with zstd, at 41.3, 41.4
# and 39.9 bytes a row, once floats lie byte by byte; without that 1.69, 1.88 and 2.08 s at 52, 51 and 45 bytes.
COMPRESSION: Final = "lz4"

HASHED_BYTES: Final = 2**20  # read at once
SHORT_HASH: Final = 16  # hexadecimal digits: enough to tell two versions of one file
MOST_NAMED: Final = 3  # differences, files, parts that a message names
MOST_SHOWN: Final = 60  # characters of a value in a message

_PART: Final = re.compile(r"part-(\d{6,})\.(parquet|json)")
_LEFT_OVER: Final = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")

# The rooms that decide a number: not how it is asked and shown, nor the other studies (a test holds it).
_CODE: Final = (
    "units.py", "errors.py", "records.py", "physics/", "catalog/", "plans/", "estimates/", "studies/sensitivity/",
    "studies/sweep/",
)  # fmt: skip
_DATA: Final = ("hardware_profiles", "workloads")

HASHED: Final = ("code", "data")

Identity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished part, as the file beside it says."""

    part: int
    first: int
    last: int
    rows: int
    bytes: int
    sha256: str
    counts: dict[str, int]


# --- what a folder belongs to ---------------------------------------------------------------------------------------


def identity_of(space: "Space", study: bytes) -> Identity:
    """All that decides the bytes of a run, as identity.json holds it."""
    code, data = code_files(), data_files(space)
    return {
        "schema": SCHEMA,
        "study": study_hash(study),
        "code": _hash_of(code),
        "data": _hash_of(data),
        "versions": _versions(space),
        "n_points": space.n_points,
        "part_size": space.part_size,
        "n_parts": space.n_parts,
        "files": {"code": code, "data": data},
    }


def run_of(identity: Identity) -> str:
    """The name of a run in its parts: SHA-256 of its identity."""
    return hashlib.sha256(_document(identity)).hexdigest()


def canonical(study: bytes, path: Path = Path(STUDY)) -> dict[str, Any]:
    """The study's data without comments and spelling, top level in alphabetical order; axes keep theirs.

    Raises WrongInput where it is no YAML.
    """
    from clustercast.catalog import read

    data = read.parse(study, path)
    return {key: data[key] for key in sorted(data)}


def study_hash(study: bytes) -> str:
    """SHA-256 of what the study says: another comment or another order of its fields is the same study.

    >>> study_hash(b"title: x\\nabout: training\\n") == study_hash(b"about: training   # why\\ntitle: 'x'\\n")
    True
    """
    return hashlib.sha256(json.dumps(canonical(study), ensure_ascii=False).encode()).hexdigest()


def code_files() -> dict[str, str]:
    """The package's sources that decide a number, each with its hash."""
    package = Path(__file__).parents[2]
    return {
        name: _short_hash(path)
        for path in sorted(package.rglob("*.py"))
        if (name := path.relative_to(package).as_posix()).startswith(_CODE)
    }


def data_files(space: "Space | None" = None) -> dict[str, str]:
    """Profiles, models and constants, and the user's own files that the study names, each with its hash."""
    from clustercast.catalog import find, read

    root, constants = read.data_root(), Path(read.__file__).parent / "data"
    files = {
        path.relative_to(root).as_posix(): _short_hash(path)
        for room in _DATA
        for path in sorted((root / room).rglob("*.yaml"))
    }
    files |= {f"catalog/data/{path.name}": _short_hash(path) for path in sorted(constants.glob("*.yaml"))}
    for value in sorted(_texts(space)) if space is not None else ():
        own = find.user_file(value)
        if own is not None and (file := own / "config.json" if own.is_dir() else own).is_file():
            files[value] = _short_hash(file)
    return files


def _texts(space: "Space") -> set[str]:
    """Every text value of the study."""
    values = [value for axis in space.axes for value in axis.values] + list(space.fixed.values())
    return {value for value in values if isinstance(value, str)}


def _versions(space: "Space") -> dict[str, str]:
    """Of what computes and writes; of the samples' and the conditions' library only where the study has some."""
    import platform
    from importlib.metadata import version

    from clustercast import __version__

    names = ["numpy", "numba", "pyarrow"]
    names += ["scipy"] if space.samples is not None else []
    names += ["duckdb"] if space.conditions else []
    return {"clustercast": __version__, "python": platform.python_version(), **{name: version(name) for name in names}}


def _hash_of(files: Mapping[str, str]) -> str:
    return hashlib.sha256(_document(files)).hexdigest()


def _short_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:SHORT_HASH]


def _document(data: Any) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def differences(before: Identity, now: Identity, study_before: bytes, study_now: bytes) -> list[str]:
    """What is not as it was when the folder was begun, each in a few words."""
    said = []
    if before["study"] != now["study"]:
        said.append(f"the study ({_few(study_differences(study_before, study_now), '; ')})")
    for what in HASHED:
        if before[what] != now[what]:
            said.append(f"the {what} ({_few(_changed(before['files'][what], now['files'][what]))})")
    old, new = before["versions"], now["versions"]
    said += [
        f"{name} ({old.get(name, 'none')} before, {new.get(name, 'none')} now)"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    sizes = [name for name in ("schema", "n_points", "part_size", "n_parts") if before.get(name) != now[name]]
    if not said:
        said += [f"{name} ({before.get(name)} before, {now[name]} now)" for name in sizes]
    return said


def study_differences(before: bytes, now: bytes) -> list[str]:
    """The fields of two studies that differ.

    >>> study_differences(b"axes: {tp: [1, 2], pp: [1]}", b"axes: {tp: [1], pp: [1]}\\nkeep: all")
    ['axes.tp: [1, 2] before, [1] now', 'keep: none before, "all" now']
    """
    old, new = _flat(canonical(before)), _flat(canonical(now))
    said = [
        f"{name}: {_shown(old, name)} before, {_shown(new, name)} now"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    return said or ["the order of its axes"]


def _flat(data: Any, name: str = "") -> dict[str, str]:
    """Leaves under their dotted names, as JSON."""
    if not isinstance(data, dict) or not data:
        return {name: json.dumps(data, ensure_ascii=False)}
    flat: dict[str, str] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{name}.{key}" if name else key)
    return flat


def _shown(flat: Mapping[str, str], name: str) -> str:
    text = flat.get(name, "none")
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]


def _few(said: Sequence[str], between: str = ", ") -> str:
    """The first few and how many more.

    >>> _few(["a", "b", "c", "d"])
    'a, b, c, and 1 more'
    """
    more = len(said) - MOST_NAMED
    return between.join([*said[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


# --- one writer at a time -------------------------------------------------------------------------------------------


@contextmanager
def opened(folder: Path, identity: Identity, study: bytes) -> "Iterator[None]":
    """A run's folder, made or found again, and nobody else's until the block is left.

    Raises WrongInput where the folder is not ours, belongs to another study, code or data, is in use, or resists.
    """
    refuse_strange(folder, study)
    with trouble(folder, "made"):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        refuse_strange(folder, study)
        refuse_other(folder, identity, study)
        with trouble(folder / PARTS, "made"):
            (folder / PARTS).mkdir(exist_ok=True)
        forget_left_overs(folder)
        if not (folder / IDENTITY).exists():
            write(folder / IDENTITY, _document(identity))
        if not (folder / STUDY).exists():
            write(folder / STUDY, study)
        yield


def refuse_strange(folder: Path, study: bytes) -> None:
    """Take an empty folder, or one that a sweep began; nothing else."""
    if folder.exists() and not folder.is_dir():
        raise WrongInput(f"--out: {str(folder)!r} is a file, expected a folder")
    if not folder.exists() or (folder / IDENTITY).exists():
        return
    with trouble(folder, "read"):
        found = sorted(each.name for each in folder.iterdir())
        strange = [name for name in found if name not in (LOCK, PARTS, STUDY) and not _LEFT_OVER.fullmatch(name)]
        if STUDY in found and (folder / STUDY).read_bytes() != study:
            strange.append(STUDY)
        if PARTS in found and any((folder / PARTS).iterdir()):
            strange.append(PARTS)
    if strange:
        raise WrongInput(
            f"--out: {str(folder)!r} is not empty and no sweep's folder: it holds {_few(strange)}",
            hint="name a folder that is new or empty",
        )


def refuse_other(folder: Path, identity: Identity, study: bytes) -> None:
    """Refuse a folder that was begun with another study, code, data or version."""
    if not (folder / IDENTITY).exists():
        return
    before = read_identity(folder)
    said = differences(before, identity, _kept_study(folder, before, study), study)
    if said:
        raise WrongInput(
            f"{str(folder)!r} was begun with something else; changed since: {', '.join(said)}",
            hint="name another folder with --out, or go on with what it was begun with",
        )


def refuse_other_study(folder: Path, identity: Identity, study: bytes) -> None:
    """Refuse a folder that was begun with another study, whatever the code and the data. Raises WrongInput."""
    kept = _kept_study(folder, identity, study)
    if study_hash(study) != identity["study"]:
        said = _few(study_differences(kept, study), "; ")
        raise WrongInput(
            f"{str(folder)!r} was begun with another study ({said})",
            hint=f"give {folder / STUDY}, or name another folder with --out",
        )


def _kept_study(folder: Path, identity: Identity, study: bytes) -> bytes:
    """The study that lies in the folder; this one where a kill came before it was written. Raises WrongInput."""
    with trouble(folder / STUDY, "read"):
        kept = (folder / STUDY).read_bytes() if (folder / STUDY).exists() else study
    if kept is not study and study_hash(kept) != identity["study"]:
        raise WrongInput(
            f"{folder / STUDY} is not the study that the folder was begun with",
            hint="put it back, or name another folder with --out",
        )
    return kept


def read_identity(folder: Path) -> Identity:
    """What a folder belongs to. Raises WrongInput where that cannot be read."""
    try:
        found = json.loads((folder / IDENTITY).read_bytes())
    except FileNotFoundError:
        raise WrongInput(f"{str(folder)!r} holds no sweep", hint="run `sweep STUDY --out` with this folder") from None
    except OSError as error:
        raise WrongInput(f"{folder / IDENTITY} cannot be read: {_reason(error)}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not _whole_identity(found):
        raise WrongInput(f"{folder / IDENTITY} is broken", hint="delete the folder, or name another one with --out")
    return found


def _whole_identity(found: Identity) -> bool:
    """Whether it has all that is read from it, and its sums agree with what they sum up."""
    sizes, files = (found.get("n_points"), found.get("part_size"), found.get("n_parts")), found.get("files")
    if not all(type(each) is int and each > 0 for each in sizes) or not isinstance(files, dict):
        return False
    texts = isinstance(found.get("study"), str) and isinstance(found.get("versions"), dict)
    return texts and all(isinstance(files.get(of), dict) and _hash_of(files[of]) == found.get(of) for of in HASHED)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder. The system drops the lock with the process, however that ends; nothing has to be cleaned up.

    On shared storage this holds between machines where the storage keeps `flock` across them (NFS 4, Lustre mounted
    with -o flock, GPFS); where it has none at all, the sweep is refused.
    """
    try:
        import fcntl
    except ImportError:
        raise WrongInput("sweep locks its folder as Unix does", hint="on Windows, run it in WSL") from None
    with trouble(folder / LOCK, "opened"):
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongInput(
                f"{str(folder)!r} is in use by another sweep", hint="wait for it, or name another folder with --out"
            ) from None
        except OSError as error:
            raise WrongInput(
                f"{str(folder)!r} lies on storage that cannot lock files: {_reason(error)}",
                hint="use storage with flock (for Lustre, mount with -o flock)",
            ) from None
        yield
    finally:
        os.close(handle)


def forget_left_overs(folder: Path) -> None:
    """Remove the temporary files of processes that were killed."""
    for room in (folder, folder / PARTS):
        with trouble(room, "tidied"):
            for each in room.iterdir():
                if _LEFT_OVER.fullmatch(each.name):
                    each.unlink(missing_ok=True)


# --- files whole or not at all --------------------------------------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    """Write a file beside its place, sync it and move it there. Raises WrongInput; nothing is left then."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with trouble(path, "written"):
        try:
            with fresh.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power; some file systems cannot, and need not."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


@contextmanager
def trouble(path: Path, doing: str) -> Iterator[None]:
    """The system's refusals in words: no space, no right, a limit."""
    try:
        yield
    except OSError as error:
        _refused(path, doing, error)


def _refused(path: Path, doing: str, error: OSError) -> NoReturn:
    hint = None
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "make room and give the same command again: parts that are done stay, and it goes on after them"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "name a folder that may be written with --out"
    raise WrongInput(f"{path} cannot be {doing}: {_reason(error)}", hint=hint) from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


# --- parts ----------------------------------------------------------------------------------------------------------


def part_path(folder: Path, part: int, suffix: str = "parquet") -> Path:
    """Where a part lies.

    >>> part_path(Path("out"), 7).as_posix(), part_path(Path("out"), 1234567, "json").as_posix()
    ('out/parts/part-000007.parquet', 'out/parts/part-1234567.json')
    """
    return folder / PARTS / f"part-{part:06d}.{suffix}"


def write_part(
    folder: Path, run: str, part: int, bounds: tuple[int, int], table: "pa.Table", counts: Mapping[str, int]
) -> Entry:
    """Write one part and then what it is. Raises WrongInput; the part is then not there."""
    first, last = bounds
    content = parquet(table, {"run": run, "part": part, "first": first, "last": last})
    digest = hashlib.sha256(content).hexdigest()
    entry = Entry(part, first, last, table.num_rows, len(content), digest, dict(counts))
    write(part_path(folder, part), content)
    write(part_path(folder, part, "json"), _described(run, entry))
    return entry


def _described(run: str, entry: Entry) -> bytes:
    """The file beside a part. Its last field is a hash of the others, so that no bit of it can change unseen."""
    said = {"run": run, **asdict(entry)}
    return _document({**said, "check": hashlib.sha256(_document(said)).hexdigest()[:SHORT_HASH]})


def parquet(table: "pa.Table", said: Mapping[str, str | int]) -> bytes:
    """A table as the bytes of one Parquet file with a checksum on every page.

    Floats lie byte by byte (all first bytes, then all second ones), point numbers as differences, all else by
    dictionary: what little is alike in these columns is then side by side.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    floats = [each.name for each in table.schema if pa.types.is_floating(each.type)]
    encodings = dict.fromkeys(floats, "BYTE_STREAM_SPLIT")
    if "point" in table.column_names:
        encodings["point"] = "DELTA_BINARY_PACKED"
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({"clustercast": json.dumps(said)}),
        sink,
        row_group_size=max(table.num_rows, 1),
        compression=COMPRESSION,
        use_dictionary=[name for name in table.column_names if name not in encodings],
        column_encoding=encodings or None,
        write_page_checksum=True,
        version="2.6",
        data_page_version="1.0",
        write_statistics=True,
    )
    found: bytes = sink.getvalue().to_pybytes()
    return found


def parts_there(folder: Path, n_parts: int) -> tuple[list[int], list[Damage]]:
    """Parts that say they are finished, in order, and files among the parts that are none of this run's."""
    finished, strange = [], []
    with trouble(folder / PARTS, "read"):
        names = [each.name for each in os.scandir(folder / PARTS)]
    for name in names:
        found = _PART.fullmatch(name)
        if found is None or int(found[1]) >= n_parts:
            if not _LEFT_OVER.fullmatch(name):
                strange.append(Damage(None, f"{PARTS}/{name} is no part of this run"))
        elif found[2] == "json":
            finished.append(int(found[1]))
    return sorted(finished), sorted(strange, key=lambda each: each.why)


def check_part(folder: Path, run: str, part: int, bounds: tuple[int, int], *, whole: bool = True) -> Entry | Damage:
    """What a part says it is, if that is so: by its size alone, or by every byte of it.

    whole  read the part and compare its SHA-256
    """
    try:
        content = part_path(folder, part, "json").read_bytes()
    except OSError as error:
        return Damage(part, f"has a description that cannot be read: {_reason(error)}")
    found = _entry_of(content)
    if found is None:
        return Damage(part, "has a broken description")
    from_run, entry = found
    if from_run != run or (entry.part, entry.first, entry.last) != (part, *bounds):
        return Damage(part, "comes from another run")
    path = part_path(folder, part)
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            return Damage(part, f"has {size:,} bytes instead of {entry.bytes:,}")
        if whole and sha256_of(path) != entry.sha256:
            return Damage(part, "has changed since it was written")
    except FileNotFoundError:
        return Damage(part, "is gone")
    except OSError as error:
        return Damage(part, f"cannot be read: {_reason(error)}")
    return entry


def _entry_of(content: bytes) -> tuple[str, Entry] | None:
    """The run and the part that a description names; None where it is not to the byte what was once written."""
    try:
        said = json.loads(content)
        run, entry = said.pop("run"), Entry(**{name: said[name] for name in said if name != "check"})
        whole = (entry.part, entry.first, entry.last, entry.rows, entry.bytes, *entry.counts.values())
        same = _described(run, entry) == content
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return (run, entry) if same and all(type(each) is int and each >= 0 for each in whole) else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(HASHED_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def checked(
    folder: Path,
    identity: Identity,
    bounds: Callable[[int], tuple[int, int]],
    *,
    whole: bool = True,
    n_threads: int = 1,
    on_part: Callable[[], None] = lambda: None,
) -> tuple[dict[int, Entry], list[Damage]]:
    """All parts that are there and right, and what is wrong with others. Reads in several threads."""
    from concurrent.futures import ThreadPoolExecutor

    run = run_of(identity)
    there, damage = parts_there(folder, identity["n_parts"])
    entries = {}
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for found in pool.map(lambda part: check_part(folder, run, part, bounds(part), whole=whole), there):
                if isinstance(found, Entry):
                    entries[found.part] = found
                    on_part()
                else:
                    damage.append(found)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return entries, damage


def forget(folder: Path, part: int) -> None:
    """Remove a part, what says that it is finished first."""
    for suffix in ("json", "parquet"):
        path = part_path(folder, part, suffix)
        with trouble(path, "removed"):
            path.unlink(missing_ok=True)


def damaged(folder: Path, damage: Sequence[Damage]) -> WrongInput:
    """The error for parts that are not as they were written."""
    said = [each.why if each.part is None else f"part {each.part} {each.why}" for each in damage]
    only_strange = all(each.part is None for each in damage)
    hint = "move it away" if only_strange else "--repair computes such parts again; or delete them yourself"
    return WrongInput(f"{str(folder)!r} is damaged: {_few(said, '; ')}", hint=hint, numbers={"damaged": len(damage)})


def totals(entries: Mapping[int, Entry]) -> dict[str, Any]:
    """Sums over parts: rows, bytes, counts."""
    counts: dict[str, int] = {}
    for part in sorted(entries):
        for name, n in entries[part].counts.items():
            counts[name] = counts.get(name, 0) + n
    return {
        "rows": sum(each.rows for each in entries.values()),
        "bytes": sum(each.bytes for each in entries.values()),
        "counts": counts,
    }


def write_manifest(folder: Path, identity: Identity, entries: Mapping[int, Entry]) -> None:
    """Write the manifest of a whole run, unless it is there as it should be. Raises WrongInput."""
    content = manifest(identity, entries)
    if not _holds(folder / MANIFEST, content):
        write(folder / MANIFEST, content)


def check_manifest(folder: Path, identity: Identity, entries: Mapping[int, Entry]) -> None:
    """Refuse a manifest that is not what the parts come to. Raises WrongInput."""
    if not _holds(folder / MANIFEST, manifest(identity, entries)):
        raise WrongInput(
            f"{folder / MANIFEST} is not what the parts come to", hint="sweep without --verify writes it again"
        )


def manifest(identity: Identity, entries: Mapping[int, Entry]) -> bytes:
    """What is in the folder: the identity, the totals, every part."""
    parts = [asdict(entries[part]) for part in sorted(entries)]
    return _document({**identity, "run": run_of(identity), "totals": totals(entries), "parts": parts})


def _holds(path: Path, content: bytes) -> bool:
    with trouble(path, "read"):
        return path.exists() and path.read_bytes() == content


def forget_manifest(folder: Path) -> None:
    """A folder of which parts are missing has none."""
    with trouble(folder / MANIFEST, "removed"):
        (folder / MANIFEST).unlink(missing_ok=True)
