"""torchtitan: configurations in TOML, in Python and as options on a command line; written in Python.

Names: pytorch/torchtitan at b5bcd76, torchtitan/config/configs.py and models/*/config_registry.py; the TOML files of
2024 and 2025 use older ones, which are read too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from clustercast import catalog, records
from clustercast.catalog import read as files
from clustercast.errors import WrongInput
from clustercast.estimates.question import Question
from clustercast.plans import rules
from clustercast.studies.launch import bridge, literals, megatron, plan_options, space
from clustercast.studies.launch.arguments import MOST_COMPARED, Options, clean, meant, not_read, read_script, shown
from clustercast.studies.launch.checkpoints import checkpoint
from clustercast.studies.launch.launch import TrainingLaunch
from clustercast.studies.launch.space import Box, Rule

TOOL: Final = "torchtitan"
VERSION: Final = "b5bcd76"

# Models of the catalogue that the tool has: its module, its flavour, the folder of the tokenizer.
FLAVORS: Final = {
    "llama-3.1-8b": ("llama3", "8B", "Llama-3.1-8B"),
    "llama-3.1-70b": ("llama3", "70B", "Llama-3.1-70B"),
    "llama-3.1-405b": ("llama3", "405B", "Llama-3.1-405B"),
    "deepseek-v3": ("deepseek_v3", "671B", "DeepSeek-V3.1-Base"),
    "qwen3-0.6b": ("qwen3", "0.6B", "Qwen3-0.6B"),
    "qwen3-1.7b": ("qwen3", "1.7B", "Qwen3-1.7B"),
    "qwen3-4b": ("qwen3", "4B", "Qwen3-4B"),
    "qwen3-8b": ("qwen3", "8B", "Qwen3-8B"),
    "qwen3-14b": ("qwen3", "14B", "Qwen3-14B"),
    "qwen3-32b": ("qwen3", "32B", "Qwen3-32B"),
    "qwen3-30b-a3b": ("qwen3", "30B-A3B", "Qwen3-30B-A3B"),
    "qwen3-235b-a22b": ("qwen3", "235B-A22B", "Qwen3-235B-A22B"),
    "llama-4-scout": ("llama4", "17bx16e", "Llama-4-Scout-17B-16E"),
    "llama-4-maverick": ("llama4", "17bx128e", "Llama-4-Maverick-17B-128E"),
    "gpt-oss-20b": ("gpt_oss", "20b", "gpt-oss-20b"),
    "gpt-oss-120b": ("gpt_oss", "120b", "gpt-oss-120b"),
}

# Schedule: ours, and the chunks per stage where no number of layers is given.
SCHEDULES: Final = {
    "1f1b": (records.SCHEDULE_1F1B, 1),
    "interleaved1f1b": (records.SCHEDULE_1F1B, 2),
    "gpipe": (records.SCHEDULE_GPIPE, 1),
    "interleavedzerobubble": (records.SCHEDULE_ZERO_BUBBLE, 1),
    "zbvzerobubble": (records.SCHEDULE_ZERO_BUBBLE, 1),
    "dualpipev": (records.SCHEDULE_DUALPIPE, 1),
}
WRITTEN_SCHEDULES: Final = {
    records.SCHEDULE_1F1B: "1F1B",
    records.SCHEDULE_GPIPE: "GPipe",
    records.SCHEDULE_ZERO_BUBBLE: "InterleavedZeroBubble",
    records.SCHEDULE_DUALPIPE: "DualPipeV",
}
CONVERTERS: Final = {"float8": "fp8", "mxfp8": "mxfp8", "mx": "mxfp8"}
MOST: Final = 10**6
MOST_DOTS: Final = 200  # of one line


@dataclass(slots=True)
class Told:
    """Settings by dotted path, asked for by name; what nobody asked for is counted."""

    path: Path
    settings: dict[str, literals.Setting]
    asked: set[str] = field(default_factory=set)

    def find(self, *places: str) -> str | None:
        """The first of these paths that is set."""
        self.asked.update(places)
        return next((place for place in places if place in self.settings), None)

    def value(self, *places: str) -> literals.Value:
        """The value of the first of these that is set."""
        place = self.find(*places)
        return None if place is None else self.settings[place].value

    def whole(self, *places: str, low: int = 1, high: int = MOST) -> int | None:
        """A whole number; None where it is not set or set to None. Raises WrongInput for anything else."""
        place = self.find(*places)
        value = None if place is None else self.settings[place].value
        if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) < 17:
            value = int(value)
        if value is None or place is None:
            return None
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(place, f"expected a whole number from {low} to {high}, got {shown(str(value))}")
        return value

    def text(self, *places: str) -> str | None:
        """A text, or None."""
        value = self.value(*places)
        return value if isinstance(value, str) else None

    def yes(self, *places: str, usual: bool = False) -> bool:
        """Whether a switch is on."""
        value = self.value(*places)
        if isinstance(value, str):
            return value.lower() in ("true", "1", "")
        return usual if value is None else bool(value)

    def where(self, *places: str) -> str:
        """File and line of the first of these that is set."""
        place = next((place for place in places if place in self.settings), None)
        return files.shown(self.path) if place is None else f"{files.shown(self.path)}:{self.settings[place].line}"

    def wrong(self, place: str, message: str, *, hint: str | None = None) -> WrongInput:
        """The error about one setting."""
        found = self.settings.get(place)
        return files.wrong(self.path, clean(place), message, line=found.line if found else None, hint=hint)


def read(text: str, path: Path, name: str = "") -> TrainingLaunch:
    """The launch that a TOML file, a Python configuration or a command line describes.

    name  which configuration of a Python file that holds several

    Raises WrongInput with file and line.
    """
    if "--parallelism." in text or "--training." in text:
        return understand(Told(path, _of_options(text, path)))
    settings = _of_toml(text, path)
    return understand(Told(path, bridge.chosen(text, path, name) if settings is None else settings))


def _of_options(text: str, path: Path) -> dict[str, literals.Setting]:
    """The dotted options of a command."""
    script = read_script(text, path)
    best = max(script.commands, key=lambda words: sum("." in word.text for word in words), default=())
    options = Options(best, path)
    return {
        option.name.lstrip("-").replace("-", "_"): literals.Setting(
            option.values[0] if option.values else True, option.line
        )
        for option in options.given.values()
    }


def _of_toml(text: str, path: Path) -> dict[str, literals.Setting] | None:
    """The settings of a TOML file; None where the text is none."""
    import tomllib

    for line, row in enumerate(text.split("\n"), start=1):
        if row.count(".") > MOST_DOTS:  # the reader takes their square in time
            raise files.wrong(path, "", f"holds more than {MOST_DOTS} dots, expected short names", line=line)
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        if _looks_like_toml(text):
            problem = str(error)[:120].lower() if isinstance(error, tomllib.TOMLDecodeError) else "too deep or too long"
            raise files.wrong(path, "", f"is not TOML: {clean(problem)}") from None
        return None
    found: dict[str, literals.Setting] = {}
    lines = _toml_lines(text)
    for table, values in data.items():
        if isinstance(values, dict):
            for key, value in values.items():
                place = f"{table}.{key}"
                kept = value if isinstance(value, str | int | float | bool) else None
                if isinstance(value, list):
                    kept = [each for each in value if isinstance(each, str | int)]  # type: ignore[assignment]
                found[place] = literals.Setting(kept, lines.get(place, 1))
    return found


def _looks_like_toml(text: str) -> bool:
    return any(row.startswith("[") and row.rstrip().endswith("]") for row in text.split("\n"))


def _toml_lines(text: str) -> dict[str, int]:
    """The line of every key."""
    found: dict[str, int] = {}
    table = ""
    for line, row in enumerate(text.split("\n"), start=1):
        bare = row.strip()
        if bare.startswith("["):
            table = bare.strip("[] ").split("]")[0]
        elif "=" in bare:
            found.setdefault(f"{table}.{bare.partition('=')[0].strip()}", line)
    return found


# -- meaning


def understand(told: Told) -> TrainingLaunch:
    """What the settings say. Raises WrongInput for what contradicts itself."""
    notes: list[str] = []
    warnings: list[str] = []
    model = _model(told, notes)
    record = records.as_declared(catalog.find_model(model).record()) if model else None
    plan: dict[str, int] = {}
    where: dict[str, str] = {}

    def put(name: str, value: int, *places: str) -> None:
        plan[name] = value
        where[name] = told.where(*places)

    for name, key in (("tp", "tensor"), ("pp", "pipeline"), ("cp", "context"), ("ep", "expert")):
        place = f"parallelism.{key}_parallel_degree"
        older = f"experimental.{key}_parallel_degree"
        put(name, told.whole(place, older) or 1, place, older)
    put(
        "etp", told.whole("parallelism.expert_tensor_parallel_degree") or 1, "parallelism.expert_tensor_parallel_degree"
    )
    _data(told, plan, put, warnings)
    _batch(told, plan, put)
    _stages(told, plan, put, record, notes)
    _memory(told, put, record, plan, notes, warnings)
    together = told.yes("parallelism.enable_sequence_parallel", usual=True)
    put("sequence_parallel", int(together and plan["tp"] > 1), "parallelism.enable_sequence_parallel")
    _overlap(told, plan, put)
    _context(told, plan, put, warnings)
    seq_len = told.whole("training.seq_len", "training.max_context_length", high=10**8)
    batch = _global_batch(told, plan, seq_len)
    chips = plan["tp"] * plan["pp"] * plan["cp"] * plan["dp"] if "dp" in plan else None
    if chips is None:
        notes.append(f"{files.shown(told.path)}: how many chips it runs on is not said")
    if record is not None and seq_len and batch and "dp" in plan and "micro_batch" in plan:
        check(told, plan, record, records.Job(seq_len, batch))
    steps = told.whole("training.steps", high=10**9)
    return TrainingLaunch(
        tool=TOOL,
        file=files.shown(told.path),
        model=model,
        plan=plan,
        n_chips=chips,
        global_batch=batch,
        replica_batch=_replica_batch(told, plan) if batch is None else None,
        steps=steps,
        seq_len=seq_len,
        precision=_precision(told, warnings),
        tokens=float(steps * batch * seq_len) if steps and batch and seq_len else None,
        notes=(*notes, *_unasked(told)),
        warnings=tuple(warnings),
        where=where
        | {
            "n_chips": told.where("parallelism.data_parallel_shard_degree"),
            "global_batch": told.where("training.global_batch_size", "training.num_tokens_per_train_step"),
            "seq_len": told.where("training.seq_len", "training.max_context_length"),
            "precision": told.where("model.converters", "training.mixed_precision_param"),
            "tokens": told.where("training.steps"),
            "model": told.where("model.flavor", "model_spec(0)", "hf_assets_path", "model.hf_assets_path"),
        },
    )


Put = Any  # put(name, value, *places)


def _model(told: Told, notes: list[str]) -> str | None:
    """The model of the catalogue that a name and a flavour, or the tokenizer's folder, stand for."""
    flavor = told.text("model.flavor", "model_spec(0)", "model(0)")
    family = told.text("model.name") or ""
    folder = told.text("hf_assets_path", "model.hf_assets_path", "model.tokenizer_path")
    for name, (module, ours, last) in FLAVORS.items():
        same = flavor is not None and flavor.lower() == ours.lower()
        if same and (family.replace("-", "_") == module or (folder or "").rstrip("/").rpartition("/")[2] == last):
            return name
    if folder is not None:
        known = checkpoint(folder.rstrip("/").rpartition("/")[2]).model
        if known:
            return known
    if flavor is not None:
        notes.append(f"{told.where('model.flavor', 'model_spec(0)')}: {shown(flavor)} is no model that is known")
    return None


