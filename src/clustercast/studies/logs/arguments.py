"""The arguments that Megatron-LM and its kin print when they start, as a launch.

A printed list holds every argument of the tool, most at their defaults; `studies.launch` reads what a user writes. So
what is off or at nothing is left out, and what is printed in another form than it is given in is turned back.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from clustercast.errors import WrongInput
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


def said_of(log: TrainingLog, path: Path) -> TrainingLaunch:
    """What a log of another tool says of its run: chips, batch, length and the dimensions of its mesh."""
    from clustercast.catalog import read

    def whole(name: str) -> int | None:
        found = log.said.get(name)
        if found is None:
            return None
        if not found.value.isdigit() or not 0 < int(found.value) < 10**9:
            raise WrongInput(f"{read.shown(path)}:{found.line}: {name}: expected a whole number, got {found.value!r}")
        return int(found.value)

    plan = {name: value for name in ("tp", "pp", "cp") if (value := whole(name)) is not None}
    copies, shards = whole("dp_replicate") or 1, whole("dp_shard") or 1
    chips = n_chips_of(log)
    if copies * shards > 1 or plan:
        plan["dp"] = copies * shards
        plan["zero"] = 3 if shards > 1 else 0
        if copies > 1 and shards > 1:
            plan["shard"] = shards
        for name in ("tp", "pp", "cp"):
            plan.setdefault(name, 1)
    batch = whole("global_batch")
    micro = whole("micro_batch")
    if micro is not None:
        plan["micro_batch"] = micro
    where = {name: f"{read.shown(path)}:{found.line}" for name, found in log.said.items()}
    return TrainingLaunch(
        tool=log.tool,
        file=read.shown(path),
        plan=plan,
        n_chips=chips,
        global_batch=batch,
        seq_len=whole("seq_len"),
        where=where,
    )
