"""Fit the empirical constants of kernels and links to tables of measured single operations.

    python bench/fit_operations.py OPERATIONS_DIR

OPERATIONS_DIR holds gemm_llm_shapes.csv, prefill_attention.csv, decode_attention.csv, mla_decode.csv,
moe.csv, moe_fits.csv, moe_infersim_h20_h800.csv and comm.csv. What no table reaches comes from
bench/operation_priors.yaml. Writes src/clustercast/catalog/data/kernels.yaml and collectives.yaml
and prints how well every form fits.

A *stack* is one chip, framework and kernel. Every stack is fitted alone; a family's number is the
median of its stacks, low and high their 10-90 % range, so that no chip and no framework dominates.

The formulas are those of clustercast.physics, written once more with arrays because a fit evaluates
them millions of times; `check_forms` compares the two on a few points before anything is fitted.
"""

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from scipy.optimize import least_squares

from clustercast.physics import collectives, roofline
from clustercast.physics.examples import CLUSTER, KERNELS, TIER

Array = NDArray[np.float64]
Row = dict[str, str]
Stack = tuple[str, ...]

HERE = Path(__file__).parent
DATA = HERE.parent / "src" / "clustercast" / "catalog" / "data"

# A table's chip: the family it speaks for and its name in hardware_profiles. `h20` and `gb202` are no
# families of the catalogue: they become entries of chips of their own.
CHIPS = {
    "a100_sxm": ("ampere", "a100-sxm4-80gb"),
    "l40s": ("ada", "l40s-48gb"),
    "h100_sxm": ("hopper", "h100-sxm5-80gb"),
    "h200_sxm": ("hopper", "h200-sxm-141gb"),
    "h800": ("hopper", "h800-sxm5-80gb"),
    "h20": ("h20", "h20-96gb"),
    "b200_sxm": ("blackwell", "b200-sxm"),
    "b300_sxm": ("blackwell", "b300-sxm"),
    "gb200": ("blackwell", "gb200-nvl72"),
    "gb300": ("blackwell", "gb300-nvl72"),
    "rtx_pro_6000_server": ("gb202", "rtx-pro-6000"),
    "ascend_910b": ("ascend", "ascend-910b2"),
}
FAMILY = {chip: family for chip, (family, _) in CHIPS.items()}
N_CORES = {"a100_sxm": 108, "l40s": 142, "h20": 78, "rtx_pro_6000_server": 188, "ascend_910b": 24}
N_CORES |= dict.fromkeys(("h100_sxm", "h200_sxm", "h800"), 132)
N_CORES |= dict.fromkeys(("b200_sxm", "b300_sxm", "gb200", "gb300"), 148)
# Weights that fit the last-level cache were read from it: such rows say nothing about HBM.
CACHE_BYTES = {"l40s": 96e6, "rtx_pro_6000_server": 128e6, "ascend_910b": 192e6}
# The table divides by 354 TFLOP/s, which no bin of the 910B has; it measures up to 326, so the part is a 910B2 (376)
# at least.
PEAK_SCALE = {"ascend_910b": 376.0 / 354.0}
FORMAT = {
    "bfloat16": "bf16",
    "bf16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8",
    "fp8_static": "fp8",
    "nvfp4": "fp4",
    "sq": "int8",
}
OPERAND_BYTES = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5625, "int8": 1.0}  # fp4: one scale byte per 16 elements
RESULT_BYTES = 2.0
# Rows a kernel pads m to. 64: DeepGEMM's FP8 matmul takes the same time for m = 16, 32 and 64 on the H20.
TILE_ROWS = {("hopper", "fp8"): 64.0, ("h20", "fp8"): 64.0}
SOFT = 0.1  # log error where soft_l1 turns from squares to absolute values
OWN_NUMBER = 0.06  # a chip this far off its family's median gets a number of its own

OPERATIONS = (
    "ai-dynamo/aiconfigurator, performance database at commit 095f58a (Apache-2.0); alibaba/InferSim at f2293da "
    "(H20, H800); hudingyi688/aiconfigurator-npu at 90d7765 (Ascend 910B)"
)
NETWORK = (
    "alibaba SimAI constants at cef83f9; deepseek-ai/DeepEP README; stas00/ml-engineering network benchmarks at "
    "744d01e (AWS P6-B200, H200, A100); DeepSeek-V3 hardware paper (arXiv 2505.09343)"
)
PRIORS = "bench/operation_priors.yaml: judgement from the public reports that each `why` names"


# ---------------------------------------------------------------- the forms, with arrays


def join(one: Array, other: Array, weight: float) -> Array:
    """roofline.join_s."""
    return 0.5 * (one + other + np.sqrt((one - other) ** 2 + weight * one * other))


def wave_factor(m: Array, n: Array, rows: float, columns: float, n_cores: Array, weight: float) -> Array:
    """roofline.wave_factor."""
    waves = np.ceil(m / rows) * np.ceil(n / columns) / n_cores
    return np.where(waves <= 1.0, 1.0, 1.0 + weight * (np.ceil(waves) / np.maximum(waves, 1e-9) - 1.0))


def operation(found: Array, compute_s: Array, memory_s: Array, weight: float) -> Array:
    """roofline.matmul_s, grouped_matmul_s and attention_s, given the times at full peak and full bandwidth.

    found  fraction of peak, fraction of bandwidth, launch in seconds
    """
    e_c, e_m, launch_s = (float(x) for x in found)
    total: Array = launch_s + join(compute_s / e_c, memory_s / e_m, weight)
    return total


def hops(n: Array) -> Array:
    """collectives.hops."""
    n = np.maximum(n, 1.0)
    return np.minimum(n - 1.0, 2.0 * np.ceil(np.log2(n)))


def all_reduce_launches() -> float:
    """How often collectives.all_reduce_s counts the launch of a collective."""
    tier = TIER._replace(launch_s=1.0, latency_s=0.0)
    return collectives.all_reduce_s(0.0, collectives.Spread(1.0, 4.0, 1.0, 1.0), CLUSTER._replace(scale_up=tier))


LAUNCHES = all_reduce_launches()


def collective(c: Mapping[str, Array], found: Array, launches: float = LAUNCHES) -> Array:
    """all_reduce_s, shard_exchange_s and even_all_to_all_s inside one switched domain.

    found  fraction, latency, launch, ramp, reduction gain
    """
    fraction, latency, launch, ramp, gain = found
    n = c["n"]
    reduces = c["reduce"] > 0.0
    start = np.where(reduces, launches * launch + 2.0 * hops(n) * latency, launch + hops(n) * latency)
    stream = (n - 1.0) / n * c["bytes"] / (c["link"] * fraction)
    stream = np.where(reduces, 2.0 * stream / np.where(n > 2.0, gain, 1.0), stream)
    return np.asarray(start + stream + ramp * np.sqrt(start * stream), dtype=np.float64)


