"""Designs stay inside their limits, tighter limits never help, and real chips stand where they should."""

import dataclasses
import datetime
import itertools

import pytest

import clustercast
from clustercast import catalog
from clustercast.catalog import constants
from clustercast.errors import NoAnswer, WrongInput
from clustercast.physics.die import logic_mm2
from clustercast.studies import design as study
from clustercast.studies import rules
from clustercast.studies.design import PURPOSES, Design, DesignAsked, Frame, Limits, Workshop

SETS = tuple(each["set"] for each in constants.table("design")["rule_sets"])
ASKED = DesignAsked()


@pytest.fixture(scope="module")
def found() -> Design:
    return clustercast.design()


@pytest.fixture(scope="module")
def frame() -> Frame:
    return study.frame_of(ASKED, catalog.find_chip("h20"))


@pytest.fixture(scope="module")
def workshop(frame: Frame) -> Workshop:
    made = Workshop(ASKED, (), frame)
    made.bases = (made.chip("h20"), made.chip("h100"))
    made.choose_layouts([study.candidates(study.set_of("2023"), frame)[0]])
    return made


def frontier(area: float) -> float:
    """The most TPP that the rule of October 2023 leaves at a die area, written out."""
    return max(min(2400.0, max(1600.0, 3.2 * area)), min(4800.0, 1.6 * area))


@pytest.mark.parametrize("area", [100.0, 300.0, 500.0, 608.0, 750.0, 814.0, 1500.0, 1628.0, 2400.0, 3000.0, 4000.0])
def test_the_frontier_is_the_one_that_is_worked_out_by_hand(area: float) -> None:
    assert study.most_tpp(study.set_of("2023"), area) == pytest.approx(frontier(area), rel=1e-6)


def test_the_h20_is_almost_on_the_frontier(found: Design) -> None:
    h20 = next(each for each in found.standings if each.point.name == "h20-96gb")
    assert h20.point.holds
    for job in PURPOSES:
        assert 0.97 < (h20.share[job] or 0.0) < 1.0
    assert h20.tpp_share == pytest.approx(0.987, abs=5e-4)
    shares = {each.point.name: each.tpp_share for each in found.standings}
    assert shares["l20-48gb"] == pytest.approx(0.983, abs=2e-3)


def test_the_best_chip_under_the_rule_of_2023_spends_what_the_rule_leaves_free(found: Design) -> None:
    point = found.point
    assert point.tpp == pytest.approx(2400)
    assert point.bound_by == ("TPP", "6 memory stacks", "links")
    assert point.hbm_bytes_per_s == pytest.approx(6 * 670e9)
    # the die is bought for its density and its edge, not for its transistors
    assert (point.needed_area_mm2 or 0.0) < 0.4 * (point.die_area_mm2 or 0.0)


def test_the_letter_takes_decode_and_leaves_training(found: Design) -> None:
    before, after = found.rule_sets["2023"], found.rule_sets["letter"]
    left = {job: (after[job].tokens_per_s or 0.0) / (before[job].tokens_per_s or 1.0) for job in PURPOSES}
    assert left["training"] > 0.9
    assert left["prefill"] > 0.9
    assert left["decode"] < 0.65


def test_rules_only_take_away(found: Design) -> None:
    for job in PURPOSES:
        free = found.rule_sets["none"][job].tokens_per_s or 0.0
        for name in SETS:
            assert (found.rule_sets[name][job].tokens_per_s or 0.0) <= free * 1.001
        more = found.rule_sets["2023"][job].tokens_per_s or 0.0
        assert (found.rule_sets["letter"][job].tokens_per_s or 0.0) <= more * 1.001


def test_the_curve_rises(found: Design) -> None:
    assert [step.value for step in found.curve] == sorted(step.value for step in found.curve)
    for job in ("training", "prefill", "decode"):
        rates = [step.tokens_per_s[job] or 0.0 for step in found.curve]
        assert all(later >= earlier * 0.999 for earlier, later in itertools.pairwise(rates))


