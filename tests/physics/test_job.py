"""Laws of jobs: failures, days, energy, money, and what the export rules measure."""

import math

from hypothesis import given
from hypothesis import strategies as st

from clustercast.physics.job import (
    best_interval_s,
    capital_recovery_fraction,
    carbon_kg,
    energy_j,
    goodput,
    own_usd_per_chip_year,
    performance_density,
    rent_usd,
    short_of_spares_fraction,
    total_processing_performance,
    training_s,
)

counts = st.integers(1, 10**6).map(float)
times = st.floats(1.0, 1e5)


@given(
    n_chips=counts, mtbf_s=st.floats(1e5, 1e12), save_s=st.floats(0.0, 1e4), restart_s=st.floats(0.0, 1e4),
    every_s=st.just(0.0) | st.floats(1e-3, 1e6), waiting=st.floats(0.0, 0.5),
)  # fmt: skip
def test_goodput_is_a_share_and_the_shares_add_up(
    n_chips: float, mtbf_s: float, save_s: float, restart_s: float, every_s: float, waiting: float
) -> None:
    done = goodput(n_chips, mtbf_s, save_s, restart_s, every_s, waiting)
    assert 0.0 < done.fraction <= 1.0
    lost = done.saving_fraction + done.repeating_fraction + done.restarting_fraction + done.waiting_fraction
    assert abs(done.fraction + lost - 1.0) < 1e-9


@given(n_chips=counts, mtbf_s=st.floats(1e5, 1e12), save_s=times, restart_s=times)
def test_more_chips_never_raise_goodput(n_chips: float, mtbf_s: float, save_s: float, restart_s: float) -> None:
    now = goodput(n_chips, mtbf_s, save_s, restart_s, 0.0, 0.0).fraction
    assert goodput(2.0 * n_chips, mtbf_s, save_s, restart_s, 0.0, 0.0).fraction <= now
    assert goodput(n_chips, mtbf_s, save_s, 2.0 * restart_s, 0.0, 0.0).fraction <= now


def test_goodput_where_failures_are_rare_is_the_first_order_of_young() -> None:
    done = goodput(1000.0, 1e9, 10.0, 300.0, 0.0, 0.0)  # one failure in 1e6 s
    first_order = 1.0 / (1.0 + 10.0 / done.interval_s + (300.0 + done.interval_s / 2.0) / 1e6)
    assert abs(done.fraction - first_order) < 1e-4


def test_a_stretch_takes_what_a_simple_simulation_of_it_takes() -> None:
    import random

    dice = random.Random(1)
    between_s, save_s, restart_s, every_s = 1000.0, 30.0, 200.0, 300.0
    spent, n_stretches = 0.0, 20_000
    for _ in range(n_stretches):
        waiting = 0.0  # of a restart that has to be gone through before training goes on
        while True:
            until_failure, needed = dice.expovariate(1.0 / between_s), waiting + every_s + save_s
            spent += min(until_failure, needed)
            if until_failure >= needed:
                break
            waiting = restart_s
    done = goodput(1.0, between_s, save_s, restart_s, every_s, 0.0)
    assert abs(n_stretches * every_s / spent / done.fraction - 1.0) < 0.02


@given(n_chips=counts, mtbf_s=st.floats(1e3, 1e6))
def test_a_restart_longer_than_failures_are_apart_leaves_next_to_nothing(n_chips: float, mtbf_s: float) -> None:
    restart_s = 10.0 * mtbf_s / n_chips
    done = goodput(n_chips, mtbf_s, 0.0, restart_s, 0.0, 0.0)
    assert 0.0 < done.fraction < 1e-4


@given(between_s=st.floats(1e4, 1e7), share=st.floats(1e-6, 1e-2), off=st.sampled_from((0.3, 0.5, 2.0, 3.0)))
def test_the_best_interval_beats_others(between_s: float, share: float, off: float) -> None:
    save_s = share * between_s
    best = goodput(1.0, between_s, save_s, 0.0, 0.0, 0.0).fraction
    other = goodput(1.0, between_s, save_s, 0.0, off * best_interval_s(between_s, save_s), 0.0).fraction
    assert other < best


