"""Published training runs, one row each, as settings and plans: what the accuracy table is made of.

A row is in the documented training form (see CONTRIBUTING.md): the shape comes from its numeric columns.
"""

from typing import Any

from clustercast import catalog, records
from clustercast.catalog import build, constants
from clustercast.catalog.models import model_record
from clustercast.errors import ClustercastError, WrongInput
from clustercast.estimates import interval
from clustercast.studies.record.outcome import (
    CONTEXT,
    OK,
    UNSUPPORTED,
    Answer,
    Outcome,
    figure,
    size_class,
)

RECOMPUTE = {"none": 0, "selective": 1, "full": 2, "partial": 3, "": 0}
PRECISIONS = {"bf16": "bf16", "fp16": "fp16", "fp8": "fp8", "mxfp8": "mxfp8", "nvfp4": "nvfp4"}
CHIPS = {"ascend-910b": "ascend-910b3"}


def number(row: dict[str, str], field: str, default: int = 0) -> int:
    """A whole number of a row, or the default where the cell is empty."""
    text = row.get(field) or ""
    try:
        return int(float(text)) if text else default
    except ValueError:
        raise WrongInput(f"{row.get('id', 'row')}: {field}: expected a number, got {text!r}") from None


def model_of(row: dict[str, str]) -> records.Model:
    """The architecture that a row's numeric columns give; heads that are not stated follow from the hidden size."""
    layers, hidden, heads = number(row, "layers"), number(row, "hidden"), number(row, "heads")
    head_dim = number(row, "head_dim") or hidden // max(heads, 1)
    experts = number(row, "experts")
    moe_ffn = number(row, "moe_ffn") or number(row, "ffn")
    latent = (row.get("attention") or "").upper().startswith("MLA")
    shape: dict[str, Any] = {
        "layers": layers,
        "hidden": hidden,
        "vocab": number(row, "vocab", 51200),
        "tied": False,
        "heads": heads,
        "kv_heads": number(row, "kv_heads") or heads,
        "head_dim": number(row, "qk_head_dim") or head_dim,
        "v_head_dim": number(row, "v_head_dim") or head_dim,
        "ffn": number(row, "ffn"),
        "gated": row.get("mlp") == "gated",
        "other_params": 0,
    }
    if experts:
        shape |= {
            "experts": experts,
            "experts_per_token": number(row, "topk", 1),
            "expert_ffn": moe_ffn,
            "shared_ffn": number(row, "shared_experts") * moe_ffn,
        }
    if latent:
        # the published latent models share these ranks (DeepSeek-V2, table 1)
        shape |= {"attention": "mla", "q_lora": 1536, "kv_lora": 512, "qk_rope_dim": 64}
        shape["qk_nope_dim"] = shape["head_dim"] - 64
    return model_record(shape)


