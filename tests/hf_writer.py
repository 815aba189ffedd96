"""The other way round, for tests alone: an architecture of the catalogue as the config.json of its family.

Field names: huggingface/transformers 4.57 and the configuration files beside the weights of each family.
"""

from collections.abc import Callable
from typing import Any

Shape = dict[str, Any]

# Fields that all families name alike, unless a family renames them.
COMMON = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "vocab": "vocab_size",
    "tied": "tie_word_embeddings",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "ffn": "intermediate_size",
    "q_lora": "q_lora_rank",
    "kv_lora": "kv_lora_rank",
    "qk_nope_dim": "qk_nope_head_dim",
    "qk_rope_dim": "qk_rope_head_dim",
    "v_head_dim": "v_head_dim",
    "index_heads": "index_n_heads",
    "index_dim": "index_head_dim",
    "index_topk": "index_topk",
    "window": "sliding_window",
    "linear_k_heads": "linear_num_key_heads",
    "linear_v_heads": "linear_num_value_heads",
    "linear_k_dim": "linear_key_head_dim",
    "linear_v_dim": "linear_value_head_dim",
    "experts_per_token": "num_experts_per_tok",
    "expert_ffn": "moe_intermediate_size",
    "first_dense_layers": "first_k_dense_replace",
    "n_groups": "n_group",
    "top_groups": "topk_group",
    "mtp_layers": "num_nextn_predict_layers",
}


NO_HEADS = {"kv_heads": "", "head_dim": ""}


