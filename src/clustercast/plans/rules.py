"""Which plans are legal: the first rule that a plan breaks, as a number that compiled code carries and as a sentence.

The functions that end in `_rule` are plain and run compiled as they stand; 0 is no rule. `sentence` says it for people.
"""

from typing import Final

from clustercast.physics.training import n_slots
from clustercast.records import (
    CP_ALL_TO_ALL,
    RECOMPUTE_BLOCK,
    SCHEDULE_1F1B,
    SCHEDULE_DUALPIPE,
    Job,
    Model,
    Plan,
    ServingPlan,
)

LEGAL: Final = 0
TP_HEADS: Final = 1
TP_KV_HEADS: Final = 2
TP_LINEAR_HEADS: Final = 3
TP_WIDTH: Final = 4
TP_SHARED_WIDTH: Final = 5
NO_EXPERTS: Final = 6
EP_EXPERTS: Final = 7
ETP_WIDTH: Final = 8
CP_LENGTH: Final = 9
CP_HEADS: Final = 10
SEQUENCE: Final = 11
EP_GROUP: Final = 12
BATCH: Final = 13
SHARD_GROUP: Final = 14
SHARD_ZERO: Final = 15
CHIPS: Final = 16
PP_LAYERS: Final = 17
VPP_PIPELINE: Final = 18
VPP_SCHEDULE: Final = 19
CHUNKS: Final = 20
INTERLEAVING: Final = 21
DUALPIPE: Final = 22
BLOCK_LAYERS: Final = 23
BLOCK: Final = 24
DOMAIN: Final = 25

# What each rule is called where many plans are counted by it.
NAMES: Final = (
    "ok", "tp: heads", "tp: KV heads", "tp: linear heads", "tp: MLP width", "tp: shared width", "ep: no experts",
    "ep: experts", "etp: width", "cp: length", "cp: heads", "sequence parallel", "ep x etp: group", "dp: batch",
    "shard: group", "shard: zero", "chips", "pp: layers", "vpp: no pipeline", "vpp: schedule", "vpp: chunks",
    "vpp: micro-batches", "dualpipe", "recompute: layers", "recompute: block", "tp: scale-up domain",
)  # fmt: skip

SENTENCES: Final = (
    "",
    "tensor parallel {tp} does not divide {heads} attention heads",
    "tensor parallel {tp} does not divide {kv_heads} KV heads, nor they it",
    "tensor parallel {tp} does not divide {linear_heads} linear-attention heads",
    "tensor parallel {tp} does not divide the MLP width {ffn}",
    "tensor parallel {tp} does not divide the shared experts' width {shared_ffn}",
    "expert parallel {ep}x{etp} needs a mixture of experts",
    "expert parallel {ep} does not divide {experts} experts",
    "expert tensor parallel {etp} does not divide the expert width {expert_ffn}",
    "context parallel {cp} does not divide the sequence length {seq_len}",
    "all-to-all context parallel needs tp x cp {tp_cp} to divide {heads} heads",
    "sequence parallel needs tp {tp} to divide the {chip_tokens} tokens of a chip",
    "ep x etp {ep_etp} does not divide tp x cp x dp {tp_cp_dp}",
    "dp x micro-batch {per_step} does not divide the global batch {global_batch}",
    "shard {shard} does not divide dp x cp {dp_cp}",
    "shard needs zero=3",
    "tp x pp x cp x dp {used} is more than {n_chips} chips",
    "pipeline parallel {pp} is more than {n_layers} layers",
    "virtual pipeline {vpp} needs a pipeline (pp > 1)",
    "virtual pipeline {vpp} needs the 1f1b schedule",
    "pp {pp} x vpp {vpp} is more chunks than {slots} layers and the two ends fill",
    "interleaving needs micro-batches ({n_batches}) divisible by pp {pp}",
    "dualpipe needs an even pp and at least 2 pp micro-batches, got pp {pp} and {n_batches}",
    "recompute=block needs recompute_layers from 1 to the layers of a stage, got {recompute_layers}",
    "recompute_layers needs recompute=block",
    "tensor parallel {tp} does not divide the scale-up domain",
)


