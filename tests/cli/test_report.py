"""`clustercast report`: a question, a sweep, a saved estimate; what is said, and what is refused."""

from pathlib import Path

import pytest
import reports
import sweep_folder
from command_line import Cli

QUESTION = ("--chip", "h20", "--model", "llama-3.1-8b", "--count", "8", "--tokens", "1e9", "--plan", reports.PLAN)


@pytest.mark.slow
def test_a_question_becomes_a_page(cli: Cli, tmp_path: Path) -> None:
    place = tmp_path / "out.html"
    done = cli("report", *QUESTION, "-o", str(place))
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("llama-3.1-8b on 8 h20-96gb\n")
    assert "sections, " in done.out
    written = place.read_text(encoding="utf-8")
    assert written.startswith("<!doctype html>")
    assert "clustercast report --chip h20 --model llama-3.1-8b --count 8" in written


def test_the_same_question_gives_the_same_bytes(cli: Cli, tmp_path: Path) -> None:
    once, again = (tmp_path / name for name in ("one.md", "two.md"))
    for place in (once, again):
        assert cli("report", *QUESTION, "-o", str(place)).status == 0
    assert once.read_bytes() == again.read_bytes()


def test_json_is_the_whole_document(cli: Cli, tmp_path: Path) -> None:
    document = cli("report", *QUESTION, "-o", str(tmp_path / "out.csv"), "--json").document
    assert document["schema"] == "clustercast.report/1"
    assert document["chips"][0]["estimate"]["training"]["step_s"] > 0.0
    assert document["timeline"]["n_stages"] == 2


def test_a_saved_estimate_becomes_a_page(cli: Cli, tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    saved.write_text(cli("estimate", *QUESTION, "--json").out, encoding="utf-8")
    done = cli("report", str(saved), "-o", str(tmp_path / "out.md"))
    assert (done.status, done.err) == (0, "")
    assert "# llama-3.1-8b on 8 h20-96gb" in (tmp_path / "out.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_sweep_becomes_a_page(cli: Cli, tmp_path: Path) -> None:
    folder = sweep_folder.write(tmp_path / "sweep", sweep_folder.by_hand())
    done = cli("report", str(folder), "-o", str(tmp_path / "out.md"))
    assert (done.status, done.err) == (0, "")
    written = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "# Two chips by hand" in written
    assert "clustercast query" in written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--chip", "h20", "-o", "out.md"), "--model is missing"),
        (("--model", "llama-3.1-8b", "-o", "out.md"), "--chip is missing"),
        (("saved.json", "--chip", "h20", "-o", "out.md"), "expected 'saved.json' or a question"),
        (("none.json", "-o", "out.md"), "'none.json' cannot be read: no such file"),
        ((*QUESTION, "-o", "out.pdf"), "-o: a PDF takes a browser"),
        ((*QUESTION, "-o", "out.docx"), "-o: expected a name that ends in .html"),
        (("--chip", "h20,h20", "--model", "llama-3.1-8b", "-o", "out.md"), "expected at most 6 different names"),
        (("--chip", "h21", "--model", "llama-3.1-8b", "-o", "out.md"), "h21"),
    ],
)
def test_wrong_input_is_refused_and_nothing_written(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("report", *arguments)
    assert done.status == 2
    assert said in done.err
    assert done.err.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_has_no_report(cli: Cli, tmp_path: Path) -> None:
    done = cli("report", "--chip", "v100", "--model", "llama-3.1-70b", "--count", "1", "-o", str(tmp_path / "out.md"))
    assert done.status == 3
    assert "does not fit" in done.err
    assert not list(tmp_path.iterdir())