def plan_of(row: dict[str, str], *, sharded: bool) -> records.Plan:
    """The plan of a row. An unstated ZeRO stage is 1 where the stack shards its optimizer."""
    zero = number(row, "zero", 1 if sharded else 0)
    recompute = RECOMPUTE[row.get("recompute") or ""]
    pp = number(row, "PP", 1)
    layers = number(row, "layers")
    return records.Plan(
        tp=number(row, "TP", 1),
        pp=pp,
        vpp=number(row, "virtual_pp", 1) or 1,
        dp=number(row, "DP", 1),
        cp=number(row, "CP", 1) or 1,
        ep=number(row, "EP", 1) or 1,
        etp=1,
        zero=zero,
        shard=0,
        micro_batch=number(row, "micro_batch", 1) or 1,
        recompute=recompute,
        recompute_layers=max(1, layers // pp // 2) if recompute == records.RECOMPUTE_BLOCK else 0,
        schedule=records.SCHEDULE_1F1B,
        sequence_parallel=int(row.get("SP") == "yes" and number(row, "TP", 1) > 1),
        cp_kind=records.CP_RING,
        offload=0,
    )


def stack_of(row: dict[str, str]) -> str:
    """The stack that a row's framework and year name, by the table in stacks.yaml."""
    framework, year = row.get("framework") or "", int((row.get("date") or "2024")[:4])
    for entry in constants.table("stacks")["frameworks"]:
        if entry["text"] in framework and year >= entry.get("from", 0):
            return str(entry["stack"])
    return "megatron-core"


def setting_of(row: dict[str, str]) -> tuple[records.Setting, records.Plan]:
    """Everything that a row's step depends on. Raises WrongInput for a row that names no known chip."""
    name = row.get("chip") or ""
    if not name:
        raise WrongInput(f"{row.get('id', 'row')}: chip is empty")
    chip = catalog.find_chip(CHIPS.get(name, name))
    recipe = PRECISIONS.get(row.get("precision") or "bf16", "bf16")
    silicon = build.silicon(chip, recipe, "")
    stack = constants.stack(stack_of(row))
    n_chips = number(row, "n_chips", 1)
    job = records.Job(number(row, "seq_len"), number(row, "global_batch"))
    setting = records.Setting(
        silicon.chip,
        silicon.kernels,
        stack.record,
        silicon.recipe.training,
        build.cluster(chip, catalog.find_fabric(chip.fabric), n_chips),
        model_of(row),
        job,
    )
    return records.as_declared(setting), plan_of(row, sharded=stack.name not in ("megatron-2021", "megatron-2022"))


def estimated(row: dict[str, str]) -> tuple[float, records.Step]:
    """The row's metric as the model has it (seconds per step, or tokens per second and chip), and the whole step."""
    from clustercast.physics.training import training_step

    setting, plan = setting_of(row)
    step = training_step(setting, plan)
    return in_metric(row, setting, step.step_s), step


def in_metric(row: dict[str, str], setting: records.Setting, step_s: float) -> float:
    """A step time in the unit of the row's metric. Raises WrongInput for one that is neither a time nor a rate."""
    if row["metric"] == "iteration_s":
        return step_s
    if row["metric"] == "tokens_per_s_per_gpu":
        tokens = float(setting.job.global_batch) * setting.job.seq_len
        return tokens / step_s / number(row, "n_chips", 1)
    raise WrongInput(f"{row.get('id', 'row')}: metric {row['metric']!r} is not a time or a rate")


def time_error(row: dict[str, str]) -> float:
    """Modelled over measured step time, minus one."""
    value, _ = estimated(row)
    published = float(row["value"])
    return (value / published if row["metric"] == "iteration_s" else published / value) - 1.0


TERMS = (
    "compute_s",
    "tp_comm_s",
    "cp_comm_s",
    "ep_comm_s",
    "pp_comm_s",
    "dp_comm_s",
    "bubble_s",
    "optimizer_s",
    "host_s",
    "straggler_s",
)


def answer_of(row: dict[str, str]) -> Answer:
    """What the model says of a row. Raises WrongInput where it cannot say anything."""
    from clustercast.physics.training import training_step

    setting, plan = setting_of(row)
    step = training_step(setting, plan)
    chip = catalog.find_chip(CHIPS.get(row["chip"], row["chip"]))
    evidence = interval.evidence_of(chip, "training")
    mixture = setting.model.n_moe_layers > 0
    n_chips = number(row, "n_chips", 1)
    low_s, high_s = interval.around(step.step_s, interval.half_width(evidence, n_chips, mixture=mixture))
    ends = sorted(in_metric(row, setting, end_s) for end_s in (low_s, high_s))
    return Answer(
        estimated=in_metric(row, setting, step.step_s),
        low=ends[0],
        high=ends[1],
        evidence=evidence,
        terms={name.removesuffix("_s"): getattr(step, name) for name in TERMS},
        setup={"stack": stack_of(row), "precision": row.get("precision") or "bf16"},
        size=size_class(n_chips),
        kind="mixture" if mixture else "dense",
    )


def outcome(row: dict[str, str]) -> Outcome:
    """A row of a file in the training form, judged. Never raises for what the row says."""
    status, why, published, answer = OK, "", None, None
    try:
        published = figure(row, "value")
        answer = answer_of(row)
        if published is None or published <= 0.0:
            raise WrongInput("value: expected a positive number")
    except (ClustercastError, KeyError, ValueError, ZeroDivisionError, OverflowError) as error:
        status, why = UNSUPPORTED, str(error)
    if row.get("complete") != "yes":
        status, why = CONTEXT, why or "complete is not yes"
    return Outcome(
        row.get("id") or "",
        row.get("metric") or "",
        row.get("chip") or "",
        row.get("study") or row.get("source") or "",
        published,
        answer,
        status,
        why,
    )
