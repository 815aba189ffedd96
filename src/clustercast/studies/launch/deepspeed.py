"""DeepSpeed: its JSON configuration.

What DeepSpeed leaves to the training program (the model, its lengths, how many chips) stands beside it in files that
clustercast writes, under "_clustercast", and comes from the user for others.
Names: deepspeed.ai, documentation of the configuration JSON, of AutoTP and of Ulysses; DeepSpeed 0.18.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from clustercast import catalog, records
from clustercast.catalog import read as files
from clustercast.catalog.find import NAME
from clustercast.errors import WrongInput
from clustercast.estimates.question import Question
from clustercast.plans import rules
from clustercast.studies.launch import space
from clustercast.studies.launch.arguments import MOST_COMPARED, clean, meant, not_read, shown
from clustercast.studies.launch.launch import TrainingLaunch
from clustercast.studies.launch.space import Box, Rule

TOOL: Final = "deepspeed"
VERSION: Final = "0.18"
OWN: Final = "_clustercast"
MOST: Final = 10**7
# "auto" is filled in by Hugging Face's integrations (transformers, accelerate) alone: DeepSpeed takes it for text
LEARNING_RATE: Final = 3e-4

# What is read, and what only tunes communication or logs.
KNOWN: Final = {
    OWN, "train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "bf16", "bfloat16",
    "fp16", "zero_optimization", "tensor_parallel", "sequence_parallel_size", "activation_checkpointing", "optimizer",
    "scheduler", "gradient_clipping", "steps_per_print", "wall_clock_breakdown", "zero_allow_untested_optimizer",
    "prescale_gradients", "expert_parallel",
}  # fmt: skip
WARNED: Final = {
    "pipeline": "pipelines are built by the training program, which is not read",
    "communication_data_type": "gradients travel in the recipe's format",
    "sparse_attention": "attention is counted in full",
    "amp": "the format of apex is not read",
    "compression_training": "compression is not modelled",
    "data_efficiency": "all tokens are counted",
}


class Json:
    """A parsed JSON file that knows where its keys stand."""

    def __init__(self, text: str, path: Path) -> None:
        self.path, self.text = path, text
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise files.wrong(path, "", f"is not JSON: {error.msg.lower()}", line=error.lineno) from None
        except (ValueError, RecursionError):
            raise files.wrong(path, "", "is not JSON that can be read") from None
        if not isinstance(data, dict):
            raise files.wrong(path, "", "is not a mapping, expected a DeepSpeed configuration", line=1)
        self.data: dict[str, Any] = data

    def line(self, key: str) -> int | None:
        """The line where a key first stands."""
        found = re.search(rf'"{re.escape(key.rpartition(".")[2])}"\s*:', self.text)
        return None if found is None else self.text.count("\n", 0, found.start()) + 1

    def where(self, key: str) -> str:
        """File and line of a key; the file where it is not there."""
        line = self.line(key)
        return files.shown(self.path) if line is None else f"{files.shown(self.path)}:{line}"

    def wrong(self, key: str, message: str, *, hint: str | None = None) -> WrongInput:
        """The error about one key."""
        return files.wrong(self.path, clean(key), message, line=self.line(key), hint=hint)

    def get(self, key: str) -> Any:
        """The value under a dotted key; None where it is absent or "auto"."""
        value: Any = self.data
        for part in key.split("."):
            if not isinstance(value, dict):
                raise self.wrong(key, f"expected {{...}} around it, got {shown(str(value))}")
            value = value.get(part)
            if value is None or value == "auto":
                return None
        return value

    def whole(self, key: str, low: int = 1, high: int = MOST) -> int | None:
        """A whole number, or None. Raises WrongInput for anything else."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer() and abs(value) <= high:
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(key, f"expected a whole number from {low} to {high}, got {shown(str(value)[:80])}")
        return value

    def yes(self, key: str, *, usual: bool = False) -> bool:
        """Whether a switch is on."""
        value = self.get(key)
        if value is None:
            return usual
        if not isinstance(value, bool):
            raise self.wrong(key, f"expected true or false, got {shown(str(value)[:80])}")
        return value


