"""`validate` judges every row once, in order, and its figures are what they say."""

import csv
import io
import json
import math
import statistics
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustercast
from clustercast.errors import WrongInput
from clustercast.report import json as plain
from clustercast.studies import validate as study
from clustercast.studies.record.outcome import CONTEXT, OK, UNSUPPORTED
from clustercast.studies.validate import Judged, group, quantile, study_weights, summary

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/validate.schema.json").read_text("utf-8"))

TRAINING = {
    "id": "T-1",
    "source": "a paper",
    "study": "Korthikanti et al. 2022",
    "date": "2022-05",
    "chip": "a100-sxm4-80gb",
    "n_chips": "8",
    "framework": "Megatron-LM",
    "layers": "48",
    "hidden": "6144",
    "heads": "64",
    "ffn": "24576",
    "vocab": "51200",
    "experts": "",
    "seq_len": "2048",
    "global_batch": "4",
    "micro_batch": "4",
    "TP": "8",
    "PP": "1",
    "DP": "1",
    "recompute": "full",
    "SP": "no",
    "precision": "fp16",
    "mlp": "plain",
    "metric": "iteration_s",
    "value": "1.42",
    "complete": "yes",
}
SERVING = {
    "id": "S-1",
    "source": "a page",
    "date": "2025-06",
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
    "output_len": "1024",
    "metric": "tpot_ms",
    "value": "12.5",
    "complete": "yes",
    "mtp": "",
}


def text_of(rows: list[dict[str, str]]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def file_of(folder: Path, *rows: dict[str, str], name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_text(text_of(list(rows)), encoding="utf-8")
    return path


def row(error: float | None, **changes: object) -> Judged:
    """A judged row of published 100 whose interval is ±20 %."""
    estimated = None if error is None else 100.0 * (1.0 + error)
    fields = {
        "id": "r",
        "metric": "tpot_ms",
        "published": 100.0,
        "estimated": estimated,
        "error": error,
        "low": None if estimated is None else 0.8 * estimated,
        "high": None if estimated is None else 1.2 * estimated,
        "evidence": None if error is None else "measured chip",
        "status": UNSUPPORTED if error is None else OK,
        "why": "" if error is not None else "no",
        "chip": "h100-sxm5-80gb",
        "source": "a",
        "size": "up to 8 chips",
        "kind": "dense",
        "form": "serving",
        "mode": "agg",
        "engine": "vllm",
        "mtp": "",
        "terms": {},
        "setup": {},
        "file": "f",
        "line": 2,
    }
    return Judged(**(fields | changes))  # type: ignore[arg-type]


def test_every_row_is_there_once_and_in_order(tmp_path: Path) -> None:
    rows = [TRAINING | {"id": f"T-{place}", "value": str(1 + place % 3)} for place in range(20)]
    found = clustercast.validate([file_of(tmp_path, *rows)])
    assert [each.id for each in found.rows] == [each["id"] for each in rows]
    assert [each.line for each in found.rows] == list(range(2, 22))


def test_the_error_is_in_the_unit_of_the_cell(tmp_path: Path) -> None:
    found = clustercast.validate(
        [file_of(tmp_path, TRAINING, TRAINING | {"id": "T-2", "metric": "tokens_per_s_per_gpu"})]
    )
    for each in found.rows:
        assert each.estimated is not None
        assert each.published is not None
        assert each.low is not None
        assert each.high is not None
        assert each.error == each.estimated / each.published - 1.0
        assert each.low < each.estimated < each.high
    seconds, rate = found.rows
    assert seconds.estimated is not None
    assert rate.estimated == pytest.approx(4 * 2048 / 8 / seconds.estimated)
    assert sum(seconds.terms.values()) == pytest.approx(seconds.estimated)


def test_a_row_that_is_not_complete_is_context_and_not_judged(tmp_path: Path) -> None:
    found = clustercast.validate([file_of(tmp_path, TRAINING, TRAINING | {"complete": "partly", "value": "9"})])
    assert [each.status for each in found.rows] == [OK, CONTEXT]
    assert found.rows[1].estimated == found.rows[0].estimated
    whole = found.group("all")
    assert whole is not None
    assert (whole.n, whole.n_ok, whole.n_context) == (1, 1, 1)
    assert whole.max_abs_error == abs(found.rows[0].error or 9.0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"chip": ""}, "chip is empty"),
        ({"chip": "h101"}, "unknown chip 'h101'"),
        ({"layers": "many"}, "layers: expected a whole number, got 'many'"),
        ({"layers": "-3"}, "layers: expected a whole number, got '-3'"),
        ({"TP": "0"}, "TP: expected 1 or more, got '0'"),
        ({"heads": ""}, "heads: not stated"),
        ({"value": ""}, "value: expected a positive number"),
        ({"value": "nan"}, "value: expected a number, got 'nan'"),
        ({"value": "1e300"}, "value: expected a number from 1e-09 to 1e+12, got '1e300'"),
        ({"value": "1e-300"}, "value: expected a number from 1e-09 to 1e+12, got '1e-300'"),
        ({"metric": "mfu"}, "metric 'mfu' is not a time or a rate"),
        ({"precision": "fp3"}, "precision: expected one of bf16, fp16, fp8, mxfp8, nvfp4, got 'fp3'"),
        ({"date": "May"}, "date: expected a year first, like 2024-05, got 'May'"),
        ({"DP": "4"}, "TP x PP x CP x DP is 32, more than n_chips 8"),
        ({"experts": "8", "topk": "2", "EP": "3"}, "EP 3 does not divide TP x CP x DP, 8"),
        ({"DP": "2", "TP": "4", "global_batch": "3", "micro_batch": "1"}, "dp x micro-batch 2 does not divide the"),
        ({"heads": "7", "TP": "4", "DP": "2"}, "tensor parallel 4 does not divide 7 attention heads"),
        ({"layers": "100000000"}, "layers: expected 10,000 or fewer, got '100000000'"),
        ({"chip": "v100-sxm2-32gb", "precision": "bf16"}, "--precision bf16: v100-sxm2-32gb has no bf16"),
    ],
)
def test_what_cannot_be_done_is_unsupported_and_says_why(tmp_path: Path, changes: dict[str, str], why: str) -> None:
    (found,) = clustercast.validate([file_of(tmp_path, TRAINING | changes)]).rows
    assert found.status == UNSUPPORTED
    assert found.why.startswith(why)
    assert (found.estimated, found.error, found.low, found.high, found.evidence) == (None,) * 5


