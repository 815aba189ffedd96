"""Fleets in equivalents: a chip is one of itself, sums add, what a rule does not count does not count."""

import datetime
from pathlib import Path

import pytest

import clustercast
from clustercast.errors import WrongInput
from clustercast.studies.fleet import BANDWIDTH, CAPACITY, MEASURES, TPP, Fleet, chips_of
from clustercast.studies.throughput import DECODE, PREFILL, TRAINING

MIXED = {"h20": 50_000, "h100": 10_000, "a100": 30_000}


@pytest.fixture(scope="module")
def mixed() -> Fleet:
    return clustercast.fleet(MIXED, on=datetime.date(2025, 2, 1))


def test_n_reference_chips_are_n_by_every_measure() -> None:
    for reference in ("h100", "h20"):
        found = clustercast.fleet({reference: 1234}, reference=reference)
        for measure in MEASURES:
            total = found.totals[measure]
            assert (total.equivalents, total.low, total.high) == (1234, 1234, 1234), measure
        assert found.spread == 1.0


def test_an_h20_is_15_percent_of_an_h100_on_paper_and_more_where_memory_binds(mixed: Fleet) -> None:
    h20 = mixed.rows[0].equivalents
    assert h20[TPP].each == pytest.approx(2368 / 15832, rel=1e-4)
    assert h20[BANDWIDTH].each == pytest.approx(4.0 / 3.35)
    assert h20[CAPACITY].each == pytest.approx(96 / 80)
    each = {measure: h20[measure].each or 0.0 for measure in MEASURES}
    assert each[TPP] < each[PREFILL] < each[DECODE] < each[BANDWIDTH]
    assert each[TPP] < each[TRAINING] < each[DECODE]


def test_equivalents_add_up(mixed: Fleet) -> None:
    for measure in MEASURES:
        parts = [row.equivalents[measure].all or 0.0 for row in mixed.rows]
        total = mixed.totals[measure]
        assert total.equivalents == pytest.approx(sum(parts))
        assert total.low <= total.equivalents <= total.high
        assert sum(total.shares.values()) == pytest.approx(1.0)
        assert not total.missing
    assert mixed.n_chips == 90_000
    assert mixed.tpp == pytest.approx(sum(row.count * row.tpp for row in mixed.rows))
    assert mixed.power_mw == pytest.approx(sum(row.power_mw or 0.0 for row in mixed.rows))


def test_twice_the_fleet_is_twice_of_everything(mixed: Fleet) -> None:
    double = clustercast.fleet({name: 2 * count for name, count in MIXED.items()})
    for measure in MEASURES:
        assert double.totals[measure].equivalents == pytest.approx(2 * mixed.totals[measure].equivalents)
    assert double.buy_usd == pytest.approx(2 * mixed.buy_usd)


def test_caps_count_what_the_rule_catches(mixed: Fleet) -> None:
    cap = next(each for each in mixed.caps if each.cap == "country cap of the diffusion rule")
    assert cap.in_force
    assert set(cap.counted) == {"h100-sxm5-80gb", "a100-sxm4-80gb"}
    assert cap.held == pytest.approx(10_000 * 15_832 + 30_000 * 4_992, rel=1e-4)
    later = clustercast.fleet({"h100": 1}, on=datetime.date(2025, 6, 1))
    assert not next(each for each in later.caps if each.cap == cap.cap).in_force


def test_a_chip_that_holds_no_replica_is_missing_and_says_why() -> None:
    found = clustercast.fleet({"h100": 10, "tpu-v3": 10}, model="gpt-4-1.8t", n_chips=64)
    row = found.rows[1].equivalents
    assert row[TRAINING].each is None
    assert "fits no plan" in row[TRAINING].why
    assert found.totals[TRAINING].missing[-1:] == ("tpu-v3",)
    assert row[TPP].each is not None


def test_fleets_are_read_from_text_and_files(tmp_path: Path) -> None:
    expected = (("h20", 50_000.0), ("h800", 10_000.0))
    assert chips_of("h20=50k, h800=10000") == expected
    assert chips_of({"h20": 50_000, "h800": "10k"}) == expected  # type: ignore[dict-item]
    (tmp_path / "held.yaml").write_text("h20: 50k\nh800: 10000\n", encoding="utf-8")
    (tmp_path / "held.csv").write_text("chip,count\nh20,50000\nh800,10k\n", encoding="utf-8")
    assert chips_of(str(tmp_path / "held.yaml")) == chips_of(str(tmp_path / "held.csv")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h20", "expected <chip>=<count>"),
        ("h20=", "expected <chip>=<count>"),
        ("h20=many", "expected a number like 50000 or 50k"),
        ("h20=0", "expected a count from 1"),
        ("h20=1,h20=2", "h20 is given twice"),
        ("none.csv", "cannot be read"),
    ],
)
def test_what_is_no_fleet_is_refused(text: str, message: str) -> None:
    with pytest.raises(WrongInput, match=message):
        chips_of(text)


def test_an_empty_fleet_and_an_unknown_chip_are_refused() -> None:
    with pytest.raises(WrongInput, match="names no chip"):
        clustercast.fleet({})
    with pytest.raises(WrongInput, match="unknown chip"):
        clustercast.fleet({"h21": 1})


@pytest.mark.parametrize("tpot_s", [0.0, -0.05])
def test_an_objective_that_no_chip_can_hold_is_refused(tpot_s: float) -> None:
    with pytest.raises(WrongInput, match="--tpot: expected a time above 0"):
        clustercast.fleet({"h20": 1}, tpot_s=tpot_s)


def test_half_a_chip_is_no_fleet() -> None:
    with pytest.raises(WrongInput, match="expected a count from 1"):
        clustercast.fleet({"h20": 0.5})
