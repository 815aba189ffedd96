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
# The table divides by 354 TFLOP/s, which no bin of the 910B has; it measures up to 326, so the part is a 910B2 (376) at least.
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


def join(one: Array, other: Array, weight: float | Array) -> Array:
    """roofline.join_s."""
    return 0.5 * (one + other + np.sqrt((one - other) ** 2 + weight * one * other))


def wave_factor(m: Array, n: Array, rows: float, columns: float, n_cores: Array, weight: float) -> Array:
    """roofline.wave_factor."""
    waves = np.ceil(m / rows) * np.ceil(n / columns) / n_cores
    return np.where(waves <= 1.0, 1.0, 1.0 + weight * (np.ceil(waves) / np.maximum(waves, 1e-9) - 1.0))


def hops(n: Array) -> Array:
    """collectives.hops."""
    n = np.maximum(n, 1.0)
    return np.minimum(n - 1.0, 2.0 * np.ceil(np.log2(n)))


def ramped(start: Array, stream: Array, ramp: float) -> Array:
    """collectives.ramped_s."""
    return start + stream + ramp * np.sqrt(start * stream)


def collective(c: Mapping[str, Array], fraction: float, latency: float, launch: float, ramp: float, gain: float) -> Array:
    """all_reduce_s, shard_exchange_s and even_all_to_all_s inside one switched domain."""
    n = c["n"]
    once = launch + hops(n) * latency
    start = np.where(c["reduce"] > 0, ALL_REDUCE_LAUNCHES * launch + 2.0 * hops(n) * latency, once)
    stream = (n - 1.0) / n * c["bytes"] / (c["link"] * fraction)
    stream = np.where(c["reduce"] > 0, 2.0 * stream / np.where(n > 2.0, gain, 1.0), stream)
    return ramped(start, stream, ramp)


def check_forms() -> None:
    """The array forms equal the package's plain functions."""
    k = KERNELS._replace(
        matmul_join=0.7, matmul_launch_s=3e-6, tile_rows=64.0, wave_weight=0.4, matmul_memory_fraction=0.9, n_cores=132.0
    )
    for m, n, depth in ((1.0, 4096.0, 4096.0), (100.0, 7168.0, 2048.0), (8192.0, 5120.0, 5120.0)):
        plain = roofline.matmul_s(m, n, depth, 2.0 * (m * depth + n * depth + m * n), 8e14, 3e12, k)
        flop = 2.0 * np.ceil(m / 64.0) * 64.0 * n * depth
        flop *= wave_factor(np.array([m]), np.array([n]), 64.0, 128.0, np.array([132.0]), 0.4)
        array = 3e-6 + join(flop / 8e14, np.array([2.0 * (m * depth + n * depth + m * n) / 2.7e12]), 0.7)
        assert math.isclose(plain, float(array[0]), rel_tol=1e-12)
    tier = TIER._replace(bytes_per_s=4e11, fraction=0.8, latency_s=1e-6, launch_s=5e-6, ramp=0.7, reduction_gain=1.3)
    cluster = CLUSTER._replace(scale_up=tier)
    for n in (2, 4, 8):
        where = collectives.Spread(1.0, float(n), 1.0, 1.0)
        for plain_form, reduce in (
            (collectives.shard_exchange_s, 0.0),
            (collectives.even_all_to_all_s, 0.0),
            (collectives.all_reduce_s, 1.0),
        ):
            c = {key: np.array([v]) for key, v in (("n", float(n)), ("bytes", 1e7), ("link", 4e11), ("reduce", reduce))}
            array = collective(c, 0.8, 1e-6, 5e-6, 0.7, 1.3)
            assert math.isclose(plain_form(1e7, where, cluster), float(array[0]), rel_tol=1e-12), plain_form.__name__


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


def read(path: Path) -> list[Row]:
    """Rows of a table that nobody marked."""
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if not row.get("suspect")]


def number(row: Row, key: str) -> float:
    return float(row[key]) if row[key] not in ("", "n/a") else math.nan


def fit(residual: Callable[[Array], Array], start: Sequence[float], low: Sequence[float], high: Sequence[float]) -> Array:
    """Least soft absolute log error."""
    result = least_squares(residual, start, bounds=(low, high), loss="soft_l1", f_scale=SOFT, x_scale="jac")
    return np.asarray(result.x, dtype=np.float64)


def error(predicted: Array, measured: Array) -> tuple[float, float]:
    """Median and 90 % absolute relative error."""
    off = np.abs(predicted / measured - 1.0)
    return float(np.median(off)), float(np.quantile(off, 0.9))


def spread(value: float, others: Sequence[float], unit: str = "", note: str = "", digits: int = 3) -> Fitted:
    """A value with the 10-90 % range of its relatives."""
    pool = [v for v in others if math.isfinite(v)] or [value]
    low, high = float(np.quantile(pool, 0.1)), float(np.quantile(pool, 0.9))
    cut = [float(f"%.{digits}g" % v) for v in (value, min(low, value), max(high, value))]
    return Fitted(cut[0], cut[1], cut[2], unit, note)


def weights(keys: Sequence[object]) -> Array:
    """Square roots of weights that give every key the same total."""
    counts: dict[object, int] = defaultdict(int)
    for key in keys:
        counts[key] += 1
    return np.sqrt(np.array([1.0 / counts[key] for key in keys]) * len(keys) / len(counts))


Table = list[tuple[str, str, str, int, float, float, float]]
Fields = dict[str, Fitted]
Family = dict[str, Any]  # "fields": Fields, "formats": {format: Fields}, "residuals": {...}


# ---------------------------------------------------------------- matmul


class Gemm(NamedTuple):
    stack: list[tuple[str, str, str]]
    m: Array
    n: Array
    k: Array
    seconds: Array
    peak: Array
    bandwidth: Array
    n_cores: Array
    traffic: Array


