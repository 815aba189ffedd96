"""Published serving rows as questions: what is taken where a row is silent, and that every row has its outcome."""

import csv
import math
import statistics
from pathlib import Path

import pytest

from clustercast.studies.record import serving as record
from clustercast.studies.record.outcome import CONTEXT, OK, UNSUPPORTED, Answer

RECORD = Path(__file__).parents[3] / "bench/record/serving.csv"
ROW = {
    "id": "a",
    "source": "somewhere",
    "date": "2026-01",
    "chip": "h100-sxm5-80gb",
    "n_chips": "8",
    "mode": "agg",
    "engine": "vllm",
    "model": "llama-3.1-70b",
    "weight_dtype": "fp8",
    "tp": "8",
    "pp": "1",
    "attention_dp": "1",
    "concurrency": "16",
    "input_len": "1024",
    "output_len": "512",
    "metric": "tpot_ms",
    "value": "12",
    "complete": "yes",
}
MIXTURE = ROW | {"model": "deepseek-v3", "chip": "h200-sxm-141gb", "weight_dtype": "fp8_block"}
POOLS = MIXTURE | {"mode": "disagg", "tp": "", "pp": "", "attention_dp": "", "n_chips": "48", "concurrency": "512"}
POOLS |= {"prefill_workers": "4", "prefill_tp": "8", "prefill_pp": "1", "prefill_attention_dp": "1", "prefill_ep": "8"}
POOLS |= {"decode_workers": "1", "decode_tp": "1", "decode_pp": "1", "decode_attention_dp": "16", "decode_ep": "16"}


def answered(row: dict[str, str]) -> Answer:
    found = record.outcome(row)
    assert found.answer is not None, found.why
    return found.answer


def estimated(row: dict[str, str], metric: str) -> float:
    return answered(row | {"metric": metric}).estimated


def rows() -> list[dict[str, str]]:
    with RECORD.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_row_of_the_record_is_answered() -> None:
    found = [record.outcome(row) for row in rows()]
    complete = [each for each in found if each.status != CONTEXT]
    assert len(complete) > 100
    assert sum(each.status == OK for each in complete) >= 0.97 * len(complete)
    for each in found:
        if each.answer is not None:
            assert 0.0 < each.answer.low <= each.answer.estimated <= each.answer.high < math.inf


@pytest.mark.parametrize(("metric", "most"), [("tpot_ms", 0.2), ("ttft_ms", 0.4), ("total_tokens_per_s", 0.35)])
def test_the_record_stays_inside_the_error_that_is_published(metric: str, most: float) -> None:
    errors = []
    for row in rows():
        found = record.outcome(row)
        if found.status == OK and found.metric == metric and row["mode"] == "agg" and row["chip"] != "mi300x":
            assert found.error is not None
            errors.append(abs(found.error))
    assert len(errors) > 20
    assert statistics.median(errors) <= most


@pytest.mark.parametrize("metric", record.METRICS)
def test_every_metric_has_an_answer(metric: str) -> None:
    for row in (ROW, MIXTURE, POOLS):
        assert 0.0 < estimated(row, metric) < math.inf


def test_rates_of_one_run_agree() -> None:
    output = estimated(ROW, "output_tokens_per_s")
    assert estimated(ROW, "total_tokens_per_s") == pytest.approx(3.0 * output)
    assert estimated(ROW, "output_tokens_per_s_per_chip") == pytest.approx(output / 8.0)
    assert estimated(ROW, "request_latency_ms") == pytest.approx(1e3 * 16 * 512 / output)


def test_terms_of_a_token_add_up() -> None:
    answer = answered(ROW)
    assert sum(answer.terms.values()) == pytest.approx(answer.estimated / 1e3)
    assert (answer.kind, answer.size, answer.evidence) == ("dense", "up to 8 chips", "measured chip")
    assert answer.setup["engine"] == "vllm"
    assert answer.setup["plan"] == "tp=8"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, OK),
        ({"complete": "partly"}, CONTEXT),
        ({"value": ""}, UNSUPPORTED),
        ({"value": "fast"}, UNSUPPORTED),
        ({"metric": "speed"}, UNSUPPORTED),
        ({"chip": ""}, UNSUPPORTED),
        ({"chip": "no such chip"}, UNSUPPORTED),
        ({"model": "no-such-model"}, UNSUPPORTED),
        ({"concurrency": "many"}, UNSUPPORTED),
        ({"weight_dtype": "fp3"}, UNSUPPORTED),
    ],
)
def test_a_row_has_its_status_and_never_raises(change: dict[str, str], status: str) -> None:
    found = record.outcome(ROW | change)
    assert found.status == status
    assert bool(found.why) == (status != OK)


