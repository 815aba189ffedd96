"""The shape of a model in the words of the Megatron family, both ways."""

from pathlib import Path
from typing import Any

from clustercast import records
from clustercast.catalog import read
from clustercast.studies.launch import layout, shapes
from clustercast.studies.launch.arguments import Options, shown

# What makes layers of other kinds than attention and an MLP; the shape is then not read.
OTHER_LAYERS = (
    "hybrid-override-pattern", "hybrid-layer-pattern", "is-hybrid-model", "experimental-attention-variant",
    "linear-attention-type", "heterogeneous-layers-config-path", "heterogeneous-layers-config-encoded-json",
)  # fmt: skip


def shape_of(options: Options, path: Path, notes: list[str], warnings: list[str]) -> dict[str, Any] | None:
    """The architecture that the options give, in the catalogue's words; None where they give none that can be read."""
    other = options.find(*OTHER_LAYERS)
    layers, hidden = options.whole("num-layers", high=10_000), options.whole("hidden-size", high=10**6)
    heads = options.whole("num-attention-heads", high=10**5)
    if other is not None:
        warnings.append(f"{options.where(other.name)}: {other.name} makes layers that are not read from a launch file")
        return None
    if layers is None or hidden is None or heads is None:
        return None
    layers -= _idle_layers(options)
    latent = options.flag("multi-latent-attention", "multi-head-latent-attention")
    shape: dict[str, Any] = {
        "layers": layers,
        "hidden": hidden,
        "vocab": _vocabulary(options, path, notes),
        "tied": not options.flag("untie-embeddings-and-output-weights"),
        "heads": heads,
        "gated": options.flag("swiglu", "quick-geglu", "geglu", "gated-linear-unit"),
    }
    shape |= _latent(options) if latent else _grouped(options, hidden, heads)
    shape["ffn"] = _width(options, hidden, gated=shape["gated"])
    shape |= _experts(options, layers, shape["ffn"]) if options.find("num-experts", "num-moe-experts") else {}
    shape |= _windows(options, layers)
    shape |= _small(options)
    mtp = options.whole("mtp-num-layers", low=0, high=100)
    if mtp:
        shape["mtp_layers"] = mtp
    return shape


def _idle_layers(options: Options) -> int:
    """Layers of MindSpeed that do nothing: they fill the pipeline's stages."""
    text = options.text("noop-layers")
    if text is None:
        return 0
    listed = [part for part in text.replace(" ", "").split(",") if part]
    layers = options.whole("num-layers") or 1
    if not all(part.isascii() and part.isdigit() and len(part) < 6 for part in listed) or len(listed) >= layers:
        raise options.wrong("noop-layers", f"expected numbers of layers like 61,62, got {shown(text)}")
    return len(listed)


def _vocabulary(options: Options, path: Path, notes: list[str]) -> int:
    for name in ("vocab-size", "padded-vocab-size"):
        given = options.whole(name, high=10**8)
        if given is not None:
            return given
    kind = options.text("tokenizer-type") or ""
    named = options.text("tokenizer-model", "tokenizer-name-or-path") or ""
    if kind in shapes.TOKENIZERS:
        size, why = shapes.TOKENIZERS[kind], f"of {kind}"
    else:
        size, why = shapes.usual_vocabulary(named)
    notes.append(f"{read.shown(path)}: the vocabulary is not stated: {size} is taken, {why}")
    return size


def _grouped(options: Options, hidden: int, heads: int) -> dict[str, Any]:
    """Attention heads of one kind, all with keys of their own or in groups."""
    shape: dict[str, Any] = {"attention": "gqa", "kv_heads": heads}
    if options.flag("group-query-attention") or options.find("num-query-groups"):
        shape["kv_heads"] = options.whole("num-query-groups", high=10**5) or 1
        if heads % shape["kv_heads"]:
            raise options.wrong(
                "num-query-groups", f"{shape['kv_heads']} groups do not divide {heads} heads (--num-attention-heads)"
            )
    width = options.whole("kv-channels", high=10**5)
    if width is None and hidden % heads:
        raise options.wrong("num-attention-heads", f"{heads} heads do not divide the hidden size {hidden}")
    shape["head_dim"] = width or hidden // heads
    return shape


