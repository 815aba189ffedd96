"""What a row's cells must be before the model sees them: whole numbers in their bounds, words that are known.

The physics assumes good input; this is where a row of a user's file is looked at, and told what is wrong.
"""

import math
import re
from typing import Final

from clustercast.studies.record.files import TRAINING

WHOLE: Final = re.compile(r"[0-9]{1,15}(\.0*)?|[0-9](\.[0-9]{1,6})?[eE]\+?[0-9]{1,2}")
LARGEST: Final = 1e15
# What no machine and no model is near; beyond it a cell is a slip.
MOST: Final = {
    "layers": 10_000,
    "hidden": 10_000_000,
    "heads": 100_000,
    "experts": 100_000,
    "n_chips": 10_000_000,
    "seq_len": 10_000_000,
    "global_batch": 10_000_000,
    "input_len": 10_000_000,
    "output_len": 10_000_000,
    "concurrency": 10_000_000,
}
LEAST_VALUE: Final = 1e-9  # of a measured figure, in whatever unit
MOST_VALUE: Final = 1e12

SHAPE: Final = ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocab")
MAY_BE_ZERO: Final = ("ffn", "experts", "topk", "moe_ffn", "shared_experts")
OF_PLAN: Final = ("TP", "PP", "virtual_pp", "DP", "EP", "CP", "global_batch", "micro_batch")
OF_POOL: Final = ("workers", "tp", "pp", "attention_dp", "moe_tp", "ep", "batch")
POOLS: Final = tuple(f"{pool}_{field}" for pool in ("prefill", "decode") for field in OF_POOL)

# Least value by column; an empty cell is "not stated" unless the column is needed.
COUNTS: Final = {
    "training": dict.fromkeys((*SHAPE, *OF_PLAN, "n_chips", "gpus_per_node", "qk_head_dim", "v_head_dim", "seq_len"), 1)
    | dict.fromkeys(MAY_BE_ZERO, 0),
    "serving": dict.fromkeys((*SHAPE, *OF_POOL, *POOLS, "n_chips", "concurrency", "input_len", "output_len"), 1)
    | dict.fromkeys(MAY_BE_ZERO, 0),
}
NEEDED: Final = {
    "training": ("n_chips", "layers", "hidden", "heads", "seq_len", "global_batch"),
    "serving": ("input_len", "output_len"),
}
EIGHT_BIT: Final = ("fp8", "fp8_block", "int8", "int8_weight_only")
FORMATS: Final = ("bf16", "fp16", *EIGHT_BIT, "nvfp4", "mxfp4", "mxfp4_weight_only", "int4_weight_only")
WORDS: Final = {
    "training": {
        "recompute": ("none", "selective", "full", "partial"),
        "precision": ("bf16", "fp16", "fp8", "mxfp8", "nvfp4"),
        "mlp": ("gated", "plain"),
        "zero": ("0", "1", "2", "3"),
    },
    "serving": {
        "mode": ("agg", "disagg"),
        "weight_dtype": FORMATS,
        "moe_dtype": FORMATS,
        "kv_dtype": ("bf16", "fp16", "fp8", "int8"),
    },
}
YEAR: Final = re.compile(r"(19|20)[0-9]{2}(-.*)?")


def flaw_of(cells: dict[str, str], form: str) -> str:
    """What is wrong with a row's cells, or nothing.

    >>> row = {"n_chips": "8", "layers": "32", "hidden": "4096", "heads": "32", "seq_len": "4096", "global_batch": "64"}
    >>> flaw_of(row, "training"), flaw_of(row | {"layers": "many"}, "training")
    ('', "layers: expected a whole number, got 'many'")
    """
    missing = [column for column in NEEDED[form] if not cells.get(column)]
    if missing:
        return f"{', '.join(missing)}: not stated"
    for column, least in COUNTS[form].items():
        text = cells.get(column) or ""
        if text and (WHOLE.fullmatch(text) is None or float(text) != int(float(text)) or float(text) > LARGEST):
            return f"{column}: expected a whole number, got {text[:40]!r}"
        if text and float(text) < least:
            return f"{column}: expected {least} or more, got {text!r}"
        if text and float(text) > MOST.get(column, LARGEST):
            return f"{column}: expected {MOST[column]:,} or fewer, got {text!r}"
    for column, known in WORDS[form].items():
        text = cells.get(column) or ""
        if text and text.removesuffix(".0") not in known:
            return f"{column}: expected one of {', '.join(known)}, got {text[:40]!r}"
    value = _number(cells.get("value") or "")
    if value > 0.0 and not LEAST_VALUE <= value <= MOST_VALUE:
        return f"value: expected a number from {LEAST_VALUE:g} to {MOST_VALUE:g}, got {cells['value'][:40]!r}"
    date = cells.get("date") or ""
    if date and YEAR.fullmatch(date) is None:
        return f"date: expected a year first, like 2024-05, got {date[:40]!r}"
    return _plan_flaw(cells) if form == TRAINING else ""


def _number(text: str) -> float:
    """A number of a cell; 0 for what is none or not finite, which is refused elsewhere."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _plan_flaw(cells: dict[str, str]) -> str:
    """Whether a training row has the chips for its plan; a plan may leave chips idle."""
    n_chips = int(float(cells["n_chips"]))
    tp, pp, cp, dp, ep = (int(float(cells.get(column) or "1")) for column in ("TP", "PP", "CP", "DP", "EP"))
    if tp * pp * cp * dp > n_chips:
        return f"TP x PP x CP x DP is {tp * pp * cp * dp:,}, more than n_chips {n_chips:,}"
    ranks = tp * cp * dp if cells.get("DP") else n_chips // pp
    if ranks % ep and cells.get("experts") not in ("", "0", None):
        return f"EP {ep} does not divide TP x CP x DP, {ranks:,}"
    return ""
