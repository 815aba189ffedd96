"""Attention of a config, and which layers attend to everything, to a window, or keep a state."""

from typing import Any, Final, NamedTuple

from clustercast.catalog.hf import linear, text
from clustercast.catalog.hf.fields import Fields

Shape = dict[str, Any]

# What configs call a layer of each kind.
_FULL: Final = ("full", "attention", "global", "dense", "nope", "deepseek_sparse", "moe_full", "hybrid_full")
_WINDOW: Final = ("sliding", "chunked", "local", "swa", "window")
_LINEAR: Final = ("linear", "mamba", "kda", "lightning", "gated_delta")


class Kinds(NamedTuple):
    """How many layers attend to everything, to a window, or keep a state."""

    full: int
    window: int
    linear: int


def read(shape: Shape, fields: Fields) -> None:
    """Fill in heads, windows, linear layers and the index of sparse attention."""
    _heads(shape, fields)
    kinds = _kinds(shape["layers"], fields)
    if kinds.window:
        shape["window"] = fields.needed("beside windowed layers", *WINDOW_NAMES)
        shape["window_layers"] = kinds.window
    if kinds.linear:
        linear.read(shape, fields, kinds.linear)
    if kinds.full != shape["layers"] - kinds.window - kinds.linear or kinds.window or kinds.linear:
        shape["full_attention_layers"] = kinds.full
    _index(shape, fields)


WINDOW_NAMES: Final = ("sliding_window", "sliding_window_size", "window_size", "attention_chunk_size")


def _heads(shape: Shape, fields: Fields) -> None:
    """Latent attention, or grouped queries."""
    heads = shape["heads"]
    kv_lora = fields.count("kv_lora_rank")
    if kv_lora:
        shape |= {"attention": "mla", "kv_heads": fields.count("num_key_value_heads") or heads, "kv_lora": kv_lora}
        _divides(shape, fields)
        q_lora = fields.count("q_lora_rank")
        if q_lora:
            shape["q_lora"] = q_lora
        shape["qk_nope_dim"] = fields.needed("beside kv_lora_rank", "qk_nope_head_dim")
        shape["qk_rope_dim"] = fields.needed("beside kv_lora_rank", "qk_rope_head_dim")
        shape["v_head_dim"] = fields.needed("beside kv_lora_rank", "v_head_dim")
        return
    shape["attention"] = "gqa"
    shape["kv_heads"] = _kv_heads(fields) or heads
    _divides(shape, fields)
    head_dim = fields.count("head_dim", "attention_head_dim", "kv_channels")
    if not head_dim:
        if shape["hidden"] % heads:
            message = f"{heads} does not divide hidden_size ({shape['hidden']}), expected head_dim"
            raise fields.wrong("num_attention_heads", message)
        head_dim = shape["hidden"] // heads
    shape["head_dim"] = head_dim
    values = fields.count("v_head_dim")
    if values and values != head_dim:
        shape["v_head_dim"] = values


def _kv_heads(fields: Fields) -> int | None:
    """Heads of keys and values, however the config says it."""
    per_layer = fields.list_of("num_key_value_heads_per_layer")
    if per_layer:
        if any(type(each) is not int or each < 1 for each in per_layer):
            raise fields.wrong("num_key_value_heads_per_layer", "is not a list of whole numbers above 0, expected that")
        heads = fields.count("num_attention_heads") or 1
        fitting = [n for n in range(1, heads + 1) if heads % n == 0]
        mean = sum(per_layer) / len(per_layer)
        nearest = min(fitting, key=lambda n: abs(n - mean))
        if min(per_layer) < max(per_layer):
            fields.note(f"KV heads differ from layer to layer: their mean is {mean:.3g}, {nearest} are taken")
        return nearest
    if fields.flag("new_decoder_architecture") is False and fields.kind == "falcon":
        return 1 if fields.flag("multi_query") is not False else None
    found = fields.count("num_key_value_heads", "num_kv_heads", "multi_query_group_num", "num_attention_groups")
    if found is None:
        found = fields.count("kv_n_heads", inside="attn_config")
    if found is None and fields.flag("multi_query") is True:
        return 1
    return found


def _divides(shape: Shape, fields: Fields) -> None:
    if shape["heads"] % shape["kv_heads"]:
        name = fields.raw("num_key_value_heads", "num_kv_heads", "multi_query_group_num", "num_attention_groups")[0]
        raise fields.wrong(name, f"{shape['kv_heads']} does not divide num_attention_heads ({shape['heads']})")


def _index(shape: Shape, fields: Fields) -> None:
    """The indexer of sparse attention."""
    heads = fields.count("index_n_heads", "indexer_n_heads")
    if heads:
        shape["index_heads"] = heads
        shape["index_dim"] = fields.needed("beside index_n_heads", "index_head_dim", "indexer_head_dim")
        shape["index_topk"] = fields.needed("beside index_n_heads", "index_topk", "indexer_topk")


def _kinds(layers: int, fields: Fields) -> Kinds:
    """Count the layers by what they mix tokens with; the fields are looked at from the plainest to the vaguest."""
    for way in (_slots, _by_types, _by_lists, _by_period, _by_window):
        found = way(layers, fields)
        if found is not None:
            return found
    return Kinds(layers, 0, 0)


