"""The baseline of the benches: plain formulas rewritten to run over whole arrays."""

import random

import arrays
import numpy as np
import pytest
import strategies

from clustercast import records
from clustercast.physics.training import training_step

PLANS_OF_A_KIND = 180


@pytest.mark.parametrize("kind", strategies.KINDS)
def test_whole_arrays_of_plans_give_what_the_plain_formulas_give(kind: str) -> None:
    rng = random.Random(20261121)
    setting = strategies.setting(rng, kind, global_batch=48)
    plans = strategies.legal_plans(rng, setting, PLANS_OF_A_KIND)
    plain = [training_step(setting, plan) for plan in plans]
    whole = arrays.steps(setting, np.array(plans))
    assert whole.shape == (PLANS_OF_A_KIND, len(records.Step._fields))
    np.testing.assert_allclose(whole, plain, rtol=1e-12, atol=0.0)


def early(x: float, limit: float) -> float:
    if x < 0.0:
        return -1.0
    if x > limit:
        x -= limit
        if x > limit:
            return limit
    elif x == 0.0:
        return 7.0
    return 2.0 * x


def doublings(x: float, limit: float) -> float:
    n = 0.0
    while x < limit and n < 5.0:
        x *= 2.0
        n += 1.0
    for _ in range(2):
        n += 10.0
    return n


def conditional(x: float, low: float, high: float) -> float:
    best = x if low < x <= high or not (x < 50.0 or x > 150.0) else min(max(x, low), high)
    return best + (1.0 if low > high else 2.0)


def tier_of(x: float, cluster: records.Cluster) -> float:
    if x < 2.0:
        tier = cluster.package
    elif x < 4.0:
        tier = cluster.scale_up
    else:
        tier = cluster.rail
    return tier.bytes_per_s + tier.n_chips


def outer(x: float, limit: float) -> float:
    return early(x, limit) + 1.0


def stops(x: float) -> float:
    for _ in range(3):
        if x > 1.0:
            break
    return x


XS = np.array([-3.0, 0.0, 0.5, 1.0, 2.0, 3.0, 9.0, 100.0])


@pytest.mark.parametrize(
    ("function", "others"),
    [
        (early, (2.0,)),
        (early, (100.0,)),
        (doublings, (8.0,)),
        (conditional, (1.0, 3.0)),
        (conditional, (3.0, 1.0)),
        (tier_of, (strategies.cluster(random.Random(3)),)),
        (outer, (2.0,)),
    ],
)
def test_branches_loops_and_early_returns_are_selected_for_each_element(function, others) -> None:
    whole = arrays.whole_array(function)
    with np.errstate(all="ignore"):
        assert whole(XS, *others).tolist() == [function(x, *others) for x in XS.tolist()]


def test_numbers_stay_numbers() -> None:
    assert arrays.whole_array(early)(3.0, 2.0) == early(3.0, 2.0) == 2.0


def test_a_side_that_no_element_takes_is_not_computed() -> None:
    assert arrays.both(True, np.array([False, False])) is False
    assert arrays.both(True, np.array([2, 1])) is True
    assert arrays.every(lambda: False, lambda: 1 / 0) is False
    assert arrays.either(lambda: True, lambda: 1 / 0) is True


def test_what_cannot_be_rewritten_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="break"):
        arrays.whole_array(stops)