def gemm_table(rows: list[Row]) -> Gemm:
    """Arrays of one format's matmuls; peaks and bandwidths are recovered from the table's own efficiencies."""
    peak: dict[tuple[str, str], float] = {}
    bandwidth: dict[str, float] = {}
    for row in rows:
        m, n, k = (number(row, key) for key in ("m", "n", "k"))
        operand = OPERAND_BYTES[FORMAT[row["gemm_dtype"]]]
        key = (row["chip"], FORMAT[row["gemm_dtype"]])
        if m >= 4096:
            peak[key] = max(peak.get(key, 0.0), round(number(row, "tflops") / number(row, "eff_c"), 0) * 1e12)
        if m <= 64 and row["eff_b"]:
            moved = operand * (n * k + m * k) + RESULT_BYTES * m * n
            bandwidth[row["chip"]] = round(moved / number(row, "latency") / number(row, "eff_b") / 1e7, 0) * 1e10
    m, n, k = (np.array([number(row, key) for row in rows]) for key in ("m", "n", "k"))
    operand_bytes = np.array([OPERAND_BYTES[FORMAT[row["gemm_dtype"]]] for row in rows])
    return Gemm(
        [(row["chip"], row["fw"], row["gemm_dtype"]) for row in rows],
        m,
        n,
        k,
        np.array([number(row, "latency") for row in rows]) * 1e-3,
        np.array([peak[row["chip"], FORMAT[row["gemm_dtype"]]] for row in rows]),
        np.array([bandwidth[row["chip"]] for row in rows]),
        np.array([float(N_CORES[row["chip"]]) for row in rows]),
        operand_bytes * (m * k + k * n) + RESULT_BYTES * m * n,
    )


def matmul(g: Gemm, e_c: float, e_m: float, launch: float, w: float, tile: float, wave: float, wave_tile: float) -> Array:
    """roofline.matmul_s; wave_tile is the row tile that waves are counted in."""
    flop = 2.0 * np.ceil(g.m / tile) * tile * g.n * g.k
    if wave > 0.0:
        flop = flop * wave_factor(g.m, g.n, wave_tile, 128.0, g.n_cores, wave)
    return launch + join(flop / (e_c * g.peak), g.traffic / (e_m * g.bandwidth), w)


def constant_roofline_error(flop_s: Array, memory_s: Array, measured: Array, weight: Array) -> tuple[float, float]:
    """Error of max(F / (c P), B / (c W)) with the one best c."""
    bound = np.maximum(flop_s, memory_s)
    c = np.exp(np.average(np.log(bound / measured), weights=weight**2))
    return error(bound / c, measured)


LOW, HIGH = (math.log(0.05), math.log(0.05), math.log(0.3e-6)), (0.0, 0.0, math.log(60e-6))


def fit_matmul_one(g: Gemm, w: float, tile: float, wave: float = 0.0, wave_tile: float = 128.0) -> Array:
    """Fractions of peak and bandwidth and launch time of one table."""
    weight = weights(g.stack)

    def residual(x: Array) -> Array:
        e_c, e_m, launch = np.exp(x)
        return weight * np.log(matmul(g, e_c, e_m, launch, w, tile, wave, wave_tile) / g.seconds)

    return np.exp(fit(residual, [math.log(0.7), math.log(0.8), math.log(4e-6)], LOW, HIGH))


def take(g: Gemm, mask: Array) -> Gemm:
    index = np.flatnonzero(mask)
    arrays = [getattr(g, name)[index] for name in Gemm._fields[1:]]
    return Gemm([g.stack[i] for i in index], *arrays)


def fit_matmuls(directory: Path, families: dict[str, Family], table: Table) -> None:
    """matmul_* of every family and format."""
    rows = [row for row in read(directory / "gemm_llm_shapes.csv") if row["gemm_dtype"] in FORMAT and row["chip"] in FAMILY]
    grouped: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        grouped[FAMILY[row["chip"]]][FORMAT[row["gemm_dtype"]]].append(row)
    for family, by_format in grouped.items():
        tables = {fmt: gemm_table(chosen) for fmt, chosen in by_format.items()}
        w = best_join(tables)
        entry = families[family]
        entry["fields"]["matmul_join"] = Fitted(round(w, 2), 0.0, 2.0, note="chosen on a grid for the least error")
        for fmt, g in tables.items():
            weight = weights(g.stack)
            tile = best_tile(g, w, fmt)
            e_c, e_m, launch = fit_matmul_one(g, w, tile)
            stacks = sorted(set(g.stack))
            each = [fit_matmul_one(take(g, np.array([s == stack for s in g.stack])), w, tile) for stack in stacks]
            predicted = matmul(g, e_c, e_m, launch, w, tile, 0.0, 128.0)
            median, p90 = error(predicted, g.seconds)
            constant = constant_roofline_error(
                2.0 * g.m * g.n * g.k / g.peak, g.traffic / g.bandwidth, g.seconds, weight
            )
            fields = entry["formats"].setdefault(fmt, {})
            fields["matmul_fraction"] = spread(e_c, [e[0] for e in each])
            fields["head_fraction"] = fields["matmul_fraction"]._replace(note="as matmul_fraction")
            fields["matmul_memory_fraction"] = spread(e_m, [e[1] for e in each])
            fields["matmul_launch"] = spread(launch * 1e6, [e[2] * 1e6 for e in each], "us")
            fields["tile_rows"] = Fitted(tile, 8.0, 128.0, note="chosen on a grid for the least error")
            wave = wave_gain(g, w, tile)
            fields["wave_weight"] = Fitted(0.0, 0.0, round(wave[0], 2), note=wave[1])
            entry["residuals"][f"matmul {fmt}"] = (median, p90, len(g.m))
            values = f"e_c {e_c:.3f} e_m {e_m:.3f} launch {launch * 1e6:.1f}us w {w:.2f} tile {tile:.0f}; {wave[1]}"
            table.append((family, f"matmul {fmt}", values, len(g.m), median, p90, constant[0]))


