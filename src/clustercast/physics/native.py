"""Machine code of compiled loops, kept between processes: what numba made once runs again without importing numba.

A loop's object file lies in the cache folder beside numba's own cache, sealed by its hash, under a name made of the
kinds of its arguments and of the processor. Loading it takes a hundredth of a second; importing numba and having it
load the same code takes half of one. Only where object files are ELF (Linux); elsewhere, and for code that would
call back into numba's runtime, numba runs it.

The calling convention is numba's: a place for the result, a place for an exception, then the arguments, records and
tuples field by field, arrays as (owner, parent, items, bytes of an item, address, shape, strides).
"""

import ctypes
import hashlib
import json
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

WORD: Final = 8  # bytes of every number
ELF: Final = b"\x7fELF\x02\x01"  # 64 bits, little-endian
SYMBOL_TABLE: Final = 2  # section type of the ELF specification
UNDEFINED: Final = 0  # section of a symbol that lies elsewhere

# Runtime functions that are named in the code and only run when an array's owner ends or an exception is built:
# our loops own no arrays, and a loop that raises is run again by numba, which says what is wrong.
NEVER_CALLED: Final = frozenset((
    "NRT_Free", "NRT_MemInfo_call_dtor", "numba_do_raise", "numba_gil_ensure", "numba_gil_release",
    "numba_runtime_build_excinfo_struct", "numba_unpickle",
))  # fmt: skip

_LOCK: Final = threading.Lock()
_KEPT: Final[list[Any]] = []  # what must outlive the addresses that were taken from it


Loop = Callable[..., int]  # as ctypes calls it: its status is 0 when it is done


class Packed(NamedTuple):
    """A record as the bytes of a row: eight of them for each number, in order."""

    content: bytes
    kind: str


def packed(record: tuple[Any, ...]) -> Packed:
    """The row that `grid.row` would give, without NumPy."""
    letters, numbers = zip(*_numbers(record), strict=True)
    layout = "".join(letters)
    return Packed(struct.pack(f"<{layout}", *numbers), f"{type(record).__name__}:{layout}")


def _numbers(record: tuple[Any, ...]) -> Iterator[tuple[str, int | float]]:
    """Every number of nested records, in the form that its field declares."""
    for value, kind in zip(record, type(record).__annotations__.values(), strict=True):
        if isinstance(value, tuple):
            yield from _numbers(value)
        else:
            yield ("q", int(value)) if kind is int else ("d", float(value))


def kind_of(value: Any) -> str | None:
    """What decides how an argument is passed and what code is made for it; None for what only numba takes."""
    if isinstance(value, Packed):
        return value.kind
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return "q"
    if isinstance(value, float):
        return "d"
    if isinstance(value, tuple):
        inner = [kind_of(each) for each in value]
        return None if None in inner else f"{type(value).__name__}({''.join(map(str, inner))})"
    try:
        view = memoryview(value)
    except (TypeError, ValueError, BufferError):
        return None
    if not view.c_contiguous or view.readonly:
        return None
    return f"{view.ndim}{view.format}"


def kinds_of(values: tuple[Any, ...]) -> tuple[str, ...]:
    """The kinds of all arguments; none at all where one is only for numba."""
    kinds = tuple(map(kind_of, values))
    return tuple(each for each in kinds if each is not None) if None not in kinds else ()


def exploded(value: Any) -> Iterator[Any]:
    """An argument as the words that are passed."""
    if isinstance(value, Packed):
        yield ctypes.cast(ctypes.c_char_p(value.content), ctypes.c_void_p)
    elif isinstance(value, int):
        yield ctypes.c_int64(value)
    elif isinstance(value, float):
        yield ctypes.c_double(value)
    elif isinstance(value, tuple):
        for each in value:
            yield from exploded(each)
    else:
        view = memoryview(value)
        at = ctypes.addressof(ctypes.c_char.from_buffer(value)) if view.nbytes else 0
        shape, strides = view.shape or (), view.strides or ()
        items = view.nbytes // view.itemsize
        for word in (0, 0, items, view.itemsize, at, *shape, *strides):
            yield ctypes.c_int64(word)


@cache
def machine() -> str:
    """What machine code depends on: the processor and what it can do."""
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    return hashlib.sha256(f"{binding.get_host_cpu_name()} {features}".encode()).hexdigest()[:8]


def file_of(folder: Path, stem: str, kinds: tuple[str, ...]) -> Path:
    """Where the code of a loop for arguments of these kinds is kept."""
    said = hashlib.sha256("\n".join(kinds).encode()).hexdigest()[:12]
    return folder / "native" / f"{stem}-{said}-{machine()}.o"


def keep(file: Path, name: str, content: bytes) -> Loop | None:
    """Keep a loop's object file and load it; None where it cannot run without numba.

    A folder that cannot be written is no matter.
    name  of its function
    """
    if not sys.platform.startswith("linux") or not content.startswith(ELF):
        return None
    missing = [symbol for symbol in undefined(content) if symbol not in NEVER_CALLED]
    process = ctypes.CDLL(None)
    if not all(hasattr(process, symbol) for symbol in missing):
        return None
    body = json.dumps({"name": name}).encode() + b"\n" + content
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.{os.getpid()}")
        fresh.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        fresh.replace(file)
    except OSError:
        pass
    return _loop(body)


def undefined(content: bytes) -> list[str]:
    """The symbols that an ELF object file of 64 bits wants from elsewhere.

    Source:  the ELF-64 object file format, version 1.5
    """
    sections_at, size, n = struct.unpack_from("<Q", content, 40)[0], *struct.unpack_from("<HH", content, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", content, sections_at + size * i) for i in range(n)]
    found = []
    for _, kind, _, _, at, length, names, _, _, entry in headers:
        if kind != SYMBOL_TABLE:
            continue
        names_at = headers[names][4]
        for place in range(at + entry, at + length, entry):  # the first is none
            name, _, _, section = struct.unpack_from("<IBBH", content, place)
            if section == UNDEFINED:
                start = names_at + name
                found.append(content[start : content.index(b"\0", start)].decode())
    return found


def load(file: Path) -> Loop | None:
    """The loop that a file holds; None where there is none, or it is not whole."""
    try:
        seal, _, body = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    return _loop(body) if hashlib.sha256(body).hexdigest().encode() == seal else None


def _loop(body: bytes) -> Loop | None:
    head, _, content = body.partition(b"\n")
    with _LOCK:
        address = _linked(content, json.loads(head)["name"])
    return ctypes.CFUNCTYPE(ctypes.c_int32)(address) if address else None


def _linked(content: bytes, name: str) -> int:
    """The address of a function of an object file, after it lies in memory."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    end = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value
    for symbol in NEVER_CALLED:
        if binding.address_of_symbol(symbol) is None:
            binding.add_symbol(symbol, end)
    target = binding.Target.from_default_triple().create_target_machine()
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target)
    engine.add_object_file(binding.ObjectFileRef.from_data(content))
    engine.finalize_object()
    _KEPT.append(engine)
    address: int = engine.get_function_address(name)
    return address


def call(loop: Loop, arguments: tuple[Any, ...]) -> bool:
    """Run a loaded loop; whether it is done. The interpreter's lock is released meanwhile."""
    result, problem = ctypes.c_void_p(), ctypes.c_void_p()
    words = [word for argument in arguments for word in exploded(argument)]
    return loop(ctypes.byref(result), ctypes.byref(problem), *words) == 0
