"""The steady-state formulas of serving against the event-driven simulation, and how fast the simulation is.

    python bench/simulate.py [--open N] [--closed N] [--burst N] [--seed N] [--keep FILE]

Scenarios are drawn with a fixed seed: chips, models and engines of the catalogue, layouts, prompt and answer lengths
(fixed or spread), prefix hits, drafts, chunk sizes. Open loop: Poisson arrivals at 5 to 85 % of saturation, and that
rate itself; once more with fresh seeds. Closed loop: 1 to 1,024 clients that ask again at once, in one of seven about
as many as fit, or more. Bursts: ten requests a client, all clients begin at once, as published benchmarks do. Every
scenario counts; the worst are shown.
The last line is one JSON object; `--keep` writes it to bench/results/simulate.json, parts not run staying as they were.
"""

import argparse
import json
import math
import platform
import random
import time
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from clustercast.errors import ClustercastError, NoAnswer
from clustercast.estimates.question import Asked, fill
from clustercast.estimates.serving import layouts
from clustercast.physics.loop import closed_loop
from clustercast.physics.queueing import (
    Demand,
    Steady,
    n_slots_of,
    open_loop,
    saturation_requests_per_s,
    tpot_percentile_s,
)
from clustercast.physics.serving import free_bytes
from clustercast.records import Load, ServingJob, ServingPlan, ServingSetting
from clustercast.studies.serving.simulate import (
    Simulated,
    Traffic,
    by_percentiles,
    check,
    demand_of,
    fixed,
    simulate,
)

SEED = 20260101
CHIPS = ("h100", "h20", "a100", "b200", "h200", "mi300x", "ascend-910b", "a800", "v100")
MODELS = (
    "llama-3.1-8b",
    "llama-3.1-70b",
    "qwen3-32b",
    "deepseek-v3",
    "qwen3-30b-a3b",
    "mixtral-8x7b",
    "qwen3-235b-a22b",
    "gpt-oss-120b",
)
ENGINES = ("vllm", "sglang", "trtllm")
METRICS = ("throughput", "tpot", "ttft", "ttft_p50", "ttft_p90", "ttft_p99", "tpot_p50", "tpot_p90", "tpot_p99")
METRICS += ("in_flight", "saturation_spread_lengths", "saturation_fixed_lengths")
FRESH_SEEDS = (7, 8)  # for the open loop alone: scenarios that no formula was looked at with
LIMITS = {"throughput": 0.03, "tpot": 0.05, "ttft": 0.15}
LEAST_FREE_BYTES = 4e9
BUSY = 0.65  # from this load on first tokens scatter, and a simulation is longer
CROWDED = 0.15  # of the closed scenarios: about as many clients as fit, or more
MOST_CLIENTS = 1500
WAVES = 10.0
MOST_IN_FLIGHT = 2000  # where a simulation is made longer with the number in flight


class Scenario(NamedTuple):
    """One serving question with its traffic."""

    name: str
    setting: ServingSetting
    plan: ServingPlan
    traffic: Traffic


@cache
def setting_of(chip: str, model: str, engine: str) -> ServingSetting | None:
    """What the physics sees of a chip, a model and an engine; None where they do not go together."""
    try:
        return fill(Asked(chip, model, 64, engine=engine)).serving_setting()
    except ClustercastError:
        return None


