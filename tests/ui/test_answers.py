"""The page's answers are the command line's."""

import json
from pathlib import Path
from typing import Any

import pytest

import clustercast
from clustercast.ui import answers, questions

QUESTION = {"chip": "h20", "model": "llama-3.1-8b", "count": 64, "tokens": 1e12}


def asked(kind: type[questions.Question], **fields: Any) -> dict[str, Any]:
    return kind.model_validate(fields).model_dump(mode="json")


def given(verb: str, kind: type[questions.Question], **fields: Any) -> dict[str, Any]:
    status, document = answers.answer(verb, asked(kind, **fields))
    assert status == answers.DONE, document
    return document


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    return given("board", questions.Estimate, **QUESTION, explain=False)


def layout(board: dict[str, Any]) -> str:
    plan = board["estimate"]["serving"]["plan"]
    return ",".join(f"{name}={plan[name]}" for name in ("tp", "pp", "attention_dp", "ep", "etp", "chips"))


def without_times(document: dict[str, Any]) -> dict[str, Any]:
    document["training"]["search"]["wall_s"] = 0.0
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]


def test_an_estimate_is_the_library_s() -> None:
    own = clustercast.estimate("h20", "llama-3.1-8b", n_chips=64, tokens=1e12).as_dict()
    assert without_times(given("estimate", questions.Estimate, **QUESTION)) == without_times(own)


def test_a_plan_that_is_held_gives_the_same_numbers_as_the_search_that_found_it(board: dict[str, Any]) -> None:
    training = board["estimate"]["training"]
    held = given(
        "board", questions.Estimate, **QUESTION, explain=False, plan=training["plan_text"], serving_plan=layout(board)
    )["estimate"]
    assert held["training"]["days"] == training["days"]
    assert held["serving"] == board["estimate"]["serving"]


def test_a_chip_with_twice_the_compute_trains_faster_and_is_caught(board: dict[str, Any]) -> None:
    twice = given("board", questions.Estimate, **QUESTION, explain=False, set=["chip.flops=296TFLOP/s"])
    assert twice["estimate"]["training"]["days"] < 0.7 * board["estimate"]["training"]["days"]
    assert [each["rules"]["verdicts"][0]["caught"] for each in (board, twice)] == [False, True]
    assert twice["numbers"]["flops"] == 2 * board["numbers"]["flops"]
    assert twice["roofline"]["roofs"][0]["flop_per_s"] == 2 * board["roofline"]["roofs"][0]["flop_per_s"]


def test_an_objective_that_is_tighter_takes_a_smaller_batch(board: dict[str, Any]) -> None:
    tight = given("board", questions.Estimate, **QUESTION, explain=False, tpot=0.02)["estimate"]["serving"]
    assert tight["tpot_ms"] <= 20.0
    assert tight["batch"] < board["estimate"]["serving"]["batch"]


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_the_quick_map_has_the_ratios_of_the_crossover(phase: str) -> None:
    fields = {"chip": "h20", "other": "h100", "model": "llama-3.1-8b", "batches": [1, 64], "contexts": [1024, 8192]}
    changed = fields | {"set": ["chip.flops=200TFLOP/s", "other.hbm_bandwidth=2TB/s"]}
    for each in (fields, changed):
        quick = given("map", questions.Map, **each, phase=phase)
        whole = given("crossover", questions.Crossover, **each)
        wanted = {(one["batch"], one["context"]): one["ratio"] for one in whole["cells"] if one["phase"] == phase}
        assert {(one["batch"], one["context"]): one["ratio"] for one in quick["cells"]} == wanted
        assert quick["count"] == whole["count"]
    held = given("map", questions.Map, **changed, phase=phase, settled=False)
    for one in held["cells"]:
        assert one["ratio"] == pytest.approx(wanted[one["batch"], one["context"]], rel=0.2)


def test_a_changed_chip_is_a_file_that_the_command_line_reads(tmp_path: Path) -> None:
    made = given("chip-file", questions.Chip, chip="h20", set=["chip.flops=296TFLOP/s", "chip.scale_up=900GB/s"])
    path = tmp_path / made["name"]
    path.write_text(made["text"], encoding="utf-8")
    profile = clustercast.chip(str(path))
    changed = answers.numbers_of("h20", ["chip.flops=296TFLOP/s", "chip.scale_up=900GB/s"])
    assert (profile.value("peaks.bf16"), profile.value("scale_up.per_direction")) == (296e12, 900e9)
    assert changed["flops"] == 296e12
    assert profile.value("memory.bandwidth") == clustercast.chip("h20").value("memory.bandwidth")


def test_the_file_of_an_unchanged_chip_is_the_catalogue_s() -> None:
    assert "name: h20-96gb\n" in given("chip-file", questions.Chip, chip="h20")["text"]


@pytest.mark.parametrize("tool", ["megatron-lm", "vllm", "sglang"])
def test_launch_files_are_for_the_plan_that_is_held(board: dict[str, Any], tool: str) -> None:
    plan = board["estimate"]["training"]["plan_text"]
    made = given("launch", questions.Launch, **QUESTION, tool=tool, plan=plan, serving_plan=layout(board))
    assert made["name"].endswith(".sh")
    serving = board["estimate"]["serving"]["plan"]
    wanted = {
        "megatron-lm": f"--micro-batch-size {board['estimate']['training']['plan']['micro_batch']}",
        "vllm": f"--tensor-parallel-size {serving['tp']}" if serving["tp"] > 1 else "vllm serve",
        "sglang": f"--tp-size {serving['tp']}" if serving["tp"] > 1 else "sglang",
    }
    assert wanted[tool] in made["text"]


@pytest.mark.parametrize(
    ("verb", "kind", "fields", "status"),
    [
        ("estimate", questions.Estimate, {"chip": "h21", "model": "70B"}, 400),
        ("estimate", questions.Estimate, QUESTION | {"plan": "tp=7,pp=1,dp=1"}, 400),
        ("board", questions.Estimate, QUESTION | {"serving_plan": "tp=3,pp=1,attention_dp=1,ep=1,etp=1,chips=3"}, 400),
        ("board", questions.Estimate, QUESTION | {"serving_plan": "tp=8"}, 400),
        ("estimate", questions.Estimate, {"chip": "h20", "model": "1.8T", "count": 1}, 422),
        ("rules", questions.Rules, {"chip": "h20", "on": "2023-12-01"}, 200),
    ],
)
def test_errors_are_documents_with_the_command_line_s_exit_status(
    verb: str, kind: type[questions.Question], fields: dict[str, Any], status: int
) -> None:
    found, document = answers.answer(verb, asked(kind, **fields))
    assert found == status
    if status >= 400:
        assert document["schema"] == "clustercast.error/1"
        assert document["exit"] == {400: 2, 422: 3}[status]


def test_a_fault_is_said_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setitem(answers.VERBS, "broken", broken)
    status, document = answers.answer("broken", {})
    assert (status, document["exit"]) == (500, 1)
    assert "Traceback" not in document["error"]


def test_every_entry_of_the_lists_can_be_asked_for() -> None:
    chips = answers.answer("chips", {})[1]["chips"]
    assert {each["name"] for each in chips} == set(clustercast.chips())
    assert answers.answer("chip", {"name": "h20"})[1]["numbers"]["hbm_bandwidth"] == 4e12
    assert {each["name"] for each in answers.answer("models", {})[1]["models"]} == set(clustercast.models())
