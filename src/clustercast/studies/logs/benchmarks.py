"""What serving benchmarks write: `vllm bench serve`, SGLang's `bench_serving`, AIPerf and GenAI-Perf.

Mean, median and percentiles stay apart. Figures that cannot all be true together are refused: most often one is in
another unit.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from clustercast.catalog import constants, read
from clustercast.errors import ClustercastError, WrongInput
from clustercast.studies.launch import checkpoints
from clustercast.studies.launch.launch import ServingLaunch

MOST_RUNS: Final = 10_000  # in one file
MOST_LINES: Final = 100_000
SHOWN: Final = 64
LARGEST: Final = 1e12

# Cells of the serving form that a result file itself does not measure.
SAID: Final = (
    "chip", "n_chips", "model", "engine", "engine_version", "tp", "pp", "attention_dp", "moe_tp", "ep", "weight_dtype",
    "moe_dtype", "kv_dtype", "mtp", "concurrency", "input_len", "output_len", "date", "notes",
)  # fmt: skip
ENGINES: Final = {"vllm": "vllm", "sglang": "sglang", "tensorrt-llm": "trtllm", "trt": "trtllm", "lmdeploy": "lmdeploy"}
UNITS_MS: Final = {"ms": 1.0, "milliseconds": 1.0, "s": 1e3, "sec": 1e3, "seconds": 1e3, "us": 1e-3, "ns": 1e-6}
CLOSE: Final = 0.1  # by which completed / duration and the printed rate may differ
SLIP: Final = 30.0  # times of requests in flight that no warm-up explains: seconds taken for milliseconds
MEASURED: Final = ("concurrency", "input_len", "output_len")  # by the benchmark, unless the user knows better


@dataclass(frozen=True, slots=True)
class Times:
    """One latency in milliseconds as a benchmark sums it up; None where the file does not have it."""

    mean: float | None = None
    median: float | None = None
    p90: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a benchmark."""

    tool: str  # vllm, sglang, aiperf
    line: int  # of the file, where it begins
    completed: int
    failed: int
    duration_s: float | None
    request_rate: float | None  # asked for, infinite: all at once; None: not said
    max_concurrency: int | None  # asked for
    in_flight: float | None  # measured, mean over time
    input_len: float | None  # mean tokens of a request
    output_len: float | None
    requests_per_s: float | None
    output_tokens_per_s: float | None
    ttft_ms: Times = field(default_factory=Times)
    tpot_ms: Times = field(default_factory=Times)
    latency_ms: Times = field(default_factory=Times)
    said: dict[str, str] = field(default_factory=dict)  # cells that the file itself gives
    notes: tuple[str, ...] = ()


# -- reading


def is_result(text: str) -> bool:
    """Whether a text is the result of a serving benchmark, told by what it holds.

    >>> is_result('{"completed": 8, "mean_ttft_ms": 1.0}'), is_result("id,chip,metric"), is_result('{"results": []}')
    (True, False, False)
    """
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if start == "{":
        try:
            first, _ = json.JSONDecoder().raw_decode(text.lstrip("\ufeff \t\r\n"))
        except (ValueError, RecursionError):
            # broken off: by the words that only such results have
            return re.search(r'"(mean_ttft_ms|median_ttft_ms|time_to_first_token)"', text) is not None
        return isinstance(first, dict) and _tool_of(first) is not None
    return re.match(r'\s*"?Metric"?,"?(avg|Value)', text.lstrip("\ufeff")) is not None


def _tool_of(document: Mapping[str, Any]) -> str | None:
    """The benchmark that wrote a JSON document, or None."""
    inner = document.get("records") if isinstance(document.get("records"), dict) else document
    measured = (
        [inner.get(name) for name in ("time_to_first_token", "request_throughput", "request_latency")] if inner else []
    )
    if any(isinstance(each, dict) and "avg" in each for each in measured):
        return "aiperf"
    if "completed" not in document or not any(
        name in document for name in ("mean_ttft_ms", "median_ttft_ms", "request_throughput", "output_throughput")
    ):
        return None
    own = ("mean_e2e_latency_ms", "median_e2e_latency_ms", "total_output_tokens_retokenized", "server_info")
    return "sglang" if any(name in document for name in own) else "vllm"


