"""The October 2023 rule on chips whose verdict is known, and laws that every verdict obeys."""

import datetime

import pytest

from clustercast.catalog import chip_names, constants
from clustercast.studies import rules

DAY = datetime.date(2024, 6, 1)
OCTOBER_2023 = next(each for each in constants.table("rules")["rules"] if each["rule"].endswith("2023"))

KNOWN = [  # chip, TPP, PD, caught, clause
    ("h20", 2368, 2.91, False, None),
    ("a100", 4992, 6.04, True, "3A090.a.1"),
    ("a800", 4992, 6.04, True, "3A090.a.1"),
    ("h100", 15832, 19.45, True, "3A090.a.1"),
    ("v100", 2000, 2.45, False, None),
    ("l20-48gb", 1912, 3.14, False, None),
    ("l2-24gb", 1544, 5.25, False, None),
    ("l4-24gb", 1936, 6.59, True, "3A090.a.2"),
    ("a30-pcie-24gb", 2640, 3.20, True, "3A090.b.1"),
    ("a10-24gb", 2000, 3.18, False, None),
    ("t4-16gb", 1040, 1.91, False, None),
    ("rtx-4090", 5285, 8.69, True, "3A090.a.1"),
    ("rtx-4090d", 4707, 7.74, False, "3A090, note 2"),
    ("mi210", 2896, 4.0, True, "3A090.b.1"),
    ("ascend-910b3", 5008, 7.5, True, "3A090.a.1"),
]


@pytest.mark.parametrize(("chip", "tpp", "pd", "caught", "clause"), KNOWN, ids=[row[0] for row in KNOWN])
def test_the_2023_rule_on_known_chips(chip: str, tpp: float, pd: float, caught: bool, clause: str | None) -> None:
    result = rules.evaluate(chip, DAY)
    (verdict,) = result.verdicts
    assert result.tpp == pytest.approx(tpp, rel=2e-3)
    assert result.pd == pytest.approx(pd, rel=1e-2)
    assert (verdict.caught, verdict.clause) == (caught, clause)


def test_the_h20_is_just_under_the_line() -> None:
    (verdict,) = rules.evaluate("h20", DAY).verdicts
    assert verdict.margin == "98.7 % of the TPP line of 2400 (3A090.b.1), 32 below"


def test_the_2022_rule_looked_at_input_and_output() -> None:
    before = datetime.date(2023, 1, 1)
    assert [rules.evaluate(chip, before).verdicts[0].caught for chip in ("a100", "a800")] == [True, False]
    assert rules.evaluate("a100", datetime.date(2020, 1, 1)).verdicts == ()


def test_a_missing_die_area_leaves_the_verdict_open() -> None:
    unknown = rules.Measured(2000.0, None, None)
    assert rules.judge(OCTOBER_2023, unknown, True)[:2] == (None, "3A090.b.2")
    assert rules.margin(OCTOBER_2023, unknown, None, "3A090.b.2") == "caught by 3A090.b.2 if the die is at most 625 mm2"
    assert rules.judge(OCTOBER_2023, unknown._replace(tpp=5000.0), True)[0] is True
    assert rules.judge(OCTOBER_2023, unknown._replace(tpp=1000.0), True)[0] is False


def test_more_compute_or_a_smaller_die_never_frees_a_chip() -> None:
    for tpp in range(1000, 6000, 50):
        caught = [bool(rules.judge(OCTOBER_2023, rules.Measured(tpp, pd / 10, 0.0), True)[0]) for pd in range(90)]
        assert caught == sorted(caught)
    for pd in range(0, 90, 3):
        caught = [
            bool(rules.judge(OCTOBER_2023, rules.Measured(tpp, pd / 10, 0.0), True)[0]) for tpp in range(1000, 6000, 50)
        ]
        assert caught == sorted(caught)


@pytest.mark.parametrize("chip", chip_names())
def test_every_chip_has_a_verdict_inside_its_range(chip: str) -> None:
    result = rules.evaluate(chip, DAY)
    (verdict,) = result.verdicts
    assert result.tpp_low <= result.tpp <= result.tpp_high
    if result.pd is not None and result.pd_low is not None and result.pd_high is not None:
        assert result.pd_low <= result.pd <= result.pd_high
    if verdict.caught_low is not None and verdict.caught_high is not None:
        assert verdict.caught_low <= bool(verdict.caught) <= verdict.caught_high
    assert verdict.margin
