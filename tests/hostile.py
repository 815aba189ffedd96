"""A valid file for every reader of the catalogue, and the readers, for tests of what is broken or hostile."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clustercast import catalog
from clustercast.catalog import overlay
from clustercast.studies.sweep.file import read_study

ROOT = Path(__file__).resolve().parents[1]

CONFIG = {
    "model_type": "deepseek_v3",
    "hidden_act": "silu",
    "first_k_dense_replace": 3,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "layer_types": ["full_attention"] * 61,
    "moe_intermediate_size": 2048,
    "n_group": 8,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_attention_heads": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "tie_word_embeddings": False,
    "topk_group": 4,
    "v_head_dim": 128,
    "vocab_size": 129280,
}
STUDY = """\
schema: clustercast.study/1
title: two chips
about: training
axes:
  chip: [h20, h100]
  job.pue: {from: 1.1, to: 1.3, steps: 3}
fixed: {model: llama-3.1-8b, count: 8, tokens: 1e9}
where: ["chip = 'h20' or job.pue < 1.25"]
outputs: [step_s]
"""
CALIBRATION = """\
schema: clustercast.calibration/1
date: 2026-01-01
clustercast: 0.1.0
sources: {a: "my cluster"}
parts:
  - kind: matmuls
    chip: h20-96gb
    belongs_to: bf16
    n: 40
    error_before: {median: 0.1, max: 0.3}
    error_after: {median: 0.05, max: 0.2}
    constants:
      matmul_fraction: {value: 0.8, standard_error: 0.01, low: 0.75, high: 0.85, before: 0.7, kind: fitted, source: a}
"""

VALID: dict[str, bytes] = {
    "chip": (ROOT / "hardware_profiles/chips/h20-96gb.yaml").read_bytes(),
    "fabric": (ROOT / "hardware_profiles/fabrics/hgx-v100-cube-mesh.yaml").read_bytes(),
    "model": (ROOT / "workloads/models/deepseek-v3.2.yaml").read_bytes(),
    "study": STUDY.encode(),
    "calibration": CALIBRATION.encode(),
    "config": json.dumps(CONFIG, indent=1).encode(),
}
READERS: dict[str, Callable[[str], Any]] = {
    "chip": catalog.find_chip,
    "fabric": catalog.find_fabric,
    "model": lambda path: catalog.find_model(path).record(),
    "study": read_study,
    "calibration": overlay.load,
    "config": lambda path: catalog.find_model(path).record(),
}


def path_of(kind: str, folder: Path) -> Path:
    """Where a file of this kind would lie."""
    return folder / ("config.json" if kind == "config" else f"{kind}.yaml")


def config(**changes: Any) -> bytes:
    """The config with some fields changed, one field a line."""
    return json.dumps(CONFIG | changes, indent=1).encode()


# The same in few lines, for tests that read it thousands of times.
SMALL: dict[str, bytes] = VALID | {
    "chip": b"""\
name: x
full_name: X
vendor: Acme
aliases: [y]
family: hopper
architecture: X1
released: 2026-01
status: shipping
data_centre: true
fabric: hgx-h100-nvswitch
sources: {a: "a sheet"}
peaks: {bf16: {value: 148 TFLOP/s, source: a, kind: datasheet}}
memory:
  type: HBM3
  capacity: {value: 96 GiB, source: a, kind: datasheet}
  bandwidth: {value: 4 TB/s, source: a, kind: assumed, low: 3 TB/s, high: 5 TB/s, why: b}
scale_up: {name: L, direction: one, per_direction: {value: 450 GB/s, source: a, kind: datasheet}}
power: {value: 400 W, source: a, kind: datasheet}
""",
    "fabric": b"""\
name: x
full_name: X
sources: {a: A}
scale_up: {shape: torus, n_chips: 8, n_axes: 3, axis_chips: 2, link: ici, source: a, kind: datasheet}
rail: {n_chips: 64, link: infiniband, source: a, kind: assumed, why: b}
spine: {oversubscription: {value: 1, source: a, kind: datasheet}, link: infiniband}
rails_cross: true
""",
    "model": b"""\
name: x
full_name: X
status: published
sources: {a: A}
architecture: {source: a, kind: datasheet, layers: 8, hidden: 512, vocab: 1000, tied: false, heads: 8, kv_heads: 2,
  ffn: 1024, gated: true, experts: 8, experts_per_token: 2, expert_ffn: 256, moe_every: 2, window: 64, window_layers: 4}
published: {total: {value: 1e7, source: a, kind: reported}}
training: {tokens: {value: 1T, source: a, kind: reported}, precision: bf16}
""",
}