def _latent(options: Options) -> dict[str, Any]:
    options.find("kv-channels", "group-query-attention", "num-query-groups")
    return {
        "attention": "mla",
        "q_lora": options.whole("q-lora-rank", low=0, high=10**6) or 0,
        "kv_lora": options.whole("kv-lora-rank", high=10**6) or 32,
        "qk_nope_dim": options.whole("qk-head-dim", "qk-nope-head-dim", high=10**5) or 128,
        "qk_rope_dim": options.whole("qk-pos-emb-head-dim", "qk-rope-head-dim", high=10**5) or 64,
        "v_head_dim": options.whole("v-head-dim", high=10**5) or 128,
    }


def _width(options: Options, hidden: int, *, gated: bool) -> int:
    """Of a dense MLP; Megatron takes four times the hidden size, two thirds of it in multiples of 64 where gated."""
    given = options.whole("ffn-hidden-size", high=10**7)
    if given is not None:
        return given
    return int(4 * hidden * 2 / 3) // 64 * 64 if gated else 4 * hidden


def _experts(options: Options, layers: int, ffn: int) -> dict[str, Any]:
    n_experts = options.whole("num-experts", "num-moe-experts", high=10**5) or 0
    width = options.whole("moe-ffn-hidden-size", "moe-intermediate-size", high=10**7) or ffn
    n_moe = _moe_layers(options, layers)
    shape: dict[str, Any] = {
        "experts": n_experts,
        "experts_per_token": options.whole("moe-router-topk", high=10**5) or 2,
        "expert_ffn": width,
        "moe_layers": n_moe,
        "dense_layers": layers - n_moe,
    }
    if shape["experts_per_token"] > n_experts:
        raise options.wrong("moe-router-topk", f"{shape['experts_per_token']} is more than the {n_experts} experts")
    shared = options.whole("moe-shared-expert-intermediate-size", low=0, high=10**7)
    n_shared = options.whole("n-shared-experts", low=0, high=1000)
    if shared or n_shared:
        shape["shared_ffn"] = shared or (n_shared or 0) * width
    groups = options.whole("moe-router-num-groups", "n-group", high=10**5) or 0
    top = options.whole("moe-router-group-topk", "topk-group", high=10**5) or 0
    if groups > 1 and top:
        shape |= {"n_groups": groups, "top_groups": top}
    return shape


def _moe_layers(options: Options, layers: int) -> int:
    """How many of the layers are mixtures: every n-th from the first one on, or those of a list."""
    first_dense = options.whole("first-k-dense-replace", low=0, high=10_000) or 0
    text = options.text("moe-layer-freq")
    if text is None:
        return max(layers - first_dense, 0)
    listed = layout.layers_of(text)
    if listed is not None:
        if len(listed) != layers:
            raise options.wrong("moe-layer-freq", f"lists {len(listed)} layers, --num-layers says {layers}")
        return sum(each != 0 for each in listed)
    every = options.whole("moe-layer-freq", high=10_000) or 1
    return sum(place % every == 0 for place in range(first_dense, layers))