def test_a_run_that_happened_is_judged_even_where_its_memory_does_not_fit(tmp_path: Path) -> None:
    rows = (TRAINING, TRAINING | {"chip_memory_gb": "10"}, TRAINING | {"chip_memory_gb": "1"})
    found = clustercast.validate([file_of(tmp_path, *rows)]).rows
    assert [each.status for each in found] == [OK, OK, OK]
    assert [each.evidence for each in found] == ["measured chip", "measured family", "measured family"]
    assert found[0].why == ""
    assert found[1].why.startswith("the memory estimate is ")
    assert found[1].why.endswith(" times what the chip has")
    assert found[2].why == "the chip has no memory left for a model"


def test_a_number_that_is_the_catalogues_own_leaves_the_chip_measured(tmp_path: Path) -> None:
    rows = (TRAINING | {"chip_bf16_tflops": "312", "chip_memory_gb": "80"}, TRAINING | {"chip_bf16_tflops": "350"})
    found = clustercast.validate([file_of(tmp_path, *rows)]).rows
    assert [each.evidence for each in found] == ["measured chip", "measured family"]


def test_an_unsupported_row_counts_as_infinitely_wrong() -> None:
    nine = [row(0.1 * place) for place in range(9)]
    assert group("g", [*nine, row(None)]).median_abs_error == pytest.approx(0.45)
    found = group("g", [*nine, row(None), row(None)])
    assert (found.n, found.n_ok, found.n_unsupported) == (11, 9, 2)
    assert (found.p90_abs_error, found.mean_abs_error, found.max_abs_error) == (None, None, None)
    assert found.median_abs_error == found.median_error == pytest.approx(0.5)
    assert group("g", [row(None)]).median_abs_error is None