def check_forms() -> None:
    """The array forms equal the package's plain functions."""
    k = KERNELS._replace(matmul_join=0.7, matmul_launch_s=3e-6, matmul_memory_fraction=0.9)
    k = k._replace(tile_rows=64.0, tile_columns=128.0, n_cores=132.0, wave_weight=0.4)
    for m, n, depth in ((1.0, 4096.0, 4096.0), (100.0, 7168.0, 2048.0), (8192.0, 5120.0, 5120.0)):
        traffic = 2.0 * (m * depth + n * depth + m * n)
        plain = roofline.matmul_s(m, n, depth, traffic, 0.8 * 1e15, 3e12, k)
        flop = 2.0 * np.ceil(m / 64.0) * 64.0 * n * depth
        flop *= wave_factor(np.array([m]), np.array([n]), 64.0, 128.0, np.array([132.0]), 0.4)
        array = operation(np.array([0.8, 0.9, 3e-6]), flop / 1e15, np.array([traffic / 3e12]), 0.7)
        assert math.isclose(plain, float(array[0]), rel_tol=1e-12)
    tier = TIER._replace(bytes_per_s=4e11, fraction=0.8, latency_s=1e-6, launch_s=5e-6, ramp=0.7, reduction_gain=1.3)
    cluster = CLUSTER._replace(scale_up=tier)
    forms = (
        (collectives.shard_exchange_s, 0.0),
        (collectives.even_all_to_all_s, 0.0),
        (collectives.all_reduce_s, 1.0),
    )
    for n_ranks in (2.0, 4.0, 8.0):
        for form, reduces in forms:
            plain = form(1e7, collectives.Spread(1.0, n_ranks, 1.0, 1.0), cluster)
            cells = (("n", n_ranks), ("bytes", 1e7), ("link", 4e11), ("reduce", reduces))
            array = collective({key: np.array([v]) for key, v in cells}, np.array([0.8, 1e-6, 5e-6, 0.7, 1.3]))
            assert math.isclose(plain, float(array[0]), rel_tol=1e-12), form.__name__


# ---------------------------------------------------------------- small tools


class Fitted(NamedTuple):
    """A number, its spread over chips and frameworks, and where it comes from."""

    value: float
    low: float
    high: float
    unit: str = ""
    note: str = ""
    kind: str = "fitted"
    why: str = ""
    source: str = "operations"


class Points(NamedTuple):
    """Measured operations of one stack: seconds, and what full peak and full bandwidth would need."""

    compute_s: Array
    memory_s: Array
    seconds: Array
    weight: Array


class Line(NamedTuple):
    """One line of the printed table."""

    family: str
    operation: str
    rows: int
    median: float
    p90: float
    plain: float
    values: str


Fields = dict[str, Fitted]


class Family(NamedTuple):
    """What was found for one family, by format; per chip, the same of its own stacks."""

    fields: Fields
    formats: dict[str, Fields]
    chips: dict[tuple[str, str], Fields]  # (table's chip, format)
    residuals: dict[str, tuple[float, float, int]]


Families = dict[str, Family]
Groups = dict[tuple[str, str], dict[Stack, list[tuple[float, ...]]]]  # (family, format), stack, rows


def read(path: Path) -> list[Row]:
    """Rows of a table that nobody marked, of chips that we know."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if not row.get("suspect") and row["chip"] in FAMILY]


def number(row: Row, key: str) -> float:
    """A cell, or nan."""
    return float(row[key]) if row[key] not in ("", "n/a") else math.nan


def group() -> Groups:
    """An empty collection of rows by family, format and stack."""
    return defaultdict(lambda: defaultdict(list))


def columns(rows: Sequence[tuple[float, ...]]) -> list[Array]:
    """Rows turned into arrays."""
    return [np.array(cells) for cells in zip(*rows, strict=True)]


def solve(residual: Callable[[Array], Array], start: Sequence[float], bounds: Sequence[tuple[float, float]]) -> Array:
    """Least soft absolute log error."""
    low, high = zip(*bounds, strict=True)
    result = least_squares(residual, start, bounds=(low, high), loss="soft_l1", f_scale=SOFT, x_scale="jac")
    return np.asarray(result.x, dtype=np.float64)


def equal(rows: Sequence[tuple[float, ...]]) -> Points:
    """Rows of (compute, memory, measured seconds), every one with the same weight."""
    compute_s, memory_s, seconds = columns(rows)
    return Points(compute_s, memory_s, seconds, np.ones_like(seconds))


FREE = ((0.03, 1.0), (0.03, 1.0), (1e-6, 60e-6))


def fit_operation(points: Points, w: float, bounds: Sequence[tuple[float, float]] = FREE) -> Array:
    """Fraction of peak, fraction of bandwidth and launch of one stack."""

    def residual(x: Array) -> Array:
        return points.weight * np.log(operation(np.exp(x), points.compute_s, points.memory_s, w) / points.seconds)

    ends = [(math.log(low), math.log(high)) for low, high in bounds]
    return np.exp(solve(residual, [0.7 * high + 0.3 * low for low, high in ends], ends))


def fixed(value: float) -> tuple[float, float]:
    """Bounds that leave no choice."""
    return value * (1.0 - 1e-6), value * (1.0 + 1e-6)


def error(predicted: Array, measured: Array) -> tuple[float, float]:
    """Median and 90 % absolute relative error."""
    off = np.abs(predicted / measured - 1.0)
    return float(np.median(off)), float(np.quantile(off, 0.9))


def loss(predicted: Array, measured: Array) -> float:
    """Soft absolute log error."""
    return float(np.mean(2.0 * (np.sqrt(1.0 + (np.log(predicted / measured) / SOFT) ** 2) - 1.0)))


def constant_efficiency(points: Iterable[Points]) -> float:
    """Median error of max(F / (c P), B / (c W)) with the one best c for all of them."""
    bound = np.concatenate([np.maximum(p.compute_s, p.memory_s) for p in points])
    seconds = np.concatenate([p.seconds for p in points])
    c = np.exp(np.median(np.log(bound / seconds)))
    return error(bound / c, seconds)[0]


def cut(value: float, digits: int = 3) -> float:
    """A number with so many digits."""
    return float(f"{value:.{digits}g}")


def spread(values: Iterable[float], unit: str = "", note: str = "") -> Fitted:
    """The median of stacks with their 10-90 % range."""
    pool = list(values)
    centre = float(np.median(pool))
    return Fitted(cut(centre), cut(float(np.quantile(pool, 0.1))), cut(float(np.quantile(pool, 0.9))), unit, note)


def settle(
    families: Families, key: tuple[str, str], found: Mapping[Stack, Array], names: Sequence[str], notes: Sequence[str]
) -> Fields:
    """Write the median stack into a family's format, and the same per chip."""
    family = families[key[0]]
    fields: Fields = {}
    for i, name in enumerate(names):
        if not name:
            continue
        unit = "us" if name.endswith("launch") else ""
        scale = 1e6 if unit else 1.0
        fields[name] = spread([scale * x[i] for x in found.values()], unit, notes[i])
        for chip in {stack[0] for stack in found}:
            if sum(stack[0] == chip for stack in found) < 2:
                continue  # one framework tells more about itself than about the chip
            own = family.chips.setdefault((chip, key[1]), {})
            own[name] = spread([scale * x[i] for stack, x in found.items() if stack[0] == chip], unit, notes[i])
    family.formats.setdefault(key[1], {}).update(fields)
    return fields


