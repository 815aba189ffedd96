"""What `clustercast serve` promises: terms that add up, plans that can be repeated, errors that help."""

import csv
import itertools
import math
from pathlib import Path

import pytest
from command_line import Cli

import clustercast

SMALL = ("serve", "--chip", "h100", "--model", "llama-3.1-8b", "--count", "4", "--isl", "1k", "--osl", "200")
LARGE = (
    "serve", "--chip", "h20", "--model", "deepseek-v3", "--count", "64", "--isl", "4096", "--osl", "1024",
    "--engine", "sglang", "--precision", "fp8-block",
)  # fmt: skip
FIXED = ("--plan", "tp=8,pp=1,dp=4,ep=32,replicas=2,chunk=8192,batch=128")
ARRIVALS = (*SMALL, "--rate", "8", "--plan", "tp=1,pp=1,dp=1,chunk=8192")
CASES = {
    "objectives": LARGE,
    "a plan": (*LARGE, *FIXED),
    "requests in flight": (*SMALL, "--concurrency", "100"),
    "a load and objectives": (*SMALL, "--concurrency", "100", "--ttft", "2s", "--tpot", "30ms"),
    "arrivals": ARRIVALS,
    "guesses and hits": (*LARGE, *FIXED, "--accept", "1.8", "--draft", "1", "--prefix-hit", "30%"),
}


