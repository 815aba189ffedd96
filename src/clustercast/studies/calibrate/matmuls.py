"""A sweep of matmuls as points of one chip and number format."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from clustercast import records
from clustercast.catalog import ChipProfile, constants
from clustercast.errors import WrongInput
from clustercast.physics import roofline
from clustercast.studies.calibrate import refusals
from clustercast.studies.calibrate.belonging import Task
from clustercast.studies.calibrate.files import Row, Source, rows_of
from clustercast.studies.calibrate.fit import parameter, settings

DTYPES: Final = {
    "bf16": ("bf16", "bfloat16"),
    "fp16": ("fp16", "float16", "half", "f16"),
    "fp8": ("fp8", "float8", "e4m3", "e5m2", "float8e4m3fn", "float8e4m3", "float8e5m2", "fp8e4m3", "fp8e5m2"),
    "fp4": ("fp4", "nvfp4", "mxfp4", "float4", "e2m1"),
    "int8": ("int8", "i8", "s8"),
    "tf32": ("tf32",),
    "fp32": ("fp32", "float32", "float", "f32"),
    "fp64": ("fp64", "float64", "double", "f64"),
}
# of one element of an operand: a block of 16 elements of FP4 carries one byte of scale
OPERAND_BYTES: Final = {
    "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp4": 0.5625, "int8": 1.0, "tf32": 4.0, "fp32": 4.0, "fp64": 8.0
}  # fmt: skip
RESULT_BYTES: Final = {"tf32": 4.0, "fp32": 4.0, "fp64": 8.0}  # else 16 bit
USUAL_RESULT_BYTES: Final = 2.0
SECONDS: Final = {
    "time_us": 1e-6, "latency_us": 1e-6, "us": 1e-6, "duration_us": 1e-6, "time_ms": 1e-3, "latency_ms": 1e-3,
    "ms": 1e-3, "duration_ms": 1e-3, "time_s": 1.0, "latency_s": 1.0, "seconds": 1.0, "time_ns": 1e-9,
    "latency_ns": 1e-9,
}  # fmt: skip
FLOP_RATES: Final = {"tflops": 1e12, "tflop/s": 1e12, "tflops/s": 1e12, "tflop_per_s": 1e12, "gflops": 1e9}
DTYPE_COLUMNS: Final = ("dtype", "precision", "data_type", "gemm_dtype", "format")
MOST_SIDE: Final = 10**8


class Matmul(NamedTuple):
    """One measured matmul [m, k] x [k, n]."""

    m: float
    n: float
    k: float
    number_format: str
    seconds: float
    where: str


def matmuls(found: Source) -> list[Matmul]:
    """Every row of a sweep. Raises WrongInput with the line for what is missing or no number."""
    rows = rows_of(found)
    columns = {name.lower(): name for name in rows[0].cells}
    dtype = next((columns[name] for name in DTYPE_COLUMNS if name in columns), None)
    if dtype is None:
        raise found.wrong(f"its header has no number format, expected one of {', '.join(DTYPE_COLUMNS)}", line=1)
    timed = next((name for name in (*SECONDS, *FLOP_RATES) if name in columns), None)
    if timed is None:
        known = ", ".join((*SECONDS, *FLOP_RATES))
        raise found.wrong(f"its header has no time, expected one of {known}", line=1)
    points = []
    for row in rows:
        m, n, k = (_positive(found, row, columns[name]) for name in ("m", "n", "k"))
        for name, side in (("m", m), ("n", n), ("k", k)):
            if side > MOST_SIDE or side != int(side):
                raise found.wrong(f"{name}: expected a whole number up to {MOST_SIDE:,}, got {side:g}", line=row.line)
        measured = _positive(found, row, columns[timed])
        seconds = measured * SECONDS[timed] if timed in SECONDS else 2.0 * m * n * k / (measured * FLOP_RATES[timed])
        where = f"{found.name}:{row.line}"
        points.append(Matmul(m, n, k, _format(found, row, row.cells[dtype]), seconds, where))
    return points


def _positive(found: Source, row: Row, column: str) -> float:
    try:
        value = float(row.cells[column])
    except ValueError:
        value = math.nan
    if not 0.0 < value < 1e30:
        raise found.wrong(f"{column}: expected a positive number, got {row.cells[column]!r}", line=row.line)
    return value


def _format(found: Source, row: Row, text: str) -> str:
    plain = text.lower().rpartition(".")[2].replace("_", "").replace("-", "")
    for name, spellings in DTYPES.items():
        if plain in spellings:
            return name
    raise found.wrong(f"number format {text[:30]!r} is not known, expected one of {', '.join(DTYPES)}", line=row.line)


def task(chip: ChipProfile, chip_file: str | None, points: Sequence[Matmul], number_format: str) -> Task:
    """The points of one number format. Raises NoAnswer for too few or impossible ones, WrongInput for no format."""
    peaks = chip.peaks()
    if number_format not in peaks:
        raise WrongInput(f"{chip.name} has no {number_format}", hint=f"it has {', '.join(peaks)}")
    mine = [point for point in points if point.number_format == number_format]
    peak, hbm = peaks[number_format], chip.value("memory.bandwidth")
    cache = chip.get("memory.cache")
    cached = [p for p in mine if cache is not None and _operands(p) <= cache.value and _traffic(p) / p.seconds > hbm]
    remarks = []
    if cached:
        mine = [point for point in mine if point not in cached]
        remarks.append(f"{len(cached)} matmuls left out: their operands lay in the chip's cache")
    configurations = [(point.m, point.n, point.k) for point in mine]
    seconds, where = [point.seconds for point in mine], [point.where for point in mine]
    refusals.too_few("matmuls", len(set(configurations)), "shapes")
    refusals.contradictory(configurations, seconds, where)
    hint = f"check --chip, the units of the time and that peaks are dense; chips show {chip.name} prints them"
    refusals.impossible(
        f"the dense {number_format} peak", [2.0 * p.m * p.n * p.k / peak / p.seconds for p in mine], where, hint
    )
    refusals.impossible("the memory", [_traffic(p) / hbm / p.seconds for p in mine], where, hint)
    formats = dict.fromkeys(("matmul", "expert", "attention", "head"), number_format)
    known = constants.kernels(chip.family, chip.name, formats, float(chip.n_cores or 0))
    kernels = records.as_declared(records.Kernels(**{name: known[name].value for name in records.Kernels._fields}))
    clock = constants.clock_fraction(chip.family).value
    record_field = {name: constants.KERNEL_FIELDS.get(name, name) for name in settings("parameters")["matmuls"]}
    parameters = tuple(
        parameter(name, known[field], "s" if field.endswith("_s") else "1", "matmuls")
        for name, field in record_field.items()
    )

    def predict(values: Mapping[str, float], place: int) -> float:
        point = mine[place]
        tried = kernels._replace(**{record_field[name]: value for name, value in values.items()})
        rate = peak * clock * tried.matmul_fraction
        return roofline.matmul_s(point.m, point.n, point.k, _traffic(point), rate, hbm, tried)

    return Task(
        "matmuls",
        chip.name,
        chip_file,
        number_format,
        parameters,
        predict,
        tuple(seconds),
        tuple(configurations),
        tuple(where),
        {"head_fraction": "matmul_fraction"},
        tuple(remarks),
    )


def _operands(point: Matmul) -> float:
    return OPERAND_BYTES[point.number_format] * (point.m * point.k + point.k * point.n)


def _traffic(point: Matmul) -> float:
    return _operands(point) + RESULT_BYTES.get(point.number_format, USUAL_RESULT_BYTES) * point.m * point.n
