"""catalog/hf: config.json files of many families, written here from their published figures."""

import json
from decimal import Decimal

import pytest
from hf_published import PUBLISHED
from hf_writer import WITHOUT, WRITERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clustercast import catalog
from clustercast.catalog import constants
from clustercast.catalog.hf import text
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


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_model_written_as_its_familys_config_reads_as_itself(name, tmp_path):
    ours = catalog.find_model(name)
    assert model_of(WRITERS[name](ours.architecture), tmp_path).record() == ours.record()


def test_every_model_of_the_catalogue_is_written_but_those_that_never_had_a_config():
    assert set(catalog.model_names()) == set(WRITERS) | WITHOUT


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_published_counts_come_out(name, tmp_path):
    published = PUBLISHED[name]
    model = model_of(published.config, tmp_path).record()
    assert total_params(model) == published.total
    for count, printed in ((total_params(model), published.printed), (active_params(model), published.active)):
        assert not printed or rounds_to(count, printed)


def rounds_to(count, printed):
    number = Decimal(printed)
    return abs(Decimal(count) - number) <= Decimal(5).scaleb(int(number.as_tuple().exponent) - 1)


def test_enough_families_have_counts_that_the_index_of_their_weights_gives():
    known = [each.config["model_type"] for each in PUBLISHED.values() if not each.counted]
    assert len(set(known)) >= 10


def test_a_mixtral_has_experts_of_the_plain_width(tmp_path):
    config = LLAMA | {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 32000}
    model = model_of(config, tmp_path).record()
    assert total_params(model) == 46_702_792_704
    assert active_params(model) == pytest.approx(12.88e9, rel=1e-3)


def test_nested_text_configs_are_read_and_noted(tmp_path):
    nested = {"model_type": "seeing", "text_config": LLAMA, "vision_config": {"hidden_size": 1}}
    model = model_of(nested, tmp_path)
    assert model.record() == model_of(LLAMA, tmp_path, "other.json").record()
    assert model.notes[0] == "only text_config is read: vision and audio are left out"


def test_what_the_outer_config_says_of_the_head_holds_for_the_text(tmp_path):
    inner = {name: value for name, value in LLAMA.items() if name != "tie_word_embeddings"}
    assert model_of({"text_config": inner, "tie_word_embeddings": True}, tmp_path).record().tied == 1


def test_an_unknown_model_type_is_read_by_its_fields_and_said(tmp_path):
    model = model_of(LLAMA | {"model_type": "brand_new"}, tmp_path)
    assert total_params(model.record()) == 8_030_261_248
    assert model.resolved_as.endswith("(model_type brand_new)")
    assert model.notes[0] == (
        "model_type 'brand_new' is not known: read by its fields, as a plain decoder with RMS norms"
    )


def test_a_config_that_says_everything_needs_no_assumption(tmp_path):
    assert model_of(LLAMA, tmp_path).notes == ("other_params: 65 norms of 4096",)


def test_what_is_assumed_is_said(tmp_path):
    bare = {name: LLAMA[name] for name in LLAMA if name not in ("hidden_act", "tie_word_embeddings")}
    assert model_of(bare, tmp_path).notes[:2] == (
        "no activation is given: a gated MLP is assumed",
        "tie_word_embeddings is not given: untied is assumed",
    )


def test_blocks_of_different_shapes_are_read_as_slots_with_the_mean_mlp(tmp_path):
    def block(group, factor):
        attends = {"n_heads_in_group": group, "no_op": group is None}
        return {"attention": attends, "ffn": {"ffn_mult": factor, "no_op": False}}

    blocks = [block(8, 5.25), block(None, 2.625), block(8, 1.3125), block(8, 5.25)]
    config = LLAMA | {"hidden_size": 8192, "num_attention_heads": 64, "num_hidden_layers": 4, "block_configs": blocks}
    config |= {"num_key_value_heads": None, "intermediate_size": None, "model_type": "nemotron-nas"}
    model = model_of(config, tmp_path).record()
    assert (model.n_layers, model.n_full_layers, model.n_dense_layers) == (7, 3, 4)
    assert (model.n_kv_heads, model.ffn) == (8, (28672 + 14336 + 7168 + 28672) / 4)