@pytest.mark.parametrize("arguments", CASES.values(), ids=CASES)
def test_the_json_document_holds_what_it_promises(cli: Cli, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments, "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["schema"] == "clustercast.serve/1"
    for name in ("ttft", "tpot"):
        value = document[f"{name}_ms"]
        assert document[f"{name}_ms_low"] < value < document[f"{name}_ms_high"]
        lower, upper = document[f"{name}_ms_bracket"]
        assert lower <= value
        assert upper is None or value <= upper
    assert math.isclose(sum(document["decode_time_ms"].values()), document["tpot_ms"], rel_tol=1e-9)
    assert math.isclose(sum(document["prefill_time_ms"].values()), document["ttft_ms"], rel_tol=1e-9)
    latency = document["ttft_ms"] + (document["output_len"] - 1) * document["tpot_ms"]
    assert math.isclose(document["latency_ms"], latency, rel_tol=1e-9)
    rate, count, plan = document["requests_per_s"], document["count"], document["plan"]
    assert math.isclose(document["output_tokens_per_s"], rate * document["output_len"])
    assert math.isclose(document["output_tokens_per_s_per_chip"], rate * document["output_len"] / count)
    assert plan["chips"] == plan["tp"] * plan["pp"] * plan["attention_dp"]
    assert plan["chips"] * plan["replicas"] == count - plan["idle"]
    held = document["memory_bytes"]
    assert math.isclose(held["weights"] + held["kv_cache"] + held["workspace"], held["total"])
    assert held["total"] <= held["capacity"]
    assert 0 < document["kv_fraction"] <= 1
    assert all(0 <= share <= 1 + 1e-9 for share in document["utilisation"].values())
    for name, whole in (("decode_bound_ms", "tpot_ms"), ("prefill_bound_ms", "ttft_ms")):
        assert math.isclose(sum(document[name].values()), document[whole], rel_tol=1e-9)
        assert min(document[name].values()) >= 0.0
    paid = (
        document["cost_usd_per_million_input_tokens"] * document["input_tokens_per_s"]
        + document["cost_usd_per_million_output_tokens"] * document["output_tokens_per_s"]
    )
    assert math.isclose(paid / 1e6 * 3600, document["cost_usd_per_hour"], rel_tol=1e-9)
    looked = document["search"]
    assert looked["n_considered"] == looked["n_feasible"] + sum(looked["rejected"].values())
    for each in document["assumptions"]:
        assert {"name", "value", "kind", "source"} <= set(each)


def test_objectives_are_held(cli: Cli) -> None:
    document = cli(*LARGE, "--tpot", "40ms", "--ttft", "2s", "--json").document
    assert document["tpot_ms"] <= 40
    assert document["ttft_ms"] <= 2000
    assert document["objectives"]["assumed"] is False
    assert cli(*LARGE, "--json").document["objectives"] == {
        "ttft_ms": None, "tpot_ms": 50.0, "percentile": "mean", "assumed": True,
        "aim": "most tokens per second under the objectives",
    }  # fmt: skip


def test_the_plan_that_is_shown_gives_the_same_answer(cli: Cli) -> None:
    first = cli(*LARGE, "--json").document
    second = cli(*LARGE, "--plan", first["plan_text"], "--json").document
    for name in ("plan", "ttft_ms", "tpot_ms", "requests_per_s", "cost_usd_per_million_output_tokens"):
        assert second[name] == first[name]


def test_a_load_takes_only_the_chips_that_it_needs(cli: Cli) -> None:
    few = cli(*SMALL, "--concurrency", "8", "--tpot", "50ms", "--json").document
    assert few["plan"]["idle"] == 3
    assert cli(*SMALL, "--concurrency", "8", "--json").document["plan"]["idle"] == 0


def test_arrivals_have_percentiles(cli: Cli) -> None:
    document = cli(*ARRIVALS, "--json").document
    assert 0 < document["ttft_p50_ms"] <= document["ttft_p90_ms"] <= document["ttft_p99_ms"]
    assert document["tpot_ms"] <= document["tpot_p90_ms"]
    assert math.isclose(document["requests_per_s"], 8.0)
    assert math.isclose(document["load_fraction"], 8.0 / document["capacity_requests_per_s"])
    slower = cli(*ARRIVALS[:-4], "--rate", "16", *ARRIVALS[-2:], "--json").document
    assert document["ttft_ms"] < slower["ttft_ms"]
    assert document["tpot_ms"] < slower["tpot_ms"]


@pytest.mark.parametrize("percentile", ["75", "p99.5"])
def test_objectives_hold_at_any_percentile(cli: Cli, percentile: str) -> None:
    document = cli(*ARRIVALS, "--percentile", percentile, "--ttft", "2s", "--tpot", "30ms", "--json").document
    assert document["objectives"]["percentile"] == float(percentile.removeprefix("p"))
    assert document["ttft_p50_ms"] < document["ttft_percentile_ms"] <= 2000
    assert document["tpot_ms"] < document["tpot_percentile_ms"] <= 30
    assert cli(*ARRIVALS, "--percentile", "100").status == 2
    assert cli(*ARRIVALS, "--percentile", "0").status == 2


def test_cached_prefixes_and_right_guesses_pay(cli: Cli) -> None:
    plain = cli(*LARGE, *FIXED, "--json").document
    cached = cli(*LARGE, *FIXED, "--prefix-hit", "0.5", "--json").document
    assert cached["ttft_ms"] < plain["ttft_ms"]
    assert cached["cost_usd_per_million_input_tokens"] < plain["cost_usd_per_million_input_tokens"]
    guessed = cli(*LARGE, *FIXED, "--accept", "2", "--draft", "1", "--json").document
    assert guessed["tpot_ms"] < plain["tpot_ms"]
    assert guessed["itl_ms"] == pytest.approx(2 * guessed["tpot_ms"])


def test_the_text_answers_first_and_fits_the_page(cli: Cli) -> None:
    done = cli(*LARGE, *FIXED)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("64 h20-96gb serve deepseek-v3 at ")
    assert max(map(len, lines)) <= 80
    said = " ".join(done.out.split())
    for text in ("--plan tp=8,pp=1,attention_dp=4,ep=32,etp=1,replicas=2,chunk=8192,batch=128", "80 % interval",
                 "limited by", "USD per million tokens in", "evidence: measured chip"):  # fmt: skip
        assert text in said


def test_the_frontier_is_one_and_can_be_written(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "front.csv"
    done = cli(*SMALL, "--plan", "chunk=8192", "--csv", str(file), "--json")
    assert (done.status, done.err) == (0, "")
    front = done.document["frontier"]
    assert len(front) > 5
    for faster, slower in itertools.pairwise(front):
        assert faster["tokens_per_s_per_user"] > slower["tokens_per_s_per_user"]
        assert faster["output_tokens_per_s_per_chip"] < slower["output_tokens_per_s_per_chip"]
    with file.open(encoding="utf-8", newline="") as written:
        rows = list(csv.DictReader(written))
    assert [float(row["tpot_ms"]) for row in rows] == [point["tpot_ms"] for point in front]
    again = cli(*SMALL, "--plan", rows[3]["plan_text"], "--json").document
    assert again["tpot_ms"] == front[3]["tpot_ms"]
    assert cli(*SMALL, "--json").document["frontier"] is None


@pytest.mark.slow
def test_the_frontier_can_be_drawn(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "front.svg"
    done = cli(*SMALL, "--plan", "chunk=8192", "--frontier", "--plot", str(file))
    assert done.status == 0
    assert "Speed for a user against throughput of a chip" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert file.read_text(encoding="utf-8").startswith("<svg")


def test_the_parts_of_a_token_agree_with_what_limits_it(cli: Cli) -> None:
    document = cli(*LARGE, *FIXED, "--json").document
    parts, slopes = document["decode_bound_ms"], document["elasticity"]
    step_ms = sum(value for name, value in parts.items() if name != "prefills_of_others")
    assert parts["compute"] / step_ms == pytest.approx(slopes["flops"], abs=0.03)
    assert (parts["weights"] + parts["kv_cache"]) / step_ms == pytest.approx(slopes["hbm_bandwidth"], abs=0.03)
    assert parts["host"] / step_ms == pytest.approx(slopes["host"], abs=0.01)


@pytest.mark.parametrize("load", [("--rate", "8"), ("--concurrency", "32")])
def test_a_simulation_stands_beside_the_formulas(cli: Cli, load: tuple[str, str]) -> None:
    asked = (*SMALL, *load, "--plan", "tp=1,pp=1,dp=1,chunk=8192,replicas=4", "--simulate", "200")
    done = cli(*asked, "--seed", "3", "--json")
    assert (done.status, done.err) == (0, "")
    seen = done.document["simulation"]
    assert seen["n_requests"] == 200
    assert seen["tpot_ms"]["mean"] == pytest.approx(done.document["tpot_ms"], rel=0.1)
    assert seen["requests_per_s"] == pytest.approx(done.document["requests_per_s"], rel=0.3)
    assert seen["ttft_ms"]["p50"] <= seen["ttft_ms"]["p90"] <= seen["ttft_ms"]["p99"]
    assert cli(*asked, "--seed", "3", "--json").document["simulation"] == seen
    assert cli(*asked, "--seed", "4", "--json").document["simulation"] != seen
    text = cli(*asked)
    assert "TTFT simulated" in text.out
    assert max(map(len, text.out.splitlines())) <= 80
    assert cli(*SMALL, *load, "--json").document["simulation"] is None


def test_lengths_of_a_file_are_simulated(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text("input,output,weight\n100,10,3\n2000,200,1\n")
    asked = (
        "serve",
        "--chip",
        "h100",
        "--model",
        "llama-3.1-8b",
        "--count",
        "1",
        "--rate",
        "4",
        "--lengths",
        str(file),
    )
    document = cli(*asked, "--simulate", "250", "--plan", "chunk=8192", "--json").document
    assert document["simulation"]["output_tokens_per_s"] == pytest.approx(4 * 57.5, rel=0.3)


def test_python_gives_what_the_command_gives(cli: Cli) -> None:
    document = cli(*SMALL, "--concurrency", "64", "--json").document
    done = clustercast.serve("h100", "llama-3.1-8b", n_chips=4, input_len=1000, output_len=200, concurrency=64)
    assert done.tpot_ms == document["tpot_ms"]
    assert done.plan_text == document["plan_text"]


def test_a_faster_memory_speeds_up_tokens(cli: Cli) -> None:
    now = cli(*LARGE, *FIXED, "--json").document
    then = cli(*LARGE, *FIXED, "--set", "chip.hbm_bandwidth=8TB/s", "--json").document
    assert then["tpot_ms"] < now["tpot_ms"]


@pytest.mark.parametrize(
    ("arguments", "status", "said", "hint"),
    [
        ((*LARGE, "--tpot", "1ms"), 3, "with a mean TPOT under 1 ms: the nearest is TTFT", "can be met by that plan"),
        ((*LARGE, "--ttft", "1ms"), 3, "with a mean TTFT under 1 ms: the nearest is TTFT", "--ttft"),
        ((*SMALL, "--isl", "9M", "--osl", "10"), 3, "a request of 9,000,010 tokens needs", "tokens fit 4 x"),
        ((*ARRIVALS[:-4], "--rate", "100k", *ARRIVALS[-2:]), 3, "are more than 4 x h100-sxm5-80gb can serve", "about"),
        ((*LARGE, "--count", "2"), 3, "does not fit 2 x h20-96gb", "would do"),
        ((*SMALL, "--plan", "batch=999999"), 3, "holds 999,999 sequences per replica", ""),
        ((*SMALL, "--precision", "nvfp4"), 2, "has no fp4", "it can run"),
        ((*SMALL, "--plan", "tp=3"), 2, "tensor parallel 3 does not divide 32 attention heads", ""),
        ((*SMALL, "--plan", "dp=2"), 2, "needs a mixture of experts; use replicas", ""),
        ((*SMALL, "--tpot", "50"), 2, "--tpot: expected a time like 2s or 50ms, got '50'", "write 50ms"),
        ((*SMALL, "--prefix-hit", "half"), 2, "--prefix-hit: expected a share", ""),
        ((*SMALL, "--percentile", "p90"), 2, "percentiles come from arrivals", "add --rate"),
        ((*SMALL, "--lengths", "nowhere.csv"), 2, "the file gives both lengths", ""),
        ((*SMALL, "--simulate", "0"), 2, "--simulate: expected at least 1 request", ""),
        ((*SMALL, "--simulate", "2M"), 2, "--simulate: expected 1 to 1,000,000 requests", ""),
        ((*SMALL, "--prefill-count", "4"), 2, "--prefill-count is for pools apart", ""),
        ((*SMALL, "--plot", "front.gif"), 2, "expected a name that ends in", ""),
        ((*SMALL, "--csv", "nowhere/front.csv"), 2, "there is no folder 'nowhere'", ""),
    ],
)
def test_what_cannot_be_answered_is_said(
    cli: Cli, arguments: tuple[str, ...], status: int, said: str, hint: str
) -> None:
    done = cli(*arguments)
    assert (done.status, done.out) == (status, "")
    error, *hints = done.err.splitlines()
    assert error.startswith("error: ")
    assert said in error
    assert hint in " ".join(hints)
    document = cli(*arguments, "--json").document
    assert (document["schema"], document["exit"]) == ("clustercast.error/1", status)


def test_the_nearest_point_can_be_met(cli: Cli) -> None:
    numbers = cli(*LARGE, "--tpot", "1ms", "--json").document["numbers"]
    assert numbers["binds"]
    assert numbers["tpot_objective_ms"] == 1.0
    met = cli(*LARGE, "--tpot", f"{1.001 * numbers['tpot_ms']}ms", "--json").document
    assert met["tpot_ms"] == pytest.approx(numbers["tpot_ms"])
