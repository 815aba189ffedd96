"""How many serving setups a second: costed on one core, and considered by the exact search; and a whole process.

    python bench/serve_rate.py [--keep FILE]

One setup is one layout with a batch and a prefill chunk, costed under load: every field of `records.Load`, nothing
remembered between setups. The break-even is the number of setups above which loading the compiled loop pays. The last
line is one JSON object; `make bench` keeps it in bench/results/.
"""

import subprocess
import sys
from functools import partial

import machine
import numpy as np
from machine import best_s

from clustercast.physics import grid
from clustercast.studies.serving import search
from clustercast.studies.serving.question import ServeAsked, fill_serve

REPEATS = 5
ASKED = ServeAsked("h20", "deepseek-v3", 64, 4096, 1024, engine="sglang", precision="fp8-block")
COMMAND = (
    "-m", "clustercast", "serve", "--chip", "h20", "--model", "deepseek-v3", "--count", "64", "--isl", "4096",
    "--osl", "1024", "--engine", "sglang", "--precision", "fp8-block", "--json",
)  # fmt: skip
LOAD_NUMBA = (
    "import time; t = time.perf_counter(); from clustercast.physics import grid; "
    "from clustercast.studies.serving import search as s; grid.compiled(s.search_batches, *s.HELPERS); "
    "print(time.perf_counter() - t)"
)


def main() -> None:
    """Measure and print."""
    keep = machine.command_line(__doc__).parse_args().keep
    facts = machine.facts()
    question = fill_serve(ASKED)
    setting, job, count = question.setting, question.job, question.base.n_chips
    space = search.holding(setting, job, 5120.0, search.candidates(setting, count, {}))
    chunks = search.chunks_of(setting, {})
    pairs = [(row, batch) for row in space.rows for batch in search.batches_up_to(row[6])]
    rows = np.array([row for row, _ in pairs], np.float64)
    batches = np.array([batch for _, batch in pairs], np.float64)
    out, plain_out = np.empty((len(pairs), 4)), [[0.0] * 4 for _ in pairs[:500]]
    run = grid.compiled(search.run_points, *search.HELPERS)
    run(setting, job, rows, batches, search.ONE_POOL, out)
    compiled_s = best_s(lambda: run(setting, job, rows, batches, search.ONE_POOL, out)) / len(pairs)
    few = [row for row, _ in pairs[:500]], [float(batch) for _, batch in pairs[:500]]
    plain_s = best_s(lambda: search.run_points(setting, job, *few, search.ONE_POOL, plain_out)) / len(plain_out)

    def found(*, compiled: bool) -> search.Outcome:
        return search.best_batch(setting, job, space, count, question.limits, chunks=chunks, compiled=compiled)

    considered = found(compiled=True).search.n_considered
    searched_s = {compiled: best_s(partial(found, compiled=compiled)) for compiled in (False, True)}
    front_s = best_s(lambda: search.frontier(setting, job, space, count, chunks=chunks, compiled=True))
    subprocess.run([sys.executable, *COMMAND], check=True, capture_output=True)
    process_s = best_s(lambda: subprocess.run([sys.executable, *COMMAND], check=True, capture_output=True))
    load_s = min(
        float(subprocess.run([sys.executable, "-c", LOAD_NUMBA], check=True, capture_output=True, text=True).stdout)
        for _ in range(REPEATS)
    )
    result = {
        "setups_per_s_per_core": round(1.0 / compiled_s),
        "setups_per_s_plain": round(1.0 / plain_s),
        "compiled_equals_plain": out[:500].tolist() == plain_out,
        "considered_setups_per_s": round(considered / searched_s[True]),
        "considered": considered,
        "search_s_compiled": round(searched_s[True], 4),
        "search_s_plain": round(searched_s[False], 4),
        "frontier_setups_per_s": round(len(pairs) * len(chunks) / front_s),
        "load_compiled_s": round(load_s, 3),
        "break_even_setups": round(load_s / (plain_s - compiled_s)),
        "process_s": round(process_s, 3),
        "threads": 1,
        "question": "h20 deepseek-v3 64, 4,096 in, 1,024 out, TPOT 50 ms",
        **facts,
    }
    machine.tell(result, keep)


if __name__ == "__main__":
    main()
