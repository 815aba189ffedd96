"""Published training runs, one row each, as settings and plans: what the accuracy table is made of.

A row is in the documented training form (see CONTRIBUTING.md): the shape comes from its numeric columns.
"""

import math
import re
from dataclasses import fields
from typing import Any

from clustercast import catalog, records, units
from clustercast.catalog import build, constants
from clustercast.catalog.models import model_record
from clustercast.errors import ClustercastError, WrongInput
from clustercast.estimates import interval
from clustercast.estimates.result import Terms
from clustercast.plans import rules
from clustercast.studies.record import numbers
from clustercast.studies.record.outcome import (
    CONTEXT,
    OK,
    UNSUPPORTED,
    Answer,
    Outcome,
    figure,
    size_class,
)

MOST_CHUNKS = 8
RECOMPUTE = {"none": 0, "selective": 1, "full": 2, "partial": 3, "": 0}
PRECISIONS = {"bf16": "bf16", "fp16": "fp16", "fp8": "fp8", "mxfp8": "mxfp8", "nvfp4": "nvfp4"}


def number(row: dict[str, str], field: str, default: int = 0) -> int:
    """A whole number of a row, or the default where the cell is empty."""
    text = row.get(field) or ""
    try:
        return int(float(text)) if text else default
    except ValueError:
        raise WrongInput(f"{row.get('id', 'row')}: {field}: expected a number, got {text!r}") from None


def usual_vocab(model_name: str) -> int:
    """The vocabulary of a model whose row does not state it, by defaults.yaml; else GPT-2's, padded."""
    table = constants.table("defaults")["vocabulary"]
    named = (entry["tokens"] for entry in table["models"] if model_name.lower().startswith(entry["text"].lower()))
    return int(next(named, table["other"]["value"]))


