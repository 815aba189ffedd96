"""A Hugging Face config.json as a model: decoders of the Llama, Mistral, Qwen, Mixtral, DeepSeek and gpt-oss kind.

Fields are read by their names, whatever `model_type` says; what had to be assumed is in the profile's notes. No code
of a repository runs. Field names: the configuration classes of huggingface/transformers 4.57.
"""

import json
from pathlib import Path
from typing import Any, Final

from clustercast import records
from clustercast.catalog import read
from clustercast.catalog.models import ModelProfile, model_record
from clustercast.catalog.sizes import SOURCES, training_defaults

# Our field: the names that configs use for it, the first that is there wins.
_NAMES: Final = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "vocab": ("vocab_size", "padded_vocab_size"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "multi_query_group_num"),
    "head_dim": ("head_dim", "attention_head_dim", "kv_channels"),
    "ffn": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"),
    "experts": ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts"),
    "experts_per_token": ("num_experts_per_tok", "experts_per_token", "top_k_experts", "moe_top_k", "moe_topk"),
    "expert_ffn": ("moe_intermediate_size", "moe_ffn_hidden_size", "expert_ffn_hidden_size"),
    "first_dense_layers": ("first_k_dense_replace", "moe_layer_start_index"),
    "moe_every": ("interleave_moe_layer_step", "decoder_sparse_step", "moe_layer_freq", "moe_layer_interval"),
    "n_groups": ("n_group",),
    "top_groups": ("topk_group",),
    "window": ("sliding_window", "window_size"),
    "mtp_layers": ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules"),
    "q_lora": ("q_lora_rank",),
    "kv_lora": ("kv_lora_rank",),
    "qk_nope_dim": ("qk_nope_head_dim",),
    "qk_rope_dim": ("qk_rope_head_dim",),
    "v_head_dim": ("v_head_dim",),
    "index_heads": ("index_n_heads",),
    "index_dim": ("index_head_dim",),
    "index_topk": ("index_topk",),
    "linear_k_heads": ("linear_num_key_heads",),
    "linear_v_heads": ("linear_num_value_heads",),
    "linear_k_dim": ("linear_key_head_dim",),
    "linear_v_dim": ("linear_value_head_dim",),
}
_ESSENTIAL: Final = ("layers", "hidden", "vocab", "heads")
_LARGEST: Final = 10**9

