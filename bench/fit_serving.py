"""Fit the shared numbers of the serving engines on published serving runs, and say how well they hold elsewhere.

    python bench/fit_serving.py SERVING_CSV [--write] [--folds]

The rows are in the documented serving form; those that are not complete are left out. Every (chip, engine, model)
weighs the same, residuals are ln(modelled / measured) under a soft absolute loss, and every parameter is pulled to its
prior. Prints each parameter with its standard error and the error that appears when it is put back to its prior.

--write  puts the values into catalog/data/engines.yaml, precisions.yaml and defaults.yaml
--folds  fits again without each chip, model, campaign and architecture family, writes bench/results/serving_folds.json,
         and with --write the half widths of the intervals that the left-out residuals ask for
"""

import argparse
import csv
import datetime
import functools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import row_driver
from scipy.optimize import least_squares

from clustercast import records
from clustercast.catalog import constants
from clustercast.errors import ClustercastError
from clustercast.studies.record import numbers
from clustercast.studies.record import serving as record

DATA = Path(__file__).parent.parent / "src/clustercast/catalog/data"
RESULTS = Path(__file__).parent / "results" / "serving_folds.json"
N_FIELDS = len(records.Load._fields)
LARGEST = 3.0  # of a residual's size: what is further off is wrong in another way
FEWEST_ROWS = 5  # of a chip, a model or a campaign that is left out alone
COVERAGE = 0.8
LARGE_BATCH = {"tpot": 0.15, "ttft": 0.35, "offline": 0.15, "rocm": 0.3, "pools_tpot": 0.2, "pools_ttft": 0.5}
SCATTER = LARGE_BATCH | {"mtp_tpot": 0.2, "static_ttft": 0.35}  # of ln(time), by kind of row
WEIGHT = {"tpot": 1.0, "ttft": 0.3, "offline": 0.6, "rocm": 0.3, "pools_tpot": 0.5, "pools_ttft": 0.15} | {
    "mtp_tpot": 1.0,
    "static_ttft": 0.1,
}
SHOWN = {
    "tpot_agg": ("tpot",),
    "tpot_agg_mtp": ("mtp_tpot",),
    "ttft_agg": ("ttft",),
    "tpot_pools": ("pools_tpot",),
    "ttft_pools": ("pools_ttft",),
    "offline": ("offline", "apart"),
    "offline_early_rocm": ("rocm",),
    "ttft_static": ("static_ttft",),
}
METRIC_OF = {
    "tpot_interval": ("tpot", "mtp_tpot", "pools_tpot"),
    "ttft_interval": ("ttft", "pools_ttft", "static_ttft"),
}
METRIC_OF["throughput_interval"] = ("offline", "apart", "rocm")


class Rows(NamedTuple):
    """The judged rows as tables that the compiled formulas take, and what they are grouped by."""

    cells: list[dict[str, str]]
    cases: list[record.Case]
    setting: np.ndarray
    job: np.ndarray
    plan: np.ndarray
    load: np.ndarray
    kind: np.ndarray  # of row: a key of SCATTER, "apart" (judged, not fitted) or "other"
    scale: np.ndarray  # of the metric: published = scale * (time or rate) of one worker
    published: np.ndarray
    metric: np.ndarray
    chip: np.ndarray
    family: np.ndarray
    model: np.ndarray
    engine: np.ndarray
    campaign: np.ndarray
    expert_format: np.ndarray
    mixture: np.ndarray


class Parameter(NamedTuple):
    """One shared number: where the data files hold it, its prior and bounds, and the rows that it acts on."""

    place: str  # base.x, families.f.x, engines.e.x, four_bit.x, weight_only.x, serving_record.x
    prior: float
    low: float
    high: float

    @property
    def field(self) -> str:
        """The last word of the place."""
        return self.place.rpartition(".")[2]