def written(shape: Shape, renamed: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """The fields of a shape under their common names, some renamed, some more; what is renamed to nothing is left."""
    names = COMMON | (renamed or {})
    config = {names[field]: value for field, value in shape.items() if names.get(field)}
    return {"hidden_act": "silu"} | config | more


def plain(model_type: str, **more: Any) -> Callable[[Shape], dict[str, Any]]:
    """A dense family that names everything as Llama does."""
    return lambda shape: written(shape, model_type=model_type, **more)


def gpt2(shape: Shape) -> dict[str, Any]:
    names = {
        "layers": "n_layer",
        "hidden": "n_embd",
        "heads": "n_head",
        "kv_heads": "",
        "head_dim": "",
        "ffn": "n_inner",
    }
    return written(shape, names, model_type="gpt2", n_positions=2048, hidden_act="gelu_new")


def opt(shape: Shape) -> dict[str, Any]:
    names = {"ffn": "ffn_dim", "kv_heads": "", "head_dim": ""}
    return written(shape, names, model_type="opt", max_position_embeddings=2048, hidden_act="relu")


def bloom(shape: Shape) -> dict[str, Any]:
    names = {"layers": "n_layer", "heads": "n_head", "kv_heads": "", "head_dim": "", "ffn": ""}
    return written(shape, names, model_type="bloom")


def gptj(shape: Shape) -> dict[str, Any]:
    names = {
        "layers": "n_layer",
        "hidden": "n_embd",
        "heads": "n_head",
        "kv_heads": "",
        "head_dim": "",
        "ffn": "n_inner",
    }
    return written(shape, names, model_type="gptj")


def falcon(shape: Shape) -> dict[str, Any]:
    names = {"kv_heads": "num_kv_heads", "head_dim": "", "ffn": ""}
    return written(shape, names, model_type="falcon", new_decoder_architecture=True, parallel_attn=True, bias=False)


def dbrx(shape: Shape) -> dict[str, Any]:
    experts = {"moe_num_experts": shape["experts"], "moe_top_k": shape["experts_per_token"]}
    return {
        "model_type": "dbrx",
        "n_layers": shape["layers"],
        "d_model": shape["hidden"],
        "n_heads": shape["heads"],
        "vocab_size": shape["vocab"],
        "tie_word_embeddings": shape["tied"],
        "attn_config": {"kv_n_heads": shape["kv_heads"]},
        "ffn_config": {"ffn_hidden_size": shape["expert_ffn"], **experts},
    }


def mixtral(shape: Shape) -> dict[str, Any]:
    names = {"experts": "num_local_experts", "expert_ffn": "intermediate_size", "head_dim": ""}
    return written(shape, names, model_type="mixtral", sliding_window=None)


def grok(shape: Shape) -> dict[str, Any]:
    names = {"experts": "num_local_experts", "expert_ffn": "intermediate_size"}
    return written(shape, names, model_type="grok-1", hidden_act="gelu")


def qwen_mixture(model_type: str, **more: Any) -> Callable[[Shape], dict[str, Any]]:
    names = {"experts": "num_experts", "shared_ffn": "shared_expert_intermediate_size"}
    return lambda shape: written(shape, names, model_type=model_type, decoder_sparse_step=1, mlp_only_layers=[], **more)


def qwen_hybrid(shape: Shape) -> dict[str, Any]:
    """Qwen3.5: a vision model around the text model, gated delta nets but for every fourth layer."""
    names = {"experts": "num_experts", "shared_ffn": "shared_expert_intermediate_size"}
    names |= {"mtp_layers": "mtp_num_hidden_layers", "tied": ""}
    kind = "qwen3_5_moe" if "experts" in shape else "qwen3_5"
    types = (["linear_attention"] * 3 + ["full_attention"]) * (shape["layers"] // 4)
    inner = written(shape, names, model_type=f"{kind}_text", layer_types=types, linear_conv_kernel_dim=4)
    outer = {"model_type": kind, "text_config": inner, "vision_config": {"hidden_size": 1152}}
    return outer | {"tie_word_embeddings": shape["tied"]}


def deepseek(model_type: str, **more: Any) -> Callable[[Shape], dict[str, Any]]:
    def write(shape: Shape) -> dict[str, Any]:
        n_shared = {"n_shared_experts": shape["shared_ffn"] // shape["expert_ffn"]}
        config = written(shape, {"experts": "n_routed_experts"}, model_type=model_type, moe_layer_freq=1)
        return {"n_group": 1, "topk_group": 1} | config | n_shared | more

    return write


def kimi(shape: Shape) -> dict[str, Any]:
    """Kimi K2.5: the text model as it stands, inside a vision model."""
    return {"model_type": "kimi_k25", "text_config": deepseek("kimi_k2")(shape)}


def gpt_oss(shape: Shape) -> dict[str, Any]:
    names = {"experts": "num_local_experts", "expert_ffn": "intermediate_size"}
    types = ["sliding_attention", "full_attention"] * (shape["layers"] // 2)
    return written(shape, names, model_type="gpt_oss", layer_types=types, attention_bias=True)


def llama4(shape: Shape) -> dict[str, Any]:
    names = {"experts": "num_local_experts", "expert_ffn": "intermediate_size", "ffn": "intermediate_size_mlp"}
    names |= {"window": "attention_chunk_size", "moe_every": "interleave_moe_layer_step", "tied": ""}
    inner = written(shape, names, model_type="llama4_text")
    return {"model_type": "llama4", "text_config": {"intermediate_size_mlp": 16384} | inner}


def gemma4(shape: Shape) -> dict[str, Any]:
    names = {"experts": "num_experts", "experts_per_token": "top_k_experts", "shared_ffn": "intermediate_size"}
    types = (["sliding_attention"] * 5 + ["full_attention"]) * (shape["layers"] // 6)
    own = {"global_head_dim": 512, "num_global_key_value_heads": 2, "attention_k_eq_v": True, "enable_moe_block": True}
    inner = written(shape, names, model_type="gemma4_text", layer_types=types, hidden_act="gelu_pytorch_tanh", **own)
    return {"model_type": "gemma4", "text_config": inner | {"hidden_size_per_layer_input": 0}}


def minimax_m2(shape: Shape) -> dict[str, Any]:
    names = {"experts": "num_local_experts", "expert_ffn": "intermediate_size", "mtp_layers": "num_mtp_modules"}
    own = {"use_qk_norm": True, "qk_norm_type": "per_layer", "use_routing_bias": True, "use_mtp": True}
    return written(shape, names, model_type="minimax_m2", shared_intermediate_size=0, **own)


def minimax_m3(shape: Shape) -> dict[str, Any]:
    own = {"use_qk_norm": True, "qk_norm_type": "per_head", "use_routing_bias": True, "n_shared_experts": 1}
    return written(shape, {"experts": "num_local_experts"}, model_type="minimax_m3", **own)


def minimax_01(shape: Shape) -> dict[str, Any]:
    names = {"experts": "num_local_experts", "expert_ffn": "intermediate_size"}
    names |= dict.fromkeys(("linear_k_heads", "linear_v_heads", "linear_k_dim", "linear_v_dim"), "")
    codes = ([0] * 7 + [1]) * (shape["layers"] // 8)
    return written(shape, names, model_type="minimax_text_01", attn_type_list=codes)


def mimo(shape: Shape) -> dict[str, Any]:
    """Nine full layers of 4 KV heads among windowed ones of 8; one dense layer before the mixtures."""
    layers = shape["layers"]
    own = {
        "hybrid_layer_pattern": [0] + [0 if at % 6 == 5 else 1 for at in range(1, layers)],
        "swa_num_attention_heads": shape["heads"],
        "swa_num_key_value_heads": 8,
        "swa_head_dim": 192,
        "swa_v_head_dim": 128,
        "add_swa_attention_sink_bias": True,
        "moe_layer_freq": [0] + [1] * (layers - 1),
        "topk_method": "noaux_tc",
    }
    return written(shape, {"experts": "n_routed_experts", "first_dense_layers": ""}, model_type="mimo_v2_flash", **own)


def step(shape: Shape) -> dict[str, Any]:
    """Twelve full layers of 64 heads among windowed ones of 96; three dense layers before the mixtures."""
    names = {"kv_heads": "num_attention_groups", "experts": "moe_num_experts", "experts_per_token": "moe_top_k"}
    names |= {"shared_ffn": "share_expert_dim", "first_dense_layers": "", "heads": ""}
    types = ["full_attention"] + (["sliding_attention"] * 3 + ["full_attention"]) * 11
    own = {
        "num_attention_heads": 64,
        "attention_other_setting": {"num_attention_heads": 96, "num_attention_groups": 8, "head_dim": 128},
        "layer_types": types,
        "moe_layers_enum": ",".join(str(at) for at in range(3, shape["layers"])),
        "use_head_wise_attn_gate": True,
        "use_moe_router_bias": True,
    }
    return written(shape, names, model_type="step3p7", **own)


def nemotron_h(shape: Shape) -> dict[str, Any]:
    """Slots of Mamba-2, attention, MLPs and experts."""
    names = {"linear_k_heads": "n_groups", "linear_v_heads": "mamba_num_heads", "linear_k_dim": "ssm_state_size"}
    names |= {"linear_v_dim": "mamba_head_dim", "head_dim": "attention_head_dim", "experts": "n_routed_experts"}
    names |= {"shared_ffn": "moe_shared_expert_intermediate_size"}
    n_slots = {"M": "linear_layers", "*": "full_attention_layers", "E": "moe_layers", "-": "dense_layers"}
    pattern = "".join(code * shape.get(field, 0) for code, field in n_slots.items())
    own = {"hybrid_override_pattern": pattern, "conv_kernel": 4, "use_conv_bias": True, "mlp_hidden_act": "relu2"}
    return written(shape, names, model_type="nemotron_h", **own)


LLAMA = ("aquila-7b", "decilm-7b", *(f"llama-1-{size}" for size in ("7b", "13b", "33b", "65b")))
LLAMA += tuple(f"llama-{name}" for name in ("2-7b", "2-13b", "2-70b", "3.1-8b", "3.1-70b", "3.1-405b", "3.3-70b"))
LLAMA += ("mistral-7b", "mistral-large-123b")
QWEN2 = ("qwen1.5-7b", "qwen2-7b", "qwen2-72b")
QWEN2 += tuple(f"qwen2.5-{size}" for size in ("0.5b", "1.5b", "3b", "7b", "14b", "32b", "72b"))
QWEN3 = tuple(f"qwen3-{size}" for size in ("0.6b", "1.7b", "4b", "8b", "14b", "32b"))
GPT = ("gpt-20b", *(f"gpt-3-{size}" for size in ("350m", "1.3b", "6.7b", "175b")))
GPT += ("megatron-22b", "megatron-530b", "megatron-1t")
GLM = deepseek("glm4_moe", attention_bias=True, use_qk_norm=True)

WRITERS: dict[str, Callable[[Shape], dict[str, Any]]] = {
    **dict.fromkeys(LLAMA, plain("llama")),
    **dict.fromkeys(QWEN2, plain("qwen2", use_sliding_window=False, sliding_window=131072)),
    **dict.fromkeys(QWEN3, plain("qwen3")),
    **dict.fromkeys(GPT, gpt2),
    **dict.fromkeys(("opt-6.7b", "opt-175b"), opt),
    **dict.fromkeys(("bloom-7b1", "bloom-176b"), bloom),
    **dict.fromkeys(("mixtral-8x7b", "mixtral-8x22b"), mixtral),
    **dict.fromkeys(("deepseek-v3", "deepseek-r1"), deepseek("deepseek_v3", topk_method="noaux_tc")),
    **dict.fromkeys(("qwen3-30b-a3b", "qwen3-235b-a22b", "qwen3-coder-480b-a35b"), qwen_mixture("qwen3_moe")),
    **dict.fromkeys((f"qwen3.5-{name}" for name in ("27b", "35b-a3b", "122b-a10b", "397b-a17b")), qwen_hybrid),
    **dict.fromkeys(("glm-4.5", "glm-4.6"), GLM),
    **dict.fromkeys(("gpt-oss-20b", "gpt-oss-120b"), gpt_oss),
    **dict.fromkeys(("llama-4-scout", "llama-4-maverick"), llama4),
    **dict.fromkeys(("nemotron-4-15b", "nemotron-4-340b"), plain("nemotron", hidden_act="relu2")),
    **dict.fromkeys(("nemotron-h-56b-base-8k", "nemotron-3-nano-30b-a3b"), nemotron_h),
    "dbrx": dbrx,
    "deepseek-v2": deepseek("deepseek_v2", topk_method="group_limited_greedy"),
    "deepseek-v3.2": deepseek("deepseek_v32", topk_method="noaux_tc"),
    "falcon-180b": falcon,
    "gemma-4-26b-a4b": gemma4,
    "glm-4.5-air": deepseek("glm4_moe", attention_bias=True, use_qk_norm=False),
    "glm-5": deepseek("glm_moe_dsa", topk_method="noaux_tc", head_dim=64),
    "gpt-4-1.8t": lambda shape: written(shape, {"experts": "num_experts"}, hidden_act="gelu"),
    "gpt-j-6b": gptj,
    "gpt-neox-20b": plain("gpt_neox", num_key_value_heads=None, head_dim=None),
    "grok-1": grok,
    "kimi-k2": deepseek("kimi_k2", topk_method="noaux_tc"),
    "kimi-k2.5": kimi,
    "mimo-v2-flash": mimo,
    "minimax-m2.5": minimax_m2,
    "minimax-m3": minimax_m3,
    "minimax-text-01": minimax_01,
    "pangu-ultra-135b": plain("pangu_ultra", sandwich_norm=True),
    "pangu-ultra-moe-718b": deepseek("pangu_ultra_moe", sandwich_norm=True),
    "qwen2-57b-a14b": qwen_mixture("qwen2_moe"),
    "step-3.7-flash": step,
}
# No config.json was ever published for these, and no family has their mix of norms, biases and gates.
WITHOUT = {"glm-130b", "palm-540b"}
