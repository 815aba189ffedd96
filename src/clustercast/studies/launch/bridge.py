"""Megatron-Bridge and NeMo: recipes in Python and overrides in YAML, with the names of Megatron's configuration.

Names: NVIDIA-NeMo/Megatron-Bridge at 067f987, src/megatron/bridge/recipes and scripts/performance.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from clustercast import records
from clustercast.catalog import read as files
from clustercast.errors import WrongInput
from clustercast.estimates.question import Question
from clustercast.studies.launch import layout, literals, megatron, plan_options, shapes
from clustercast.studies.launch.arguments import Option, Options, shown
from clustercast.studies.launch.launch import TrainingLaunch

TOOL: Final = "megatron-bridge"
VERSION: Final = "067f987"
MOST_YAML_BYTES: Final = 2**16  # YAML is read slowly

# The recipe's names of precision, and what they say in Megatron's options.
MIXED: Final = {
    "bf16": "bf16_mixed",
    "fp16": "fp16_mixed",
    "fp8": "bf16_with_fp8_current_scaling_mixed",
    "fp8-block": "bf16_with_fp8_subchannel_scaling_mixed",
    "mxfp8": "bf16_with_mxfp8_mixed",
    "nvfp4": "bf16_with_nvfp4_mixed",
}
_MIXED_OPTIONS: Final = {
    "bf16": ("bf16",),
    "fp16": ("fp16",),
    "fp8": ("bf16", "fp8-format=hybrid", "fp8-recipe=tensorwise"),
    "fp8-block": ("bf16", "fp8-format=hybrid", "fp8-recipe=blockwise"),
    "mxfp8": ("bf16", "fp8-format=e4m3", "fp8-recipe=mxfp8"),
    "nvfp4": ("bf16", "fp4-format=e2m1"),
}

_PLAIN: Final = {"bf16": "bf16", "16": "fp16", "fp16": "fp16"}

# Other words for Megatron's options.
RENAMED: Final = {
    "pp_layout": "pipeline-model-parallel-layout",
    "moe_a2a_overlap": "overlap-moe-expert-parallel-comm",
    "overlap_moe_expert_parallel_comm": "overlap-moe-expert-parallel-comm",
    "encoder_seq_length": "seq-length",
    "max_steps": "train-iters",
    "activations_checkpoint_granularity": "recompute-granularity",
    "activations_checkpoint_method": "recompute-method",
    "activations_checkpoint_num_layers": "recompute-num-layers",
    "mbs": "micro-batch-size",
    "gbs": "global-batch-size",
    "tp": "tensor-model-parallel-size",
    "pp": "pipeline-model-parallel-size",
    "cp": "context-parallel-size",
    "vp": "virtual-pipeline-model-parallel-size",
    "ep": "expert-model-parallel-size",
    "etp": "expert-tensor-parallel-size",
    "outer_dp_sharding_strategy": "outer-dp-sharding-strategy",
    "num_layers_in_first_pipeline_stage": "decoder-first-pipeline-num-layers",
    "num_layers_in_last_pipeline_stage": "decoder-last-pipeline-num-layers",
    "account_for_embedding_in_pipeline_split": "account-for-embedding-in-pipeline-split",
    "account_for_loss_in_pipeline_split": "account-for-loss-in-pipeline-split",
    "mtp_num_layers": "mtp-num-layers",
}
# What false says, and the option that says it on a command line.
FALSE_OPTIONS: Final = {
    "share_embeddings_and_output_weights": "untie-embeddings-and-output-weights",
    "add_bias_linear": "disable-bias-linear",
}
# Lists of layers, which are read as one text.
PATTERNS: Final = ("moe_layer_freq", "window_attn_skip_freq")
CHIPS: Final = ("num_gpus", "n_gpus", "world_size")
NODES: Final = ("num_nodes", "nodes", "nnodes")
PER_NODE: Final = ("num_gpus_per_node", "gpus_per_node", "devices", "ntasks_per_node")


def read(text: str, path: Path, name: str = "") -> TrainingLaunch:
    """The launch that a recipe or a YAML file describes. Raises WrongInput with file and line.

    name  which configuration of a file that holds several
    """
    if looks_like_yaml(text):
        return understand(dict(_of_yaml(text, path)), path)
    return understand(chosen(text, path, name), path)


def looks_like_yaml(text: str) -> bool:
    """Whether a text is YAML rather than Python, told by its first line that says something.

    >>> looks_like_yaml("# c\\nmodel:\\n  tp: 8"), looks_like_yaml("N: int = 8"), looks_like_yaml("import torch")
    (True, False, False)
    """
    rows = (row.split("#")[0].strip() for row in text.split("\n"))
    first = next((row for row in rows if row and row != "---"), "")
    key, colon, value = first.partition(":")
    named = key.strip(" '\"-").replace("_", "").replace(".", "").isalnum()
    return bool(colon) and named and " = " not in value and (not value or value[0] == " ")


def _of_yaml(text: str, path: Path) -> Iterator[tuple[str, literals.Setting]]:
    """The leaves of a YAML file by dotted path, each with its line."""
    content = text.encode()
    if len(content) > MOST_YAML_BYTES:
        raise files.wrong(path, "", f"is larger than {MOST_YAML_BYTES // 1024} KiB, expected a launch file")
    data = files.parse(content, path)
    lines = _lines(text)
    for place, value in _leaves(data, ""):
        if not place.startswith("perf_matrix"):
            yield place, literals.Setting(value, lines.get(place.rpartition(".")[2], 1))


def _lines(text: str) -> dict[str, int]:
    """The first line of every key, as it is written."""
    found: dict[str, int] = {}
    for line, row in enumerate(text.split("\n"), start=1):
        key = row.partition(":")[0].strip(" '\"-{")
        found.setdefault(key, line)
    return found


def _leaves(data: Any, place: str) -> Iterator[tuple[str, literals.Value]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _leaves(value, f"{place}.{key}" if place else str(key))
    elif isinstance(data, str | int | float | bool | list) or data is None:
        yield place, data if not isinstance(data, list) else [each for each in data if isinstance(each, str | int)]


def chosen(text: str, path: Path, name: str) -> dict[str, literals.Setting]:
    """The settings of the one configuration of a Python file, or of the one that is named."""
    found = literals.read_python(text, path)
    telling = {each: config for each, config in found.items() if _says_plan(config)}
    if name:
        if name not in found:
            raise files.wrong(path, "", f"has no configuration {shown(name)}", hint=_several(path, telling))
        return _with_top(found, name)
    if not telling:
        raise files.wrong(path, "", "holds no settings of a training run that are known")
    if len(telling) > 1 and "" not in telling:
        names = ", ".join(list(telling)[:4])
        message = f"holds {len(telling)} configurations: {names}{', ...' if len(telling) > 4 else ''}"
        raise files.wrong(path, "", message, hint=_several(path, telling))
    return _with_top(found, "" if "" in telling else next(iter(telling)))


def _with_top(found: dict[str, literals.Config], name: str) -> dict[str, literals.Setting]:
    top = found.get("")
    return (top.settings if top else {}) | found[name].settings


def _several(path: Path, telling: dict[str, literals.Config]) -> str | None:
    return f"name one: {files.shown(path)}::{next(iter(telling))}" if telling else None


def _says_plan(config: literals.Config) -> bool:
    told = ("parallel", "batch_size", "seq_len", "max_context_length", "num_tokens_per")
    return sum(any(word in place for word in told) for place in config.settings) >= 2


def understand(settings: dict[str, literals.Setting], path: Path) -> TrainingLaunch:
    """What the settings say, in Megatron's options."""
    notes: list[str] = []
    options = Options((), path, _options(settings))
    mixed = _mixed(settings, path)
    if mixed is not None:
        line = next((each.line for place, each in settings.items() if "precision" in place), 1)
        given = [Option(text.partition("=")[0], tuple(text.split("=")[1:]), line) for text in _MIXED_OPTIONS[mixed]]
        for option in given:
            options.given.setdefault(option.name, option)
    if not {"bf16", "fp16"} & options.given.keys():
        options.given["bf16"] = Option("bf16", (), 1)
        notes.append("no precision is given: bf16_mixed is taken, the recipes' default")
    notes += _defaults(options, settings)
    if "recompute-modules" in options.given and "recompute-granularity" not in options.given:
        modules = options.given["recompute-modules"]
        if modules.values:
            options.given["recompute-granularity"] = Option("recompute_modules", ("selective",), modules.line)
    return megatron.understand(TOOL, options, _chips(settings), notes, named=_model_name(settings))


