"""How many plans a second: whole evaluations on one core, and plans considered by the exact search.

    python bench/plan_rate.py [--keep FILE]

One evaluation returns every field of `training` for one complete plan, nothing remembered between
plans. The operations are counted by running the same plain formulas on numbers that count themselves.
The last line is one JSON object; `make bench` keeps it in bench/results/.
"""

import argparse
import json
import math
import platform
import random
import time
from datetime import date
from pathlib import Path
from typing import Any

import numba
import numpy as np

from clustercast.estimates.question import Asked, fill
from clustercast.physics import grid
from clustercast.physics.training import training_step
from clustercast.plans import rules, search
from clustercast.records import Plan, Setting

N_PLANS = 100_000
REPEATS = 5
CHIP, MODEL, N_CHIPS = "h20", "1.8T", 10_000


class Tally:
    """Operations seen so far."""

    operations = 0


def _counting(name: str) -> Any:
    def method(self: Any, *others: Any) -> Any:
        Tally.operations += 1
        done = getattr(float, name)(float(self), *(float(other) for other in others))
        return Counted(done) if isinstance(done, float) else done

    return method


class Counted(float):
    """A number that counts the arithmetic and comparisons done with it."""


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    for _prefix in ("", "r"):
        setattr(Counted, f"__{_prefix}{_name}__", _counting(f"__{_prefix}{_name}__"))
for _name in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "ceil", "floor"):
    setattr(Counted, f"__{_name}__", _counting(f"__{_name}__"))
Counted.__hash__ = float.__hash__  # type: ignore[method-assign]


def counted(record: Any) -> Any:
    """The same record with numbers that count."""
    values = [counted(value) if isinstance(value, tuple) else Counted(value) for value in record]
    return type(record)(*values)


def operations(setting: Setting, plans: list[Plan]) -> float:
    """Mean arithmetic operations and comparisons of one evaluation; square roots and logarithms count nothing."""
    Tally.operations = 0
    for plan in plans:
        training_step(counted(setting), counted(plan))
    return Tally.operations / len(plans)


def random_plans(setting: Setting, n_chips: int, n_plans: int) -> list[Plan]:
    """Legal plans drawn from the search's own space."""
    space = search.space_of(setting, n_chips, {})
    draw = random.Random(20260101)
    plans: list[Plan] = []
    while len(plans) < n_plans:
        at = draw.randrange(len(space.pps))
        key, dp = draw.choice(space.keys), draw.choice(space.dps)
        plan = search.make_plan(
            key, space.pps[at], draw.choice(space.vpps[at]), dp, draw.choice(space.zeros), space.base
        )
        if not rules.first_broken(plan, setting.model, setting.job, n_chips):
            plans.append(plan)
    return plans


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", type=Path, help="also write the result to this file")
    keep = arguments.parse_args().keep
    setting = fill(Asked(CHIP, MODEL, N_CHIPS)).setting()
    few = random_plans(setting, N_CHIPS, 2000)
    table = np.array([few[i % len(few)] for i in range(N_PLANS)], np.int64)
    out = np.empty((N_PLANS, grid.N_STEP_FIELDS))
    run = grid.compiled(grid.run_steps)
    run(setting, table[:1], out[:1])
    best_s = math.inf
    for _ in range(REPEATS):
        started = time.perf_counter()
        run(setting, table, out)
        best_s = min(best_s, time.perf_counter() - started)
    plain = [training_step(setting, plan) for plan in few[:200]]
    same = all(tuple(step) == tuple(row) for step, row in zip(plain, out[:200].tolist(), strict=True))
    search.fastest(setting, N_CHIPS, {}, compiled=True)
    search_s = math.inf
    for _ in range(REPEATS):
        started = time.perf_counter()
        found = search.fastest(setting, N_CHIPS, {}, compiled=True)
        search_s = min(search_s, time.perf_counter() - started)
    result = {
        "evaluations_per_s_per_core": round(N_PLANS / best_s),
        "operations_per_evaluation": round(operations(setting, few[:100])),
        "considered_plans_per_s": round(found.n_considered / search_s),
        "search_s": round(search_s, 4),
        "considered": found.n_considered,
        "costed_whole": found.n_feasible,
        "compiled_equals_plain": same,
        "threads": 1,
        "question": f"{CHIP} {MODEL} {N_CHIPS}",
        "machine": f"{platform.machine()} {_processor()}",
        "date": date.today().isoformat(),
        "versions": {"python": platform.python_version(), "numba": numba.__version__, "numpy": np.__version__},
    }
    if keep:
        keep.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