def _data(told: Told, plan: dict[str, int], put: Put, warnings: list[str]) -> None:
    """Replicas, and what of a model each chip holds."""
    copies_at = ("parallelism.data_parallel_replicate_degree", "training.data_parallel_replicate_degree")
    shard_at = ("parallelism.data_parallel_shard_degree", "training.data_parallel_shard_degree")
    copies = told.whole(*copies_at) or 1
    shard = told.whole(*shard_at, low=-1)
    shard = -1 if shard is None or shard == 0 else shard
    policy = told.text("parallelism.fsdp_reshard_after_forward") or "default"
    if policy not in ("default", "always", "never"):
        raise told.wrong(
            "parallelism.fsdp_reshard_after_forward", f"expected default, always or never, got {shown(policy)}"
        )
    sharded = 2 if policy == "never" or (policy == "default" and plan["pp"] > 1) else 3
    cp = plan["cp"]
    zero = 0 if shard == 1 and cp == 1 else sharded
    if shard > 0:
        put("dp", copies * shard, *shard_at, *copies_at)
    group = shard * cp if shard > 0 and copies > 1 and zero else 0
    if group and zero < 3:
        warnings.append(f"{told.where(*copies_at)}: copies of sharded gradients are counted as one")
        group = 0
    if copies > 1 and shard == -1:
        warnings.append(f"{told.where(*copies_at)}: {copies} copies of what is sharded are counted as one")
    put("zero", zero, "parallelism.fsdp_reshard_after_forward", *shard_at)
    put("shard", group, *copies_at)


