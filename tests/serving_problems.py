"""Serving questions so small that their whole space can be tried."""

import math
import random
from collections.abc import Iterable

import numpy as np
import strategies

from clustercast import records
from clustercast.physics import grid
from clustercast.physics.loop import closed_loop
from clustercast.records import ServingJob, ServingPlan, ServingSetting
from clustercast.studies.serving import search
from clustercast.studies.serving.question import demand_of
from clustercast.studies.serving.search import Layouts, Limits, Load

CHUNKS = (2048, 8192)


class Problem:
    """A small question whose whole space can be tried."""

    def __init__(self, rng: random.Random) -> None:
        drawn = strategies.served(rng)
        engine = drawn.setting.engine._replace(max_batch=float(rng.choice((6, 17, 40))))
        self.n_chips = rng.choice((1, 4, 8, 12, 16))
        cluster = drawn.setting.cluster
        scale_up = cluster.scale_up._replace(n_chips=8, shape=records.SWITCH)
        self.setting: ServingSetting = drawn.setting._replace(
            engine=engine, cluster=cluster._replace(scale_up=scale_up, package=cluster.package._replace(n_chips=1))
        )
        self.job: ServingJob = drawn.job._replace(batch=1.0, hit_fraction=rng.choice((0.0, 0.5)))
        each = search.candidates(self.setting, self.n_chips, {})
        self.space: Layouts = search.holding(self.setting, self.job, self.job.input_len + self.job.output_len, each)
        alone = closed_loop(self.setting, self.job, ServingPlan(1, 1, 1, 1, 1))
        self.limits = Limits(
            rng.choice((math.inf, alone.ttft_s * rng.uniform(0.7, 6.0))),
            rng.choice((math.inf, alone.tpot_s * rng.uniform(0.3, 6.0))),
        )


problems = strategies.seeded(Problem, "serving search")


def load_of(problem: Problem, concurrency: float = 0.0, rate: float = 0.0, percentile: float = 0.0) -> Load:
    return Load(problem.job, demand_of(problem.job, 1.0), concurrency, rate, percentile)


def loads(problem: Problem, chunk: int, pairs: Iterable[tuple[int, int]]) -> list[list[float]]:
    """TTFT, TPOT, latency and requests per second of each (layout, batch), by the compiled formulas.

    They equal the plain ones, which `test_compiled_loops_find_the_same_to_the_last_bit` holds, and try a space soon.
    """
    each = list(pairs)
    rows = np.array([problem.space.rows[at] for at, _ in each], np.float64)
    batches = np.array([float(batch) for _, batch in each])
    out = np.zeros((len(each), 4))
    run = grid.compiled(search.run_points, *search.HELPERS)
    if each:
        run(search.with_chunk(problem.setting, chunk), problem.job, rows, batches, search.ONE_POOL, out)
    found: list[list[float]] = out.tolist()
    return found