def model_of(row: dict[str, str]) -> records.Model:
    """The architecture that a row's numeric columns give; heads that are not stated follow from the hidden size."""
    layers, hidden, heads = number(row, "layers"), number(row, "hidden"), number(row, "heads")
    head_dim = number(row, "head_dim") or hidden // max(heads, 1)
    experts = number(row, "experts")
    moe_ffn = number(row, "moe_ffn") or number(row, "ffn")
    attention = row.get("attention") or ""
    latent = attention.upper().startswith("MLA")
    if re.search(r"Mamba|hybrid|sparse", attention):
        raise WrongInput(f"{row.get('id', 'row')}: attention {attention!r}: its columns do not hold such a shape")
    shape: dict[str, Any] = {
        "layers": layers,
        "hidden": hidden,
        "vocab": number(row, "vocab") or usual_vocab(row.get("model_name") or ""),
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
    if latent and experts:
        # DeepSeek-V3 (arXiv 2412.19437, 4.2) has three dense layers and eight groups; others of its kind one and none
        like_v3 = experts == 256
        shape |= {"first_dense_layers": 3 if like_v3 else 1}
        shape |= {"n_groups": 8, "top_groups": 4} if like_v3 else {}
        shape |= {"mtp_layers": 1} if like_v3 and "HAI-LLM" in (row.get("framework") or "") else {}
    window = re.search(r"sliding-window (\d+)", row.get("attention") or "")
    if window:
        alternating = "alternating" in (row.get("attention") or "")
        shape |= {"window": int(window[1]), "window_layers": layers // 2 if alternating else layers}
    return model_record(shape)


def recompute_of(row: dict[str, str]) -> tuple[int, int]:
    """What a row recomputes, and how many whole layers of a stage if it is some of them.

    "full on 5 layers/stage" is five; "selective layer" every second layer.
    """
    printed = row.get("recompute_as_printed") or ""
    per_stage = max(1, number(row, "layers") // number(row, "PP", 1))
    counted = re.search(r"full on (\d+) layers", printed)
    if counted:
        return records.RECOMPUTE_BLOCK, min(int(counted[1]), per_stage)
    if re.search(r"selective layer$", printed) or row.get("recompute") == "partial":
        return records.RECOMPUTE_BLOCK, max(1, per_stage // 2)
    return RECOMPUTE[row.get("recompute") or ""], 0


def usual_vpp(row: dict[str, str], pp: int, schedule: int) -> int:
    """Model chunks per stage where a row does not say: NeMo and Megatron-Bridge interleave as far as layers divide."""
    if pp == 1 or schedule != records.SCHEDULE_1F1B or not stack_of(row).startswith("nemo"):
        return 1
    per_stage = number(row, "layers") // pp
    return max(chunks for chunks in range(1, MOST_CHUNKS + 1) if per_stage % chunks == 0) if per_stage else 1


def plan_of(row: dict[str, str], *, zero: int = 1, schedule: int = records.SCHEDULE_1F1B) -> records.Plan:
    """The plan of a row; the schedule, and the ZeRO stage where the row states none, are the stack's."""
    recompute, whole_layers = recompute_of(row)
    tp, pp, cp = number(row, "TP", 1), number(row, "PP", 1), number(row, "CP", 1) or 1
    return records.Plan(
        tp=tp,
        pp=pp,
        vpp=number(row, "virtual_pp") or usual_vpp(row, pp, schedule),
        dp=number(row, "DP") or max(1, number(row, "n_chips", 1) // (tp * pp * cp)),
        cp=cp,
        ep=number(row, "EP", 1) or 1,
        etp=1,
        zero=number(row, "zero", zero),
        shard=0,
        micro_batch=number(row, "micro_batch", 1) or 1,
        recompute=recompute,
        recompute_layers=whole_layers,
        schedule=schedule,
        sequence_parallel=int((row.get("SP") or "").startswith("yes") and number(row, "TP", 1) > 1),
        cp_kind=records.CP_RING,
        offload=0,
    )


def stack_of(row: dict[str, str]) -> str:
    """The stack that a row's framework, precision and date name (stacks.yaml); else the usual one of its family."""
    framework, precision = row.get("framework") or "", row.get("precision") or "bf16"
    date = (row.get("date") or "2024-01")[:7]
    for entry in constants.table("stacks")["frameworks"]:
        if (
            entry["text"] in framework
            and entry.get("precision", precision) == precision
            and date >= entry.get("from", "")
            and entry.get("notes", "") in (row.get("notes") or "")
        ):
            return str(entry["stack"])
    return constants.default_stack(numbers.chip_of(row).family if row.get("chip") else "other")


def network_bytes_per_s(text: str, per_node: int) -> float | None:
    """Bandwidth per chip of a network cell, one direction; nothing where it is not stated or not said of what.

    A measured rate of a node goes before a nominal one.

    >>> network_bytes_per_s("8x200 Gb/s HDR InfiniBand per node (200 Gb/s per GPU)", 8)
    25000000000.0
    >>> network_bytes_per_s("4x Omni-Path 100 Gb/s links per node", 8)
    6250000000.0
    """
    if "not stated" in text:
        return None
    measured = re.search(r"measured[^;]*?(\d+)-(\d+) ?Gb/s", text)
    if measured:
        return _gbit(0.5 * (float(measured[1]) + float(measured[2]))) / per_node
    per_chip = re.search(r"(?:(\d+)x)?(\d+) ?Gb/s[^,;(]* per (?:[GN]PU|accelerator)", text)
    if per_chip:
        return _gbit(float(per_chip[1] or 1) * float(per_chip[2]))
    links = re.search(r"(\d+)x ?(?:[A-Z][A-Za-z-]* )?(\d+) ?Gb/s", text)
    if links:
        return _gbit(float(links[1]) * float(links[2])) / per_node
    whole = re.search(r"(\d+) ?Gb/s[^,;(]* per (?:node|server)", text)
    return _gbit(float(whole[1])) / per_node if whole else None


def _gbit(rate: float) -> float:
    return units.parse(f"{rate} Gbit/s", "bytes/s")


def cluster_of(row: dict[str, str], chip: catalog.ChipProfile) -> records.Cluster:
    """The chip's usual fabric, with the chips per node and the network that the row states."""
    n_chips = number(row, "n_chips", 1)
    cluster = build.cluster(chip, numbers.fabric(numbers.chip_key(row)), n_chips)
    domain = cluster.scale_up.n_chips
    per_node = number(row, "gpus_per_node", domain) or domain
    link = row.get("intra_node_link") or ""
    if per_node < domain and re.search(r"NVLink|NVSwitch|HCCS", link) and not re.search(r"domain|NVL\d", link):
        cluster = cluster._replace(scale_up=cluster.scale_up._replace(n_chips=per_node))
    rate = network_bytes_per_s(row.get("inter_node_network") or "", per_node)
    if rate and cluster.rail.n_chips > 1:
        slower = cluster.spine.bytes_per_s / cluster.rail.bytes_per_s
        cluster = cluster._replace(
            rail=cluster.rail._replace(bytes_per_s=rate), spine=cluster.spine._replace(bytes_per_s=rate * slower)
        )
    return cluster


def usual_batch(row: dict[str, str], plan: records.Plan) -> int:
    """Sequences of a step where a row states a rate and no batch: the usual tokens per step, whole micro-batches.

    Raises WrongInput for a time without a batch.
    """
    if row.get("metric") == "iteration_s":
        raise WrongInput(f"{row.get('id', 'row')}: global_batch is empty")
    sequences = constants.default("training", "tokens_per_batch").value / max(1, number(row, "seq_len", 1))
    return max(1, round(sequences / (plan.dp * plan.micro_batch))) * plan.dp * plan.micro_batch


def recipe_of(row: dict[str, str], stack: constants.SoftwareStack) -> str:
    """The precision recipe of a row; what a stack calls FP8 may be a recipe of its own."""
    named = PRECISIONS.get(row.get("precision") or "bf16", "bf16")
    return stack.recipes.get(named, named)


def ability_of(row: dict[str, str], stack: constants.SoftwareStack) -> records.Stack:
    """What the stack could do in that run: experts that were kept equally busy leave nobody waiting."""
    if "force-balanced" in (row.get("notes") or ""):
        return stack.record._replace(expert_imbalance=0.0)
    return stack.record


def setting_of(row: dict[str, str]) -> tuple[records.Setting, records.Plan]:
    """Everything that a row's step depends on. Raises WrongInput for a row that names no known chip."""
    name = row.get("chip") or ""
    if not name:
        raise WrongInput(f"{row.get('id', 'row')}: chip is empty")
    chip = numbers.chip_of(row)
    stack = constants.stack(stack_of(row), chip.name, chip.family)
    silicon = build.silicon(chip, recipe_of(row, stack), "")
    plan = plan_of(row, zero=stack.zero, schedule=records.SCHEDULE_NAMES.index(stack.schedule))
    job = records.Job(number(row, "seq_len"), number(row, "global_batch") or usual_batch(row, plan))
    setting = records.Setting(
        build.in_training(silicon.chip, chip.family),
        silicon.kernels,
        ability_of(row, stack),
        silicon.recipe.training,
        cluster_of(row, chip),
        model_of(row),
        job,
    )
    return records.as_declared(setting), plan


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


def check(row: dict[str, str], setting: records.Setting, plan: records.Plan) -> None:
    """Raise WrongInput for a row that cannot have run as it says: heads or a batch that its plan cannot share out.

    What follows from the number of chips alone is not held against a row.
    """
    broken = rules.tp_broken(plan.tp, setting.model)
    whole = row.get("DP") or number(row, "n_chips", 1) == plan.tp * plan.pp * plan.cp * plan.dp
    if not broken and whole:
        broken = rules.batch_broken(plan.dp, plan.micro_batch, setting.job.global_batch)
    if broken:
        raise WrongInput(f"{row.get('id', 'row')}: {broken}")


def memory_remark(step: records.Step) -> str:
    """A word on a run that happened although the model says that it does not fit.

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> from clustercast.physics.training import training_step
    >>> memory_remark(training_step(SETTING, PLAN)._replace(memory_bytes=2e9, capacity_bytes=1e9))
    'the memory estimate is 2.0 times what the chip has'
    """
    times = step.memory_bytes / step.capacity_bytes if step.capacity_bytes > 0.0 else math.inf
    if times <= constants.default("record", "memory_beyond").value:
        return ""
    if math.isinf(times):
        return "the chip has no memory left for a model"
    return f"the memory estimate is {times:.1f} times what the chip has"


def answer_of(row: dict[str, str]) -> Answer:
    """What the model says of a row. Raises WrongInput where it cannot say anything."""
    from clustercast.physics.training import training_step

    setting, plan = setting_of(row)
    check(row, setting, plan)
    step = training_step(setting, plan)
    chip = numbers.chip_of(row)
    evidence = interval.evidence_of(chip, "training")
    mixture = setting.model.n_moe_layers > 0
    n_chips = number(row, "n_chips", 1)
    stack = constants.stack(stack_of(row), chip.name, chip.family)
    measured = interval.own_runs(chip, stack.name, mixture=mixture, precision=recipe_of(row, stack), n_chips=n_chips)
    width = interval.half_width(evidence, n_chips, mixture=mixture, calibration=measured, family=chip.family)
    low_s, high_s = interval.around(step.step_s, width)
    ends = sorted(in_metric(row, setting, end_s) for end_s in (low_s, high_s))
    return Answer(
        estimated=in_metric(row, setting, step.step_s),
        low=ends[0],
        high=ends[1],
        evidence=evidence if measured is None else interval.MEASURED,
        terms={term.name: getattr(step, f"{term.name}_s") for term in fields(Terms)},
        setup={"stack": stack.name, "precision": row.get("precision") or "bf16"},
        size=size_class(n_chips),
        kind="mixture" if mixture else "dense",
        remark=memory_remark(step),
    )


def outcome(row: dict[str, str]) -> Outcome:
    """A row of a file in the training form, judged. Never raises for what the row says."""
    status, why, published, answer = OK, "", None, None
    try:
        published = figure(row, "value")
        answer = answer_of(row)
        why = answer.remark
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