def tp_rule(tp: int, model: Model) -> int:
    """The rule that tensor parallelism of degree `tp` breaks in the model's shape."""
    attends = model.n_full_layers + model.n_window_layers > 0
    if attends and model.n_heads % tp != 0:
        return TP_HEADS
    if attends and model.n_kv_heads % tp != 0 and tp % model.n_kv_heads != 0:
        return TP_KV_HEADS
    if model.n_linear_layers > 0 and model.linear_v_heads % tp != 0:
        return TP_LINEAR_HEADS
    if model.n_dense_layers > 0 and model.ffn % tp != 0:
        return TP_WIDTH
    if model.shared_ffn % tp != 0:
        return TP_SHARED_WIDTH
    return LEGAL


def experts_rule(ep: int, etp: int, model: Model) -> int:
    """The rule that EP and ETP break in the experts."""
    if model.n_moe_layers == 0:
        return LEGAL if ep * etp == 1 else NO_EXPERTS
    if model.n_experts % ep != 0:
        return EP_EXPERTS
    if model.expert_ffn % etp != 0:
        return ETP_WIDTH
    return LEGAL


def most_chunks(model: Model) -> int:
    """Pipeline chunks that can each hold something: a layer, the embedding or the head."""
    return n_slots(model) + 2


def schedule_rule(plan: Plan, model: Model, job: Job) -> int:
    """The rule that the pipeline's cut or its schedule breaks."""
    n_batches = job.global_batch // (plan.dp * plan.micro_batch)
    if plan.pp > model.n_layers:
        return PP_LAYERS
    if plan.vpp > 1 and plan.pp == 1:
        return VPP_PIPELINE
    if plan.vpp > 1 and plan.schedule != SCHEDULE_1F1B:
        return VPP_SCHEDULE
    if plan.pp * plan.vpp > most_chunks(model):
        return CHUNKS
    if plan.vpp > 1 and n_batches % plan.pp != 0:
        return INTERLEAVING
    if plan.schedule == SCHEDULE_DUALPIPE and (plan.pp % 2 != 0 or n_batches < 2 * plan.pp):
        return DUALPIPE
    if plan.recompute == RECOMPUTE_BLOCK and not 0 < plan.recompute_layers <= -(-n_slots(model) // plan.pp):
        return BLOCK_LAYERS
    if plan.recompute != RECOMPUTE_BLOCK and plan.recompute_layers > 0:
        return BLOCK
    return LEGAL


def broken_rule(plan: Plan, model: Model, job: Job, n_chips: int) -> int:
    """The first rule that `plan` breaks, LEGAL where it breaks none.

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> NAMES[broken_rule(PLAN._replace(tp=3), SETTING.model, SETTING.job, 64)]
    'tp: heads'
    """
    shape = tp_rule(plan.tp, model)
    if shape == LEGAL:
        shape = experts_rule(plan.ep, plan.etp, model)
    if shape != LEGAL:
        return shape
    if job.seq_len % plan.cp != 0:
        return CP_LENGTH
    if plan.cp_kind == CP_ALL_TO_ALL and model.n_heads % (plan.tp * plan.cp) != 0:
        return CP_HEADS
    if plan.sequence_parallel == 1 and (job.seq_len // plan.cp) % plan.tp != 0:
        return SEQUENCE
    if (plan.tp * plan.cp * plan.dp) % (plan.ep * plan.etp) != 0:
        return EP_GROUP
    if job.global_batch % (plan.dp * plan.micro_batch) != 0:
        return BATCH
    if plan.shard > 0 and (plan.dp * plan.cp) % plan.shard != 0:
        return SHARD_GROUP
    if plan.shard > 0 and plan.zero < 3:
        return SHARD_ZERO
    if plan.tp * plan.pp * plan.cp * plan.dp > n_chips:
        return CHIPS
    return schedule_rule(plan, model, job)


def layout_rule(plan: ServingPlan, model: Model, domain: int, n_chips: int) -> int:
    """The first rule that the layout of a serving replica breaks, LEGAL where it breaks none.

    domain   chips of the scale-up domain, in which tensor parallelism stays
    n_chips  that there are for all replicas
    """
    shape = tp_rule(plan.tp, model)
    if shape != LEGAL:
        return shape
    if domain % plan.tp != 0 and plan.tp % domain != 0:
        return DOMAIN
    if plan.pp > model.n_layers:
        return PP_LAYERS
    if plan.tp * plan.pp * plan.attention_dp > n_chips:
        return CHIPS
    if model.n_moe_layers == 0:
        return LEGAL if plan.attention_dp * plan.ep * plan.etp == 1 else NO_EXPERTS
    if plan.ep * plan.etp != plan.tp * plan.attention_dp:
        return EP_GROUP
    return experts_rule(plan.ep, plan.etp, model)


HELPERS: Final = (broken_rule, layout_rule, schedule_rule, experts_rule, tp_rule, most_chunks)  # for the compiler


def sentence(rule: int, plan: Plan, model: Model, job: Job, n_chips: int) -> str:
    """A broken rule in words, with the plan's numbers; nothing for LEGAL."""
    return SENTENCES[rule].format(
        **plan._asdict(),
        heads=model.n_heads,
        kv_heads=model.n_kv_heads,
        linear_heads=model.linear_v_heads,
        ffn=model.ffn,
        shared_ffn=model.shared_ffn,
        experts=model.n_experts,
        expert_ffn=model.expert_ffn,
        seq_len=job.seq_len,
        chip_tokens=job.seq_len // plan.cp,
        tp_cp=plan.tp * plan.cp,
        dp_cp=plan.dp * plan.cp,
        ep_etp=plan.ep * plan.etp,
        tp_cp_dp=plan.tp * plan.cp * plan.dp,
        per_step=plan.dp * plan.micro_batch,
        global_batch=job.global_batch,
        n_batches=job.global_batch // (plan.dp * plan.micro_batch),
        used=plan.tp * plan.pp * plan.cp * plan.dp,
        n_chips=n_chips,
        n_layers=model.n_layers,
        slots=n_slots(model),
    )


NEUTRAL: Final = Plan(1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0)
ONE_STEP: Final = Job(1, 1)


def tp_broken(tp: int, model: Model) -> str:
    """What keeps tensor parallelism of degree `tp` from dividing the model, or nothing.

    >>> from clustercast.physics.examples import MODEL
    >>> tp_broken(12, MODEL._replace(n_heads=96, n_kv_heads=8))
    'tensor parallel 12 does not divide 8 KV heads, nor they it'
    """
    return sentence(tp_rule(tp, model), NEUTRAL._replace(tp=tp), model, ONE_STEP, 1)


def experts_broken(ep: int, etp: int, model: Model) -> str:
    """What keeps EP and ETP from dividing the experts, or nothing."""
    return sentence(experts_rule(ep, etp, model), NEUTRAL._replace(ep=ep, etp=etp), model, ONE_STEP, 1)


def schedule_broken(plan: Plan, model: Model, job: Job) -> str:
    """What keeps the pipeline from being cut or scheduled so, or nothing."""
    return sentence(schedule_rule(plan, model, job), plan, model, job, 1)


def batch_broken(dp: int, micro_batch: int, global_batch: int) -> str:
    """What keeps a global batch from being cut into whole micro-batches of every replica, or nothing.

    >>> batch_broken(2, 1, 3)
    'dp x micro-batch 2 does not divide the global batch 3'
    """
    if global_batch % (dp * micro_batch) == 0:
        return ""
    return SENTENCES[BATCH].format(per_step=dp * micro_batch, global_batch=global_batch)


def first_broken(plan: Plan, model: Model, job: Job, n_chips: int) -> str:
    """The first rule that `plan` breaks as a sentence, or an empty string.

    >>> from clustercast.physics.examples import MODEL, PLAN, SETTING
    >>> first_broken(PLAN._replace(tp=3), MODEL, SETTING.job, 64)
    'tensor parallel 3 does not divide 8 attention heads'
    """
    return sentence(broken_rule(plan, model, job, n_chips), plan, model, job, n_chips)
