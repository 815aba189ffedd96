"""How long whole commands take from start to end, warm: Python, imports, files, answer, print.

    python bench/process_rate.py [--keep FILE]

Each command runs a few times; the shortest and the middle are told. The first run of all, which may compile and fill
caches, is not counted. The last line is one JSON object; `make bench` keeps it in bench/results/.
"""

import os
import statistics
import subprocess
import sys
import time

import machine

REPEATS = 9
ASKED = ("estimate", "--chip", "h20", "--model", "1.8T", "--count", "10000", "--json")
PLAN = "tp=4,pp=61,dp=5,cp=8,ep=4,zero=1,mb=1,recompute=none,sp=yes"
COMMANDS = {
    "help": ("--help",),
    "estimate_plan_given": (*ASKED, "--plan", PLAN),
    "estimate_with_search": ASKED,
}


def walls_s(command: tuple[str, ...]) -> list[float]:
    """Seconds of each of a few runs, ascending."""
    whole = [sys.executable, "-m", "clustercast", *command]
    found = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        subprocess.run(whole, check=True, capture_output=True, env=os.environ | {"NO_COLOR": "1"})
        found.append(time.perf_counter() - started)
    return sorted(found[1:])


def main() -> None:
    """Measure and print."""
    keep = machine.command_line(__doc__).parse_args().keep
    facts = machine.facts()
    result = {}
    for name, command in COMMANDS.items():
        found = walls_s(command)
        result[name] = {
            "best_s": round(found[0], 3),
            "median_s": round(statistics.median(found), 3),
            "command": " ".join(("clustercast", *command)),
        }
    machine.tell({"processes": result, "runs": REPEATS, **facts}, keep)


if __name__ == "__main__":
    main()