def test_an_empty_row_is_unsupported() -> None:
    assert record.outcome({"complete": "yes"}).status == UNSUPPORTED


def test_what_a_row_leaves_open_has_a_default() -> None:
    silent = {name: text for name, text in ROW.items() if name not in ("tp", "pp", "attention_dp", "concurrency")}
    case = record.case_of(silent | {"weight_dtype": ""})
    assert case.plan.tp == 8
    assert case.job.batch > 16.0
    assert "concurrency is not stated" in case.said[-1]
    assert case.precision == "bf16, bf16 cache"
    assert record.case_of(MIXTURE | {"weight_dtype": ""}).precision == "fp8_block, fp8 cache"


def test_an_unknown_engine_is_said_and_widens_the_interval() -> None:
    known, unknown = answered(ROW), answered(ROW | {"engine": "homemade"})
    assert "homemade" in unknown.setup["said"]
    assert "said" not in known.setup
    assert unknown.high / unknown.low > known.high / known.low


def test_a_chip_without_fp8_reads_small_weights_and_computes_in_16_bit() -> None:
    fp8, bf16 = (answered(ROW | {"chip": "a100-sxm4-80gb", "weight_dtype": each}) for each in ("fp8", "bf16"))
    assert "has no fp8" in fp8.setup["said"]
    assert fp8.estimated < bf16.estimated
    assert estimated(ROW | {"chip": "a100-sxm4-80gb", "weight_dtype": "fp8"}, "ttft_ms") >= estimated(
        ROW | {"chip": "a100-sxm4-80gb", "weight_dtype": "bf16"}, "ttft_ms"
    )


def test_formats_of_weights_and_experts_combine() -> None:
    both = record.case_of(MIXTURE | {"weight_dtype": "bf16", "moe_dtype": "mxfp4_weight_only"}).setting.precision
    assert (both.weight_bytes, both.expert_weight_bytes, both.kv_bytes) == (2.0, 0.53, 2.0)


def test_what_does_not_fit_is_served_in_turns() -> None:
    crowded = ROW | {"chip": "l40s-48gb", "n_chips": "1", "tp": "1", "concurrency": "64"}
    case = record.case_of(crowded)
    assert 0.9 < record.LOADS[case.load](case.setting, case.job, case.plan).in_flight <= 1.0
    assert estimated(crowded, "ttft_ms") > 60 * 512 * estimated(crowded, "tpot_ms")


def test_guessed_tokens_are_an_input() -> None:
    assert estimated(MIXTURE | {"mtp": "likely"}, "tpot_ms") < estimated(MIXTURE | {"mtp": "unknown"}, "tpot_ms")
    assert record.case_of(MIXTURE | {"notes": "MTP 3, real dataset"}).job.n_drafts == 1.0
    assert record.case_of(MIXTURE | {"notes": "no MTP"}).job.n_drafts == 0.0


def test_pools_apart_are_two_workers() -> None:
    first = record.case_of(POOLS | {"metric": "ttft_ms"})
    then = record.case_of(POOLS | {"metric": "tpot_ms"})
    assert (first.load, first.plan.tp, first.job.batch) == ("prefill", 8, 128.0)
    assert (then.load, then.plan.attention_dp, then.job.batch) == ("decode", 16, 512.0)


def test_slices_too_thin_for_a_matmul_are_spread_instead() -> None:
    thin = record.case_of(POOLS | {"metric": "tpot_ms", "decode_ep": "1", "decode_moe_tp": "16"}).plan
    assert (thin.ep, thin.etp) == (16, 1)


@pytest.mark.parametrize(
    ("change", "load"),
    [
        ({}, "loop"),
        ({"metric": "total_tokens_per_s"}, "static"),
        ({"engine": "fastertransformer"}, "static"),
        ({"metric": "prefill_tokens_per_s_per_chip"}, "prefill"),
        ({"metric": "output_tokens_per_s_per_node"}, "decode"),
        ({"metric": "output_tokens_per_s_per_user"}, "loop"),
    ],
)
def test_how_a_figure_was_taken(change: dict[str, str], load: str) -> None:
    assert record.case_of(ROW | change).load == load


def test_a_wide_pool_of_experts_only_decodes() -> None:
    wide = MIXTURE | {"n_chips": "64", "tp": "1", "attention_dp": "64", "ep": "64", "metric": "output_tokens_per_s"}
    assert record.case_of(wide).load == "decode"
