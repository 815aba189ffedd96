"""Fit the few shared numbers of the training stacks on published runs.

    python bench/fit_training.py TRAINING_CSV [--only SUBSTRING]

The rows are in the documented training form. Every study weighs as at most 40 rows. Prints each
parameter with its standard error and the error that appears when it is put back to its prior;
the values are then written by hand into src/clustercast/catalog/data/stacks.yaml and precisions.yaml.
"""

import argparse
import csv
import math
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from clustercast import records
from clustercast.errors import ClustercastError
from clustercast.physics.training import training_step
from clustercast.studies.record import training as record

MOST_ROWS_OF_A_STUDY = 40


class Parameter(NamedTuple):
    """One shared number: where it acts, its prior and its bounds."""

    name: str
    prior: float
    low: float
    high: float
    put: Callable[[records.Setting, float], records.Setting]


def of_stack(field: str, stacks: str, prior: float, low: float, high: float) -> Parameter:
    """A field of the stacks whose group is `stacks` (old or new)."""

    def put(setting: records.Setting, value: float) -> records.Setting:
        old = setting.stack.score_bytes > 0
        if old == (stacks == "old"):
            return setting._replace(stack=setting.stack._replace(**{field: value}))
        return setting

    return Parameter(f"{stacks}.{field}", prior, low, high, put)


def of_precision(name: str, test: Callable[[records.Precision], bool], prior: float, high: float) -> Parameter:
    """The matmul factor of the recipes that `test` accepts."""

    def put(setting: records.Setting, value: float) -> records.Setting:
        if test(setting.precision):
            return setting._replace(precision=setting.precision._replace(matmul_factor=value))
        return setting

    return Parameter(f"precision.{name}", prior, 0.7, high, put)


PARAMETERS = [
    of_stack("matmul_factor", "new", 0.9, 0.6, 1.1),
    of_stack("expert_factor", "new", 0.9, 0.85, 0.95),
    of_stack("expert_half_width", "new", 1000.0, 0.0, 6000.0),
    of_stack("element_bytes_factor", "new", 1.15, 0.8, 3.5),
    of_stack("host_layer_forward_s", "new", 1.2e-4, 1e-5, 1e-3),
    of_stack("host_moe_layer_s", "new", 5e-4, 1e-5, 1e-2),
    of_stack("tp_overlap", "new", 0.4, 0.0, 0.95),
    of_stack("ep_overlap", "new", 0.3, 0.0, 0.95),
    of_stack("fsdp_overlap", "new", 0.9, 0.3, 1.0),
    of_stack("collective_factor", "new", 1.1, 0.8, 2.5),
    of_precision("fp8", lambda p: 1.0 <= p.activation_bytes < 2.0, 1.3, 2.0),
    of_precision("nvfp4", lambda p: p.activation_bytes < 1.0, 1.5, 2.5),
    of_stack("matmul_factor", "old", 0.95, 0.7, 1.1),
    of_stack("element_bytes_factor", "old", 1.0, 0.6, 2.0),
    of_stack("score_bytes", "old", 12.0, 4.0, 24.0),
    of_stack("collective_factor", "old", 1.2, 0.8, 2.5),
]


def residuals(values: np.ndarray, rows: list[tuple[dict[str, str], records.Setting, records.Plan]]) -> np.ndarray:
    """ln(modelled / measured) of every row."""
    found = np.empty(len(rows))
    for i, (row, setting, plan) in enumerate(rows):
        tried = setting
        for parameter, value in zip(PARAMETERS, values, strict=True):
            tried = parameter.put(tried, float(value))
        step_s = training_step(tried, plan).step_s
        published = float(row["value"])
        if row["metric"] != "iteration_s":
            tokens = float(setting.job.global_batch) * setting.job.seq_len
            published = tokens / published / record.number(row, "n_chips", 1)
        found[i] = math.log(step_s / published)
    return found


def main() -> None:
    """Fit and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("csv", type=Path)
    arguments.add_argument("--only", default="")
    asked = arguments.parse_args()
    rows = []
    with asked.csv.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["complete"] != "yes" or asked.only not in row["study"]:
                continue
            try:
                rows.append((row, *record.setting_of(row)))
            except ClustercastError as error:
                print(f"left out: {error}")
    sizes: dict[str, int] = defaultdict(int)
    for row, _, _ in rows:
        sizes[row["study"]] += 1
    weights = np.array([math.sqrt(min(1.0, MOST_ROWS_OF_A_STUDY / sizes[row["study"]])) for row, _, _ in rows])
    prior = np.array([parameter.prior for parameter in PARAMETERS])
    spread = np.array([parameter.high - parameter.low for parameter in PARAMETERS])

    def cost(values: np.ndarray) -> np.ndarray:
        pulled = 0.3 * (values - prior) / spread
        return np.concatenate([weights * residuals(values, rows) / 0.08, pulled])

    bounds = ([p.low for p in PARAMETERS], [p.high for p in PARAMETERS])
    found = least_squares(cost, prior, bounds=bounds, loss="soft_l1", x_scale=spread, max_nfev=30)
    covariance = np.linalg.pinv(found.jac.T @ found.jac)
    errors = np.sqrt(np.diag(covariance))
    base = float(np.sum(found.fun**2))
    print(f"{'parameter':34} {'value':>10} {'s.e.':>9} {'prior':>9}  cost when put back")
    for i, parameter in enumerate(PARAMETERS):
        back = found.x.copy()
        back[i] = parameter.prior
        worse = float(np.sum(cost(back) ** 2)) / base - 1.0
        print(f"{parameter.name:34} {found.x[i]:10.4g} {errors[i]:9.2g} {parameter.prior:9.3g}  {worse:+.1%}")
    after = residuals(found.x, rows)
    groups: dict[str, list[float]] = defaultdict(list)
    for (row, setting, _), error in zip(rows, after, strict=True):
        kind = "mixture" if setting.model.n_moe_layers else "dense"
        groups[f"{row['study'][:32]} {row['chip'][:14]} {kind}"].append(math.exp(error) - 1.0)
    print(f"\n{'study, chip':62} {'n':>4} {'median':>7} {'mean':>7} {'p90':>7} {'bias':>7}")
    for group, all_errors in sorted(groups.items()):
        size = sorted(abs(error) for error in all_errors)
        print(
            f"{group:62} {len(size):4} {statistics.median(size):7.1%} {statistics.mean(size):7.1%} "
            f"{size[min(len(size) - 1, int(0.9 * len(size)))]:7.1%} {statistics.median(all_errors):+7.1%}"
        )


if __name__ == "__main__":
    main()
