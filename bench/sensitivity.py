"""How long a study of sensitivity takes: Sobol over 12 parameters with 100,000 model evaluations, as a whole process.

    python bench/sensitivity.py [--keep FILE]

The process searches the plan, screens all parameters for the 12 that move the answer most, evaluates, resamples the
intervals and prints. The evaluations alone are timed apart, plain and compiled, on one thread. The last line is one
JSON object; `make bench` keeps it in bench/results/.
"""

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import numba
import numpy as np

from clustercast.estimates.question import Asked, fill
from clustercast.studies.sensitivity import methods
from clustercast.studies.sensitivity.model import COMPILED_FROM, Problem
from clustercast.studies.sensitivity.parameters import all_parameters, usual_ones, values
from clustercast.studies.sensitivity.study import serving_problem, training_problem

REPEATS = 3
EVALUATIONS = 100_000
PLAINLY = 300
QUESTIONS = {
    "training": ("--chip", "h20", "--model", "1.8T", "--count", "10000"),
    "serving": ("--chip", "h20", "--model", "llama-3.1-70b", "--count", "8", "--batch", "16", "--of", "tpot"),
}


def best_s(work: Callable[[], Any]) -> float:
    """The shortest of a few runs."""
    shortest = math.inf
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def children_s() -> float:
    """Processor time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def process_s(*more: str) -> tuple[float, float, Any]:
    """The shortest whole process of one command, warm; the mean processor time of one; and what it said."""
    command = [sys.executable, "-m", "clustercast", "sensitivity", *more, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    before_s = children_s()
    wall_s = best_s(lambda: subprocess.run(command, check=True, capture_output=True))
    return wall_s, (children_s() - before_s) / REPEATS, json.loads(done.stdout)


def evaluated(problem: Problem, question: Any) -> dict[str, Any]:
    """Evaluations a second on one thread, of 12 parameters."""
    found = usual_ones(question, all_parameters(question, problem))[:12]
    samples = values(found, methods.sobol_cube(len(found), EVALUATIONS, 0))
    few = samples[:PLAINLY]
    compiled = problem.many(found, samples, compiled=True)
    plain = problem.many(found, few, compiled=False)
    return {
        "evaluations_per_s": round(len(samples) / best_s(lambda: problem.many(found, samples, compiled=True))),
        "evaluations_per_s_plain": round(PLAINLY / best_s(lambda: problem.many(found, few, compiled=False))),
        "compiled_equals_plain": compiled[:PLAINLY].tolist() == plain.tolist(),
        "samples": len(samples),
    }


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", type=Path, help="also write the result to this file")
    keep = arguments.parse_args().keep
    train = fill(Asked("h20", "1.8T", 10_000))
    served = fill(Asked("h20", "llama-3.1-70b", 8, batch=16))
    sobol = ("--method", "sobol", "--n", str(EVALUATIONS))
    result: dict[str, Any] = {}
    for half, problem, question in (
        ("training", training_problem(train), train),
        ("serving", serving_problem(served)[0], served),
    ):
        wall_s, cpu_s, told = process_s(*QUESTIONS[half], *sobol)
        tornado_s, tornado_cpu_s, _ = process_s(*QUESTIONS[half])
        result[half] = {
            "sobol_process_s": round(wall_s, 2),
            "sobol_processor_s": round(cpu_s, 2),
            "sobol_parameters": len(told["parameters"]),
            "sobol_evaluations": told["evaluations"],
            "tornado_process_s": round(tornado_s, 2),
            "tornado_processor_s": round(tornado_cpu_s, 2),
        } | evaluated(problem, question)
    result |= {
        "compiled_from_samples": COMPILED_FROM,
        "load_average": round(os.getloadavg()[0], 1),  # of other work on the machine too: wall time is at its mercy
        "threads": 1,
        "machine": f"{platform.machine()} {processor()}",
        "date": date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            "numba": numba.__version__,
            "numpy": np.__version__,
            "SALib": metadata.version("SALib"),
        },
    }
    if keep:
        keep.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
