"""`clustercast rules`: one chip, all chips, through time, a chip of one's own."""

import csv
import io
from pathlib import Path

import pytest
from command_line import Cli

ROOT = Path(__file__).resolve().parents[2]


def test_a_chip_has_every_verdict_in_force(cli: Cli) -> None:
    document = cli("rules", "--chip", "h200", "--on", "2026-02-01", "--json").document
    assert document["schema"] == "clustercast.rules/1"
    assert {"chip", "tpp", "pd", "io_bytes_per_s", "verdicts"} <= set(document)
    found = {each["rule"]: each for each in document["verdicts"]}
    assert found["3A090 of October 2023"]["clause"] == "3A090.a.1"
    assert found["review policy of January 2026"]["caught"] is False
    assert found["import duty of January 2026"]["clause"] == "first band"


def test_it_says_that_it_is_no_legal_advice(cli: Cli) -> None:
    for arguments in (("--chip", "h20"), ("--all",), ("--chip", "h20", "--history")):
        assert "a screening aid, not legal advice" in cli("rules", *arguments).out.replace("\n", " ")


def test_what_another_reading_changes_is_said(cli: Cli) -> None:
    done = cli("rules", "--chip", "h20", "--on", "2026-02-01", "--proposed")
    assert "Read another way" in done.out
    text = " ".join(done.out.split())
    assert "own-links (the chip's own links are its I/O, the host bus is not): SAFE Chips bill: not caught" in text


def test_a_chip_that_the_user_changes(cli: Cli) -> None:
    done = cli("rules", "--chip", "h20", "--on", "2024-06-01", "--set", "chip.flops=160TFLOP/s", "--json").document
    assert done["tpp"] == 2560
    assert done["verdicts"][0]["clause"] == "3A090.b.1"
    assert "peaks.bf16" in done["changed"]
    smaller = cli("rules", "--chip", "h20", "--on", "2024-06-01", "--set", "chip.die_area=700mm2", "--json").document
    assert smaller["verdicts"][0]["clause"] == "3A090.b.2"
    links = cli(
        "rules", "--chip", "a800", "--on", "2023-06-01", "--set", "chip.io_bandwidth=664GB/s", "--json"
    ).document
    assert links["verdicts"][0]["caught"] is True


def test_a_chip_that_the_user_describes(cli: Cli, tmp_path: Path) -> None:
    text = (ROOT / "hardware_profiles/chips/h20-96gb.yaml").read_text(encoding="utf-8")
    own = tmp_path / "mine.yaml"
    own.write_text(text.replace("name: h20-96gb", "name: mine").replace("814 mm2", "700 mm2"), encoding="utf-8")
    document = cli("rules", "--chip", str(own), "--on", "2024-06-01", "--json").document
    assert (document["chip"], document["verdicts"][0]["clause"]) == ("mine", "3A090.b.2")


def test_all_chips_are_a_table_and_a_csv(cli: Cli, tmp_path: Path) -> None:
    done = cli("rules", "--all", "--on", "2026-02-01")
    assert max(map(len, done.out.splitlines())) <= 80
    document = cli("rules", "--all", "--on", "2026-02-01", "--json").document
    rows = list(csv.DictReader(io.StringIO(cli("rules", "--all", "--on", "2026-02-01", "--csv", "-").out)))
    assert len(document["chips"]) == len(rows) > 70
    h20 = next(row for row in rows if row["chip"] == "h20-96gb")
    assert h20["3A090 of October 2023"] == "not caught"
    assert h20["review policy of January 2026"] == "not applicable"
    path = tmp_path / "rules.csv"
    assert cli("rules", "--all", "--csv", str(path)).status == 0
    assert path.read_text(encoding="utf-8").startswith("chip,on,tpp,")


def test_history_lists_rules_and_events_by_date(cli: Cli) -> None:
    document = cli("rules", "--chip", "a800", "--history", "--json").document
    assert document["schema"] == "clustercast.rules-history/1"
    dates = [each["date"] for each in document["moments"]]
    assert dates == sorted(dates)
    assert {each["kind"] for each in document["moments"]} >= {"rule", "letter", "policy", "tariff", "bill", "event"}
    assert max(map(len, cli("rules", "--chip", "a800", "--history").out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "rules: say --chip or --all, one of the two"),
        (("--chip", "h20", "--all"), "rules: say --chip or --all, one of the two"),
        (("--all", "--history"), "--history is for --chip"),
        (("--all", "--set", "chip.power=1W"), "--set is for --chip"),
        (("--chip", "h20", "--csv", "-"), "--csv is for --all"),
        (("--chip", "h20", "--reading", "spars"), "unknown reading 'spars'"),
        (("--chip", "h20", "--set", "chip.speed=1"), "--set chip.speed: is not known"),
    ],
)
def test_wrong_input_is_said(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    done = cli("rules", *arguments)
    assert done.status == 2
    assert done.err.startswith(f"error: {message}")
