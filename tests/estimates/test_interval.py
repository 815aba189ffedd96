"""The 80 % interval: wider with less evidence, with scale, for mixtures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustercast.catalog.overlay import Calibration
from clustercast.estimates.interval import around, half_width

EVIDENCE = ("measured chip", "measured family", "datasheet only")


@pytest.mark.parametrize("purpose", ["interval", "tpot_interval", "ttft_interval", "throughput_interval"])
@pytest.mark.parametrize("mixture", [False, True])
def test_less_evidence_never_narrows_it(purpose: str, mixture: bool) -> None:
    widths = [half_width(evidence, 1000, mixture=mixture, purpose=purpose) for evidence in EVIDENCE]
    assert 0.0 < widths[0] <= widths[1] <= widths[2]


def test_a_mixture_and_scale_widen_it() -> None:
    dense = half_width("measured chip", 1000, mixture=False)
    assert half_width("measured chip", 1000, mixture=True) > dense
    assert half_width("measured chip", 100_000, mixture=False) > dense
    assert half_width("measured chip", 8, mixture=False) == dense


@given(value=st.floats(1e-9, 1e9), width=st.floats(0.0, 2.0))
def test_low_and_high_lie_around_the_value_by_the_same_ratio(value: float, width: float) -> None:
    low, high = around(value, width)
    assert low <= value <= high
    assert math.isclose(low * high, value * value, rel_tol=1e-9)


def test_a_users_own_runs_narrow_it_and_never_widen_it() -> None:
    published = half_width("measured chip", 64, mixture=True)
    close, loose = (Calibration("a.yaml", "nemo", 20, width, 0.02, 0.05) for width in (0.05, 5.0))
    assert half_width("measured chip", 64, mixture=True, calibration=close) == 0.05
    assert half_width("measured chip", 64, mixture=True, calibration=loose) == published