def used(families: Families, family: str, fmt: str, chip: str, names: Sequence[str], start: Array) -> Array:
    """What the catalogue will use for a chip: its own number where it is far enough off its family's."""
    x = start.copy()
    fields = families[family].formats[fmt]
    own = families[family].chips.get((chip, fmt), {})
    for i, name in enumerate(names):
        if name:
            q = own[name] if name in own and differs(name, own[name], fields[name]) else fields[name]
            x[i] = q.value * (1e-6 if q.unit else 1.0)
    return x


def differs(name: str, own: Fitted, family: Fitted) -> bool:
    """Does a chip deserve its own number?"""
    return name.endswith("fraction") and abs(own.value / family.value - 1.0) > OWN_NUMBER


def report(
    families: Families,
    key: tuple[str, str],
    what: str,
    stacks: Mapping[Stack, Points],
    found: Mapping[Stack, Array],
    names: Sequence[str],
    lines: list[Line],
    extra: str = "",
) -> None:
    """Residuals of the numbers that the catalogue will use, not of every stack's own fit."""
    family, fmt = key
    w = families[family].fields["matmul_join"].value
    predicted, seconds = [], []
    for stack, points in stacks.items():
        x = used(families, family, fmt, stack[0], names, found[stack])
        predicted.append(operation(x, points.compute_s, points.memory_s, w))
        seconds.append(points.seconds)
    median, p90 = error(np.concatenate(predicted), np.concatenate(seconds))
    n = sum(len(s) for s in seconds)
    families[family].residuals[f"{what} {fmt}"] = (median, p90, n)
    alone = np.concatenate([operation(found[s], p.compute_s, p.memory_s, w) / p.seconds for s, p in stacks.items()])
    fields = families[family].formats[fmt]
    values = ", ".join(f"{name} {fields[name].value:g}{fields[name].unit}" for name in names if name)
    values += f"; every stack alone {error(alone, np.ones_like(alone))[0]:.3f}{extra}"
    lines.append(Line(family, f"{what} {fmt}", n, median, p90, constant_efficiency(stacks.values()), values))


# ---------------------------------------------------------------- matmul


def matmul_rows(directory: Path) -> Groups:
    """(m, n, k, seconds, peak, bandwidth) of every stack.

    Peaks and bandwidths are recovered from the table's own efficiencies.
    """
    rows = [row for row in read(directory / "gemm_llm_shapes.csv") if row["gemm_dtype"] in FORMAT]
    peaks: dict[tuple[str, str], float] = {}
    bandwidths: dict[str, float] = {}
    for row in rows:
        m, n, k, latency = (number(row, key) for key in ("m", "n", "k", "latency"))
        operand = OPERAND_BYTES[FORMAT[row["gemm_dtype"]]]
        key = (row["chip"], FORMAT[row["gemm_dtype"]])
        if m >= 4096:
            peaks[key] = max(peaks.get(key, 0.0), round(number(row, "tflops") / number(row, "eff_c")) * 1e12)
        if m <= 64 and row["eff_b"]:
            moved = operand * (n * k + m * k) + RESULT_BYTES * m * n
            bandwidths[row["chip"]] = round(moved / latency / number(row, "eff_b") / 1e7) * 1e10
    found = group()
    for row in rows:
        chip, fmt = row["chip"], FORMAT[row["gemm_dtype"]]
        m, n, k, latency = (number(row, key) for key in ("m", "n", "k", "latency"))
        if m < 512 and OPERAND_BYTES[fmt] * n * k < CACHE_BYTES.get(chip, 0.0):
            continue
        cells = (m, n, k, latency * 1e-3, peaks[chip, fmt] * PEAK_SCALE.get(chip, 1.0), bandwidths[chip])
        found[FAMILY[chip], fmt][chip, row["fw"], row["gemm_dtype"]].append(cells)
    return found


def matmul_points(
    rows: Sequence[tuple[float, ...]], fmt: str, tile: float, cores: float = 1.0, wave: float = 0.0
) -> Points:
    """Matmuls with m padded to whole tiles, and waves of 128 x 128 tiles when asked for."""
    m, n, k, seconds, peak, bandwidth = columns(rows)
    flop = 2.0 * np.ceil(m / tile) * tile * n * k
    if wave > 0.0:
        flop = flop * wave_factor(m, n, 128.0, 128.0, np.full_like(m, cores), wave)
    traffic = OPERAND_BYTES[fmt] * (m * k + k * n) + RESULT_BYTES * m * n
    return Points(flop / peak, traffic / bandwidth, seconds, np.ones_like(m))


MATMUL = ("matmul_fraction", "matmul_memory_fraction", "matmul_launch")
CORNERS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)  # beyond, the fraction of peak is no longer what large shapes reach
HOST_BOUND_S = 40e-6  # a stack whose smallest matmul takes this long measures its host


def fit_matmuls(directory: Path, families: Families, lines: list[Line]) -> None:
    """matmul_* of every family and format; hopper before h20, which borrows its bandwidth."""
    groups = matmul_rows(directory)
    for family in dict.fromkeys(FAMILY.values()):
        formats = [fmt for name, fmt in groups if name == family]
        w, losses = best_corner({fmt: groups[family, fmt] for fmt in formats[:1]}, family)
        note = f"least soft error on {formats[0]}: {losses[0]:.2f}; {losses[1]:.2f} at 0, {losses[2]:.2f} at 1"
        if family == "h20":
            w, note = families["hopper"].fields["matmul_join"].value, "as hopper"
        families[family].fields["matmul_join"] = Fitted(w, 0.0, max(2.0, w), note=note)
        for fmt in formats:
            tile = TILE_ROWS.get((family, fmt), 16.0)
            stacks = {stack: matmul_points(rows, fmt, tile) for stack, rows in groups[family, fmt].items()}
            bounds = list(FREE)
            if family == "h20":
                bounds[1] = fixed(families["hopper"].formats["fp8"]["matmul_memory_fraction"].value)
            alone = {stack: fit_operation(points, w, bounds) for stack, points in stacks.items()}
            slow = [stack for stack, x in alone.items() if x[2] > HOST_BOUND_S]
            if any(CHIPS[chip][0] == family for chip in CACHE_BYTES):
                # Small weights stay in the cache there, so nothing shows the launch; and where activations are
                # quantised first, nothing tells that from bandwidth.
                bounds[2] = (3e-6, 6e-6 if fmt == "bf16" else 12e-6)
                if fmt == "int8":
                    bounds[1:] = fixed(families[family].formats["bf16"]["matmul_memory_fraction"].value), FREE[2]
            stacks = {stack: points for stack, points in stacks.items() if stack not in slow}
            found = {stack: fit_operation(points, w, bounds) for stack, points in stacks.items()}
            note = f"left out as host-bound: {', '.join(' '.join(s) for s in slow)}" if slow else ""
            fields = settle(families, (family, fmt), found, MATMUL, (note, "", ""))
            families[family].formats[fmt]["head_fraction"] = fields["matmul_fraction"]._replace(
                note="as matmul_fraction"
            )
            if tile != 16.0:
                note = "FP8 kernels of this family take the same time for m = 16, 32 and 64 where compute binds"
                families[family].formats[fmt]["tile_rows"] = Fitted(tile, 16.0, 128.0, note=note)
            wave, note = waves(groups[family, fmt], stacks, fmt, tile, w)
            families[family].formats[fmt]["wave_weight"] = Fitted(0.0, 0.0, wave, note=note)
            report(families, (family, fmt), "matmul", stacks, found, MATMUL, lines, f"; {note}")


