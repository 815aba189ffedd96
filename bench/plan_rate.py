"""How many plans a second: whole evaluations on one core and on two, against NumPy and against a core's peak.

    python bench/plan_rate.py [--quick] [--keep FILE]

One evaluation returns every field of `training` for one complete plan, nothing remembered between plans. The
operations are counted by running the same plain formulas on numbers that count themselves. The NumPy baseline runs the
same formulas over whole arrays (bench/arrays.py), in blocks of the size that suits it best. The last line is one JSON
object; `make bench` keeps it in bench/results/.
"""

import importlib
import math
import pkgutil
import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from unittest import mock

import arrays
import machine
import numpy as np

import clustercast.physics
from clustercast.estimates.question import Asked, fill
from clustercast.physics import grid
from clustercast.physics.training import training_step
from clustercast.plans import rules, search
from clustercast.records import Plan, Setting

CHIP, MODEL, N_CHIPS = "h20", "1.8T", 10_000
N_PLANS, N_DISTINCT, N_PLAIN, N_COUNTED = 100_000, 20_000, 200, 100
N_CHECKED = 1000  # plans on which NumPy has to agree
AGREES = 1e-12
SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)
BLOCKS = (256, 512, 1024, 2048, 4096, 8192, 16384, 65536)
QUICKLY = 10  # --quick: everything that many times smaller
SIMPLE = ("add", "sub", "mul", "neg", "lt", "le", "gt", "ge", "eq", "ne", "ceil", "floor", "pow")
DIVISIONS = ("truediv", "floordiv", "mod")

tally: Counter[str] = Counter()


def _counting(name: str, kind: str) -> Any:
    def method(self: Any, *others: Any) -> Any:
        tally[kind] += 1
        done = getattr(float, name)(float(self), *(float(other) for other in others))
        return Counted(done) if isinstance(done, float) else done

    return method


class Counted(float):
    """A number that counts the arithmetic and comparisons done with it."""


for _names, _kind in ((SIMPLE, "simple"), (DIVISIONS, "divisions")):
    for _name in _names:
        for _method in (f"__{_name}__", f"__r{_name}__"):
            if hasattr(float, _method):
                setattr(Counted, _method, _counting(_method, _kind))
Counted.__hash__ = float.__hash__  # type: ignore[method-assign]


def _counted_function(function: Any, kind: str) -> Any:
    def counted_one(value: float) -> Counted:
        tally[kind] += 1
        return Counted(function(value))

    return counted_one


def counted(record: Any) -> Any:
    """The same record with numbers that count."""
    values = [counted(value) if isinstance(value, tuple) else Counted(value) for value in record]
    return type(record)(*values)


def operations(setting: Setting, plans: Sequence[Plan]) -> dict[str, float]:
    """Mean operations of one evaluation: divisions, square roots, logarithms, and the rest with comparisons."""
    tally.clear()
    with ExitStack() as patches:
        for module in pkgutil.iter_modules(clustercast.physics.__path__):
            physics = importlib.import_module(f"clustercast.physics.{module.name}")
            patches.enter_context(mock.patch.object(physics, "float", Counted, create=True))
        for name, kind in (("sqrt", "square_roots"), ("log2", "logarithms")):
            patches.enter_context(mock.patch.object(math, name, _counted_function(getattr(math, name), kind)))
        for plan in plans:
            training_step(counted(setting), counted(plan))
    return {kind: round(tally[kind] / len(plans), 1) for kind in ("simple", "divisions", "square_roots", "logarithms")}


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


