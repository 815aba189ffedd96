"""MLPs of a config: dense ones, routed and shared experts, and which layers have them."""

from typing import Any, Final

from clustercast.catalog.hf import mixers, text
from clustercast.catalog.hf.fields import Fields

_EXPERTS: Final = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts", "n_experts")
_CHOSEN: Final = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "num_selected_experts",
    "top_k_experts",
    "moe_top_k",
    "moe_topk",
    "moe_k",
)
_WIDTH: Final = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff", "ff_dim")
_EXPERT_WIDTH: Final = ("moe_intermediate_size", "moe_ffn_hidden_size", "expert_ffn_hidden_size", "expert_dim")


def read(shape: dict[str, Any], fields: Fields) -> None:
    """Fill in the MLPs."""
    n_experts = _n_experts(fields)
    layers = shape["layers"]
    if not n_experts:
        shape["ffn"] = _dense_width(shape, fields)
        pattern = mixers.slots_of(layers, fields)
        if pattern is not None:
            shape["moe_layers"], shape["dense_layers"] = 0, pattern.count("-")
        return
    chosen = fields.count(*_CHOSEN) or fields.count("moe_top_k", inside="ffn_config")
    if not chosen:
        raise fields.wrong(_CHOSEN[0], "is missing beside experts, expected it")
    if chosen > n_experts:
        name = fields.raw(*_CHOSEN)[0]
        raise fields.wrong(name, f"{chosen} is more than the experts ({n_experts})")
    shape["experts"], shape["experts_per_token"] = n_experts, chosen
    width = fields.count(*_EXPERT_WIDTH) or fields.count("ffn_hidden_size", inside="ffn_config")
    plain = fields.count(*_WIDTH)
    if not width and not plain:
        raise fields.wrong(_EXPERT_WIDTH[0], f"is missing (or {_WIDTH[0]}), expected it")
    shape["expert_ffn"] = width or plain
    n_dense = _layers(shape, fields)[1]
    shape["shared_ffn"] = _shared(shape, fields)
    if n_dense:
        dense = fields.count("intermediate_size_mlp", "dense_intermediate_size") or plain
        if not dense:
            raise fields.wrong(_WIDTH[0], "is missing beside dense layers, expected it")
        shape["ffn"] = dense
    groups, top = fields.count("n_group", "num_expert_group"), fields.count("topk_group")
    if groups and top and groups > 1:
        if top > groups:
            raise fields.wrong("topk_group", f"{top} is more than n_group ({groups})")
        if n_experts % groups:
            raise fields.wrong("n_group", f"{groups} does not divide the experts ({n_experts})")
        shape["n_groups"], shape["top_groups"] = groups, top


def _n_experts(fields: Fields) -> int:
    """Routed experts of a layer; 0 for a dense model, or one that has a single expert."""
    if fields.flag("enable_moe_block") is False:
        return 0
    found = fields.count(*_EXPERTS) or fields.count("moe_num_experts", inside="ffn_config") or 0
    return found if found > 1 else 0


def _dense_width(shape: dict[str, Any], fields: Fields) -> int:
    """The width of a dense MLP."""
    width = fields.count(*_WIDTH)
    if fields.kind == "granitemoehybrid":  # without experts only the MLP that is shared among them is left
        width = fields.count("shared_intermediate_size") or width
    factor = fields.count("expansion_ratio") or fields.family["ffn_factor"]
    if not width:
        if not factor:
            raise fields.wrong(_WIDTH[0], f"is missing (or {', '.join(_WIDTH[1:])}), expected it")
        width = factor * shape["hidden"]
        fields.note(f"no MLP width is given: {factor} times hidden is assumed")
    return width // 2 if fields.family["ffn_halved"] else width


def _layers(shape: dict[str, Any], fields: Fields) -> tuple[int, int]:
    """How many layers are mixtures and how many dense, said in the fewest fields."""
    layers = shape["layers"]
    first = fields.count("first_k_dense_replace", "moe_layer_start_index") or 0
    if first > layers:
        name = fields.raw("first_k_dense_replace", "moe_layer_start_index")[0]
        raise fields.wrong(name, f"{first} is more than num_hidden_layers ({layers})")
    pattern = mixers.slots_of(layers, fields)
    if pattern is not None:
        shape["moe_layers"], shape["dense_layers"] = pattern.count("E"), pattern.count("-")
        return shape["moe_layers"], shape["dense_layers"]
    n_moe = _listed(layers, fields)
    every = _every(fields)
    if n_moe is None:
        n_moe = sum(at >= first and _is_mixture(at, every, fields) for at in range(layers))
        if n_moe == layers - first:
            shape["first_dense_layers"] = first
            return n_moe, first
        if not first and n_moe == layers // every:
            shape["moe_every"] = every
            return n_moe, layers - n_moe
    if n_moe != layers:
        shape["moe_layers"], shape["dense_layers"] = n_moe, layers - n_moe
    return n_moe, layers - n_moe


def _every(fields: Fields) -> int:
    names = ("interleave_moe_layer_step", "decoder_sparse_step", "moe_layer_interval", "expert_layer_period")
    if isinstance(fields.data.get("moe_layer_freq"), list):
        return 1
    return fields.count(*names) or fields.count("moe_layer_freq") or 1


def _is_mixture(at: int, every: int, fields: Fields) -> bool:
    """Whether a layer is a mixture by the step of its family: the last of every `every`, or at an offset."""
    if every == 1:
        return True
    if fields.data.get("moe_layer_freq") is not None:
        return at % every == 0
    offset = fields.count("expert_layer_offset") if fields.kind == "jamba" else None
    return at % every == (every - 1 if offset is None else offset)


def _listed(layers: int, fields: Fields) -> int | None:
    """Mixture layers where a list says which they are."""
    if isinstance(fields.data.get("moe_layer_freq"), list):
        return sum(bool(each) for each in fields.list_of("moe_layer_freq", layers) or ())
    types = fields.list_of("mlp_layer_types", layers)
    if types is not None:
        return sum(str(each).lower() not in ("dense", "mlp") for each in types)
    for name in ("moe_layers", "moe_layers_enum"):
        given = fields.data.get(name)
        if isinstance(given, str):
            given = [int(part) if part.isascii() and part.isdigit() else part for part in given.split(",")]
        if given is not None:
            return len(_places(name, given, layers, fields))
    dense = fields.data.get("mlp_only_layers")
    if dense:
        every = _every(fields)
        left_out = _places("mlp_only_layers", dense, layers, fields)
        return sum(at not in left_out and _is_mixture(at, every, fields) for at in range(layers))
    return None


def _places(name: str, given: Any, layers: int, fields: Fields) -> set[int]:
    """Numbers of layers."""
    if not isinstance(given, list):
        raise fields.wrong(name, f"is {text.shown(given)}, expected a list of layers")
    for each in given:
        if type(each) is not int or not 0 <= each < layers:
            raise fields.wrong(name, f"holds {text.shown(each)}, expected layers from 0 to {layers - 1}")
    return set(given)


def _shared(shape: dict[str, Any], fields: Fields) -> int:
    """The width of all shared experts together."""
    if fields.family["dense_beside_experts"]:
        fields.note("the dense MLP beside the experts of every layer is read as a shared expert")
        return fields.needed("beside experts", *_WIDTH)
    widths = ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size")
    n_names = ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts")
    width = fields.count(*widths, "share_expert_dim")
    if width is not None:
        return width
    n_shared = fields.count(*n_names)
    if n_shared is None:
        n_shared = fields.family["shared_experts"]
    return int(n_shared * shape["expert_ffn"])
