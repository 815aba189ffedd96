"""The rules on chips whose verdict is known, the whole worked table, and laws that every verdict obeys."""

import csv
import datetime
from pathlib import Path

import pytest

from clustercast import catalog
from clustercast.catalog import chip_names, constants
from clustercast.errors import WrongInput
from clustercast.studies import rules

DAY = datetime.date(2024, 6, 1)
OCTOBER_2023 = next(each for each in constants.table("rules")["rules"] if each["rule"].endswith("2023"))
WORKED = list(csv.DictReader((Path(__file__).parent / "worked_rules.csv").read_text("utf-8").splitlines()))
IN_CATALOGUE = [row for row in WORKED if row["chip"] in set(chip_names())]
ABSENT = {  # of the worked table, not in the catalogue: no peak or no memory is published
    "rtx-pro-6000d",
    "gaudi3-hl328",
    "hygon-bw1000",
    "enflame-s60",
    "enflame-l600",
}
WHY_NOT = {  # where we differ from the worked table, and why
    ("a30-pcie-24gb", "tpp"): "661 INT4 TOPS x 4 are 2,644; the table took 330 INT8 TOPS x 8",
    ("l2-24gb", "tpp"): "193.2 FP8 TFLOP/s x 8 are 1,546; the table took 193",
    ("mi210", "tpp"): "181.2 TFLOP/s x 16 are 2,899; the table took 181",
    ("tpu-v5e", "tpp"): "197 BF16 TFLOP/s x 16 are 3,152; the table took 393 INT8 TOPS x 8",
    ("hygon-k100-ai", "tpp"): "the table leaves out a peak that only its vendor states",
    ("mi308x", "pd"): "the table leaves the die open; we take the MI300X's 2,400 mm2, down to 1,017",
    ("mi308x", "rule_2023"): "over 2,400 mm2 its density is 1.38, which no clause catches; over 1,017 it would",
    ("mi308x", "policy"): "follows from the die",
    ("mlu590", "letter"): "no I/O is published, so its sum with 2.0 TB/s is not known; the table took none",
    ("metax-c600", "letter"): "no I/O is published, so its sum with 3.6 TB/s is not known; the table took none",
    ("thead-ppu", "dram_gb_per_s"): "the table leaves out a bandwidth that one source gives",
}
CLAUSES = {
    "memory bandwidth": "BW",
    "I/O": "IO",
    "memory bandwidth and I/O together": "SUM",
    "TPP": "TPP",
    "TPP and density": "PD",
    "TPP and higher density": "PD",
}

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


def judged(chip: str) -> dict[str, rules.Verdict]:
    return {each.title: each.verdict for each in rules.history(chip).moments if each.verdict is not None}


@pytest.mark.parametrize(("chip", "tpp", "pd", "caught", "clause"), KNOWN, ids=[row[0] for row in KNOWN])
def test_the_2023_rule_on_known_chips(chip: str, tpp: float, pd: float, caught: bool, clause: str | None) -> None:
    result = rules.evaluate(chip, DAY)
    (verdict,) = result.verdicts
    assert result.tpp == pytest.approx(tpp, rel=2e-3)
    assert result.pd == pytest.approx(pd, rel=1e-2)
    assert (verdict.caught, verdict.clause) == (caught, clause)


def test_the_worked_table_is_covered() -> None:
    assert {row["chip"] for row in WORKED} - {row["chip"] for row in IN_CATALOGUE} == ABSENT
    assert len(IN_CATALOGUE) >= 75
    assert {chip for chip, _ in WHY_NOT} <= {row["chip"] for row in IN_CATALOGUE}


def measures_of(chip: str) -> dict[str, float | None]:
    profile = catalog.find_chip(chip)
    value = rules.measured(profile)
    fp64, fp32 = profile.get("peaks.fp64"), profile.get("vector.fp32")
    return {
        "tpp": value.tpp,
        "pd": value.pd,
        "dram_gb_per_s": None if value.dram is None else value.dram / 1e9,
        "io_gb_per_s": None if value.io is None else value.io / 1e9,
        "per_fp64": None if fp64 is None else 1e17 / fp64.value,
        "per_fp32": None if fp32 is None else 2e17 / fp32.value,
    }


@pytest.mark.parametrize("row", IN_CATALOGUE, ids=lambda row: row["chip"])
def test_every_measure_is_the_worked_table_s(row: dict[str, str]) -> None:
    for name, found in measures_of(row["chip"]).items():
        if (row["chip"], name) in WHY_NOT:
            continue
        if row[name] == "":
            assert found is None, name
        else:
            assert found == pytest.approx(float(row[name]), rel=5e-3 if name == "pd" else 2e-3), name