def loss(predicted: Array, measured: Array, weight: Array) -> float:
    """Weighted soft_l1 loss of the log error."""
    off = (weight * np.log(predicted / measured) / SOFT) ** 2
    return float(np.mean(2.0 * (np.sqrt(1.0 + off) - 1.0)))


def best_join(tables: Mapping[str, Gemm]) -> float:
    """The corner w that serves all formats of a family best."""
    losses: dict[float, float] = {}
    for w in (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0):
        total = []
        for g in tables.values():
            e_c, e_m, launch = fit_matmul_one(g, w, 16.0)
            total.append(loss(matmul(g, e_c, e_m, launch, w, 16.0, 0.0, 128.0), g.seconds, weights(g.stack)))
        losses[w] = float(np.mean(total))
    return min(losses, key=lambda w: losses[w])


def best_tile(g: Gemm, w: float, fmt: str) -> float:
    """Rows that kernels pad m to: 16 unless another figure fits clearly better."""
    losses: dict[float, float] = {}
    for tile in (8.0, 16.0, 32.0, 64.0, 128.0):
        e_c, e_m, launch = fit_matmul_one(g, w, tile)
        losses[tile] = loss(matmul(g, e_c, e_m, launch, w, tile, 0.0, 128.0), g.seconds, weights(g.stack))
    best = min(losses, key=lambda tile: losses[tile])
    return best if losses[best] < 0.97 * losses[16.0] else 16.0


def wave_gain(g: Gemm, w: float, tile: float) -> tuple[float, str]:
    """Does counting waves of 128 x 128 tiles help?"""
    plain = matmul(g, *fit_matmul_one(g, w, tile), w, tile, 0.0, 128.0)
    without = error(plain, g.seconds)[0]
    found = []
    for wave in (0.25, 0.5, 1.0):
        x = fit_matmul_one(g, w, tile, wave)
        found.append((error(matmul(g, x[0], x[1], x[2], w, tile, wave, 128.0), g.seconds)[0], wave))
    with_waves, wave = min(found)
    return wave, f"waves of 128 x 128 tiles at weight {wave:g}: median error {with_waves:.3f}, without {without:.3f}"


# ---------------------------------------------------------------- attention


