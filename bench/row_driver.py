"""Many rows at once, each with its own setting: the formulas compiled over a table of flattened records.

    table = flatten(settings);  steps = driver(Setting, ...)(table, plans)

A fit changes columns of the table and runs the driver again, which takes milliseconds for a thousand rows.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from clustercast import records
from clustercast.physics import grid


def leaves(kind: type, prefix: str = "") -> Iterator[tuple[str, type]]:
    """Every number of a record and of the records in it, by dotted name, in order."""
    for name, field in kind.__annotations__.items():
        if hasattr(field, "_fields"):
            yield from leaves(field, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def columns(kind: type) -> dict[str, int]:
    """The column of each number in a flattened record."""
    return {name: i for i, (name, _) in enumerate(leaves(kind))}


def flat(record: Any) -> Iterator[float]:
    """The numbers of a record and of the records in it."""
    for value in record:
        if isinstance(value, tuple):
            yield from flat(value)
        else:
            yield float(value)


def flatten(things: Sequence[Any]) -> np.ndarray:
    """Records as rows of numbers [n, leaves]."""
    return np.array([list(flat(thing)) for thing in things])


def built(kind: type, table: str, first: int) -> tuple[str, int]:
    """Source text that builds a record from row i of a table, and the next column."""
    parts = []
    for field in kind.__annotations__.values():
        if hasattr(field, "_fields"):
            text, first = built(field, table, first)
            parts.append(text)
        else:
            parts.append(f"{field.__name__}({table}[i, {first}])")
            first += 1
    return f"{kind.__name__}({', '.join(parts)})", first


def driver(formula: Callable[..., Any], kinds: Sequence[type], n_out: int) -> Callable[..., np.ndarray]:
    """`formula(*records)` over rows: takes one table per kind, gives [n, n_out] numbers of the record it returns."""
    names = {kind.__name__ for kind in kinds}
    pending = list(kinds)
    while pending:
        for field in pending.pop().__annotations__.values():
            if hasattr(field, "_fields") and field.__name__ not in names:
                names.add(field.__name__)
                pending.append(field)
    tables = [f"table_{n}" for n in range(len(kinds))]
    calls = ", ".join(built(kind, table, 0)[0] for kind, table in zip(kinds, tables, strict=True))
    text = "\n".join(
        (
            f"from {formula.__module__} import {formula.__name__}",
            f"from clustercast.records import {', '.join(sorted(names))}",
            "",
            "",
            f"def run_rows({', '.join(tables)}, out):",
            f"    for i in range(len({tables[0]})):",
            f"        found = {formula.__name__}({calls})",
            f"        for j in range({n_out}):",
            "            out[i, j] = found[j]",
            "",
        )
    )
    module = _module(text)
    run = grid.compiled(module.run_rows)

    def rows(*given: np.ndarray) -> np.ndarray:
        out = np.empty((len(given[0]), n_out))
        run(*given, out)
        return out

    return rows


def _module(text: str) -> ModuleType:
    """The module of that source text, written to the cache so that numba can keep what it compiles."""
    name = f"rows_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    path = Path(user_cache_path("clustercast", appauthor=False)) / "drivers" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def training_driver() -> Callable[..., np.ndarray]:
    """Every field of a step for each row: tables of settings and of plans."""
    from clustercast.physics.training import training_step

    return driver(training_step, (records.Setting, records.Plan), len(records.Step._fields))