def test_the_differences_of_tpp_are_of_rounding_or_format() -> None:
    for row in IN_CATALOGUE:
        if (row["chip"], "tpp") in WHY_NOT and row["tpp"]:
            assert measures_of(row["chip"])["tpp"] == pytest.approx(float(row["tpp"]), rel=3e-3)


def verdict_2023(chip: str) -> str:
    verdict = judged(chip)["3A090 of October 2023"]
    if verdict.caught is None:
        return "?"
    if not verdict.caught:
        return "none(Note2)" if verdict.clause else "none"
    return str(verdict.clause) if catalog.find_chip(chip).data_centre else "3A090.a(NAC-eligible)"


@pytest.mark.parametrize("row", IN_CATALOGUE, ids=lambda row: row["chip"])
def test_every_verdict_is_the_worked_table_s(row: dict[str, str]) -> None:
    chip = row["chip"]
    found = judged(chip)
    letter, bill = found["letter of April 2025"], found["SAFE Chips bill"]
    policy, duty = found["review policy of January 2026"], found["import duty of January 2026"]
    over = rules.all_clauses(rules.rule_of(letter.rule), rules.measured(catalog.find_chip(chip)))
    ours = {
        "rule_2022": {True: "caught", False: "no", None: "?"}[found["3A090 of October 2022"].caught],
        "rule_2023": verdict_2023(chip),
        "letter": "+".join(CLAUSES[each] for each in over) or "no",
        "policy": {True: "denial", False: "case-by-case", None: "?"}[policy.caught] if policy.applies else "n/a",
        "duty": {"first band": "band1", "second band": "band2", None: ""}[duty.clause],
    }
    for name, verdict in ours.items():
        if (chip, name) not in WHY_NOT and row[name] != "?":
            assert verdict == row[name], name
    # the table names density only where compute alone is under the line
    theirs = {each for each in row["bill"].split("+") if each not in ("no", "?")}
    assert {CLAUSES[each] for each in bill.clauses} - {"PD"} == theirs - {"PD"}
    # the letter went to three vendors: others may be over its lines, and it is not about them
    assert letter.applies == (catalog.find_chip(chip).vendor in ("NVIDIA", "AMD", "Intel"))


def test_country_caps_count_the_worked_numbers_of_chips() -> None:
    cap = next(each for each in constants.table("rules")["caps"] if each["limit"] == 7.9e8)
    for row in IN_CATALOGUE:
        counts, each = rules.contribution(cap, catalog.find_chip(row["chip"]))
        if row["per_country_cap"]:
            assert counts
            assert each is not None
            assert cap["limit"] / each == pytest.approx(float(row["per_country_cap"]), rel=3e-3)
        else:
            assert not counts


def test_the_h20_is_just_under_the_line() -> None:
    (verdict,) = rules.evaluate("h20", DAY).verdicts
    assert verdict.margin == "98.7 % of the TPP line of 2400 (3A090.b.1), 32 below"


def test_the_mi325x_is_81_tpp_below_the_line_of_2026() -> None:
    verdict = rules.evaluate("mi325x", datetime.date(2026, 2, 1)).verdict("review policy of January 2026")
    assert verdict.caught is False
    assert verdict.margin == "99.6 % of the TPP line of 21000 (TPP of 21,000 or more), 80.8 below"
    assert verdict.consequence.startswith("case by case")


def test_the_letter_says_nothing_new_of_what_needs_a_licence_already() -> None:
    day = datetime.date(2025, 6, 1)
    h20, h100 = (rules.evaluate(chip, day).verdict("letter of April 2025") for chip in ("h20", "h100"))
    assert (h20.caught, h20.clauses) == (True, ("memory bandwidth", "memory bandwidth and I/O together"))
    assert h20.consequence.startswith("licence")
    assert h100.consequence.startswith("nothing new")
    assert not rules.evaluate("910b", day).verdict("letter of April 2025").applies


def test_a_bill_is_asked_for() -> None:
    day = datetime.date(2026, 2, 1)
    usual, more = rules.evaluate("h20", day), rules.evaluate("h20", day, proposed=True)
    assert {each.rule for each in more.verdicts} - {each.rule for each in usual.verdicts} == {"SAFE Chips bill"}
    # 4,000 + 900 GB/s pass a line of 5,000; with 128 of the host bus they do not
    assert more.verdict("SAFE Chips bill").caught
    changed = {each.reading: [change.rule for change in each.changes] for each in more.readings}
    assert "SAFE Chips bill" in changed["own-links"]


