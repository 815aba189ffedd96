"""Loops that tests compile: in a module that can be imported by name, so that compiled code can be found again."""

import numpy as np

from clustercast.physics.loop import closed_loop
from clustercast.physics.queueing import Demand, open_loop
from clustercast.records import ServingJob, ServingPlan, ServingSetting


def run_queueing(
    requests_per_s: float, demand: Demand, setting: ServingSetting, plan: ServingPlan, out: np.ndarray
) -> None:
    """One load through the steady-state formulas, for the compiler."""
    done = open_loop(requests_per_s, demand, setting, plan)
    out[0, 0], out[0, 1], out[0, 2] = done.requests_per_s, done.ttft_s, done.ttft_p50_s
    out[0, 3], out[0, 4], out[0, 5] = done.ttft_p90_s, done.ttft_p99_s, done.tpot_s
    out[0, 6], out[0, 7], out[0, 8] = done.tpot_p90_s, done.latency_s, done.in_flight
    out[0, 9], out[0, 10], out[0, 11] = done.wait_s, done.busy_fraction, done.kv_fraction
    out[0, 12], out[0, 13], out[0, 14] = done.n_slots, done.saturation_requests_per_s, done.load_fraction
    for j, value in enumerate(done.shape):
        out[0, 15 + j] = value


def run_loop(job: ServingJob, setting: ServingSetting, plan: ServingPlan, out: np.ndarray) -> None:
    """One closed loop through its formulas, for the compiler."""
    for j, value in enumerate(closed_loop(setting, job, plan)):
        out[0, j] = value
