"""Parameter counts of a model: per layer, in total, active per token, and touched by matmuls.

Every count is a float: products of integers here pass two to the power of 31, and all of them are exact below 2**53.
Multi-token-prediction layers are left out of every count but `mtp_params`, because published totals leave them out.
"""

from clustercast.physics.formula import formula
from clustercast.records import MLA, Model


@formula
def indexer_params(model: Model) -> float:
    """Parameters of the index that picks the keys of one sparse attention layer.

        d_q heads_i dim_i + h dim_i + h heads_i

    Its queries come from the compressed query where there is one (d_q = q_lora), else from the hidden state.

    Holds for:  index_heads >= 0; 0 gives 0
    Source:     [deepseek2025v32], section 2.1

    >>> none = Model(*[0] * len(Model._fields))
    >>> indexer_params(none._replace(hidden=10, q_lora=5, index_heads=2, index_dim=4))
    100.0
    """
    query_width = float(model.hidden)
    if model.q_lora > 0:
        query_width = float(model.q_lora)
    queries = query_width * model.index_heads * model.index_dim
    keys = float(model.hidden) * model.index_dim
    weights = float(model.hidden) * model.index_heads
    if model.index_heads == 0:
        return 0.0
    return queries + keys + weights


@formula
def attention_params(model: Model) -> float:
    """Parameters of one softmax attention layer, full or windowed.

        GQA  h heads d_qk + h kv_heads (d_qk + d_v) + heads d_v h
        MLA  h q_lora + q_lora heads d_qk                      (h heads d_qk without query compression)
             + h (kv_lora + d_rope) + kv_lora heads (d_nope + d_v) + heads d_v h

    plus the index of sparse attention. Norms and biases are in `other_params`.

    Source:  [ainslie2023] for GQA, [deepseek2024v2], section 2.1 for MLA

    >>> none = Model(*[0] * len(Model._fields))
    >>> attention_params(none._replace(hidden=8, n_heads=4, n_kv_heads=2, qk_head_dim=2, v_head_dim=2))
    192.0
    >>> latent = none._replace(attention=1, hidden=10, n_heads=2, qk_head_dim=3, v_head_dim=2, qk_rope_dim=1)
    >>> attention_params(latent._replace(q_lora=5, kv_lora=4))
    202.0
    """
    hidden = float(model.hidden)
    out = hidden * model.n_heads * model.v_head_dim
    if model.attention == MLA:
        n_nope = model.qk_head_dim - model.qk_rope_dim
        queries = hidden * model.n_heads * model.qk_head_dim
        if model.q_lora > 0:
            queries = hidden * model.q_lora + float(model.q_lora) * model.n_heads * model.qk_head_dim
        down = hidden * (model.kv_lora + model.qk_rope_dim)
        up = float(model.kv_lora) * model.n_heads * (n_nope + model.v_head_dim)
        return queries + down + up + out + indexer_params(model)
    queries = hidden * model.n_heads * model.qk_head_dim
    keys_values = hidden * model.n_kv_heads * (model.qk_head_dim + model.v_head_dim)
    return queries + keys_values + out + indexer_params(model)


@formula
def linear_attention_params(model: Model) -> float:
    """Parameters of one linear-attention or state-space layer, as the model file counts them.

    These mixers differ too much for one equation: workloads/README.md says what each count holds.

    Source:  [yang2025] for the gated delta net, [dao2024] for Mamba-2, [minimax2025] for lightning attention

    >>> none = Model(*[0] * len(Model._fields))
    >>> linear_attention_params(none._replace(linear_params=12.0))
    12.0
    """
    return float(model.linear_params)


@formula
def mixer_params_total(model: Model) -> float:
    """Parameters of the attention and linear layers together.

        (n_full + n_window) P_attention + n_linear P_linear

    Source:  sum of the layers

    >>> none = Model(*[0] * len(Model._fields))
    >>> mixer_params_total(none._replace(n_linear_layers=3, linear_params=12.0))
    36.0
    """
    n_softmax_layers = model.n_full_layers + model.n_window_layers
    return n_softmax_layers * attention_params(model) + model.n_linear_layers * linear_attention_params(model)