def parameters() -> list[Parameter]:
    """What is fitted: 39 numbers."""
    found = [
        Parameter(f"base.{field}", prior, low, high)
        for field, prior, low, high in (
            ("matmul_factor", 1.0, 0.85, 1.3),
            ("matmul_memory_factor", 1.0, 0.85, 1.3),
            ("expert_factor", 1.0, 0.6, 1.5),
            ("expert_memory_factor", 1.0, 0.8, 1.5),
            ("expert_traffic_factor", 1.0, 0.5, 3.0),
            ("attention_factor", 1.0, 0.7, 1.5),
            ("kv_factor", 1.0, 0.75, 1.4),
            ("expert_imbalance", 0.7, 0.3, 1.6),
            ("exchange_s", 3e-5, 5e-6, 6e-5),
            ("launch_factor", 0.9, 0.4, 1.6),
            ("distinct_exponent", 0.95, 0.75, 1.0),
            ("layer_s", 6e-6, 1e-6, 2.5e-5),
            ("sparse_layer_s", 5e-5, 1e-5, 1.6e-4),
            ("all_reduce_s", 6.5e-6, 3e-6, 1.6e-5),
            ("host_sequence_s", 1.2e-5, 2e-6, 5e-5),
            ("handover_s", 0.08, 0.01, 0.4),
        )
    ]
    found.append(Parameter("families.blackwell.launch_factor", 0.8, 0.4, 1.6))
    found.append(Parameter("four_bit.expert_memory_factor", 1.2, 0.8, 2.0))
    found.append(Parameter("four_bit.expert_rate_factor", 1.2, 0.6, 2.4))
    found.append(Parameter("weight_only.expert_memory_factor", 0.7, 0.4, 1.0))
    for engine in ("vllm", "trtllm", "sglang"):
        found.append(Parameter(f"engines.{engine}.host_step_s", 4e-4, 1e-4, 2e-3))
        found.append(Parameter(f"engines.{engine}.interference_factor", 0.95, 0.6, 1.3))
        found.append(Parameter(f"engines.{engine}.first_token_s", 0.06, 0.01, 0.3))
    for engine, prior in (("trtllm-2024", 8e-4), ("vllm-2024", 2e-3), ("fastertransformer", 1.2e-3)):
        found.append(Parameter(f"engines.{engine}.host_step_s", prior, 2e-4, 8e-3))
    found.append(Parameter("engines.vllm-2024.host_sequence_s", 8e-5, 1e-5, 4e-4))
    found.append(Parameter("engines.vllm-rocm-2024.host_step_s", 6e-3, 1e-3, 3e-2))
    found.append(Parameter("engines.vllm-rocm-2024.host_sequence_s", 3e-4, 3e-5, 3e-3))
    found.append(Parameter("engines.vllm-rocm-2024.kv_factor", 2.0, 0.8, 12.0))
    found.append(Parameter("engines.sglang-2025.matmul_memory_factor", 1.0, 0.85, 4.0))
    found.append(Parameter("engines.sglang-2025.kv_factor", 1.0, 0.75, 4.0))
    found.append(Parameter("serving_record.accepted_tokens", 1.8, 1.2, 2.6))
    return found


PARAMETERS = parameters()


def kind_of(row: dict[str, str], case: record.Case) -> str:
    """What a row is judged with, and under which scatter it is fitted."""
    metric = row["metric"]
    if row.get("mode") == "disagg":
        return {"tpot_ms": "pools_tpot", "ttft_ms": "pools_ttft"}.get(metric, "other")
    if case.job.accepted_tokens > 1.0:
        return "mtp_tpot" if metric == "tpot_ms" else "other"
    if case.load == "loop":
        return {"tpot_ms": "tpot", "ttft_ms": "ttft"}.get(metric, "other")
    if case.load != "static":
        return "other"
    if case.engine == "vllm-rocm-2024":
        return "rocm"
    if metric == "ttft_ms":
        return "static_ttft"
    # one setup that no chip explains, one without captured graphs: judged and never fitted
    return "apart" if case.engine in ("megatron", "sglang") else "offline"


def scale_of(case: record.Case) -> float:
    """What turns one worker's seconds or requests per second into the row's metric."""
    unit = records.Load(*[1.0] * N_FIELDS)
    return record.in_metric(case, unit)


def read(path: Path) -> Rows:
    """The complete rows of a file that the model can take."""
    cells, cases = [], []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["complete"] != "yes":
                continue
            try:
                case = record.case_of(row)
            except ClustercastError as error:
                print(f"left out: {row['id']}: {error}")
                continue
            cells.append(row)
            cases.append(case)
    pairs = list(zip(cells, cases, strict=True))
    return Rows(
        cells=cells,
        cases=cases,
        setting=row_driver.flatten([case.setting for case in cases]),
        job=row_driver.flatten([case.job for case in cases]),
        plan=row_driver.flatten([case.plan for case in cases]),
        load=np.array([case.load for case in cases]),
        kind=np.array([kind_of(row, case) for row, case in pairs]),
        scale=np.array([scale_of(case) for case in cases]),
        published=np.array([float(row["value"]) for row in cells]),
        metric=np.array([row["metric"] for row in cells]),
        chip=np.array([row["chip"] for row in cells]),
        family=np.array([numbers.chip_of(row).family for row in cells]),
        model=np.array([row["model"] for row in cells]),
        engine=np.array([case.engine for case in cases]),
        campaign=np.array([f"{row['source'][:40]} {row['date']} {row['engine']}" for row in cells]),
        expert_format=np.array([row["moe_dtype"] or row["weight_dtype"] for row in cells]),
        mixture=np.array([case.setting.model.n_moe_layers > 0 for case in cases]),
    )