def _slots(layers: int, fields: Fields) -> Kinds | None:
    """A hybrid whose slots hold one mixer or one MLP: a pattern of M, *, - and E, or a list of their names."""
    pattern = slots_of(layers, fields)
    return None if pattern is None else Kinds(pattern.count("*"), 0, pattern.count("M"))


def slots_of(layers: int, fields: Fields) -> str | None:
    """The pattern of a hybrid of slots as M (mamba), * (attention), - (MLP) and E (experts)."""
    pattern = fields.data.get("hybrid_override_pattern")
    if pattern is None and fields.family["slots"]:
        names = fields.list_of("layers_block_type", layers)
        if names is None:
            raise fields.wrong("hybrid_override_pattern", "is missing (or layers_block_type), expected it")
        codes = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}
        pattern = "".join(codes.get(str(each), "?") for each in names)
    if pattern is None:
        return None
    if not isinstance(pattern, str) or len(pattern) != layers or set(pattern) - set("M*-E"):
        raise fields.wrong("hybrid_override_pattern", f"is not {layers} of M, *, - and E, expected that")
    return pattern


def _by_types(layers: int, fields: Fields) -> Kinds | None:
    """A list that names the kind of every layer."""
    name = next((each for each in ("layer_types", "layers_block_type") if fields.data.get(each) is not None), "")
    types = fields.list_of(name, layers) if name else None
    if types is None:
        return None
    counts = {"full": 0, "window": 0, "linear": 0}
    for each in types:
        kind = _kind_of(each)
        if not kind:
            raise fields.wrong(name, f"{text.shown(each)} is no kind of layer that is known")
        counts[kind] += 1
    if counts["window"] and fields.count(*WINDOW_NAMES) is None and fields.flag("use_sliding_window") is False:
        return Kinds(layers - counts["linear"], 0, counts["linear"])
    return Kinds(counts["full"], counts["window"], counts["linear"])


def _kind_of(written: Any) -> str:
    word = written.lower() if isinstance(written, str) else ""
    named = (("window", _WINDOW), ("linear", _LINEAR), ("full", _FULL))
    return next((kind for kind, starts in named if word.startswith(starts)), "")


def _by_lists(layers: int, fields: Fields) -> Kinds | None:
    """A list of codes, or lists of layers: MiMo's windowed layers, MiniMax's full ones, Kimi's two lists."""
    windows = fields.list_of("hybrid_layer_pattern", layers)
    if windows is not None:
        n_window = sum(_code(each, "hybrid_layer_pattern", fields) for each in windows)
        return Kinds(layers - n_window, n_window, 0)
    fulls = fields.list_of("attn_type_list", layers)
    if fulls is not None:
        n_full = sum(_code(each, "attn_type_list", fields) for each in fulls)
        return Kinds(n_full, 0, layers - n_full)
    both = fields.data.get("linear_attn_config")
    if isinstance(both, dict) and isinstance(both.get("kda_layers"), list):
        n_linear = len(both["kda_layers"])
        full = both.get("full_attn_layers")
        n_full = len(full) if isinstance(full, list) else layers - n_linear
        if n_full + n_linear != layers:
            message = f"names {n_full + n_linear} layers, expected {layers}, every one once"
            raise fields.wrong("linear_attn_config", message)
        return Kinds(n_full, 0, n_linear)
    return None


def _code(value: Any, name: str, fields: Fields) -> int:
    if value not in (0, 1) or isinstance(value, bool):
        raise fields.wrong(name, f"holds {text.shown(value)}, expected 0 and 1")
    return int(value)


def _by_period(layers: int, fields: Fields) -> Kinds | None:
    """Full attention in every n-th layer, a state in the others."""
    if not fields.family["linear"] or fields.family["slots"]:
        return None
    period = fields.count("attn_layer_period")
    if period:
        offset = fields.count("attn_layer_offset") or 0
        n_full = sum(at % period == offset for at in range(layers))
        return Kinds(n_full, 0, layers - n_full)
    interval = fields.count("full_attention_interval")
    if interval:
        return Kinds(layers // interval, 0, layers - layers // interval)
    raise fields.wrong("layer_types", "is missing, expected the kind of every layer")


def _by_window(layers: int, fields: Fields) -> Kinds | None:
    """A window without a list of layers."""
    chunk = fields.count("attention_chunk_size")
    if chunk:
        every = fields.count("no_rope_layer_interval") or 4
        ropes = fields.list_of("no_rope_layers")
        n_full = layers // every if not ropes else sum(not each for each in ropes)
        fields.note(f"attention in chunks of {chunk} is read as a window as wide, in {layers - n_full} layers")
        return Kinds(n_full, layers - n_full, 0)
    window, switch = fields.count(*WINDOW_NAMES), fields.flag("use_sliding_window")
    if not window or switch is False:
        return None
    below = fields.count("max_window_layers")
    every = fields.count("sliding_window_pattern", "_sliding_window_pattern") or fields.family["window_every"]
    if switch and below is not None:
        n_full = min(below, layers)
    elif every > 1:
        n_full = layers // every
    elif every == 1 or switch:
        n_full = 0
    else:
        fields.note("sliding_window is given, but no layer that has it: full attention is assumed")
        return None
    fields.note(f"sliding_window is given without layer_types: {layers - n_full} windowed layers are assumed")
    return Kinds(n_full, layers - n_full, 0)
