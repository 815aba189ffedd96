"""What `clustercast estimate` promises: terms that add up, intervals that hold, JSON that programs read."""

import math
from pathlib import Path

import pytest
from command_line import Cli

import clustercast

GPT4 = ("estimate", "--chip", "h20", "--model", "1.8T", "--count", "10k", "--tokens", "13T")
PLAN = ("--plan", "tp=8,pp=20,dp=60,ep=8,zero=1,micro_batch=1,recompute=full")
SMALL = (
    "estimate",
    "--chip",
    "h100",
    "--model",
    "8B",
    "--count",
    "64",
    "--plan",
    "dp=64,tp=1,pp=1,zero=3,mb=1,recompute=none",
)
CASES = [
    (*GPT4, *PLAN),
    SMALL,
    (*SMALL, "--batch", "64", "--isl", "1024", "--osl", "128", "--seq", "2k", "--gbs", "256"),
]


@pytest.mark.parametrize("arguments", CASES, ids=("1.8T", "8B", "8B with a batch"))
def test_the_json_document_holds_what_it_promises(cli: Cli, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments, "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["schema"] == "clustercast.estimate/1"
    training, serving = document["training"], document["serving"]
    assert math.isclose(sum(training["time_s"].values()), training["step_s"], rel_tol=1e-9)
    assert training["step_s_low"] <= training["step_s"] <= training["step_s_high"]
    assert training["days_low"] <= training["days"] <= training["days_high"]
    lower, upper = training["step_s_bracket"]
    assert lower <= training["step_s"] <= upper
    held = training["memory_bytes"]
    parts = sum(held[name] for name in ("weights", "gradients", "optimizer", "activations", "workspace"))
    assert math.isclose(parts, held["total"], rel_tol=1e-9)
    assert held["total"] <= held["capacity"]
    days = training["tokens"] / (training["tokens_per_s"] * training["goodput"]) / 86400
    assert math.isclose(days, training["days"], rel_tol=1e-9)
    assert 0 < training["mfu"] <= training["hfu"] < 1
    plan = training["plan"]
    assert plan["chips"] == plan["tp"] * plan["pp"] * plan["cp"] * plan["dp"] == document["count"] - plan["idle"]
    assert math.isclose(sum(serving["decode_time_ms"].values()), serving["tpot_ms"], rel_tol=1e-9)
    assert serving["ttft_ms_low"] <= serving["ttft_ms"] <= serving["ttft_ms_high"]
    assert serving["tpot_ms_low"] <= serving["tpot_ms"] <= serving["tpot_ms_high"]
    for each in document["assumptions"]:
        assert {"name", "value", "kind", "source"} <= set(each)


def test_the_text_answers_first_and_fits_the_page(cli: Cli) -> None:
    done = cli(*GPT4, *PLAN)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("10,000 h20-96gb train gpt-4-1.8t on 13T tokens in ")
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    for said in (
        "--plan tp=8,pp=20,dp=60,ep=8,zero=1,mb=1,recompute=full",
        "with ten per cent more of",
        "80 % interval",
        "MFU ",
    ):
        assert said in " ".join(done.out.split())


def test_the_plan_that_is_shown_is_one_that_is_taken_back(cli: Cli) -> None:
    first = cli("estimate", "--chip", "h100", "--model", "8B", "--count", "8", "--plan", "pp=1,recompute=none")
    (shown,) = (line for line in first.out.splitlines() if "--plan " in line)
    second = cli("estimate", "--chip", "h100", "--model", "8B", "--count", "8", "--plan", shown.split()[1])
    assert second.status == 0
    assert second.out.splitlines()[:2] == first.out.splitlines()[:2]


def test_python_gives_what_the_command_gives(cli: Cli) -> None:
    document = cli(*GPT4, *PLAN, "--json").document
    est = clustercast.estimate("h20", "1.8T", n_chips=10_000, tokens=13e12, plan=PLAN[1])
    assert est.step_s == document["training"]["step_s"]
    assert est.terms is not None
    assert est.terms.compute == document["training"]["time_s"]["compute"]


def test_a_changed_chip_changes_the_answer(cli: Cli) -> None:
    before = cli(*GPT4, *PLAN, "--json").document
    after = cli(*GPT4, *PLAN, "--set", "chip.hbm_bandwidth=6TB/s", "--set", "chip.flops=300TFLOP/s", "--json").document
    assert after["training"]["step_s"] < before["training"]["step_s"]
    assert after["serving"]["ttft_ms"] < before["serving"]["ttft_ms"]


def test_an_estimate_is_drawn(cli: Cli, tmp_path: Path) -> None:
    picture = tmp_path / "estimate.svg"
    asked = ("estimate", "--chip", "h100", "--model", "8B", "--count", "8", "--plan", "tp=1,pp=1")
    done = cli(*asked, "--plot", str(picture), "--json")
    assert (done.status, done.document["schema"]) == (0, "clustercast.estimate/1")
    assert "Where the time of one step goes" in picture.read_text(encoding="utf-8")
    assert cli(*asked, "--plot", "estimate.pdf").err.startswith("error: --plot: expected a name that ends in")