def test_every_bound_costs_and_the_tighter_one_more(found: Design) -> None:
    by_cap: dict[str, list[study.Step]] = {}
    for step in found.cap_costs:
        by_cap.setdefault(step.cap, []).append(step)
    assert set(by_cap) == {"tpp", "pd", "hbm_bandwidth", "hbm_capacity", "io"}
    for steps in by_cap.values():
        looser, tighter = steps
        assert tighter.value < looser.value
        for job in PURPOSES:
            assert (tighter.change[job] or 0.0) <= (looser.change[job] or 0.0) + 0.002 <= 0.004
    # compute costs training, bandwidth costs decode
    half = {cap: steps[1].change for cap, steps in by_cap.items()}
    assert (half["tpp"]["training"] or 0.0) < -0.4 < (half["hbm_bandwidth"]["training"] or 0.0)
    assert (half["hbm_bandwidth"]["decode"] or 0.0) < (half["hbm_bandwidth"]["prefill"] or 0.0)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("tpp", (2400.0, 1800.0, 900.0, 300.0)),
        ("hbm_bandwidth", (4e12, 3e12, 1.4e12, 0.7e12)),
        ("hbm_capacity", (96 * 2.0**30, 64 * 2.0**30, 40 * 2.0**30)),
        ("io", (1.0e12, 6e11, 2e11)),
        ("hbm_bandwidth+io", (5e12, 3e12, 1.7e12)),
        ("cost", (3600.0, 3000.0, 2500.0)),
    ],
)
def test_a_tighter_cap_never_raises_the_optimum(workshop: Workshop, key: str, values: tuple[float, ...]) -> None:
    limits = study.set_of("2023")
    for job in ("training", "prefill", "decode"):
        rates = [
            study.best_of(workshop, limits.with_cap(key, value), (job,))[job].tokens_per_s or 0.0 for value in values
        ]
        assert all(later <= earlier * 1.003 for earlier, later in itertools.pairwise(rates)), job


@pytest.mark.parametrize("name", SETS)
def test_no_design_is_caught_or_larger_than_its_silicon(frame: Frame, name: str) -> None:
    limits = study.set_of(name)
    tried = study.candidates(limits, frame)
    assert tried
    for spec in tried:
        assert not study.caught(limits, frame.measured(spec))
        assert frame.needed_mm2(spec) <= spec.die_mm2 * (1 + 1e-9)
        assert spec.hbm_bytes_per_s <= spec.n_stacks * frame.silicon.stack_bytes_per_s * (1 + 1e-9)


@pytest.mark.parametrize("name", SETS)
def test_a_little_more_of_what_a_rule_bounds_is_caught(frame: Frame, name: str) -> None:
    limits = study.set_of(name)
    grown = {"TPP": "flop_per_s", "memory bandwidth": "hbm_bytes_per_s", "I/O": "link_bytes_per_s"}
    for spec in study.candidates(limits, frame):
        for word, what in grown.items():
            if word in study.bounds_of(limits, frame, spec):
                larger = spec._replace(**{what: getattr(spec, what) * 1.001})
                assert study.caught(limits, frame.measured(larger))


def test_a_design_can_be_asked_of_the_other_commands(found: Design, frame: Frame) -> None:
    spec = study.candidates(study.set_of("2023"), frame)[0]
    settings = study.settings_of(spec, catalog.find_chip("h20"), frame)
    result = rules.evaluate("h20", datetime.date(2024, 6, 1), settings)
    assert result.tpp == pytest.approx(2400)
    assert not result.verdicts[0].caught
    asked = clustercast.estimate("h20", "llama-3.1-70b", n_chips=1024, settings=settings)
    assert asked.training is not None
    # the base is an H20 all but for a hundredth of the way to an H100
    assert asked.training.tokens_per_s_per_chip == pytest.approx(found.best["training"].tokens_per_s, rel=5e-3)


