"""Planks and ways between chips: what they say adds up, and says what is known of the H20."""

import math

import pytest

import clustercast
from clustercast.errors import WrongInput
from clustercast.physics.examples import SERVING_SETTING, SETTING
from clustercast.studies.why import PROPERTIES, Why, differing, hybrid, way


@pytest.fixture(scope="module")
def found() -> Why:
    return clustercast.why("h20", "llama-3.1-70b", other="h100", n_chips=64, batch=16, plan="tp=8,pp=2,dp=4")


def test_factors_multiply_to_the_difference(found: Why) -> None:
    for one in found.jobs:
        assert one.other_tokens_per_s is not None
        product = math.prod(part.factor for part in one.parts)
        assert product == pytest.approx(one.other_tokens_per_s / one.tokens_per_s, rel=1e-9)


def test_the_other_end_is_what_the_other_chip_does(found: Why) -> None:
    alone = clustercast.estimate("h100", "llama-3.1-70b", n_chips=64, batch=16, plan="tp=8,pp=2,dp=4")
    assert alone.training is not None
    training = next(one for one in found.jobs if one.job == "training")
    there = alone.training.tokens_per_s * alone.training.goodput
    assert training.other_tokens_per_s == pytest.approx(there)


def test_h20_waits_for_compute_but_where_it_decodes_a_dense_model_at_modest_batch(found: Why) -> None:
    assert {one.job: one.limiting for one in found.jobs} == {
        "training": "compute", "prefill": "compute", "decode": "hbm_bandwidth"
    }  # fmt: skip


def test_with_latent_attention_h20_waits_for_compute_when_it_decodes() -> None:
    done = clustercast.why("h20", "deepseek-v3", n_chips=32, batch=2048, precision="fp8-block")
    assert next(one for one in done.jobs if one.job == "decode").limiting == "compute"


def test_compute_explains_most_of_the_way_to_h100_in_training(found: Why) -> None:
    training = next(one for one in found.jobs if one.job == "training")
    assert training.parts[0].property == "compute"
    assert training.parts[0].factor > 4.0


def test_a_better_plan_never_buys_less(found: Why) -> None:
    for one in found.jobs:
        for plank in one.planks:
            assert plank.best_plan >= plank.same_plan - 1e-12


def test_times_add_up(found: Why) -> None:
    alone = clustercast.estimate("h20", "llama-3.1-70b", n_chips=64, batch=16, plan="tp=8,pp=2,dp=4")
    assert alone.serving is not None
    decode = next(one for one in found.jobs if one.job == "decode")
    assert math.fsum(decode.time_s.values()) == pytest.approx(alone.serving.tpot_ms / 1e3)


def test_a_way_by_hand() -> None:
    # throughput of two factors that help each other: 1, 2, 3 alone, 12 together
    values = {frozenset[str](): 1.0, frozenset("a"): 2.0, frozenset("b"): 3.0, frozenset("ab"): 12.0}
    then, parts, reason = way(("a", "b"), values.__getitem__)
    assert (then, reason) == (12.0, None)
    factors = {part.property: part.factor for part in parts}
    assert factors["a"] == pytest.approx(math.sqrt(2.0 * 4.0))
    assert factors["b"] == pytest.approx(math.sqrt(3.0 * 6.0))


def test_a_way_through_what_does_not_fit_says_so() -> None:
    values = {frozenset[str](): 1.0, frozenset("a"): 0.0, frozenset("b"): 3.0, frozenset("ab"): 12.0}
    then, parts, reason = way(("a", "b"), values.__getitem__)
    assert then == 12.0
    assert parts == ()
    assert reason is not None
    assert "with a exchanged" in reason


@pytest.mark.parametrize("setting", [SETTING, SERVING_SETTING])
def test_all_properties_make_the_other_setting(setting: object) -> None:
    other = setting._replace(  # type: ignore[attr-defined]
        chip=setting.chip._replace(matmul_flop_per_s=1e15, hbm_bytes_per_s=9e12, host_bytes_per_s=1e9),  # type: ignore[attr-defined]
        kernels=setting.kernels._replace(matmul_fraction=0.5),  # type: ignore[attr-defined]
    )
    assert hybrid(setting, other, PROPERTIES) == other
    assert hybrid(setting, other, ()) == setting
    assert differing(setting, other) == ("compute", "hbm_bandwidth", "rest")


def test_a_chip_is_not_compared_with_itself() -> None:
    with pytest.raises(WrongInput, match="the chip itself"):
        clustercast.why("h20", "llama-3.1-8b", other="h20-96gb")


def test_what_the_other_chip_lacks_is_said() -> None:
    found = clustercast.why("h20", "llama-3.1-8b", other="v100", n_chips=1)
    assert any("v100-sxm2-32gb has no bf16" in text for text in found.warnings)
