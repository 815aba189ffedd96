"""The one place that compiles: the same plain formulas, over many plans at once, with numba.

Every function marked `@formula` is registered as it stands; a serial driver that releases the GIL
loops over plans, and callers may spread chunks over threads. Compiled results equal plain ones bit
for bit: no fastmath, no SVML, no reassociation. Records travel as rows of structured arrays: compiled
code then holds a pointer where a tuple would be copied field by field from call to call, which takes
1.7 times as long. Numba's cache does not see edits in other files, so its folder is named by a hash of
every source that is compiled.
"""

import hashlib
import importlib
import pkgutil
import sys
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clustercast.physics import formula as marks
from clustercast.physics import native
from clustercast.physics.training import training_step
from clustercast.records import Plan, Record, ServingSetting, Setting, Step

if TYPE_CHECKING:
    import numpy as np

N_PLAN_FIELDS = len(Plan._fields)
N_STEP_FIELDS = len(Step._fields)
MONTH_S = 30 * 86400
OPTIONS: Final[dict[str, Any]] = {"nogil": True, "fastmath": False, "error_model": "numpy"}
_REGISTERED: Final[list[Callable[..., Any]]] = []  # what numba has been told about
SETTINGS = (Setting, ServingSetting)  # the records that are large


def plan_of(row: Any) -> Plan:
    """The plan that a row of numbers [plan fields] holds."""
    return Plan(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11], row[12],
        row[13], row[14], row[15], row[16], row[17],
    )  # fmt: skip


def run_steps(setting: Setting, plans: Any, out: Any) -> None:
    """Evaluate `plans` [n, plan fields] into `out` [n, step fields]: every field of one step for each plan."""
    for i in range(len(plans)):
        step = training_step(setting, plan_of(plans[i]))
        for j in range(len(step)):
            out[i, j] = step[j]


@cache
def row_type(kind: type) -> "np.dtype[Any]":
    """The layout of a record, and of the records in it, as one row of numbers that compiled formulas read."""
    import numpy as np

    def of(field: type) -> Any:
        if hasattr(field, "_fields"):
            return row_type(field)
        return np.int64 if field is int else np.float64

    return np.dtype([(name, of(field)) for name, field in kind.__annotations__.items()])


def row(record: tuple[Any, ...]) -> Any:
    """A record as a row: formulas read its fields by the same names.

    >>> from clustercast.records import Job
    >>> row(Job(8192, 7200))["seq_len"]
    np.int64(8192)
    """
    import numpy as np

    return np.array([record], row_type(type(record)))[0]


def record(kind: type[Record], values: Any) -> Record:
    """The record that a row holds: `row` undone.

    >>> from clustercast.records import Job
    >>> record(Job, row(Job(8192, 7200)))
    Job(seq_len=8192, global_batch=7200)
    """
    plain = values.item() if hasattr(values, "item") else values
    parts = zip(kind.__annotations__.values(), plain, strict=True)
    return kind(*(record(part, value) if hasattr(part, "_fields") else value for part, value in parts))


def sources_hash(*extra: Path) -> str:
    """A hash of all that decides what the compiled code computes."""
    from importlib.metadata import version

    digest = hashlib.sha256(f"{version('numba')} {sys.version}".encode())
    package = Path(__file__).parent
    files = [*sorted(package.glob("*.py")), package.parent / "records.py", *extra]
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _register(helpers: tuple[Callable[..., Any], ...]) -> None:
    """Tell numba about every formula and these helpers, once per process."""
    from numba.extending import register_jitable

    import clustercast.physics as package

    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in ("grid", "native"):
            importlib.import_module(f"{package.__name__}.{module.name}")
    for function in (*marks.FORMULAS, *helpers):
        if function not in _REGISTERED:
            register_jitable(function)
            _REGISTERED.append(function)


