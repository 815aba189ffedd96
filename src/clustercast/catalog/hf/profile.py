"""A config's fields to a model's profile."""

from pathlib import Path
from typing import Any, Final

from clustercast import records
from clustercast.catalog import read
from clustercast.catalog.hf import experts, mixers, precision, rest, text, uneven
from clustercast.catalog.hf.fields import Fields
from clustercast.catalog.models import ModelProfile, model_record
from clustercast.catalog.sizes import SOURCES, training_defaults

_LAYERS: Final = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HIDDEN: Final = ("hidden_size", "n_embd", "d_model", "dim")
_VOCAB: Final = ("vocab_size", "padded_vocab_size")
_HEADS: Final = ("num_attention_heads", "n_head", "n_heads")
_ACTIVATIONS: Final = ("hidden_act", "mlp_hidden_act", "hidden_activation", "activation_function", "activation")
_MOST_LAYERS: Final = 10_000

# Activations that need no gate beside them.
_PLAIN: Final = ("relu", "relu2", "relu_squared", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "xielu")

# The order in which an architecture is written down.
_ORDER: Final = (
    *("layers", "hidden", "vocab", "tied", "attention", "heads", "kv_heads", "head_dim", "q_lora", "kv_lora"),
    *("qk_nope_dim", "qk_rope_dim", "v_head_dim", "index_heads", "index_dim", "index_topk"),
    *("full_attention_layers", "window_layers", "window", "linear_layers", "linear_k_heads", "linear_v_heads"),
    *("linear_k_dim", "linear_v_dim", "linear_params_per_layer", "ffn", "gated", "experts", "experts_per_token"),
    *("expert_ffn", "shared_ffn", "first_dense_layers", "moe_every", "moe_layers", "dense_layers", "n_groups"),
    *("top_groups", "mtp_layers", "other_params"),
)
_MAY_BE_ZERO: Final = ("dense_layers", "moe_layers", "full_attention_layers", "other_params", "tied", "gated")


def model_of_config(config: dict[str, Any], path: Path) -> ModelProfile:
    """The model that a config.json describes. Raises WrongInput with file, line and field."""
    fields = Fields(config, path)
    shape, made_of = _shape(fields)
    served = precision.served(fields)
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
        notes=(*fields.notes, f"other_params: {made_of}"),
        resolved_as=f"Hugging Face config {read.shown(path)} (model_type {text.shown(fields.kind).strip(chr(39))})",
        file=read.shown(path),
        served=served,
    )


def _shape(fields: Fields) -> tuple[dict[str, Any], str]:
    """The architecture in our fields, and what its `other_params` are made of."""
    shape: dict[str, Any] = {
        "layers": fields.needed("", *_LAYERS),
        "hidden": fields.needed("", *_HIDDEN),
        "vocab": fields.needed("", *_VOCAB),
        "heads": fields.needed("", *_HEADS),
    }
    if shape["layers"] > _MOST_LAYERS:
        raise fields.wrong(fields.raw(*_LAYERS)[0], f"is {shape['layers']}, expected at most {_MOST_LAYERS}")
    shape["gated"] = _gated(fields)
    shape["tied"] = _tied(fields)
    mixers.read(shape, fields)
    if uneven.blocks(shape, fields):
        fields.family["norms"] = 1
    else:
        experts.read(shape, fields)
    mtp = fields.count("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", "num_mtp_layers")
    shape["mtp_layers"] = 0 if fields.flag("use_mtp") is False else mtp
    more = (*uneven.other_heads(shape, fields), *uneven.head_gates(shape, fields))
    made_of = rest.read(shape, fields, more)
    held = {name: shape[name] for name in _ORDER if shape.get(name) or (name in shape and name in _MAY_BE_ZERO)}
    return held, made_of


def _gated(fields: Fields) -> bool:
    """Whether an MLP has a gate beside its activation."""
    said = fields.family["gated"]
    if said is not None:
        return bool(said)
    activation = next((fields.words(name) for name in _ACTIVATIONS if fields.words(name)), "")
    if not activation:
        fields.note("no activation is given: a gated MLP is assumed")
    plain = activation in _PLAIN
    if plain:
        fields.note(f"activation {activation}: an MLP without a gate is assumed")
    return not plain


def _tied(fields: Fields) -> bool:
    """Whether the head is the embedding transposed."""
    said = fields.flag("tie_word_embeddings")
    if said is None and fields.under and fields.whole.get("tie_word_embeddings") is not None:
        said = fields.whole["tie_word_embeddings"] is True
    if said is not None:
        return said
    tied = bool(fields.family["tied"])
    fields.note(f"tie_word_embeddings is not given: {'tied' if tied else 'untied'} is assumed")
    return tied


def _counts(model: records.Model) -> tuple[float, float]:
    """Total and active parameters, near enough to choose training defaults by."""
    softmax = model.hidden * (model.n_heads + model.n_kv_heads) * (model.qk_head_dim + model.v_head_dim)
    if model.attention == records.MLA:
        per_head = model.qk_head_dim + (model.qk_head_dim - model.qk_rope_dim) + model.v_head_dim
        softmax = model.n_heads * (per_head * model.kv_lora + model.v_head_dim * model.hidden)
    n_softmax = model.n_full_layers + model.n_window_layers
    mixed = n_softmax * softmax + model.n_linear_layers * model.linear_params
    expert = model.n_mlp_matrices * model.hidden * model.expert_ffn
    widths = model.n_dense_layers * model.ffn + model.n_moe_layers * model.shared_ffn
    mlps = model.n_mlp_matrices * model.hidden * widths
    others = mixed + mlps + model.vocab * model.hidden * (2 - model.tied) + model.other_params
    routed = float(model.n_moe_layers * expert)
    return others + routed * model.n_experts, others + routed * model.n_active_experts
