"""A run beside its steps: interruptions as Llama 3 published them, spares, carbon, money."""

import json
import math

import pytest

import clustercast
from clustercast.catalog import constants
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates.job import goodput_of, money, spare_chips
from clustercast.estimates.question import Asked, Question, fill

PLAN = "tp=8,pp=16,dp=128,micro_batch=1"


@pytest.fixture(scope="module")
def llama() -> Question:
    return fill(Asked("h100", "llama-3.1-405b", n_chips=16384))


def test_llama_3_was_interrupted_as_often_and_trained_as_much_of_the_time(llama: Question) -> None:
    # 419 unexpected interruptions in 54 days on 16,384 H100, more than 90 % of the time effective
    done = goodput_of(llama)
    assert 54 * 86400 / done.between_s == pytest.approx(419, rel=0.05)
    assert done.fraction > 0.9
    low, high = [], []
    for name in ("chip_mtbf_s", "checkpoint_save_s", "restart_s"):
        found = constants.default("reliability", name)
        worse, better = (found.low, found.high) if name == "chip_mtbf_s" else (found.high, found.low)
        low.append(f"job.{name.removesuffix('_s')}={worse:.0f}s")
        high.append(f"job.{name.removesuffix('_s')}={better:.0f}s")
    with constants.using((), low):
        worst = goodput_of(llama).fraction
    with constants.using((), high):
        best = goodput_of(llama).fraction
    assert worst < 0.9 < done.fraction < best


def test_byterobust_trained_97_per_cent_of_three_months_on_9600() -> None:
    question = fill(Asked("h800", "llama-3.1-405b", n_chips=9600))
    assert goodput_of(question).fraction == pytest.approx(0.97, abs=0.025)


def test_a_given_interval_is_kept(llama: Question) -> None:
    with constants.using((), ["job.checkpoint_every=1h"]):
        done = goodput_of(llama)
    assert done.interval_s == 3600.0
    assert done.fraction < goodput_of(llama).fraction


def test_more_chips_need_more_spares_in_whole_nodes() -> None:
    assert [spare_chips(n) % 8 for n in (8, 1000, 16384)] == [0, 0, 0]
    assert spare_chips(8) <= spare_chips(1000) <= spare_chips(16384)
    assert spare_chips(1) == 0  # one that is down a thousandth of the time may wait
    with constants.using((), ["job.repair=168h"]):
        assert spare_chips(16384) > 2 * spare_chips(1000)


def test_spares_are_never_more_than_the_job_has_chips() -> None:
    with constants.using((), ["job.waiting_fraction=0%"]):
        assert spare_chips(64) <= 64
    with constants.using((), ["job.repair=1000000h"]):
        assert spare_chips(64) == 64
        assert spare_chips(4) == 4


def test_a_job_that_is_interrupted_faster_than_it_restarts_never_ends() -> None:
    with pytest.raises(NoAnswer, match=r"never ends: an interruption every 0\.125 s"):
        clustercast.plan("h20", "llama-3.1-8b", n_chips=8, settings=("job.chip_mtbf=1s",))
    done = clustercast.estimate("h20", "llama-3.1-8b", n_chips=8, settings=("job.chip_mtbf=1s",))
    assert done.training is None
    assert "never ends" in (done.training_reason or "")


def test_an_h100_of_ones_own_costs_what_was_published() -> None:
    # 40,000 to 50,000 USD all in, 3 to 5 years, 0 to 8 % interest, 200 USD per kW and month: 1.26 to 2.56 USD an hour
    question = fill(Asked("h100", "llama-3.1-8b", n_chips=8))
    ends = []
    for all_in, life, rate in ((40000, 5, 0), (50000, 3, 8)):
        given = [
            f"job.all_in_over_chip={all_in / 32000}", f"job.life_years={life}", f"job.discount_fraction={rate}%",
            "job.upkeep_fraction=0%", "job.wall_over_chip=1.8214",
        ]  # fmt: skip
        with constants.using((), given):
            ends.append(money(question).own_usd_per_chip_hour)
    assert ends == pytest.approx([1.26, 2.56], abs=0.02)
    assert ends[0] < money(question).own_usd_per_chip_hour < ends[1]


def test_the_cost_is_on_the_basis_that_was_asked_for() -> None:
    rented = clustercast.estimate("h100", "llama-3.1-8b", n_chips=64, tokens=1e12, plan="tp=1,pp=1,dp=64,zero=3")
    owned = clustercast.estimate(
        "h100", "llama-3.1-8b", n_chips=64, tokens=1e12, plan="tp=1,pp=1,dp=64,zero=3", price="buy"
    )
    assert rented.training is not None
    assert owned.training is not None
    assert rented.training.cost_usd == rented.training.job.rent_usd
    assert owned.training.cost_usd == owned.training.job.own_usd == rented.training.job.own_usd
    assert owned.training.price_basis.startswith("own")
    hours = rented.training.days * 24
    assert rented.training.cost_usd == pytest.approx(64 * hours * 2.35)


def test_the_job_adds_up() -> None:
    done = clustercast.estimate("h20", "llama-3.1-8b", n_chips=64, tokens=1e12, plan="tp=1,pp=1,dp=64,zero=3").training
    assert done is not None
    assert done.energy_mwh is not None
    assert done.job.power_mw is not None
    assert math.fsum(done.job.calendar.values()) == pytest.approx(1.0)
    assert done.job.calendar["training"] == done.goodput
    assert done.job.power_mw * done.days * 24 == pytest.approx(done.energy_mwh)
    assert done.job.carbon_t == pytest.approx(done.energy_mwh * 0.481)
    assert done.job.interruptions * done.job.between_interruptions_s == pytest.approx(done.days * 86400)
    json.dumps(done.job.calendar)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("job.pu=1.1", "did you mean pue"),
        ("job.pue=0", "more than 0"),
        ("job.restart=5", "has no unit"),
        ("job.residual_fraction=1", "below 1"),
        ("job.pue=0.9", "1 or more"),
        ("job.wall_over_chip=0.5", "1 or more"),
        ("job.node_chips=0.5", "1 or more"),
        ("job.node_chips=2.5", "whole number"),
    ],
)
def test_a_wrong_job_number_says_what_was_expected(given: str, said: str) -> None:
    with pytest.raises(WrongInput) as caught:
        clustercast.estimate("h20", "llama-3.1-8b", settings=(given,))
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_a_basis_that_does_not_exist_is_refused() -> None:
    with pytest.raises(WrongInput, match="expected rent or buy"):
        clustercast.estimate("h20", "llama-3.1-8b", n_chips=8, price="lease", plan="tp=8,pp=1,dp=1")