def _defaults(options: Options, settings: dict[str, literals.Setting]) -> list[str]:
    """What the tool's common recipe, or its performance scripts, set where a file says nothing; what was taken."""
    said = {place.rpartition(".")[2] for place in settings}
    taken = [name for name in ("use_distributed_optimizer", "overlap_grad_reduce") if name not in said]
    if any(place.startswith("ddp.") for place in settings) or not said & set(CHIPS):
        for name in taken:
            options.given[name.replace("_", "-")] = Option(name, (), 1)
        return [f"as in the common recipe: {', '.join(taken)}"] if taken else []
    taken += [name for name in ("sequence_parallel", "tp_comm_overlap") if name not in said]
    if "micro_batch_size" not in said:
        options.given["micro-batch-size"] = Option("micro_batch_size", ("1",), 1)
        taken.append("micro_batch_size = 1")
    for name in taken:
        options.given.setdefault(name.partition(" ")[0].replace("_", "-"), Option(name, (), 1))
    return [f"as in the performance scripts: {', '.join(taken)}"] if taken else []


def _options(settings: dict[str, literals.Setting]) -> Iterator[Option]:
    """Every setting as an option: true is a bare one, false and None are left out."""
    for place, (value, line) in settings.items():
        name = place.rpartition(".")[2]
        if place.endswith((")", "_dtype")) or place.startswith(("optimizer.lr", "dataset.random")):
            continue
        if value is False and name in FALSE_OPTIONS:
            yield Option(FALSE_OPTIONS[name], (), line)
        elif value is True:
            yield Option(RENAMED.get(name, name), (), line)
        elif value is not None and value is not False:
            values = value if isinstance(value, list) and name not in PATTERNS else [value]
            yield Option(RENAMED.get(name, name), tuple(str(each) for each in values[:64]), line)


