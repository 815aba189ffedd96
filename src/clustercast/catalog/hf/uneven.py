"""Layers that differ in shape: the record of a model has one shape of attention and one width of MLP for all.

Where some layers have other heads, the common ones are taken and what the others hold beyond them is counted as
parameters; where query heads differ, their mean is taken. Where every block has its own MLP width, the mean is.
"""

from typing import Any

from clustercast.catalog.hf import text
from clustercast.catalog.hf.fields import Fields

Part = tuple[int, str]


def other_heads(shape: dict[str, Any], fields: Fields) -> tuple[Part, ...]:
    """Heads of the other kind of attention layer, windowed or full; parameters that the common shape leaves out."""
    found = _full_heads(shape, fields) or _window_heads(shape, fields)
    if found is None:
        return ()
    n_layers, heads, kv_heads, dims, n_caches, which = found
    if not n_layers or shape["attention"] == "mla":
        return ()
    own = (shape["heads"], shape["kv_heads"], (shape["head_dim"], shape.get("v_head_dim", shape["head_dim"])))
    if (heads, kv_heads, dims) == own and n_caches == 2:
        return ()
    n_softmax = shape.get("full_attention_layers", 0) + shape.get("window_layers", 0)
    if heads != own[0] and dims == own[2]:
        mean = (n_layers * heads + (n_softmax - n_layers) * own[0]) / n_softmax
        shape["heads"] = max(1, round(mean / own[1])) * own[1]
        fields.note(f"{which} layers have {heads} heads, the others {own[0]}: the mean {shape['heads']} is taken")
        own = (heads, *own[1:])  # what is left to count is the difference of keys and values
    else:
        fields.note(f"{which} layers have heads of their own: the others' are taken for all, {_said(heads, kv_heads)}")
    mine = shape["hidden"] * (heads * sum(dims) + kv_heads * (sum(dims) if n_caches == 2 else dims[0]))
    common = shape["hidden"] * (own[0] + own[1]) * sum(own[2])
    return ((n_layers * (mine - common), f"what {n_layers} {which} layers have beyond the others"),)


def _said(heads: int, kv_heads: int) -> str:
    return f"{heads} and {kv_heads} of keys and values are not"


Other = tuple[int, int, int, tuple[int, int], int, str]


def _full_heads(shape: dict[str, Any], fields: Fields) -> Other | None:
    """Gemma 4: full-attention layers with wider and fewer heads, whose keys are their values."""
    dim, kv_heads = fields.count("global_head_dim"), fields.count("num_global_key_value_heads")
    n_full = shape.get("full_attention_layers", 0)
    if not (dim or kv_heads) or not n_full or not shape.get("window_layers"):
        return None
    shared = fields.flag("attention_k_eq_v") is True
    head_dim = dim or shape["head_dim"]
    kv_heads = (kv_heads if shared else None) or shape["kv_heads"]
    return n_full, shape["heads"], kv_heads, (head_dim, head_dim), 1 if shared else 2, "full-attention"


def _window_heads(shape: dict[str, Any], fields: Fields) -> Other | None:
    """MiMo and Step: windowed layers with other heads."""
    n_window = shape.get("window_layers", 0)
    inside = "attention_other_setting"
    heads = fields.count("swa_num_attention_heads", "num_sliding_attention_heads")
    heads = heads or fields.count("num_attention_heads", inside=inside)
    kv_heads = fields.count("swa_num_key_value_heads") or fields.count("num_attention_groups", inside=inside)
    dim = fields.count("swa_head_dim") or fields.count("head_dim", inside=inside)
    if not n_window or shape["attention"] == "mla" or not (heads or kv_heads or dim):
        return None
    head_dim = dim or shape["head_dim"]
    values = fields.count("swa_v_head_dim") or (head_dim if dim else shape.get("v_head_dim", head_dim))
    if not dim:
        values = shape.get("v_head_dim", head_dim)
    kv_heads = kv_heads or shape["kv_heads"]
    heads = heads or shape["heads"]
    if heads % kv_heads:
        raise fields.wrong("swa_num_key_value_heads", f"{kv_heads} does not divide the {heads} heads of its layers")
    return n_window, heads, kv_heads, (head_dim, values), 2, "windowed"


