"""catalog/sizes.py: a dense shape for any size."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustercast.catalog import sizes
from clustercast.errors import WrongInput
from clustercast.physics.parameters import total_params


@settings(max_examples=60, deadline=None)
@given(st.floats(-1.0, 4.0))
def test_the_derived_total_meets_the_size(exponent):
    size = round(10**exponent, 2)
    model = sizes.model_of_size(f"{size}B")
    assert total_params(model.record()) == pytest.approx(size * 1e9, rel=0.02)
    assert total_params(model.record()) == sizes.dense_params(model.architecture)
    shape = model.architecture
    assert shape["heads"] % shape["kv_heads"] == 0
    assert shape["heads"] * shape["head_dim"] == shape["hidden"]
    assert shape["layers"] % 4 == 0


@pytest.mark.parametrize(
    ("size", "layers", "hidden"), [("8B", 32, 4096), ("70B", 80, 8192), ("405B", 120, 16384), ("0.1B", 8, 512)]
)
def test_common_sizes_look_like_the_published_ones(size, layers, hidden):
    shape = sizes.model_of_size(size).architecture
    assert (shape["layers"], shape["hidden"]) == (layers, hidden)


@pytest.mark.parametrize("size", ["0.01B", "99M", "10.1T", "0B"])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(WrongInput) as caught:
        sizes.model_of_size(size)
    assert str(caught.value) == f"a model of {size} is out of range, expected 0.1B to 10T"


def test_training_follows_the_rules_of_the_workloads():
    training = sizes.model_of_size("70B").training
    assert training["tokens"].value == 1.4e12
    assert all(
        each.kind == "assumed" and each.low <= each.value <= each.high and each.why for each in training.values()
    )