@pytest.mark.parametrize(
    ("chip", "node", "tolerance"), [("h100", "4n", 0.02), ("a100", "7nm", 0.05), ("b200", "4n", 0.1)]
)
def test_real_dies_are_as_large_as_the_model_says(chip: str, node: str, tolerance: float) -> None:
    profile = catalog.find_chip(chip)
    n_dies = rules.n_dies(profile)
    one = study.silicon_of(dataclasses.replace(ASKED, node=node, n_dies=n_dies))
    n_sites = {"h100": 6.0, "a100": 6.0, "b200": 8.0}[chip]
    area = logic_mm2(
        profile.value("peaks.bf16"),
        n_sites,
        profile.value("scale_up.per_direction"),
        one.base_mm2 * n_dies,
        one.stack_mm2,
        one.flop_per_s_per_mm2,
        one.link_bytes_per_s_per_mm2,
    )
    assert area == pytest.approx(profile.value("die_area"), rel=tolerance)


def test_an_h100_costs_about_what_is_published(frame: Frame) -> None:
    spec = study.Spec(989e12, 814.0, 5, 3.35e12, 80 * 2.0**30, 450e9)
    assert frame.usd(spec) == pytest.approx(3320, rel=0.05)
    assert frame.watts(spec) == pytest.approx(700, rel=0.01)


def test_limits_of_a_day_are_rules_and_letters() -> None:
    asked = dataclasses.replace(ASKED, on=datetime.date(2025, 6, 1))
    assert [rule["rule"] for rule in study.limits_of(asked).rules] == [
        "3A090 of October 2023",
        "letter of April 2025",
    ]
    before = dataclasses.replace(ASKED, on=datetime.date(2023, 1, 1))
    assert [rule["rule"] for rule in study.limits_of(before).rules] == ["3A090 of October 2022"]


def test_caps_are_read_with_their_units() -> None:
    limits = study.limits_of(dataclasses.replace(ASKED, caps=("hbm_bandwidth=1.4TB/s", "tpp=1600")))
    assert limits.caps == {"hbm_bandwidth": 1.4e12, "tpp": 1600.0}
    assert Limits("", (), {"tpp": 5.0}).with_cap("tpp", 7.0).caps == {"tpp": 5.0}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"caps": ("bandwidth=1TB/s",)}, "expected <what>=<value>"),
        ({"caps": ("io=1",)}, "--cap io: '1' has no unit"),
        ({"caps": ("tpp=1", "tpp=2")}, "tpp is given twice"),
        ({"rule": "2024"}, "unknown rule set '2024'"),
        ({"memory": "hbm5"}, "unknown memory 'hbm5'"),
        ({"node": "3nm"}, "unknown node '3nm'"),
        ({"n_dies": 0}, "--dies: expected a whole number"),
        ({"purpose": "games"}, "--for: expected one of"),
        ({"rule": "2023", "on": datetime.date(2024, 1, 1)}, "--rule and --on"),
    ],
)
def test_wrong_questions_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(WrongInput, match=message):
        study.design(dataclasses.replace(ASKED, **fields))  # type: ignore[arg-type]


def test_where_no_chip_is_within_the_limits_the_answer_says_so() -> None:
    with pytest.raises(NoAnswer, match="no chip is within the limits: 3A090 of October 2023, power up to 100 W"):
        clustercast.design(caps=("power=100W",), brief=True)


def test_what_fits_on_no_chip_within_the_limits_has_no_answer() -> None:
    with pytest.raises(NoAnswer, match=r"llama-3\.1-70b fits no plan for serving on 1"):
        clustercast.design(n_chips=1, brief=True)
    with pytest.raises(WrongInput, match="--tpot: expected a time above 0"):
        clustercast.design(tpot_s=0.0, brief=True)