def runs_of(text: str, path: Path) -> list[Run]:
    """The runs of a result file, in order: one JSON document, several, or the CSV of AIPerf.

    Raises WrongInput with file and line for what is broken, empty, or measured nothing.
    """
    if text.lstrip("\ufeff \t\r\n")[:1] != "{":
        return [_of_csv(text, path)]
    found = []
    for document, line in _documents(text, path):
        tool = _tool_of(document)
        if tool is None:
            raise read.wrong(
                path, "", "is no result of a serving benchmark: it has no `completed` and no times", line=line
            )
        found.append(_of_aiperf(document, path, line) if tool == "aiperf" else _of_bench(document, tool, path, line))
        if len(found) > MOST_RUNS:
            raise read.wrong(path, "", f"holds more than {MOST_RUNS:,} runs", line=line)
    return found


def _documents(text: str, path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """The JSON objects of a text, one after another, each with its line."""
    decoder = json.JSONDecoder(parse_constant={"Infinity": math.inf}.get)
    at, line, blank = 0, 1, re.compile(r"[\s\ufeff]*")
    while True:
        skipped = blank.match(text, at)
        after = skipped.end() if skipped else at
        line += text.count("\n", at, after)
        at = after
        if at >= len(text):
            return
        try:
            document, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise read.wrong(
                path, "", f"is not JSON: {error.msg.lower()}", line=text.count("\n", 0, error.pos) + 1
            ) from None
        except (ValueError, RecursionError):
            raise read.wrong(path, "", "is not JSON that can be read", line=line) from None
        if not isinstance(document, dict):
            raise read.wrong(path, "", "is not a JSON object, expected one result after another", line=line)
        yield document, line
        line += text.count("\n", at, end)
        at = end


class _Reader:
    """The fields of one JSON document, with the error of each."""

    def __init__(self, document: Mapping[str, Any], path: Path, line: int) -> None:
        self.document, self.path, self.line = document, path, line

    def wrong(self, name: str, message: str) -> WrongInput:
        return read.wrong(self.path, name, message, line=self.line)

    def number(self, name: str, *, least: float = 0.0) -> float | None:
        """A finite number of at least `least`; None where it is absent or null."""
        return self.as_number(name, self.document.get(name), least=least)

    def as_number(self, name: str, value: Any, *, least: float = 0.0) -> float | None:
        if value is None:
            return None
        try:
            found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        except OverflowError:
            found = math.inf
        if not least <= found < math.inf:
            raise self.wrong(name, f"expected a number of at least {least:g}, got {repr(value)[:SHOWN]}")
        return found

    def whole(self, name: str) -> int | None:
        found = self.number(name)
        return None if found is None else round(found)

    def times(self, *stems: str) -> Times:
        """Mean, median and percentiles of a latency by the stem of its names."""
        values: dict[str, float | None] = {}
        for key in ("mean", "median", "p90", "p99"):
            values[key] = next((found for stem in stems if (found := self.number(f"{key}_{stem}")) is not None), None)
        return Times(**values)


def _of_bench(document: Mapping[str, Any], tool: str, path: Path, line: int) -> Run:
    """A run of `vllm bench serve` or of SGLang's `bench_serving`."""
    get = _Reader(document, path, line)
    completed = get.whole("completed") or 0
    asked = get.whole("num_prompts")
    failed = get.whole("failed")
    failed = failed if failed is not None else max((asked or completed) - completed, 0)
    _measured(completed, asked, path, line)
    duration = get.number("duration")
    rate = document.get("request_rate")
    infinite = rate == math.inf or (isinstance(rate, str) and rate.lower() in ("inf", "infinity"))
    lengths = (get.number("total_input_tokens"), get.number("total_output_tokens"))
    clients = get.whole("max_concurrency")
    run = Run(
        tool=tool,
        line=line,
        completed=completed,
        failed=failed,
        duration_s=duration,
        request_rate=math.inf if infinite else get.number("request_rate"),
        max_concurrency=clients if clients else None,
        in_flight=get.number("concurrency"),
        input_len=None if lengths[0] is None else lengths[0] / completed,
        output_len=None if lengths[1] is None else lengths[1] / completed,
        requests_per_s=get.number("request_throughput"),
        output_tokens_per_s=get.number("output_throughput"),
        ttft_ms=get.times("ttft_ms"),
        tpot_ms=get.times("tpot_ms"),
        latency_ms=get.times("e2el_ms", "e2e_latency_ms"),
        said=_said_in(document, tool, path, line),
    )
    return _checked(run, path)


def _measured(completed: int, asked: int | None, path: Path, line: int) -> None:
    """Refuse a run in which no request came back. Raises WrongInput."""
    if completed < 1:
        of = f" of {asked:,}" if asked else ""
        raise read.wrong(path, "completed", f"no request{of} came back: the run measured nothing", line=line)


def _said_in(document: Mapping[str, Any], tool: str, path: Path, line: int) -> dict[str, str]:
    """What a result says of what ran: the model, the engine, metadata that has names of the form."""
    said: dict[str, str] = {}
    for name in SAID:
        value = document.get(name)
        if name in (*MEASURED, "date", "model") or value is None or isinstance(value, bool | dict | list):
            continue
        said[name] = str(value)[:SHOWN]
    model = document.get("model_id") or document.get("model")
    if isinstance(model, str):
        said["model"] = model[:256]
    backend = str(document.get("backend") or document.get("endpoint_type") or "").lower()
    engine = next((ENGINES[name] for name in ENGINES if backend.startswith(name)), None)
    if engine is not None:
        said.setdefault("engine", engine)
    date = re.match(r"(20[0-9]{2})-?([0-9]{2})-?([0-9]{2})", str(document.get("date") or ""))
    if date:
        said["date"] = "-".join(date.groups())
    info = document.get("server_info")
    if tool == "sglang" and isinstance(info, dict):
        said |= _of_server(info, path, line)
    return said


def _of_server(info: Mapping[str, Any], path: Path, line: int) -> dict[str, str]:
    """What SGLang's server said of itself when it was asked."""
    from clustercast.studies.launch import commands, sglang
    from clustercast.studies.launch.arguments import Options

    known = ("model_path", "tp_size", "pp_size", "dp_size", "ep_size", "enable_dp_attention", "moe_a2a_backend",
             "quantization", "kv_cache_dtype", "speculative_algorithm", "speculative_num_steps")  # fmt: skip
    told = {name: info[name] for name in known if isinstance(info.get(name), str | int | bool)}
    try:
        options = Options(commands.as_words(told, line), path)
        launch = sglang.launch_of(options, commands.Command((), line, None, 0, {}), path, None, [])
    except ClustercastError:
        return {}
    return cells_of(launch)


def _checked(run: Run, path: Path) -> Run:
    """The run with its load, once its figures agree with one another. Raises WrongInput where they cannot."""
    if run.duration_s and run.requests_per_s:
        counted = run.completed / run.duration_s
        if abs(run.requests_per_s / counted - 1.0) > CLOSE:
            message = (
                f"{run.completed:,} requests in {run.duration_s:g} s are {counted:.4g} requests/s, and it says "
                f"{run.requests_per_s:.4g}: check the units"
            )
            raise read.wrong(path, "request_throughput", message, line=run.line)
    latency_ms = run.latency_ms.mean
    if latency_ms is None and run.ttft_ms.mean is not None and run.tpot_ms.mean is not None and run.output_len:
        latency_ms = run.ttft_ms.mean + run.tpot_ms.mean * max(run.output_len - 1.0, 0.0)
    rate = run.requests_per_s or (run.completed / run.duration_s if run.duration_s else None)
    if latency_ms is None or rate is None:
        return run
    in_flight = rate * 1e-3 * latency_ms
    most = min(run.max_concurrency or run.completed, run.completed)
    if in_flight > SLIP * most:
        message = f"times of {latency_ms:,.0f} ms are {in_flight:,.0f} requests in flight of at most {most:,}"
        raise read.wrong(path, "", f"{message}: check the units", line=run.line)
    at_once = run.request_rate == math.inf
    if at_once and in_flight * SLIP < most and run.completed >= most and run.duration_s:
        message = f"times of {latency_ms:.4g} ms are {in_flight:.3g} requests in flight where {most:,} were asked for"
        raise read.wrong(path, "mean_ttft_ms", f"{message}: are they seconds?", line=run.line)
    return replace(run, in_flight=run.in_flight if run.in_flight is not None else in_flight)


# -- AIPerf and GenAI-Perf

AIPERF_TIMES: Final = {
    "ttft_ms": "time_to_first_token",
    "tpot_ms": "inter_token_latency",
    "latency_ms": "request_latency",
}
COLUMN_NAMES: Final = {
    "time to first token": "time_to_first_token",
    "inter token latency": "inter_token_latency",
    "request latency": "request_latency",
    "input sequence length": "input_sequence_length",
    "num input token": "input_sequence_length",
    "output sequence length": "output_sequence_length",
    "num output token": "output_sequence_length",
    "output token throughput": "output_token_throughput",
    "request throughput": "request_throughput",
    "request count": "request_count",
    "error request count": "error_request_count",
    "benchmark duration": "benchmark_duration",
}
_COLUMN: Final = re.compile(r"\s*([A-Za-z ]{1,64}?)\s*(?:\(([^()]{1,32})\))?\s*")
STATISTICS: Final = {"mean": "avg", "median": "p50", "p90": "p90", "p99": "p99"}
MOST_DEPTH: Final = 6


def _of_aiperf(document: Mapping[str, Any], path: Path, line: int) -> Run:
    """A run of AIPerf or GenAI-Perf from its JSON summary."""
    records = document.get("records")
    inner = records if isinstance(records, dict) else document
    get = _Reader(inner, path, line)

    def statistic(metric: str, name: str) -> float | None:
        found = inner.get(metric)
        return get.as_number(f"{metric}.{name}", found.get(name)) if isinstance(found, dict) else None

    def seconds_factor(metric: str, default: str) -> float:
        found = inner.get(metric)
        unit = str(found.get("unit") or default).lower() if isinstance(found, dict) else default
        if unit not in UNITS_MS:
            raise get.wrong(f"{metric}.unit", f"expected a unit of time like ms, got {unit[:SHOWN]!r}")
        return UNITS_MS[unit]

    def times(metric: str) -> Times:
        factor = seconds_factor(metric, "ms")
        values = {key: statistic(metric, name) for key, name in STATISTICS.items()}
        return Times(**{key: None if value is None else value * factor for key, value in values.items()})

    completed = round(statistic("request_count", "avg") or statistic("request_latency", "count") or 0.0)
    failed = round(statistic("error_request_count", "avg") or 0.0)
    if "request_count" not in inner and not completed:
        completed = 1  # some versions leave the count out: what they print of times came from somewhere
    _measured(completed, completed + failed, path, line)
    duration = statistic("benchmark_duration", "avg")
    config = document.get("input_config")
    clients = _number_in(config, "concurrency")
    rate = _number_in(config, "request_rate")
    run = Run(
        tool="aiperf",
        line=line,
        completed=completed,
        failed=failed,
        duration_s=None if duration is None else duration * seconds_factor("benchmark_duration", "sec") / 1e3,
        request_rate=rate,
        max_concurrency=None if clients is None or clients < 1 else round(clients),
        in_flight=None,
        input_len=statistic("input_sequence_length", "avg"),
        output_len=statistic("output_sequence_length", "avg"),
        requests_per_s=statistic("request_throughput", "avg"),
        output_tokens_per_s=statistic("output_token_throughput", "avg"),
        ttft_ms=times("time_to_first_token"),
        tpot_ms=times("inter_token_latency"),
        latency_ms=times("request_latency"),
        said=_model_in(config) | _date_of(document.get("start_time")),
        notes=("the run was cancelled",) if document.get("was_cancelled") is True else (),
    )
    return _checked(run, path)


def _walk(config: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The fields of a nested configuration, outer ones first."""
    if isinstance(config, dict) and depth < MOST_DEPTH:
        yield from ((str(key), value) for key, value in config.items())
        for value in config.values():
            yield from _walk(value, depth + 1)


def _number_in(config: Any, name: str) -> float | None:
    """The first number of that name in a configuration."""
    for key, value in _walk(config):
        if key == name and isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LARGEST:
            return float(value)
    return None


def _model_in(config: Any) -> dict[str, str]:
    """The model that a configuration names."""
    for key, value in _walk(config):
        names = value if isinstance(value, list) else [value]
        if key in ("model_names", "models", "model") and names and isinstance(names[0], str):
            return {"model": names[0][:256]}
        if key == "items" and names and isinstance(names[0], dict) and isinstance(names[0].get("name"), str):
            return {"model": names[0]["name"][:256]}
    return {}


def _date_of(value: Any) -> dict[str, str]:
    found = re.match(r"(20[0-9]{2})-?([0-9]{2})-?([0-9]{2})", str(value or ""))
    return {"date": "-".join(found.groups())} if found else {}


def _of_csv(text: str, path: Path) -> Run:
    """A run of AIPerf or GenAI-Perf from its CSV summary: tables one after another, each with a header."""
    document: dict[str, Any] = {}
    header: list[str] = []
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""))
    try:
        for cells in reader:
            if reader.line_num > MOST_LINES:
                raise read.wrong(path, "", f"is longer than {MOST_LINES:,} lines", line=reader.line_num)
            first = cells[0].strip() if cells else ""
            if first == "Metric":
                header = ["avg" if cell.strip() == "Value" else cell.strip() for cell in cells[1:]]
                continue
            named = _COLUMN.fullmatch(first)
            known = COLUMN_NAMES.get(named[1].lower()) if named else None
            if known is None or named is None or known in document or "GPU" in header:
                continue
            document[known] = {"unit": named[2]} | _numbers(header, cells[1:], first, path, reader.line_num)
    except csv.Error as error:
        raise read.wrong(path, "", f"is no CSV: {error}", line=reader.line_num) from None
    if "time_to_first_token" not in document and "request_latency" not in document:
        raise read.wrong(path, "", "is no summary of AIPerf: it has no times")
    return _of_aiperf(document, path, 1)


def _numbers(header: Sequence[str], cells: Sequence[str], metric: str, path: Path, line: int) -> dict[str, float]:
    """The numbers of a line by the header's names; thousands may have commas between them."""
    found = {}
    for name, cell in zip(header, cells, strict=False):
        text = cell.strip().replace(",", "")
        if not text or text.lower() in ("n/a", "nan", "none"):
            continue
        if re.fullmatch(r"[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?", text) is None:
            raise read.wrong(path, metric[:SHOWN], f"{name}: expected a number, got {cell[:SHOWN]!r}", line=line)
        found[name] = float(text)
    return found


# -- what a launch file says


def cells_of(launch: ServingLaunch) -> dict[str, str]:
    """What a launch file says, as cells of the serving form."""
    cells: dict[str, str] = {}
    cells |= {name: str(launch.plan[name]) for name in ("tp", "pp", "attention_dp") if name in launch.plan}
    if launch.plan.get("ep", 1) * launch.plan.get("etp", 1) > 1:
        cells |= {"ep": str(launch.plan["ep"]), "moe_tp": str(launch.plan["etp"])}
    if launch.n_chips is not None:
        cells["n_chips"] = str(launch.n_chips)
    if launch.model is not None:
        cells["model"] = launch.model if isinstance(launch.model, str) else launch.model.file
    cells["engine"] = launch.engine or {"tensorrt-llm": "trtllm"}.get(launch.tool, launch.tool)
    precision = launch.precision
    if precision is None and isinstance(launch.model, str):
        precision = checkpoints.published_in(launch.model)
    if precision is not None:
        weight, expert, cache = constants.recipe(precision).parts
        cells |= {"weight_dtype": weight, "moe_dtype": expert, "kv_dtype": launch.kv_precision or cache}
    elif launch.kv_precision is not None:
        cells["kv_dtype"] = launch.kv_precision
    if launch.n_drafts:
        cells["mtp"] = "yes"
    return cells