@formula
def dense_mlp_params(model: Model) -> float:
    """Parameters of one dense MLP.

        m h ffn,   m = 3 gated, 2 plain

    Source:  [shazeer2020] for the gated form

    >>> none = Model(*[0] * len(Model._fields))
    >>> dense_mlp_params(none._replace(hidden=4, ffn=10, n_mlp_matrices=3))
    120.0
    """
    return float(model.n_mlp_matrices) * model.hidden * model.ffn


@formula
def expert_params(model: Model) -> float:
    """Parameters of one routed expert.

        m h ffn_e,   m = 3 gated, 2 plain

    Source:  [fedus2022]

    >>> none = Model(*[0] * len(Model._fields))
    >>> expert_params(none._replace(hidden=4, expert_ffn=5, n_mlp_matrices=2))
    40.0
    """
    return float(model.n_mlp_matrices) * model.hidden * model.expert_ffn


@formula
def shared_expert_params(model: Model) -> float:
    """Parameters of all shared experts of one mixture-of-experts layer together.

        m h ffn_shared,   m = 3 gated, 2 plain

    Source:  [deepseek2024v2], section 2.2

    >>> none = Model(*[0] * len(Model._fields))
    >>> shared_expert_params(none._replace(hidden=4, shared_ffn=6, n_mlp_matrices=2))
    48.0
    """
    return float(model.n_mlp_matrices) * model.hidden * model.shared_ffn


@formula
def router_params(model: Model) -> float:
    """Parameters of the router of one mixture-of-experts layer.

        h experts

    Source:  [fedus2022]

    >>> none = Model(*[0] * len(Model._fields))
    >>> router_params(none._replace(hidden=4, n_experts=8))
    32.0
    """
    return float(model.hidden) * model.n_experts


@formula
def moe_layer_params(model: Model) -> float:
    """Parameters of the MLP part of one mixture-of-experts layer.

        experts P_expert + P_shared + P_router

    Source:  [fedus2022]; shared experts [deepseek2024v2]

    >>> none = Model(*[0] * len(Model._fields))
    >>> moe_layer_params(none._replace(hidden=4, n_experts=8, expert_ffn=5, n_mlp_matrices=2))
    352.0
    """
    return model.n_experts * expert_params(model) + shared_expert_params(model) + router_params(model)


@formula
def active_moe_layer_params(model: Model) -> float:
    """Parameters of the MLP part of one mixture-of-experts layer that one token meets.

        k P_expert + P_shared + P_router

    Source:  [fedus2022]; shared experts [deepseek2024v2]

    >>> none = Model(*[0] * len(Model._fields))
    >>> mixture = none._replace(hidden=4, n_experts=8, n_active_experts=2, expert_ffn=5, n_mlp_matrices=2)
    >>> active_moe_layer_params(mixture)
    112.0
    """
    return model.n_active_experts * expert_params(model) + shared_expert_params(model) + router_params(model)


@formula
def routed_params_total(model: Model) -> float:
    """Parameters of all routed experts of all layers: what expert parallelism divides.

        n_moe experts P_expert

    Source:  sum of the layers

    >>> none = Model(*[0] * len(Model._fields))
    >>> mixture = none._replace(hidden=4, n_experts=8, expert_ffn=5, n_mlp_matrices=2)
    >>> routed_params_total(mixture._replace(n_moe_layers=3))
    960.0
    """
    return float(model.n_moe_layers) * model.n_experts * expert_params(model)


@formula
def layer_params_total(model: Model) -> float:
    """Parameters of all layers: mixers, dense MLPs and mixtures of experts, without norms and biases.

        P_mixers + n_dense P_dense + n_moe P_moe

    Source:  sum of the layers

    >>> none = Model(*[0] * len(Model._fields))
    >>> dense = none._replace(hidden=4, ffn=10, n_mlp_matrices=3, n_dense_layers=2)
    >>> layer_params_total(dense)
    240.0
    """
    mlps = model.n_dense_layers * dense_mlp_params(model) + model.n_moe_layers * moe_layer_params(model)
    return mixer_params_total(model) + mlps