def _mixed(settings: dict[str, literals.Setting], path: Path) -> str | None:
    """The recipe of a named precision."""
    for place in ("mixed_precision", "mixed_precision(0)", "precision_config", "precision_config(0)"):
        found = settings.get(place)
        if found is not None and isinstance(found.value, str):
            known = {each: recipe for recipe, each in MIXED.items()}
            known["bf16_with_fp8_delayed_scaling_mixed"] = "fp8"
            if found.value not in known:
                raise files.wrong(
                    path, "mixed_precision", f"expected one of {', '.join(known)}, got {shown(found.value)}",
                    line=found.line,
                )  # fmt: skip
            return known[found.value]
    named = {each: recipe for recipe, each in MIXED.items()}
    for place, found in settings.items():
        if place.endswith("()") and str(found.value).rpartition(".")[2] in named:
            return named[str(found.value).rpartition(".")[2]]
        if place.rpartition(".")[2] == "precision" and str(found.value).partition("-")[0] in _PLAIN:
            return _PLAIN[str(found.value).partition("-")[0]]
    return None


def _model_name(settings: dict[str, literals.Setting]) -> str | None:
    """The published weights that a recipe begins with."""
    for place in ("model(0)", "model.hf_path", "hf_path", "hf_model_id", "model_name"):
        found = settings.get(place)
        if found is not None and isinstance(found.value, str):
            return found.value
    return None


def _chips(settings: dict[str, literals.Setting]) -> int | None:
    whole = _number(settings, CHIPS)
    if whole is not None:
        return whole
    nodes, per_node = _number(settings, NODES), _number(settings, PER_NODE)
    return nodes * per_node if nodes and per_node else None


def _number(settings: dict[str, literals.Setting], names: Sequence[str]) -> int | None:
    for place, (value, _) in reversed(settings.items()):
        if place.rpartition(".")[2].lower() in names and type(value) is int and 0 < value <= megatron.MOST_CHIPS:
            return value
    return None


# -- writing