@functools.cache
def driver(load: str) -> Callable[..., np.ndarray]:
    """The compiled formula of a kind of load."""
    kinds = (records.ServingSetting, records.ServingJob, records.ServingPlan)
    return row_driver.driver(record.LOADS[load], kinds, N_FIELDS)


def log_errors(rows: Rows, setting: np.ndarray, job: np.ndarray, use: np.ndarray) -> np.ndarray:
    """ln(modelled / measured time) of the rows in `use`, nothing elsewhere; of a rate its inverse is the time."""
    time_at = {"ttft_ms": 0, "tpot_ms": 1, "request_latency_ms": 2}
    found = np.full(len(rows.published), np.nan)
    for load in record.LOADS:
        here = use & (rows.load == load)
        if not here.any():
            continue
        out = driver(load)(setting[here], job[here], rows.plan[here])
        metric = rows.metric[here]
        value = out[:, 3].copy()  # requests per second
        for name, column in time_at.items():
            value[metric == name] = out[metric == name, column]
        users = metric == "output_tokens_per_s_per_user"
        value[users] = 1.0 / out[users, 2]
        sign = np.where(np.char.endswith(metric.astype(str), "_ms"), 1.0, -1.0)
        found[here] = sign * np.log(value * rows.scale[here] / rows.published[here])
    return found


@functools.cache
def own_fields(engine: str) -> frozenset[str]:
    """The fields that an engine or one that it is like states itself."""
    entries = constants.table("engines")["engines"]
    entry, found = entries[engine], set(entries[engine])
    while "like" in entry:
        entry = entries[entry["like"]]
        found |= set(entry)
    return frozenset(found)


def owner(engine: str, field: str, fitted: Iterable[str]) -> str:
    """Whose value an engine's rows take: its own, that of the engine it is like, or the base's."""
    entries = constants.table("engines")["engines"]
    while f"engines.{engine}.{field}" not in fitted:
        if field in entries[engine]:
            return "stated"
        if "like" not in entries[engine]:
            return "base"
        engine = entries[engine]["like"]
    return engine


def current(place: str) -> float:
    """The value that the data files hold now at a place of precisions.yaml."""
    group, _, field = place.partition(".")
    return float(constants.table("precisions")[group][field]["value"])


class Setter(NamedTuple):
    """Rows and column that a parameter acts on; `over` divides it where the column holds a product already."""

    rows: np.ndarray
    column: int
    in_job: bool
    over: float


def setters(rows: Rows, chosen: Sequence[Parameter]) -> list[Setter]:
    """Where each parameter acts."""
    columns, jobs = row_driver.columns(records.ServingSetting), row_driver.columns(records.ServingJob)
    places = [parameter.place for parameter in PARAMETERS]
    families = {place.split(".")[1]: place.split(".")[2] for place in places if place.startswith("families.")}
    found = []
    for parameter in chosen:
        group, _, rest = parameter.place.partition(".")
        over = 0.0
        if group in ("base", "engines"):
            whose = "base" if group == "base" else rest.rpartition(".")[0]
            here = np.array([owner(engine, parameter.field, places) == whose for engine in rows.engine])
            for family, field in families.items():
                if field == parameter.field:
                    here &= rows.family != family
            column = columns[f"engine.{parameter.field}"]
        elif group == "families":
            here = rows.family == rest.partition(".")[0]
            column = columns[f"engine.{parameter.field}"]
        elif group == "serving_record":
            found.append(Setter(rows.job[:, jobs[parameter.field]] > 1.0, jobs[parameter.field], True, 0.0))
            continue
        else:
            formats = ("nvfp4", "mxfp4")
            only = np.char.endswith(rows.expert_format.astype(str), "weight_only")
            here = (
                only if group == "weight_only" else np.isin(rows.expert_format, formats) & (rows.family == "blackwell")
            )
            target = "expert_fraction" if "rate" in parameter.field else "expert_memory_fraction"
            column, over = columns[f"kernels.{target}"], current(parameter.place)
        found.append(Setter(here, column, False, over))
    return found


