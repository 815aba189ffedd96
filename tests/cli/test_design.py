"""`clustercast design`: the best chip as text, JSON, CSV and picture; caps and their cost."""

import csv
import io
from pathlib import Path

import pytest
from command_line import Cli


@pytest.mark.slow
def test_the_whole_study_as_json(cli: Cli) -> None:
    done = cli("design", "--json")
    assert done.status == 0
    document = done.document
    assert document["schema"] == "clustercast.design/1"
    assert set(document["best"]) == {"training", "prefill", "decode", "serving"}
    assert set(document["rule_sets"]) == {"none", "2022", "2023", "letter", "2026", "safe"}
    assert round(document["best"]["decode"]["point"]["tpp"]) == 2400


@pytest.mark.slow
def test_the_page_fits_and_names_the_h20(cli: Cli) -> None:
    done = cli("design")
    assert max(map(len, done.out.splitlines())) <= 80
    text = " ".join(done.out.split())
    assert "The H20 reaches 9" in text
    assert "What the letter of April 2025 takes from what the rule of 2023 left" in text
    assert "a screening aid, not legal advice" in text


def test_a_cap_is_held_and_its_cost_said(cli: Cli) -> None:
    document = cli("design", "--cap", "hbm_bandwidth=1.4TB/s", "--brief", "--json").document
    for job, best in document["best"].items():
        assert best["point"]["hbm_bytes_per_s"] <= 1.4e12 * (1 + 1e-9)
        assert best["tokens_per_s"] <= document["without_caps"][job]["tokens_per_s"] * 1.001
    assert document["best"]["decode"]["tokens_per_s"] < 0.8 * document["without_caps"]["decode"]["tokens_per_s"]
    assert "What the cap costs" in cli("design", "--cap", "hbm_bandwidth=1.4TB/s", "--brief").out


@pytest.mark.slow
def test_csv_and_picture(cli: Cli, tmp_path: Path) -> None:
    picture = tmp_path / "frontier.svg"
    done = cli("design", "--chips", "h20,h100", "--csv", "-", "--plot", str(picture))
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert {row["kind"].split()[0] for row in rows} == {"best", "chip", "rule", "memory", "curve", "cap"}
    assert [row["name"] for row in rows if row["kind"] == "chip"] == ["h20-96gb", "h100-sxm5-80gb"]
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_more_dies_leave_more_compute(cli: Cli) -> None:
    one, four = (
        cli("design", "--brief", "--dies", dies, "--json").document["best"]["training"]["point"] for dies in ("1", "4")
    )
    assert round(one["tpp"]) == 2400
    assert round(four["tpp"]) == 4800


def test_wrong_input_and_no_answer_are_said(cli: Cli) -> None:
    assert cli("design", "--cap", "speed=1").err.startswith("error: --cap speed=1: expected <what>=<value>")
    assert cli("design", "--rule", "2024").status == 2
    assert cli("design", "--brief", "--plot", "x.svg").err.startswith("error: --plot: there is no curve")
    done = cli("design", "--cap", "power=100W", "--brief", "--json")
    assert (done.status, done.document["exit"]) == (3, 3)


def test_no_die_at_all_is_refused(cli: Cli) -> None:
    done = cli("design", "--dies", "0", "--brief")
    assert done.status == 2
    assert "--dies: expected a whole number from 1" in done.err