def scenario(rng: random.Random) -> Scenario:
    """A random scenario whose model and longest request fit; its load is set afterwards."""
    while True:
        chip, model, engine = rng.choice(CHIPS), rng.choice(MODELS), rng.choice(ENGINES)
        setting = setting_of(chip, model, engine)
        if setting is None:
            continue
        domain = setting.cluster.scale_up.n_chips
        plans = [plan for size in (1, 2, 4, 8, 16) for plan in layouts(size, setting.model, domain) if plan.pp <= 4]
        plan = rng.choice(plans)
        if free_bytes(setting, plan) < LEAST_FREE_BYTES:
            continue
        tuned = setting.engine._replace(
            chunk_tokens=rng.choice((2048.0, 8192.0, 8192.0, 16384.0)), max_batch=rng.choice((64.0, 256.0, 1024.0))
        )
        setting = setting._replace(engine=tuned)
        inputs, outputs = int(128 * 2 ** (6 * rng.random())), int(16 * 2 ** (6 * rng.random()))
        if rng.random() < 0.5:
            lengths = fixed(inputs), fixed(outputs)
        else:
            lengths = tuple(by_percentiles({5: mean / 4, 50: 0.8 * mean, 95: 2.5 * mean}) for mean in (inputs, outputs))
        n_drafts, accepted = rng.choice(((0.0, 1.0), (0.0, 1.0), (1.0, 1.7)))
        traffic = Traffic(
            *lengths, hit_fraction=rng.choice((0.0, 0.0, 0.5)), n_drafts=n_drafts, accepted_tokens=accepted
        )
        longest = int(max(traffic.input_len.values) + max(traffic.output_len.values))
        try:
            check(setting, plan, traffic._replace(requests_per_s=1.0), longest)
        except NoAnswer:
            continue
        layout = " ".join(f"{key}={value}" for key, value in plan._asdict().items() if value > 1) or "one chip"
        spread = "fixed" if traffic.input_len.variation == 0.0 else "spread"
        name = f"{chip} {model} {engine} {layout}, {inputs}/{outputs} tokens {spread}"
        return Scenario(name, setting, plan, traffic)


def compared(name: str, formula: Steady, demand: Demand, seen: Simulated) -> dict[str, Any]:
    """Errors of the formulas, simulation as the reference."""
    found = seen.summary()
    tpot_s = {share: tpot_percentile_s(0.01 * share, formula.shape, demand) for share in (50, 99)}

    def error(value: float, reference: float) -> float:
        return value / reference - 1.0 if reference > 0.0 else 0.0

    return {
        "name": name,
        "throughput": error(formula.requests_per_s, found["requests_per_s"]),
        "tpot": error(formula.tpot_s, found["tpot_s"]),
        "ttft": error(formula.ttft_s, found["ttft_s"]),
        "ttft_p50": error(formula.ttft_p50_s, found["ttft_p50_s"]),
        "ttft_p90": error(formula.ttft_p90_s, found["ttft_p90_s"]),
        "ttft_p99": error(formula.ttft_p99_s, found["ttft_p99_s"]),
        "tpot_p50": error(tpot_s[50], found["tpot_p50_s"]),
        "tpot_p90": error(formula.tpot_p90_s, found["tpot_p90_s"]),
        "tpot_p99": error(tpot_s[99], found["tpot_p99_s"]),
        "in_flight": error(formula.in_flight, found["in_flight"]),
        "kv_fraction_difference": formula.kv_fraction - found["kv_fraction"],
        "preemptions_per_request": seen.preemptions_per_request,
        "load": formula.load_fraction,
        "n_requests": len(seen.ttft_s),
    }


def open_row(rng: random.Random, seed: int) -> dict[str, Any]:
    """One scenario under Poisson arrivals."""
    drawn = scenario(rng)
    demand = demand_of(drawn.traffic)
    load = rng.uniform(0.05, 0.85)
    rate = load * saturation_requests_per_s(demand, drawn.setting, drawn.plan)
    formula = open_loop(rate, demand, drawn.setting, drawn.plan)
    crowd = min(formula.in_flight, MOST_IN_FLIGHT)
    seen = simulate(
        drawn.setting,
        drawn.plan,
        drawn.traffic._replace(requests_per_s=rate),
        n_requests=max(40_000 if load < BUSY else 120_000, int(100 * crowd)),
        n_warm=int(8000 + 15 * crowd),
        seed=seed,
        compiled=True,
    )
    row = compared(f"{drawn.name}, load {load:.2f}", formula, demand, seen)
    kind = "spread" if "spread" in drawn.name else "fixed"
    row[f"saturation_{kind}_lengths"] = saturation_error(drawn, formula, kind, seed)
    return row


