"""A dense model of a given size, where nothing but the size is known; and training defaults for any size.

The shape follows the published dense decoders of Llama 3.1 and 3.2 (1B to 405B) and Qwen 2.5 and 3 (0.5B to 72B):

    vocabulary      128,256, as Llama 3; the head is the embedding transposed below 5B parameters (Llama 3.2, Qwen)
    head dimension  64 where hidden is less than 2,048, else 128
    KV heads        8
    MLP             gated, ffn / hidden about 3.5 (Llama 3.1: 3.5, 3.5, 3.25), a multiple of 256 (of 64 below 1B)
    hidden / layers about 128 (Llama 3.1 8B: 128, 70B: 102, 405B: 130); hidden a multiple of 512 below 5B, of 1,024
                    below 20B, else of 2,048; layers a multiple of 4, from 20B of 8: both divide well

Among these shapes it is the one nearest to both ratios whose ffn is set so that the total meets the size.
Sources: Llama Team 2024, arXiv 2407.21783, Table 3; Qwen 2.5, arXiv 2412.15115, Table 1; config.json of Llama 3.2.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, Final

from clustercast import units
from clustercast.catalog.models import ModelProfile
from clustercast.catalog.quantity import Quantity
from clustercast.errors import WrongInput

SMALLEST: Final = 1e8
LARGEST: Final = 1e13

_SIZE: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([MmBbTt])")
_VOCAB: Final = 128256
_KV_HEADS: Final = 8
_FFN_RATIO: Final = 3.5
_ASPECT: Final = 128.0
_TIED_BELOW: Final = 5e9
_LARGE_FROM: Final = 2e10
_FFN_WEIGHT: Final = 4.0  # how much more the width of the MLP counts than the depth: published ones vary half as much

_RULE: Final = "rule"
SOURCES: Final = {
    "shape": "ratios of Llama 3.1 and 3.2 and Qwen 2.5 and 3, see clustercast.catalog.sizes",
    _RULE: "clustercast, rules for unpublished training runs, workloads/README.md",
}


def is_size(text: str) -> bool:
    """Whether a text is a bare size.

    >>> is_size("70B"), is_size("1.8t"), is_size("llama-70b"), is_size("70")
    (True, True, False, False)
    """
    return _SIZE.fullmatch(text) is not None


def model_of_size(text: str) -> ModelProfile:
    """The dense model of a size: `70B`, `1.5B`, `350M`.

    >>> shape = model_of_size("8B").architecture
    >>> shape["layers"], shape["hidden"], shape["ffn"], shape["heads"]
    (32, 4096, 14336, 32)
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise WrongInput(f"{text!r} is not a size, expected something like '70B'")
    size = units.parse(found[1] + found[2].upper(), "count")
    if not SMALLEST <= size <= LARGEST:
        raise WrongInput(f"a model of {text} is out of range, expected {SMALLEST / 1e9:g}B to {LARGEST / 1e12:g}T")
    shape = min(_shapes(size), key=lambda each: _distance(each, size))
    total = dense_params(shape)
    name = f"dense-{units.count(size, 6)}".lower()
    text_of_shape = (
        f"a dense model of {units.count(size, 6)} parameters: {shape['layers']} layers of {shape['hidden']}, "
        f"{shape['heads']} heads, {_KV_HEADS} KV heads, ffn {shape['ffn']}, vocabulary {_VOCAB}"
    )
    return ModelProfile(
        name=name,
        full_name=f"Dense model of {units.count(size, 6)} parameters",
        aliases=(),
        status="assumed",
        architecture=shape,
        architecture_source="shape",
        architecture_kind="assumed",
        unverified=(),
        published={"total": Quantity(size, None, None, text, "count", "shape", "assumed", None, "the size asked for")},
        exceptions={},
        training=training_defaults(total, total),
        precision="bf16",
        serving={},
        sources=dict(SOURCES),
        notes=(),
        resolved_as=text_of_shape,
        file=text,
    )