def put(rows: Rows, where: Sequence[Setter], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tables with these values of the parameters in them."""
    setting, job = rows.setting.copy(), rows.job.copy()
    for setter, value in zip(where, values, strict=True):
        table = job if setter.in_job else setting
        if setter.over:
            table[setter.rows, setter.column] *= value / setter.over
        else:
            table[setter.rows, setter.column] = value
    return setting, job


def group_weights(rows: Rows, use: np.ndarray) -> np.ndarray:
    """Square roots of weights: every (kind, chip, engine, model) counts once, times its kind's weight."""
    keys = list(zip(rows.kind, rows.chip, rows.engine, rows.model, strict=True))
    sizes = Counter(key for key, used in zip(keys, use, strict=True) if used)
    return np.array(
        [math.sqrt(WEIGHT[key[0]] / sizes[key]) if used else 0.0 for key, used in zip(keys, use, strict=True)]
    )


class Fit(NamedTuple):
    """Values of the parameters, standard errors of their logarithms, and the cost."""

    values: np.ndarray
    errors: np.ndarray
    cost: float


def fit(rows: Rows, use: np.ndarray, start: np.ndarray | None = None, steps: int = 25) -> Fit:
    """The parameters on the rows in `use`."""
    use = use & np.isin(rows.kind, list(SCATTER))
    where = setters(rows, PARAMETERS)
    prior = np.log([p.prior for p in PARAMETERS])
    low, high = np.log([p.low for p in PARAMETERS]), np.log([p.high for p in PARAMETERS])
    spread = 0.5 * (high - low)
    weights = group_weights(rows, use)[use]
    scatter = np.array([SCATTER[kind] for kind in rows.kind[use]])

    def cost(x: np.ndarray) -> np.ndarray:
        error = np.nan_to_num(log_errors(rows, *put(rows, where, np.exp(x)), use)[use], nan=LARGEST)
        size = np.clip(error, -LARGEST, LARGEST) / scatter
        softened = np.sign(size) * np.sqrt(2.0 * (np.sqrt(1.0 + size * size) - 1.0))
        return np.concatenate([weights * softened, (x - prior) / spread])

    x = np.clip(prior if start is None else start, low + 1e-9, high - 1e-9)
    found = least_squares(cost, x, bounds=(low, high), x_scale=spread, max_nfev=steps, diff_step=1e-3)
    errors = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)))
    return Fit(np.exp(found.x), errors, float(found.cost))


def summary(errors: np.ndarray, kinds: np.ndarray) -> dict[str, dict[str, float | int]]:
    """Quantiles of |modelled / measured - 1| by what is shown."""
    found = {}
    for name, members in SHOWN.items():
        here = errors[np.isin(kinds, members) & np.isfinite(errors)]
        if not len(here):
            continue
        relative = np.exp(here) - 1.0
        size = np.abs(relative)
        found[name] = {
            "n": len(here),
            "median": round(float(np.median(size)), 4),
            "mean": round(float(np.mean(size)), 4),
            "p90": round(float(np.quantile(size, 0.9)), 4),
            "bias": round(float(np.median(relative)), 4),
        }
    return found


def seen_as(path: Path, **unknown: str) -> Rows:
    """The same rows with every chip as if less were known of it: without its name, or without its family."""
    usual = numbers.chip
    numbers.forget()
    numbers.chip = lambda key: usual(key)._replace(**unknown)
    try:
        return read(path)
    finally:
        numbers.chip = usual
        numbers.forget()


def left_out(rows: Rows, by: np.ndarray, best: np.ndarray, judged: Rows | None = None) -> np.ndarray:
    """The errors of every row under a fit that has not seen its group; small groups are left out together, in ten.

    judged  the rows as the fit is applied to them; by default as it has seen them
    """
    found = np.full(len(by), np.nan)
    sizes = Counter(by)
    folds: dict[str, list[str]] = {}
    for i, name in enumerate(sorted(sizes, key=lambda each: (-sizes[each], each))):
        folds.setdefault(name if sizes[name] >= FEWEST_ROWS * 8 else f"rest {i % 10}", []).append(name)
    half_way = 0.5 * (np.log(best) + np.log([p.prior for p in PARAMETERS]))
    judged = judged or rows
    where = setters(judged, PARAMETERS)
    for fold, names in folds.items():
        away = np.isin(by, names)
        fitted = fit(rows, ~away, half_way, 12)
        found[away] = log_errors(judged, *put(judged, where, fitted.values), away)[away]
        print(f"  without {fold}: {int(away.sum())} rows", flush=True)
    return found


