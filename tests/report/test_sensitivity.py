"""What moves an answer as text, CSV and picture."""

import csv
import io
import json
from pathlib import Path

import pytest

import clustercast
from clustercast.report import sensitivity as render
from clustercast.report.layout import Line, Table, lines_of
from clustercast.studies.sensitivity import Sensitivity
from clustercast.studies.sensitivity.result import Swing

PLAN = "tp=2,pp=2,cp=1,dp=16,zero=1,micro_batch=1,recompute=none"


def study(**more: object) -> Sensitivity:
    asked: dict[str, object] = {"n_chips": 64, "plan": PLAN, "of": ("days", "own-cost")}
    return clustercast.sensitivity("h20", "llama-3.1-8b", **(asked | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tornado() -> Sensitivity:
    return study(parameters=["all", "chip.hbm_capacity=20GiB..96GiB"])


@pytest.fixture(scope="module")
def sobol() -> Sensitivity:
    return study(parameters=["hardware", "reliability"], method="sobol", n=2_000)


@pytest.fixture(scope="module")
def morris() -> Sensitivity:
    return study(parameters=["hardware", "reliability"], method="morris", n=300)


def text_of(found: Sensitivity) -> list[str]:
    lines: list[str] = []
    for block in render.sensitivity(found):
        if isinstance(block, Table):
            lines += lines_of(block)
        else:
            lines.append(block.text if isinstance(block, Line) else block)
    return lines


def test_the_page_is_eighty_columns_wide(tornado: Sensitivity, sobol: Sensitivity, morris: Sensitivity) -> None:
    for found in (tornado, sobol, morris):
        lines = text_of(found)
        assert max(map(len, lines)) <= 80
        assert any(line.startswith("Training days: ") for line in lines)
        assert any(line.startswith("Cost of training, own chips: ") for line in lines)


def test_a_tornado_marks_what_does_not_fit(tornado: Sensitivity) -> None:
    said = "\n".join(text_of(tornado))
    assert "the plan does not fit memory at" in said
    memory = study(parameters=["chip.hbm_capacity=20GiB..96GiB"], of="training-memory")
    row = next(line for line in text_of(memory) if line.startswith("chip.hbm_capacity"))
    assert "! – " in row


def test_shares_say_their_sum_and_seed(sobol: Sensitivity) -> None:
    said = " ".join(" ".join(text_of(sobol)).split())
    assert "alone they are " in said
    assert "seed 0" in said
    assert "a 95 % interval" in said


def test_a_bar_lies_on_the_side_of_its_end() -> None:
    def drawn(low: float, high: float) -> str:
        return render.sides(Swing("a", low, high, True, True, 0.0, False, None, None, None, None), 10.0, 7.0)

    assert drawn(17.0, 10.0) == "       │░░░░░░░"
    assert drawn(10.0, 17.0) == "       │███████"
    assert drawn(12.0, 17.0) == "       │░░█████"
    assert drawn(17.0, 12.0) == "       │██░░░░░"
    assert drawn(3.0, 17.0) == "░░░░░░░│███████"


def test_csv_has_a_row_per_output_and_parameter(tornado: Sensitivity, sobol: Sensitivity) -> None:
    rows = list(csv.DictReader(io.StringIO(render.csv_text(tornado))))
    assert len(rows) == 2 * len(tornado.parameters)
    first = rows[0]
    best = tornado.outputs[0].effects[0]
    assert isinstance(best, Swing)
    assert (first["parameter"], float(first["at_low"])) == (best.parameter, best.at_low)
    assert first["total"] == ""
    assert {row["group"] for row in rows} == {"hardware", "workload", "efficiency", "reliability", "power", "price"}
    assert all(row["source"] and row["kind"] for row in rows)
    shares = list(csv.DictReader(io.StringIO(render.csv_text(sobol))))
    assert float(shares[0]["total_conf"]) > 0.0


def test_every_method_is_drawn(tornado: Sensitivity, sobol: Sensitivity, morris: Sensitivity, tmp_path: Path) -> None:
    for found in (tornado, sobol, morris):
        render.save_plot(found, str(tmp_path / f"{found.method}.svg"))
        assert (tmp_path / f"{found.method}.svg").read_text("utf-8").startswith("<svg")
    render.save_plot(sobol, str(tmp_path / "sobol.json"))
    spec = json.loads((tmp_path / "sobol.json").read_text("utf-8"))
    drawn = [row for row in spec["datasets"][spec["concat"][0]["data"]["name"]] if row["share"] == "in all"]
    assert [row["parameter"] for row in drawn] == [each.parameter for each in sobol.outputs[0].effects]
    assert all(row["low"] <= row["value"] <= row["high"] for row in drawn)