def read(text: str, path: Path) -> TrainingLaunch:
    """What a configuration says. Raises WrongInput with file and line."""
    found = Json(text, path)
    warnings: list[str] = []
    tp, cp = found.whole("tensor_parallel.autotp_size") or 1, found.whole("sequence_parallel_size") or 1
    plan = {"tp": tp, "cp": cp, "pp": 1, "vpp": 1, "etp": 1, "schedule": records.SCHEDULE_1F1B}
    plan["ep"] = found.whole("expert_parallel.autoep_size") or 1
    plan["cp_kind"] = records.CP_ALL_TO_ALL if cp > 1 else records.CP_RING
    plan |= {"sequence_parallel": 0, "tp_overlap": int(tp == 1)}
    batch = _batch(found, plan)
    _zero(found, plan, warnings)
    notes = _recompute(found, plan)
    n_chips = found.whole(f"{OWN}.n_chips")
    if "dp" in plan:
        used = tp * cp * plan["dp"]
        if n_chips is not None and n_chips != used:
            raise found.wrong(f"{OWN}.n_chips", f"{n_chips} chips, and the batch makes {used}")
        n_chips = used
    elif n_chips is not None:
        if n_chips % (tp * cp):
            raise found.wrong(f"{OWN}.n_chips", f"tp x sequence parallel {tp * cp} does not divide {n_chips} chips")
        plan["dp"] = n_chips // (tp * cp)
    model, seq_len = _model(found), found.whole(f"{OWN}.seq_len", high=10**8)
    tokens = found.get(f"{OWN}.tokens")
    if model is None or seq_len is None:
        notes.append("the model and its lengths are in the training program, which is not read")
    if model is not None and seq_len and batch and {"dp", "micro_batch"} <= plan.keys():
        _check(found, plan, model, records.Job(seq_len, batch))
    warnings += [f"{found.where(key)}: {key}: {why}" for key, why in WARNED.items() if key in found.data]
    left = [key for key in found.data if key not in KNOWN and key not in WARNED]
    for key in left[:MOST_COMPARED]:
        near = meant(key, KNOWN - found.data.keys())
        if near:
            raise found.wrong(key, "no such key is known", hint=f"did you mean {near}?")
    places = {
        "tp": "autotp_size", "cp": "sequence_parallel_size", "ep": "autoep_size", "zero": "stage",
        "micro_batch": "train_micro_batch_size_per_gpu", "dp": "train_batch_size", "global_batch": "train_batch_size",
        "offload": "offload_optimizer", "dp_overlap": "overlap_comm", "recompute": "activation_checkpointing",
        "shard": "mics_shard_size", "precision": "bf16", "n_chips": "n_chips", "seq_len": "seq_len", "model": "model",
    }  # fmt: skip
    return TrainingLaunch(
        tool=TOOL,
        file=files.shown(path),
        model=model,
        plan=plan,
        n_chips=n_chips,
        global_batch=batch,
        replica_batch=_replica_batch(found) if batch is None else None,
        seq_len=seq_len,
        precision=_precision(found, warnings),
        tokens=float(tokens) if isinstance(tokens, int | float) and not isinstance(tokens, bool) else None,
        notes=(*notes, *([not_read(left)] if left else [])),
        warnings=tuple(warnings),
        where={name: found.where(key) for name, key in places.items()},
    )


def _batch(found: Json, plan: dict[str, int]) -> int | None:
    """The global batch; replicas follow where all three numbers are given."""
    batch, micro = found.whole("train_batch_size"), found.whole("train_micro_batch_size_per_gpu")
    steps = found.whole("gradient_accumulation_steps")
    if micro is not None:
        plan["micro_batch"] = micro
    if batch is not None and micro is not None and steps is not None:
        if batch % (micro * steps):
            raise found.wrong(
                "train_batch_size",
                f"{batch} is not micro-batch {micro} x accumulation {steps} x a whole number of replicas",
            )
        plan["dp"] = batch // (micro * steps)
    n_chips = found.whole(f"{OWN}.n_chips")
    if batch is None and micro is not None and n_chips is not None:
        dp = n_chips // (plan["tp"] * plan["cp"]) or 1
        return micro * (steps or 1) * dp
    return batch


