"""The 80 % interval: wider with less evidence, with scale, for mixtures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustercast import catalog
from clustercast.catalog import ChipProfile, overlay
from clustercast.catalog.overlay import Calibration
from clustercast.estimates.interval import around, evidence_of, half_width, own_runs

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
    close, loose, few = (Calibration("a.yaml", "nemo", 20, width, 0.02, 0.05) for width in (0.05, 5.0, None))
    assert half_width("measured chip", 64, mixture=True, calibration=close) == 0.05
    assert half_width("measured chip", 64, mixture=True, calibration=loose) == published
    assert half_width("measured chip", 64, mixture=True, calibration=few) == published


def test_own_runs_speak_for_what_was_measured_and_for_nothing_else() -> None:
    chip = catalog.find_chip("h20")
    covers = {"kinds": ("dense",), "precisions": ("bf16",), "least_chips": 8, "most_chips": 64}
    part = overlay.Part("steps", chip.name, "nemo", 12, 0.06, 0.02, 0.05, {}, "mine.yaml", **covers)

    def known(like: ChipProfile = chip, stack: str = "nemo", **changes: object) -> bool:
        step = {"mixture": False, "precision": "bf16", "n_chips": 64} | changes
        return own_runs(like, stack, **step) is not None  # type: ignore[arg-type]

    assert not known()
    with overlay.using(overlay.Overlay((part,))):
        assert known()
        assert known(n_chips=2)
        assert known(n_chips=256)
        assert not known(n_chips=257)
        assert not known(n_chips=1)
        assert not known(mixture=True)
        assert not known(precision="fp8")
        assert not known(stack="megatron-core")
        assert not known(chip.with_setting("hbm_bandwidth", "5 TB/s"))
    with overlay.using(overlay.Overlay((part._replace(half_width=None),))):
        assert not known()


def test_a_chip_whose_numbers_are_changed_is_another_one_of_its_family() -> None:
    chip = catalog.find_chip("h100")
    assert evidence_of(chip, "training") == "measured chip"
    assert evidence_of(chip.with_setting("peak.bf16", "500 TFLOP/s"), "training") == "measured family"