def _batch(told: Told, plan: dict[str, int], put: Put) -> None:
    """Sequences of one forward pass: stated, or as tokens."""
    seq_len = told.whole("training.seq_len", "training.max_context_length", high=10**8)
    tokens_at = "training.num_tokens_per_microbatch_per_dp_rank"
    tokens = told.whole(tokens_at, high=10**12)
    local_at = ("training.local_batch_size", "training.batch_size")
    local = told.whole(*local_at)
    if tokens is not None and seq_len:
        if tokens % seq_len:
            raise told.wrong(tokens_at, f"{tokens} tokens are not whole sequences of {seq_len}")
        put("micro_batch", tokens // seq_len, tokens_at)
    elif local is not None and plan["pp"] > 1:
        micro_at = ("parallelism.pipeline_parallel_microbatch_size",)
        micro = told.whole(*micro_at) or 1
        if local % micro:
            raise told.wrong(micro_at[0], f"{micro} does not divide the local batch {local}")
        put("micro_batch", micro, *micro_at, *local_at)
    elif local is not None:
        put("micro_batch", local, *local_at)


def _global_batch(told: Told, plan: dict[str, int], seq_len: int | None) -> int | None:
    """Sequences of one optimizer step, checked against what the replicas take."""
    at = "training.global_batch_size"
    batch = told.whole(at, low=-1, high=10**8)
    tokens_at = "training.num_tokens_per_train_step"
    tokens = told.whole(tokens_at, low=-1, high=10**15)
    if tokens is not None and tokens > 0 and seq_len:
        if tokens % seq_len:
            raise told.wrong(tokens_at, f"{tokens} tokens are not whole sequences of {seq_len}")
        at, batch = tokens_at, tokens // seq_len
    dp, micro = plan.get("dp"), plan.get("micro_batch")
    if batch is None or batch < 1:
        of_one = _replica_batch(told, plan)
        return None if dp is None or of_one is None else dp * of_one
    if dp is not None and micro is not None and batch % (dp * micro):
        raise told.wrong(at, f"{batch} sequences are not divisible by dp {dp} x {micro} sequences of a pass")
    return batch


def _replica_batch(told: Told, plan: dict[str, int]) -> int | None:
    """Sequences of one replica and step where no global batch is given: one local batch."""
    local = told.whole("training.local_batch_size", "training.batch_size")
    passes = told.whole("parallelism.num_pp_microbatches") or 1
    micro = plan.get("micro_batch")
    if micro is None:
        return None
    return local if local is not None else micro * (passes if plan["pp"] > 1 else 1)


def _stages(told: Told, plan: dict[str, int], put: Put, record: records.Model | None, notes: list[str]) -> None:
    at = ("parallelism.pipeline_parallel_schedule", "experimental.pipeline_parallel_schedule")
    text = told.text(*at) or "1F1B"
    if text.lower() not in SCHEDULES:
        if plan["pp"] > 1:
            raise told.wrong(told.find(*at) or at[0], f"{shown(text)} is no schedule that is modelled")
        text = "1F1B"
    schedule, chunks = SCHEDULES[text.lower()]
    length_at = "parallelism.pipeline_parallel_layers_per_stage"
    length = told.whole(length_at)
    pp = plan["pp"]
    if pp > 1 and length is not None and record is not None:
        first = told.whole("parallelism.pipeline_parallel_first_stage_less_layers", low=0)
        last = told.whole("parallelism.pipeline_parallel_last_stage_less_layers", low=0)
        total = record.n_layers + (1 if first is None else first) + (1 if last is None else last)
        stages = math.ceil(total / length)
        if stages % pp:
            raise told.wrong(length_at, f"{length} layers make {stages} stages, which do not divide over pp {pp}")
        chunks = stages // pp
    if schedule != records.SCHEDULE_1F1B and chunks > 1:
        notes.append(f"{told.where(length_at)}: chunks of the {records.SCHEDULE_NAMES[schedule]} schedule are its own")
        chunks = 1
    put("schedule", schedule if pp > 1 else records.SCHEDULE_1F1B, *at)
    put("vpp", chunks if pp > 1 else 1, length_at, *at)


def _memory(
    told: Told, put: Put, record: records.Model | None, plan: dict[str, int], notes: list[str], warnings: list[str]
) -> None:
    """Activation checkpointing and offload."""
    mode = told.text("activation_checkpoint.mode")
    kind = told.text("activation_checkpoint()") or ""
    at = told.find("activation_checkpoint.mode", "activation_checkpoint()", "activation_checkpoint")
    if mode is None:
        named = {"FullAC": "full", "SelectiveAC": "selective"}
        mode = named.get(kind.partition(".")[0]) or ("none" if at == "activation_checkpoint" else None)
    if mode is None:
        mode = "selective"
        notes.append("activation checkpointing is not said: selective is taken, the tool's default")
    layers = 0
    code = {"none": records.RECOMPUTE_NONE, "selective": records.RECOMPUTE_SELECTIVE, "full": records.RECOMPUTE_FULL}
    if mode not in code:
        warnings.append(f"{told.where(at or '')}: checkpointing {shown(mode)} is counted as selective")
        mode = "selective"
    every = told.text("activation_checkpoint.selective_ac_option") or ""
    recompute = code[mode]
    if mode == "selective" and every.isascii() and every.isdigit() and len(every) < 6 and int(every) and record:
        recompute = records.RECOMPUTE_BLOCK
        layers = max(1, -(-record.n_layers // plan["pp"]) // int(every))
    put("recompute", recompute, at or "")
    put("recompute_layers", layers, "activation_checkpoint.selective_ac_option")
    offload = told.yes("training.enable_cpu_offload")
    put("offload", int(offload), "training.enable_cpu_offload")
    if offload:
        where = told.where("training.enable_cpu_offload")
        warnings.append(f"{where}: weights and gradients in host memory are counted as on the chip")


def _overlap(told: Told, plan: dict[str, int], put: Put) -> None:
    at = ("parallelism.enable_async_tensor_parallel", "compile.enable_async_tensor_parallel",
          "experimental.enable_async_tensor_parallel")  # fmt: skip
    put("tp_overlap", int(told.yes(*at) or plan["tp"] == 1), *at)
    put("dp_overlap", 1, "parallelism.data_parallel_shard_degree")


def _context(told: Told, plan: dict[str, int], put: Put, warnings: list[str]) -> None:
    """Keys and values go round, or all are gathered; the newest versions also exchange heads."""
    strategy = told.text("parallelism.context_parallel_strategy")
    rotate = told.text("parallelism.context_parallel_rotate_method", "experimental.context_parallel_rotate_method")
    across = strategy == "ulysses" and plan["cp"] > 1
    put("cp_kind", records.CP_ALL_TO_ALL if across else records.CP_RING, "parallelism.context_parallel_strategy")
    if plan["cp"] > 1 and not across and rotate != "alltoall":
        warnings.append(f"{files.shown(told.path)}: keys and values that are gathered are counted as a ring")


def _precision(told: Told, warnings: list[str]) -> str:
    """Float8 or MX converters, by their names; else BF16 as FSDP casts to it."""
    spoken = told.value("model.converters", "model_converters")
    given = {each.lower() for each in (spoken if isinstance(spoken, list) else [spoken]) if isinstance(each, str)}
    given |= {part.strip().lower() for each in given for part in each.split(",")}
    given |= {
        str(setting.value).partition(".")[0].lower()
        for place, setting in told.settings.items()
        if "converters" in place and place.endswith("()")
    }
    for place in told.settings:
        if "converters" in place:
            told.asked.add(place)
    if any(each.startswith(("mx", "mxfp8")) for each in given):
        return "mxfp8"
    if any("float8" in each for each in given) or told.yes("float8.enable_float8_linear"):
        return "fp8"
    kept = told.text("training.mixed_precision_param")
    if kept == "float32":
        where = told.where("training.mixed_precision_param")
        warnings.append(f"{where}: training in 32 bit is not modelled: BF16 is taken")
    if told.text("training.dtype") == "bfloat16":
        warnings.append(f"{told.where('training.dtype')}: optimizer state in 16 bit is counted in 32 bit")
    return "bf16"


def _unasked(told: Told) -> list[str]:
    left = [place for place in told.settings if place not in told.asked and not place.endswith(")")]
    absent = told.asked - told.settings.keys()
    for place in left[:MOST_COMPARED]:
        near = meant(place, absent)
        if near:
            raise told.wrong(place, "no such setting is known", hint=f"did you mean {near}?")
    return [not_read(left)] if left else []


# The setting whose line a broken rule is told at.
_RULES: Final = {
    rules.NO_EXPERTS: "expert", rules.EP_EXPERTS: "expert", rules.EP_GROUP: "expert", rules.CP_LENGTH: "context",
    rules.CP_HEADS: "context", rules.PP_LAYERS: "pipeline", rules.CHUNKS: "pipeline", rules.INTERLEAVING: "pipeline",
    rules.DUALPIPE: "pipeline",
}  # fmt: skip


def check(told: Told, plan: dict[str, int], model: records.Model, job: records.Job) -> None:
    """Raise WrongInput, with the line, for a whole plan that breaks a rule of parallel training."""
    whole = records.Plan(**plan)
    n_chips = whole.tp * whole.pp * whole.cp * whole.dp
    broken = rules.broken_rule(whole, model, job, n_chips)
    if broken:
        place = f"parallelism.{_RULES.get(broken, 'tensor')}_parallel_degree"
        raise told.wrong(place, rules.sentence(broken, whole, model, job, n_chips))


# -- writing


def write(question: Question, plan: records.Plan, header: Sequence[str]) -> str:
    """A configuration for a plan. Raises WrongInput for what torchtitan lacks, with the field of the plan."""
    name = question.model.name
    if name not in FLAVORS:
        raise WrongInput(
            f"--export {TOOL}: model: the tool has no flavour of {name}", hint=f"it has {', '.join(FLAVORS)}"
        )
    module, flavor, folder = FLAVORS[name]
    _refuse(question, plan)
    job = question.job
    parallel = _parallelism(question, plan)
    used = plan.tp * plan.pp * plan.cp * plan.dp
    per_node = megatron.chips_per_node(question, used)
    converters = ""
    kind = _CHECKPOINTING[plan.recompute].removesuffix(".Config()").removeprefix("None")
    lines = [f"# {line}".rstrip() for line in header]
    lines += [
        f"# launch: torchrun --nproc_per_node {per_node} --nnodes {used // per_node} -m torchtitan.train "
        "--module FILL_IN --config clustercast",
    ]
    if question.precision == "fp8":
        lines.append("from torchtitan.components.quantization import Float8LinearConverter")
        converters = ', converters=[Float8LinearConverter.Config(filter_fqns=["output"])]'
    lines += [
        "from torchtitan.components.optimizer import OptimizersContainer",
        "from torchtitan.config import CompileConfig, ParallelismConfig, TrainingConfig",
        *([f"from torchtitan.distributed.activation_checkpoint import {kind}"] if kind else []),
        f"from torchtitan.models.{module} import model_registry",
        "from torchtitan.trainer import Trainer",
        "",
        "",
        "def clustercast() -> Trainer.Config:",
        "    return Trainer.Config(",
        f'        hf_assets_path="./assets/hf/{folder}",',
        f'        model_spec=model_registry("{flavor}"{converters}),',
        "        optimizer=OptimizersContainer.Config(lr=3e-4),  # fill in",
        "        training=TrainingConfig(",
        f"            num_tokens_per_microbatch_per_dp_rank={plan.micro_batch * job.seq_len},",
        f"            num_tokens_per_train_step={job.global_batch * job.seq_len},",
        f"            max_context_length={job.seq_len},",
        f"            steps={math.ceil(question.tokens / (job.global_batch * job.seq_len))},",
        "        ),",
        "        parallelism=ParallelismConfig(",
        *(f"            {key}={value!r}," for key, value in parallel.items()),
        "        ),",
        f"        activation_checkpoint={_CHECKPOINTING[plan.recompute]},",
        f"        compile=CompileConfig(enable={bool(plan.tp_overlap and plan.tp > 1)}),",
        "        # FILL_IN: dataloader=..., checkpoint=...",
        "    )",
    ]
    return "\n".join(lines) + "\n"


_CHECKPOINTING: Final = {
    records.RECOMPUTE_NONE: "None",
    records.RECOMPUTE_SELECTIVE: "SelectiveAC.Config()",
    records.RECOMPUTE_FULL: "FullAC.Config()",
}


_ANYWHERE: Final = (
    Rule("schedule", tuple(WRITTEN_SCHEDULES), "the tool has no such schedule"),
    Rule("recompute", (2, 1, 0), "the tool recomputes whole layers everywhere or nowhere"),
    Rule("etp", (1,), "experts are not cut by tensor parallelism"),
    Rule("cp_kind", (records.CP_RING,), "keys and values go round or are gathered"),
    Rule("offload", (0,), "optimizer state alone cannot be kept in host memory"),
    Rule("dp_overlap", (1,), "FSDP always overlaps"),
)
_STAGES: Final = "gradients are sharded with the optimizer's state, or neither, and over context parallelism always"
SPACE: Final[tuple[Box, ...]] = (
    (*_ANYWHERE, Rule("zero", (2, 3), _STAGES)),
    (*_ANYWHERE, Rule("zero", (0,), _STAGES), Rule("cp", (1,), _STAGES)),
)


def _refuse(question: Question, plan: records.Plan) -> None:
    """Raise WrongInput for what torchtitan cannot do."""
    if question.precision not in ("bf16", "fp8"):
        raise WrongInput(f"--export {TOOL}: precision: no converter is written for {question.precision}")
    alone = {"dp_overlap": 1} if plan.dp * plan.cp == 1 else {}
    space.refuse(TOOL, SPACE, plan._asdict() | alone)
    if plan.shard and plan.shard % plan.cp:
        refused = plan_options.Refusal(TOOL)
        raise refused.of("shard", f"{plan.shard}: a copy is whole groups of context parallelism ({plan.cp})")


def _parallelism(question: Question, plan: records.Plan) -> dict[str, Any]:
    """The fields of ParallelismConfig."""
    shard = plan.dp if plan.zero else 1
    if plan.shard:
        shard = plan.shard // plan.cp
    said: dict[str, Any] = {
        "data_parallel_replicate_degree": plan.dp // shard,
        "data_parallel_shard_degree": shard,
        "fsdp_reshard_after_forward": "always" if plan.zero == 3 else "never",
        "tensor_parallel_degree": plan.tp,
        "enable_sequence_parallel": bool(plan.sequence_parallel),
        "enable_async_tensor_parallel": bool(plan.tp_overlap and plan.tp > 1),
        "pipeline_parallel_degree": plan.pp,
        "context_parallel_degree": plan.cp,
        "expert_parallel_degree": plan.ep,
    }
    if plan.pp > 1:
        said["pipeline_parallel_schedule"] = WRITTEN_SCHEDULES[plan.schedule]
        said["num_pp_microbatches"] = question.job.global_batch // (plan.dp * plan.micro_batch)
    if plan.vpp > 1:
        said["pipeline_parallel_schedule"] = "Interleaved1F1B"
        said |= _chunks(question, plan)
    return said


def _chunks(question: Question, plan: records.Plan) -> dict[str, Any]:
    """Layers of a chunk: the ends a layer lighter each, or else all alike."""
    n_layers, wanted = question.record.n_layers, plan.pp * plan.vpp
    for less in (1, 0):
        length = math.ceil((n_layers + 2 * less) / wanted)
        if math.ceil((n_layers + 2 * less) / length) == wanted:
            return {
                "pipeline_parallel_layers_per_stage": length,
                "pipeline_parallel_first_stage_less_layers": less,
                "pipeline_parallel_last_stage_less_layers": less,
            }
    raise plan_options.Refusal(TOOL).of(
        "vpp", f"{plan.vpp}: no number of layers per stage makes {wanted} of {n_layers}"
    )
