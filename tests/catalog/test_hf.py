"""catalog/hf.py: config.json files of the usual families, written here from their published figures."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clustercast import catalog
from clustercast.errors import WrongInput
from clustercast.physics.parameters import active_params, total_params

LLAMA = {
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "vocab_size": 128256,
}
LATENT = {
    "model_type": "deepseek_v3",
    "hidden_act": "silu",
    "first_k_dense_replace": 3,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "moe_intermediate_size": 2048,
    "moe_layer_freq": 1,
    "n_group": 8,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_attention_heads": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "topk_group": 4,
    "tie_word_embeddings": False,
    "v_head_dim": 128,
    "vocab_size": 129280,
}
WINDOWED = {
    "model_type": "gpt_oss",
    "hidden_act": "silu",
    "attention_bias": True,
    "head_dim": 64,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "num_attention_heads": 64,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 24,
    "num_key_value_heads": 8,
    "num_local_experts": 32,
    "sliding_window": 128,
    "tie_word_embeddings": False,
    "vocab_size": 201088,
}


def model_of(config, tmp_path, name="config.json"):
    path = tmp_path / name
    path.write_text(json.dumps(config), encoding="utf-8")
    return catalog.find_model(str(path))


@pytest.mark.parametrize(
    ("config", "name"), [(LLAMA, "llama-3.1-8b"), (LATENT, "deepseek-v3"), (WINDOWED, "gpt-oss-20b")]
)
def test_a_config_gives_the_model_of_the_catalogue(config, name, tmp_path):
    ours = catalog.find_model(name).record()
    theirs = model_of(config, tmp_path).record()
    assert theirs._replace(other_params=ours.other_params) == ours
    assert theirs.other_params == pytest.approx(ours.other_params, rel=0.02)


def test_a_mixtral_has_experts_of_the_plain_width(tmp_path):
    config = LLAMA | {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 32000}
    model = model_of(config, tmp_path).record()
    assert total_params(model) == 46_702_792_704
    assert active_params(model) == pytest.approx(12.88e9, rel=1e-3)


def test_nested_text_configs_are_read_and_noted(tmp_path):
    nested = {"model_type": "seeing", "text_config": LLAMA, "vision_config": {"hidden_size": 1}}
    model = model_of(nested, tmp_path)
    assert model.record() == model_of(LLAMA, tmp_path, "other.json").record()
    assert model.notes == ("only text_config is read: vision and audio are left out",)


def test_an_unknown_model_type_is_read_by_its_fields(tmp_path):
    model = model_of(LLAMA | {"model_type": "brand_new"}, tmp_path)
    assert total_params(model.record()) == 8_030_261_248
    assert model.resolved_as.endswith("(model_type brand_new)")


def test_a_model_without_training_figures_gets_the_rules(tmp_path):
    assert model_of(LLAMA, tmp_path).training["tokens"].value == 1.6e11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "hidden_size: is missing (or n_embd, d_model), expected it"),
        ({"num_hidden_layers": -1}, "num_hidden_layers: is -1, expected a whole number from 0 to 1000000000"),
        ({"vocab_size": "many"}, "vocab_size: is 'many', expected a whole number from 0 to 1000000000"),
        ({"num_key_value_heads": 7}, "num_key_value_heads: 7 does not divide num_attention_heads (32)"),
        ({"intermediate_size": None}, "intermediate_size: is missing (or n_inner, ffn_dim), expected it"),
        ({"num_local_experts": 8}, "num_experts_per_tok: is missing beside experts, expected it"),
        ({"kv_lora_rank": 512}, "qk_nope_head_dim: is missing beside kv_lora_rank, expected it"),
        ({"block_configs": [{}]}, "block_configs: every block has its own shape, expected blocks of one shape"),
    ],
)
def test_a_config_that_lacks_something_names_it(change, message, tmp_path):
    with pytest.raises(WrongInput) as caught:
        model_of(LLAMA | change, tmp_path)
    assert str(caught.value).endswith(f"config.json: {message}")


@pytest.mark.parametrize("text", ["", "[]", "{", "3", '{"a": 1}', "[" * 100_000, "\0"])
def test_what_is_no_config_is_wrong_input(text, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WrongInput):
        catalog.find_model(str(path))


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 300), st.floats(), st.text(max_size=3), st.lists(st.none())
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([LLAMA, LATENT, WINDOWED]), st.data())
def test_any_field_may_be_anything(tmp_path, config, data):
    changed = dict(config)
    for name in data.draw(st.lists(st.sampled_from(sorted(config)), max_size=3, unique=True)):
        changed[name] = data.draw(VALUES)
    try:
        model = model_of(changed, tmp_path).record()
    except WrongInput:
        return
    assert total_params(model) > 0
    assert all(each >= 0 for each in model)