def saturation_error(drawn: Scenario, formula: Steady, kind: str, seed: int) -> float:
    """Error of the saturation rate.

    Lengths that differ: against more clients than fit. Fixed lengths keep the phases in which requests began, so that
    what a full replica serves depends on how it was filled: against arrivals at 1.05 of the rate, from empty.
    """
    slots = int(formula.n_slots)
    traffic = drawn.traffic._replace(concurrency=2 * slots + 64)
    n_requests, n_warm = max(4000, 12 * slots), 8 * slots + 256
    if kind == "fixed":
        traffic = drawn.traffic._replace(requests_per_s=1.05 * formula.saturation_requests_per_s)
        n_requests, n_warm = max(8000, 6 * slots), max(4000, 4 * slots)
    seen = simulate(drawn.setting, drawn.plan, traffic, n_requests=n_requests, n_warm=n_warm, seed=seed, compiled=True)
    return formula.saturation_requests_per_s / seen.requests_per_s - 1.0


def job_of(demand: Demand, clients: int, n_waves: float) -> ServingJob:
    """What the closed loop asks of a replica."""
    return ServingJob(
        demand.input_len,  # type: ignore[arg-type]
        demand.output_len,  # type: ignore[arg-type]
        float(clients),
        demand.n_drafts,
        demand.accepted_tokens,
        demand.hit_fraction,
        demand.input_square_factor,
        demand.output_square_factor,
        n_waves,
    )


def compared_closed(name: str, formula: Load, seen: Simulated) -> dict[str, Any]:
    """Errors of the closed loop, simulation as the reference."""
    found = seen.summary()
    return {
        "name": name,
        "throughput": formula.requests_per_s / found["requests_per_s"] - 1.0,
        "tpot": formula.tpot_s / found["tpot_s"] - 1.0 if found["tpot_s"] > 0.0 else 0.0,
        "ttft": formula.ttft_s / found["ttft_s"] - 1.0,
        "preemptions_per_request": seen.preemptions_per_request,
        "n_requests": len(seen.ttft_s),
    }


def closed_row(rng: random.Random, seed: int) -> dict[str, Any]:
    """One scenario with clients that ask again at once; in one of seven about as many as fit, or more."""
    drawn = scenario(rng)
    demand = demand_of(drawn.traffic)
    slots = n_slots_of(demand, drawn.setting, drawn.plan)
    clients = max(1, int(min(2 ** (10 * rng.random()), 0.7 * slots)))
    if rng.random() < CROWDED and 2.5 * slots < MOST_CLIENTS:
        clients = max(2, int(slots * rng.uniform(0.9, 2.5)))
    formula = closed_loop(drawn.setting, job_of(demand, clients, 0.0), drawn.plan)
    seen = simulate(
        drawn.setting,
        drawn.plan,
        drawn.traffic._replace(concurrency=clients),
        n_requests=max(10_000, 60 * clients),
        n_warm=500 + 8 * clients,
        seed=seed,
        compiled=True,
    )
    return compared_closed(f"{drawn.name}, {clients} clients", formula, seen)


def burst_row(rng: random.Random, seed: int) -> dict[str, Any]:
    """One scenario as benchmarks load it: ten requests a client, all begin at once, lengths 80 to 100 % of the longest.

    Only the mean TTFT and TPOT of all requests are compared: such a run has no steady throughput.
    """
    drawn = scenario(rng)
    lengths = tuple(
        by_percentiles({0: max(0.8 * mean, 1.0), 100: mean})
        for mean in (drawn.traffic.input_len.mean, drawn.traffic.output_len.mean)
    )
    traffic = drawn.traffic._replace(input_len=lengths[0], output_len=lengths[1])
    demand = demand_of(traffic)
    slots = n_slots_of(demand, drawn.setting, drawn.plan)
    clients = max(1, int(min(2 ** (10 * rng.random()), 0.7 * slots)))
    formula = closed_loop(drawn.setting, job_of(demand, clients, WAVES), drawn.plan)
    n_requests = int(WAVES) * clients
    loaded = traffic._replace(concurrency=clients, burst=True)
    seen = simulate(drawn.setting, drawn.plan, loaded, n_requests=n_requests, n_warm=0, seed=seed, compiled=True)
    row = compared_closed(f"{drawn.name}, {clients} clients, {WAVES:.0f} waves", formula, seen)
    del row["throughput"]
    return row


