"""The one place that compiles: the same plain formulas, over many plans at once, with numba.

Every function marked `@formula` is registered as it stands; a serial driver that releases the GIL
loops over plans, and callers may spread chunks over threads. Compiled results equal plain ones bit
for bit: no fastmath, no SVML, no reassociation. Numba's cache does not see edits in other files, so
its folder is named by a hash of every source that is compiled.
"""

import hashlib
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustercast.physics import formula as marks
from clustercast.physics.training import training_step
from clustercast.records import Plan, Setting, Step

if TYPE_CHECKING:
    import numpy as np

N_PLAN_FIELDS = len(Plan._fields)
N_STEP_FIELDS = len(Step._fields)
MONTH_S = 30 * 86400


def run_steps(setting: Setting, plans: Any, out: Any) -> None:
    """Evaluate `plans` [n, plan fields] into `out` [n, step fields]: every field of one step for each plan."""
    for i in range(len(plans)):
        p = plans[i]
        plan = Plan(
            p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]
        )
        step = training_step(setting, plan)
        for j in range(len(step)):
            out[i, j] = step[j]


def sources_hash(extra: Path | None = None) -> str:
    """A hash of all that decides what the compiled code computes."""
    import numba

    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    package = Path(__file__).parent
    files = [*sorted(package.glob("*.py")), package.parent / "records.py"]
    if extra is not None:
        files.append(extra)
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _register() -> None:
    """Tell numba about every formula, once per process."""
    from numba.extending import register_jitable

    import clustercast.physics as package

    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "grid":
            importlib.import_module(f"{package.__name__}.{module.name}")
    for function in marks.FORMULAS:
        register_jitable(function)


def _forget_old(caches: Path) -> None:
    """Remove compiled code of versions that nobody has used for a month; a folder that resists is no matter."""
    import shutil
    import time

    for folder in caches.glob("compiled-*"):
        if time.time() - folder.stat().st_mtime > MONTH_S:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def compiled(function: Callable[..., Any], *helpers: Callable[..., Any]) -> Callable[..., Any]:
    """The driver `function`, compiled with its helpers (from the cache on disk when nothing changed).

    The first call ever takes some seconds and says so on standard error.
    """
    import numba
    from numba.extending import register_jitable
    from platformdirs import user_cache_path

    _register()
    for helper in helpers:
        register_jitable(helper)
    source = Path(sys.modules[function.__module__].__file__ or "")
    folder = user_cache_path("clustercast", appauthor=False) / f"compiled-{sources_hash(source)}"
    stem = f"{source.stem}.{function.__name__}"
    if not any(folder.rglob(f"{stem}*.nbc")):
        sys.stderr.write("compiling the formulas for this machine (once, about ten seconds) ...\n")
        sys.stderr.flush()
        _forget_old(folder.parent)
    with _settings(folder):
        dispatcher = numba.njit(function, cache=True, nogil=True, fastmath=False, error_model="numpy")

    @wraps(dispatcher)
    def run(*arguments: Any) -> Any:
        # numba compiles at the first call, so its settings have to hold here too
        with _settings(folder):
            return dispatcher(*arguments)

    return run


@contextmanager
def _settings(folder: Path) -> Iterator[None]:
    """Numba as the formulas want it: own cache, no SVML; one level of optimisation compiles faster and runs as fast."""
    import numba

    wanted = {"CACHE_DIR": str(folder), "DISABLE_INTEL_SVML": True, "OPT": type(getattr(numba.config, "OPT"))(1)}  # noqa: B009 (unknown to its stubs)
    before = {name: getattr(numba.config, name) for name in wanted}
    try:
        for name, value in wanted.items():
            setattr(numba.config, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(numba.config, name, value)


def steps(setting: Setting, plans: "np.ndarray | Sequence[Plan]") -> "np.ndarray":
    """Every step field [n, fields] for `plans` [n, plan fields], compiled; rows that divide by zero hold infinities."""
    import numpy as np

    table = np.ascontiguousarray(plans, dtype=np.int64).reshape(-1, N_PLAN_FIELDS)
    out = np.empty((len(table), N_STEP_FIELDS))
    compiled(run_steps)(setting, table, out)
    return out
