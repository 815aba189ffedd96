"""A rate of FLOPs that a tool printed, against the same from the measured time: which way of counting gives it."""

import math
from typing import Final

from clustercast import records
from clustercast.catalog import constants
from clustercast.physics.parameters import matmul_active_params, total_params
from clustercast.studies.check.rank import setting as threshold
from clustercast.studies.check.result import Printed
from clustercast.studies.check.training_causes import Run

FULL_RECOMPUTE: Final = 4.0 / 3.0  # the forward pass again: a third of forward and backward


def counts(run: Run) -> dict[str, float]:
    """FLOPs of one step by each convention of check.yaml."""
    model, job, step = run.setting.model, run.setting.job, run.step
    tokens = float(job.global_batch) * job.seq_len
    parameters = 6.0 * tokens * matmul_active_params(model)
    attention = step.model_flop - parameters
    return {
        "ours": step.model_flop,
        "attention_full": parameters + 2.0 * attention,
        "recomputed": step.hardware_flop,
        "recomputed_full": FULL_RECOMPUTE * (parameters + 2.0 * attention),
        "all_parameters": 6.0 * tokens * total_params(model) + attention,
        "sparse_peak": 2.0 * step.model_flop,
    }


def of_rate(run: Run, step_s: float, tflop_per_s: float) -> Printed:
    """A printed rate per chip, in units of 10^12 FLOP/s."""
    chips = run.plan.tp * run.plan.pp * run.plan.cp * run.plan.dp
    found = counts(run)
    seen = tflop_per_s * 1e12 * chips * step_s
    name = min(found, key=lambda each: abs(math.log(seen / found[each])))
    fits = abs(seen / found[name] - 1.0) <= threshold("convention")
    title = constants.table("check")["conventions"][name]["title"] if fits else ""
    ours = found["ours"] / chips / step_s / 1e12
    return Printed("tflop_per_s", tflop_per_s, ours, name if fits else "", title)


def of_share(run: Run, step_s: float, mfu: float, tflop_per_s: float | None) -> Printed:
    """A printed share of the peak, with the peak that it was divided by where the rate stands beside it."""
    chips = run.plan.tp * run.plan.pp * run.plan.cp * run.plan.dp
    chip: records.Chip = run.setting.chip
    ours = run.step.model_flop / chips / step_s / chip.matmul_flop_per_s
    peak = None if tflop_per_s is None else tflop_per_s * 1e12 / mfu
    return Printed("mfu", mfu, ours, "", "", peak)