def best_corner(groups: Mapping[str, Mapping[Stack, list[tuple[float, ...]]]], family: str) -> tuple[float, Array]:
    """The corner w that serves a family's first format best, and the losses there, at 0 and at 1."""
    losses = {}
    for w in CORNERS:
        total = []
        for fmt, stacks in groups.items():
            for rows in stacks.values():
                points = matmul_points(rows, fmt, TILE_ROWS.get((family, fmt), 16.0))
                x = fit_operation(points, w)
                total.append(loss(operation(x, points.compute_s, points.memory_s, w), points.seconds))
        losses[w] = float(np.median(total))
    best = min(losses, key=lambda w: losses[w])
    return best, np.array([losses[best], losses[0.0], losses[1.0]])


def waves(
    groups: Mapping[Stack, list[tuple[float, ...]]], stacks: Mapping[Stack, Points], fmt: str, tile: float, w: float
) -> tuple[float, str]:
    """Does counting waves of 128 x 128 tiles help? The best weight and the errors with and without."""
    errors: dict[float, float] = {}
    for wave in (0.0, 0.25, 0.5, 1.0):
        off = []
        for stack in stacks:
            points = matmul_points(groups[stack], fmt, tile, N_CORES[stack[0]], wave)
            x = fit_operation(points, w)
            off.append(error(operation(x, points.compute_s, points.memory_s, w), points.seconds)[0])
        errors[wave] = float(np.median(off))
    best = min((0.25, 0.5, 1.0), key=lambda wave: errors[wave])
    return (
        best,
        f"waves of 128 x 128 tiles at weight {best:g}: median error {errors[best]:.3f}, without {errors[0.0]:.3f}",
    )


# ---------------------------------------------------------------- attention


