"""Results of serving benchmarks: each tool's figures become the rows that they mean, and what cannot be is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from serving_launches import file_in

import clustercast
from clustercast.errors import ClustercastError, WrongInput
from clustercast.studies.calibrate import files, serving
from clustercast.studies.logs import results
from clustercast.studies.logs.benchmarks import is_result, runs_of
from clustercast.studies.logs.results import given_of, record_file
from clustercast.studies.record import serving as record

HERE = Path("result.json")

# vllm-project/recipes Qwen/Qwen3-Coder-480B-A35B.md at 0205f53: the figures that it prints, under the names that
# `vllm bench serve --save-result` has for them (vllm-project/vllm vllm/benchmarks/serve.py at 009e6d4)
VLLM: dict[str, Any] = {
    "date": "20250815-120000", "endpoint_type": "vllm", "backend": "vllm", "label": None,
    "model_id": "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "num_prompts": 100, "request_rate": "inf",
    "burstiness": 1.0, "max_concurrency": 10, "duration": 776.49, "completed": 100, "failed": 0,
    "total_input_tokens": 204169, "total_output_tokens": 102400, "request_throughput": 0.13,
    "output_throughput": 131.88, "total_token_throughput": 394.81, "mean_ttft_ms": 7639.31, "median_ttft_ms": 6935.71,
    "p99_ttft_ms": 13766.68, "mean_tpot_ms": 68.43, "median_tpot_ms": 67.23, "p99_tpot_ms": 72.14,
    "mean_itl_ms": 68.43, "median_itl_ms": 66.34, "p99_itl_ms": 69.38,
}  # fmt: skip
# the names of sgl-project/sglang python/sglang/bench_serving.py; figures of one's own
SGLANG: dict[str, Any] = {
    "backend": "sglang", "dataset_name": "random", "request_rate": float("inf"), "max_concurrency": 16,
    "random_input_len": 1024, "random_output_len": 256, "random_range_ratio": 1.0, "duration": 100.0, "completed": 160,
    "total_input_tokens": 163840, "total_output_tokens": 40960, "total_output_tokens_retokenized": 40900,
    "request_throughput": 1.6, "input_throughput": 1638.4, "output_throughput": 409.6, "mean_e2e_latency_ms": 9900.0,
    "median_e2e_latency_ms": 9800.0, "mean_ttft_ms": 210.0, "median_ttft_ms": 200.0, "p99_ttft_ms": 400.0,
    "mean_tpot_ms": 38.0, "median_tpot_ms": 37.9, "p99_tpot_ms": 41.0, "mean_itl_ms": 38.0, "median_itl_ms": 37.0,
    "p99_itl_ms": 60.0, "concurrency": 15.84, "accept_length": None,
    "server_info": {"model_path": "meta-llama/Llama-3.1-70B-Instruct", "tp_size": 4, "dp_size": 1, "pp_size": 1,
                    "kv_cache_dtype": "fp8_e5m2", "enable_dp_attention": False},
}  # fmt: skip
AIPERF: dict[str, Any] = {
    "request_throughput": {"unit": "requests/sec", "avg": 0.8233},
    "request_latency": {"unit": "ms", "avg": 2413.5, "p50": 2431.75, "p99": 2439.45, "count": 10},
    "request_count": {"unit": "requests", "avg": 10.0},
    "time_to_first_token": {"unit": "sec", "avg": 0.19584, "p50": 0.17505, "p99": 0.25345},
    "inter_token_latency": {"unit": "ms", "avg": 35.2, "p50": 34.73, "p99": 35.96},
    "output_token_throughput": {"unit": "tokens/sec", "avg": 52.69},
    "output_sequence_length": {"unit": "tokens", "avg": 64.0},
    "input_sequence_length": {"unit": "tokens", "avg": 256.0},
    "benchmark_duration": {"unit": "sec", "avg": 12.14},
    "start_time": "2026-06-13T05:11:41.465270",
    "input_config": {"endpoint": {"model_names": ["Qwen/Qwen3-8B"]}, "loadgen": {"concurrency": 2}},
}
AIPERF_CSV = (
    "Metric,avg,min,max,p99,p95,p90,p75,p50,p25\r\n"
    'Time To First Token (ms),"1,146.31",249.48,"3,485.23","3,457.97",1,1,1,640.07,286.52\r\n'
    'Request Latency (ms),"6,406.20","5,371.47","9,608.72","9,436.13",1,1,1,"5,690.23",1.0\r\n'
    "Inter Token Latency (ms),30.35,27.59,35.60,35.23,33.88,32.53,31.05,30.13,29.04\r\n"
    "Output Sequence Length (tokens),174.45,164.00,187.00,186.22,183.10,180.10,177.00,174.00,171.75\r\n"
    'Input Sequence Length (tokens),"3,000.05","2,999.00",1,1,1,1,1,1,1\r\n'
    "\r\nMetric,Value\r\nOutput Token Throughput (per sec),261.25\r\nRequest Throughput (per sec),1.50\r\n"
    "Request Count (count),40.00\r\n\r\nMetric,GPU,avg\r\nRequest Latency (ms),0,1\r\n"
)
CHIP = given_of(["chip=h200", "n_chips=8", "engine=vllm"])


def rows(document: Any, given: results.Given = CHIP) -> dict[str, dict[str, str]]:
    """The rows of a result by their metric."""
    text = document if isinstance(document, str) else json.dumps(document)
    return {row.cells["metric"]: row.cells for row in record_file(HERE, text, given).rows}


def test_a_vllm_result_becomes_rows_of_its_means() -> None:
    found = rows(VLLM)
    assert list(found) == ["ttft_ms", "tpot_ms", "output_tokens_per_s"]
    first = found["ttft_ms"]
    assert (first["value"], first["complete"], first["concurrency"], first["n_waves"]) == ("7639.31", "yes", "10", "10")
    assert (first["model"], first["weight_dtype"]) == ("qwen3-coder-480b-a35b", "fp8_block")
    assert (first["input_len"], first["output_len"], first["date"]) == ("2042", "1024", "2025-08-15")
    assert first["notes"].endswith("median 6935.7, p99 13767")
    assert found["output_tokens_per_s"]["complete"] == "partly"


def test_requests_of_each_client_reach_the_model() -> None:
    assert record.case_of(rows(VLLM)["ttft_ms"]).job.n_waves == 10.0
    assert (
        record.case_of(
            rows(VLLM | {"num_prompts": 20, "completed": 20, "duration": 155.3}, CHIP)["ttft_ms"]
        ).job.n_waves
        == 2.0
    )


def test_a_sglang_result_says_what_its_server_was() -> None:
    first = rows(SGLANG, given_of(["chip=h100"]))["tpot_ms"]
    assert (first["model"], first["tp"], first["n_chips"], first["kv_dtype"]) == ("llama-3.1-70b", "4", "4", "fp8")
    assert (first["engine"], first["concurrency"], first["value"]) == ("sglang", "16", "38")


def test_an_aiperf_summary_is_read_in_its_units() -> None:
    found = rows(AIPERF)
    assert (found["ttft_ms"]["value"], found["ttft_ms"]["concurrency"]) == ("195.84", "2")
    assert (found["tpot_ms"]["value"], found["tpot_ms"]["model"]) == ("35.2", "qwen3-8b")
    older = {name: each for name, each in AIPERF.items() if name not in ("input_config", "start_time")}
    inside = rows({"records": older, "input_config": AIPERF["input_config"], "start_time": AIPERF["start_time"]})
    assert inside == found


def test_an_aiperf_table_is_read_and_asks_for_what_it_does_not_say() -> None:
    given = given_of(["chip=h100", "n_chips=1", "engine=trtllm", "model=llama-3.1-8b"])
    found = rows(AIPERF_CSV, given)
    assert (found["ttft_ms"]["value"], found["tpot_ms"]["value"]) == ("1146.31", "30.35")
    assert found["ttft_ms"]["complete"] == "partly"
    assert "how requests came is not said: give concurrency=N" in found["ttft_ms"]["notes"]
    said = given_of(["chip=h100", "n_chips=1", "engine=trtllm", "model=llama-3.1-8b", "concurrency=10"])
    assert rows(AIPERF_CSV, said)["ttft_ms"]["complete"] == "yes"


def test_runs_one_after_another_are_all_read_with_their_lines() -> None:
    text = json.dumps(VLLM) + "\n" + json.dumps(SGLANG) + "\n\n" + json.dumps(AIPERF, indent=1)
    assert [(run.tool, run.line) for run in runs_of(text, HERE)] == [("vllm", 1), ("sglang", 2), ("aiperf", 4)]


@pytest.mark.parametrize(
    ("changes", "concurrency", "complete", "named"),
    [
        ({"max_concurrency": None}, "100", "yes", ""),
        ({"max_concurrency": 500}, "100", "yes", ""),
        ({"request_rate": 0.13}, "10", "yes", ""),
        ({"request_rate": 0.13, "max_concurrency": None}, "10", "partly", "requests came at 0.13/s"),
        ({"failed": 30}, "10", "partly", "30 of 130 requests failed"),
        ({"mean_ttft_ms": None}, "10", "partly", "the median, not the mean"),
    ],
)
def test_how_requests_came_decides_whether_a_row_is_judged(
    changes: dict[str, Any], concurrency: str, complete: str, named: str
) -> None:
    duration = {"duration": 7764.9 / 100, "request_throughput": 1.3, "output_throughput": 1318.8}
    at_once = changes.get("max_concurrency", 10) != 10 and "request_rate" not in changes
    first = rows(VLLM | (duration if at_once else {}) | changes)["ttft_ms"]
    assert (first["concurrency"], first["complete"]) == (concurrency, complete)
    assert named in first["notes"]


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (VLLM | {"completed": 0}, "result.json:1: completed: no request of 100 came back: the run measured nothing"),
        (VLLM | {"mean_ttft_ms": 7.639, "mean_tpot_ms": 0.06843}, "are they seconds?"),
        (VLLM | {"duration": 776490.0}, "check the units"),
        (VLLM | {"mean_ttft_ms": "fast"}, "mean_ttft_ms: expected a number of at least 0, got 'fast'"),
        (VLLM | {"mean_ttft_ms": -1}, "mean_ttft_ms: expected a number of at least 0, got -1"),
        (VLLM | {"completed": True}, "completed: expected a number"),
        (AIPERF | {"time_to_first_token": {"unit": "furlongs", "avg": 1.0}}, "expected a unit of time like ms"),
        (VLLM | {"chip": "h100"}, "--given says chip 'h200', result.json:1 says 'h100'"),
        (VLLM | {"tp": "eight"}, "tp: expected a whole number, got 'eight'"),
        ('{"completed": 8, "mean_ttft_ms": 1', "result.json:1: is not JSON: expecting ',' delimiter"),
        (json.dumps(VLLM) + "\n[1]", "result.json:2: is not a JSON object"),
        (json.dumps(VLLM) + '\n{"a": 1}', "result.json:2: is no result of a serving benchmark"),
        (
            "Metric,avg\nTime To First Token (ms),soon\n",
            "result.json:2: Time To First Token (ms): avg: expected a number",
        ),
        ("Metric,avg\nPower (W),700\n", "is no summary of AIPerf: it has no times"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(document: Any, named: str) -> None:
    with pytest.raises(WrongInput) as caught:
        rows(document)
    assert named in caught.value.message


def test_what_nobody_says_is_asked_for() -> None:
    with pytest.raises(WrongInput, match=r"result\.json:1: does not say chip, n_chips") as caught:
        rows(VLLM, results.NOTHING)
    assert caught.value.hint == "--given chip=h100 --given n_chips=8, or --launch FILE"


def test_check_asks_for_it_by_its_own_options() -> None:
    with pytest.raises(WrongInput) as caught:
        rows(VLLM, results.given_of(chip="h100")._replace(by_option=True))
    assert caught.value.hint == "--count 8, or --launch FILE"


def test_a_launch_file_says_the_layout_and_must_agree(tmp_path: Path) -> None:
    text = "vllm serve Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8 --enable-expert-parallel --data-parallel-size 8\n"
    path = file_in(tmp_path, "launch.sh", text)
    first = rows(VLLM, given_of(["chip=h20"], path))["tpot_ms"]
    assert [first[name] for name in ("tp", "attention_dp", "ep", "moe_tp", "n_chips")] == ["1", "8", "8", "1", "8"]
    with pytest.raises(WrongInput, match=r"--given says tp '2', .*launch.sh says '1': they contradict one another"):
        rows(VLLM, given_of(["chip=h20", "tp=2"], path))


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        (["chips=h100"], "expected COLUMN=VALUE, got 'chips=h100'"),
        (["chip"], "expected COLUMN=VALUE"),
        (["tp=8", "tp=4"], "tp is given twice"),
    ],
)
def test_what_is_given_must_be_columns(pairs: list[str], named: str) -> None:
    with pytest.raises(WrongInput, match=named):
        given_of(pairs)


def test_validate_and_calibrate_take_results_as_they_are(tmp_path: Path) -> None:
    path = file_in(tmp_path, "result.json", json.dumps(VLLM))
    found = clustercast.validate(path, given=["chip=h200", "n_chips=8", "attention_dp=8", "tp=1", "ep=8"])
    assert [row.status for row in found.rows] == ["ok", "ok", "context"]
    assert all(row.estimated for row in found.rows)
    many = "\n".join(json.dumps(_run(clients)) for clients in (1, 4, 8, 16, 32, 64))
    source = files.source(file_in(tmp_path, "runs.jsonl", many), given_of(["tp=8", "ep=8"], chip="h200"))
    points, remarks = serving.points(source, "h200", None)
    assert (len(points), points[-1].where, points[0].engine) == (12, "runs.jsonl:6", "vllm")
    assert remarks == ["runs.jsonl: 6 rows left out: not complete"]
    with pytest.raises(WrongInput, match="--given and --launch speak of results"):
        clustercast.calibrate(_steps(tmp_path), given=["tp=8"], output=tmp_path / "none.yaml")


def _run(clients: int) -> dict[str, Any]:
    """A run of so many clients, consistent in itself."""
    ttft, tpot, waves = 150.0 + 8.0 * clients, 20.0 + 0.4 * clients, 10
    seconds = waves * (ttft + 1023 * tpot) / 1e3
    n = clients * waves
    return VLLM | {
        "max_concurrency": clients, "completed": n, "num_prompts": n, "duration": seconds, "mean_ttft_ms": ttft,
        "mean_tpot_ms": tpot, "request_throughput": n / seconds, "output_throughput": 1024 * n / seconds,
        "total_input_tokens": 2048 * n, "total_output_tokens": 1024 * n,
    }  # fmt: skip


def _steps(folder: Path) -> Path:
    header = "id,chip,n_chips,layers,hidden,heads,seq_len,global_batch,metric,value,complete\n"
    return file_in(folder, "steps.csv", header + "a,h100,8,32,4096,32,4096,64,iteration_s,9,yes\n")


def test_a_file_of_neither_kind_is_told_so_as_before(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="neither form of measurements"):
        clustercast.validate(file_in(tmp_path, "x.json", '{"a": 1}'))
    with pytest.raises(WrongInput, match="is no result of a benchmark: --given and --launch speak of those alone"):
        clustercast.validate(_steps(tmp_path), given=["tp=8"])
    with pytest.raises(WrongInput, match="there is no such file"):
        clustercast.validate(tmp_path / "missing.json")


NAMES = st.sampled_from([*VLLM, *SGLANG, *AIPERF, "records", "avg", "unit", "p50"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**6), 10**400), st.floats(), st.text(max_size=20),
    st.sampled_from(["inf", "h100", "vllm", "ms", "\x1b[31m", "=1+1"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=6
)
DOCUMENTS = st.tuples(st.sampled_from([VLLM, SGLANG, AIPERF]), st.dictionaries(NAMES, VALUES, max_size=4)).map(
    lambda pair: json.dumps(pair[0] | pair[1])
)
TEXTS = st.one_of(
    DOCUMENTS,
    st.lists(DOCUMENTS, max_size=2).map("\n".join),
    st.tuples(DOCUMENTS, st.integers(0, 2000)).map(lambda pair: pair[0][: pair[1]]),
    st.tuples(st.just(AIPERF_CSV), st.integers(0, 900), st.text(max_size=20)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + 5 :]
    ),
    st.text(max_size=200),
)
EVERYTHING = given_of(["chip=h200", "n_chips=8", "engine=vllm", "model=llama-3.1-8b", "input_len=64", "output_len=8"])


@pytest.mark.slow
@drawn(text=TEXTS, given=st.sampled_from([results.NOTHING, CHIP, EVERYTHING]))
def test_any_text_is_read_or_refused_in_one_line(text: str, given: results.Given) -> None:
    is_result(text)
    message = _told(text, given)
    assert message.isprintable()


def _told(text: str, given: results.Given) -> str:
    try:
        record_file(HERE, text, given)
    except ClustercastError as error:
        return error.message
    return ""
