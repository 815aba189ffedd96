"""Fit the few shared numbers of the training stacks on published runs, and say how well they hold on runs left out.

    python bench/fit_training.py TRAINING_CSV [--write] [--folds FILE.json]

The rows are in the documented training form. Every study weighs as at most 40 rows. Each parameter has a prior; the
fit is robust (soft L1) in ln(modelled / measured). `--write` puts values, standard errors and 80 % ranges into
stacks.yaml and precisions.yaml. `--folds` repeats the fit without a fifth of the configurations, without each study,
without each chip and without each family of chips, and writes errors, parameters and interval widths.
"""

import argparse
import csv
import datetime
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from row_driver import columns, flatten, training_driver
from scipy.optimize import least_squares

from clustercast import records
from clustercast.catalog import constants
from clustercast.errors import ClustercastError
from clustercast.studies.record import training as record

MOST_ROWS_OF_A_STUDY: Final = 40
LARGE_STUDY: Final = 500  # rows beyond which the one-node runs of a study weigh apart from the others
ONE_NODE: Final = 8
WILD: Final = 1.1  # a family whose rows need so much more width than all others scatters
COVERED: Final = 0.8  # of the measurements, by the interval
SCATTER: Final = 0.08  # of ln(modelled / measured) that the fit expects of a good row
N_FOLDS: Final = 5
Z80: Final = 1.2816  # 80 % of a normal distribution lies within this many standard errors
# whatever its release, and however many replicas of it ran side by side
SAME_CONFIGURATION: Final = (
    *("study", "chip", "layers", "hidden", "heads", "kv_heads", "ffn", "vocab", "experts", "topk"),
    *("moe_ffn", "seq_len", "micro_batch", "TP", "PP", "EP", "CP", "recompute"),
    *("precision", "zero"),
)

OLD: Final = ("megatron-2021", "megatron-2022", "megatron-deepspeed")
OF_2021: Final = ("megatron-2021", "megatron-deepspeed")
CORE: Final = ("nemo", "nemo-2026", "megatron-core", "hai-llm")
FSDP: Final = ("composer-fsdp", "pytorch-fsdp", "deepspeed")


class Row(NamedTuple):
    """One complete row, ready to be modelled."""

    id: str
    study: str
    chip: str
    family: str
    stack: str
    precision: str
    n_chips: int
    mixture: bool
    configuration: str
    measured_s: float


class Rows(NamedTuple):
    """All rows, their settings and plans as tables of numbers, and what every row weighs."""

    rows: list[Row]
    settings: np.ndarray
    unmeasured: np.ndarray  # the same settings with the kernels of a family that nobody measured
    plans: np.ndarray
    measured_s: np.ndarray

    def where(self, test: Callable[[Row], bool]) -> np.ndarray:
        """The rows that a test accepts, as a mask."""
        return np.array([test(row) for row in self.rows])


class Parameter(NamedTuple):
    """One shared number: where it acts, what is known of it before, where it is kept."""

    name: str
    field: str  # of the flattened setting
    acts_on: Callable[[Row], bool]
    prior: float
    spread: float  # standard deviation of its logarithm, or of its log-odds for shares
    neutral: float  # its value when the effect is not there
    places: tuple[tuple[str, ...], ...]  # file and keys of the data it is written to
    share: bool = False  # lies in 0..1
    relative: str = ""  # multiplies what this other parameter gave


def any_of(*stacks: str) -> Callable[[Row], bool]:
    """Rows of these stacks."""
    return lambda row: row.stack in stacks


def fused(row: Row) -> bool:
    """Rows whose stack is of the years after unfused attention."""
    return row.stack not in OLD


def family(name: str) -> Callable[[Row], bool]:
    """Rows of one family of chips."""
    return lambda row: row.family == name


def everything(_row: Row) -> bool:
    """All rows."""
    return True


def base(field: str) -> tuple[tuple[str, ...], ...]:
    """A field of what all stacks share."""
    return (("stacks", "base", field),)


def of(field: str, *stacks: str) -> tuple[tuple[str, ...], ...]:
    """A field of some stacks."""
    return tuple(("stacks", "stacks", stack, field) for stack in stacks)


