"""Loops that tests compile: in a module that can be imported by name, so that compiled code can be found again."""

import numpy as np

from clustercast.physics.queueing import Demand, open_loop
from clustercast.records import ServingPlan, ServingSetting


def run_queueing(
    requests_per_s: float, demand: Demand, setting: ServingSetting, plan: ServingPlan, out: np.ndarray
) -> None:
    """One load through the steady-state formulas, for the compiler: `closed_queue` is made of the same parts."""
    for j, value in enumerate(open_loop(requests_per_s, demand, setting, plan)):
        out[0, j] = value