def dense_params(shape: dict[str, Any]) -> int:
    """All parameters of a dense gated model with grouped-query attention: matrices, embedding, head and norms.

        layers (2 h heads d + 2 h kv d + 3 h ffn + 2 h) + vocab h (2 - tied) + h

    >>> dense_params({"layers": 1, "hidden": 2, "heads": 1, "kv_heads": 1, "head_dim": 2, "ffn": 3, "vocab": 5,
    ...               "tied": True})
    50
    """
    hidden, width = shape["hidden"], shape["head_dim"]
    attention = 2 * hidden * width * (shape["heads"] + shape["kv_heads"])
    layer = attention + 3 * hidden * shape["ffn"] + 2 * hidden
    total: int = shape["layers"] * layer + shape["vocab"] * hidden * (2 - shape["tied"]) + hidden
    return total


def _shapes(size: float) -> Iterator[dict[str, Any]]:
    """Shapes of about the ratios above whose ffn brings the total near the size."""
    step = 512 if size < _TIED_BELOW else 1024 if size < _LARGE_FROM else 2048
    layer_step = 4 if size < _LARGE_FROM else 8
    ffn_step = 64 if size < 1e9 else 256
    tied = size < _TIED_BELOW
    # layers * 12.5 hidden**2 parameters with hidden = 128 layers, four times that width at most
    widest = 4 * (size * _ASPECT / (3 * _FFN_RATIO + 2)) ** (1 / 3)
    for hidden in range(step, max(math.ceil(widest), 4 * step), step):
        head_dim = 64 if hidden < 2048 else 128
        if hidden // head_dim % _KV_HEADS:
            continue
        for layers in range(layer_step, min(1000, math.ceil(8 * hidden / _ASPECT) + 8), layer_step):
            shape: dict[str, Any] = {
                "layers": layers,
                "hidden": hidden,
                "vocab": _VOCAB,
                "tied": tied,
                "attention": "gqa",
                "heads": hidden // head_dim,
                "kv_heads": _KV_HEADS,
                "head_dim": head_dim,
                "ffn": 0,
                "gated": True,
            }
            left = size - dense_params(shape)
            shape["ffn"] = round(left / (layers * 3 * hidden * ffn_step)) * ffn_step
            if 1.5 * hidden <= shape["ffn"] <= 8 * hidden:
                yield shape


def _distance(shape: dict[str, Any], size: float) -> tuple[bool, float]:
    """How far a shape is from the ratios; one that misses the size by more than 1.5 % comes last."""
    missed = abs(dense_params(shape) / size - 1)
    wide = math.log(shape["ffn"] / shape["hidden"] / _FFN_RATIO)
    deep = math.log(shape["hidden"] / shape["layers"] / _ASPECT)
    return missed > 0.015, missed if missed > 0.015 else _FFN_WEIGHT * wide * wide + deep * deep


def training_defaults(n_params: float, n_active_params: float) -> dict[str, Quantity]:
    """What `estimate` assumes about a run that nobody described; the rules are those of workloads/README.md.

        tokens  20 per active parameter [hoffmann2022]
        chips   60 days at 200 TFLOP/s each and 6 FLOPs per active parameter and token, or as many as hold 18 bytes
                per parameter in 40 GB each, to the nearest power of two from 8 to 16,384

    >>> {name: each.value for name, each in training_defaults(70e9, 70e9).items()}
    {'tokens': 1400000000000.0, 'seq_len': 4096.0, 'global_batch': 1024.0, 'chips': 512.0}
    """
    tokens = float(f"{20 * n_active_params:.2g}")
    busy = 6 * n_active_params * tokens / (60 * 86400 * 200e12)
    held = n_params * 18 / 40e9
    chips = float(min(16384, max(8, 2 ** round(math.log2(max(busy, 1.0))), 2 ** math.ceil(math.log2(max(held, 1.0))))))

    def rule(value: float, low: float, high: float, why: str) -> Quantity:
        return Quantity(value, low, high, units.count(value, 6), "count", _RULE, "assumed", None, why)

    return {
        "tokens": rule(tokens, tokens / 2, tokens * 20, "20 tokens per active parameter"),
        "seq_len": rule(4096.0, 2048.0, 8192.0, "usual first-stage length of pre-training"),
        "global_batch": rule(1024.0, 256.0, 4096.0, "4 Mi tokens per step"),
        "chips": rule(chips, chips / 4, chips * 4, "60 days at 200 TFLOP/s per chip, or what holds the state"),
    }
