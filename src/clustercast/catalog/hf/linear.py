"""Layers that keep a state instead of keys and values: the dimensions of the state, and their parameters.

Counts follow the modeling files of each kind; workloads/README.md says what each holds.
"""

import math
from typing import Any

from clustercast.catalog.hf.fields import Fields, table


def read(shape: dict[str, Any], fields: Fields, n_linear: int) -> None:
    """Fill in the linear layers."""
    kind = fields.family["linear"] or _guess(fields)
    shape["linear_layers"] = n_linear
    _READERS[kind](shape, fields)


def _guess(fields: Fields) -> str:
    """The kind of linear layer that a config of an unknown family describes."""
    if fields.data.get("linear_num_value_heads") is not None:
        fields.note("linear-attention layers are read as gated delta nets")
        return "gated-delta-net"
    if fields.raw("mamba_num_heads", "mamba_n_heads")[1] is not None:
        fields.note("state-space layers are read as Mamba-2")
        return "mamba2"
    if isinstance(fields.data.get("linear_attn_config"), dict):
        fields.note("linear-attention layers are read as Kimi delta attention")
        return "kimi-delta"
    if fields.data.get("mamba_d_state") is not None:
        fields.note("state-space layers are read as Mamba-1")
        return "mamba1"
    fields.note("linear-attention layers are read as lightning attention with the heads of the others")
    return "lightning"


def _gated_delta_net(shape: dict[str, Any], fields: Fields) -> None:
    """Gated delta net of Qwen3-Next: q, k, v, z, b, a; convolution; decay and time step; norm; output."""
    because = "beside linear_attention layers"
    n_keys = fields.needed(because, "linear_num_key_heads")
    n_values = fields.needed(because, "linear_num_value_heads")
    key_dim = fields.needed(because, "linear_key_head_dim")
    value_dim = fields.needed(because, "linear_value_head_dim")
    kernel = fields.count("linear_conv_kernel_dim") or 4
    keys, values, hidden = n_keys * key_dim, n_values * value_dim, shape["hidden"]
    params = hidden * (2 * keys + 2 * values + 2 * n_values) + (2 * keys + values) * kernel
    params += 2 * n_values + value_dim + values * hidden
    if fields.family["output_gate"] and fields.flag("attn_output_gate") is not False:
        # a gate on the output of the full-attention layers has no place in the record: it is spread over these
        gates = (
            (shape["layers"] - shape["linear_layers"])
            * hidden
            * shape["heads"]
            * shape.get("head_dim", shape.get("v_head_dim", 0))
        )
        params += gates // shape["linear_layers"]
        shape["gate_remainder"] = gates % shape["linear_layers"]
        fields.note("the output gates of the full-attention layers are counted in the linear layers, spread evenly")
    _state(shape, n_keys, n_values, key_dim, value_dim, params)


def _kimi_delta(shape: dict[str, Any], fields: Fields) -> None:
    """Kimi delta attention: q, k, v with a convolution each, two low-rank gates, beta, decay, norm, output."""
    inside = "linear_attn_config"
    heads = fields.needed("beside kda_layers", "num_heads", inside=inside)
    dim = fields.needed("beside kda_layers", "head_dim", inside=inside)
    kernel = fields.count("short_conv_kernel_size", inside=inside) or 4
    width, hidden = heads * dim, shape["hidden"]
    low_rank = hidden * dim + dim * width
    params = 4 * hidden * width + 3 * width * kernel + 2 * low_rank + hidden * heads + heads + width + dim
    _state(shape, heads, heads, dim, dim, params)


def _lightning(shape: dict[str, Any], fields: Fields) -> None:
    """Lightning attention of MiniMax-01: q, k, v, output gate, output, and a norm as wide as all heads."""
    heads, dim = shape["heads"], shape.get("head_dim", 0)
    if not dim:
        raise fields.wrong("layer_types", "holds linear layers beside latent attention, expected linear_attn_config")
    width = heads * dim
    _state(shape, heads, heads, dim, dim, 5 * shape["hidden"] * width + width)


def _mamba2(shape: dict[str, Any], fields: Fields) -> None:
    """Mamba-2: input projection, convolution, A, D, the time step's bias, the gated norm, output projection."""
    because = "beside Mamba layers"
    heads = fields.needed(because, "mamba_num_heads", "mamba_n_heads")
    dim = fields.needed(because, "mamba_head_dim", "mamba_d_head")
    state = fields.needed(because, "ssm_state_size", "mamba_d_state")
    groups = fields.needed(because, "n_groups", "mamba_n_groups")
    kernel = fields.needed(because, "conv_kernel", "mamba_d_conv")
    inner, hidden = heads * dim, shape["hidden"]
    conv = inner + 2 * groups * state
    n_conv = kernel + (fields.flag("use_conv_bias", "mamba_conv_bias") is not False)
    params = hidden * (2 * inner + 2 * groups * state + heads) + conv * n_conv + 3 * heads + inner + inner * hidden
    if fields.flag("mamba_proj_bias") is True:
        params += 2 * inner + 2 * groups * state + heads + hidden
    _state(shape, groups, heads, state, dim, params)


def _mamba1(shape: dict[str, Any], fields: Fields) -> None:
    """Mamba-1 of Jamba: input, convolution, x and time-step projections, A, D, three small norms, output."""
    because = "beside Mamba layers"
    state = fields.needed(because, "mamba_d_state")
    kernel = fields.needed(because, "mamba_d_conv")
    hidden = shape["hidden"]
    inner = fields.needed(because, "mamba_expand") * hidden
    rank = fields.count("mamba_dt_rank") if fields.words("mamba_dt_rank") != "auto" else None
    rank = rank or math.ceil(hidden / 16)  # the default of the family
    params = 2 * hidden * inner + inner * kernel + inner * (rank + 2 * state) + rank * inner + inner
    params += inner * state + inner + rank + 2 * state + inner * hidden
    if fields.flag("mamba_conv_bias") is not False:
        params += inner
    if fields.flag("mamba_proj_bias") is True:
        params += 2 * inner + hidden
    dim = math.gcd(inner, table()["mamba1_head_dim"])
    _state(shape, 1, inner // dim, state, dim, params)


def _state(shape: dict[str, Any], n_keys: int, n_values: int, key_dim: int, value_dim: int, params: int) -> None:
    shape["linear_k_heads"], shape["linear_v_heads"] = n_keys, n_values
    shape["linear_k_dim"], shape["linear_v_dim"] = key_dim, value_dim
    shape["linear_params_per_layer"] = params


_READERS = {
    "gated-delta-net": _gated_delta_net,
    "kimi-delta": _kimi_delta,
    "lightning": _lightning,
    "mamba2": _mamba2,
    "mamba1": _mamba1,
}
