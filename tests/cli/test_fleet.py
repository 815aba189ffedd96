"""`clustercast fleet`: equivalents as text, JSON and CSV; caps on sums."""

import csv
import io
from pathlib import Path

from command_line import Cli

FLEET = ("fleet", "--fleet", "h20=50k,h100=10000", "--on", "2025-02-01")


def test_json_holds_every_measure_and_cap(cli: Cli) -> None:
    done = cli(*FLEET, "--json")
    assert done.status == 0
    document = done.document
    assert document["schema"] == "clustercast.fleet/1"
    assert document["n_chips"] == 60_000
    assert set(document["totals"]) == {"tpp", "training", "prefill", "decode", "hbm_bandwidth", "hbm_capacity"}
    assert document["totals"]["tpp"]["equivalents"] < document["totals"]["decode"]["equivalents"]
    assert [cap["in_force"] for cap in document["caps"]].count(True) == len(document["caps"])


def test_the_page_fits_and_names_the_spread(cli: Cli) -> None:
    done = cli(*FLEET)
    assert max(map(len, done.out.splitlines())) <= 80
    assert "The measures differ" in " ".join(done.out.split())
    assert "does not count: h20-96gb" in " ".join(done.out.split())
    assert "a screening aid, not legal advice" in " ".join(done.out.split())


def test_csv_has_a_row_per_chip_and_measure(cli: Cli, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(cli(*FLEET, "--csv", "-").out)))
    assert len(rows) == 2 * 6
    assert {row["reference"] for row in rows} == {"h100-sxm5-80gb"}
    held = tmp_path / "held.csv"
    held.write_text("chip,count\nh20,50k\nh100,10000\n", encoding="utf-8")
    again = cli("fleet", "--fleet", str(held), "--csv", "-").out
    assert again == cli(*FLEET, "--csv", "-").out


def test_another_chip_may_be_the_yardstick(cli: Cli) -> None:
    document = cli(*FLEET, "--in", "h20", "--json").document
    assert document["rows"][0]["equivalents"]["decode"]["all"] == 50_000


def test_a_shorter_time_per_token_favours_bandwidth(cli: Cli) -> None:
    usual, fast = (
        cli(*FLEET, *tpot, "--json").document["rows"][0]["equivalents"]["decode"]["each"]
        for tpot in ((), ("--tpot", "20ms"))
    )
    assert usual < fast


def test_wrong_input_is_said(cli: Cli) -> None:
    done = cli("fleet", "--fleet", "h20")
    assert (done.status, done.err.splitlines()[0]) == (2, "error: --fleet: expected <chip>=<count>, got 'h20'")
    assert cli("fleet", "--fleet", "h21=5").status == 2
    assert cli("fleet", "--fleet", "h20=5", "--csv", "none/there.csv").status == 2
