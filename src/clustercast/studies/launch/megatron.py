"""Megatron-LM: argument lists in shell scripts.

Names and defaults: NVIDIA/Megatron-LM at d98e8a6, megatron/training/arguments.py and megatron/core.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from clustercast import catalog, records
from clustercast.catalog import ModelProfile
from clustercast.catalog import read as files
from clustercast.catalog.models import model_record
from clustercast.errors import WrongInput
from clustercast.estimates.question import Question
from clustercast.studies.launch import plan_options, shape_options, shapes
from clustercast.studies.launch.arguments import (
    Options,
    Script,
    Word,
    clean,
    cut,
    is_option,
    read_script,
    shown,
    whole_of,
)
from clustercast.studies.launch.checkpoints import checkpoint
from clustercast.studies.launch.launch import TrainingLaunch

TOOL: Final = "megatron-lm"
VERSION: Final = "d98e8a6"
MOST_CHIPS: Final = 10**7
USUAL_NODE: Final = 8  # chips that one launcher starts

# What tells a command that trains from any other.
TELLING: Final = {
    "num-layers", "hidden-size", "num-attention-heads", "seq-length", "micro-batch-size", "global-batch-size",
    "tensor-model-parallel-size", "pipeline-model-parallel-size", "use-distributed-optimizer", "train-iters",
    "train-samples", "context-parallel-size", "expert-model-parallel-size", "sequence-parallel", "bf16", "fp16",
}  # fmt: skip

FP8_RECIPES: Final = {"delayed": "fp8", "tensorwise": "fp8", "blockwise": "fp8-block", "mxfp8": "mxfp8"}
PRECISIONS: Final = {
    "bf16": ("--bf16",),
    "fp16": ("--fp16",),
    "fp8": ("--bf16", "--fp8-format hybrid", "--fp8-recipe tensorwise"),
    "fp8-block": ("--bf16", "--fp8-format e4m3", "--fp8-recipe blockwise"),
    "mxfp8": ("--bf16", "--fp8-format e4m3", "--fp8-recipe mxfp8"),
    "nvfp4": ("--bf16", "--fp4-format e2m1", "--fp4-recipe nvfp4"),
}

_SBATCH: Final = re.compile(r"^#SBATCH\s+(--?[A-Za-z-]+)[= ]\s*(\S{1,64})", re.MULTILINE)


def read(text: str, path: Path) -> TrainingLaunch:
    """The launch that a script describes. Raises WrongInput with the line of what cannot be or contradicts itself."""
    return read_as(TOOL, text, path)


def read_as(tool: str, text: str, path: Path) -> TrainingLaunch:
    """The same, for a tool of the family."""
    script = read_script(text, path)
    options = Options(training_words(script, path), path)
    chips, remarks = chips_of(options, script, text, path)
    found = understand(tool, options, chips, [*script.notes, *remarks])
    return found if chips is not None else replace(found, open_chips=_open(options))


def _open(options: Options) -> str:
    """The option of the launcher whose number is a variable that the file leaves open."""
    for names in (("nnodes",), ("nproc-per-node", "nproc_per_node")):
        text = options.text(*names)
        if text is not None and "$" in text:
            what = options.must(*names).name
            return f"{options.where(*names)}: {clean(what)} is {shown(text)}, which the file does not set"
    return ""


def _telling(words: Sequence[Word]) -> int:
    names = {word.text.partition("=")[0].lstrip("-").replace("_", "-") for word in words if is_option(word.text)}
    return len(names & TELLING)


def training_words(script: Script, path: Path) -> list[Word]:
    """The words of the command that trains, or else of all lists that the script makes."""
    commands = [
        [part for word in command for part in (cut(word) if " --" in word.text else [word])]
        for command in script.commands
    ]
    best = max(commands, key=_telling, default=[])
    if _telling(best) >= 2:
        return best
    lists = [part for value in script.variables.values() for word in value for part in cut(word)]
    if _telling(lists) < 2:
        raise files.wrong(path, "", "holds no arguments of a training command that is known")
    return lists


def chips_of(options: Options, script: Script, text: str, path: Path) -> tuple[int | None, list[str]]:
    """Chips of the launch: of torchrun, else of the script's variables or Slurm's comments; None where open."""
    per_node = _number(options, "nproc-per-node", "nproc_per_node")
    nodes = _number(options, "nnodes")
    asked = {found[1].lstrip("-"): found[2] for found in _SBATCH.finditer(text)}
    remarks = []
    if per_node is None:
        per_node = _variable(script, "GPUS_PER_NODE", "NPUS_PER_NODE", "NPROC_PER_NODE")
    if per_node is None:
        per_node = _of_slurm(asked.get("gpus-per-node") or asked.get("gres") or asked.get("ntasks-per-node"))
    if nodes is None:
        nodes = _variable(script, "NNODES", "NUM_NODES") or _of_slurm(asked.get("nodes") or asked.get("N"))
    if per_node is None or nodes is None:
        world = _variable(script, "WORLD_SIZE")
        if world is None:
            remarks.append(f"{files.shown(path)}: how many chips it runs on is not said")
        return world, remarks
    return per_node * nodes, remarks


def _number(options: Options, *names: str) -> int | None:
    """The whole number that an option has; None where it is a variable that the file leaves open."""
    text = options.text(*names)
    if text is None or "$" in text or "`" in text or not text[:1].isdigit():
        return None
    return whole_of(text.partition(":")[2] or text, options.must(*names), options.path, 1, MOST_CHIPS)


def _variable(script: Script, *names: str) -> int | None:
    for name in names:
        text = "".join(word.text for word in script.variables.get(name, ()))
        if text.isascii() and text.isdigit() and len(text) < 8 and int(text):
            return int(text)
    return None


def _of_slurm(text: str | None) -> int | None:
    """The last number of "8", "gpu:8" or "gpu:h100:8"."""
    last = (text or "").rpartition(":")[2]
    return int(last) if last.isascii() and last.isdigit() and len(last) < 8 and int(last) else None


def understand(
    tool: str,
    options: Options,
    chips: int | None,
    notes: Sequence[str],
    *,
    named: str | None = None,
) -> TrainingLaunch:
    """What options of the Megatron family say. Raises WrongInput for what contradicts itself.

    named  the published weights that the model is taken from, where no option gives its shape
    """
    said = list(notes)
    warnings: list[str] = []
    shape = shape_options.shape_of(options, options.path, said, warnings)
    model: ModelProfile | str | None = None if shape is None else shapes.profile(shape, options.path, tool)
    record = None if shape is None else records.as_declared(model_record(shape))
    if record is None and named is not None:
        model = checkpoint(named, options.path).model or None
        record = records.as_declared(catalog.find_model(model).record()) if model else None
        said.append(f"{named[:64]!r} is read as {model}" if model else f"{named[:64]!r} is no model that is known")
    experts = options.find("num-experts", "num-moe-experts") is not None
    if record is not None and shape is None:
        experts = record.n_moe_layers > 0
    n_layers, n_mtp = (record.n_layers, record.n_mtp_layers) if record else (0, 0)
    idle = (options.whole("num-layers") or n_layers) - n_layers  # MindSpeed fills stages with layers that do nothing
    found = plan_options.plan_of(options, n_layers + max(idle, 0), n_mtp, experts=experts, chips=chips)
    seq_len = options.whole("seq-length", high=10**7)
    batch = options.whole("global-batch-size", high=10**7)
    if batch is None and "dp" in found.fields and "micro_batch" in found.fields:
        batch = found.fields["dp"] * found.fields["micro_batch"]
        said.append("no global batch is given: one micro-batch of every replica is taken")
    precision = precision_of(options, warnings)
    if record is not None and seq_len and batch and "dp" in found.fields and "micro_batch" in found.fields:
        plan_options.check(found, record, seq_len, batch)
    tokens = _tokens(options, seq_len, batch)
    return TrainingLaunch(
        tool=tool,
        file=files.shown(options.path),
        model=model,
        plan=found.fields,
        n_chips=chips,
        global_batch=batch,
        replica_batch=found.fields.get("micro_batch") if batch is None else None,
        steps=options.whole("train-iters"),
        seq_len=seq_len,
        precision=precision,
        tokens=tokens,
        notes=(*said, *found.notes, *options.notes()),
        warnings=(*warnings, *found.warnings),
        where=found.where
        | {
            "n_chips": options.where("nproc-per-node", "nnodes"),
            "global_batch": options.where("global-batch-size", "micro-batch-size"),
            "seq_len": options.where("seq-length"),
            "precision": options.where("fp4-format", "fp8-format", "fp8-recipe", "bf16", "fp16"),
            "tokens": options.where("train-samples", "train-iters"),
            "model": options.where("num-layers"),
        },
    )


def precision_of(options: Options, warnings: list[str]) -> str | None:
    """The recipe that the options name; None where they train in 32 bit."""
    bf16, fp16 = options.find("bf16"), options.find("fp16")
    if bf16 is not None and fp16 is not None:
        raise options.wrong(fp16, f"16-bit floats of two kinds: {bf16.name} is given on line {bf16.line}")
    fp8, fp4 = options.find("fp8-format", "fp8"), options.find("fp4-format", "fp4")
    recipe = options.text("fp8-recipe")
    if fp8 is not None and fp4 is not None:
        raise options.wrong(fp4, "FP4 and FP8 are given, expected one of them")
    options.find("fp4-recipe")
    if fp4 is not None:
        return "nvfp4"
    if fp8 is not None:
        if recipe is not None and recipe not in FP8_RECIPES:
            warnings.append(f"{options.where('fp8-recipe')}: another FP8 recipe is counted as scaled per tensor")
        return FP8_RECIPES.get(recipe or "delayed", "fp8")
    if bf16 is None and fp16 is None:
        warnings.append("neither bf16 nor fp16 is given: the tool would train in 32 bit, which is not modelled")
        return None
    return "bf16" if bf16 else "fp16"


def _tokens(options: Options, seq_len: int | None, batch: int | None) -> float | None:
    samples, steps = options.whole("train-samples"), options.whole("train-iters")
    if samples and steps:
        raise options.wrong("train-iters", "the length of the run is given twice: --train-samples too")
    if samples and seq_len:
        return float(samples * seq_len)
    if steps and seq_len and batch:
        return float(steps * batch * seq_len)
    return None


# -- writing


def write(question: Question, plan: records.Plan, header: Sequence[str]) -> str:
    """A launch script for a plan. Raises WrongInput for what Megatron-LM lacks, with the field of the plan."""
    return script_of(TOOL, question, plan, header)


def script_of(tool: str, question: Question, plan: records.Plan, header: Sequence[str]) -> str:
    """The same, for a tool of the family."""
    groups = groups_of(tool, question, plan)
    n_chips = plan.tp * plan.pp * plan.cp * plan.dp
    per_node = chips_per_node(question, n_chips)
    lines = [
        "#!/usr/bin/env bash",
        *(f"# {line}".rstrip() for line in header),
        "set -euo pipefail",
        "",
        "# Fill in: paths, and the learning rate. What hardly costs time is at the tool's default: rotary base and",
        "# scaling, norms of queries and keys, biases, how a router scores and balances. Set it as the config does.",
        'DATA_PATH="${DATA_PATH:-FILL_IN/data_text_document}"',
        'TOKENIZER_MODEL="${TOKENIZER_MODEL:-FILL_IN/tokenizer}"',
        'CHECKPOINTS="${CHECKPOINTS:-FILL_IN/checkpoints}"',
        'LEARNING_RATE="${LEARNING_RATE:-3.0e-4}"',
        'MASTER_ADDR="${MASTER_ADDR:-localhost}"',
        'MASTER_PORT="${MASTER_PORT:-6000}"',
        'NODE_RANK="${NODE_RANK:-0}"',
        "",
        # one queue keeps communication in the order that overlap needs; sharded weights need several
        "unset CUDA_DEVICE_MAX_CONNECTIONS" if plan.zero > 1 else "export CUDA_DEVICE_MAX_CONNECTIONS=1",
        "",
        *_array("DISTRIBUTED_ARGS", [
            f"--nproc_per_node {per_node}", f"--nnodes {n_chips // per_node}", '--node_rank "$NODE_RANK"',
            '--master_addr "$MASTER_ADDR"', '--master_port "$MASTER_PORT"',
        ]),
    ]  # fmt: skip
    for name, arguments in groups.items():
        if arguments:
            lines += _array(name, arguments)
    lines.append('torchrun "${DISTRIBUTED_ARGS[@]}" pretrain_gpt.py \\')
    named = [name for name, arguments in groups.items() if arguments]
    lines += [f'    "${{{name}[@]}}"' + (" \\" if name != named[-1] else "") for name in named]
    return "\n".join(lines) + "\n"


def _array(name: str, arguments: Sequence[str]) -> list[str]:
    return [f"{name}=(", *(f"    {each}" for each in arguments), ")", ""]


def groups_of(tool: str, question: Question, plan: records.Plan) -> dict[str, list[str]]:
    """The arguments by what they are about."""
    model, job = question.record, question.job
    shapes.plain(model, tool)
    if question.precision not in PRECISIONS:
        raise WrongInput(f"--export {tool}: precision: the tool has no recipe like {question.precision}")
    samples = math.ceil(question.tokens / job.seq_len)
    ascend = tool == "mindspeed-llm"
    n_idle = 0
    if plan.schedule == records.SCHEDULE_DUALPIPE:
        n_idle = -model.n_layers % (2 * plan.pp)  # every chip holds two chunks of one depth
    return {
        "MODEL_ARGS": [
            "--use-mcore-models",
            *(["--use-flash-attn", "--use-fused-rmsnorm", "--use-fused-swiglu"] if ascend else []),
            *shape_options.arguments_of(model, n_idle),
            f"--seq-length {job.seq_len}",
            f"--max-position-embeddings {job.seq_len}",
        ],
        "MOE_ARGS": shape_options.expert_arguments(model, first_dense=ascend),
        "PARALLEL_ARGS": [
            *plan_options.parallel_arguments(plan, model, tool),
            *plan_options.sharding_arguments(plan, tool),
        ],
        "MEMORY_ARGS": plan_options.recompute_arguments(plan, modules_of(question), tool),
        "TRAINING_ARGS": [
            f"--micro-batch-size {plan.micro_batch}",
            f"--global-batch-size {job.global_batch}",
            f"--train-samples {samples}",
            *PRECISIONS[question.precision],
            "--optimizer adam",
            "--adam-beta1 0.9",
            "--adam-beta2 0.95",
            "--weight-decay 0.1",
            "--clip-grad 1.0",
            '--lr "$LEARNING_RATE"',
            "--lr-decay-style cosine",
            "--lr-warmup-fraction 0.01",
            "--attention-dropout 0.0",
            "--hidden-dropout 0.0",
        ],
        "DATA_ARGS": [
            '--data-path "$DATA_PATH"',
            "--tokenizer-type HuggingFaceTokenizer",
            '--tokenizer-model "$TOKENIZER_MODEL"',
            '--save "$CHECKPOINTS"',
            '--load "$CHECKPOINTS"',
            "--save-interval 1000",
            "--log-interval 10",
            "--log-throughput",
            "--eval-iters 0",
        ],
    }


def modules_of(question: Question) -> list[str]:
    """What selective recompute stands for: the attention core where scores are kept, else what costs little again."""
    if question.stack.record.score_bytes > 0.0:
        return ["core_attn"]
    modules = ["layernorm"]
    if question.record.n_moe_layers:
        modules.append("moe_act")
    if question.record.attention == records.MLA:
        modules.append("mla_up_proj")
    return modules


def chips_per_node(question: Question, n_chips: int) -> int:
    """Chips of one node in the launch: as many of the usual eight as divide the chips that the plan uses."""
    most = max(1, min(USUAL_NODE, question.fabric.scale_up.n_chips))
    return max(each for each in range(1, most + 1) if n_chips % each == 0)
