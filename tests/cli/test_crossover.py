"""`clustercast crossover`: the map as text, JSON, CSV and picture."""

import csv
import io
from pathlib import Path

from command_line import Cli

ASKED = (
    "crossover", "--chip", "h20", "--other", "h100", "--model", "llama-3.1-70b",
    "--batch", "1,32,1k", "--isl", "4096,65536",
)  # fmt: skip


def test_json_holds_every_point_and_every_turn(cli: Cli) -> None:
    done = cli(*ASKED, "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["schema"] == "clustercast.crossover/1"
    assert (document["chip"], document["other"]) == ("h20-96gb", "h100-sxm5-80gb")
    assert document["batches"] == [1, 32, 1000]
    assert len(document["cells"]) == 2 * 3 * 2
    for cell in document["cells"]:
        assert cell["phase"] in ("prefill", "decode")
        if cell["ratio"] is None:
            assert cell["winner"] in ("neither", "h20-96gb", "h100-sxm5-80gb")
        else:
            assert cell["ratio_low"] < cell["ratio"] < cell["ratio_high"]
    assert {(turn["chip"], turn["context"]) for turn in document["turns"]} == {
        (chip, context) for chip in ("h20-96gb", "h100-sxm5-80gb") for context in (4096, 65536)
    }


def test_the_tables_fit_the_page(cli: Cli) -> None:
    done = cli("crossover", "--chip", "h20", "--other", "h100", "--model", "llama-3.1-70b")
    lines = done.out.splitlines()
    assert (done.status, done.err) == (0, "")
    assert max(map(len, lines)) <= 80
    assert "Where decode turns from bandwidth-bound to compute-bound" in lines


def test_csv_has_one_row_per_point_and_alone_on_standard_output(cli: Cli, tmp_path: Path) -> None:
    done = cli(*ASKED, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert len(rows) == 12
    assert {row["chip"] for row in rows} == {"h20-96gb"}
    file = tmp_path / "map.csv"
    assert cli(*ASKED, "--csv", str(file)).status == 0
    assert file.read_text(encoding="utf-8").splitlines() == done.out.splitlines()


def test_a_picture_is_drawn(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "map.svg"
    done = cli(*ASKED, "--plot", str(file), "--json")
    assert done.status == 0
    drawn = file.read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert "decode, per chip" in drawn


def test_wrong_input_is_said(cli: Cli, tmp_path: Path) -> None:
    assert cli(*ASKED, "--plot", "map.txt").status == 2
    done = cli(*ASKED, "--csv", str(tmp_path / "none" / "map.csv"))
    assert (done.status, "cannot be written" in done.err) == (2, True)
    done = cli(*ASKED, "--set", "third.power=1W", "--json")
    assert (done.status, done.document["exit"]) == (2, 2)
    assert cli(*ASKED, "--count", "1").status == 3