def _replica_batch(found: Json) -> int | None:
    """Sequences of one replica and step where both its numbers are given: the tool's own default for the batch."""
    micro = found.whole("train_micro_batch_size_per_gpu")
    steps = found.whole("gradient_accumulation_steps")
    return None if micro is None or steps is None else micro * steps


def _zero(found: Json, plan: dict[str, int], warnings: list[str]) -> None:
    stage = found.whole("zero_optimization.stage", low=0, high=3) or 0
    plan["zero"] = stage
    plan["dp_overlap"] = int(found.yes("zero_optimization.overlap_comm", usual=stage == 3))
    place = _device(found, "offload_optimizer")
    plan["offload"] = int(place in ("cpu", "nvme") or found.yes("zero_optimization.cpu_offload"))
    if place == "nvme":
        warnings.append(f"{found.where('offload_optimizer')}: a disk is counted as host memory")
    if _device(found, "offload_param") not in (None, "none"):
        warnings.append(f"{found.where('offload_param')}: weights in host memory are counted as on the chip")
    if found.get("zero_optimization.zero_hpz_partition_size") not in (None, 1):
        warnings.append(f"{found.where('zero_hpz_partition_size')}: a second copy of the weights is not counted")
    group = found.whole("zero_optimization.mics_shard_size", low=-1)
    plan["shard"] = group if group is not None and group > 0 and stage == 3 else 0
    if plan["tp"] > 1 and stage == 3:
        raise found.wrong("tensor_parallel", "AutoTP goes with ZeRO stages 0 to 2, and the stage is 3")
    dp = plan.get("dp")
    if plan["shard"] and dp is not None and (dp * plan["cp"]) % plan["shard"]:
        raise found.wrong("mics_shard_size", f"{plan['shard']} does not divide {dp * plan['cp']} chips")


def _device(found: Json, key: str) -> str | None:
    device = found.get(f"zero_optimization.{key}.device")
    if device is not None and device not in ("cpu", "nvme", "none"):
        raise found.wrong(
            f"zero_optimization.{key}.device", f"expected cpu, nvme or none, got {shown(str(device)[:80])}"
        )
    return None if device is None else str(device)


def _recompute(found: Json, plan: dict[str, int]) -> list[str]:
    """The section only tunes checkpointing, which the program switches on; where it stands, it is on."""
    plan["recompute_layers"] = 0
    if found.get("activation_checkpointing") is None:
        plan["recompute"] = records.RECOMPUTE_NONE
        return []
    plan["recompute"] = records.RECOMPUTE_FULL
    return [f"{found.where('activation_checkpointing')}: checkpointing is taken as full: every layer is run again"]


def _precision(found: Json, warnings: list[str]) -> str | None:
    bf16 = found.yes("bf16.enabled") or found.yes("bfloat16.enabled")
    fp16 = found.yes("fp16.enabled")
    if bf16 and fp16:
        raise found.wrong("fp16", f"16-bit floats of two kinds: bf16 is enabled too ({found.where('bf16')})")
    if not bf16 and not fp16:
        auto = any("auto" in str(found.data.get(name)) for name in ("bf16", "fp16"))
        if not auto:
            warnings.append(f"{files.shown(found.path)}: neither bf16 nor fp16 is enabled: 32 bit is not modelled")
        return None
    return "bf16" if bf16 else "fp16"


def _model(found: Json) -> str | None:
    name = found.get(f"{OWN}.model")
    if name is None:
        return None
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise found.wrong(f"{OWN}.model", f"expected the name of a model, got {shown(str(name)[:80])}")
    return name


def _check(found: Json, plan: dict[str, int], model: str, job: records.Job) -> None:
    """Raise WrongInput for a whole plan that breaks a rule of parallel training."""
    whole, record = records.Plan(**plan), records.as_declared(catalog.find_model(model).record())
    n_chips = whole.tp * whole.cp * whole.dp
    broken = rules.broken_rule(whole, record, job, n_chips)
    if broken:
        key = {rules.BATCH: "train_batch_size", rules.CP_LENGTH: "sequence_parallel_size",
               rules.CP_HEADS: "sequence_parallel_size"}.get(broken, "autotp_size")  # fmt: skip
        raise found.wrong(key, rules.sentence(broken, whole, record, job, n_chips))