# Activations that need no gate beside them.
_PLAIN_ACTIVATIONS: Final = ("relu", "relu2", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")
_PLAIN_TYPES: Final = ("gpt2", "gptj", "gpt_neox", "gpt_bigcode", "opt", "bloom", "falcon", "phi", "nemotron_h")
_TIED_TYPES: Final = ("gpt2", "gpt_bigcode", "opt", "bloom", "falcon", "gemma")


def read_config(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file."""
    text = read.text_of(read.read_bytes(path), path)
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise read.wrong(path, "", f"is not JSON: {error.msg.lower()}", line=error.lineno) from None
    except (ValueError, RecursionError):
        raise read.wrong(path, "", "is not JSON that can be read") from None
    if not isinstance(config, dict):
        raise read.wrong(path, "", "is not a mapping, expected a Hugging Face config.json")
    return config


def model_of_config(config: dict[str, Any], path: Path) -> ModelProfile:
    """The model that a config.json describes."""
    notes: list[str] = []
    for nested in ("text_config", "llm_config", "language_config"):
        if isinstance(config.get(nested), dict):
            config = {"tie_word_embeddings": config.get("tie_word_embeddings"), **config[nested]}
            notes.append(f"only {nested} is read: vision and audio are left out")
            break
    kind = str(config.get("model_type", "unknown"))
    shape = _shape(config, kind, path, notes)
    name = path.parent.name if path.stem == "config" and path.parent.name else path.stem
    total, active = _counts(model_record(shape))
    return ModelProfile(
        name=name,
        full_name=name,
        aliases=(),
        status="published",
        architecture=shape,
        architecture_source="config",
        architecture_kind="reported",
        unverified=(),
        published={},
        exceptions={},
        training=training_defaults(total, active),
        precision="bf16",
        serving={},
        sources={"config": f"{read.shown(path)}, read as a Hugging Face config", **SOURCES},
        notes=tuple(notes),
        resolved_as=f"Hugging Face config {read.shown(path)} (model_type {kind[:40]})",
        file=read.shown(path),
    )


def _shape(config: dict[str, Any], kind: str, path: Path, notes: list[str]) -> dict[str, Any]:
    """The architecture in our fields."""
    if isinstance(config.get("block_configs"), list):
        raise read.wrong(path, "block_configs", "every block has its own shape, expected blocks of one shape")
    shape: dict[str, Any] = {}
    for field, names in _NAMES.items():
        value = _first(config, names, path)
        if value is not None:
            shape[field] = value
    for field in _ESSENTIAL:
        if not shape.get(field):
            raise read.wrong(path, _NAMES[field][0], f"is missing (or {', '.join(_NAMES[field][1:])}), expected it")
    _attention(shape, config, path, notes)
    _mixers(shape, config, path, notes)
    _experts(shape, config, kind, path, notes)
    acts = (config.get(name) for name in ("hidden_act", "mlp_hidden_act", "hidden_activation", "activation_function"))
    activation = str(next((act for act in acts if act), ""))
    gated_anyway = kind.startswith(("gemma", "glm", "chatglm"))
    shape["gated"] = kind not in _PLAIN_TYPES and (activation not in _PLAIN_ACTIVATIONS or gated_anyway)
    if activation == "" and kind not in _PLAIN_TYPES:
        notes.append("no activation is given: a gated MLP is assumed")
    tied = config.get("tie_word_embeddings")
    shape["tied"] = tied if isinstance(tied, bool) else kind.startswith(_TIED_TYPES)
    if not isinstance(tied, bool):
        notes.append(f"tie_word_embeddings is not given: {'tied' if shape['tied'] else 'untied'} is assumed")
    _biases(shape, config, kind)
    if not _needs_ffn(shape):
        shape.pop("ffn", None)
    elif not shape.get("ffn"):
        if not kind.startswith(("gpt2", "gptj", "gpt_bigcode", "bloom", "falcon")):
            raise read.wrong(path, "intermediate_size", "is missing (or n_inner, ffn_dim), expected it")
        shape["ffn"] = 4 * shape["hidden"]
        notes.append("no MLP width is given: 4 times hidden is assumed")
    return {field: value for field, value in shape.items() if value or isinstance(value, bool) or field in _COUNTS}


_COUNTS: Final = ("dense_layers", "moe_layers", "full_attention_layers")


def _needs_ffn(shape: dict[str, Any]) -> bool:
    """Whether any layer has a dense MLP."""
    if "dense_layers" in shape:
        return bool(shape["dense_layers"])
    return not shape.get("experts") or bool(shape.get("first_dense_layers")) or shape.get("moe_every", 1) > 1


def _first(config: dict[str, Any], names: tuple[str, ...], path: Path) -> int | None:
    """The first of the fields that is there, as a count."""
    for name in names:
        value = config.get(name)
        if value is None or isinstance(value, list):
            continue
        if type(value) is not int or not 0 <= value <= _LARGEST:
            shown = repr(value)[:60]
            raise read.wrong(path, name, f"is {shown}, expected a whole number from 0 to {_LARGEST}")
        return value
    return None


def _attention(shape: dict[str, Any], config: dict[str, Any], path: Path, notes: list[str]) -> None:
    """Latent attention, or grouped queries."""
    if shape.get("kv_lora"):
        shape["attention"] = "mla"
        shape.pop("head_dim", None)
        for field in ("qk_nope_dim", "qk_rope_dim", "v_head_dim"):
            if not shape.get(field):
                raise read.wrong(path, _NAMES[field][0], "is missing beside kv_lora_rank, expected it")
        shape.setdefault("kv_heads", shape["heads"])
        return
    shape["attention"] = "gqa"
    for field in ("q_lora", "qk_nope_dim", "qk_rope_dim", "v_head_dim"):
        shape.pop(field, None)
    if config.get("multi_query") is True and "kv_heads" not in shape:
        shape["kv_heads"] = 1
    shape["kv_heads"] = shape.get("kv_heads") or shape["heads"]
    if shape["heads"] % shape["kv_heads"]:
        raise read.wrong(
            path, "num_key_value_heads", f"{shape['kv_heads']} does not divide num_attention_heads ({shape['heads']})"
        )
    if not shape.get("head_dim"):
        if shape["hidden"] % shape["heads"]:
            raise read.wrong(path, "head_dim", "is missing and the heads do not divide hidden_size, expected it")
        shape["head_dim"] = shape["hidden"] // shape["heads"]
    full_dim, full_heads = config.get("global_head_dim"), config.get("num_global_key_value_heads")
    if full_dim or full_heads:
        notes.append("full-attention layers have heads of their own: those of the windowed layers are taken for all")


def _mixers(shape: dict[str, Any], config: dict[str, Any], path: Path, notes: list[str]) -> None:
    """Which layers attend to everything, to a window, or keep a state."""
    layers, window = shape["layers"], shape.pop("window", None)
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        _slots(shape, config, pattern, path)
        return
    types = config.get("layer_types")
    if isinstance(types, list) and len(types) == layers:
        n_window = sum(str(each).startswith(("sliding", "chunked")) for each in types)
        n_linear = sum(str(each).startswith(("linear", "mamba", "recurrent")) for each in types)
    else:
        n_window, n_linear = 0, 0
        if window and config.get("use_sliding_window") is not False:
            every, full_below = config.get("sliding_window_pattern"), config.get("max_window_layers")
            n_window = layers - layers // every if type(every) is int and every > 1 else layers
            if config.get("use_sliding_window") is True and type(full_below) is int and 0 <= full_below <= layers:
                n_window = layers - full_below
            notes.append(f"sliding_window is given without layer_types: {n_window} windowed layers are assumed")
        interval = config.get("full_attention_interval")
        if shape.get("linear_v_heads") and type(interval) is int and interval > 1:
            n_linear = layers - layers // interval
    if config.get("attention_chunk_size"):
        notes.append("attention inside chunks counts as full attention: exact up to one chunk")
        n_window = 0
    if n_window and window:
        shape["window_layers"], shape["window"] = n_window, window
    if n_linear:
        shape["linear_layers"] = n_linear
        shape["linear_params_per_layer"] = _delta_net_params(shape, config, path, layers - n_linear)
        notes.append(f"{n_linear} linear-attention layers are read as gated delta nets")
    else:
        for field in ("linear_k_heads", "linear_v_heads", "linear_k_dim", "linear_v_dim"):
            shape.pop(field, None)


def _delta_net_params(shape: dict[str, Any], config: dict[str, Any], path: Path, n_full: int) -> int:
    """Parameters of one gated delta net: q, k, v, z, b, a, convolution, decay, norm, output (Qwen3-Next, Qwen3.5).

    A gate on the output of the full-attention layers has no place of its own in the record: it is spread over these.
    """
    for field in ("linear_k_heads", "linear_v_heads", "linear_k_dim", "linear_v_dim"):
        if not shape.get(field):
            raise read.wrong(path, _NAMES[field][0], "is missing beside linear_attention layers, expected it")
    hidden, kernel = shape["hidden"], config.get("linear_conv_kernel_dim")
    keys, n_values = shape["linear_k_heads"] * shape["linear_k_dim"], shape["linear_v_heads"]
    values = n_values * shape["linear_v_dim"]
    conv = (2 * keys + values) * (kernel if type(kernel) is int else 4)
    own = hidden * (2 * keys + 2 * values + 2 * n_values) + conv + 2 * n_values + shape["linear_v_dim"]
    gates = 0
    if config.get("attn_output_gate") or str(config.get("model_type")).startswith(("qwen3_next", "qwen3_5")):
        gates = n_full * hidden * shape["heads"] * shape["head_dim"]
    return int(own + values * hidden + gates // shape["linear_layers"])


def _slots(shape: dict[str, Any], config: dict[str, Any], pattern: str, path: Path) -> None:
    """A hybrid whose slots hold one thing each: M a Mamba-2 mixer, * attention, - a dense MLP, E experts."""
    if len(pattern) != shape["layers"] or set(pattern) - set("M*-E"):
        raise read.wrong(path, "hybrid_override_pattern", f"is not {shape['layers']} of M, *, - and E, expected that")
    shape["full_attention_layers"] = pattern.count("*")
    shape["dense_layers"], shape["moe_layers"] = pattern.count("-"), pattern.count("E")
    n_mamba = pattern.count("M")
    if not n_mamba:
        return
    counts = {}
    for name in ("mamba_num_heads", "mamba_head_dim", "ssm_state_size", "n_groups", "conv_kernel"):
        value = _first(config, (name,), path)
        if not value:
            raise read.wrong(path, name, "is missing beside Mamba layers, expected it")
        counts[name] = value
    heads, groups, state = counts["mamba_num_heads"], counts["n_groups"], counts["ssm_state_size"]
    inner = heads * counts["mamba_head_dim"]
    conv = inner + 2 * groups * state
    projection = shape["hidden"] * (2 * inner + 2 * groups * state + heads)
    shape["linear_layers"] = n_mamba
    shape["linear_k_heads"], shape["linear_v_heads"] = groups, heads
    shape["linear_k_dim"], shape["linear_v_dim"] = state, counts["mamba_head_dim"]
    shape["linear_params_per_layer"] = (
        projection + conv * (counts["conv_kernel"] + 1) + 3 * heads + inner + inner * shape["hidden"]
    )
    shape["norm_params_per_layer"] = shape["hidden"]


def _experts(shape: dict[str, Any], config: dict[str, Any], kind: str, path: Path, notes: list[str]) -> None:
    """Routed and shared experts, and which layers have them."""
    n_experts = shape.get("experts")
    if not n_experts or n_experts == 1:
        for field in ("experts", "experts_per_token", "expert_ffn", "first_dense_layers", "moe_every", "n_groups"):
            shape.pop(field, None)
        shape.pop("top_groups", None)
        shape.pop("moe_layers", None)
        return
    if not shape.get("experts_per_token"):
        raise read.wrong(path, "num_experts_per_tok", "is missing beside experts, expected it")
    if shape["experts_per_token"] > n_experts:
        message = f"{shape['experts_per_token']} is more than the experts ({n_experts})"
        raise read.wrong(path, "num_experts_per_tok", message)
    if not shape.get("expert_ffn"):
        if not shape.get("ffn"):
            raise read.wrong(path, "moe_intermediate_size", "is missing (or intermediate_size), expected it")
        shape["expert_ffn"] = shape["ffn"]
    dense_ffn = _first(config, ("intermediate_size_mlp",), path)
    if dense_ffn:
        shape["ffn"] = dense_ffn
    dense = config.get("mlp_only_layers")
    pattern = config.get("moe_layer_freq")
    if isinstance(pattern, list) and len(pattern) == shape["layers"]:
        shape["moe_layers"] = sum(bool(each) for each in pattern)
    elif isinstance(dense, list) and dense:
        shape["moe_layers"] = (shape["layers"] - len(dense)) // (shape.get("moe_every") or 1)
    if "moe_layers" in shape and "dense_layers" not in shape:
        shape["dense_layers"] = shape["layers"] - shape["moe_layers"]
    if shape.get("first_dense_layers", 0) > shape["layers"]:
        raise read.wrong(path, _NAMES["first_dense_layers"][0], f"is more than the layers ({shape['layers']})")
    shape["shared_ffn"] = _shared_ffn(shape, config, kind, path)
    if kind.startswith("gemma4") and config.get("enable_moe_block"):
        shape["shared_ffn"] = shape.get("ffn", 0)
        notes.append("the dense MLP beside the experts of every layer is read as a shared expert")
    if shape.get("n_groups", 0) <= 1 or "top_groups" not in shape:
        shape.pop("n_groups", None)
        shape.pop("top_groups", None)


def _shared_ffn(shape: dict[str, Any], config: dict[str, Any], kind: str, path: Path) -> int:
    """The width of all shared experts together."""
    names = ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size")
    width = _first(config, names, path)
    if width is not None:
        return width
    n_shared = _first(config, ("n_shared_experts", "num_shared_experts", "num_shared_expert"), path)
    if n_shared is None and kind.startswith("llama4"):
        n_shared = 1
    return int((n_shared or 0) * shape["expert_ffn"])


def _biases(shape: dict[str, Any], config: dict[str, Any], kind: str) -> None:
    """Which matrices have a bias, and norms beside the usual two; small, but part of the count."""
    if kind in ("gpt2", "gpt_neox", "gpt_bigcode", "opt", "bloom", "gpt_oss"):
        shape["bias"] = True
    elif kind in ("qwen2", "qwen2_moe") or config.get("qkv_bias") is True or config.get("add_qkv_bias") is True:
        shape["bias"] = "qkv"
    elif config.get("attention_bias") is True:
        shape["bias"] = "attention"
    if kind == "gpt_oss":  # no bias in the norms; one attention sink per head
        shape["norm_params_per_layer"] = 2 * shape["hidden"] + shape["heads"]
    elif kind.startswith("qwen3") and shape["attention"] == "gqa" and "linear_layers" not in shape:
        shape["norm_params_per_layer"] = 2 * (shape["hidden"] + shape["head_dim"])  # norms of queries and keys
    if kind in ("gpt2", "gpt_bigcode", "opt"):
        positions = config.get("n_positions") or config.get("max_position_embeddings")
        shape["learned_positions"] = positions if type(positions) is int and 0 <= positions <= _LARGEST else 0


def _counts(model: records.Model) -> tuple[float, float]:
    """Total and active parameters, near enough to choose training defaults by."""
    softmax = model.hidden * (
        model.n_heads * (model.qk_head_dim + model.v_head_dim)
        + model.n_kv_heads * (model.qk_head_dim + model.v_head_dim)
    )
    if model.attention == records.MLA:
        per_head = model.qk_head_dim + (model.qk_head_dim - model.qk_rope_dim) + model.v_head_dim
        softmax = model.n_heads * (per_head * model.kv_lora + model.v_head_dim * model.hidden)
    mixers = (model.n_full_layers + model.n_window_layers) * softmax + model.n_linear_layers * model.linear_params
    expert = model.n_mlp_matrices * model.hidden * model.expert_ffn
    mlps = (
        model.n_mlp_matrices * model.hidden * (model.n_dense_layers * model.ffn + model.n_moe_layers * model.shared_ffn)
    )
    rest = mixers + mlps + model.vocab * model.hidden * (2 - model.tied) + model.other_params
    routed = float(model.n_moe_layers * expert)
    return rest + routed * model.n_experts, rest + routed * model.n_active_experts
