"""Laws of jobs: failures, days, energy, money, and what the export rules measure."""

from hypothesis import given
from hypothesis import strategies as st

from clustercast.physics.job import (
    energy_j,
    goodput_fraction,
    performance_density,
    rent_usd,
    total_processing_performance,
    training_s,
)

counts = st.integers(1, 10**6).map(float)
times = st.floats(1.0, 1e5)


@given(n_chips=counts, mtbf_s=st.floats(1e5, 1e12), save_s=st.floats(0.0, 1e4), restart_s=st.floats(0.0, 1e4))
def test_goodput_is_a_share(n_chips: float, mtbf_s: float, save_s: float, restart_s: float) -> None:
    assert 0.0 < goodput_fraction(n_chips, mtbf_s, save_s, restart_s) <= 1.0


@given(n_chips=counts, mtbf_s=st.floats(1e5, 1e12), save_s=times, restart_s=times)
def test_more_chips_never_raise_goodput(n_chips: float, mtbf_s: float, save_s: float, restart_s: float) -> None:
    now = goodput_fraction(n_chips, mtbf_s, save_s, restart_s)
    assert goodput_fraction(2.0 * n_chips, mtbf_s, save_s, restart_s) <= now
    assert goodput_fraction(n_chips, mtbf_s, save_s, 2.0 * restart_s) <= now


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