@given(n_spares=st.integers(0, 50).map(float), n_broken=st.floats(0.0, 1000.0))
def test_more_spares_wait_less(n_spares: float, n_broken: float) -> None:
    now = short_of_spares_fraction(n_spares, n_broken)
    assert 0.0 <= short_of_spares_fraction(n_spares + 1.0, n_broken) <= now <= 1.0


def test_spares_by_hand() -> None:
    # one broken on average: none broken 1/e of the time, at most one 2/e
    assert abs(short_of_spares_fraction(0.0, 1.0) - (1.0 - math.exp(-1.0))) < 1e-12
    assert abs(short_of_spares_fraction(1.0, 1.0) - (1.0 - 2.0 * math.exp(-1.0))) < 1e-12


@given(rate=st.floats(0.0, 0.3), life=st.floats(1.0, 10.0))
def test_payments_over_a_life_return_the_capital(rate: float, life: float) -> None:
    years = math.floor(life)
    payment = capital_recovery_fraction(rate, float(years))
    paid = math.fsum(payment * (1.0 + rate) ** -year for year in range(1, years + 1))
    assert abs(paid - 1.0) < 1e-9


@given(usd=st.floats(100.0, 1e6), life=st.floats(1.0, 10.0), rate=st.floats(0.0, 0.2))
def test_a_longer_life_is_cheaper_and_interest_is_not(usd: float, life: float, rate: float) -> None:
    now = own_usd_per_chip_year(usd, 0.0, rate, life, 700.0, 200.0, 0.03)
    assert own_usd_per_chip_year(usd, 0.0, rate, life + 1.0, 700.0, 200.0, 0.03) < now
    assert own_usd_per_chip_year(usd, 0.0, rate + 0.05, life, 700.0, 200.0, 0.03) > now
    assert own_usd_per_chip_year(usd, 0.2, rate, life, 700.0, 200.0, 0.03) < now


def test_carbon_by_hand() -> None:
    assert carbon_kg(3.6e9, 0.481) == 481.0


@given(tokens=st.floats(1.0, 1e15), tokens_per_s=st.floats(1.0, 1e9), goodput=st.floats(0.01, 1.0))
def test_twice_the_rate_trains_in_half_the_time(tokens: float, tokens_per_s: float, goodput: float) -> None:
    assert training_s(tokens, 2.0 * tokens_per_s, goodput) == 0.5 * training_s(tokens, tokens_per_s, goodput)


@given(n_chips=counts, idle_w=st.floats(0.0, 100.0), busy=st.floats(0.0, 1.0), time_s=times)
def test_energy_lies_between_idle_and_peak(n_chips: float, idle_w: float, busy: float, time_s: float) -> None:
    joules = energy_j(n_chips, idle_w, 400.0, busy, 1.5, 1.2, time_s)
    lowest, highest = (energy_j(n_chips, idle_w, 400.0, share, 1.5, 1.2, time_s) for share in (0.0, 1.0))
    assert lowest <= joules * (1.0 + 1e-12)
    assert joules <= highest * (1.0 + 1e-12)


@given(n_chips=counts, usd_per_h=st.floats(0.01, 100.0), time_s=times)
def test_rent_is_linear_in_chips(n_chips: float, usd_per_h: float, time_s: float) -> None:
    assert rent_usd(2.0 * n_chips, usd_per_h, time_s) == 2.0 * rent_usd(n_chips, usd_per_h, time_s)


@given(flop_per_s=st.floats(1e12, 1e16))
def test_halving_the_bits_at_twice_the_rate_keeps_tpp(flop_per_s: float) -> None:
    wide = total_processing_performance(flop_per_s, 16.0)
    assert total_processing_performance(2.0 * flop_per_s, 8.0) == wide
    assert performance_density(wide, 800.0) == 2.0 * performance_density(wide, 1600.0)
