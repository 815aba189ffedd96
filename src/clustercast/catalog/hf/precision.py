"""What the published weights are kept in: `quantization_config` to a precision recipe of serving."""

from typing import Any, Final

from clustercast.catalog.hf import text
from clustercast.catalog.hf.fields import Fields

_WEIGHT_ONLY: Final = {4: "int4-weight-only", 8: "int8-weight-only"}
_NAMED: Final = {
    "mxfp4": "mxfp4",
    "mxfp8": "mxfp8",
    "fbgemm_fp8": "fp8",
    "nvfp4": "nvfp4",
    "w4a16_awq": "int4-weight-only",
    "w4a16": "int4-weight-only",
    "w8a16": "int8-weight-only",
    "int8": "int8",
    "int8_sq": "int8",
    "w8a8": "int8",
}


def served(fields: Fields) -> str:
    """The recipe that the weights are published in; empty for 16 bit. What could not be told is noted."""
    config = fields.data.get("quantization_config") or fields.whole.get("quantization_config")
    if config is None:
        return ""
    if not isinstance(config, dict):
        raise fields.wrong("quantization_config", f"is {text.shown(config)}, expected a mapping")
    method = _word(config.get("quant_method") or config.get("quantization"))
    found = _recipe(method, config)
    if found is None:
        fields.note(f"quantisation {text.shown(method)} is not known: 16 bit is assumed")
        return ""
    kept: list[Any] = next((config[name] for name in _KEPT if isinstance(config.get(name), list) and config[name]), [])
    beside = f"; {len(kept)} kinds of modules are kept in 16 bit" if kept else ""
    fields.note(f"weights are published in {method or 'a quantised format'}: served in {found} unless told{beside}")
    return found


_KEPT: Final = ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules")


def _word(value: Any) -> str:
    return value.lower().replace("-", "_")[:40] if isinstance(value, str) else ""


def _recipe(method: str, config: dict[str, Any]) -> str | None:
    if method in ("fp8", "deepseek_fp8"):
        return "fp8-block" if config.get("weight_block_size") else "fp8"
    if method in ("awq", "gptq", "auto_gptq", "auto_awq", "awq_marlin", "gptq_marlin", "auto_round", "hqq", "eetq"):
        return _WEIGHT_ONLY.get(_bits(config, 8 if method == "eetq" else 4))
    if method == "bitsandbytes":
        return _WEIGHT_ONLY[8 if config.get("load_in_8bit") is True else 4]
    if method == "compressed_tensors":
        return _by_groups(config)
    if method in ("modelopt", "modelopt_fp4", "modelopt_fp8", "modelopt_mixed"):
        inner = config.get("quantization") if isinstance(config.get("quantization"), dict) else config
        algorithm = _word(inner.get("quant_algo") if isinstance(inner, dict) else "")
        if algorithm in ("fp8", "fp8_per_channel_per_token", "fp8_pb_wo"):
            return "fp8-block" if algorithm == "fp8_pb_wo" else "fp8"
        return _NAMED.get(algorithm) or _by_groups(config)
    return _NAMED.get(method)


def _bits(config: dict[str, Any], usual: int) -> int:
    bits = config.get("bits", config.get("w_bit", config.get("nbits", usual)))
    return bits if type(bits) is int else 0


def _by_groups(config: dict[str, Any]) -> str | None:
    """The recipe of the first group of compressed-tensors: bits and kind of weights and of activations."""
    groups = config.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    if not isinstance(first, dict) or not isinstance(first.get("weights"), dict):
        return None
    weights, inputs = first["weights"], first.get("input_activations")
    bits, is_float = weights.get("num_bits"), _word(weights.get("type")) == "float"
    alone = not isinstance(inputs, dict) or (type(inputs.get("num_bits")) is int and inputs["num_bits"] > 8)
    if bits == 4 and is_float:
        return "mxfp4" if weights.get("group_size") == 32 else "nvfp4"
    if bits == 8 and is_float:
        return "fp8-weight-only" if alone else "fp8-block" if _word(weights.get("strategy")) == "block" else "fp8"
    if bits == 8:
        return "int8-weight-only" if alone else "int8"
    return _WEIGHT_ONLY.get(bits) if type(bits) is int else None
