"""catalog/models.py: from the integers of a file to the record of the physics."""

import pytest

from clustercast import catalog, records
from clustercast.catalog.models import model_record
from clustercast.physics.parameters import total_params

SMALL = {"layers": 4, "hidden": 8, "vocab": 10, "tied": True, "heads": 2, "ffn": 16, "gated": True}


def test_what_is_absent_follows_from_the_rest():
    model = model_record(SMALL)
    assert (model.n_full_layers, model.n_dense_layers, model.n_moe_layers) == (4, 4, 0)
    assert (model.n_kv_heads, model.qk_head_dim, model.v_head_dim, model.n_mlp_matrices) == (2, 4, 4, 3)
    assert model.other_params == 4 * 2 * 8 + 8


def test_latent_attention_joins_both_parts_of_the_key():
    model = catalog.find_model("deepseek-v3").record()
    assert model.attention == records.MLA
    assert (model.qk_head_dim, model.qk_rope_dim, model.v_head_dim) == (192, 64, 128)
    assert (model.n_moe_layers, model.n_dense_layers, model.n_mtp_layers) == (58, 3, 1)


def test_every_second_layer_is_a_mixture_in_llama_4_maverick():
    model = catalog.find_model("llama-4-maverick").record()
    assert (model.n_moe_layers, model.n_dense_layers) == (24, 24)


def test_a_hybrid_has_slots_of_one_kind_each():
    model = catalog.find_model("nemotron-3-nano").record()
    assert (model.n_layers, model.n_full_layers, model.n_linear_layers, model.n_moe_layers) == (52, 6, 23, 23)
    assert model.n_dense_layers == 0


def test_biases_of_gpt_2_bring_its_exact_count():
    shape = {"layers": 12, "hidden": 768, "vocab": 50257, "tied": True, "heads": 12, "ffn": 3072, "gated": False}
    assert total_params(model_record({**shape, "bias": True, "learned_positions": 1024})) == 124_439_808


def test_biases_of_qwen_2_5_bring_its_exact_count():
    shape = catalog.find_model("qwen2.5-7b").architecture | {"bias": "qkv"}
    shape.pop("other_params")
    assert total_params(model_record(shape)) == 7_615_616_512


@pytest.mark.parametrize("name", catalog.model_names())
def test_every_model_has_integers_where_the_record_says_so(name):
    model = catalog.find_model(name).record()
    assert model == records.as_declared(model)
    assert [type(each) for each in model] == [type(each) for each in records.as_declared(model)]


@pytest.mark.parametrize("name", catalog.model_names())
def test_every_model_says_how_it_is_trained(name):
    model = catalog.find_model(name)
    assert set(model.training) == {"tokens", "seq_len", "global_batch", "chips"}
    assert all(each.source in model.sources for _, each in model.quantities())
    assert model.architecture_source in model.sources
