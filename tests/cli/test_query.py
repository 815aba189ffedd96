"""`clustercast query`: a table, JSON, CSV, a spreadsheet, a picture, and what is refused."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import sweep_folder
from command_line import Cli, heed_interrupts

from clustercast.cli import app
from clustercast.report import query


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(sweep_folder.write(tmp_path_factory.mktemp("sweep") / "out", sweep_folder.by_hand()))


def test_what_there_is(cli: Cli, folder: str) -> None:
    done = cli("query", folder)
    assert (done.status, done.err) == (0, "")
    assert "Two chips by hand: 96 points in 2 parts" in done.out
    assert "chip.hbm_bandwidth  axis    number  B/s" in done.out
    assert "break-even" in done.out
    assert cli("query", folder, "--list").out == done.out
    document = cli("query", folder, "--list", "--json").document
    assert document["schema"] == "clustercast.questions/1"
    assert {"name": "days", "role": "output", "kind": "number", "unit": "days"} in document["columns"]


def test_sql_on_the_page(cli: Cli, folder: str) -> None:
    done = cli("query", folder, "SELECT chip, count, min(days) AS days FROM points GROUP BY ALL ORDER BY ALL")
    assert done.out.splitlines()[2:5] == [
        "chip            count   days",
        "h100-sxm5-80gb     64    100",
        "h100-sxm5-80gb    128     50",
    ]
    done = cli("query", folder, "SELECT * FROM points", "--limit", "3")
    assert "3 of 96 rows; --limit shows more, --csv FILE writes all" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert "source: 96 points in 2 parts, study " in done.out


def test_json_has_units_and_null(cli: Cli, folder: str) -> None:
    done = cli("query", folder, "SELECT 'nan'::DOUBLE AS step_s, days, 1 AS a, 1 AS a FROM points LIMIT 1", "--json")
    document = done.document
    assert document["schema"] == "clustercast.query/1"
    assert (document["columns"], document["units"]) == (["step_s", "days", "a", "a"], ["s", "days", None, None])
    assert document["rows"] == [[None, 200.0, 1, 1]]
    assert (document["n_rows"], document["parts"], document["n_parts"], document["complete"]) == (1, 2, 2, True)


def test_a_map_where_chips_are_even(cli: Cli, folder: str) -> None:
    done = cli("query", folder, "break-even", "--x", "chip.hbm_bandwidth", "--y", "count", "--chips", "h20,h100")
    assert "     2.00 TB/s  4.00 TB/s  8.00 TB/s" in done.out
    assert "512          2          1        0.5" in done.out
    assert "even: chip.hbm_bandwidth 4.00 TB/s at 64," in done.out
    back = cli("query", folder, "break-even", "--where", '"chip.hbm_bandwidth" < 4e12', "--x", "count", "--y", "tp")
    assert "never even: h100-sxm5-80gb is better everywhere" in back.out
    one = cli("query", folder, "break-even", "--x", "chip.hbm_bandwidth", "--where", "count = 64", "--per", "none")
    assert "\neven: chip.hbm_bandwidth 4.00 TB/s\n" in one.out


def test_a_chip_that_alone_fits_is_named_in_the_map(cli: Cli, tmp_path: Path) -> None:
    table = {
        "point": list(range(6)), "chip": ["a-1", "a-1", "a-1", "b-2", "b-2", "b-2"], "batch": [1, 2, 2, 1, 1, 2],
        "input_len": [8, 8, 16, 8, 16, 8], "status": ["ok"] * 6, "tpot_ms": [1.0, 4.0, 1.0, 2.0, 1.0, 2.0],
    }  # fmt: skip
    done = cli("query", str(sweep_folder.write(tmp_path / "out", table)), "break-even")
    assert done.out.splitlines()[2:8] == [
        "batch across, input_len down",
        "      1   2",
        "16   <b  <a",
        " 8  0.5   2",
        "<name: only that one has a point that is ok",
        "even: batch 1.5 at 8 input_len",
    ]


def test_show_sql_prints_what_runs(cli: Cli, folder: str) -> None:
    shown = cli("query", folder, "top", "--n", "2", "--show-sql").out
    rows = cli("query", folder, shown, "--json").document["rows"]
    assert rows == cli("query", folder, "top", "--n", "2", "--json").document["rows"]


def test_csv_escapes_what_a_spreadsheet_would_compute(cli: Cli, folder: str, tmp_path: Path) -> None:
    sql = "SELECT '=1+1' AS a, '+2' AS b, '-3' AS c, '@x' AS d, -4.5 AS e, chr(27) || '[31m' AS \"=f\", NULL AS g"
    done = cli("query", folder, sql, "--csv", "-")
    assert list(csv.reader(io.StringIO(done.out))) == [
        ["a", "b", "c", "d", "e", "'=f", "g"],
        ["'=1+1", "'+2", "'-3", "'@x", "-4.5", "\\x1b[31m", ""],
    ]
    path = tmp_path / "rows.csv"
    assert cli("query", folder, "SELECT * FROM points", "--csv", str(path), "--limit", "1").status == 0
    assert len(path.read_text(encoding="utf-8").splitlines()) == 97
    assert "\x1b" not in cli("query", folder, sql).out


def test_a_spreadsheet_with_its_source(cli: Cli, folder: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    assert (
        cli("query", folder, "SELECT '=1+1' AS a, 'inf'::DOUBLE AS b, days FROM points", "--xlsx", str(path)).status
        == 0
    )
    with zipfile.ZipFile(path) as book:
        first = book.read("xl/worksheets/sheet1.xml").decode()
        assert book.read("xl/worksheets/sheet2.xml")
    assert "<f>" not in first
    assert first.count("<row ") == 97


@pytest.mark.parametrize(
    "question",
    [
        ("best",),
        ("break-even",),
        ("break-even", "--x", "chip.hbm_bandwidth", "--per", "model,count"),
        ("pareto", "--per", "model,chip"),
        ("plan-changes",),
        ("spread",),
        ("top", "--x", "count"),
        ("SELECT count, tp, min(days) AS d FROM points GROUP BY ALL", "--x", "count", "--y", "tp"),
        ("SELECT chip, count, min(days) AS d FROM points GROUP BY ALL",),
    ],
)
def test_pictures_name_their_study(cli: Cli, folder: str, tmp_path: Path, question: tuple[str, ...]) -> None:
    path = tmp_path / "drawn.json"
    done = cli("query", folder, *question, "--plot", str(path))
    assert (done.status, done.err) == (0, "")
    drawn = json.loads(path.read_text(encoding="utf-8"))
    assert drawn["title"]["text"].startswith("Two chips by hand")
    assert any("source: 96 points in 2 parts, study " in line for line in drawn["title"]["subtitle"])


def test_ticks_are_short(cli: Cli, folder: str, tmp_path: Path) -> None:
    path = tmp_path / "drawn.json"
    cli("query", folder, "SELECT days / 3 AS third, tp FROM points WHERE point < 4", "--plot", str(path))
    axis = json.loads(path.read_text(encoding="utf-8"))["concat"][0]["layer"][0]["encoding"]["x"]["axis"]
    assert axis == {"format": ".4~g"}


def test_a_picture_is_a_picture(cli: Cli, folder: str, tmp_path: Path) -> None:
    path = tmp_path / "map.svg"
    assert (
        cli("query", folder, "break-even", "--x", "count", "--y", "chip.hbm_bandwidth", "--plot", str(path)).status == 0
    )
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert "chip.hbm_bandwidth, B/s" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("summary", "--plot", "x.svg"), "--plot: summary has no picture"),
        (("SELECT chip FROM points", "--plot", "x.svg"), "--plot: expected two columns of numbers"),
        (("SELECT tp, days FROM points", "--plot", "x.svg", "--x", "no"), "the answer has no column of numbers 'no'"),
        (("SELECT a.days, b.tp FROM points a, points b, range(2)", "--plot", "x.svg"), "too many to draw"),
        (("SELECT 1", "--csv", "nowhere/x.csv"), "--csv: 'nowhere/x.csv' cannot be written"),
        (("SELECT 1", "--xlsx", "x.ods"), "--xlsx: expected a name that ends in .xlsx"),
        (("SELECT 1", "--timeout", "soon"), "--timeout: expected a time"),
        (("SELECT 1", "--memory", "much"), "--memory: expected an amount like 2GiB"),
        (("SELECT 1", "--limit", "few"), "--limit: expected a number"),
        (("best", "--n", "x"), "--n: expected a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    cli: Cli, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("query", folder, *arguments)
    assert (done.status, said in done.err) == (2, True), done.err
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_file_whose_question_fails(
    cli: Cli, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = "SELECT CASE WHEN a.point + b.point > 188 THEN error('halfway') ELSE 'x' END FROM points a, points b"
    for option, name in (("--csv", "x.csv"), ("--xlsx", "x.xlsx")):
        done = cli("query", folder, late, option, str(tmp_path / name))
        assert (done.status, "halfway" in done.err) == (2, True), done.err
    monkeypatch.setattr(query, "MOST_SHEET_ROWS", 50)
    done = cli("query", folder, "SELECT * FROM points", "--xlsx", str(tmp_path / "x.xlsx"))
    assert (done.status, "more than the 50 rows that a spreadsheet holds" in done.err) == (2, True)
    assert not list(tmp_path.iterdir())


def test_without_its_packages_it_says_what_to_install(cli: Cli, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    done = cli("query", folder, "SELECT 1")
    assert (done.status, "clustercast[sweep]" in done.err) == (2, True)


@pytest.mark.slow
def test_the_keyboard_ends_a_question(folder: str) -> None:
    endless = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT count(*) FROM r"
    command = [sys.executable, "-m", "clustercast", "query", folder, endless]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ),
        preexec_fn=heed_interrupts,  # noqa: PLW1509 (it calls one function of the system)
    ) as running:  # fmt: skip
        time.sleep(2.0)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (app.INTERRUPTED, b"", b"")
