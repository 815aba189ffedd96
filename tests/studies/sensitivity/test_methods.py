"""Designs and indices: known answers of functions that one can solve by hand."""

import sys

import numpy as np
import pytest

from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.sensitivity import methods

NAMES = ("a", "b", "c", "nothing")


def additive(cube: np.ndarray) -> np.ndarray:
    """3 a + 2 b + c: each variance is the square of its weight over twelve."""
    return 3.0 * cube[:, 0] + 2.0 * cube[:, 1] + cube[:, 2]


def test_sobol_of_a_sum_is_the_share_of_each_variance() -> None:
    cube = methods.sobol_cube(4, 40_000, 7)
    found, pairs = methods.shares(NAMES, additive(cube), 7)
    assert [each.parameter for each in found] == list(NAMES)
    for each, share in zip(found, (9 / 14, 4 / 14, 1 / 14, 0.0), strict=True):
        assert each.first == pytest.approx(share, abs=0.02)
        assert each.total == pytest.approx(share, abs=0.02)
    assert found[-1].total == found[-1].first == 0.0
    assert max(abs(pair.second) for pair in pairs) < 0.02


def test_sobol_of_a_product_is_shared_by_the_pair() -> None:
    """(a - 1/2)(b - 1/2): nothing alone, all of it together."""
    cube = methods.sobol_cube(3, 40_000, 3)
    found, pairs = methods.shares(NAMES[:3], (cube[:, 0] - 0.5) * (cube[:, 1] - 0.5), 3)
    assert {each.parameter for each in found[:2]} == {"a", "b"}
    assert all(each.total == pytest.approx(1.0, abs=0.03) for each in found[:2])
    assert all(abs(each.first) < 0.03 for each in found)
    assert pairs[0].parameters == ("a", "b")
    assert pairs[0].second == pytest.approx(1.0, abs=0.05)


def test_morris_of_a_sum_is_its_weights_and_has_no_spread() -> None:
    cube = methods.morris_cube(4, 200, 5)
    found = methods.screened(NAMES, cube, additive(cube), 5)
    assert [each.parameter for each in found] == list(NAMES)
    for each, weight in zip(found, (3.0, 2.0, 1.0, 0.0), strict=True):
        assert each.mu_star == pytest.approx(weight, abs=1e-9)
        assert each.sigma == pytest.approx(0.0, abs=1e-9)


def test_an_answer_that_nothing_moves_has_no_shares() -> None:
    cube = methods.sobol_cube(4, 100, 0)
    found, pairs = methods.shares(NAMES, np.full(len(cube), 5.0), 0)
    assert all(each.first == each.total == 0.0 for each in found)
    assert pairs == ()


def test_there_are_at_least_as_many_samples_as_asked_and_of_a_power_of_two() -> None:
    cube = methods.sobol_cube(12, 100_000, 0)
    assert len(cube) == 26 * 4096
    assert ((cube >= 0.0) & (cube <= 1.0)).all()
    assert len(methods.morris_cube(9, 2_000, 0)) == 2_000


def test_the_seed_decides_the_samples() -> None:
    for design in (methods.sobol_cube, methods.morris_cube):
        assert (design(3, 200, 1) == design(3, 200, 1)).all()
        assert (design(3, 200, 1) != design(3, 200, 2)).any()


def test_what_has_no_value_is_said() -> None:
    with pytest.raises(NoAnswer, match="training days has no value at 2 of 3 samples"):
        methods.check_finite(np.array([1.0, np.nan, np.inf]), "training days")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SALib", None)
    with pytest.raises(WrongInput, match="--method sobol needs the package SALib") as caught:
        methods.check_guest("sobol")
    assert caught.value.hint == "install it with: pip install 'clustercast[sensitivity]'"
