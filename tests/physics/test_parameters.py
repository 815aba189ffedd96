"""Laws of the parameter counts."""

from hypothesis import given
from hypothesis import strategies as st

from clustercast.physics import parameters
from clustercast.records import GQA, MLA, Model

NONE = Model(*[0] * len(Model._fields))

DENSE = NONE._replace(
    n_layers=4,
    hidden=64,
    vocab=1000,
    n_full_layers=4,
    attention=GQA,
    n_heads=4,
    n_kv_heads=2,
    qk_head_dim=16,
    v_head_dim=16,
    n_dense_layers=4,
    ffn=128,
    n_mlp_matrices=3,
    other_params=10.0,
)
MIXTURE = DENSE._replace(
    n_dense_layers=1, n_moe_layers=3, n_experts=8, n_active_experts=2, expert_ffn=32, shared_ffn=32, n_mtp_layers=1
)
LATENT = MIXTURE._replace(attention=MLA, n_kv_heads=4, q_lora=24, kv_lora=20, qk_rope_dim=8)
HYBRID = MIXTURE._replace(n_full_layers=1, n_window_layers=1, n_linear_layers=2, linear_params=5000.0)

COUNTS = [
    parameters.indexer_params,
    parameters.attention_params,
    parameters.linear_attention_params,
    parameters.mixer_params_total,
    parameters.dense_mlp_params,
    parameters.expert_params,
    parameters.shared_expert_params,
    parameters.router_params,
    parameters.moe_layer_params,
    parameters.active_moe_layer_params,
    parameters.routed_params_total,
    parameters.layer_params_total,
    parameters.embedding_params,
    parameters.head_params,
    parameters.total_params,
    parameters.active_params,
    parameters.matmul_active_params,
    parameters.mtp_params,
]

models = st.sampled_from([DENSE, MIXTURE, LATENT, HYBRID])


@given(model=models)
def test_every_count_is_a_float_and_not_negative(model: Model) -> None:
    for count in COUNTS:
        assert isinstance(count(model), float)
        assert count(model) >= 0.0


@given(model=models)
def test_a_token_meets_no_more_parameters_than_there_are(model: Model) -> None:
    assert parameters.active_params(model) <= parameters.total_params(model)
    assert parameters.active_moe_layer_params(model) <= parameters.moe_layer_params(model)


def test_a_dense_model_is_active_in_full() -> None:
    assert parameters.active_params(DENSE) == parameters.total_params(DENSE)


def test_routing_to_every_expert_makes_all_of_them_active() -> None:
    everywhere = MIXTURE._replace(n_active_experts=8)
    assert parameters.active_params(everywhere) == parameters.total_params(everywhere)


@given(model=models, factor=st.integers(2, 9))
def test_more_layers_of_every_kind_multiply_the_layers_and_nothing_else(model: Model, factor: int) -> None:
    deeper = model._replace(
        n_full_layers=factor * model.n_full_layers,
        n_window_layers=factor * model.n_window_layers,
        n_linear_layers=factor * model.n_linear_layers,
        n_dense_layers=factor * model.n_dense_layers,
        n_moe_layers=factor * model.n_moe_layers,
    )
    assert parameters.layer_params_total(deeper) == factor * parameters.layer_params_total(model)
    assert parameters.embedding_params(deeper) == parameters.embedding_params(model)


@given(model=models)
def test_tying_saves_one_embedding_and_no_matmul(model: Model) -> None:
    tied = model._replace(tied=1)
    saved = parameters.total_params(model) - parameters.total_params(tied)
    assert saved == parameters.embedding_params(model)
    assert parameters.matmul_active_params(tied) == parameters.matmul_active_params(model)


@given(model=models)
def test_matmuls_touch_all_active_parameters_but_input_embedding_and_norms(model: Model) -> None:
    rest = parameters.embedding_params(model) + model.other_params
    assert parameters.matmul_active_params(model) == parameters.active_params(model) - rest


@given(n_kv_heads=st.integers(1, 4))
def test_each_kv_head_less_saves_its_two_projections(n_kv_heads: int) -> None:
    grouped = DENSE._replace(n_kv_heads=n_kv_heads)
    full = DENSE._replace(n_kv_heads=4)
    saved = parameters.attention_params(full) - parameters.attention_params(grouped)
    assert saved == (4 - n_kv_heads) * 64 * (16 + 16)


def test_latent_attention_counts_its_five_projections() -> None:
    queries = 64 * 24 + 24 * 4 * 16
    keys_values = 64 * (20 + 8) + 20 * 4 * (8 + 16)
    assert parameters.attention_params(LATENT) == queries + keys_values + 4 * 16 * 64


def test_latent_attention_without_query_compression_projects_directly() -> None:
    direct = LATENT._replace(q_lora=0)
    compressed = 64 * 24 + 24 * 4 * 16
    difference = parameters.attention_params(direct) - parameters.attention_params(LATENT)
    assert difference == 64 * 4 * 16 - compressed


@given(model=models)
def test_an_index_adds_to_every_attention_layer(model: Model) -> None:
    indexed = model._replace(index_heads=2, index_dim=8)
    added = parameters.mixer_params_total(indexed) - parameters.mixer_params_total(model)
    n_layers = model.n_full_layers + model.n_window_layers
    assert added == n_layers * parameters.indexer_params(indexed) > 0


@given(model=models)
def test_multi_token_prediction_is_in_no_other_count(model: Model) -> None:
    without = model._replace(n_mtp_layers=0)
    for count in COUNTS:
        if count is not parameters.mtp_params:
            assert count(without) == count(model)
    assert parameters.mtp_params(without) == 0.0


def test_a_large_model_is_counted_exactly() -> None:
    """The released shape of DeepSeek-V3, counted by hand: 671,025,397,760 in matrices."""
    deepseek = NONE._replace(
        n_layers=61,
        hidden=7168,
        vocab=129280,
        n_full_layers=61,
        attention=MLA,
        n_heads=128,
        n_kv_heads=128,
        qk_head_dim=192,
        v_head_dim=128,
        q_lora=1536,
        kv_lora=512,
        qk_rope_dim=64,
        n_dense_layers=3,
        ffn=18432,
        n_mlp_matrices=3,
        n_moe_layers=58,
        n_experts=256,
        n_active_experts=8,
        expert_ffn=2048,
        shared_ffn=2048,
    )
    attention = 61 * (7168 * 1536 + 1536 * 24576 + 7168 * 576 + 512 * 32768 + 16384 * 7168)
    mlps = 3 * 3 * 7168 * 18432 + 58 * (257 * 3 * 7168 * 2048 + 7168 * 256)
    assert parameters.total_params(deepseek) == attention + mlps + 2 * 129280 * 7168
    assert parameters.total_params(deepseek) == 671_025_397_760.0
