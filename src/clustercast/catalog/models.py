"""A model of the catalogue: its exact architecture as a record, and what is usual for training it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from clustercast import records
from clustercast.catalog.quantity import Quantity, quantity
from clustercast.errors import WrongInput


class ModelProfile(NamedTuple):
    """One language model. `architecture` holds the integers of its file; `record()` is what the physics reads."""

    name: str
    full_name: str
    aliases: tuple[str, ...]
    status: str  # published, reported, reconstruction; assumed for a bare size
    architecture: dict[str, Any]
    architecture_source: str
    architecture_kind: str
    unverified: tuple[str, ...]  # fields of the architecture that nobody could check
    published: dict[str, Quantity]  # total, active
    exceptions: dict[str, str]  # why a derived count does not round to the published one
    training: dict[str, Quantity]  # tokens, seq_len, global_batch (sequences), chips
    precision: str
    serving: dict[str, int]  # input_len, output_len
    sources: dict[str, str]
    notes: tuple[str, ...]
    resolved_as: str  # how the name that the user gave was read
    file: str
    served: str = ""  # the recipe that the published weights are kept in, where it is not 16 bit

    def value(self, name: str) -> float:
        """The value of training.<name> or published.<name>; WrongInput where it is not given."""
        found = self.get(name)
        if found is None:
            raise WrongInput(f"{self.file}: {name} is missing")
        return found.value

    def get(self, name: str) -> Quantity | None:
        """A quantity, training.<name> or published.<name>, or None where it is not given."""
        return dict(self.quantities()).get(name)

    def quantities(self) -> Iterator[tuple[str, Quantity]]:
        """The published counts and the training defaults under their dotted names."""
        for group, table in (("published", self.published), ("training", self.training)):
            for name, each in table.items():
                yield f"{group}.{name}", each

    def record(self) -> records.Model:
        """The architecture as the physics sees it."""
        return model_record(self.architecture)


def model_profile(data: dict[str, Any], file: str, resolved_as: str) -> ModelProfile:
    """A profile from the checked data of a model file."""
    shape = dict(data["architecture"])
    source, kind, unverified = shape.pop("source"), shape.pop("kind"), shape.pop("unverified", [])
    notes = [shape.pop(name) for name in ("note", "why") if name in shape]
    published, training = data.get("published", {}), data.get("training", {})
    return ModelProfile(
        name=data["name"],
        full_name=data["full_name"],
        aliases=tuple(data["aliases"]),
        status=data["status"],
        architecture=shape,
        architecture_source=source,
        architecture_kind=kind,
        unverified=tuple(unverified),
        published={name: quantity(published[name]) for name in ("total", "active") if name in published},
        exceptions=published.get("exceptions", {}),
        training={name: quantity(fields) for name, fields in training.items() if isinstance(fields, list)},
        precision=training.get("precision", "bf16"),
        serving={name: each for name, each in data.get("serving", {}).items() if name != "precision"},
        sources=data["sources"],
        notes=(*data["notes"], *notes),
        resolved_as=resolved_as,
        file=file,
        served=data.get("serving", {}).get("precision", ""),
    )


def model_record(shape: dict[str, Any]) -> records.Model:
    """The record of an architecture; fields that are absent follow from the others.

    kv_heads is heads, head_dim is hidden / heads, every layer has full attention and one MLP unless counted otherwise.
    """
    get = shape.get
    layers, hidden, heads = shape["layers"], shape["hidden"], shape["heads"]
    latent = get("attention") == "mla"
    head_dim = shape["qk_nope_dim"] + shape["qk_rope_dim"] if latent else get("head_dim", hidden // heads)
    n_window, n_linear = get("window_layers", 0), get("linear_layers", 0)
    n_moe, n_dense = mlp_layers(shape)
    return records.Model(
        n_layers=layers,
        hidden=hidden,
        vocab=shape["vocab"],
        tied=int(shape["tied"]),
        n_full_layers=get("full_attention_layers", layers - n_window - n_linear),
        n_window_layers=n_window,
        n_linear_layers=n_linear,
        attention=records.MLA if latent else records.GQA,
        n_heads=heads,
        n_kv_heads=get("kv_heads", heads),
        qk_head_dim=head_dim,
        v_head_dim=get("v_head_dim", head_dim),
        q_lora=get("q_lora", 0),
        kv_lora=get("kv_lora", 0),
        qk_rope_dim=get("qk_rope_dim", 0),
        window=get("window", 0) if n_window else 0,
        index_heads=get("index_heads", 0),
        index_dim=get("index_dim", 0),
        index_topk=get("index_topk", 0),
        linear_k_heads=get("linear_k_heads", 0),
        linear_v_heads=get("linear_v_heads", 0),
        linear_k_dim=get("linear_k_dim", 0),
        linear_v_dim=get("linear_v_dim", 0),
        linear_params=float(get("linear_params_per_layer", 0)),
        n_dense_layers=n_dense,
        ffn=get("ffn", 0) if n_dense else 0,
        n_mlp_matrices=3 if shape["gated"] else 2,
        n_moe_layers=n_moe,
        n_experts=get("experts", 0),
        n_active_experts=get("experts_per_token", 0),
        expert_ffn=get("expert_ffn", 0),
        shared_ffn=get("shared_ffn", 0),
        n_groups=get("n_groups", 0),
        n_active_groups=get("top_groups", 0),
        n_mtp_layers=get("mtp_layers", 0),
        other_params=float(get("other_params", _other_params(shape, head_dim, n_moe, n_dense))),
    )


def mlp_layers(shape: dict[str, Any]) -> tuple[int, int]:
    """How many layers are mixtures of experts, and how many have a dense MLP.

    After the first dense layers, every `moe_every`-th layer is a mixture.

    >>> mlp_layers({"layers": 61, "experts": 256, "first_dense_layers": 3})
    (58, 3)
    >>> mlp_layers({"layers": 48, "experts": 128, "moe_every": 2}), mlp_layers({"layers": 80})
    ((24, 24), (0, 80))
    """
    layers = shape["layers"]
    n_moe = 0
    if shape.get("experts"):
        n_moe = (layers - shape.get("first_dense_layers", 0)) // shape.get("moe_every", 1)
    n_moe = shape.get("moe_layers", n_moe)
    return n_moe, shape.get("dense_layers", layers - n_moe)


def _other_params(shape: dict[str, Any], head_dim: int, n_moe: int, n_dense: int) -> int:
    """Parameters that no matmul touches, where the file does not count them: norms, biases, learned positions.

    Two norms of `hidden` in every layer and one after the last; latent attention also normalises its compressed query
    and key. With `bias: true` the norms have one too (LayerNorm), and so has every matrix; `attention` and `qkv` stand
    for the biases of those matrices alone.
    """
    get = shape.get
    layers, hidden, heads, bias = shape["layers"], shape["hidden"], shape["heads"], get("bias", False)
    per_norm = 2 if bias is True else 1
    per_layer = get("norm_params_per_layer", per_norm * 2 * hidden + get("q_lora", 0) + get("kv_lora", 0))
    total: int = layers * per_layer + per_norm * hidden + get("learned_positions", 0) * hidden
    n_window = get("window_layers", 0)
    n_softmax = get("full_attention_layers", layers - n_window - get("linear_layers", 0)) + n_window
    qkv = heads * head_dim + get("kv_heads", heads) * (head_dim + get("v_head_dim", head_dim))
    if bias:
        total += n_softmax * qkv
    if bias in (True, "attention"):
        total += n_softmax * hidden
    if bias is True:
        n_in = 2 if shape["gated"] else 1
        total += n_dense * (n_in * get("ffn", 0) + hidden)
        total += n_moe * get("experts", 0) * (n_in * get("expert_ffn", 0) + hidden + 1)
    return total