def head_gates(shape: dict[str, Any], fields: Fields) -> tuple[Part, ...]:
    """A gate for every head (Step), in the layers as they are."""
    if fields.flag("use_head_wise_attn_gate") is not True:
        return ()
    n_window = shape.get("window_layers", 0)
    n_full = shape["layers"] - n_window - shape.get("linear_layers", 0)
    heads = fields.count("num_attention_heads") or shape["heads"]
    inside = fields.count("num_attention_heads", inside="attention_other_setting")
    windowed = fields.count("num_sliding_attention_heads") or inside or heads
    return ((shape["hidden"] * (n_full * heads + n_window * windowed), "gates of the heads"),)


def blocks(shape: dict[str, Any], fields: Fields) -> bool:
    """Llama-Nemotron: every block says its own MLP and whether it attends. Whether this config is of that kind.

    Read as slots, each a mixer or an MLP, with the MLPs' mean width; `ffn_mult` gives a width of 2/3 of hidden times
    it, rounded up to 256, as the modeling file beside the weights does.
    """
    configs = fields.list_of("block_configs", shape["layers"])
    if configs is None:
        return False
    groups, widths = [], []
    for each in configs:
        group, width = _block(each, shape["hidden"], fields)
        groups += [group] if group else []
        widths += [width] if width else []
    if not groups or not widths:
        raise fields.wrong("block_configs", "has no attention or no MLP in any block, expected some of both")
    nearest = max(set(groups), key=groups.count)
    if shape["heads"] % nearest:
        message = f"n_heads_in_group {nearest} does not divide num_attention_heads ({shape['heads']})"
        raise fields.wrong("block_configs", message)
    shape["kv_heads"] = shape["heads"] // nearest
    if len(set(groups)) > 1:
        fields.note(f"KV heads differ from block to block: the most frequent, {shape['kv_heads']}, are taken")
    shape["ffn"] = round(sum(widths) / len(widths))
    shape["layers"] = len(groups) + len(widths)
    shape |= {"full_attention_layers": len(groups), "moe_layers": 0, "dense_layers": len(widths)}
    fields.note(
        f"{len(configs)} blocks are read as {len(groups)} of attention and {len(widths)} MLPs of "
        f"{min(widths)} to {max(widths)}: their mean {shape['ffn']} is taken"
    )
    return True


def _block(config: Any, hidden: int, fields: Fields) -> tuple[int, int]:
    """Query heads per KV head, and the width of the MLP, of one block; 0 for what it has not."""
    attention, ffn = (config.get(name) if isinstance(config, dict) else None for name in ("attention", "ffn"))
    if not isinstance(attention, dict) or not isinstance(ffn, dict):
        raise fields.wrong("block_configs", "holds a block without attention or ffn, expected both")
    if attention.get("replace_with_linear") or ffn.get("replace_with_linear"):
        raise fields.wrong("block_configs", "replaces a part by one matrix (replace_with_linear): that is not modelled")
    group = 0 if attention.get("no_op") else attention.get("n_heads_in_group")
    factor = 0 if ffn.get("no_op") else ffn.get("ffn_mult")
    if type(group) is not int or not 0 <= group <= hidden:
        raise fields.wrong("block_configs", f"has n_heads_in_group {text.shown(group)}, expected a whole number")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor <= 1000:
        raise fields.wrong("block_configs", f"has ffn_mult {text.shown(factor)}, expected a number up to 1000")
    width = int(2 * factor * hidden / 3)
    return group, (width + _STEP - 1) // _STEP * _STEP


_STEP = 256