def recipes(*names: str) -> tuple[tuple[str, ...], ...]:
    """The matmul factor of precision recipes."""
    return tuple(("precisions", "recipes", name, "matmul_factor") for name in names)


FAMILIES: Final = {"ampere": 0.05, "hopper": 0.05, "blackwell": 0.05, "ascend": 0.08, "volta": 0.08}
MATMUL, ELEMENT = "stack.matmul_factor", "stack.element_bytes_factor"
ATTENTION, COLLECTIVE = "stack.attention_factor", "stack.collective_factor"
FORWARD, BACKWARD = "stack.host_layer_forward_s", "stack.host_layer_backward_s"
HOST_MOE, EXPERT = "stack.host_moe_layer_s", "stack.expert_factor"

# Priors do not come from the rows: counts of launches and bytes, other people's kernel benchmarks, or nothing (1).
# Attention of 2023: FlashAttention 1 reaches 25-40 % of an A100's peak (Dao 2023), the measured kernels 55;
# on Hopper such kernels reach 20-35 % (Shah et al. 2024). FP8 matmuls alone reach 1.36-1.55 PFLOP/s on Hopper
# (DeepGEMM) where the tables with casts reach 1.16. Scores: Korthikanti et al. 2022. Gradients added in a pass: 14
# bytes counted.
PARAMETERS: Final = [
    Parameter("matmul", MATMUL, fused, 0.9, 0.1, 1.0, base("matmul_factor")),
    Parameter(
        "matmul, megatron-core on Blackwell",
        MATMUL,
        any_of("megatron-core"),
        0.9,
        0.2,
        1.0,
        (("stacks", "stacks", "megatron-core", "families", "blackwell", "matmul_factor"),),
        relative="matmul",
    ),
    Parameter(
        "matmul, composer",
        MATMUL,
        any_of("composer-fsdp"),
        1.0,
        0.1,
        1.0,
        of("matmul_factor", "composer-fsdp"),
        relative="matmul",
    ),
    Parameter("matmul, 2021", MATMUL, any_of(*OF_2021), 0.9, 0.1, 1.0, of("matmul_factor", "megatron-2021")),
    Parameter("matmul, 2022", MATMUL, any_of("megatron-2022"), 0.9, 0.1, 1.0, of("matmul_factor", "megatron-2022")),
    *(
        Parameter(
            f"rate, {name}",
            "chip.clock_fraction",
            family(name),
            1.0,
            spread,
            1.0,
            (("stacks", "families", name),),
            relative="clock",
        )
        for name, spread in FAMILIES.items()
    ),
    Parameter(
        "FP8 matmul",
        "precision.matmul_factor",
        lambda row: row.precision in ("fp8", "mxfp8"),
        1.25,
        0.15,
        1.0,
        recipes("fp8", "fp8-block", "mxfp8"),
    ),
    Parameter(
        "NVFP4 matmul",
        "precision.matmul_factor",
        lambda row: row.precision == "nvfp4",
        1.5,
        0.4,
        1.0,
        recipes("nvfp4"),
    ),
    Parameter(
        "attention, composer on Ampere",
        ATTENTION,
        lambda row: row.stack == "composer-fsdp" and row.family == "ampere",
        0.65,
        0.3,
        1.0,
        (("stacks", "stacks", "composer-fsdp", "families", "ampere", "attention_factor"),),
    ),
    Parameter(
        "attention, composer on Hopper",
        ATTENTION,
        lambda row: row.stack == "composer-fsdp" and row.family != "ampere",
        0.45,
        0.3,
        1.0,
        of("attention_factor", "composer-fsdp"),
    ),
    Parameter(
        "attention, now",
        ATTENTION,
        lambda row: fused(row) and row.stack not in ("composer-fsdp", "mindspeed"),
        1.0,
        0.2,
        1.0,
        base("attention_factor"),
    ),
    Parameter(
        "attention, mindspeed", ATTENTION, any_of("mindspeed"), 1.0, 0.3, 1.0, of("attention_factor", "mindspeed")
    ),
    Parameter("element-wise, Megatron-Core", ELEMENT, any_of(*CORE), 1.5, 0.3, 1.0, base("element_bytes_factor")),
    Parameter("element-wise, FSDP", ELEMENT, any_of(*FSDP), 2.0, 0.3, 1.0, of("element_bytes_factor", *FSDP)),
    Parameter(
        "element-wise, mindspeed", ELEMENT, any_of("mindspeed"), 2.0, 0.5, 1.0, of("element_bytes_factor", "mindspeed")
    ),
    Parameter("element-wise, old", ELEMENT, any_of(*OLD), 1.2, 0.3, 1.0, of("element_bytes_factor", "megatron-2021")),
    Parameter("score traffic", "stack.score_bytes", any_of(*OLD), 12.0, 0.3, 1e-3, of("score_bytes", "megatron-2021")),
    Parameter("experts", EXPERT, fused, 0.9, 0.05, 1.0, base("expert_factor")),
    Parameter("narrow experts", "stack.expert_half_width", fused, 2000.0, 1.0, 1.0, base("expert_half_width")),
    Parameter(
        "narrow experts, mid 2026",
        "stack.expert_half_width",
        any_of("nemo-2026"),
        0.5,
        0.8,
        1.0,
        of("expert_half_width", "nemo-2026"),
        relative="narrow experts",
    ),
    Parameter("host, expert layer", HOST_MOE, any_of("nemo"), 3e-3, 1.0, 1e-6, of("host_moe_layer_s", "nemo")),
    Parameter(
        "host, expert layer, mid 2026",
        HOST_MOE,
        any_of("nemo-2026"),
        1.5e-3,
        0.8,
        1e-6,
        of("host_moe_layer_s", "nemo-2026"),
    ),
    Parameter(
        "host, 2021 forward", FORWARD, any_of(*OF_2021), 0.4e-3, 0.8, 1e-6, of("host_layer_forward_s", "megatron-2021")
    ),
    Parameter(
        "host, 2021 backward",
        BACKWARD,
        any_of(*OF_2021),
        0.6e-3,
        0.8,
        1e-6,
        of("host_layer_backward_s", "megatron-2021"),
    ),
    Parameter(
        "host, 2021 micro-batch",
        "stack.host_microbatch_s",
        any_of(*OF_2021),
        1e-3,
        0.8,
        1e-6,
        of("host_microbatch_s", "megatron-2021"),
    ),
    Parameter(
        "tensor-parallel overlap",
        "stack.tp_overlap",
        lambda row: fused(row) and row.stack != "mindspeed",
        0.6,
        1.0,
        0.01,
        base("tp_overlap"),
        share=True,
    ),
    Parameter(
        "tensor-parallel overlap, mindspeed",
        "stack.tp_overlap",
        any_of("mindspeed"),
        0.4,
        1.0,
        0.01,
        of("tp_overlap", "mindspeed"),
        share=True,
    ),
    Parameter("expert overlap", "stack.ep_overlap", fused, 0.5, 1.0, 0.01, base("ep_overlap"), share=True),
    Parameter("data-parallel overlap", "stack.dp_overlap", fused, 0.85, 1.0, 0.01, base("dp_overlap"), share=True),
    Parameter(
        "sharded-weights overlap", "stack.fsdp_overlap", fused, 0.85, 1.0, 0.01, base("fsdp_overlap"), share=True
    ),
    Parameter("collectives in a step", COLLECTIVE, fused, 1.2, 0.25, 1.0, base("collective_factor")),
    Parameter(
        "collectives in a step, old",
        COLLECTIVE,
        any_of(*OLD),
        1.2,
        0.25,
        1.0,
        of("collective_factor", "megatron-2021"),
    ),
    Parameter(
        "gradient pass, DeepSpeed",
        "stack.accumulation_bytes",
        any_of("megatron-deepspeed", "deepspeed"),
        14.0,
        0.7,
        1e-3,
        of("accumulation_bytes", "megatron-deepspeed", "deepspeed"),
    ),
]
COLUMNS: Final = columns(records.Setting)