def test_layers_that_differ_only_in_query_heads_take_their_mean(tmp_path):
    other = {"num_attention_heads": 64, "num_attention_groups": 8, "head_dim": 128}
    types = ["full_attention", "sliding_attention"] * 16
    config = LLAMA | {"layer_types": types, "sliding_window": 512, "attention_other_setting": other}
    model = model_of(config, tmp_path)
    assert model.record().n_heads == 48
    assert "windowed layers have 64 heads, the others 32: the mean 48 is taken" in model.notes


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"sliding_window": 4096}, (32, 0, 0)),
        ({"sliding_window": 4096, "model_type": "mistral"}, (0, 32, 0)),
        ({"sliding_window": 4096, "use_sliding_window": False, "model_type": "mistral"}, (32, 0, 0)),
        ({"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 28}, (28, 4, 0)),
        ({"sliding_window": 4096, "model_type": "gemma2"}, (16, 16, 0)),
        ({"sliding_window": 512, "sliding_window_pattern": 6}, (5, 27, 0)),
        ({"sliding_window": 512, "layer_types": ["sliding_attention", "full_attention"] * 16}, (16, 16, 0)),
        ({"layer_types": ["full_attention"] * 32}, (32, 0, 0)),
        ({"attention_chunk_size": 8192, "model_type": "llama4_text"}, (8, 24, 0)),
        ({"attention_chunk_size": 8192, "no_rope_layers": [1] * 30 + [0] * 2}, (2, 30, 0)),
        ({"hybrid_layer_pattern": [0] + [1] * 31, "sliding_window_size": 128}, (1, 31, 0)),
        ({"attn_type_list": [0] * 28 + [1] * 4, "model_type": "minimax"}, (4, 0, 28)),
    ],
)
def test_every_way_to_say_which_layers_have_a_window_or_a_state_is_read(change, kinds, tmp_path):
    model = model_of(LLAMA | change, tmp_path).record()
    assert (model.n_full_layers, model.n_window_layers, model.n_linear_layers) == kinds


MIXTURE = LLAMA | {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 1024}


@pytest.mark.parametrize(
    ("change", "n_moe"),
    [
        ({}, 32),
        ({"first_k_dense_replace": 3}, 29),
        ({"first_k_dense_replace": 3, "moe_layer_freq": 2}, 14),
        ({"decoder_sparse_step": 2}, 16),
        ({"decoder_sparse_step": 3}, 10),
        ({"mlp_only_layers": [0, 31]}, 30),
        ({"decoder_sparse_step": 2, "mlp_only_layers": [0, 31]}, 15),
        ({"moe_layer_freq": [0] * 5 + [1] * 27}, 27),
        ({"moe_layers": [3, 7, 11]}, 3),
        ({"moe_layers_enum": "4,5,6,7"}, 4),
        ({"mlp_layer_types": ["dense"] * 2 + ["sparse"] * 30}, 30),
        ({"model_type": "jamba", "layer_types": ["full_attention"] * 32}, 16),
        ({"num_experts": 1}, 0),
    ],
)
def test_every_way_to_say_which_layers_are_mixtures_is_read(change, n_moe, tmp_path):
    model = model_of(MIXTURE | change, tmp_path).record()
    assert (model.n_moe_layers, model.n_dense_layers) == (n_moe, 32 - n_moe)


def groups(weights, inputs=None):
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights} | (inputs or {})}}


FP8 = {"num_bits": 8, "type": "float", "strategy": "channel"}
EIGHT = {"input_activations": {"num_bits": 8, "type": "float"}}


@pytest.mark.parametrize(
    ("quantised", "recipe"),
    [
        (None, ""),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block"),
        ({"quant_method": "fp8", "activation_scheme": "static"}, "fp8"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4-weight-only"),
        ({"quant_method": "gptq", "bits": 8}, "int8-weight-only"),
        ({"quant_method": "gptq", "bits": 3}, ""),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8-weight-only"),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}, "mxfp4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "FP8"}}, "fp8"),
        (groups({"num_bits": 4, "type": "int", "group_size": 32}), "int4-weight-only"),
        (groups({"num_bits": 8, "type": "int"}, {"input_activations": {"num_bits": 8}}), "int8"),
        (groups(FP8, EIGHT), "fp8"),
        (groups(FP8 | {"strategy": "block"}, EIGHT), "fp8-block"),
        (groups(FP8), "fp8-weight-only"),
        (groups({"num_bits": 4, "type": "float", "group_size": 16}), "nvfp4"),
        (groups({"num_bits": 4, "type": "float", "group_size": 32}), "mxfp4"),
        ({"quant_method": "never heard of"}, ""),
        ({"quant_method": ["fp8"]}, ""),
    ],
)
def test_published_weights_are_served_as_they_are_kept(quantised, recipe, tmp_path):
    model = model_of(LLAMA | {"quantization_config": quantised}, tmp_path)
    assert model.served == recipe
    assert model.precision == "bf16"
    assert not quantised or any("quantis" in note or "published in" in note for note in model.notes)