def _windows(options: Options, layers: int) -> dict[str, Any]:
    found = options.find("window-size")
    if found is None:
        return {}
    first = found.values[0].strip("('\" ").split(",")[0] if found.values else ""
    if not (first.isascii() and first.isdigit() and 0 < len(first) < 9):
        raise options.wrong(found, f"expected a window like 128,0, got {shown(' '.join(found.values))}")
    text = options.text("window-attn-skip-freq")
    listed = layout.layers_of(text) if text else None
    if listed is not None:
        if len(listed) != layers:
            raise options.wrong("window-attn-skip-freq", f"lists {len(listed)} layers, --num-layers says {layers}")
        return {"window": int(first), "window_layers": sum(each != 0 for each in listed)}
    every = options.whole("window-attn-skip-freq", high=10_000)
    return {"window": int(first), "window_layers": layers - (layers // every if every else 0)}


def _small(options: Options) -> dict[str, Any]:
    """Biases and learned positions: small, but part of the count."""
    shape: dict[str, Any] = {}
    qkv = options.flag("add-qkv-bias")
    if not options.flag("disable-bias-linear"):
        shape["bias"] = True
    elif qkv:
        shape["bias"] = "qkv"
    kind = options.text("position-embedding-type") or "learned_absolute"
    rotary = options.flag("no-position-embedding", "use-rotary-position-embeddings")
    if kind == "learned_absolute" and not rotary:
        shape["learned_positions"] = options.whole("max-position-embeddings", high=10**8) or 0
    return shape


def arguments_of(record: records.Model, n_idle: int = 0) -> list[str]:
    """The options that give a model's shape, one text each. For models that `shapes.plain` lets pass.

    n_idle  layers behind the model's own that do nothing, where the tool has such
    """
    idle = ",".join(str(record.n_layers + place) for place in range(n_idle))
    said = [
        f"--num-layers {record.n_layers + n_idle}",
        *([f"--noop-layers {idle}"] if idle else []),
        f"--hidden-size {record.hidden}",
        f"--num-attention-heads {record.n_heads}",
        *_attention_arguments(record),
        f"--ffn-hidden-size {record.ffn or record.expert_ffn}",
    ]
    if record.n_mlp_matrices == 3:
        said.append("--swiglu")
    if not record.tied:
        said.append("--untie-embeddings-and-output-weights")
    said += ["--disable-bias-linear", "--normalization RMSNorm", "--position-embedding-type rope"]
    said += [f"--vocab-size {record.vocab}"]
    if record.n_window_layers:
        said.append(f"--window-size {record.window},0")
        if record.n_full_layers:
            pattern = f"[0]*{record.n_full_layers}+[1]*{record.n_window_layers}"
            said.append(f"--window-attn-skip-freq '{pattern}'")
    if record.n_mtp_layers:
        said.append(f"--mtp-num-layers {record.n_mtp_layers}")
    return said


def _attention_arguments(record: records.Model) -> list[str]:
    if record.attention == records.MLA:
        return [
            "--multi-latent-attention",
            *([f"--q-lora-rank {record.q_lora}"] if record.q_lora else []),
            f"--kv-lora-rank {record.kv_lora}",
            f"--qk-head-dim {record.qk_head_dim - record.qk_rope_dim}",
            f"--qk-pos-emb-head-dim {record.qk_rope_dim}",
            f"--v-head-dim {record.v_head_dim}",
        ]
    said = [f"--kv-channels {record.qk_head_dim}"]
    if record.n_kv_heads != record.n_heads:
        said += ["--group-query-attention", f"--num-query-groups {record.n_kv_heads}"]
    return said


def expert_arguments(record: records.Model, *, first_dense: bool = False) -> list[str]:
    """The options of the mixture layers; none for a dense model.

    first_dense  say how many layers are dense before them, as MindSpeed-LLM has it, not which
    """
    if not record.n_moe_layers:
        return []
    said = [
        f"--num-experts {record.n_experts}",
        f"--moe-router-topk {record.n_active_experts}",
        f"--moe-ffn-hidden-size {record.expert_ffn}",
        "--moe-grouped-gemm",
        "--moe-token-dispatcher-type alltoall",
    ]
    if record.n_dense_layers and first_dense:
        said += [f"--first-k-dense-replace {record.n_dense_layers}", "--moe-layer-freq 1"]
    elif record.n_dense_layers:
        said.append(f"--moe-layer-freq '[0]*{record.n_dense_layers}+[1]*{record.n_moe_layers}'")
    if record.shared_ffn:
        said.append(f"--moe-shared-expert-intermediate-size {record.shared_ffn}")
    if record.n_groups:
        said += [f"--moe-router-num-groups {record.n_groups}", f"--moe-router-group-topk {record.n_active_groups}"]
    return said