def _forget_old(caches: Path) -> None:
    """Remove compiled code of versions that nobody has used for a month; a folder that resists is no matter."""
    import shutil
    import time

    for folder in caches.glob("compiled-*"):
        if time.time() - folder.stat().st_mtime > MONTH_S:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def compiled(function: Callable[..., Any], *helpers: Callable[..., Any]) -> Callable[..., None]:
    """The driver `function`, compiled with its helpers (from the cache on disk when nothing changed).

    Settings are given to it as rows; memory views are taken for arrays. Where `native` can, its machine code runs
    without numba once it is made; elsewhere numba runs it. The first call ever takes some seconds and says so on
    standard error.
    """
    folder = _folder_of(function, *helpers)
    stem = f"{Path(sys.modules[function.__module__].__file__ or '').stem}.{function.__name__}"
    loaded: dict[tuple[str, ...], native.Loop | None] = {}
    lock = threading.Lock()

    def run(*arguments: Any) -> None:
        given = tuple(native.packed(each) if isinstance(each, SETTINGS) else each for each in arguments)
        kinds = native.kinds_of(given)
        if kinds:
            with lock:
                if kinds not in loaded:
                    file = native.file_of(folder, stem, kinds)
                    loaded[kinds] = native.load(file) or _built(function, helpers, file, arguments)
            loop = loaded[kinds]
            if loop is not None and native.call(loop, given):
                return
        # numba compiles at the first call, so its settings have to hold here too
        with _settings(folder):
            _dispatcher(function, helpers, folder, stem)(*map(_as_numba_takes, arguments))

    return run


def _folder_of(*functions: Callable[..., Any]) -> Path:
    """Where the machine code of these functions is kept."""
    from platformdirs import user_cache_path

    modules = sorted({each.__module__ for each in functions})
    sources = [Path(sys.modules[name].__file__ or "") for name in modules]
    return user_cache_path("clustercast", appauthor=False) / f"compiled-{sources_hash(*sources)}"


def _as_numba_takes(argument: Any) -> Any:
    import numpy as np

    if isinstance(argument, SETTINGS):
        return row(argument)
    return np.asarray(argument) if isinstance(argument, (array, memoryview)) else argument


def _built(
    function: Callable[..., Any], helpers: tuple[Callable[..., Any], ...], file: Path, arguments: tuple[Any, ...]
) -> native.Loop | None:
    """The machine code of a driver for arguments like these, made by numba and kept in `file`."""
    import numba

    _say(file.parent.parent)
    _register(helpers)
    with _settings(file.parent):
        njit: Any = numba.njit  # its stubs do not know that wrappers can be left out
        dispatcher = njit(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)
        types = tuple(numba.typeof(_as_numba_takes(each)) for each in arguments)
        dispatcher.compile(types)
    done = dispatcher.overloads[types]
    return native.keep(file, done.fndesc.llvm_func_name, bytes(done.library._get_compiled_object()))


@cache
def _dispatcher(function: Callable[..., Any], helpers: tuple[Callable[..., Any], ...], folder: Path, stem: str) -> Any:
    """The driver as numba runs and keeps it itself."""
    import numba

    if not any(folder.rglob(f"{stem}*.nbc")):
        _say(folder)
    _register(helpers)
    with _settings(folder):
        return numba.njit(function, cache=True, **OPTIONS)


def _say(folder: Path) -> None:
    """Before compilation: what takes so long."""
    sys.stderr.write("compiling the formulas for this machine (once, about ten seconds) ...\n")
    sys.stderr.flush()
    _forget_old(folder.parent)


_SETTINGS_LOCK = threading.Lock()
_BEFORE: list[dict[str, Any]] = []  # numba's own settings, once for every thread that is inside `_settings`


@contextmanager
def _settings(folder: Path) -> Iterator[None]:
    """Numba as the formulas want it: own cache, no SVML, optimised at level two (level three gains nothing).

    Of several threads the first one in changes its settings and the last one out restores them.
    """
    import numba

    wanted = {"CACHE_DIR": str(folder), "DISABLE_INTEL_SVML": True, "OPT": type(getattr(numba.config, "OPT"))(2)}  # noqa: B009 (unknown to its stubs)
    with _SETTINGS_LOCK:
        _BEFORE.append(_BEFORE[0] if _BEFORE else {name: getattr(numba.config, name) for name in wanted})
        for name, value in wanted.items():
            setattr(numba.config, name, value)
    try:
        yield
    finally:
        with _SETTINGS_LOCK:
            before = _BEFORE.pop()
            if not _BEFORE:
                for name, value in before.items():
                    setattr(numba.config, name, value)


def steps(setting: Setting, plans: "np.ndarray | Sequence[Plan]") -> "np.ndarray":
    """Every step field [n, fields] for `plans` [n, plan fields], compiled; rows that divide by zero hold infinities."""
    import numpy as np

    table = np.ascontiguousarray(plans, dtype=np.int64).reshape(-1, N_PLAN_FIELDS)
    out = np.empty((len(table), N_STEP_FIELDS))
    compiled(run_steps, plan_of)(setting, table, out)
    return out