def test_a_model_without_training_figures_gets_the_rules(tmp_path):
    assert model_of(LLAMA, tmp_path).training["tokens"].value == 1.6e11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "4: hidden_size: is missing (or n_embd, d_model, dim), expected it"),
        ({"num_hidden_layers": -1}, "7: num_hidden_layers: is -1, expected a whole number from 0 to 1000000000"),
        ({"num_hidden_layers": 20_000}, "7: num_hidden_layers: is 20000, expected at most 10000"),
        ({"vocab_size": "many"}, "10: vocab_size: is 'many', expected a whole number from 0 to 1000000000"),
        ({"vocab_size": True}, "10: vocab_size: is true, expected a whole number from 0 to 1000000000"),
        ({"num_key_value_heads": 7}, "8: num_key_value_heads: 7 does not divide num_attention_heads (32)"),
        (
            {"num_attention_heads": 7, "num_key_value_heads": 7},
            "6: num_attention_heads: 7 does not divide hidden_size (4096), expected head_dim",
        ),
        (
            {"intermediate_size": None},
            "5: intermediate_size: is missing (or n_inner, ffn_dim, ffn_hidden_size, d_ff, ff_dim), expected it",
        ),
        ({"num_local_experts": 8}, " num_experts_per_tok: is missing beside experts, expected it"),
        (
            {"num_local_experts": 8, "num_experts_per_tok": 9},
            "12: num_experts_per_tok: 9 is more than the experts (8)",
        ),
        ({"kv_lora_rank": 512}, " qk_nope_head_dim: is missing beside kv_lora_rank, expected it"),
        ({"block_configs": [{}]}, "11: block_configs: has 1 entries, expected 32, one for every layer"),
        ({"layer_types": ["full_attention"] * 31}, "11: layer_types: has 31 entries, expected 32, one for every layer"),
        ({"layer_types": ["full_attention", "conv"] * 16}, "11: layer_types: 'conv' is no kind of layer that is known"),
        (
            {"layer_types": ["sliding_attention"] * 32},
            " sliding_window: is missing (or sliding_window_size, "
            "window_size, attention_chunk_size) beside windowed layers, expected it",
        ),
        (
            {"model_type": "zamba2"},
            "2: model_type: zamba2 is not supported: attention blocks are shared by several layers",
        ),
        ({"is_encoder_decoder": True}, "11: is_encoder_decoder: is true, expected a decoder alone"),
        ({"quantization_config": "fp8"}, "11: quantization_config: is 'fp8', expected a mapping"),
    ],
)
def test_a_config_that_lacks_or_contradicts_something_names_it_and_its_line(change, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA | change, indent=1), encoding="utf-8")
    with pytest.raises(WrongInput) as caught:
        catalog.find_model(str(path))
    assert str(caught.value).endswith(f"config.json:{message}")


def test_a_line_is_that_of_the_nested_field():
    nested = '{"vocab_size": 1,\n"text_config": {\n"vocab_size": 2}}'
    assert text.line_of(nested, ("text_config", "vocab_size")) == 3


@pytest.mark.parametrize("content", ["", "[]", "{", "3", '{"a": 1}', "[" * 100_000, "\0"])
def test_what_is_no_config_is_wrong_input(content, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(content, encoding="utf-8")
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


def test_every_model_type_stands_in_one_row():
    data = constants.table("families")
    types = [name for row in data["families"] for name in row["types"]] + list(data["plain"])
    assert len(types) == len(set(types))
    rows = {name: row for row in data["families"] for name in row["types"]}
    assert not rows["xglm"].get("positions")  # sinusoidal
    assert rows["starcoder2"]["window_every"] == 1
    assert rows["hunyuan_v1_dense"]["qk_norm"] == "head"
