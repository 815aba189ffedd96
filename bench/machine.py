"""What every result of a bench carries: the machine, the day, the versions, the load before, and a peak of one core.

    python bench/machine.py [--keep FILE]

The peak is of this core's scalar double arithmetic, not of its vector units: the formulas are scalar code. Twelve
independent chains of x * m + c, compiled as the formulas are (no fastmath, so no fused multiply-add), keep every
unit busy; one chain alone waits for the result of the operation before. Divisions, square roots and logarithms are
measured the same way. The bench looks into the machine code that was made and says whether it is free of SIMD.
"""

import argparse
import json
import math
import os
import platform
import re
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numba

REPEATS = 5
PEAK_REPEATS = 10
N_CHAINS = 12
N_TURNS = 4_000_000
PACKAGES = ("numpy", "numba", "pyarrow", "duckdb", "distributed", "SALib", "clustercast")


def best_s(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """The shortest of a few runs."""
    shortest = math.inf
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest


def processor() -> str:
    """The name of this machine's processor, with the numbers that tell its generation."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    told = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE))
    if "model name" not in told:
        return platform.processor()
    return f"{told['model name']}, family {told.get('cpu family', '?')} model {told.get('model', '?')}"


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide how fast a bench runs, where they are there."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def facts() -> dict[str, Any]:
    """Call it before the run: it reads the load."""
    return {
        "machine": f"{platform.machine()} {processor()}",
        "cores": n_cores(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "date": date.today().isoformat(),
        "versions": versions(),
    }


def command_line(doc: str | None, *, quick: bool = False) -> argparse.ArgumentParser:
    """The options of every bench; `quick` where it can do less."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="also write the result to this file")
    if quick:
        parser.add_argument("--quick", action="store_true", help="small sizes: to see that it runs, not how fast")
    return parser


def tell(result: dict[str, Any], keep: Path | None) -> None:
    """The result as one line of JSON, and indented in its file."""
    if keep:
        keep.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


def _multiply_add(x: float, m: float, c: float) -> float:
    return x * m + c


def _divide(x: float, m: float, _c: float) -> float:
    return x / m


def _square_root(x: float, _m: float, c: float) -> float:
    return math.sqrt(x + c)


def _logarithm(x: float, _m: float, c: float) -> float:
    return math.log2(x + c)


def _one_chain(n: int, step: Any, m: float, c: float) -> float:
    x = 1.0
    for _ in range(n):
        x = step(x, m, c)
    return x


def _twelve_chains(n: int, step: Any, m: float, c: float) -> float:
    a, b, d, e, f, g = 1.0, 2.0, 3.0, 4.0, 5.0, 6.0
    h, i, j, k, p, q = 7.0, 8.0, 9.0, 10.0, 11.0, 12.0
    for _ in range(n):
        a, b, d = step(a, m, c), step(b, m, c), step(d, m, c)
        e, f, g = step(e, m, c), step(f, m, c), step(g, m, c)
        h, i, j = step(h, m, c), step(i, m, c), step(j, m, c)
        k, p, q = step(k, m, c), step(p, m, c), step(q, m, c)
    return a + b + d + e + f + g + h + i + j + k + p + q


def peak() -> dict[str, Any]:
    """Operations a second of one core, on doubles, one at a time; a multiply-add counts as the two that it is."""
    one, twelve = numba.njit(_one_chain), numba.njit(_twelve_chains)
    rates: dict[str, float] = {}
    code = ""
    for step, n_turns in (
        (_multiply_add, N_TURNS),
        (_divide, N_TURNS // 8),
        (_square_root, N_TURNS // 8),
        (_logarithm, N_TURNS // 8),
    ):
        jitted = numba.njit(step)
        twelve(1, jitted, 0.999, 1.001)
        turn_s = best_s(partial(twelve, n_turns, jitted, 0.999, 1.001), PEAK_REPEATS) / n_turns
        rates[step.__name__.strip("_") + "_per_s"] = round(N_CHAINS / turn_s)
        code += "".join(twelve.inspect_asm().values())
    multiply_add = numba.njit(_multiply_add)
    one(1, multiply_add, 0.999, 1.001)
    dependent_s = best_s(partial(one, N_TURNS, multiply_add, 0.999, 1.001)) / N_TURNS
    return {
        "scalar_operations_per_s": 2 * rates.pop("multiply_add_per_s"),
        "dependent_operations_per_s": round(2 / dependent_s),
        **rates,
        "simd_free": not re.search(r"\b(v?(mul|add|div|sqrt)pd|vfn?m(add|sub)\w+)\b", code),
        "what": "scalar double x * m + c, 12 independent chains on one core; a multiply and an add count two",
    }


def main() -> None:
    """Measure and print."""
    keep = command_line(__doc__).parse_args().keep
    tell({**facts(), "peak": peak()}, keep)


if __name__ == "__main__":
    main()