def write(question: Question, plan: records.Plan, header: Sequence[str]) -> str:
    """A recipe for a plan. Raises WrongInput for what Megatron-Bridge lacks, with the field of the plan."""
    if question.precision not in MIXED:
        raise WrongInput(f"--export {TOOL}: precision: the tool has no recipe like {question.precision}")
    model = question.record
    shapes.plain(model, TOOL)
    latent = model.attention == records.MLA
    provider = "MLAModelProvider" if latent else "GPTModelProvider"
    module = "mla_provider" if latent else "gpt_provider"
    n_chips = plan.tp * plan.pp * plan.cp * plan.dp
    lines = [f"# {line}".rstrip() for line in header]
    lines += [
        "import torch",
        "import torch.nn.functional as F",
        f"from megatron.bridge.models.{module} import {provider}",
        "from megatron.bridge.recipes.common import _pretrain_common",
        "from megatron.bridge.training.comm_overlap import CommOverlapConfig",
        "from megatron.bridge.training.config import ConfigContainer",
        "from megatron.bridge.training.mixed_precision import get_mixed_precision_config",
        "",
        f"NUM_GPUS = {n_chips}  # torchrun --nproc_per_node {megatron.chips_per_node(question, n_chips)} "
        f"--nnodes {n_chips // megatron.chips_per_node(question, n_chips)}",
        'DATA_PATH = "FILL_IN/data_text_document"',
        'TOKENIZER = "FILL_IN/tokenizer"',
        'CHECKPOINTS = "FILL_IN/checkpoints"',
        "LEARNING_RATE = 3.0e-4  # fill in",
        "",
        "",
        "# What hardly costs time is at the tool's default: rotary base and scaling, norms of queries and keys,",
        "# biases, how a router scores and balances. Set it as the model's config does.",
        "def config() -> ConfigContainer:",
        "    cfg = _pretrain_common()",
        f"    cfg.model = {provider}(",
        *(f"        {name}={value}," for name, value in _shape(model).items()),
        "    )",
        *(f"    cfg.{name} = {value}" for name, value in _settings(question, plan).items()),
        "    return cfg",
    ]
    return "\n".join(lines) + "\n"


def _shape(model: records.Model) -> dict[str, str]:
    """The provider's arguments."""
    said: dict[str, Any] = {
        "num_layers": model.n_layers,
        "hidden_size": model.hidden,
        "ffn_hidden_size": model.ffn or model.expert_ffn,
        "num_attention_heads": model.n_heads,
    }
    if model.attention == records.MLA:
        said |= {
            "multi_latent_attention": True,
            "q_lora_rank": model.q_lora or None,
            "kv_lora_rank": model.kv_lora,
            "qk_head_dim": model.qk_head_dim - model.qk_rope_dim,
            "qk_pos_emb_head_dim": model.qk_rope_dim,
            "v_head_dim": model.v_head_dim,
        }
    else:
        said |= {"num_query_groups": model.n_kv_heads, "kv_channels": model.qk_head_dim}
    if model.n_moe_layers:
        said |= {
            "num_moe_experts": model.n_experts,
            "moe_router_topk": model.n_active_experts,
            "moe_ffn_hidden_size": model.expert_ffn,
            "moe_layer_freq": f"[0]*{model.n_dense_layers}+[1]*{model.n_moe_layers}",
            "moe_shared_expert_intermediate_size": model.shared_ffn or None,
            "moe_token_dispatcher_type": "alltoall",
            "moe_grouped_gemm": True,
        }
        if model.n_groups:
            said |= {"moe_router_num_groups": model.n_groups, "moe_router_group_topk": model.n_active_groups}
    if model.n_window_layers:
        said["window_size"] = [model.window, 0]
        if model.n_full_layers:
            said["window_attn_skip_freq"] = f"[0]*{model.n_full_layers}+[1]*{model.n_window_layers}"
    said |= {
        "vocab_size": model.vocab,
        "gated_linear_unit": model.n_mlp_matrices == 3,
        "normalization": "RMSNorm",
        "position_embedding_type": "rope",
        "add_bias_linear": False,
        "share_embeddings_and_output_weights": bool(model.tied),
        "mtp_num_layers": model.n_mtp_layers or None,
    }
    patterns = ("moe_layer_freq", "window_attn_skip_freq")
    shown_as = {name: str(value) if name in patterns else repr(value) for name, value in said.items()}
    return {**shown_as, "activation_func": "F.silu" if model.n_mlp_matrices == 3 else "F.gelu"}


