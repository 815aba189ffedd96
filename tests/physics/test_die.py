"""Laws of silicon: area adds up, yield falls with area, cost rises with everything; real dies come out as they are."""

import math

import pytest

from clustercast.physics.die import (
    chip_usd,
    chip_w,
    fitting_flop_per_s,
    good_dies_fraction,
    logic_mm2,
    n_dies_of_wafer,
    n_stacks_beside,
)

REST = (70.0, 13.6, 1.56e12, 1.7e10)


@pytest.mark.parametrize("flop_per_s", [1e13, 148e12, 989e12])
@pytest.mark.parametrize("n_stacks", [0.0, 2.0, 6.0])
@pytest.mark.parametrize("link", [0.0, 25e9, 450e9])
def test_what_fits_needs_just_the_area(flop_per_s: float, n_stacks: float, link: float) -> None:
    area = logic_mm2(flop_per_s, n_stacks, link, *REST)
    assert fitting_flop_per_s(area, n_stacks, link, *REST) == pytest.approx(flop_per_s)


def test_more_of_anything_needs_more_area() -> None:
    base = logic_mm2(1e14, 4.0, 1e11, *REST)
    assert logic_mm2(2e14, 4.0, 1e11, *REST) > base
    assert logic_mm2(1e14, 5.0, 1e11, *REST) > base
    assert logic_mm2(1e14, 4.0, 2e11, *REST) > base


def test_nothing_fits_where_the_rest_fills_the_die() -> None:
    assert fitting_flop_per_s(60.0, 6.0, 450e9, *REST) == 0.0


def test_stacks_are_even_and_never_fewer_on_a_larger_die() -> None:
    counts = [n_stacks_beside(float(area), 1.27, 100.0) for area in range(50, 900, 10)]
    assert counts == sorted(counts)
    assert all(count % 2.0 == 0.0 for count in counts)


def test_a_wafer_holds_fewer_dies_than_its_area() -> None:
    for area in (100.0, 400.0, 814.0):
        assert 0.0 < n_dies_of_wafer(70686.0, area) < 70686.0 / area


def test_yield_is_that_of_poisson_where_defects_do_not_cluster() -> None:
    assert good_dies_fraction(800.0, 1000.0, 1e9, 0.0) == pytest.approx(math.exp(-0.8), rel=1e-6)
    assert good_dies_fraction(0.0, 1000.0, 3.0, 0.0) == 1.0
    # the more clustered, the more dies are whole
    clustered = [good_dies_fraction(800.0, 1000.0, factor, 0.0) for factor in (1.0, 3.0, 10.0)]
    assert clustered == sorted(clustered, reverse=True)
    assert good_dies_fraction(800.0, 1000.0, 3.0, 1.0) == 1.0


def test_two_dies_cost_twice_their_dies_and_packages_and_one_test() -> None:
    one = chip_usd(1.0, 800.0, 17000.0, 70686.0, 0.9, 0.0, 0.0, 750.0, 900.0)
    two = chip_usd(2.0, 800.0, 17000.0, 70686.0, 0.9, 0.0, 0.0, 750.0, 900.0)
    assert two - 900.0 == pytest.approx(2.0 * (one - 900.0))


def test_power_is_the_line_through_two_chips() -> None:
    assert chip_w(148e12, 347.0, 2.8e12) == pytest.approx(400.0, rel=1e-2)
    assert chip_w(989e12, 347.0, 2.8e12) == pytest.approx(700.0, rel=1e-2)
