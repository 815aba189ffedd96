"""`clustercast sensitivity`: JSON, CSV, picture, and what is refused."""

import csv
import io
import sys
from pathlib import Path

import pytest
from command_line import Cli

ASKED = (
    "sensitivity", "--chip", "h20", "--model", "llama-3.1-8b", "--count", "64",
    "--plan", "tp=2,pp=2,cp=1,dp=16,zero=1,micro_batch=1,recompute=none", "--param", "hardware",
)  # fmt: skip


def test_json_names_the_method_the_ranges_and_the_ranking(cli: Cli) -> None:
    done = cli(*ASKED, "--param", "chip.flops=100TFLOP/s..200TFLOP/s", "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["schema"] == "clustercast.sensitivity/1"
    assert (document["method"], document["chip"], document["count"]) == ("tornado", "h20-96gb", 64)
    compute = next(each for each in document["parameters"] if each["name"] == "chip.flops")
    assert (compute["low"], compute["high"], compute["kind"]) == (1e14, 2e14, "given")
    assert document["outputs"][0]["effects"][0]["parameter"] == "chip.flops"


def test_sobol_gives_indices_with_intervals(cli: Cli) -> None:
    done = cli(*ASKED, "--method", "sobol", "--n", "1k", "--seed", "3", "--json")
    document = done.document
    assert (done.status, document["seed"], document["evaluations"]) == (0, 3, 1024)
    first = document["outputs"][0]["effects"][0]
    assert {"first", "first_conf", "total", "total_conf"} <= set(first)
    assert document["outputs"][0]["pairs"][0]["second_conf"] >= 0.0


def test_csv_alone_on_standard_output_and_a_picture(cli: Cli, tmp_path: Path) -> None:
    done = cli(*ASKED, "--csv", "-")
    assert next(csv.DictReader(io.StringIO(done.out)))["parameter"] == "chip.flops"
    picture = tmp_path / "moves.svg"
    assert cli(*ASKED, "--plot", str(picture)).status == 0
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_what_is_wrong_is_said(cli: Cli) -> None:
    done = cli(*ASKED, "--of", "speed")
    assert (done.status, "unknown output 'speed'" in done.err) == (2, True)
    done = cli(*ASKED, "--param", "chip.flop", "--json")
    assert (done.status, done.document["hint"]) == (2, "did you mean chip.flops?")
    assert cli("sensitivity", "--chip", "h20", "--model", "1.8T", "--count", "8").status == 3


def test_without_its_package_a_tornado_still_stands(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SALib", None)
    assert cli(*ASKED).status == 0
    done = cli(*ASKED, "--method", "morris")
    assert (done.status, "clustercast[sensitivity]" in done.err) == (2, True)