def fit_prefill(directory: Path, families: Families, lines: list[Line]) -> None:
    """Share of the peak on causal FLOPs, for long enough sequences and enough heads to fill the chip."""
    with (directory / "prefill_attention.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["chip"] in FAMILY]
    faulty = {(row["chip"], row["fw"]) for row in rows if row["suspect"]}  # one impossible row spoils the whole run
    found = group()
    for row in rows:
        few = row["heads_tok_bin"] in ("<=4", "5-16") and row["chip"] != "h20"
        if (row["chip"], row["fw"]) in faulty or few or not 4096 <= number(row, "isl") <= 16384:
            continue
        fmt = "fp8" if row["attn"] == "fp8" else "bf16"
        if (fmt == "bf16") == (row["kv"] == "fp8"):
            continue
        share = number(row, "med_eff") / PEAK_SCALE.get(row["chip"], 1.0)
        found[FAMILY[row["chip"]], fmt][row["chip"], row["fw"], row["ver"]].append((share,))
    name = "attention_forward_fraction"
    for key, stacks in found.items():
        centres = {stack: np.array([np.median(shares)]) for stack, shares in stacks.items()}
        settle(families, key, centres, (name,), ("4,096 to 16,384 tokens, causal FLOPs",))
        pooled = np.concatenate([np.array(shares)[:, 0] for shares in stacks.values()])
        predicted = np.concatenate(
            [
                np.full(len(shares), used(families, *key, stack[0], (name,), np.ones(1))[0])
                for stack, shares in stacks.items()
            ]
        )
        stats = error(pooled, predicted)
        families[key[0]].residuals[f"prefill attention {key[1]}"] = (*stats, len(pooled))
        value = families[key[0]].formats[key[1]][name]
        q10, q90 = np.quantile(pooled, (0.1, 0.9))
        families[key[0]].formats[key[1]][name] = value._replace(
            low=cut(min(q10, value.value)), high=cut(max(q90, value.value))
        )
        lines.append(Line(key[0], f"prefill {key[1]}", len(pooled), *stats, math.nan, f"{name} {value.value:g}"))


def fit_decode(directory: Path, families: Families, lines: list[Line]) -> None:
    """t = launch + bytes / (e W) of every stack, on bins of KV bytes."""
    rows = group()
    for row in read(directory / "decode_attention.csv"):
        seconds = number(row, "med_latency_us") * 1e-6
        cells = (number(row, "med_bw_eff") * seconds, seconds, math.sqrt(number(row, "n_points")))
        if min(cells) > 0.0:
            fmt = "fp8" if row["kv"] == "fp8" else "bf16"
            rows[FAMILY[row["chip"]], fmt][row["chip"], row["fw"], row["ver"]].append(cells)
    names = ("", "decode_attention_memory_fraction", "attention_launch")
    for key, bins in rows.items():
        stacks = {}
        for stack, measured in bins.items():
            memory, kernel_s, weight = columns(measured)
            weight = weight * np.where(memory > 1e-5, 2.0, 1.0)  # bandwidth matters more than the launch
            stacks[stack] = Points(np.full_like(memory, 1e-12), memory, kernel_s, weight / weight.mean())
        bounds = (fixed(1.0), FREE[1], (1e-6, 200e-6))
        found = {stack: fit_operation(points, 0.0, bounds) for stack, points in stacks.items()}
        settle(families, key, found, names, ("", "", "of a decode kernel; prefill kernels take 11-17 us"))
        report(families, key, "decode attention", stacks, found, names, lines)


LATENT_TOP = 0.75  # the largest share that any stack shows; beyond it only the corner is fitted


def fit_latent(directory: Path, families: Families, lines: list[Line]) -> None:
    """decode_attention_fraction from absorbed latent attention with many heads.

    The table counts FLOPs against the 16-bit peak whatever the cache holds.
    """
    rows = group()
    for row in read(directory / "mla_decode.csv"):
        seconds = number(row, "med_latency_us") * 1e-6
        fmt = "fp8" if row["kv"] == "fp8" else "bf16"
        scale = 0.5 if fmt == "fp8" else 1.0
        cells = (scale * number(row, "med_comp_eff") * seconds, number(row, "med_bw_eff") * seconds, seconds)
        if number(row, "heads") >= 32 and min(cells) > 0.0:
            rows[FAMILY[row["chip"]], fmt][row["chip"], row["fw"], row["ver"]].append(cells)
    names = ("decode_attention_fraction", "", "")
    note = "absorbed latent attention, 32 heads and more; poorly bounded above where bandwidth binds first"
    for key, bins in rows.items():
        w = families[key[0]].fields["matmul_join"].value
        stacks = {stack: equal(cells) for stack, cells in bins.items()}
        bounds = ((0.03, LATENT_TOP), FREE[1], (1e-6, 500e-6))
        found = {stack: fit_operation(points, w, bounds) for stack, points in stacks.items()}
        settle(families, key, found, names, (note, "", ""))
        share = families[key[0]].formats[key[1]][names[0]]
        if share.value == LATENT_TOP:
            families[key[0]].formats[key[1]][names[0]] = share._replace(low=0.5, high=0.95)
        memory = float(np.median([x[1] for x in found.values()]))
        report(families, key, "latent decode", stacks, found, names, lines, f"; bandwidth {memory:.2f}")


# ---------------------------------------------------------------- experts

EXPERTS = ("expert_fraction", "expert_memory_fraction", "")


def fit_experts(directory: Path, families: Families, lines: list[Line]) -> None:
    """Fused expert layers by tokens per expert, and single grouped matmuls of the H20 and H800.

    A bin of the fused table holds the medians of compute share and bandwidth share, so that
    1 = join(compute share / e_c, bandwidth share / e_m). Bins mix shapes from tiny to large: where many
    tokens meet an expert, the best tenth of the shapes counts as much as the median.
    """
    rows = group()
    for row in read(directory / "moe.csv"):
        tokens = row["tokens_per_expert"]
        if row["dtype"] not in FORMAT or tokens in ("<0.5", "0.5-1"):
            continue
        stack = (row["chip"], row["fw"], row["dtype"])
        shares = rows[FAMILY[row["chip"]], FORMAT[row["dtype"]]][stack]
        shares.append((number(row, "med_compute_eff"), number(row, "med_mem_eff"), 1.0))
        if tokens in ("256-1024", ">1024"):
            shares.append((number(row, "p90_compute_eff"), number(row, "med_mem_eff"), 1.0))
    launches: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in read(directory / "moe_fits.csv"):
        if row["dtype"] in FORMAT and row["op"].startswith("moe_ffn"):
            launches[FAMILY[row["chip"]], FORMAT[row["dtype"]]].append(number(row, "t0_us") / 2.0)
    grouped = fit_grouped(directory, families, lines)
    for key, bins in rows.items():
        w = families[key[0]].fields["matmul_join"].value
        stacks = {stack: equal(cells) for stack, cells in bins.items()}
        bounds = (FREE[0], FREE[1], (1e-9, 1.1e-9))
        found = {stack: fit_operation(points, w, bounds) for stack, points in stacks.items()}
        if key == ("hopper", "fp8"):
            settle(families, key, {**found, ("h800", "deepgemm", "grouped"): grouped["h800"]}, EXPERTS, ("", "", ""))
        else:
            settle(families, key, found, EXPERTS, ("", "", ""))
        if launches[key]:
            note = "half of a fused expert layer's fixed time, so with routing, sorting and combining"
            families[key[0]].formats[key[1]]["expert_launch"] = spread(launches[key], "us", note)
        report(families, key, "experts", stacks, found, EXPERTS, lines)
    x = grouped["h20"]
    fields = families["h20"].formats["fp8"]
    fields["expert_fraction"] = Fitted(
        cut(x[0]), cut(0.85 * x[0]), cut(min(1.08 * x[0], 0.95)), note="DeepGEMM grouped"
    )
    fields["expert_launch"] = Fitted(cut(x[2] * 1e6), cut(0.6e6 * x[2]), cut(2.0e6 * x[2]), "us", "DeepGEMM grouped")


def fit_grouped(directory: Path, families: Families, lines: list[Line]) -> dict[str, Array]:
    """roofline.grouped_matmul_s on DeepGEMM's grouped FP8 matmul, where every expert has rows."""
    rows = [row for row in read(directory / "moe_infersim_h20_h800.csv") if number(row, "tokens_per_expert") >= 4]
    found = {}
    for chip, peak, bandwidth in (("h20", 296e12, 4.0e12), ("h800", 1979e12, 3.35e12)):
        cells = []
        for row in (row for row in rows if row["chip"] == chip):
            experts, m, hidden, width = (
                number(row, key)
                for key in ("num_local_experts", "tokens_per_expert", "hidden_size", "intermediate_size")
            )
            for n, k, column in ((2.0 * width, hidden, "up_proj_us"), (hidden, width, "down_proj_us")):
                padded = np.ceil(m / 64.0) * 64.0
                traffic = experts * (m * k + n * k + RESULT_BYTES * m * n)
                flop = 2.0 * experts * padded * n * k
                cells.append((flop / peak, traffic / bandwidth, number(row, column) * 1e-6))
        points = equal(cells)
        w = families["hopper"].fields["matmul_join"].value
        memory = FREE[1] if chip == "h800" else fixed(0.8)  # padding hides the H20's bandwidth
        x = fit_operation(points, w, (FREE[0], memory, FREE[2]))
        stats = error(operation(x, points.compute_s, points.memory_s, w), points.seconds)
        families[FAMILY[chip]].residuals[f"grouped matmul fp8 ({chip})"] = (*stats, len(cells))
        values = f"e_c {x[0]:.3f} e_m {x[1]:.3f} launch {x[2] * 1e6:.1f}us, 64-row tiles"
        lines.append(Line(chip, "grouped fp8", len(cells), *stats, constant_efficiency([points]), values))
        found[chip] = x
    return found


# ---------------------------------------------------------------- links

LINKS = {
    "nvlink3": (("a100_sxm",), 300e9),
    "nvlink4": (("h100_sxm", "h200_sxm"), 450e9),
    "nvlink5": (("b200_sxm", "b300_sxm", "gb200", "gb300"), 900e9),
    "pcie4": (("l40s",), 32e9),
    "pcie5": (("rtx_pro_6000_server",), 64e9),
}
SWITCH_REDUCES = ("nvlink4", "nvlink5")  # NVSwitch generations with in-switch reduction
LINK_START = (math.log(0.75), math.log(1e-6), math.log(5e-6), 0.5, 1.2)
LINK_BOUNDS = (
    (math.log(0.02), 0.0),
    (math.log(1e-8), math.log(2e-5)),
    (math.log(1e-6), math.log(5e-5)),
    (0.0, 3.0),
    (1.0 - 1e-9, 2.5),
)


def version_key(version: str) -> tuple[int, ...]:
    """2.27.3 after 2.9."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def comm_arrays(rows: list[Row], link: float) -> dict[str, Array]:
    """Columns of the collectives table."""
    return {
        "n": np.array([number(row, "n_gpus") for row in rows]),
        "bytes": np.array([number(row, "bytes") for row in rows]),
        "link": np.full(len(rows), link),
        "reduce": np.array([float(row["op"] == "all_reduce") for row in rows]),
        "seconds": np.array([number(row, "latency_us") for row in rows]) * 1e-6,
        # Whole domains are what plans use most; training moves more than the table's 512 MiB.
        "weight": np.array([(1 + (row["n_gpus"] == "8")) * (1 + 2 * (number(row, "bytes") > 4e6)) for row in rows])
        ** 0.5,
    }


def fit_link(c: Mapping[str, Array], gains: bool, ramps: bool = True, launches: float = LAUNCHES) -> Array:
    """fraction, latency, launch, ramp, reduction gain."""

    def unpack(x: Array) -> Array:
        return np.array([*np.exp(x[:3]), x[3], x[4]])

    def residual(x: Array) -> Array:
        return c["weight"] * np.log(collective(c, unpack(x), launches) / c["seconds"])

    bounds = list(LINK_BOUNDS)
    start = list(LINK_START)
    if not gains:
        bounds[4], start[4] = (1.0 - 1e-9, 1.0 + 1e-9), 1.0
    if not ramps:
        bounds[3], start[3] = (-1e-9, 1e-9), 0.0
    return unpack(solve(residual, start, bounds))


LINK_FIELDS = ("fraction", "latency", "launch", "ramp", "reduction_gain")
Links = dict[str, Fields]


def fit_links(directory: Path, lines: list[Line]) -> tuple[Links, dict[str, tuple[float, float, int]], Links]:
    """Links inside a node from the newest NCCL's collectives, and serving engines' own all-reduce."""
    rows = read(directory / "comm.csv")
    links: Links = {}
    residuals: dict[str, tuple[float, float, int]] = {}
    custom: Links = {}
    for name, (chips, link) in LINKS.items():
        chosen: list[Row] = []
        for chip in chips:
            own = [row for row in rows if row["chip"] == chip and row["lib"] == "nccl"]
            newest = max((row["version"] for row in own), key=version_key)
            # Beyond a pair, what these PCIe hosts do between sockets is the fabric's affair.
            chosen += [
                row for row in own if row["version"] == newest and (not name.startswith("pcie") or row["n_gpus"] == "2")
            ]
        c = comm_arrays(chosen, link)
        gains = name in SWITCH_REDUCES
        x = fit_link(c, gains)
        each = []
        for chip in chips:
            for op in ("all_gather", "reduce_scatter", "all_reduce", "alltoall"):
                mask = np.array([row["chip"] == chip and row["op"] == op for row in chosen])
                each.append(fit_link({k: v[mask] for k, v in c.items()}, gains and op == "all_reduce"))
        links[name] = {}
        for i, field in enumerate(LINK_FIELDS):
            scale, unit = (1e6, "us") if field in ("latency", "launch") else (1.0, "")
            pool = (
                [scale * e[i] for e in each]
                if field != "reduction_gain"
                else [x[4], *([1.0, 1.1 * x[4]] if gains else [])]
            )
            around = spread(pool)
            value = cut(scale * x[i])
            links[name][field] = Fitted(value, min(around.low, value), max(around.high, value), unit)
        predicted = collective(c, x)
        stats = error(predicted, c["seconds"])
        residuals[name] = (*stats, len(chosen))
        big = c["bytes"] > 4e6
        other = 3.0 - LAUNCHES
        changed = error(collective(c, fit_link(c, gains, launches=other), other), c["seconds"])
        plain = error(collective(c, fit_link(c, gains, ramps=False)), c["seconds"])[0]
        values = (
            f"fraction {x[0]:.3f} latency {x[1] * 1e6:.2f}us launch {x[2] * 1e6:.1f}us ramp {x[3]:.2f} gain {x[4]:.2f}"
            f"; > 4 MB: {error(predicted[big], c['seconds'][big])[0]:.3f}; with the launch of an all-reduce counted "
            f"{other:g} times: {changed[0]:.3f} {changed[1]:.3f}"
        )
        lines.append(Line(name, "collectives", len(chosen), *stats, plain, values))
        if name.startswith("pcie"):
            links[name]["beyond_pair_fraction"] = beyond_pair([row for row in rows if row["chip"] in chips])
        if name.startswith("nvlink"):
            custom[name] = fit_custom([row for row in rows if row["chip"] in chips], link, name, lines)
    return links, residuals, custom


def beyond_pair(rows: list[Row]) -> Fitted:
    """Bandwidth of 4 and 8 chips over that of a pair, large messages: for a fabric's PCIe tree."""
    rates: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["lib"] == "nccl" and row["op"] != "all_reduce" and number(row, "bytes") >= 64e6:
            rates[row["n_gpus"]].append(number(row, "busbw_GBps"))
    pair, four, eight = (float(np.median(rates[n])) for n in ("2", "4", "8"))
    note = (
        "one host; 4 chips (high) and 8 chips (low); not read by the estimator, evidence for a fabric's pair_fraction"
    )
    return Fitted(cut(0.5 * (four + eight) / pair), cut(eight / pair), cut(four / pair), note=note)


def fit_custom(rows: list[Row], link: float, name: str, lines: list[Line]) -> Fields:
    """All-reduce of serving engines inside a captured graph, up to 16 MB: no hops."""
    own = [row for row in rows if row["op"] == "all_reduce" and number(row, "bytes") <= 16e6]
    own = [row for row in own if "graph" in row["kernel"] or row["kernel"] == "TRTLLM"]
    c = comm_arrays(own, link)
    n = c["n"]

    def form(x: Array) -> Array:
        alpha = float(np.exp(x[1]))
        stream: Array = 2.0 * (n - 1.0) / n * c["bytes"] / (link * np.exp(x[0]))
        total: Array = alpha + stream + float(x[2]) * np.sqrt(alpha * stream)
        return total

    def residual(x: Array) -> Array:
        return np.log(form(x) / c["seconds"])

    bounds = ((math.log(0.05), math.log(1.5)), (math.log(1e-6), math.log(4e-5)), (0.0, 3.0))
    x = solve(residual, (math.log(0.6), math.log(5e-6), 0.3), bounds)
    fraction, alpha, ramp = cut(float(np.exp(x[0]))), cut(float(np.exp(x[1])) * 1e6), cut(float(x[2]))
    values = f"fraction {fraction:g} launch {alpha:g}us ramp {ramp:g}"
    lines.append(Line(name, "custom all-reduce", len(own), *error(form(x), c["seconds"]), math.nan, values))
    note = "per collective, any number of ranks; graph-captured one-shot and two-shot kernels of three engines"
    return {
        "fraction": Fitted(fraction, cut(0.7 * fraction), cut(1.3 * fraction)),
        "launch": Fitted(alpha, cut(0.7 * alpha), cut(1.5 * alpha), "us", note),
        "ramp": Fitted(ramp, 0.0, cut(2.0 * ramp + 0.2)),
    }


# ---------------------------------------------------------------- filling what nobody measured

FORMAT_FIELDS = (
    "matmul_fraction",
    "expert_fraction",
    "head_fraction",
    "attention_forward_fraction",
    "attention_backward_fraction",
    "decode_attention_fraction",
)
OPTIONAL_FIELDS = (
    "matmul_memory_fraction",
    "matmul_launch",
    "expert_memory_fraction",
    "expert_launch",
    "attention_launch",
    "decode_attention_memory_fraction",
    "tile_rows",
    "wave_weight",
)
FAMILY_FIELDS = (
    "clock_fraction",
    "matmul_join",
    "matmul_memory_fraction",
    "matmul_launch",
    "expert_memory_fraction",
    "expert_launch",
    "attention_launch",
    "decode_attention_memory_fraction",
    "element_fraction",
    "element_launch",
    "tile_rows",
    "tile_columns",
    "wave_weight",
)
WIDE = ("tf32", "fp32", "fp64")
NARROW = ("fp8", "int8", "fp4", "int4")
MEDIAN = "median of the measured families, their whole range"


def prior(entry: Sequence[Any], why: str = "") -> Fitted:
    """A quantity of operation_priors.yaml."""
    numbers = [float(str(cell).split()[0]) for cell in entry[:3]]
    unit = " ".join(str(entry[0]).split()[1:])
    return Fitted(numbers[0], numbers[1], numbers[2], unit, "", "assumed", why or str(entry[3]), "priors")


def widened(q: Fitted, ratio: float, why: str) -> Fitted:
    """A neighbour's number with a wider range."""
    high = 1.3 * q.high if q.unit or q.value > 1.0 else min(1.1 * q.high, 1.0)
    value = cut(ratio * q.value)
    return Fitted(
        value, min(cut(0.75 * ratio * q.low), value), max(cut(high), value), q.unit, "", "assumed", why, "priors"
    )


def middle(found: Sequence[Fitted]) -> Fitted:
    """The median of measured relatives with their whole range, a little wider."""
    if not found:
        raise ValueError("no measured family has this")
    value = cut(float(np.median([q.value for q in found])))
    low, high = cut(0.9 * min(q.low for q in found)), cut(1.1 * max(q.high for q in found))
    unit = found[0].unit
    return Fitted(value, low, high if unit else min(high, 1.0), unit, "", "assumed", MEDIAN, "priors")


def complete(families: Families, priors: Mapping[str, Any]) -> None:
    """Fill every family and format: own priors first, then its other formats, then the measured families."""
    relatives: dict[tuple[str, str], list[Fitted]] = defaultdict(list)
    for name in priors["formats"]:
        for fmt, fields in families[name].formats.items():
            for field, q in fields.items():
                relatives[field, fmt].append(q)
    joins = [families[name].fields["matmul_join"].value for name in priors["formats"] if families[name].formats]
    for name, formats in priors["formats"].items():
        family, own = families[name], priors["families"].get(name, {})
        sixteen = family.formats.setdefault("bf16" if "bf16" in formats else "fp16", {})
        fill_sixteen(sixteen, own, relatives, priors)
        fill_narrow(family, own, formats, sixteen, priors)
        for fmt in formats:
            if fmt in ("bf16", "fp16"):
                family.formats[fmt] = sixteen
            elif fmt in WIDE:
                why = "as the 16-bit figure: memory per FLOP is kinder, kernels are tuned less"
                wide = family.formats.get("fp32") or {n: widened(sixteen[n], 1.0, why) for n in FORMAT_FIELDS}
                family.formats["fp32"] = family.formats[fmt] = wide
        fields = family.fields
        fields.setdefault(
            "matmul_join", Fitted(cut(float(np.median(joins))), 0.0, 4.0, "", "", "assumed", MEDIAN, "priors")
        )
        for field in FAMILY_FIELDS:
            if field in fields:
                continue
            if field in own:
                fields[field] = prior(own[field])
            elif field in sixteen:
                fields[field] = sixteen[field]
            elif field in priors["every_family"]:
                fields[field] = prior(priors["every_family"][field])
            else:
                fields[field] = middle(relatives[field, "bf16"])


def fill_sixteen(
    fields: Fields,
    own: Mapping[str, Any],
    relatives: Mapping[tuple[str, str], list[Fitted]],
    priors: Mapping[str, Any],
) -> None:
    """The 16-bit fractions of a family."""
    for name in FORMAT_FIELDS:
        if name in fields:
            continue
        if name == "attention_backward_fraction":
            fields[name] = backward(fields, priors)
        elif name == "head_fraction":
            fields[name] = fields["matmul_fraction"]
        elif name in own:
            fields[name] = prior(own[name])
        else:
            fields[name] = middle(relatives[name, "bf16"])


def backward(fields: Fields, priors: Mapping[str, Any]) -> Fitted:
    """Backward attention from forward: a published ratio."""
    forward = fields["attention_forward_fraction"]
    ratio = priors["attention_backward_ratio"]
    value, low, high = (cut(float(r) * q) for r, q in zip(ratio[:3], forward[:3], strict=True))
    return Fitted(value, low, min(high, 1.0), "", "", "assumed", str(ratio[3]), "priors")


def fill_narrow(
    family: Family, own: Mapping[str, Any], formats: Sequence[str], sixteen: Fields, priors: Mapping[str, Any]
) -> None:
    """Formats of eight bits and fewer: the measured one of them speaks for the others, else the 16-bit figures do."""
    present = [fmt for fmt in NARROW if fmt in formats]
    measured = [fmt for fmt in present if "matmul_fraction" in family.formats.get(fmt, {})]
    for fmt in measured:
        fields = family.formats[fmt]
        for name in FORMAT_FIELDS:
            if name in fields:
                continue
            if name == "attention_backward_fraction":
                fields[name] = backward(fields, priors)
            else:
                relative = family.formats[measured[0]].get(name)
                why = (
                    "as fp8 of the same family"
                    if relative
                    else "from the 16-bit figure, with the loss of other families"
                )
                fields[name] = widened(relative or sixteen[name], 1.0 if relative else 0.85, why)
    shared: Fields = {}
    if measured:
        lead = family.formats[measured[0]]
        shared = {name: widened(q, 1.0, f"as {measured[0]} of the same family") for name, q in lead.items()}
        quantising = ("matmul_launch", "matmul_memory_fraction") if measured[0] == "int8" else ()
        for name in ("wave_weight", *quantising):
            shared.pop(name, None)
    else:
        why = "from the 16-bit figure, with the loss that measured families show"
        for name in FORMAT_FIELDS:
            key = f"{name}_fp8"
            shared[name] = prior(own[key]) if key in own else widened(sixteen[name], 0.85, why)
        if "matmul_fraction_fp8" in own:
            shared["head_fraction"] = shared["matmul_fraction"]
    for fmt in present:
        if fmt not in measured:
            family.formats[fmt] = shared


# ---------------------------------------------------------------- writing

HEADER = """\
# Generated by `python bench/fit_operations.py OPERATIONS_DIR`; do not edit. Priors: bench/operation_priors.yaml.
# Forms: src/clustercast/physics/{module}.py. low and high of fitted numbers: 10-90 % over chips and frameworks."""


def amount(value: float, unit: str) -> str:
    """A number as YAML writes it."""
    return f"{value:g} {unit}" if unit else f"{value:g}"


def quoted(text: str) -> str:
    """A string as YAML writes it."""
    return '"' + " ".join(text.split()).replace('"', "'") + '"'


def line(name: str, q: Fitted, indent: int) -> str:
    """One quantity as one line of YAML."""
    low, high = min(q.low, q.value), max(q.high, q.value)
    parts = [f"value: {amount(q.value, q.unit)}", f"source: {q.source}", f"kind: {q.kind}"]
    parts += [f"low: {amount(low, q.unit)}", f"high: {amount(high, q.unit)}"]
    if q.note:
        parts.append(f"note: {quoted(q.note)}")
    if q.why:
        parts.append(f"why: {quoted(q.why)}")
    return " " * indent + f"{name}: {{{', '.join(parts)}}}"


def format_lines(formats: Mapping[str, Fields], indent: int) -> list[str]:
    """Formats of one family or chip."""
    out = [" " * indent + "formats:"]
    for fmt, fields in formats.items():
        out.append(" " * (indent + 2) + f"{fmt}:")
        out += [line(name, fields[name], indent + 4) for name in (*FORMAT_FIELDS, *OPTIONAL_FIELDS) if name in fields]
    return out


def residual_lines(residuals: Mapping[str, tuple[float, float, int]], indent: int) -> list[str]:
    """Errors as data."""
    if not residuals:
        return []
    out = [" " * indent + "residuals:  # absolute relative error of the numbers above and below"]
    for name, (median, p90, n) in residuals.items():
        out.append(" " * (indent + 2) + f"{name}: {{median: {median:.3f}, p90: {p90:.3f}, rows: {n}}}")
    return out


def write_kernels(families: Families, priors: Mapping[str, Any]) -> None:
    """kernels.yaml."""
    out = [HEADER.format(module="roofline")]
    out += ["# A format's matmul_memory_fraction, matmul_launch, tile_rows ... goes before its family's;"]
    out += ["# what `chips` says goes before both."]
    out += ["sources:", f"  operations: {quoted(OPERATIONS)}", f"  priors: {quoted(PRIORS)}", "families:"]
    for name, formats in priors["formats"].items():
        family = families[name]
        out += [f"  {name}:", f"    evidence: {'measured' if family.residuals else 'prior'}"]
        out += [line(field, family.fields[field], 4) for field in FAMILY_FIELDS]
        out.append(f"    n_cores_default: {priors['cores'][name]}")
        out += residual_lines(family.residuals, 4)
        out += format_lines({fmt: family.formats[fmt] for fmt in formats}, 4)
    out.append("chips:")
    for chip, (name, catalogued) in CHIPS.items():
        if name not in priors["formats"]:
            continue
        formats = own_numbers(families[name], chip, priors)
        if formats:
            out += [f"  {catalogued}:", *format_lines(formats, 4)]
    out += odd_chips(families, priors)
    (DATA / "kernels.yaml").write_text("\n".join(out) + "\n")


def own_numbers(family: Family, chip: str, priors: Mapping[str, Any]) -> dict[str, Fields]:
    """Fractions of one measured chip that lie off its family's median."""
    formats: dict[str, Fields] = {}
    for (name, fmt), fields in family.chips.items():
        if name != chip:
            continue
        own = {field: q for field, q in fields.items() if differs(field, q, family.formats[fmt][field])}
        if "matmul_fraction" in own:
            own["head_fraction"] = own["matmul_fraction"]
        if "attention_forward_fraction" in own:
            own["attention_backward_fraction"] = backward(own, priors)
        if own:
            formats[fmt] = own
            if fmt == "bf16":
                formats["fp16"] = own
    return formats


def odd_chips(families: Families, priors: Mapping[str, Any]) -> list[str]:
    """Chips whose silicon is unlike their family's: cut compute, or another die under the family's name."""
    out = []
    h20, gb202 = families["h20"], families["gb202"]
    capped = str(priors["capped"])
    sixteen, fp8 = h20.formats["bf16"], h20.formats["fp8"]
    del fp8["matmul_memory_fraction"]  # hopper's, not its own
    for name in ("matmul_fraction", "head_fraction", "expert_fraction"):
        low = cut(0.85 * fp8[name].low)
        sixteen[name] = fp8[name]._replace(low=low, kind="assumed", why=f"as fp8: {capped}", source="priors", note="")
    for name, ratio in (("attention_forward_fraction", 0.75), ("decode_attention_fraction", 0.8)):
        fp8.setdefault(name, widened(sixteen[name], ratio, "as bf16, less what quantised kernels lose"))
    for fields in (sixteen, fp8):
        fields.pop("attention_launch", None)  # eight bins of one engine
        fields["attention_backward_fraction"] = backward(fields, priors)
    int8 = {name: widened(q, 1.0, "as fp8") for name, q in fp8.items() if name in (*FORMAT_FIELDS, "tile_rows")}
    formats = {"bf16": sixteen, "fp16": sixteen, "fp8": fp8, "int8": int8}
    for chip in ("h20-96gb", "h20-141gb"):
        out.append(f"  {chip}:")
        out += [*residual_lines(h20.residuals if chip == "h20-96gb" else {}, 4), *format_lines(formats, 4)]
    sixteen = gb202.formats["bf16"]
    fill_sixteen(sixteen, {}, {}, priors)
    fill_narrow(gb202, {}, ("fp8", "fp4", "int8"), sixteen, priors)
    formats = {"bf16": sixteen, "fp16": sixteen} | {fmt: gb202.formats[fmt] for fmt in ("fp8", "fp4", "int8")}
    for chip in ("rtx-pro-6000", "rtx-pro-6000d", "rtx-5090", "rtx-5090d-v2"):
        residuals = gb202.residuals if chip == "rtx-pro-6000" else {}
        own = [line("matmul_join", gb202.fields["matmul_join"], 4), *residual_lines(residuals, 4)]
        out += [f"  {chip}:  # GB202; measured on the RTX PRO 6000", *own, *format_lines(formats, 4)]
    for chip, entry in priors["chips"].items():
        fields = {name: prior(q) for name, q in entry.items()}
        fields["head_fraction"] = fields["matmul_fraction"]
        fields["attention_backward_fraction"] = backward(fields, priors)
        out += [f"  {chip}:", *format_lines(dict.fromkeys(("bf16", "fp16", "fp8"), fields), 4)]
    return out


def write_collectives(
    links: Links, residuals: Mapping[str, tuple[float, float, int]], custom: Links, priors: Mapping[str, Any]
) -> None:
    """collectives.yaml."""
    out = [HEADER.format(module="collectives")]
    out.append(
        f"# Fitted with the launch of an all-reduce counted {LAUNCHES:g} times, as collectives.all_reduce_s does."
    )
    out += [
        "sources:",
        f"  operations: {quoted(OPERATIONS)}",
        f"  network: {quoted(NETWORK)}",
        f"  priors: {quoted(PRIORS)}",
    ]
    out.append("links:")
    for name in (*links, *priors["links"]):
        if name in links:
            out += [f"  {name}:", "    evidence: measured"]
            out += [line(field, q, 4) for field, q in links[name].items()]
            out += residual_lines({"collectives": residuals[name]}, 4)
            continue
        entry = priors["links"][name]
        out += [f"  {name}:", "    evidence: prior"]
        for field in LINK_FIELDS:
            out.append(
                line(field, prior(entry[field], str(entry["why"]))._replace(source=entry.get("source", "priors")), 4)
            )
    out.append("custom_all_reduce:  # of serving engines inside a captured graph: start = launch, no hops")
    for name, fields in custom.items():
        out.append(f"  {name}:")
        out += [line(field, fields[field], 4) for field in ("fraction", "launch", "ramp")]
    (DATA / "collectives.yaml").write_text("\n".join(out) + "\n")


def show(lines: Iterable[Line]) -> None:
    """The printed table."""
    print(f"{'family':10} {'operation':22} {'rows':>5} {'median':>7} {'p90':>6} {'plain':>6}  values")
    for cells in lines:
        errors = f"{cells.median:7.3f} {cells.p90:6.3f} {cells.plain:6.3f}"
        print(f"{cells.family:10} {cells.operation:22} {cells.rows:5d} {errors}  {cells.values}")
    print(
        "plain: median error of a roofline with one constant efficiency; for links, of latency + bandwidth without ramp"
    )


def main() -> None:
    """Read, fit, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operations_dir", type=Path)
    directory: Path = parser.parse_args().operations_dir
    check_forms()
    priors = YAML(typ="safe").load(HERE / "operation_priors.yaml")
    families: Families = {name: Family({}, {}, {}, {}) for name in (*priors["formats"], "h20", "gb202")}
    lines: list[Line] = []
    fit_matmuls(directory, families, lines)
    fit_prefill(directory, families, lines)
    fit_decode(directory, families, lines)
    fit_latent(directory, families, lines)
    fit_experts(directory, families, lines)
    links, residuals, custom = fit_links(directory, lines)
    complete(families, priors)
    DATA.mkdir(parents=True, exist_ok=True)
    write_kernels(families, priors)
    write_collectives(links, residuals, custom, priors)
    show(sorted(lines))


if __name__ == "__main__":
    main()