def agreement(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many scenarios are inside the limits, and the errors' median, 90th percentile and worst."""
    table: dict[str, Any] = {"scenarios": len(rows)}
    for metric in METRICS:
        errors = np.array([row[metric] for row in rows if metric in row])
        if not len(errors):
            continue
        table[metric] = {
            "median": round(float(np.median(np.abs(errors))), 4),
            "p90": round(float(np.quantile(np.abs(errors), 0.9)), 4),
            "worst": round(float(np.abs(errors).max()), 4),
            "bias": round(float(np.median(errors)), 4),
        }
        if metric in LIMITS:
            table[metric]["limit"] = LIMITS[metric]
            table[metric]["inside"] = round(float((np.abs(errors) <= LIMITS[metric]).mean()), 4)
    limits = {metric: limit for metric, limit in LIMITS.items() if metric in rows[0]}
    outside = [row for row in rows if any(abs(row[metric]) > limit for metric, limit in limits.items())]
    outside.sort(key=lambda row: -max(abs(row[metric]) / limit for metric, limit in limits.items()))
    table["inside_all"] = round(1.0 - len(outside) / len(rows), 4)
    table["outside"] = [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        for row in outside[:12]
    ]
    return table


def speed() -> dict[str, float]:
    """Requests simulated per second, compiled and warm."""
    setting = setting_of("h100", "llama-3.1-8b", "vllm")
    assert setting is not None
    plan = ServingPlan(1, 1, 1, 1, 1)
    lengths = by_percentiles({10: 200, 50: 1000, 99: 3000}), by_percentiles({10: 50, 50: 200, 99: 600})
    traffic = Traffic(*lengths, requests_per_s=10.0)
    best_s, n_steps = math.inf, 0
    for _ in range(3):
        started = time.perf_counter()
        n_steps = simulate(setting, plan, traffic, n_requests=10_000, compiled=True).n_steps
        best_s = min(best_s, time.perf_counter() - started)
    started = time.perf_counter()
    simulate(setting, plan, traffic, n_requests=1000, compiled=False)
    plain_s = time.perf_counter() - started
    return {
        "requests_per_s": round(10_000 / best_s),
        "steps_per_s": round(n_steps / best_s),
        "seconds_for_10000_requests": round(best_s, 4),
        "plain_requests_per_s": round(1000 / plain_s),
    }


def main() -> None:
    """Compare, time and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--open", type=int, default=200, help="scenarios under Poisson arrivals")
    arguments.add_argument("--fresh", type=int, default=200, help="the same with each of two other seeds")
    arguments.add_argument("--closed", type=int, default=420, help="scenarios with clients that ask again at once")
    arguments.add_argument("--burst", type=int, default=100, help="scenarios as benchmarks load them")
    arguments.add_argument("--seed", type=int, default=SEED, help="another seed draws other scenarios")
    arguments.add_argument("--keep", type=Path, help="also write the result to this file")
    given = arguments.parse_args()
    # each kind draws its own, so that one does not move the others
    opened = [open_row(rng, seed) for rng in [random.Random(given.seed)] for seed in range(given.open)]
    fresh = [open_row(rng, at) for seed in FRESH_SEEDS for rng in [random.Random(seed)] for at in range(given.fresh)]
    closed = [closed_row(rng, seed) for rng in [random.Random(given.seed + 1)] for seed in range(given.closed)]
    bursts = [burst_row(rng, seed) for rng in [random.Random(given.seed + 2)] for seed in range(given.burst)]
    spread = [row for row in closed if "spread" in row["name"]]
    level = [row for row in closed if "fixed" in row["name"]]
    result = {
        "open_loop": agreement(opened) if opened else None,
        "open_loop_fresh_seeds": agreement(fresh) if fresh else None,
        "closed_loop_spread_lengths": agreement(spread) if spread else None,
        "closed_loop_fixed_lengths": agreement(level) if level else None,
        "closed_loop_ten_waves": agreement(bursts) if bursts else None,
        "speed": speed(),
        "seed": given.seed,
        "machine": f"{platform.machine()}",
        "date": date.today().isoformat(),
        "versions": {"python": platform.python_version(), "numba": numba.__version__, "numpy": np.__version__},
    }
    if given.keep and given.keep.exists():
        before = json.loads(given.keep.read_text(encoding="utf-8"))
        result = {key: before.get(key) if value is None else value for key, value in result.items()}
    if given.keep:
        given.keep.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
