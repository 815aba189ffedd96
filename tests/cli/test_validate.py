"""`clustercast validate` says how wrong the model is, whatever the file holds."""

import csv
from pathlib import Path

from command_line import Cli

ROOT = Path(__file__).resolve().parents[2]
RECORD = str(ROOT / "bench/record/training.csv")
FEW = ("--where", "study=Megatron-LM SC21")


def test_the_packages_record_as_a_document(cli: Cli) -> None:
    done = cli("validate", "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["schema"] == "clustercast.validate/1"
    assert len(document["rows"]) == sum(each["n"] for each in document["files"]) > 500
    groups = {each["group"]: each for each in document["summary"]}
    assert groups["all"]["n_ok"] == groups["all"]["n"]
    assert {"metric:iteration_s", "metric:tpot_ms", "chip:a100-sxm4-80gb", "source:VIA-Research/vTrain"} <= set(groups)


def test_the_report_fits_the_page_and_shows_the_worst_rows(cli: Cli) -> None:
    done = cli("validate", RECORD, "--worst", "3")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    with Path(RECORD).open(newline="", encoding="utf-8") as file:
        n_complete = sum(row["complete"] == "yes" for row in csv.DictReader(file))
    assert lines[0].startswith(f"{n_complete} complete rows, {n_complete} answered (100.0 %).")
    assert "The worst 3 rows, by how many times the estimate is off" in lines
    assert done.out.count("made of ") == 3
    assert "…" not in done.out


def test_rows_that_cannot_be_done_are_counted_by_reason(cli: Cli, tmp_path: Path) -> None:
    header, *rows = Path(RECORD).read_text("utf-8").splitlines()
    chip = header.split(",").index("chip")
    cells = next(row for row in rows if '"' not in row and ",yes," in row).split(",")
    spoilt = [",".join([*cells[:chip], "", *cells[chip + 1 :]])] * 2
    path = tmp_path / "own.csv"
    path.write_text("\n".join([header, ",".join(cells), *spoilt, "cut,off"]) + "\n", encoding="utf-8")
    done = cli("validate", str(path))
    assert done.status == 0
    assert "4 complete rows, 1 answered (25.0 %)" in done.out
    assert "3 complete rows that cannot be done" in done.out
    assert "     2  chip is empty" in done.out
    assert f"     1  {path}:5: 2 cells, expected {len(cells)}" in " ".join(done.out.split()).replace("1 /", "     1  /")


def test_a_file_of_neither_form_is_wrong_input(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,chip,value\n", encoding="utf-8")
    done = cli("validate", str(path), "--json")
    assert (done.status, done.document["exit"]) == (2, 2)
    assert done.err.startswith(f"error: {path}:1: is neither form of measurements")


def test_a_filter_takes_the_short_name_of_a_chip_and_a_wrong_one_is_helped(cli: Cli) -> None:
    document = cli("validate", RECORD, "--where", "chip=v100", "--json").document
    assert {row["chip"] for row in document["rows"]} == {"v100-sxm2-32gb"}
    done = cli("validate", RECORD, "--where", "chip=w100")
    assert done.status == 2
    assert done.err.startswith("error: --where: no row has chip=w100\nhint: there are ")


def test_a_number_of_rows_below_none_is_said_so(cli: Cli) -> None:
    for text in ("-1", "many", "1.5"):
        done = cli("validate", RECORD, "--worst", text)
        assert (done.status, done.out) == (2, "")
        assert done.err == f"error: --worst: expected a whole number, 0 or more, got {text!r}\n"


def test_a_file_without_rows_and_one_without_complete_rows_are_said_so(cli: Cli, tmp_path: Path) -> None:
    header, first, *_ = Path(RECORD).read_text("utf-8").splitlines()
    empty, none = tmp_path / "empty.csv", tmp_path / "none.csv"
    empty.write_text(header + "\n", encoding="utf-8")
    none.write_text(f"{header}\n{first.replace(',yes,', ',no,')}\n", encoding="utf-8")
    assert cli("validate", str(empty)).out.startswith("No rows.")
    assert cli("validate", str(none)).out.startswith("1 row, none of them complete: nothing to judge.")
    assert cli("validate", str(empty), "--json").document["rows"] == []


def test_the_picture_is_written_where_it_is_asked_for(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "few.svg"
    done = cli("validate", RECORD, *FEW, "--plot", str(path))
    assert (done.status, done.err) == (0, "")
    assert path.read_text("utf-8").startswith("<svg")
    assert cli("validate", RECORD, "--plot", "few.pdf").err.startswith(
        "error: --plot: expected a name that ends in .svg, .png, .html, .json, got 'few.pdf'"
    )