def test_coverage_and_width_of_a_group_that_can_be_checked_by_hand() -> None:
    # published 100 lies in 0.8…1.2 of the estimate for 110 (88 to 132) and 90 (72 to 108), not for 130 (104 to 156)
    found = group("g", [row(0.1), row(-0.1), row(0.3), row(None), row(5.0, status=CONTEXT)])
    assert found.interval_coverage == pytest.approx(2 / 3)
    assert found.median_width == pytest.approx(1.5)
    assert found.n_context == 1


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(0, 1))
@settings(max_examples=300)
def test_quantiles_are_those_of_numpy(values: list[float], share: float) -> None:
    import numpy as np

    assert quantile(values, share) == pytest.approx(float(np.quantile(values, share)), rel=1e-9, abs=1e-9)
    assert quantile(values, share, [3.0] * len(values)) == pytest.approx(quantile(values, share), rel=1e-9, abs=1e-9)


def test_a_study_weighs_as_at_most_forty_rows() -> None:
    weights = study_weights(["big"] * 400 + ["small"] * 10)
    assert sum(weights[:400]) == pytest.approx(40.0)
    assert weights[400:] == [1.0] * 10
    rows = [row(0.5, source="big") for _ in range(400)] + [row(0.0, source="small") for _ in range(10)]
    assert group("g", rows, weighted=True).mean_abs_error == pytest.approx(0.5 * 40 / 50)
    assert group("g", rows).mean_abs_error == pytest.approx(0.5 * 400 / 410)


def test_the_groups_partition_the_rows() -> None:
    rows = [row(0.1), row(None, chip="h200-sxm-141gb", kind="mixture"), row(0.2, mtp="likely", metric="ttft_ms")]
    groups = {each.group: each for each in summary(rows)}
    for title in ("metric", "chip", "source", "size", "kind", "evidence"):
        assert sum(each.n for name, each in groups.items() if name.startswith(f"{title}:")) == 3, title
    assert groups["chip:h200-sxm-141gb"].n_ok == 0
    assert groups["mtp:likely"].n == 1
    assert groups["target:TPOT, one pool"].n == 2
    assert "target:TTFT, one pool" not in groups  # its only row is marked as multi-token prediction
    assert "target:Korthikanti" not in groups


def test_the_targets_of_training_are_told_apart(tmp_path: Path) -> None:
    vtrain = TRAINING | {"study": "VIA-Research/vTrain", "chip": "a100-sxm4-80gb"}
    rows = (TRAINING, vtrain, vtrain | {"n_chips": "64", "DP": "8", "global_batch": "64"})
    found = clustercast.validate([file_of(tmp_path, *rows)])
    sizes = {each.group: each.n for each in found.summary if each.group.startswith("target:")}
    assert sizes == {
        "target:Korthikanti": 1,
        "target:vTrain multi-node": 1,
        "target:vTrain single-node": 1,
        "target:rest of training": 1,
    }


def test_files_of_both_forms_go_together(tmp_path: Path) -> None:
    files = [file_of(tmp_path, TRAINING, name="t.csv"), file_of(tmp_path, SERVING, SERVING, name="s.csv")]
    found = clustercast.validate(files)
    assert [each.form for each in found.rows] == ["training", "serving", "serving"]
    assert [(form, n) for _, form, n in found.files] == [("training", 1), ("serving", 2)]
    assert {each.group for each in found.summary} >= {"form:training", "form:serving", f"file:{files[0]}"}


def test_a_filter_keeps_the_rows_that_say_so(tmp_path: Path) -> None:
    path = file_of(tmp_path, TRAINING, TRAINING | {"id": "T-2", "precision": "bf16"})
    assert [each.id for each in clustercast.validate([path], where=("precision=bf16",)).rows] == ["T-2"]
    for chip in ("a100-sxm4-80gb", "a100", "A100-sxm", "a100-80gb"):
        assert len(clustercast.validate([path], where=(f"chip={chip}",)).rows) == 2, chip
    with pytest.raises(WrongInput, match=r"--where: no row has precision=bf17") as raised:
        clustercast.validate([path], where=("precision=bf17",))
    assert raised.value.hint == "there are bf16, fp16"
    with pytest.raises(WrongInput, match=r"--where: no row has chip=v100") as raised:
        clustercast.validate([path], where=("chip=v100",))
    assert raised.value.hint == "there are a100-sxm4-80gb"
    with pytest.raises(WrongInput, match=r"--where: there is no column 'chips'"):
        clustercast.validate([path], where=("chips=h100",))
    with pytest.raises(WrongInput, match=r"--where: expected COLUMN=VALUE, got 'h100'"):
        clustercast.validate([path], where=("h100",))


