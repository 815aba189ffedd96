"""How long a study of sensitivity takes: Sobol over 12 parameters with 100,000 model evaluations, as a whole process.

    python bench/sensitivity.py [--keep FILE]

The process searches the plan, screens all parameters for the 12 that move the answer most, evaluates, resamples the
intervals and prints. The evaluations alone are timed apart, plain and compiled, on one thread. The last line is one
JSON object; `make bench` keeps it in bench/results/.
"""

import json
import resource
import subprocess
import sys
from typing import Any

import machine

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


def children_s() -> float:
    """Processor time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def process_s(*more: str) -> tuple[float, float, Any]:
    """The shortest whole process of one command, warm; the mean processor time of one; and what it said."""
    command = [sys.executable, "-m", "clustercast", "sensitivity", *more, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    before_s = children_s()
    wall_s = machine.best_s(lambda: subprocess.run(command, check=True, capture_output=True), REPEATS)
    return wall_s, (children_s() - before_s) / REPEATS, json.loads(done.stdout)


def evaluated(problem: Problem, question: Any) -> dict[str, Any]:
    """Evaluations a second on one thread, of 12 parameters."""
    found = usual_ones(question, all_parameters(question, problem))[:12]
    samples = values(found, methods.sobol_cube(len(found), EVALUATIONS, 0))
    few = samples[:PLAINLY]
    compiled = problem.many(found, samples, compiled=True)
    plain = problem.many(found, few, compiled=False)
    compiled_s = machine.best_s(lambda: problem.many(found, samples, compiled=True), REPEATS)
    plain_s = machine.best_s(lambda: problem.many(found, few, compiled=False), REPEATS)
    return {
        "evaluations_per_s": round(len(samples) / compiled_s),
        "evaluations_per_s_plain": round(PLAINLY / plain_s),
        "compiled_equals_plain": compiled[:PLAINLY].tolist() == plain.tolist(),
        "samples": len(samples),
    }


def main() -> None:
    """Measure and print."""
    keep = machine.command_line(__doc__).parse_args().keep
    facts = machine.facts()
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
        "threads": 1,
        **facts,
    }
    machine.tell(result, keep)


if __name__ == "__main__":
    main()