def widths(rows: Rows, tiers: dict[str, np.ndarray]) -> dict[str, Any]:
    """Half widths of ln(time) by kind of metric and evidence that 80 % of the left-out residuals lie in.

    What a mixture adds is one number for all tiers. A new vendor's young software counts as what a datasheet alone
    leaves open, and nowhere else. Coverage is counted over halves: the width of one half of the campaigns against the
    residuals of the other.
    """
    found: dict[str, Any] = {}
    halves = np.array([hash_of(name) % 2 for name in rows.campaign])
    for section, members in METRIC_OF.items():
        here = np.isin(rows.kind, members) & (rows.kind != "rocm")
        entry: dict[str, Any] = {"coverage": {}, "coverage_out_of_half": {}, "n": {}}
        known = tiers["measured_chip"]
        dense, mixed = (
            quantile(np.abs(known[here & (rows.mixture == mixture) & np.isfinite(known)])) for mixture in (False, True)
        )
        more = max(0.0, mixed - dense)
        entry["mixture"] = round(more, 3)
        least = 0.0
        for tier, errors in tiers.items():
            use = (here if tier != "datasheet_only" else np.isin(rows.kind, members)) & np.isfinite(errors)
            size = np.abs(errors) - more * rows.mixture
            width = max(least, quantile(size[use]))
            least = width
            entry[tier] = round(width, 3)
            entry["n"][tier] = int(use.sum())
            entry["coverage"][tier] = round(float(np.mean(size[use] <= width)), 3)
            across = []
            for half in (0, 1):
                one, other = use & (halves == half), use & (halves != half)
                if one.any() and other.any():
                    across.append(float(np.mean(size[other] <= quantile(size[one]))))
            entry["coverage_out_of_half"][tier] = round(float(np.mean(across)), 3) if across else None
        found[section] = entry
    return found


def quantile(sizes: np.ndarray) -> float:
    return float(np.quantile(sizes, COVERAGE)) if len(sizes) else 0.0


def hash_of(text: str) -> int:
    """The same number for the same text on every machine."""
    total = 0
    for letter in text.encode():
        total = (total * 31 + letter) % 1_000_003
    return total


def written(value: float, field: str) -> str:
    """A value as the data files write it."""
    if not field.endswith("_s"):
        return f"{value:.3g}"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def write_entry(lines: list[str], path: Sequence[str], text: str) -> None:
    """Put `text` behind the key at the end of `path` of a file's lines, adding the key where it is not there."""
    at, depth = -1, 0
    end = len(lines)
    for key in path:
        pattern = re.compile(rf"^{'  ' * depth}{re.escape(key)}:")
        found = next((i for i in range(at + 1, end) if pattern.match(lines[i])), None)
        if found is None:
            lines.insert(at + 1, f"{'  ' * depth}{key}: {text}")
            return
        at = found
        inside = re.compile(rf"^(  ){{{depth + 1}}}|^\s*$|^\s*#")
        end = next((i for i in range(at + 1, len(lines)) if not inside.match(lines[i])), len(lines))
        depth += 1
    lines[at] = f"{'  ' * (depth - 1)}{path[-1]}: {text}"


def why_of(text: str) -> str:
    """The words of an entry as it stands."""
    found = re.search(r'(?:why|note): "([^"]*)"', text)
    return found[1].removesuffix("; hardly identified") if found else ""


def write_values(result: Fit) -> None:
    """The fitted values, with ranges of one standard error, into the data files."""
    files = {"engines": "engines.yaml", "precisions": "precisions.yaml", "defaults": "defaults.yaml"}
    texts = {name: (DATA / file).read_text(encoding="utf-8").split("\n") for name, file in files.items()}
    for parameter, value, error in zip(PARAMETERS, result.values, result.errors, strict=True):
        group = parameter.place.partition(".")[0]
        name = {"four_bit": "precisions", "weight_only": "precisions", "serving_record": "defaults"}.get(
            group, "engines"
        )
        path = parameter.place.split(".")
        old = next((line for line in texts[name] if line.strip().startswith(f"{parameter.field}:")), "")
        low = max(parameter.low, value * math.exp(-error))
        high = min(parameter.high, value * math.exp(error))
        note = why_of(old)
        if error > math.log(2.0):
            note += "; hardly identified"
        best, least, most = (written(each, parameter.field) for each in (value, low, high))
        text = f'value: {best}, kind: fitted, source: serving-fit, low: {least}, high: {most}, note: "{note}"'
        write_entry(texts[name], path, f"{{{text}}}")
    for name, file in files.items():
        (DATA / file).write_text("\n".join(texts[name]), encoding="utf-8")