def _settings(question: Question, plan: records.Plan) -> dict[str, str]:
    """Everything but the shape, as Python writes it."""
    job, model = question.job, question.record
    fsdp = plan.zero > 1
    # the same refusals as on the command line: one configuration lies under both
    parallel = plan_options.parallel_arguments(plan, model, TOOL)
    plan_options.sharding_arguments(plan, TOOL)
    recompute = _recompute(plan_options.recompute_arguments(plan, megatron.modules_of(question), TOOL))
    uneven = plan.pp > 1 and any("layout" in each for each in parallel)
    said: dict[str, Any] = {
        "model.seq_length": job.seq_len,
        "model.tensor_model_parallel_size": plan.tp,
        "model.pipeline_model_parallel_size": plan.pp,
        "model.pipeline_dtype": None,
        "model.virtual_pipeline_model_parallel_size": plan.vpp if plan.vpp > 1 else None,
        "model.pipeline_model_parallel_layout": _layout(plan, model) if uneven else None,
        "model.context_parallel_size": plan.cp,
        "model.cp_comm_type": ("a2a" if plan.cp_kind == records.CP_ALL_TO_ALL else "p2p") if plan.cp > 1 else None,
        "model.sequence_parallel": bool(plan.sequence_parallel and plan.tp > 1),
        **recompute,
    }
    if model.n_moe_layers:
        said |= {"model.expert_model_parallel_size": plan.ep, "model.expert_tensor_parallel_size": plan.etp}
    said |= {
        "train.global_batch_size": job.global_batch,
        "train.micro_batch_size": plan.micro_batch,
        # in steps: `_pretrain_common` warms up over steps, which Bridge refuses beside a run counted in samples
        "train.train_iters": math.ceil(question.tokens / (job.global_batch * job.seq_len)),
        "dataset.seq_length": job.seq_len,
        "ddp.use_distributed_optimizer": plan.zero > 0,
        "ddp.use_megatron_fsdp": fsdp,
        "ddp.data_parallel_sharding_strategy": _strategy(plan),
        "ddp.num_distributed_optimizer_instances": plan.dp * plan.cp // plan.shard if plan.shard else 1,
        "ddp.overlap_grad_reduce": bool(plan.dp_overlap),
        "ddp.overlap_param_gather": bool(plan.dp_overlap and plan.zero),
        "optimizer.optimizer_cpu_offload": bool(plan.offload),
    }
    written = {name: repr(value) for name, value in said.items()}
    if plan.pp > 1:
        written["model.pipeline_dtype"] = "torch.float16" if question.precision == "fp16" else "torch.bfloat16"
    return written | {
        "dataset.blend": "([DATA_PATH], None)",
        "tokenizer.tokenizer_model": "TOKENIZER",
        "checkpoint.save": "CHECKPOINTS",
        "optimizer.lr": "LEARNING_RATE",
        "comm_overlap": f"CommOverlapConfig(tp_comm_overlap={bool(plan.tp_overlap and plan.tp > 1)})",
        "mixed_precision": f'get_mixed_precision_config("{MIXED[question.precision]}")',
    }


def _strategy(plan: records.Plan) -> str:
    if plan.zero < 2:
        return "no_shard"
    return next(name for name, stage in plan_options.SHARDING.items() if stage == plan.zero)


def _layout(plan: records.Plan, model: records.Model) -> str:
    return layout.layout_text(model.n_layers, model.n_mtp_layers, plan.pp * plan.vpp)


def _recompute(arguments: Sequence[str]) -> dict[str, Any]:
    """The options of recompute as attributes of the model."""
    said: dict[str, Any] = {"model.recompute_granularity": None}
    for each in arguments:
        name, _, value = each.removeprefix("--").partition(" ")
        words: Any = value.split()
        if name != "recompute-modules":
            words = int(value) if value.isdigit() else value
        said[f"model.{name.replace('-', '_')}"] = words
    return said
