"""Parameters that no matmul of the record touches: norms, biases, router biases, sinks, gates, positions."""

from collections.abc import Iterator
from typing import Any

from clustercast.catalog.hf.fields import Fields
from clustercast.catalog.models import mlp_layers

Part = tuple[int, str]  # a count, and what it counts


def read(shape: dict[str, Any], fields: Fields, more: tuple[Part, ...] = ()) -> str:
    """Fill in `other_params`; what it is made of, as a sentence."""
    every = (*_norms(shape, fields), *_biases(shape, fields), *_extras(shape, fields), *more)
    parts = [part for part in every if part[0]]
    shape["other_params"] = max(0, sum(count for count, _ in parts))
    return " + ".join(what for _, what in parts)


def _softmax_layers(shape: dict[str, Any]) -> int:
    n_linear = shape.get("linear_layers", 0)
    return int(shape.get("full_attention_layers", shape["layers"] - n_linear) + shape.get("window_layers", 0))


def _norms(shape: dict[str, Any], fields: Fields) -> Iterator[Part]:
    family = fields.family
    layers, hidden, n_softmax = shape["layers"], shape["hidden"], _softmax_layers(shape)
    n_norms = layers * _norms_per_layer(shape, fields) + family["final_norms"]
    times = f"{family['norm_vectors']} x " if family["norm_vectors"] > 1 else ""
    yield n_norms * family["norm_vectors"] * hidden, f"{n_norms} norms of {times}{hidden}"
    if shape["attention"] == "mla":
        yield n_softmax * (shape.get("q_lora", 0) + shape["kv_lora"]), "norms of the compressed q and kv"
    yield _qk_norms(shape, fields, n_softmax), "norms of q and k"
    if shape.get("index_dim") and shape["attention"] == "mla":
        yield 2 * n_softmax * shape["index_dim"], "norms of the index keys"
    if family["embedding_norm"]:
        yield family["norm_vectors"] * hidden, "norm of the embedding"


def _norms_per_layer(shape: dict[str, Any], fields: Fields) -> int:
    """Norms as wide as hidden in one layer, by family and by the switches that some configs have."""
    norms: int = fields.family["norms"]
    parallel = fields.flag("parallel_attn") or (fields.kind == "stablelm" and fields.flag("use_parallel_residual"))
    if parallel and not fields.flag("new_decoder_architecture"):
        norms = 1
    if fields.flag("sandwich_norm"):
        norms = 4
    if shape.get("experts"):
        norms += fields.family["moe_norms"]
    return norms


def _qk_norms(shape: dict[str, Any], fields: Fields, n_softmax: int) -> int:
    """Norms of queries and keys in all layers with softmax attention."""
    kind, switch = fields.family["qk_norm"], fields.family["qk_norm_flag"]
    named = fields.words("qk_norm_type")
    if named:
        kind = "width" if named == "per_layer" else "head"
    if (switch and fields.flag(switch) is not True) or shape["attention"] == "mla" or not kind:
        return 0
    head_dim, kv_heads = shape["head_dim"], shape["kv_heads"]
    per_layer = 2 * head_dim if kind == "head" else (shape["heads"] + kv_heads) * head_dim
    full_dim = fields.count("global_head_dim")
    more = 2 * (full_dim - head_dim) * shape.get("full_attention_layers", 0) if full_dim and kind == "head" else 0
    return int(n_softmax * per_layer + more)


def _biased(fields: Fields) -> set[str]:
    """Which matrices have a bias."""
    family = fields.family
    found = set(family["biases"])
    if fields.flag("attention_bias") is True:
        found |= set(family["attention_bias"])
    if fields.flag("qkv_bias", "add_qkv_bias", "use_qkv_bias") is True:
        found |= {"qkv"}
    if fields.flag("attention_out_bias") is True:
        found |= {"out"}
    if fields.flag("mlp_bias") is True:
        found |= {"mlp", "expert"}
    if fields.flag("lm_head_bias") is True:
        found |= {"head"}
    if fields.flag("bias", "use_bias") is True and not fields.family["slots"]:
        found |= {"qkv", "out", "mlp"}
    return found


def _biases(shape: dict[str, Any], fields: Fields) -> Iterator[Part]:
    found = _biased(fields)
    hidden, n_softmax = shape["hidden"], _softmax_layers(shape)
    n_moe, n_dense = mlp_layers(shape)
    n_in = 2 if shape["gated"] else 1
    if "qkv" in found and shape["attention"] == "gqa":
        values = shape.get("v_head_dim", shape["head_dim"])
        width = shape["heads"] * shape["head_dim"] + shape["kv_heads"] * (shape["head_dim"] + values)
        yield n_softmax * width, "biases of q, k and v"
    if "out" in found:
        yield n_softmax * hidden, "biases of the attention output"
    if "mlp" in found:
        yield n_dense * (n_in * shape.get("ffn", 0) + hidden), "biases of the MLPs"
    if "expert" in found:
        experts = shape.get("experts", 0)
        yield n_moe * experts * (n_in * shape.get("expert_ffn", 0) + hidden), "biases of the experts"
    if "head" in found:
        yield shape["vocab"], "bias of the head"
    if "router" in found or _router_bias(fields):
        yield n_moe * shape.get("experts", 0), "router biases"


def _router_bias(fields: Fields) -> bool:
    """Whether every expert has a bias that balances the load."""
    flags = ("use_routing_bias", "use_moe_router_bias", "moe_router_enable_expert_bias", "moe_use_aux_free")
    said = fields.flag(*flags)
    if said is not None:
        return said
    return bool(fields.family["router_bias"]) or fields.words("topk_method") == "noaux_tc"


def _extras(shape: dict[str, Any], fields: Fields) -> Iterator[Part]:
    family, hidden, n_softmax = fields.family, shape["hidden"], _softmax_layers(shape)
    n_moe, _ = mlp_layers(shape)
    if family["sinks"]:
        yield n_softmax * shape["heads"], "attention sinks"
    n_window = shape.get("window_layers", 0)
    if fields.flag("add_swa_attention_sink_bias"):
        yield n_window * shape["heads"], "attention sinks"
    if fields.flag("add_full_attention_sink_bias"):
        yield (n_softmax - n_window) * shape["heads"], "attention sinks of the full layers"
    if family["shared_gate"] and shape.get("shared_ffn"):
        yield n_moe * hidden, "gates of the shared experts"
    if family["positions"]:
        positions = fields.count("n_positions", "max_position_embeddings") or 0
        yield (positions + family["more_positions"]) * hidden, f"{positions + family['more_positions']} positions"
    yield shape.pop("gate_remainder", 0), "remainder of the output gates"
    yield from _per_layer_embeddings(shape, fields)


def _per_layer_embeddings(shape: dict[str, Any], fields: Fields) -> Iterator[Part]:
    """A small embedding per layer (Gemma 4): a table, a projection of the hidden state, and a gate in every layer."""
    width = fields.count("hidden_size_per_layer_input")
    if not width:
        return
    vocab = fields.count("vocab_size_per_layer_input") or shape["vocab"]
    hidden, all_layers = shape["hidden"], shape["layers"] * width
    fields.note("embeddings per layer are counted, but their small matmuls are not")
    yield vocab * all_layers, "embeddings per layer"
    yield hidden * all_layers + width + shape["layers"] * (2 * hidden * width + hidden), "their projections and norms"