def test_the_debate_s_figure_for_the_4090_is_a_reading() -> None:
    result = rules.evaluate("rtx-4090", DAY, reading="16-bit")
    assert result.tpp == pytest.approx(2643, rel=1e-3)
    assert result.verdicts[0].clause == "3A090, note 2"


def test_packages_divide_by_their_dies_and_keep_their_density() -> None:
    whole, part = rules.evaluate("mi250", DAY), rules.evaluate("mi250", DAY, reading="per-die")
    assert part.tpp == whole.tpp / 2
    assert part.pd == pytest.approx(whole.pd)
    assert part.dram_bytes_per_s == whole.dram_bytes_per_s / 2


def test_tpp_scales_with_compute() -> None:
    double = rules.evaluate("h20", DAY, ("chip.flops=296TFLOP/s",))
    assert double.tpp == 2 * rules.evaluate("h20", DAY).tpp
    assert double.pd == 2 * (rules.evaluate("h20", DAY).pd or 0.0)
    assert "peaks.bf16" in double.changed
    assert double.verdicts[0].clause == "3A090.b.1"


def test_a_chip_is_caught_from_the_line_on_and_not_below() -> None:
    caught = [
        rules.evaluate("h20", DAY, (f"chip.flops={flops}TFLOP/s",)).verdicts[0].caught for flops in (149.9, 150.0)
    ]
    assert caught == [False, True]


def test_wrong_settings_and_readings_are_refused() -> None:
    with pytest.raises(WrongInput, match="expected chip"):
        rules.evaluate("h20", DAY, ("flops=1",))
    with pytest.raises(WrongInput, match="unknown reading 'spars'") as caught:
        rules.evaluate("h20", DAY, reading="spars")
    assert caught.value.hint == "did you mean sparse?"


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


def test_every_rule_s_dates_are_in_order_and_its_source_is_named() -> None:
    table = constants.table("rules")
    for entry in (*table["rules"], *table["caps"]):
        effective, until = str(entry["effective"]), str(entry["until"] or rules.FOR_EVER)
        assert datetime.date.fromisoformat(effective) < datetime.date.fromisoformat(until)
        assert entry["source"] in table["sources"]
        assert entry["confidence"] in ("federal-register", "law-firm", "filing", "press", "unverified")
    for event in table["events"]:
        assert datetime.date.fromisoformat(str(event["date"]))
        assert event["source"] in table["sources"]
    assert set(table["dies"]) <= set(chip_names())


def test_every_bound_is_a_range_of_something_that_is_measured() -> None:
    for entry in constants.table("rules")["rules"]:
        for clause in entry["clauses"]:
            for name, bounds in clause["bounds"].items():
                low, high, _ = rules.line_of(bounds)
                assert 0.0 < low < high
                assert hasattr(rules.Measured(1.0, 1.0, 1.0, 1.0), name)


def test_history_is_in_order_and_holds_every_rule() -> None:
    found = rules.history("h20")
    assert [each.date for each in found.moments] == sorted(each.date for each in found.moments)
    table = constants.table("rules")
    assert len(found.moments) == len(table["rules"]) + len(table["events"])


def test_the_table_holds_every_chip_once() -> None:
    found = rules.evaluate_all(DAY)
    assert sorted(each.chip for each in found.chips) == chip_names()
    assert [each.tpp for each in found.chips] == sorted((each.tpp for each in found.chips), reverse=True)


def test_caps_are_sums() -> None:
    h100, h20 = catalog.find_chip("h100"), catalog.find_chip("h20")
    one = {each.cap: each for each in rules.caps([(h100, 1.0)])}
    many = {each.cap: each for each in rules.caps([(h100, 1700.0), (h20, 100000.0)])}
    name = "low processing performance exception"
    assert one[name].limit / one[name].held == pytest.approx(1699, rel=1e-3)
    # the H20 is not 3A090.a: a hundred thousand of them add nothing
    assert many[name].held == 1700 * one[name].held
    assert not many[name].within
    assert many["national verified end user, 2025"].held == pytest.approx(1700)
    assert one["country cap of the diffusion rule"].limit / one[name].held == pytest.approx(49_899, rel=1e-4)
    assert many["supercomputer, FP32"].counted == (h100.name, h20.name)


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


def test_a_cap_is_open_where_nobody_knows_what_a_chip_adds() -> None:
    trainium, h100 = catalog.find_chip("trainium2"), catalog.find_chip("h100")
    name = "supercomputer, FP64"
    found = {each.cap: each for each in rules.caps([(trainium, 10.0), (h100, 1.0)])}[name]
    assert (found.within, found.unknown) == (None, (trainium.name,))
    over = {each.cap: each for each in rules.caps([(trainium, 10.0), (h100, 2000.0)])}[name]
    assert over.within is False