def time_of(n_plans: int, setting: Setting, table: np.ndarray, n_threads: int = 1) -> float:
    """Seconds of `n_plans` compiled evaluations, in blocks of the table, on one thread or in equal parts on more."""
    run = grid.compiled(grid.run_steps, grid.plan_of)
    row = grid.row(setting)
    out = np.empty((len(table), grid.N_STEP_FIELDS))

    def part(first: int, last: int) -> None:
        run(row, table[first:last], out[first:last])

    def all_parts(spread: Any) -> None:
        for first in range(0, n_plans, len(table)):
            n_now = min(n_plans - first, len(table))
            cuts = [n_now * i // n_threads for i in range(n_threads + 1)]
            list(spread(part, cuts[:-1], cuts[1:]))

    part(0, 1)
    repeats = 3 if n_plans > len(table) else machine.REPEATS
    if n_threads == 1:
        return machine.best_s(lambda: all_parts(map), repeats)
    with ThreadPoolExecutor(n_threads) as pool:
        return machine.best_s(lambda: all_parts(pool.map), repeats)


def numpy_rates(setting: Setting, table: np.ndarray) -> dict[int, float]:
    """Evaluations a second of whole-array NumPy, by the size of its blocks."""
    rates = {}
    for block in BLOCKS:
        if block <= len(table):
            n_blocks = max(1, min(len(table), 32768) // block)

            def work(block: int = block, n_blocks: int = n_blocks) -> None:
                for i in range(n_blocks):
                    arrays.steps(setting, table[i * block : (i + 1) * block])

            rates[block] = block * n_blocks / machine.best_s(work, 3)
    return rates


def checked(setting: Setting, plans: Sequence[Plan]) -> dict[str, Any]:
    """That all three compute the same: nothing is timed that is wrong."""
    plain = [tuple(training_step(setting, plan)) for plan in plans]
    if [tuple(row) for row in grid.steps(setting, plans).tolist()] != plain:
        raise SystemExit("the compiled formulas differ from the plain ones")
    numpy = numpy_difference(setting, plans)
    if not numpy["largest"] <= AGREES:
        raise SystemExit(f"NumPy differs from the plain formulas by {numpy['largest']:.1e}")
    return {"compiled_equals_plain": True, "numpy_against_plain": numpy}


def numpy_difference(setting: Setting, plans: Sequence[Plan]) -> dict[str, float]:
    """How far whole-array NumPy is from the plain formulas: the largest relative error, and the share that is equal."""
    plain = np.array([training_step(setting, plan) for plan in plans])
    whole = arrays.steps(setting, np.array(plans, np.int64))
    error = np.abs(whole - plain) / np.maximum(np.abs(plain), np.finfo(float).tiny)
    return {"largest": float(error.max()), "bit_equal_fraction": round(float(np.mean(whole == plain)), 6)}


def shares(count: dict[str, float], evaluations_per_s: float, peak: dict[str, Any]) -> dict[str, float]:
    """Of the core's scalar peak: all operations as if simple; and each kind at the rate of its own."""
    least_s = count["simple"] / peak["scalar_operations_per_s"] + count["divisions"] / peak["divide_per_s"]
    least_s += count["square_roots"] / peak["square_root_per_s"] + count["logarithms"] / peak["logarithm_per_s"]
    return {
        "share_of_scalar_peak": round(sum(count.values()) * evaluations_per_s / peak["scalar_operations_per_s"], 3),
        "share_of_mixed_peak": round(least_s * evaluations_per_s, 3),
    }


def main() -> None:
    """Measure and print."""
    arguments = machine.command_line(__doc__, quick=True).parse_args()
    less = QUICKLY if arguments.quick else 1
    facts, peak = machine.facts(), machine.peak()
    setting = fill(Asked(CHIP, MODEL, N_CHIPS)).setting()
    few = random_plans(setting, N_CHIPS, N_DISTINCT // less)
    agreement = checked(setting, few[:N_CHECKED])
    table = np.array([few[i % len(few)] for i in range(N_PLANS // less)], np.int64)
    plainly = few[:N_PLAIN]
    rate = len(table) / time_of(len(table), setting, table)
    two = len(table) / time_of(len(table), setting, table, 2)
    plain_rate = N_PLAIN / machine.best_s(lambda: [training_step(setting, plan) for plan in plainly], 3)
    by_block = numpy_rates(setting, table)
    block = max(by_block, key=lambda size: by_block[size])
    each_us = {n // less: 1e6 * time_of(n // less, setting, table) / (n // less) for n in SIZES}
    count = operations(setting, few[:N_COUNTED])
    machine.tell(
        {
            "evaluations_per_s_per_core": round(rate),
            "evaluations_per_s_two_threads": round(two),
            "evaluations_per_s_numpy": round(by_block[block]),
            "evaluations_per_s_plain": round(plain_rate),
            "two_threads_over_one": round(two / rate, 2),
            "compiled_over_numpy": round(rate / by_block[block], 1),
            "compiled_over_plain": round(rate / plain_rate, 1),
            "operations_per_evaluation": round(sum(count.values())),
            "operations_by_kind": count,
            **shares(count, rate, peak),
            "numpy_block_plans": block,
            "numpy_by_block": {size: round(found) for size, found in by_block.items()},
            "us_per_evaluation_by_plans": {n: round(found, 4) for n, found in each_us.items()},
            "spread_over_sizes": round(max(each_us.values()) / min(each_us.values()) - 1.0, 3),
            **agreement,
            "distinct_plans": len(few),
            "question": f"{CHIP} {MODEL} {N_CHIPS}",
            **facts,
            "peak": peak,
        },
        arguments.keep,
    )


if __name__ == "__main__":
    main()