def inward(parameter: Parameter, value: float) -> float:
    """A parameter's value on the scale where its prior is normal."""
    return math.log(value / (1.0 - value)) if parameter.share else math.log(value)


def outward(parameter: Parameter, inner: float) -> float:
    """The inverse of `inward`."""
    return 1.0 / (1.0 + math.exp(-inner)) if parameter.share else math.exp(inner)


def read(path: Path) -> Rows:
    """Every complete row that can be modelled."""
    found, settings, unmeasured, plans = [], [], [], []
    with path.open(newline="", encoding="utf-8") as file:
        for cells in csv.DictReader(file):
            if cells["complete"] != "yes":
                continue
            try:
                setting, plan = record.setting_of(cells)
                chip = record.numbers.chip_of(cells)
            except ClustercastError as error:
                print(f"left out: {error}")
                continue
            n_chips = record.number(cells, "n_chips", 1)
            value = float(cells["value"])
            tokens = float(setting.job.global_batch) * setting.job.seq_len
            seconds = value if cells["metric"] == "iteration_s" else tokens / value / n_chips
            found.append(
                Row(
                    cells["id"],
                    cells["study"],
                    chip.name,
                    chip.family,
                    record.stack_of(cells),
                    cells["precision"],
                    n_chips,
                    setting.model.n_moe_layers > 0,
                    "|".join(cells[name] for name in SAME_CONFIGURATION),
                    seconds,
                )
            )
            clock = constants.clock_fraction(chip.family).value  # without the family's factor, which is fitted
            setting = setting._replace(chip=setting.chip._replace(clock_fraction=clock))
            settings.append(setting)
            formats = constants.recipe(record.PRECISIONS[cells["precision"] or "bf16"]).formats
            curves = constants.kernels("other", "", formats, setting.kernels.n_cores)
            kernels = records.Kernels(**{name: curves[name].value for name in records.Kernels._fields})
            unmeasured.append(setting._replace(kernels=kernels))
            plans.append(plan)
    measured_s = np.array([row.measured_s for row in found])
    return Rows(found, flatten(settings), flatten(unmeasured), flatten(plans), measured_s)


