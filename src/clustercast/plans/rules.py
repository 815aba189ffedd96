"""Which plans are legal: one sentence for the first rule that a plan breaks, nothing when it breaks none."""

from clustercast.physics.training import n_slots
from clustercast.records import (
    CP_ALL_TO_ALL,
    RECOMPUTE_BLOCK,
    SCHEDULE_1F1B,
    SCHEDULE_DUALPIPE,
    Job,
    Model,
    Plan,
)


def tp_broken(tp: int, model: Model) -> str:
    """What keeps tensor parallelism of degree `tp` from dividing the model, or nothing.

    >>> from clustercast.physics.examples import MODEL
    >>> tp_broken(12, MODEL._replace(n_heads=96, n_kv_heads=8))
    'tensor parallel 12 does not divide 8 KV heads, nor they it'
    """
    attends = model.n_full_layers + model.n_window_layers > 0
    if attends and model.n_heads % tp:
        return f"tensor parallel {tp} does not divide {model.n_heads} attention heads"
    if attends and model.n_kv_heads % tp and tp % model.n_kv_heads:
        return f"tensor parallel {tp} does not divide {model.n_kv_heads} KV heads, nor they it"
    if model.n_linear_layers and model.linear_v_heads % tp:
        return f"tensor parallel {tp} does not divide {model.linear_v_heads} linear-attention heads"
    if model.n_dense_layers and model.ffn % tp:
        return f"tensor parallel {tp} does not divide the MLP width {model.ffn}"
    if model.shared_ffn % tp:
        return f"tensor parallel {tp} does not divide the shared experts' width {model.shared_ffn}"
    return ""


def experts_broken(ep: int, etp: int, model: Model) -> str:
    """What keeps EP and ETP from dividing the experts, or nothing."""
    if model.n_moe_layers == 0:
        return "" if ep * etp == 1 else f"expert parallel {ep}x{etp} needs a mixture of experts"
    if model.n_experts % ep:
        return f"expert parallel {ep} does not divide {model.n_experts} experts"
    if model.expert_ffn % etp:
        return f"expert tensor parallel {etp} does not divide the expert width {model.expert_ffn}"
    return ""


def most_chunks(model: Model) -> int:
    """Pipeline chunks that can each hold something: a layer, the embedding or the head."""
    return n_slots(model) + 2


def schedule_broken(plan: Plan, model: Model, job: Job) -> str:
    """What keeps the pipeline from being cut or scheduled so, or nothing."""
    n_batches = job.global_batch // (plan.dp * plan.micro_batch)
    if plan.pp > model.n_layers:
        return f"pipeline parallel {plan.pp} is more than {model.n_layers} layers"
    if plan.vpp > 1 and plan.pp == 1:
        return f"virtual pipeline {plan.vpp} needs a pipeline (pp > 1)"
    if plan.vpp > 1 and plan.schedule != SCHEDULE_1F1B:
        return f"virtual pipeline {plan.vpp} needs the 1f1b schedule"
    if plan.pp * plan.vpp > most_chunks(model):
        return f"pp {plan.pp} x vpp {plan.vpp} is more chunks than {n_slots(model)} layers and the two ends fill"
    if plan.vpp > 1 and n_batches % plan.pp:
        return f"interleaving needs micro-batches ({n_batches}) divisible by pp {plan.pp}"
    if plan.schedule == SCHEDULE_DUALPIPE and (plan.pp % 2 or n_batches < 2 * plan.pp):
        return f"dualpipe needs an even pp and at least 2 pp micro-batches, got pp {plan.pp} and {n_batches}"
    if plan.recompute == RECOMPUTE_BLOCK and not 0 < plan.recompute_layers <= -(-n_slots(model) // plan.pp):
        return f"recompute=block needs recompute_layers from 1 to the layers of a stage, got {plan.recompute_layers}"
    if plan.recompute != RECOMPUTE_BLOCK and plan.recompute_layers:
        return "recompute_layers needs recompute=block"
    return ""


def batch_broken(dp: int, micro_batch: int, global_batch: int) -> str:
    """What keeps a global batch from being cut into whole micro-batches of every replica, or nothing.

    >>> batch_broken(2, 1, 3)
    'dp x micro-batch 2 does not divide the global batch 3'
    """
    per_step = dp * micro_batch
    return (
        f"dp x micro-batch {per_step} does not divide the global batch {global_batch}"
        if global_batch % per_step
        else ""
    )


def first_broken(plan: Plan, model: Model, job: Job, n_chips: int) -> str:
    """The first rule that `plan` breaks as a sentence, or an empty string.

    >>> from clustercast.physics.examples import MODEL, PLAN, SETTING
    >>> first_broken(PLAN._replace(tp=3), MODEL, SETTING.job, 64)
    'tensor parallel 3 does not divide 8 attention heads'
    """
    used = plan.tp * plan.pp * plan.cp * plan.dp
    broken = tp_broken(plan.tp, model) or experts_broken(plan.ep, plan.etp, model)
    if broken:
        return broken
    if job.seq_len % plan.cp:
        return f"context parallel {plan.cp} does not divide the sequence length {job.seq_len}"
    if plan.cp_kind == CP_ALL_TO_ALL and model.n_heads % (plan.tp * plan.cp):
        return f"all-to-all context parallel needs tp x cp {plan.tp * plan.cp} to divide {model.n_heads} heads"
    if plan.sequence_parallel and (job.seq_len // plan.cp) % plan.tp:
        return f"sequence parallel needs tp {plan.tp} to divide the {job.seq_len // plan.cp} tokens of a chip"
    if (plan.tp * plan.cp * plan.dp) % (plan.ep * plan.etp):
        return f"ep x etp {plan.ep * plan.etp} does not divide tp x cp x dp {plan.tp * plan.cp * plan.dp}"
    broken = batch_broken(plan.dp, plan.micro_batch, job.global_batch)
    if broken:
        return broken
    if plan.shard and (plan.dp * plan.cp) % plan.shard:
        return f"shard {plan.shard} does not divide dp x cp {plan.dp * plan.cp}"
    if plan.shard and plan.zero < 3:
        return "shard needs zero=3"
    if used > n_chips:
        return f"tp x pp x cp x dp {used} is more than {n_chips} chips"
    return schedule_broken(plan, model, job)