@formula
def embedding_params(model: Model) -> float:
    """Parameters of the input embedding.

        vocab h

    Source:  [vaswani2017], section 3.4

    >>> none = Model(*[0] * len(Model._fields))
    >>> embedding_params(none._replace(hidden=4, vocab=100))
    400.0
    """
    return float(model.vocab) * model.hidden


@formula
def head_params(model: Model) -> float:
    """Parameters that the output head adds: none where it is the embedding transposed.

        vocab h (1 - tied)

    Its matmul runs either way: see `matmul_active_params`.

    Source:  [press2017] for tying

    >>> none = Model(*[0] * len(Model._fields))
    >>> untied = none._replace(hidden=4, vocab=100)
    >>> head_params(untied), head_params(untied._replace(tied=1))
    (400.0, 0.0)
    """
    if model.tied == 1:
        return 0.0
    return embedding_params(model)


@formula
def total_params(model: Model) -> float:
    """All parameters of the model, norms and biases included, multi-token-prediction layers left out.

        P_layers + P_embedding + P_head + P_other

    Source:  sum of the parts

    >>> none = Model(*[0] * len(Model._fields))
    >>> total_params(none._replace(hidden=4, vocab=100, tied=1, other_params=20.0))
    420.0
    """
    return layer_params_total(model) + embedding_params(model) + head_params(model) + model.other_params


@formula
def active_params(model: Model) -> float:
    """Parameters that one token meets: the total without the routed experts that it is not sent to.

        P - n_moe (experts - k) P_expert

    The input embedding counts in full, as in most published counts; a model file names the exceptions.

    Source:  [fedus2022]

    >>> none = Model(*[0] * len(Model._fields))
    >>> mixture = none._replace(hidden=4, n_experts=8, n_active_experts=2, expert_ffn=5, n_mlp_matrices=2)
    >>> active_params(mixture._replace(n_moe_layers=3))
    336.0
    """
    n_idle_experts = float(model.n_moe_layers) * (model.n_experts - model.n_active_experts)
    return total_params(model) - n_idle_experts * expert_params(model)


@formula
def matmul_active_params(model: Model) -> float:
    """Parameters that matmuls touch per token: with the head, tied or not, and without the input embedding.

        P_mixers + n_dense P_dense + n_moe (k P_expert + P_shared + P_router) + vocab h

    Six FLOPs for each of them and token is the numerator of MFU, before attention scores.

    Source:  [chowdhery2022], appendix B

    >>> none = Model(*[0] * len(Model._fields))
    >>> matmul_active_params(none._replace(hidden=4, vocab=100, tied=1, other_params=20.0))
    400.0
    """
    mlps = model.n_dense_layers * dense_mlp_params(model) + model.n_moe_layers * active_moe_layer_params(model)
    return mixer_params_total(model) + mlps + embedding_params(model)


@formula
def mtp_params(model: Model) -> float:
    """Parameters of the multi-token-prediction layers, which no other count here holds.

        n_mtp (P_attention + P_mlp + 2 h h)

    Each is a whole layer, a mixture of experts if the model has any, behind a projection of two joined
    hidden states; embedding and head are shared with the model.

    Source:  [deepseek2024v3], section 2.2

    >>> none = Model(*[0] * len(Model._fields))
    >>> mtp_params(none._replace(hidden=4, ffn=10, n_mlp_matrices=3, n_dense_layers=2, n_mtp_layers=1))
    152.0
    """
    mlp = dense_mlp_params(model)
    if model.n_moe_layers > 0:
        mlp = moe_layer_params(model)
    return model.n_mtp_layers * (attention_params(model) + mlp + 2.0 * model.hidden * model.hidden)