def test_the_packages_own_record_holds_every_kind_of_row() -> None:
    found = clustercast.validate()
    assert {form for _, form, _ in found.files} == {"training", "serving"}
    names = [(each.form, each.id) for each in found.rows]
    assert len(set(names)) == len(names)
    groups = {each.group: each for each in found.summary}
    for chip in ("v100-sxm2-32gb", "a100-sxm4-80gb", "h100-sxm5-80gb", "h20-96gb", "b200-sxm", "ascend-910b", "mi300x"):
        assert groups[f"chip:{chip}"].n > 0, chip
    for name in ("kind:mixture", "mode:disagg", "mtp:likely", "target:TTFT, pools apart", "target:rest of training"):
        assert groups[name].n > 0, name
    assert groups["all"].n_ok == groups["all"].n
    assert all(each.status == CONTEXT for each in found.rows if each.chip in ("h800-sxm5-80gb", "gaudi2") and each.mode)


def test_the_document_has_its_schema(tmp_path: Path) -> None:
    rows = (TRAINING, TRAINING | {"chip": ""}, TRAINING | {"complete": "no", "layers": ""})
    found = clustercast.validate([file_of(tmp_path, *rows), file_of(tmp_path, SERVING, name="s.csv")])
    document = json.loads(plain.dumps(found.as_dict()), parse_constant=pytest.fail)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert [each["status"] for each in document["rows"]] == ["ok", "unsupported", "context", "ok"]
    whole = next(each for each in document["summary"] if each["group"] == "all")
    errors = [abs(each["error"]) for each in document["rows"] if each["status"] == "ok"]
    assert whole["median_abs_error"] == pytest.approx(max(errors))
    assert whole["mean_abs_error"] is None


def test_the_worst_rows_are_those_furthest_off_by_a_factor() -> None:
    found = study.Validation(
        (row(0.9, id="up"), row(-0.5, id="down"), row(None, id="not"), row(0.1, id="near")), (), ()
    )
    assert [each.id for each in found.worst(2)] == ["down", "up"]


CELLS = st.one_of(
    st.sampled_from(["", "0", "1", "2", "8", "-1", "1e9", "1e300", "1e-300", "nan", "inf", "7.5"]),
    st.sampled_from(["yes", "no", "full", "fp8"]),
    st.sampled_from(["h20", "v100", "gaudi2", "tpu-v5p", "mixtral-8x7b", "deepseek-v3", "ttft_ms", "disagg", "MLA"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
)


@pytest.mark.parametrize("sample", [TRAINING, SERVING], ids=["training", "serving"])
@given(data=st.data())
@settings(max_examples=100)
def test_random_cells_never_crash_and_no_row_is_lost(
    sample: dict[str, str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    changed = data.draw(st.lists(st.dictionaries(st.sampled_from(list(sample)), CELLS, max_size=4), max_size=4))
    rows = [sample | changes for changes in changed]
    path = tmp_path_factory.mktemp("random") / "rows.csv"
    path.write_text(text_of([sample, *rows]), encoding="utf-8")
    found = clustercast.validate([path])
    assert [each.id for each in found.rows] == [each["id"].strip() for each in [sample, *rows]]
    jsonschema.Draft202012Validator(SCHEMA).validate(
        json.loads(plain.dumps(found.as_dict()), parse_constant=pytest.fail)
    )
    for each in found.rows:
        assert (each.status == OK) == (each.error is not None and each.status != CONTEXT)
        assert each.estimated is None or (math.isfinite(each.estimated) and each.estimated > 0.0)


def test_the_median_is_the_usual_one() -> None:
    values = [0.3, 0.1, 0.2, 0.9]
    assert group("g", [row(each) for each in values]).median_abs_error == pytest.approx(statistics.median(values))


def test_a_fault_in_one_row_does_not_take_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = study.OF_FORM["training"]

    def faulty(cells: dict[str, str]) -> object:
        if cells["id"] == "T-2":
            raise AttributeError("oops")
        return real(cells)

    monkeypatch.setitem(study.OF_FORM, "training", faulty)
    found = clustercast.validate([file_of(tmp_path, TRAINING, TRAINING | {"id": "T-2"}, TRAINING)])
    assert [each.status for each in found.rows] == [OK, UNSUPPORTED, OK]
    assert found.rows[1].why == "a fault of clustercast itself: AttributeError: oops"
