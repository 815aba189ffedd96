"""`clustercast compare` and `clustercast why`: text, JSON, CSV, spreadsheet, picture."""

import csv
import io
import zipfile
from pathlib import Path

import pytest
from command_line import Cli

ASKED = ("compare", "--chip", "h100,h20", "--chip", "v100", "--model", "8B,mixtral-8x7b", "--count", "64")


def test_json_holds_every_chip_and_model(cli: Cli) -> None:
    done = cli(*ASKED, "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["schema"] == "clustercast.compare/1"
    assert len(document["rows"]) == 6
    assert document["rows"][0]["jobs"]["training"]["equals_reference"] == 1.0


def test_the_tables_fit_the_page_and_mark_an_open_order(cli: Cli) -> None:
    done = cli(*ASKED)
    assert done.status == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert "dense-8b: decode" in done.out
    assert "= 1 ref." in done.out


def test_csv_has_a_row_per_model_and_chip(cli: Cli, tmp_path: Path) -> None:
    done = cli(*ASKED, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["chip"] for row in rows] == ["h100-sxm5-80gb", "h20-96gb", "v100-sxm2-32gb"] * 2
    assert float(rows[0]["decode_tokens_per_s_per_chip"]) > 0.0
    file = tmp_path / "compare.csv"
    assert cli(*ASKED, "--csv", str(file)).status == 0
    assert file.read_text(encoding="utf-8").splitlines() == done.out.splitlines()


def test_a_spreadsheet_and_a_picture_are_written(cli: Cli, tmp_path: Path) -> None:
    book, picture = tmp_path / "compare.xlsx", tmp_path / "compare.svg"
    assert cli(*ASKED, "--xlsx", str(book), "--plot", str(picture)).status == 0
    assert "xl/worksheets/sheet1.xml" in zipfile.ZipFile(book).namelist()
    assert "h20-96gb" in picture.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--equal", "weight"), "expected one of cards"),
        (("--xlsx", "table.xls"), "ends in .xlsx"),
        (("--plot", "picture.txt"), "--plot"),
        (("--reference", "h800"), "not among the chips"),
    ],
)
def test_a_wrong_question_ends_with_2(cli: Cli, more: tuple[str, ...], said: str) -> None:
    done = cli(*ASKED, *more)
    assert done.status == 2
    assert said in done.err


def test_why_says_the_plank_and_the_way(cli: Cli) -> None:
    asked = ("why", "--chip", "h20", "--model", "llama-3.1-8b", "--other", "h100", "--count", "8")
    done = cli(*asked)
    assert done.status == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert "training by compute" in done.out.replace("\n", " ")
    assert "times as many tokens/s" in done.out
    document = cli(*asked, "--json").document
    assert document["schema"] == "clustercast.why/1"
    assert [one["job"] for one in document["jobs"]] == ["training", "prefill", "decode"]


def test_why_without_an_answer_ends_with_3(cli: Cli) -> None:
    done = cli("why", "--chip", "v100", "--model", "deepseek-v3", "--count", "1")
    assert done.status == 3
    assert "does not fit" in done.err


def test_text_says_each_count_and_which_price_is_guessed(cli: Cli) -> None:
    done = cli("compare", "--chip", "h800", "--model", "8B,70B", "--batch", "8", "--gbs", "64")
    assert done.status == 0
    assert done.out.startswith("1 chip on equal cards")
    assert "so guessed: h800-sxm5-80gb" in done.out


def test_nothing_that_fits_is_no_answer(cli: Cli) -> None:
    done = cli("compare", "--chip", "h20", "--model", "1.8T", "--count", "8", "--json")
    assert done.status == 3
    assert done.document["exit"] == 3