def weights(data: Rows, mask: np.ndarray) -> np.ndarray:
    """What every row of a mask weighs: each study as at most 40 rows."""
    names = [row.study for row in data.rows]
    large = {name for name in set(names) if names.count(name) > LARGE_STUDY}
    studies = np.array(
        [f"{row.study} {row.n_chips > ONE_NODE}" if row.study in large else row.study for row in data.rows]
    )
    found = np.zeros(len(data.rows))
    for study in set(studies[mask]):
        mine = mask & (studies == study)
        found[mine] = min(1.0, MOST_ROWS_OF_A_STUDY / mine.sum())
    return found


class Model:
    """The rows under given values of the parameters."""

    def __init__(self, data: Rows, parameters: Sequence[Parameter]) -> None:
        self.data = data
        self.parameters = parameters
        self.run = training_driver()
        self.masks = [data.where(parameter.acts_on) for parameter in parameters]
        self.prior = np.array([inward(parameter, parameter.prior) for parameter in parameters])
        self.spread = np.array([parameter.spread for parameter in parameters])

    def residuals(self, values: np.ndarray, rows: np.ndarray, *, measured: bool = True) -> np.ndarray:
        """ln(modelled / measured) of some rows (by index).

        measured  False: as if no operation of their family had been measured
        """
        table = (self.data.settings if measured else self.data.unmeasured)[rows].copy()
        for parameter, mask, value in zip(self.parameters, self.masks, values, strict=True):
            here, column = mask[rows], COLUMNS[parameter.field]
            if parameter.relative:
                table[here, column] *= outward(parameter, value)
            else:
                table[here, column] = outward(parameter, value)
        step_s = self.run(table, self.data.plans[rows])[:, 0]
        return np.log(step_s / self.data.measured_s[rows])

    def fit(self, mask: np.ndarray, start: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Values and standard errors, both on the inner scale, from the rows of a mask."""
        weight = weights(self.data, mask)
        rows = np.flatnonzero(weight)
        root = np.sqrt(weight[rows]) / SCATTER

        def cost(values: np.ndarray) -> np.ndarray:
            return np.concatenate([root * self.residuals(values, rows), (values - self.prior) / self.spread])

        def loss(squares: np.ndarray) -> np.ndarray:
            """Soft L1 on rows, square on priors: the function of squared residuals and its two derivatives."""
            root = np.sqrt(1.0 + squares)
            value, first, second = 2.0 * (root - 1.0), 1.0 / root, -0.5 / root**3
            own = np.arange(len(squares)) >= len(rows)
            value[own], first[own], second[own] = squares[own], 1.0, 0.0
            return np.array([value, first, second])

        found = least_squares(
            cost,
            self.prior if start is None else start,
            loss=loss,
            x_scale=self.spread,
            max_nfev=25 if start is None else 12,
            diff_step=1e-4,
        )
        covariance = np.linalg.pinv(found.jac.T @ found.jac)
        return found.x, np.sqrt(np.diag(covariance))

    def jackknife(self, start: np.ndarray) -> np.ndarray:
        """Standard errors from leaving out one study at a time: rows of a study are no independent witnesses."""
        studies = np.array([row.study for row in self.data.rows])
        names = sorted(set(studies))
        values = np.array([self.fit(studies != name, start)[0] for name in names])
        spread = values - values.mean(axis=0)
        return np.sqrt((len(names) - 1.0) / len(names) * np.sum(spread * spread, axis=0))

    def left_out(self, labels: np.ndarray, start: np.ndarray, *, measured: bool = True) -> np.ndarray:
        """Residuals of every row from a fit without the rows of its label."""
        found = np.empty(len(self.data.rows))
        for label in sorted(set(labels)):
            test = labels == label
            values, _ = self.fit(~test, start)
            found[test] = self.residuals(values, np.flatnonzero(test), measured=measured)
        return found


def quantile(values: np.ndarray, weight: np.ndarray, share: float) -> float:
    """A weighted quantile."""
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][min(np.searchsorted(total, share * total[-1]), len(order) - 1)])


def errors(data: Rows, residuals: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Absolute errors of some rows, each study weighted as at most 40 of them."""
    weight = weights(data, mask)[mask]
    error = np.exp(residuals[mask]) - 1.0
    size = np.abs(error)
    return {
        "n": int(mask.sum()),
        "median": round(quantile(size, weight, 0.5), 4),
        "mean": round(float(np.average(size, weights=weight)), 4),
        "p90": round(quantile(size, weight, 0.9), 4),
        "largest": round(float(size.max()), 4),
        "bias": round(quantile(error, weight, 0.5), 4),
    }


def groups(data: Rows) -> dict[str, np.ndarray]:
    """The rows that targets are stated for."""
    vtrain = data.where(lambda row: "vTrain" in row.study)
    many = data.where(lambda row: row.n_chips > ONE_NODE)
    mixture = data.where(lambda row: row.mixture)
    return {
        "rest": ~vtrain,
        "rest, dense": ~vtrain & ~mixture,
        "mixtures": mixture,
        "vTrain, multi-node": vtrain & many,
        "vTrain, single node": vtrain & ~many,
        "Korthikanti": data.where(lambda row: "Korthikanti" in row.study),
    }


def tables(data: Rows, residuals: np.ndarray) -> dict[str, Any]:
    """Errors of the groups that have targets, and by study, chip and kind of model."""
    found: dict[str, Any] = {name: errors(data, residuals, mask) for name, mask in groups(data).items() if mask.any()}
    keys = sorted({(row.study, row.chip, row.mixture) for row in data.rows})
    found["by_study"] = [
        {"study": study, "chip": chip, "kind": "mixture" if mixture else "dense"}
        | errors(
            data,
            residuals,
            data.where(lambda row, key=(study, chip, mixture): (row.study, row.chip, row.mixture) == key),
        )  # type: ignore[misc]
        for study, chip, mixture in keys
    ]
    return found


def coverage(residuals: np.ndarray, half_width: np.ndarray, weight: np.ndarray) -> float:
    """Share of rows whose measurement lies inside the interval."""
    return float(np.average(np.abs(residuals) <= half_width, weights=weight))


def widths(data: Rows, splits: dict[str, np.ndarray]) -> dict[str, Any]:
    """Half widths of ln(time) by evidence, from the residuals of what was left out, and what they cover.

    measured chip    what covers 80 % of all rows counted twice, with the configuration left out and with the study:
                     a new run may be of a known kind or not
    measured family  what covers 80 % with the chip left out, or with the study if that is more
    datasheet only   what covers 80 % with the family left out and its operations taken from priors
    mixture          what mixtures of experts need beyond dense models, on measured chips
    scatter          what a family's rows need over the others', where that is more than 1.1 times
    """
    weight = weights(data, np.ones(len(data.rows), bool))
    mixture = data.where(lambda row: row.mixture)
    families = np.array([row.family for row in data.rows])

    def covering(split: str, mask: np.ndarray) -> float:
        return quantile(np.abs(splits[split][mask]), weight[mask], COVERED)

    def known(mask: np.ndarray) -> float:
        both = np.concatenate([np.abs(splits["configuration"][mask]), np.abs(splits["study"][mask])])
        return quantile(both, np.tile(weight[mask], 2), COVERED)

    wild = {name for name in set(families) if known((families == name) & ~mixture) > WILD * known(~mixture)}
    calm = ~np.isin(families, list(wild))
    dense_width = known(calm & ~mixture)
    half_widths = {
        "measured_chip": dense_width,
        "measured_family": max(covering("chip", calm & ~mixture), covering("study", calm & ~mixture)),
        "datasheet_only": covering("family", ~mixture),
        "mixture": known(calm & mixture) - dense_width,
    }
    scatter = {name: known((families == name) & ~mixture) / dense_width for name in sorted(wild)}
    factor = np.array([scatter.get(name, 1.0) for name in families])
    found: dict[str, Any] = {
        "half_widths": {name: round(width, 3) for name, width in half_widths.items()},
        "scatter": {name: round(value, 2) for name, value in scatter.items()},
    }
    tiers = {
        "measured_chip": ("configuration", "study"),
        "measured_family": ("chip",),
        "datasheet_only": ("family",),
    }
    for evidence, left_out in tiers.items():
        half_width = half_widths[evidence] + half_widths["mixture"] * mixture
        if evidence != "datasheet_only":
            half_width = half_width * factor
        found[evidence] = {
            "median_width": round(math.exp(2.0 * quantile(half_width, weight, 0.5)), 3),
            "covers": {split: round(coverage(splits[split], half_width, weight), 3) for split in left_out},
            "covers_unweighted": {
                split: round(coverage(splits[split], half_width, np.ones(len(weight))), 3) for split in left_out
            },
            "covers_by_family": {
                name: {
                    split: round(float(np.mean(np.abs(splits[split]) <= half_width, where=families == name)), 2)
                    for split in left_out
                }
                for name in sorted(set(families))
            },
        }
    return found


def write_widths(half_widths: dict[str, float], scatter: dict[str, float]) -> None:
    """Put the interval's half widths and the factors of families that scatter into defaults.yaml."""
    yaml, path = _yaml(), constants.DATA / "defaults.yaml"
    tree = yaml.load(path.read_text(encoding="utf-8"))
    for name, width in half_widths.items():
        tree["interval"][name]["value"] = width
    for name, entry in tree["interval"]["scatter"].items():
        entry["value"] = scatter.get(name, 1.0)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)