# -- writing


def write(question: Question, plan: records.Plan, header: Sequence[str]) -> str:
    """A configuration for a plan. Raises WrongInput for what the JSON cannot say, with the field of the plan."""
    _refuse(question, plan)
    job = question.job
    zero: dict[str, Any] = {
        "stage": plan.zero,
        "overlap_comm": bool(plan.dp_overlap),
        "contiguous_gradients": True,
    }
    if plan.shard:
        zero["mics_shard_size"] = plan.shard
    if plan.offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    said: dict[str, Any] = {
        OWN: {
            "about": list(header),
            "fill_in": _fill_in(plan),
            "model": _name(question),
            "seq_len": job.seq_len,
            "n_chips": plan.tp * plan.cp * plan.dp,
            "tokens": question.tokens,
        },
        "train_batch_size": job.global_batch,
        "train_micro_batch_size_per_gpu": plan.micro_batch,
        "gradient_accumulation_steps": job.global_batch // (plan.dp * plan.micro_batch),
        question.precision: {"enabled": True},
        "zero_optimization": zero,
        "gradient_clipping": 1.0,
        "optimizer": {
            "type": "AdamW",
            "params": {"lr": LEARNING_RATE, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1},
        },
    }
    if plan.tp > 1:
        said["tensor_parallel"] = {"autotp_size": plan.tp}
    if plan.cp > 1:
        said["sequence_parallel_size"] = plan.cp
    if plan.recompute == records.RECOMPUTE_FULL:
        said["activation_checkpointing"] = {"partition_activations": False, "cpu_checkpointing": False}
    return json.dumps(said, indent=2) + "\n"


def _fill_in(plan: records.Plan) -> list[str]:
    """What the JSON leaves to whoever trains."""
    said = [
        "optimizer.params.lr: a place holder, put in your own",
        "the training program: the model, its data and its lengths are there",
    ]
    if plan.recompute == records.RECOMPUTE_FULL:
        said.append(
            "recompute=full: the training program has to call deepspeed.checkpointing.checkpoint on every layer (or "
            "gradient_checkpointing_enable() of a Hugging Face model): the section activation_checkpointing only tunes "
            "it"
        )
    return said


def _name(question: Question) -> str:
    """What the model is called where the file is read again: a name of the catalogue or a size."""
    asked = question.asked.model
    return asked if isinstance(asked, str) and NAME.fullmatch(asked) else question.model.name


_PROGRAM: Final = "the training program builds it, the JSON cannot say it"
_ANYWHERE: Final = (
    Rule("pp", (1,), _PROGRAM),
    Rule("ep", (1,), _PROGRAM),
    Rule("etp", (1,), _PROGRAM),
    Rule("sequence_parallel", (0,), "AutoTP keeps whole activations on every chip"),
    Rule("tp_overlap", (0,), "AutoTP does not overlap its communication"),
    Rule("cp_kind", (records.CP_ALL_TO_ALL,), "Ulysses exchanges heads"),
    Rule("recompute", (records.RECOMPUTE_FULL, records.RECOMPUTE_NONE), "the JSON cannot say which layers"),
    Rule("zero", (1, 2, 3), "offload needs ZeRO", (("offload", 1),)),
)
_STAGES: Final = "AutoTP goes with stages 0 to 2"
SPACE: Final[tuple[Box, ...]] = (
    (*_ANYWHERE, Rule("zero", (2, 1, 0), _STAGES)),
    (*_ANYWHERE, Rule("zero", (3,), _STAGES), Rule("tp", (1,), _STAGES)),
)


def _refuse(question: Question, plan: records.Plan) -> None:
    """Raise WrongInput for what the JSON cannot say."""
    if question.precision not in ("bf16", "fp16"):
        raise WrongInput(f"--export {TOOL}: precision: the tool has no recipe like {question.precision}")
    space.refuse(TOOL, SPACE, plan._asdict())