def fit_prefill(directory: Path, families: dict[str, Family], table: Table) -> None:
    """Share of the peak on causal FLOPs, long enough sequences, enough heads to fill the chip."""
    faulty = set()
    with (directory / "prefill_attention.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["chip"] in FAMILY]
    for row in rows:
        if row["suspect"]:
            faulty.add((row["chip"], row["fw"]))  # one impossible row spoils the whole run
    found: dict[tuple[str, str], dict[tuple[str, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        stack = (row["chip"], row["fw"])
        if stack in faulty or not 4096 <= number(row, "isl") <= 16384 or row["heads_tok_bin"] in ("<=4", "5-16"):
            continue
        fmt = "fp8" if row["attn"] == "fp8" else "bf16"
        if fmt == "bf16" and row["kv"] == "fp8":
            continue
        found[FAMILY[row["chip"]], fmt][*stack, row["ver"]].append(number(row, "med_eff"))
    for (family, fmt), stacks in found.items():
        centres = [float(np.median(v)) for v in stacks.values()]
        value = float(np.median(centres))
        pooled = [e for v in stacks.values() for e in v]
        fields = families[family]["formats"].setdefault(fmt, {})
        fields["attention_forward_fraction"] = spread(value, pooled, note="4,096 to 16,384 tokens, causal FLOPs")
        off = np.abs(value / np.array(pooled) - 1.0)
        families[family]["residuals"][f"prefill attention {fmt}"] = (
            float(np.median(off)),
            float(np.quantile(off, 0.9)),
            len(pooled),
        )
        table.append(
            (family, f"prefill {fmt}", f"e {value:.3f}", len(pooled), float(np.median(off)), float(np.quantile(off, 0.9)), math.nan)
        )


def fit_decode(directory: Path, families: dict[str, Family], table: Table) -> None:
    """t = t0 + bytes / (e W) of every stack, on bins of KV bytes; then the median stack."""
    found: dict[tuple[str, str], dict[tuple[str, ...], list[tuple[float, float, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in read(directory / "decode_attention.csv"):
        if row["chip"] not in FAMILY or not row["med_latency_us"]:
            continue
        seconds = number(row, "med_latency_us") * 1e-6
        fmt = "fp8" if row["kv"] == "fp8" else "bf16"
        ideal = number(row, "med_bw_eff") * seconds
        if ideal > 0.0:
            found[FAMILY[row["chip"]], fmt][row["chip"], row["fw"], row["ver"]].append(
                (ideal, seconds, number(row, "n_points"))
            )
    for (family, fmt), stacks in found.items():
        each = []
        off: list[float] = []
        for points in stacks.values():
            ideal, seconds, n = (np.array(v) for v in zip(*points, strict=True))
            weight = np.sqrt(n / n.mean())

            def residual(x: Array, i: Array = ideal, s: Array = seconds, w: Array = weight) -> Array:
                return w * np.log((np.exp(x[1]) + i / np.exp(x[0])) / s)

            e, t0 = np.exp(fit(residual, [math.log(0.8), math.log(1e-5)], [math.log(0.1), math.log(1e-6)], [0.0, -7.0]))
            each.append((float(e), float(t0)))
            off += list(np.abs((t0 + ideal / e) / seconds - 1.0))
        e, t0 = (float(np.median([x[i] for x in each])) for i in (0, 1))
        fields = families[family]["formats"].setdefault(fmt, {})
        fields["decode_attention_memory_fraction"] = spread(e, [x[0] for x in each])
        fields["attention_launch"] = spread(t0 * 1e6, [x[1] * 1e6 for x in each], "us")
        stats = float(np.median(off)), float(np.quantile(off, 0.9))
        families[family]["residuals"][f"decode attention {fmt}"] = (*stats, len(off))
        table.append((family, f"decode {fmt}", f"e_m {e:.3f} t0 {t0 * 1e6:.1f}us", len(off), *stats, math.nan))


def fit_latent(directory: Path, families: dict[str, Family], table: Table) -> None:
    """decode_attention_fraction from absorbed latent attention with many heads."""
    found: dict[tuple[str, str], dict[tuple[str, ...], list[tuple[float, float, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in read(directory / "mla_decode.csv"):
        if row["chip"] not in FAMILY or number(row, "heads") < 16 or not row["med_latency_us"]:
            continue
        seconds = number(row, "med_latency_us") * 1e-6
        fmt = "fp8" if row["kv"] == "fp8" else "bf16"
        point = (number(row, "med_comp_eff") * seconds, number(row, "med_bw_eff") * seconds, seconds)
        if min(point) > 0.0:
            found[FAMILY[row["chip"]], fmt][row["chip"], row["fw"], row["ver"]].append(point)
    for (family, fmt), stacks in found.items():
        w = families[family]["fields"].get("matmul_join", Fitted(0.3, 0, 2)).value
        each = []
        off: list[float] = []
        for points in stacks.values():
            compute, memory, seconds = (np.array(v) for v in zip(*points, strict=True))

            def residual(x: Array, c: Array = compute, m: Array = memory, s: Array = seconds, w: float = w) -> Array:
                e_c, e_m, t0 = np.exp(x)
                return np.log((t0 + join(c / e_c, m / e_m, w)) / s)

            x = np.exp(
                fit(
                    residual,
                    [math.log(0.6), math.log(0.7), math.log(1.2e-5)],
                    [math.log(0.03), math.log(0.03), math.log(1e-6)],
                    [math.log(2.0), 0.0, -6.0],
                )
            )
            each.append(x)
            off += list(np.abs((x[2] + join(compute / x[0], memory / x[1], w)) / seconds - 1.0))
        # The table counts FLOPs against the 16-bit peak whatever the cache holds.
        scale = 0.5 if fmt == "fp8" and family in ("blackwell", "gb202") else 1.0
        if fmt == "fp8" and scale == 1.0:
            scale = 0.5
        e_c = float(np.median([x[0] for x in each])) * scale
        e_m = float(np.median([x[1] for x in each]))
        fields = families[family]["formats"].setdefault(fmt, {})
        fields["decode_attention_fraction"] = spread(min(e_c, 0.9), [min(x[0] * scale, 1.0) for x in each])
        stats = float(np.median(off)), float(np.quantile(off, 0.9))
        families[family]["residuals"][f"latent decode {fmt}"] = (*stats, len(off))
        table.append((family, f"latent {fmt}", f"e_c {e_c:.3f} e_m {e_m:.3f}", len(off), *stats, math.nan))


# ---------------------------------------------------------------- experts


def fit_experts(directory: Path, families: dict[str, Family], table: Table) -> None:
    """Fused expert layers by tokens per expert (binned), and single grouped matmuls of the H20 and H800.

    A bin holds medians of compute share ce and bandwidth share me, so  1 = join(ce / e_c, me / e_m).
    """
    found: dict[tuple[str, str], dict[tuple[str, ...], list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in read(directory / "moe.csv"):
        if row["chip"] in FAMILY and row["dtype"] in FORMAT and row["tokens_per_expert"] not in ("<0.5", "0.5-1"):
            key = (row["chip"], row["fw"], row["dtype"])
            found[FAMILY[row["chip"]], FORMAT[row["dtype"]]][key].append(
                (number(row, "med_compute_eff"), number(row, "med_mem_eff"))
            )
    launches: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in read(directory / "moe_fits.csv"):
        if row["chip"] in FAMILY and row["dtype"] in FORMAT and row["op"].startswith("moe_ffn"):
            launches[FAMILY[row["chip"]], FORMAT[row["dtype"]]].append(number(row, "t0_us") / 2.0)
    for (family, fmt), stacks in found.items():
        w = families[family]["fields"].get("matmul_join", Fitted(0.3, 0, 2)).value
        each, off = [], []
        for points in stacks.values():
            compute, memory = (np.array(v) for v in zip(*points, strict=True))

            def residual(x: Array, c: Array = compute, m: Array = memory, w: float = w) -> Array:
                return np.log(join(c / np.exp(x[0]), m / np.exp(x[1]), w))

            x = np.exp(fit(residual, [math.log(0.4), math.log(0.7)], [math.log(0.03)] * 2, [0.0, 0.0]))
            each.append(x)
            off += list(np.abs(join(compute / x[0], memory / x[1], w) - 1.0))
        fields = families[family]["formats"].setdefault(fmt, {})
        e_c, e_m = (float(np.median([x[i] for x in each])) for i in (0, 1))
        fields["expert_fraction"] = spread(e_c, [x[0] for x in each])
        fields["expert_memory_fraction"] = spread(e_m, [x[1] for x in each])
        t0 = launches[family, fmt]
        if t0:
            fields["expert_launch"] = spread(
                float(np.median(t0)), t0, "us", "half of a fused expert layer's fixed time: routing, sorting and combining included"
            )
        stats = float(np.median(off)), float(np.quantile(off, 0.9))
        families[family]["residuals"][f"experts {fmt}"] = (*stats, len(off))
        table.append((family, f"experts {fmt}", f"e_c {e_c:.3f} e_m {e_m:.3f}", len(off), *stats, math.nan))
    fit_grouped(directory, families, table)


def fit_grouped(directory: Path, families: dict[str, Family], table: Table) -> None:
    """roofline.grouped_matmul_s on DeepGEMM's grouped FP8 matmul, H20 and H800."""
    rows = read(directory / "moe_infersim_h20_h800.csv")
    for chip, peak, bandwidth in (("h20", 296e12, 4.0e12), ("h800", 1979e12, 3.35e12)):
        chosen = [row for row in rows if row["chip"] == chip and number(row, "tokens_per_expert") >= 1]
        groups, per, hidden, width = (
            np.array([number(row, key) for row in chosen])
            for key in ("num_local_experts", "tokens_per_expert", "hidden_size", "intermediate_size")
        )
        up, down = (np.array([number(row, key) for row in chosen]) * 1e-6 for key in ("up_proj_us", "down_proj_us"))
        g = np.concatenate([groups, groups])
        m = np.concatenate([per, per])
        n = np.concatenate([2.0 * width, hidden])
        k = np.concatenate([hidden, width])
        seconds = np.concatenate([up, down])
        traffic = g * (m * k + n * k + 2.0 * m * n)
        family = FAMILY[chip]
        w = families[family]["fields"].get("matmul_join", Fitted(0.3, 0, 2)).value
        best: tuple[float, float, Array, Array] | None = None
        for tile in (16.0, 64.0, 128.0):
            flop = 2.0 * g * np.ceil(m / tile) * tile * n * k

            def form(x: Array, flop: Array = flop) -> Array:
                e_c, e_m, t0 = np.exp(x)
                return t0 + join(flop / (e_c * peak), traffic / (e_m * bandwidth), w)

            x = fit(
                lambda x, form=form: np.log(form(x) / seconds),
                [math.log(0.7), math.log(0.7), math.log(5e-6)],
                [math.log(0.05), math.log(0.05), math.log(1e-6)],
                [0.0, 0.0, -8.0],
            )
            value = loss(form(x), seconds, np.ones_like(seconds))
            if best is None or value < best[0]:
                best = (value, tile, np.exp(x), form(x))
        assert best is not None
        _, tile, x, predicted = best
        stats = error(predicted, seconds)
        constant = constant_roofline_error(
            2.0 * g * m * n * k / peak, traffic / bandwidth, seconds, np.ones_like(seconds)
        )
        values = f"e_c {x[0]:.3f} e_m {x[1]:.3f} launch {x[2] * 1e6:.1f}us tile {tile:.0f}"
        table.append((chip, "grouped fp8", values, len(seconds), *stats, constant[0]))
        families[family]["residuals"][f"grouped matmul fp8 ({chip})"] = (*stats, len(seconds))
        if chip == "h20":
            fields = families[family]["formats"].setdefault("fp8", {})
            fields["expert_fraction"] = Fitted(round(float(x[0]), 3), round(0.9 * float(x[0]), 3), 0.95)
            fields["expert_memory_fraction"] = Fitted(
                round(float(x[1]), 3), 0.6, 0.9, note="badly identified: padding makes small m compute-bound"
            )


# ---------------------------------------------------------------- links

LINKS = {
    "nvlink3": (("a100_sxm",), 300e9),
    "nvlink4": (("h100_sxm", "h200_sxm"), 450e9),
    "nvlink5": (("b200_sxm", "b300_sxm", "gb200", "gb300"), 900e9),
    "pcie4": (("l40s",), 32e9),
    "pcie5": (("rtx_pro_6000_server",), 64e9),
}


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def comm_arrays(rows: list[Row], link: float) -> dict[str, Array]:
    return {
        "n": np.array([number(row, "n_gpus") for row in rows]),
        "bytes": np.array([number(row, "bytes") for row in rows]),
        "link": np.full(len(rows), link),
        "reduce": np.array([1.0 if row["op"] == "all_reduce" else 0.0 for row in rows]),
        "seconds": np.array([number(row, "latency_us") for row in rows]) * 1e-6,
    }


def fit_link(c: Mapping[str, Array], weight: Array, gain: bool) -> Array:
    """fraction, latency, launch, ramp, reduction gain."""

    def residual(x: Array) -> Array:
        fraction, latency, launch = np.exp(x[:3])
        return weight * np.log(collective(c, fraction, latency, launch, x[3], x[4]) / c["seconds"])

    top = 2.5 if gain else 1.0 + 1e-9
    x = fit(
        residual,
        [math.log(0.75), math.log(1e-6), math.log(5e-6), 0.5, 1.2 if gain else 1.0],
        [math.log(0.02), math.log(1e-8), math.log(1e-6), 0.0, 1.0 - 1e-9],
        [0.0, math.log(2e-5), math.log(5e-5), 3.0, top],
    )
    return np.array([*np.exp(x[:3]), x[3], x[4]])


def fit_links(directory: Path, table: Table) -> tuple[dict[str, Fields], dict[str, tuple[float, float, int]], dict[str, Fields]]:
    """Links inside a node from NCCL's collectives at 2, 4 and 8 ranks, and serving engines' own all-reduce."""
    rows = read(directory / "comm.csv")
    links: dict[str, Fields] = {}
    residuals: dict[str, tuple[float, float, int]] = {}
    custom: dict[str, Fields] = {}
    for name, (chips, link) in LINKS.items():
        chosen: list[Row] = []
        for chip in chips:
            own = [row for row in rows if row["chip"] == chip and row["lib"] == "nccl"]
            newest = max((row["version"] for row in own), key=version_key)
            chosen += [row for row in own if row["version"] == newest]
        if name.startswith("pcie"):
            chosen = [row for row in chosen if row["n_gpus"] == "2"]
        keys = [(row["chip"], row["op"], row["n_gpus"]) for row in chosen]
        # A whole domain is what plans use most: groups of 8 count double. The data end at 512 MiB,
        # training moves more: large messages count double too.
        emphasis = np.array(
            [
                (2.0 if row["n_gpus"] == "8" else 1.0) * (2.0 if number(row, "bytes") >= 1e6 else 1.0)
                for row in chosen
            ]
        )
        weight = weights(keys) * np.sqrt(emphasis)
        c = comm_arrays(chosen, link)
        x = fit_link(c, weight, gain=name in ("nvlink4", "nvlink5"))
        each = []
        for chip in chips:
            for op in ("all_gather", "reduce_scatter", "all_reduce", "alltoall"):
                mask = np.array([row["chip"] == chip and row["op"] == op for row in chosen])
                each.append(
                    fit_link({k: v[mask] for k, v in c.items()}, weight[mask], gain=op == "all_reduce" and x[4] > 1.001)
                )
        predicted = collective(c, *x)
        stats = error(predicted, c["seconds"])
        big = c["bytes"] >= 1e6
        big_stats = error(predicted[big], c["seconds"][big])
        alpha_beta = collective(c, *fit_link_without_ramp(c, weight, x))
        links[name] = {
            "fraction": spread(x[0], [e[0] for e in each]),
            "latency": spread(x[1] * 1e6, [e[1] * 1e6 for e in each], "us"),
            "launch": spread(x[2] * 1e6, [e[2] * 1e6 for e in each], "us"),
            "ramp": spread(x[3], [e[3] for e in each]),
            "reduction_gain": spread(x[4], [e[4] for e, op in zip(each, [0, 0, 1, 0] * len(chips), strict=True) if op]),
        }
        residuals[name] = (*stats, len(chosen))
        values = (
            f"f {x[0]:.3f} lat {x[1] * 1e6:.2f}us launch {x[2] * 1e6:.1f}us ramp {x[3]:.2f} gain {x[4]:.2f}; "
            f">=1MB median {big_stats[0]:.3f}"
        )
        table.append((name, "collectives", values, len(chosen), *stats, error(alpha_beta, c["seconds"])[0]))
        own = [
            row
            for row in rows
            if row["chip"] in chips
            and row["op"] == "all_reduce"
            and ("graph" in row["kernel"] or row["kernel"] == "TRTLLM")
            and number(row, "bytes") <= 16e6
        ]
        if own and name.startswith("nvlink"):
            custom[name] = fit_custom(own, link, name, table)
    return links, residuals, custom


def fit_link_without_ramp(c: Mapping[str, Array], weight: Array, start: Array) -> Array:
    """The plain alpha-beta model, to compare with."""

    def residual(x: Array) -> Array:
        fraction, latency, launch = np.exp(x)
        return weight * np.log(collective(c, fraction, latency, launch, 0.0, start[4]) / c["seconds"])

    x = fit(residual, list(np.log(start[:3])), [-4.0, math.log(1e-8), math.log(1e-7)], [0.0, math.log(1e-4), math.log(1e-4)])
    return np.array([*np.exp(x), 0.0, start[4]])


def fit_custom(rows: list[Row], link: float, name: str, table: Table) -> Fields:
    """One-shot and two-shot all-reduce of serving engines inside a captured graph: t = alpha + beta, no hops."""
    c = comm_arrays(rows, link)
    weight = weights([(row["chip"], row["kernel"], row["n_gpus"]) for row in rows])

    def form(x: Array) -> Array:
        fraction, alpha = np.exp(x[:2])
        n = c["n"]
        return ramped(np.full_like(n, alpha), 2.0 * (n - 1.0) / n * c["bytes"] / (link * fraction), x[2])

    x = fit(
        lambda x: weight * np.log(form(x) / c["seconds"]),
        [math.log(0.6), math.log(5e-6), 0.3],
        [math.log(0.05), math.log(1e-6), 0.0],
        [math.log(1.5), math.log(4e-5), 3.0],
    )
    stats = error(form(x), c["seconds"])
    values = f"f {np.exp(x[0]):.3f} alpha {np.exp(x[1]) * 1e6:.1f}us ramp {x[2]:.2f}"
    table.append((name, "custom all-reduce", values, len(rows), *stats, math.nan))
    cut = [float(f"{v:.3g}") for v in (np.exp(x[0]), np.exp(x[1]) * 1e6, x[2])]
    return {
        "fraction": Fitted(cut[0], round(0.8 * cut[0], 3), round(1.2 * cut[0], 3)),
        "launch": Fitted(cut[1], round(0.7 * cut[1], 2), round(1.4 * cut[1], 2), "us"),
        "ramp": Fitted(cut[2], 0.0, round(2.0 * cut[2] + 0.2, 2)),
    }


# ---------------------------------------------------------------- writing

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
UNITS = {name: "us" for name in ("matmul_launch", "expert_launch", "attention_launch", "element_launch", "latency", "launch")}


def amount(value: float, unit: str) -> str:
    text = f"{value:g}"
    return f"{text} {unit}" if unit else text


def quoted(text: str) -> str:
    return '"' + " ".join(text.split()).replace('"', "'") + '"'


def line(name: str, q: Fitted, indent: int) -> str:
    """One quantity as one line of YAML."""
    parts = [f"value: {amount(q.value, q.unit)}", f"source: {q.source}", f"kind: {q.kind}"]
    parts += [f"low: {amount(q.low, q.unit)}", f"high: {amount(q.high, q.unit)}"]
    if q.note:
        parts.append(f"note: {quoted(q.note)}")
    if q.why:
        parts.append(f"why: {quoted(q.why)}")
    return " " * indent + f"{name}: {{{', '.join(parts)}}}"


def prior(entry: Sequence[Any], why: str = "") -> Fitted:
    """A quantity of operation_priors.yaml."""
    numbers, unit = [], ""
    for cell in entry[:3]:
        words = str(cell).split()
        numbers.append(float(words[0]))
        unit = words[1] if len(words) > 1 else ""
    return Fitted(numbers[0], numbers[1], numbers[2], unit, kind="assumed", why=why or str(entry[3]), source="priors")


def middle(name: str, found: Sequence[Fitted], why: str) -> Fitted:
    """The median of measured relatives with their whole range, a little wider."""
    value = float(np.median([q.value for q in found]))
    low = 0.9 * min(q.low for q in found)
    high = 1.1 * max(q.high for q in found)
    if not UNITS.get(name) and name != "tile_rows":
        high = min(high, 1.0)
    value, low, high = (float(f"{v:.3g}") for v in (value, low, high))
    return Fitted(value, low, high, UNITS.get(name, ""), kind="assumed", why=why, source="priors")


def scaled(q: Fitted, entry: Sequence[Any], why: str) -> Fitted:
    ratio, low, high = (float(v) for v in entry[:3])
    cut = [float(f"{v:.3g}") for v in (q.value * ratio, q.low * low, min(q.high * high, 1.0))]
    return Fitted(cut[0], cut[1], cut[2], q.unit, kind="assumed", why=why, source="priors")


def complete(families: dict[str, Family], priors: Mapping[str, Any]) -> None:
    """Fill what no table measured: the family's own other formats first, then priors, then other families."""
    measured = {name: entry for name, entry in families.items() if name in priors["formats"] and entry["residuals"]}
    relatives: dict[tuple[str, str], list[Fitted]] = defaultdict(list)
    for entry in measured.values():
        for fmt, fields in entry["formats"].items():
            for name, q in fields.items():
                relatives[name, fmt].append(q)
    for family, formats in priors["formats"].items():
        entry = families[family]
        own = priors["families"].get(family, {})
        for fmt in formats:
            fields = entry["formats"].setdefault(fmt, {})
            for name in FORMAT_FIELDS:
                if name not in fields:
                    fields[name] = fill(name, fmt, entry, own, relatives, priors)
        fields = entry["fields"]
        for name in FAMILY_FIELDS:
            if name in fields:
                continue
            base = entry["formats"].get("bf16", entry["formats"].get("fp16", {}))
            if name in own:
                fields[name] = prior(own[name])
            elif name in base:
                fields[name] = base[name]
            elif name in priors["every_family"]:
                fields[name] = prior(priors["every_family"][name])
            elif name == "wave_weight":
                fields[name] = Fitted(0.0, 0.0, 0.5, kind="assumed", why="waves did not help any measured family", source="priors")
            elif name == "matmul_join":
                values = [e["fields"]["matmul_join"].value for e in measured.values() if "matmul_join" in e["fields"]]
                fields[name] = Fitted(
                    round(float(np.median(values)), 2), 0.0, 2.0, kind="assumed", why="median of measured families", source="priors"
                )
            else:
                found = relatives[name, "bf16"]
                fields[name] = middle(name, found, "median of the measured families, their whole range")


def fill(
    name: str,
    fmt: str,
    entry: Family,
    own: Mapping[str, Any],
    relatives: Mapping[tuple[str, str], list[Fitted]],
    priors: Mapping[str, Any],
) -> Fitted:
    """One missing fraction of one format."""
    fields = entry["formats"][fmt]
    if name == "attention_backward_fraction":
        ratio = priors["attention_backward_ratio"]
        return scaled(fields["attention_forward_fraction"], ratio, str(ratio[3]))
    if f"{name}_{fmt}" in own:
        return prior(own[f"{name}_{fmt}"])
    if name == "head_fraction":
        return fields["matmul_fraction"]._replace(note="as matmul_fraction")
    sixteen = entry["formats"].get("bf16", {}).get(name) or entry["formats"].get("fp16", {}).get(name)
    if fmt in ("fp16", "bf16"):
        if sixteen:
            return sixteen._replace(kind="assumed", why="as the other 16-bit format", source="priors", note="")
        if name in own:
            return prior(own[name])
    eight = entry["formats"].get("fp8", {}).get(name)
    if fmt in ("int8", "fp4", "int4") and eight and eight.source == "operations":
        return widened(eight, 0.9 if fmt in ("fp4", "int4") else 1.0, "as fp8 of the same family")
    base = own.get(name)
    if base:
        share = 0.9 if fmt in ("fp8", "int8", "fp4", "int4") else 1.0
        return widened(prior(base), share, f"as the family's 16-bit figure; {base[3]}")
    if fmt in ("tf32", "fp32", "fp64") and sixteen:
        return widened(sixteen, 1.0, "as the 16-bit figure: memory per FLOP is kinder, kernels are tuned less")
    found = relatives.get((name, fmt)) or relatives.get((name, "fp8" if fmt in ("int8", "fp4", "int4") else "bf16"))
    if found:
        return middle(name, found, "median of the measured families, their whole range")
    raise ValueError(f"nothing to fill {name} of {fmt} with")


def widened(q: Fitted, ratio: float, why: str) -> Fitted:
    cut = [float(f"{v:.3g}") for v in (ratio * q.value, 0.8 * ratio * q.low, min(1.1 * q.high, 1.0))]
    return Fitted(cut[0], min(cut[1], cut[0]), max(cut[2], cut[0]), q.unit, kind="assumed", why=why, source="priors")


HEADER = """\
# Generated by `python bench/fit_operations.py OPERATIONS_DIR`; do not edit. Priors: bench/operation_priors.yaml.
# Forms: src/clustercast/physics/{module}.py. low/high of fitted numbers: 10-90 % over chips and frameworks.
"""


def write_kernels(families: dict[str, Family], priors: Mapping[str, Any]) -> None:
    out = [HEADER.format(module="roofline").rstrip()]
    out += ["# A format's own matmul_memory_fraction, launch, tile_rows ... goes before its family's;"]
    out += ["# a chip's (`chips`) goes before both."]
    out += ["sources:", f"  operations: {quoted(OPERATIONS)}", f"  priors: {quoted(PRIORS)}", "families:"]
    for family in priors["formats"]:
        entry = families[family]
        out += [f"  {family}:", f"    evidence: {'measured' if entry['residuals'] else 'prior'}"]
        out += [line(name, entry["fields"][name], 4) for name in FAMILY_FIELDS]
        out.append(f"    n_cores_default: {priors['cores'][family]}")
        out += residual_lines(entry["residuals"], 4)
        out.append("    formats:")
        for fmt in priors["formats"][family]:
            out.append(f"      {fmt}:")
            fields = entry["formats"][fmt]
            out += [line(name, fields[name], 8) for name in (*FORMAT_FIELDS, *OPTIONAL_FIELDS) if name in fields]
    out.append("chips:")
    out += chip_lines(families)
    (DATA / "kernels.yaml").write_text("\n".join(out) + "\n")


def residual_lines(residuals: Mapping[str, tuple[float, float, int]], indent: int) -> list[str]:
    if not residuals:
        return []
    out = [" " * indent + "residuals:  # absolute relative error of the fitted form"]
    for name, (median, p90, n) in residuals.items():
        out.append(" " * (indent + 2) + f"{name}: {{median: {median:.3f}, p90: {p90:.3f}, rows: {n}}}")
    return out


CAPPED = (
    "the H20's matrix units are cut to 15 % with memory, caches and power kept, so they are fed more easily: measured in fp8 "
    "and in bf16 attention"
)


def chip_lines(families: dict[str, Family]) -> list[str]:
    """Chips whose kernels behave unlike their family's."""
    h20, gb202 = families["h20"], families["gb202"]
    fp8 = dict(h20["formats"]["fp8"])
    fp8.pop("matmul_memory_fraction", None)
    attention = h20["formats"]["bf16"]["attention_forward_fraction"]
    high = fp8["matmul_fraction"].value
    bf16: Fields = {
        "matmul_fraction": Fitted(high, 0.8, 0.95, kind="assumed", why=f"as fp8: {CAPPED}", source="priors"),
        "head_fraction": Fitted(high, 0.8, 0.95, kind="assumed", why=f"as fp8: {CAPPED}", source="priors"),
        "expert_fraction": Fitted(
            fp8["expert_fraction"].value, 0.6, 0.92, kind="assumed", why=f"as fp8: {CAPPED}", source="priors"
        ),
    }
    bf16 |= h20["formats"]["bf16"]
    bf16["attention_backward_fraction"] = Fitted(
        round(0.85 * attention.value, 3), 0.6, 0.9, kind="assumed", why=f"backward ratio of FlashAttention; {CAPPED}", source="priors"
    )
    fp8.setdefault(
        "decode_attention_fraction",
        Fitted(0.6, 0.4, 0.75, kind="assumed", why=f"as bf16, quantised kernels trail; {CAPPED}", source="priors"),
    )
    out = []
    for chip, formats, residuals in (
        ("h20-96gb", {"bf16": bf16, "fp16": bf16, "fp8": fp8, "int8": as_assumed(fp8, "as fp8")}, h20["residuals"]),
        ("h20-141gb", {"bf16": bf16, "fp16": bf16, "fp8": fp8, "int8": as_assumed(fp8, "as fp8")}, {}),
        ("rtx-pro-6000", gb202["formats"], gb202["residuals"]),
    ):
        out.append(f"  {chip}:")
        if chip == "rtx-pro-6000":
            out.append(line("matmul_join", gb202["fields"]["matmul_join"], 4))
        else:
            out.append(line("matmul_join", h20["fields"]["matmul_join"], 4))
        out += residual_lines(residuals, 4)
        out.append("    formats:")
        for fmt, fields in formats.items():
            out.append(f"      {fmt}:")
            out += [line(name, fields[name], 8) for name in (*FORMAT_FIELDS, *OPTIONAL_FIELDS) if name in fields]
    return out


def as_assumed(fields: Fields, why: str) -> Fields:
    return {name: q._replace(kind="assumed", why=why, source="priors", note="") for name, q in fields.items()}


LINK_FIELDS = ("fraction", "latency", "launch", "ramp", "reduction_gain")


def write_collectives(
    links: Mapping[str, Fields],
    residuals: Mapping[str, tuple[float, float, int]],
    custom: Mapping[str, Fields],
    priors: Mapping[str, Any],
) -> None:
    out = [HEADER.format(module="collectives").rstrip()]
    out += ["sources:", f"  operations: {quoted(OPERATIONS)}", f"  network: {quoted(NETWORK)}", f"  priors: {quoted(PRIORS)}"]
    out.append("links:")
    for name in (*links, *priors["links"]):
        if name in links:
            out += [f"  {name}:", "    evidence: measured"]
            out += [line(field, links[name][field], 4) for field in LINK_FIELDS]
            out += residual_lines({"collectives": residuals[name]}, 4)
            continue
        entry = priors["links"][name]
        out += [f"  {name}:", "    evidence: prior"]
        out += [line(field, prior(entry[field], str(entry["why"])), 4) for field in LINK_FIELDS]
    out.append("custom_all_reduce:  # of serving engines inside a captured graph: start = launch, no hops")
    for name, fields in custom.items():
        out.append(f"  {name}:")
        out += [line(field, fields[field], 4) for field in ("fraction", "launch", "ramp")]
    (DATA / "collectives.yaml").write_text("\n".join(out) + "\n")


def show(table: Iterable[tuple[str, str, str, int, float, float, float]]) -> None:
    print(f"{'family':12} {'operation':18} {'rows':>5} {'median':>7} {'p90':>6} {'plain':>6}  values")
    for family, operation, values, rows, median, p90, plain in table:
        print(f"{family:12} {operation:18} {rows:5d} {median:7.3f} {p90:6.3f} {plain:6.3f}  {values}")
    print("plain: median error of a roofline with one constant efficiency, or of latency + bandwidth without ramp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operations_dir", type=Path)
    directory: Path = parser.parse_args().operations_dir
    check_forms()
    priors = YAML(typ="safe").load(HERE / "operation_priors.yaml")
    families: dict[str, Family] = defaultdict(lambda: {"fields": {}, "formats": {}, "residuals": {}})
    table: Table = []
    fit_matmuls(directory, families, table)
    fit_prefill(directory, families, table)
    fit_decode(directory, families, table)
    fit_latent(directory, families, table)
    fit_experts(directory, families, table)
    links, residuals, custom = fit_links(directory, table)
    complete(families, priors)
    DATA.mkdir(parents=True, exist_ok=True)
    write_kernels(families, priors)
    write_collectives(links, residuals, custom, priors)
    show(sorted(table, key=lambda cells: (cells[0], cells[1])))


if __name__ == "__main__":
    main()
