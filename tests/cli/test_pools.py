"""`clustercast serve` with prefill and decode in pools of their own."""

import csv
import io
from pathlib import Path

import pytest
from command_line import Cli

ASKED = (
    "serve", "--prefill-chip", "h100", "--decode-chip", "h20", "--model", "8B", "--count", "12", "--isl", "4096",
    "--osl", "512", "--prefill-plan", "tp=1,pp=1", "--decode-plan", "tp=1,pp=1",
)  # fmt: skip


@pytest.mark.slow
def test_json_keeps_the_fields_of_serve_and_adds_the_pools(cli: Cli) -> None:
    done = cli(*ASKED, "--set", "decode-chip.price_rent=1.1USD/h", "--json")
    assert done.status == 0
    document = done.document
    assert document["schema"] == "clustercast.serve/1"
    pools = document["pools"]
    assert pools["prefill"]["chip"] == "h100-sxm5-80gb"
    assert pools["decode"]["chip"] == "h20-96gb"
    assert pools["prefill"]["count"] + pools["decode"]["count"] == document["count"] == 12
    assert pools["decode"]["usd_per_chip_hour"] == 1.1
    assert pools["transfer"]["bytes_per_sequence"] > 0
    for name in ("ttft_ms", "tpot_ms", "output_tokens_per_s_per_chip", "requests_per_s"):
        assert document[name] > 0


@pytest.mark.slow
def test_the_text_fits_the_page_and_says_what_binds(cli: Cli) -> None:
    done = cli(*ASKED)
    assert done.status == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert "What binds" in done.out
    assert "Per dollar" in done.out


def test_half_a_question_is_refused(cli: Cli) -> None:
    assert "--decode-chip is missing" in cli("serve", "--prefill-chip", "h100", "--model", "8B").err
    assert "--concurrency is for one pool" in cli(*ASKED, "--concurrency", "4").err
    assert "--chip is missing" in cli("serve", "--model", "8B").err
    assert cli(*ASKED, "--percentile", "100").status == 2
    assert "is for pools apart" in cli("serve", "--chip", "h100", "--model", "8B", "--decode-count", "4").err


@pytest.mark.slow
def test_the_plans_that_are_shown_can_be_given_back(cli: Cli) -> None:
    first = cli(*ASKED[:-4], "--json").document
    pools = first["pools"]
    again: list[str] = []
    for name in ("prefill", "decode"):
        again += [f"--{name}-count", str(pools[name]["count"]), f"--{name}-plan", pools[name]["plan_text"]]
    second = cli(*ASKED[:-4], *again, "--json").document
    for name in ("ttft_ms", "tpot_ms", "requests_per_s"):
        assert second[name] == first[name]


@pytest.mark.slow
def test_the_frontier_is_written_and_drawn(cli: Cli, tmp_path: Path) -> None:
    table, picture = tmp_path / "front.csv", tmp_path / "front.svg"
    done = cli(*ASKED, "--csv", str(table), "--plot", str(picture), "--json")
    assert done.status == 0
    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    assert [float(row["tpot_ms"]) for row in rows] == [each["tpot_ms"] for each in done.document["frontier"]]
    assert "output tokens/s per chip" in picture.read_text("utf-8")
