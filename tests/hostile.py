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
sources: {mine: "my cluster"}
parts:
  - kind: matmuls
    chip: h20-96gb
    belongs_to: bf16
    n: 40
    error_before: {median: 0.1, max: 0.3}
    error_after: {median: 0.05, max: 0.2}
    constants:
      matmul_fraction: {value: 0.8, standard_error: 0.01, low: 0.75, high: 0.85, before: 0.7, kind: fitted, source: mine}
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
