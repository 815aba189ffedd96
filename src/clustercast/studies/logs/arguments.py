"""The arguments that Megatron-LM and its kin print when they start, as a launch.

A printed list holds every argument of the tool, most at their defaults; `studies.launch` reads what a user writes. So
what is off or at nothing is left out, and what is printed in another form than it is given in is turned back.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from clustercast.catalog import read
from clustercast.studies.launch import megatron
from clustercast.studies.launch.arguments import Options, Word
from clustercast.studies.launch.launch import TrainingLaunch
from clustercast.studies.logs.training import MEGATRON, Argument, TrainingLog

LEAST: Final = ("num_layers", "hidden_size", "num_attention_heads")
NOTHING: Final = ("None", "False", "[]", "")
# Printed false, given by a flag.
INVERTED: Final = {"add_bias_linear": "disable-bias-linear", "add_position_embedding": "no-position-embedding"}
# Printed at a default that means nothing unless the other is on.
NEEDS: Final = {
    "num_query_groups": "group_query_attention",
    "moe_router_topk": "num_experts",
    "moe_ffn_hidden_size": "num_experts",
    "moe_layer_freq": "num_experts",
    "expert_tensor_parallel_size": "num_experts",
    "fp8_recipe": "fp8",
    "fp4_recipe": "fp4",
    "recompute_modules": "recompute_granularity",
    "recompute_num_layers": "recompute_method",
    "data_parallel_sharding_strategy": "use_megatron_fsdp",
    "context_parallel_algo": "context_parallel_size",
    "kv_lora_rank": "multi_latent_attention",
    "qk_head_dim": "multi_latent_attention",
    "qk_pos_emb_head_dim": "multi_latent_attention",
    "v_head_dim": "multi_latent_attention",
}
# What follows from others, or was read before: they would be said twice.
DERIVED: Final = (
    "world_size",
    "data_parallel_size",
    "num_layers_per_virtual_pipeline_stage",
    "train_samples",
    "train_iters",
)
OLD_RECOMPUTE: Final = ("checkpoint_activations", "activations_checkpoint_method")  # of 2021 and 2022
BRACKETS: Final = re.compile(r"^[\[(](.*)[\])]$")
NEW_NAMES: Final = {"encoder_num_layers": "num_layers", "transformer_pipeline_model_parallel_size": ""}


def launch_of(log: TrainingLog, path: Path) -> TrainingLaunch | None:
    """The launch that a log's printed arguments describe; None where it prints none.

    Raises WrongInput with the line for arguments that contradict themselves.
    """
    found = log.arguments
    if log.tool != MEGATRON or not all(name in found for name in LEAST):
        return None
    options = Options(_words(found), path)
    made = megatron.understand(MEGATRON, options, n_chips_of(log), [])
    return replace(made, notes=tuple(note for note in made.notes if "not matter here" not in note))


def n_chips_of(log: TrainingLog) -> int | None:
    """The chips of the run, as the log prints them."""
    for found in (log.arguments.get("world_size"), log.said.get("n_chips")):
        if found is not None and found.value.isascii() and found.value.isdigit() and 0 < int(found.value[:9]) < 10**7:
            return int(found.value[:9])
    return None


def _words(found: dict[str, Argument]) -> list[Word]:
    words: list[Word] = []
    for name, (value, line) in found.items():
        option = INVERTED.get(name) if value == "False" else NEW_NAMES.get(name, name)
        if not option or name in (*DERIVED, *OLD_RECOMPUTE) or not _counts(name, found):
            continue
        if value in NOTHING and name not in INVERTED:
            continue
        words.append(Word(f"--{option.replace('_', '-')}", line))
        words += [Word(part, line) for part in _values(value)]
    if "recompute_granularity" not in found:
        words += _old_recompute(found)
    return words


def _counts(name: str, found: dict[str, Argument]) -> bool:
    """Whether an argument means anything beside the others."""
    other = NEEDS.get(name)
    if other is None:
        return True
    needed = found.get(other)
    return needed is not None and needed.value not in NOTHING


def _values(value: str) -> list[str]:
    """The words of a printed value; a flag that is on has none."""
    if value in ("True", "False"):
        return []
    listed = BRACKETS.match(value)
    inside = listed[1] if listed and "*" not in value else value
    parts = [part.strip(" '\"") for part in inside.split(",")] if listed and inside is not value else [value]
    return [part for part in parts if part]


def _old_recompute(found: dict[str, Argument]) -> list[Word]:
    """Recompute of layers as Megatron-LM named it before May 2022."""
    on = next((found[name] for name in OLD_RECOMPUTE if name in found and found[name].value not in NOTHING), None)
    if on is None:
        return []
    method = "block" if on.value == "block" else "uniform"
    said = (("--recompute-granularity", "full"), ("--recompute-method", method))
    return [Word(text, on.line) for pair in said for text in pair]


# What DeepSpeed prints of its configuration, by what it is here.
DEEPSPEED_NAMES: Final = {
    "n_chips": "world_size",
    "global_batch": "train_batch_size",
    "micro_batch": "train_micro_batch_size_per_gpu",
    "zero": "zero_optimization_stage",
}
DEEPSPEED_FORMATS: Final = {"bfloat16_enabled": "bf16", "bf16_enabled": "bf16", "fp16_enabled": "fp16"}
FLAGS: Final = ("True", "true")


def said_of(log: TrainingLog, path: Path) -> TrainingLaunch:
    """What a log of another tool says of its run: chips, batch, length, and the dimensions of its mesh.

    Raises WrongInput with the line for what is no whole number.
    """
    said = {name: log.arguments[other] for name, other in DEEPSPEED_NAMES.items() if other in log.arguments} | log.said
    numbers = {name: _whole(each, name, path) for name, each in said.items() if name in WHOLE}
    fields = ("tp", "pp", "cp", "micro_batch", "zero")
    plan: dict[str, int] = {name: numbers[name] for name in fields if name in numbers}
    copies, shards = numbers.get("dp_replicate", 1), numbers.get("dp_shard", 1)
    if copies * shards > 1 or {"tp", "pp", "cp"} & plan.keys():
        plan = {"tp": 1, "pp": 1, "cp": 1} | plan | {"dp": copies * shards, "zero": 3 if shards > 1 else 0}
    if copies > 1 and shards > 1:
        plan["shard"] = shards
    formats = [name for other, name in DEEPSPEED_FORMATS.items() if _on(log, other)]
    return TrainingLaunch(
        tool=log.tool,
        file=read.shown(path),
        plan=plan,
        n_chips=n_chips_of(log),
        global_batch=numbers.get("global_batch"),
        seq_len=numbers.get("seq_len"),
        precision=formats[0] if formats else None,
        where={name: f"{read.shown(path)}:{each.line}" for name, each in said.items()},
    )


WHOLE: Final = (
    "n_chips", "global_batch", "micro_batch", "zero", "seq_len", "tp", "pp", "cp", "dp_replicate", "dp_shard",
)  # fmt: skip


def _on(log: TrainingLog, name: str) -> bool:
    found = log.arguments.get(name)
    return found is not None and found.value in FLAGS


def _whole(found: Argument, name: str, path: Path) -> int:
    text, least = found.value, 0 if name == "zero" else 1
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise read.wrong(path, name, f"expected a whole number, got {text[:40]!r}", line=found.line)
    return int(text)
