"""How many plans a second an exact search considers, and what factoring saves against costing every plan whole.

    python bench/search_rate.py [--quick] [--all] [--keep FILE]

The spaces are those of `plans.search.space_of`; --quick narrows them. Where a space is small enough, the compiled
driver also costs every legal plan of it whole, one by one, and must come to the same best plan: to the same seconds,
bit for bit. The last line is one JSON object; `make bench` keeps it in bench/results/.
"""

import math
import time
from typing import Any

import machine
import numpy as np

from clustercast.estimates.question import Asked, fill
from clustercast.physics import grid
from clustercast.physics.training import training_step
from clustercast.plans import rules, search
from clustercast.plans.text import as_text
from clustercast.records import Plan, Setting

QUESTIONS = {
    "GPT-3 175B on 1,024 A100": Asked("a100-80gb", "gpt-3", 1024),
    "GPT-4 1.8T on 10,000 H20": Asked("h20", "1.8T", 10_000),
}
QUICKLY = {"tp": 8, "recompute": 0}
WHOLE_BELOW = 50_000_000  # plans in a space that is also costed whole; --all: in all spaces, which takes minutes


def cost_all(
    setting: Setting,
    keys: Any,
    pps: Any,
    vpps: Any,
    n_vpps: Any,
    dps: Any,
    zeros: Any,
    base: Plan,
    n_chips: int,
    cap_bytes: float,
    best_plan: Any,
    counts: Any,
) -> None:
    """Cost every legal plan of a space whole: `best_plan` takes the fastest that fits.

    counts  considered, costed, fitting, seconds of the best, plans that need as long
    """
    for k in range(len(keys)):
        for a in range(len(pps)):
            for b in range(len(dps)):
                for c in range(n_vpps[a]):
                    for d in range(len(zeros)):
                        counts[0] += 1
                        plan = search.make_plan(keys[k], pps[a], vpps[a][c], dps[b], zeros[d], base)
                        if rules.broken_rule(plan, setting.model, setting.job, n_chips) != rules.LEGAL:
                            continue
                        counts[1] += 1
                        step = training_step(setting, plan)
                        if step.memory_bytes > cap_bytes:
                            continue
                        counts[2] += 1
                        if step.step_s == counts[3]:
                            counts[4] += 1
                        if step.step_s < counts[3]:
                            counts[3] = step.step_s
                            counts[4] = 1
                            for f in range(len(plan)):
                                best_plan[f] = plan[f]


def costed_whole(setting: Setting, n_chips: int, fixed: dict[str, int]) -> tuple[float, Plan, list[float]]:
    """Seconds that costing the whole space takes; its best plan; the counts of `cost_all`."""
    space = search.space_of(setting, n_chips, fixed)
    vpps = np.zeros((len(space.pps), max(map(len, space.vpps))), np.int64)
    for row, some in zip(vpps, space.vpps, strict=True):
        row[: len(some)] = some
    n_vpps = np.array([len(some) for some in space.vpps])
    lists = [np.array(some, np.int64) for some in (space.keys, space.pps)]
    later = [np.array(some, np.int64) for some in (space.dps, space.zeros)]
    capacity_bytes = setting.chip.hbm_bytes - setting.chip.reserved_bytes
    run = grid.compiled(cost_all, search.make_plan, *rules.HELPERS)
    best_plan, counts = np.zeros(len(space.base), np.int64), np.zeros(5)

    def work(n_keys: int) -> None:
        counts[:] = (0.0, 0.0, 0.0, math.inf, 0.0)
        few = lists[0][:n_keys]
        run(
            grid.row(setting), few, lists[1], vpps, n_vpps, *later, space.base, n_chips, capacity_bytes,
            best_plan, counts,
        )  # fmt: skip

    work(1)
    started = time.perf_counter()
    work(len(space.keys))
    return time.perf_counter() - started, Plan(*best_plan.tolist()), counts.tolist()


def searched(asked: Asked, fixed: dict[str, int], most: float) -> dict[str, Any]:
    """One question: the factored search, and the whole one where there are at most so many plans."""
    setting, n_chips = fill(asked).setting(), asked.n_chips or 1
    found = search.fastest(setting, n_chips, fixed, compiled=True)
    search_s = machine.best_s(lambda: search.fastest(setting, n_chips, fixed, compiled=True))
    result: dict[str, Any] = {
        "considered": found.n_considered,
        "costed_whole": found.n_feasible,
        "search_s": round(search_s, 5),
        "considered_plans_per_s": round(found.n_considered / search_s),
        "best_step_s": found.steps_s[0],
        "best_plan": as_text(found.plans[0]),
    }
    if found.n_considered <= most:
        whole_s, plan, counts = costed_whole(setting, n_chips, fixed)
        if counts[3] != found.steps_s[0] or counts[0] != found.n_considered:
            raise SystemExit(f"{asked}: the search found {found}, costing every plan {plan} in {counts[3]} s")
        result["every_plan_whole"] = {
            "considered": int(counts[0]),
            "costed": int(counts[1]),
            "fitting": int(counts[2]),
            "wall_s": round(whole_s, 3),
            "considered_plans_per_s": round(counts[0] / whole_s),
            "times_as_long": round(whole_s / search_s),
            "same_best_plan": plan == found.plans[0],
            "as_fast_as_the_best": int(counts[4]),
        }
    return result


def main() -> None:
    """Measure and print."""
    parser = machine.command_line(__doc__, quick=True)
    parser.add_argument("--all", action="store_true", help="cost the large spaces whole too: minutes")
    arguments = parser.parse_args()
    facts = machine.facts()
    fixed = QUICKLY if arguments.quick else {}
    most = math.inf if arguments.all else WHOLE_BELOW
    questions = {name: searched(asked, fixed, most) for name, asked in QUESTIONS.items()}
    machine.tell({"questions": questions, "threads": 1, **facts}, arguments.keep)


if __name__ == "__main__":
    main()