def write_widths(found: dict[str, Any]) -> None:
    """The half widths of the intervals into defaults.yaml."""
    path = DATA / "defaults.yaml"
    lines = path.read_text(encoding="utf-8").split("\n")
    for section, entry in found.items():
        for field in ("measured_chip", "measured_family", "datasheet_only", "mixture"):
            note = f"{entry['n'][field]} residuals left out" if field in entry["n"] else "more for a mixture of experts"
            text = f'{{value: {entry[field]}, kind: fitted, source: serving-fit, note: "{note}"}}'
            write_entry(lines, (section, field), text)
    path.write_text("\n".join(lines), encoding="utf-8")


def show(name: str, found: dict[str, dict[str, float | int]]) -> None:
    for group, entry in found.items():
        line = " ".join(f"{key} {value:6.1%}" for key, value in entry.items() if key != "n")
        print(f"{name:12} {group:20} {entry['n']:5} {line}")


def by_group(rows: Rows, by: np.ndarray, errors: np.ndarray) -> dict[str, Any]:
    """The summary of every value of `by`."""
    return {str(name): summary(errors[by == name], rows.kind[by == name]) for name in sorted(set(by))}


def main() -> None:
    """Fit, print, and write what is asked for."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("csv", type=Path)
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--folds", action="store_true")
    asked = arguments.parse_args()
    rows = read(asked.csv)
    every = np.ones(len(rows.published), dtype=bool)
    result = fit(rows, every, steps=40)
    where = setters(rows, PARAMETERS)
    errors = log_errors(rows, *put(rows, where, result.values), every)
    now = summary(errors, rows.kind)
    table = []
    for i, parameter in enumerate(PARAMETERS):
        back = result.values.copy()
        back[i] = parameter.prior
        then = summary(log_errors(rows, *put(rows, where, back), every), rows.kind)
        worse = {
            group: round(then[group]["median"] - now[group]["median"], 4)
            for group in ("tpot_agg", "ttft_agg", "offline", "tpot_pools")
        }
        print(
            f"{parameter.place:40} {result.values[i]:10.4g} x/ {math.exp(result.errors[i]):5.2f} "
            f"prior {parameter.prior:8.3g}  {worse}"
        )
        table.append(
            {
                "name": parameter.place,
                "value": float(f"{result.values[i]:.4g}"),
                "standard_error": float(f"{result.values[i] * result.errors[i]:.3g}"),
                "prior": parameter.prior,
                "error_when_removed": worse,
            }
        )
    show("in sample", now)
    if asked.write:
        write_values(result)
    if not asked.folds:
        return
    folds = {"in_sample": now}
    out = {"in_sample": errors}
    # a chip of a measured family has not its own kernel curves, one of no measured family has the general ones
    nameless, unknown = seen_as(asked.csv, name="unknown"), seen_as(asked.csv, name="unknown", family="other")
    for name, by, judged in (
        ("chip_out", rows.chip, rows),
        ("model_out", rows.model, rows),
        ("source_out", rows.campaign, rows),
        ("chip_out_without_its_kernels", rows.chip, nameless),
        ("family_out", rows.family, unknown),
    ):
        out[name] = left_out(rows, by, result.values, judged)
        folds[name] = summary(out[name], rows.kind)
        show(name, folds[name])
    tiers = {
        "measured_chip": out["source_out"],
        "measured_family": out["chip_out_without_its_kernels"],
        "datasheet_only": out["family_out"],
    }
    intervals = widths(rows, tiers)
    print(json.dumps(intervals, indent=1))
    if asked.write:
        write_widths(intervals)
    document = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "parameters": table,
        "n_rows": len(rows.published),
        "folds": folds,
        "by_chip": by_group(rows, rows.chip, errors),
        "by_engine": by_group(rows, rows.engine, errors),
        "by_model": by_group(rows, rows.model, errors),
        "intervals": intervals,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
