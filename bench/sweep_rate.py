"""How many points a second `clustercast sweep` evaluates and writes, and in how much memory, as a whole process.

    python bench/sweep_rate.py [--quick] [--keep FILE] [--room DIR]

One study in four sizes: 10,000 to 10,000,000 complete plans of a mixture of experts on one chip, all legal, alike in
kind. Every point is evaluated whole and becomes a row of Parquet. Wall time and memory are of whole processes. How
the time grows with the points is measured inside one process that has started, less what a study of one point takes.
The last line is one JSON object; `make bench` keeps it in bench/results/.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import machine

SIZES = (10**4, 10**5, 10**6, 10**7)
QUICK_SIZES = SIZES[:2]
MOST_REPEATS = 10
FROM_THREADS = 10**6  # points from which two threads and dask are compared: fewer are one part or two
STUDY = """\
schema: clustercast.study/1
title: Complete plans of a mixture of experts on the H20
about: training
axes:
{slow}  tp: [1, 2, 4, 8]
  cp: [1, 2, 4, 8, 16]
  dp: [16, 32, 48, 64, 80]
  ep: [1, 2, 4, 8, 16]
  zero: [0, 1, 2, 3]
  micro_batch: [1, 2, 4, 8, 16]
fixed: {{chip: h20, model: qwen3-30b-a3b, count: 100000, seq_len: 4096, recompute: block{fixed}}}
outputs: [days, step_s, mfu_fraction, rent_usd, memory_bytes, compute_s, bubble_s, dp_comm_s]
"""
# Each pair makes the study ten times as long: what an axis holds, or one value of it.
SLOW = (
    (("recompute_layers", "[1, 2, 3, 4, 5]", "3"), ("dp_overlap", "[no, yes]", "yes")),
    (("pp", "[4, 5, 6, 8, 9]", "6"), ("tp_overlap", "[no, yes]", "yes")),
    (("global_batch", "[15360, 30720, 46080, 61440, 76800]", "15360"), ("offload", "[no, yes]", "no")),
)
ONE_POINT = """\
schema: clustercast.study/1
title: One plan
about: training
axes: {tp: [8]}
fixed: {chip: h20, model: qwen3-30b-a3b, count: 100000, pp: 6, dp: 16, ep: 16, seq_len: 4096, global_batch: 15360}
"""


def study_of(n_points: int) -> str:
    """The text of the study with so many points."""
    n_pairs = SIZES.index(n_points)
    slow = [f"  {name}: {values}\n" for pair in reversed(SLOW[:n_pairs]) for name, values, _ in pair]
    fixed = [f", {name}: {value}" for pair in SLOW[n_pairs:] for name, _, value in pair]
    return STUDY.format(slow="".join(slow), fixed="".join(fixed))


def repeated_study_of(n_points: int) -> str:
    """The text of a study of 10,000 plans, the same ones for so many token counts that it has `n_points`."""
    n_counts = n_points // SIZES[0]
    counts = "[1T]" if n_counts == 1 else f"{{from: 1T, to: 2T, steps: {n_counts}}}"
    fixed = [f", {name}: {value}" for pair in SLOW for name, _, value in pair]
    return STUDY.format(slow=f"  tokens: {counts}\n", fixed="".join(fixed))


@contextmanager
def folder_of(room: Path | None, text: str) -> Iterator[tuple[Path, Path]]:
    """A study file and the folder that its results may go into, removed afterwards."""
    with tempfile.TemporaryDirectory(dir=room) as name:
        study = Path(name, "study.yaml")
        study.write_text(text, encoding="utf-8")
        yield study, Path(name, "run")


def command(study: Path, out: Path, options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "clustercast", "sweep", str(study), "--out", str(out), *options, "--json"]


def swept(room: Path | None, text: str, *options: str) -> dict[str, Any]:
    """One run: wall and processor seconds, peak memory of the process, and what it said."""
    with folder_of(room, text) as (study, out):
        said = study.with_name("said.json")
        with said.open("wb") as file:
            started = time.perf_counter()
            process = subprocess.Popen(command(study, out, options), stdout=file, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command(study, out, options))}: exit {process.returncode}")
        told = json.loads(said.read_text(encoding="utf-8"))
    return {
        "wall_s": round(wall_s, 3),
        "processor_s": round(used.ru_utime + used.ru_stime, 3),
        "peak_bytes": used.ru_maxrss * 1024,  # of the process itself: processes of dask hold their own
        "points_per_s": round(told["points"] / wall_s),
        "rows": told["counts"]["kept"],
        "parquet_bytes": told["bytes"],
        "parts": told["parts"],
    }


def warm_s(room: Path | None, text: str, repeats: int) -> float:
    """The shortest of a few sweeps on one thread in this process, from when the study is read, as the sweep says it."""
    import clustercast

    shortest = math.inf
    with folder_of(room, text) as (study, out):
        for _ in range(repeats):
            shortest = min(shortest, clustercast.sweep(str(study), str(out), n_threads=1).wall_s)
            shutil.rmtree(out)
    return shortest


def growth(room: Path | None, sizes: Sequence[int]) -> dict[str, Any]:
    """Microseconds per point on one thread for each size, less what a study of one point takes.

    The sizes repeat the same plans: other plans would take other times.
    """
    warm_s(room, repeated_study_of(min(sizes)), 1)
    start_s = warm_s(room, ONE_POINT, MOST_REPEATS)
    repeats = {n: max(1, min(MOST_REPEATS, 10**6 // n)) for n in sizes}
    each_us = {n: 1e6 * (warm_s(room, repeated_study_of(n), repeats[n]) - start_s) / n for n in sizes}
    return {
        "us_per_point": {n: round(found, 3) for n, found in each_us.items()},
        "spread_over_sizes": round(max(each_us.values()) / min(each_us.values()) - 1.0, 3),
        "one_point_warm_s": round(start_s, 4),
    }


def split(room: Path | None, n_points: int) -> dict[str, float]:
    """Where the time of one part goes on one thread: evaluating into a table, and writing it safely."""
    from clustercast.studies.sweep import run, store

    text = study_of(n_points)
    with folder_of(room, text) as (study, out):
        space = run.space_of(text.encode(), study)
        evaluator = run.evaluator_of(space)
        first, last = space.part(0)
        piece = -(-space.part_size // run.PIECES)
        evaluator.part(0, 1)
        evaluated_s = machine.best_s(lambda: run.evaluated(evaluator, (first, last), piece), 3)
        table, counts = run.evaluated(evaluator, (first, last), piece)
        identity = store.identity_of(space, text.encode())
        written_s = []
        for i in range(3):
            folder = out.with_name(f"run{i}")
            with store.opened(folder, identity, text.encode()):
                started = time.perf_counter()
                store.write_part(folder, store.run_of(identity), 0, (first, last), table, counts)
                written_s.append(time.perf_counter() - started)
    return {
        "points": last - first,
        "evaluated_us_per_point": round(1e6 * evaluated_s / (last - first), 3),
        "written_us_per_point": round(1e6 * min(written_s) / (last - first), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = machine.command_line(__doc__, quick=True)
    parser.add_argument("--room", type=Path, metavar="DIR", help="where to write: a disk with 2 GB free")
    arguments = parser.parse_args()
    facts = machine.facts()
    room = arguments.room
    sizes = QUICK_SIZES if arguments.quick else SIZES
    swept(room, ONE_POINT)
    start_s = min(swept(room, ONE_POINT)["wall_s"] for _ in range(3))
    one, two = {}, {}
    for n in sizes:
        one[n] = swept(room, study_of(n), "--threads", "1")
        two[n] = swept(room, study_of(n), "--threads", "2")
        if not one[n]["rows"] == two[n]["rows"] == n:
            raise SystemExit(f"of {n} points {one[n]['rows']} and {two[n]['rows']} were kept: all of them are legal")
        print(n, one[n], two[n], file=sys.stderr, flush=True)
    most = max(sizes)
    spread = [n for n in sizes if n >= FROM_THREADS] or [most]
    dask_points = min(spread)
    dask = swept(room, study_of(dask_points), "--engine", "dask", "--workers", "2")
    machine.tell(
        {
            "points": most,
            "wall_s": two[most]["wall_s"],
            "points_per_s": two[most]["points_per_s"],
            "peak_bytes": two[most]["peak_bytes"],
            "two_threads_over_one": round(one[most]["wall_s"] / two[most]["wall_s"], 2),
            "start_s": start_s,
            **growth(room, sizes),
            "split_of_one_part": split(room, most),
            "one_thread": one,
            "two_threads": two,
            "dask_two_workers": {dask_points: dask},
            "threads_over_dask": round(dask["wall_s"] / two[dask_points]["wall_s"], 2),
            "cpu_of_a_point_us": round(1e6 * two[most]["processor_s"] / most, 3),
            "free_bytes": shutil.disk_usage(room or tempfile.gettempdir()).free,
            "study": study_of(most),
            **facts,
        },
        arguments.keep,
    )


if __name__ == "__main__":
    main()