def labels_of(data: Rows, split: str) -> np.ndarray:
    """What is left out together."""
    if split == "configuration":
        names = sorted({row.configuration for row in data.rows})
        fold = dict(zip(names, np.random.default_rng(0).integers(0, N_FOLDS, len(names)), strict=True))
        return np.array([str(fold[row.configuration]) for row in data.rows])
    return np.array([getattr(row, split) for row in data.rows])


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100000
    return yaml


def write(values: Iterable[tuple[Parameter, float, float]]) -> None:
    """Put fitted values, standard errors and 80 % ranges into the data files."""
    yaml = _yaml()
    files: dict[str, Any] = {}
    done: dict[str, float] = {"clock": 1.0}
    for parameter, inner, error in values:
        done[parameter.name] = outward(parameter, inner)
        scale = done[parameter.relative] if parameter.relative else 1.0
        low, value, high = (outward(parameter, inner + z * error) * scale for z in (-Z80, 0.0, Z80))
        for name, *keys in parameter.places:
            if name not in files:
                files[name] = yaml.load((constants.DATA / f"{name}.yaml").read_text(encoding="utf-8"))
            entry = files[name]
            for key in keys:
                entry = entry[key]
            unit = " ms" if parameter.field.endswith("_s") else ""
            times = 1e3 if unit else 1.0
            for key, number in (("value", value), ("low", low), ("high", high)):
                entry[key] = f"{times * number:.3g}{unit}" if unit else float(f"{number:.3g}")
            entry["kind"], entry["source"] = "fitted", "training-fit"
            entry["standard_error"] = float(f"{(math.exp(error) - 1.0 if not parameter.share else error):.2g}")
    for name, tree in files.items():
        with (constants.DATA / f"{name}.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(tree, file)


def report(data: Rows, residuals: np.ndarray) -> None:
    """The errors on the terminal."""
    found = tables(data, residuals)
    for name, group in found.items():
        if name != "by_study":
            print(f"{name:20} {line(group)}")
    for group in found["by_study"]:
        print(f"{group['study'][:30]:30} {group['chip'][:15]:15} {group['kind']:7} {line(group)}")


def line(group: dict[str, float]) -> str:
    """One line of errors."""
    shown = " ".join(f"{name} {group[name]:6.1%}" for name in ("median", "mean", "p90", "largest", "bias"))
    return f"n {group['n']:4} {shown}"


def main() -> None:
    """Fit, print, and write what was asked for."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("csv", type=Path)
    arguments.add_argument("--write", action="store_true", help="write the values into the data files")
    arguments.add_argument("--folds", type=Path, help="leave out, and write the figures to this file")
    asked = arguments.parse_args()
    data = read(asked.csv)
    model = Model(data, PARAMETERS)
    everywhere = np.ones(len(data.rows), bool)
    every_row = np.arange(len(data.rows))
    values, within = model.fit(everywhere)
    standard = np.maximum(within, model.jackknife(values))
    residuals = model.residuals(values, every_row)
    for parameter, value, error in zip(PARAMETERS, values, standard, strict=True):
        print(f"{parameter.name:34} {outward(parameter, value):10.4g}  prior {parameter.prior:8.3g}  s.e. {error:.2f}")
    report(data, residuals)
    if asked.write:
        write(zip(PARAMETERS, values, standard, strict=True))
    if asked.folds is None:
        return
    splits = {"in_sample": residuals}
    for split in ("configuration", "study", "chip", "family"):
        splits[split] = model.left_out(labels_of(data, split), values, measured=split != "family")
        print(f"\nleft out by {split}")
        report(data, splits[split])
    intervals = widths(data, splits)
    print(json.dumps(intervals, indent=1))
    if asked.write:
        write_widths(intervals["half_widths"], intervals["scatter"])
    described = []
    for place, parameter in enumerate(PARAMETERS):
        without = Model(data, [*PARAMETERS[:place], *PARAMETERS[place + 1 :]])
        table = data.settings[:, COLUMNS[parameter.field]]
        kept = table.copy()
        mask = model.masks[place]
        if not parameter.relative:
            table[mask] = parameter.neutral
        start = np.delete(values, place)
        refitted, _ = without.fit(everywhere, start)
        removed = tables(data, without.residuals(refitted, every_row))
        data.settings[:, COLUMNS[parameter.field]] = kept
        described.append(
            {
                "name": parameter.name,
                "field": parameter.field,
                "value": float(f"{outward(parameter, values[place]):.4g}"),
                "standard_error": float(f"{standard[place]:.2g}"),
                "scale": "log-odds" if parameter.share else "log",
                "prior": parameter.prior,
                "prior_spread": parameter.spread,
                "removed": {
                    "rest_mean": removed["rest"]["mean"],
                    "rest_p90": removed["rest"]["p90"],
                    "mixtures_mean": removed["mixtures"]["mean"],
                    "vtrain_mean": removed["vTrain, single node"]["mean"],
                },
            }
        )
        print(f"without {parameter.name:34} rest mean {removed['rest']['mean']:.1%}")
    found = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "n_rows": len(data.rows),
        "n_parameters": len(PARAMETERS),
        "splits": {name: tables(data, residual) for name, residual in splits.items()},
        "intervals": intervals,
        "parameters": described,
    }
    asked.folds.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
