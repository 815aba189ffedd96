"""The parallel plan in the words of the Megatron family, both ways."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from clustercast import records
from clustercast.physics.training import n_slots
from clustercast.plans import rules
from clustercast.studies.launch import layout
from clustercast.studies.launch.arguments import Option, Options, clean, shown
from clustercast.studies.launch.launch import PlanRefused
from clustercast.studies.launch.space import Box, Rule

MOST: Final = 10**6  # of any degree of parallelism

SHARDING: Final = {"no_shard": 0, "optim": 1, "optim_grads": 2, "optim_grads_params": 3}
FSDP: Final = ("use-megatron-fsdp", "use-custom-fsdp", "use-torch-fsdp2")

# What changes the time of a step, or what it holds, and is not modelled apart.
WARNED: Final = {
    "rampup-batch-size": "the batch grows at first: the whole global batch is taken",
    "grad-reduce-in-bf16": "gradients travel in 16 bit: the recipe counts its own width",
    "use-precision-aware-optimizer": "the widths of optimizer state are the recipe's",
    "fine-grained-activation-offloading": "activations that go to host memory are counted as kept",
    "cpu-offloading-num-layers": "activations that go to host memory are counted as kept",
    "moe-expert-capacity-factor": "tokens beyond the capacity are counted as computed",
    "first-last-layers-bf16": "all layers are counted in one format",
    "overlap-moe-expert-parallel-comm": "what of the experts' communication hides is the stack's, not this option's",
    "moe-fb-overlap": "what of the experts' communication hides is the stack's, not this option's",
    "recompute-in-bubble": "recompute in the bubble is counted as compute",
    "swap-attention": "activations that go to host memory are counted as kept",
    "adaptive-recompute-device-swap": "activations that go to host memory are counted as kept",
}


@dataclass(slots=True)
class Found:
    """A plan as it is read: fields by name, where each is said, what to tell."""

    options: Options
    fields: dict[str, int] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def put(self, name: str, value: int, *options: str) -> None:
        """Set a field, said by the first of these options that is given."""
        self.fields[name] = value
        self.where[name] = self.options.where(*options)


def plan_of(options: Options, n_layers: int, n_mtp: int, *, experts: bool, chips: int | None) -> Found:
    """Everything that the options say of the plan; what a tool leaves out is at the tool's default.

    n_layers  that the pipeline divides, idle ones too, without those that predict further tokens; 0: not known
    chips     None where the file does not say
    """
    found = Found(options)
    tp = _degree(found, "tp", "tensor-model-parallel-size")
    pp = _degree(found, "pp", "pipeline-model-parallel-size")
    cp = _degree(found, "cp", "context-parallel-size")
    _experts(found, tp, experts=experts)
    _data(found, chips, tp * pp * cp)
    _micro_batch(found)
    _stages(found, pp, n_layers, n_mtp)
    _sharding(found, cp)
    _recompute(found)
    _context(found, cp)
    _overlap(found, tp)
    sp = options.flag("sequence-parallel")
    found.put("sequence_parallel", int(sp and tp > 1), "sequence-parallel")
    offload = options.flag("optimizer-cpu-offload", "swap-optimizer")
    found.put("offload", int(offload), "optimizer-cpu-offload", "swap-optimizer")
    for name, why in WARNED.items():
        option = options.find(name)
        if option is not None:
            found.warnings.append(f"{options.where(name)}: {clean(option.name)}: {why}")
    return found


def _degree(found: Found, name: str, *options: str) -> int:
    value = found.options.whole(*options, high=MOST) or 1
    found.put(name, value, *options)
    return value


def _experts(found: Found, tp: int, *, experts: bool) -> None:
    """Without expert tensor parallelism of their own, experts are cut as the rest is: that is Megatron's default."""
    options = found.options
    ep = _degree(found, "ep", "expert-model-parallel-size")
    etp = options.whole("expert-tensor-parallel-size", high=MOST)
    if ep > 1 and not experts and options.find("num-layers"):
        raise options.wrong("expert-model-parallel-size", f"{ep} needs experts, and the file has no --num-experts")
    if options.flag("moe-tp-extend-ep"):
        found.put("ep", ep * tp, "moe-tp-extend-ep")
        etp = 1
    if experts and etp is None and tp > 1:
        found.notes.append(f"experts are cut over tensor parallelism too, as no other cut is given: etp={tp}")
    found.put("etp", (etp or tp) if experts else 1, "expert-tensor-parallel-size", "moe-tp-extend-ep")


def _data(found: Found, chips: int | None, used: int) -> None:
    options = found.options
    if chips is None:
        return
    if chips % used:
        raise options.wrong(
            _first(options, "tensor-model-parallel-size", "pipeline-model-parallel-size", "context-parallel-size"),
            f"tp x pp x cp is {used}, which does not divide the {chips} chips of the launch",
            hint="set the number of nodes and of chips per node",
        )
    found.put("dp", chips // used, "nproc-per-node", "nnodes")


def _first(options: Options, *names: str) -> Option | str:
    return options.find(*names) or names[0]


def _micro_batch(found: Found) -> None:
    options = found.options
    micro, dp = options.whole("micro-batch-size", high=MOST), found.fields.get("dp")
    if micro is None:
        return
    found.put("micro_batch", micro, "micro-batch-size")
    batch = options.whole("global-batch-size", high=10**7)
    if batch is not None and dp is not None and batch % (dp * micro):
        raise options.wrong(
            "global-batch-size",
            f"{batch} is not divisible by dp {dp} x micro-batch {micro} (--micro-batch-size on line "
            f"{options.must('micro-batch-size').line})",
        )


# -- pipeline


def _stages(found: Found, pp: int, n_layers: int, n_mtp: int) -> None:
    """The schedule and the chunks per stage."""
    options = found.options
    found.put("schedule", _schedule(found, pp), "schedules-method")
    chunks = _layout_chunks(found, pp, n_layers, n_mtp)
    per_stage = options.whole("num-virtual-stages-per-pipeline-rank", "virtual-pipeline-model-parallel-size", high=1000)
    if chunks is None:
        _even(found, pp, n_layers)
    length = options.whole("num-layers-per-virtual-pipeline-stage", high=10_000)
    if chunks is None and length is not None and n_layers:
        total = n_layers + options.flag("account-for-embedding-in-pipeline-split")
        total += options.flag("account-for-loss-in-pipeline-split")
        if total % (pp * length):
            raise options.wrong(
                "num-layers-per-virtual-pipeline-stage", f"{length} x pp {pp} does not divide {total} layers"
            )
        chunks = total // (pp * length)
    if chunks is not None and per_stage is not None and per_stage != chunks:
        raise options.wrong(
            _first(options, "num-virtual-stages-per-pipeline-rank", "virtual-pipeline-model-parallel-size"),
            f"{per_stage} chunks per stage, and the layers as they are given make {chunks}",
        )
    said = ("num-virtual-stages-per-pipeline-rank", "virtual-pipeline-model-parallel-size",
            "num-layers-per-virtual-pipeline-stage", "pipeline-model-parallel-layout")  # fmt: skip
    vpp = chunks or per_stage or 1
    if vpp > 1 and pp == 1:
        raise options.wrong(_first(options, *said), f"{vpp} chunks per stage need a pipeline")
    found.put("vpp", vpp, *said)


def _schedule(found: Found, pp: int) -> int:
    text = found.options.text("schedules-method")
    if text is None:
        return records.SCHEDULE_1F1B
    if text == "dualpipev" and pp > 1:
        return records.SCHEDULE_DUALPIPE
    found.warnings.append(f"{found.options.where('schedules-method')}: the schedule {shown(text)} is read as 1f1b")
    return records.SCHEDULE_1F1B


def _layout_chunks(found: Found, pp: int, n_layers: int, n_mtp: int) -> int | None:
    options = found.options
    text = options.text("pipeline-model-parallel-layout")
    if text is None:
        return None
    made = layout.layout_of(text)
    if made is None:
        raise options.wrong(
            "pipeline-model-parallel-layout", f"expected a layout like Et*2|(tt|)*30L, got {shown(text)}"
        )
    n_chunks, held = len(made.chunks), sum(made.chunks)
    if n_chunks % pp:
        raise options.wrong("pipeline-model-parallel-layout", f"its {n_chunks} chunks do not divide over pp {pp}")
    if n_layers and held - made.n_mtp != n_layers:
        raise options.wrong(
            "pipeline-model-parallel-layout", f"it holds {held - made.n_mtp} layers, --num-layers says {n_layers}"
        )
    if n_layers and made.n_mtp not in (0, n_mtp):
        raise options.wrong("pipeline-model-parallel-layout", f"it holds {made.n_mtp} m, --mtp-num-layers says {n_mtp}")
    return n_chunks // pp


def _even(found: Found, pp: int, n_layers: int) -> None:
    """Layers that are not given out one by one have to divide over the stages."""
    options = found.options
    first = options.whole("decoder-first-pipeline-num-layers", "num-layers-in-first-pipeline-stage", low=0, high=10_000)
    last = options.whole("decoder-last-pipeline-num-layers", "num-layers-in-last-pipeline-stage", low=0, high=10_000)
    total = n_layers + options.flag("account-for-embedding-in-pipeline-split")
    total += options.flag("account-for-loss-in-pipeline-split")
    listed = options.find("num-layer-list")
    if not n_layers or pp == 1:
        return
    if listed is not None:
        _listed(found, listed, pp, n_layers)
        return
    left, stages = total - (first or 0) - (last or 0), pp - (first is not None) - (last is not None)
    if left < 0 or (stages and left % stages) or (not stages and left):
        given = _first(options, "decoder-first-pipeline-num-layers", "decoder-last-pipeline-num-layers",
                       "pipeline-model-parallel-size")  # fmt: skip
        raise options.wrong(given, f"{left} layers do not divide over {stages} stages of the pipeline")
    if first is not None or last is not None:
        found.notes.append("stages of unequal depth are cut as evenly as their ends allow")


def _listed(found: Found, listed: Option, pp: int, n_layers: int) -> None:
    sizes = listed.values[0].split(",") if listed.values else []
    plain = all(size.isascii() and size.isdigit() and len(size) < 6 for size in sizes)
    if not plain or len(sizes) != pp or sum(map(int, sizes)) != n_layers:
        message = f"expected {pp} stages that hold {n_layers} layers, got {shown(','.join(sizes))}"
        raise found.options.wrong(listed, message)


# -- sharding, recompute, context, overlap


def _sharding(found: Found, cp: int) -> None:
    options = found.options
    zero = 1 if options.flag("use-distributed-optimizer") else 0
    fsdp = options.find(*FSDP)
    strategy = options.one_of(tuple(SHARDING), "data-parallel-sharding-strategy")
    if fsdp is not None:
        torch = fsdp.name.lstrip("-").replace("_", "-") == "use-torch-fsdp2"
        zero = 3 if torch else SHARDING[strategy or "no_shard"]
    elif strategy is not None:
        found.notes.append("the sharding strategy is not used: the file has no --use-megatron-fsdp")
    found.put("zero", zero, "data-parallel-sharding-strategy", *FSDP, "use-distributed-optimizer")
    copies = options.whole("num-distributed-optimizer-instances", high=MOST) or 1
    dp, shard = found.fields.get("dp"), 0
    if copies > 1 and dp is not None:
        if (dp * cp) % copies:
            raise options.wrong(
                "num-distributed-optimizer-instances", f"{copies} does not divide dp x cp ({dp * cp} chips)"
            )
        shard = dp * cp // copies if zero == 3 else 0
    if copies > 1 and not shard:
        where = options.where("num-distributed-optimizer-instances")
        found.warnings.append(f"{where}: several copies of sharded optimizer state are counted as one")
    if shard and options.one_of(("no_shard", "optim"), "outer-dp-sharding-strategy") == "optim":
        where = options.where("outer-dp-sharding-strategy")
        found.warnings.append(f"{where}: optimizer state sharded over all copies is counted as held by each")
    found.put("shard", shard, "num-distributed-optimizer-instances")


def _recompute(found: Found) -> None:
    options = found.options
    kind = options.one_of(("full", "selective"), "recompute-granularity")
    method = options.one_of(("uniform", "block"), "recompute-method")
    number = options.whole("recompute-num-layers", low=0, high=10_000)
    modules = options.find("recompute-modules")
    if kind is None and options.flag("recompute-activations"):
        kind = "selective"
    code, layers = records.RECOMPUTE_NONE, 0
    if kind == "selective":
        code = records.RECOMPUTE_SELECTIVE
        if modules is not None:
            named = ", ".join(clean(each) for each in modules.values[:8])
            found.notes.append(f"recompute of {named} is counted as selective")
    elif kind == "full" and method == "block":
        code, layers = records.RECOMPUTE_BLOCK, (1 if number is None else number) * found.fields["vpp"]
        if not layers:
            code = records.RECOMPUTE_NONE
    elif kind == "full":
        if method is None and options.find("num-layers"):
            raise options.wrong("recompute-granularity", "full recompute needs --recompute-method uniform or block")
        code = records.RECOMPUTE_FULL
    found.put("recompute", code, "recompute-granularity", "recompute-activations")
    found.put("recompute_layers", layers, "recompute-num-layers")


def _context(found: Found, cp: int) -> None:
    options = found.options
    kind, other = records.CP_RING, options.find("cp-comm-type")
    if other is not None and cp > 1:
        spelt = set(other.values)
        if spelt == {"a2a"}:
            kind = records.CP_ALL_TO_ALL
        elif spelt != {"p2p"}:
            said = ", ".join(clean(each) for each in sorted(spelt)[:4])
            where = options.where("cp-comm-type")
            found.warnings.append(f"{where}: context parallelism by {said} is counted as a ring")
    algorithm = options.text("context-parallel-algo")
    if algorithm == "ulysses_cp_algo":
        kind = records.CP_ALL_TO_ALL
    elif algorithm is not None and algorithm != "megatron_cp_algo" and cp > 1:
        where = options.where("context-parallel-algo")
        found.warnings.append(f"{where}: {shown(algorithm)} is counted as a ring")
    found.put("cp_kind", kind if cp > 1 else records.CP_RING, "cp-comm-type", "context-parallel-algo")


def _overlap(found: Found, tp: int) -> None:
    options = found.options
    hidden = options.flag("tp-comm-overlap", "use-ascend-mc2", "use-ascend-coc")
    found.put("tp_overlap", int(hidden or tp == 1), "tp-comm-overlap", "use-ascend-mc2", "use-ascend-coc")
    found.put("dp_overlap", int(options.flag("overlap-grad-reduce")), "overlap-grad-reduce")
    options.flag("overlap-param-gather")


# -- rules

# The option whose line a broken rule is told at.
_RULE_OPTIONS: Final = {
    rules.TP_HEADS: "tensor-model-parallel-size",
    rules.TP_KV_HEADS: "tensor-model-parallel-size",
    rules.TP_LINEAR_HEADS: "tensor-model-parallel-size",
    rules.TP_WIDTH: "tensor-model-parallel-size",
    rules.TP_SHARED_WIDTH: "tensor-model-parallel-size",
    rules.NO_EXPERTS: "expert-model-parallel-size",
    rules.EP_EXPERTS: "expert-model-parallel-size",
    rules.ETP_WIDTH: "expert-tensor-parallel-size",
    rules.CP_LENGTH: "context-parallel-size",
    rules.CP_HEADS: "context-parallel-size",
    rules.SEQUENCE: "sequence-parallel",
    rules.EP_GROUP: "expert-model-parallel-size",
    rules.BATCH: "global-batch-size",
    rules.SHARD_GROUP: "num-distributed-optimizer-instances",
    rules.PP_LAYERS: "pipeline-model-parallel-size",
}


def check(found: Found, model: records.Model, seq_len: int, global_batch: int) -> None:
    """Raise WrongInput, with the line, for a whole plan that breaks a rule of parallel training."""
    plan = records.Plan(**found.fields)
    job = records.Job(seq_len, global_batch)
    n_chips = plan.tp * plan.pp * plan.cp * plan.dp
    broken = rules.broken_rule(plan, model, job, n_chips)
    if broken:
        name = _RULE_OPTIONS.get(broken, "pipeline-model-parallel-size")
        message = rules.sentence(broken, plan, model, job, n_chips)
        raise found.options.wrong(found.options.find(name) or name, message)


# -- writing


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one tool cannot do of a plan."""

    tool: str

    def of(self, option: str, why: str, fix: str = "") -> PlanRefused:
        """The error that names the field of the plan, and what to hold of the plan so that it can be exported."""
        hint = f"--plan {fix}" if fix else "hold another value with --plan"
        return PlanRefused(f"--export {self.tool}: {option}: {why}", hint=hint)


def space_of(*schedules: int) -> tuple[Box, ...]:
    """What the Megatron family can run: with its own pipeline, or with the weights sharded and none."""
    anywhere = (
        Rule("schedule", schedules, "the tool has no such schedule"),
        Rule("tp_overlap", (0,), "overlap of tensor parallelism needs sequence parallelism", _NO_SEQUENCE),
    )
    whole = Rule("zero", (1, 0), "sharded gradients and weights go with no pipeline")
    alone = Rule("pp", (1,), "sharded gradients and weights go with no pipeline")
    state = Rule("zero", (1,), "offload needs the distributed optimizer", (("offload", 1),))
    return (*anywhere, whole, state), (*anywhere, alone, state)


_NO_SEQUENCE: Final = (("sequence_parallel", 0),)
SPACE: Final = space_of(records.SCHEDULE_1F1B)


def parallel_arguments(plan: records.Plan, model: records.Model, tool: str) -> list[str]:
    """The options of the parallel plan, one text each. Raises WrongInput for what Megatron lacks."""
    refused = Refusal(tool)
    names = records.SCHEDULE_NAMES
    if plan.schedule not in (records.SCHEDULE_1F1B, records.SCHEDULE_DUALPIPE) or (
        plan.schedule == records.SCHEDULE_DUALPIPE and tool != "mindspeed-llm"
    ):
        raise refused.of(
            "schedule", f"{tool} has no {names[plan.schedule]} schedule, only 1f1b and interleaved", "schedule=1f1b"
        )
    said = [
        f"--tensor-model-parallel-size {plan.tp}",
        f"--pipeline-model-parallel-size {plan.pp}",
        f"--context-parallel-size {plan.cp}",
    ]
    if model.n_moe_layers:
        said += [f"--expert-model-parallel-size {plan.ep}", f"--expert-tensor-parallel-size {plan.etp}"]
    if plan.sequence_parallel and plan.tp > 1:
        said.append("--sequence-parallel")
    if plan.tp > 1 and not plan.sequence_parallel and model.n_moe_layers:
        raise refused.of(
            "sequence_parallel", "experts with tensor parallelism need --sequence-parallel", "sequence_parallel=yes"
        )
    said += stage_arguments(plan, model)
    ascend, across = tool == "mindspeed-llm", plan.cp_kind == records.CP_ALL_TO_ALL
    if plan.cp > 1 and ascend:
        said.append(f"--context-parallel-algo {'ulysses_cp_algo' if across else 'megatron_cp_algo'}")
    elif plan.cp > 1:
        said.append(f"--cp-comm-type {'a2a' if across else 'p2p'}")
    if plan.tp_overlap and plan.tp > 1:
        if not plan.sequence_parallel:
            raise refused.of("tp_overlap", "overlap of tensor parallelism needs sequence parallelism", "tp_overlap=no")
        said.append("--use-ascend-mc2" if ascend else "--tp-comm-overlap")
    return said


def stage_arguments(plan: records.Plan, model: records.Model) -> list[str]:
    """How layers are given out to stages and chunks: evenly where that goes, else one by one in a layout."""
    if plan.pp == 1:
        return []
    n_chunks = plan.pp * plan.vpp
    if plan.schedule == records.SCHEDULE_DUALPIPE:
        return ["--schedules-method dualpipev", "--moe-fb-overlap"]
    if model.n_mtp_layers or n_slots(model) % n_chunks:
        text = layout.layout_text(model.n_layers, model.n_mtp_layers, n_chunks)
        return [f"--pipeline-model-parallel-layout '{text}'"]
    return [f"--num-virtual-stages-per-pipeline-rank {plan.vpp}"] if plan.vpp > 1 else []


def sharding_arguments(plan: records.Plan, tool: str) -> list[str]:
    """The options of ZeRO, overlap of gradients and offload. Raises WrongInput for what Megatron lacks."""
    refused = Refusal(tool)
    said = ["--use-distributed-optimizer"] if plan.zero else []
    if plan.zero > 1:
        if plan.pp > 1:
            raise refused.of("zero", f"{plan.zero}: --use-megatron-fsdp has no pipeline", "zero=1")
        strategy = next(name for name, stage in SHARDING.items() if stage == plan.zero)
        said += ["--use-megatron-fsdp", f"--data-parallel-sharding-strategy {strategy}"]
        said += ["--ckpt-format fsdp_dtensor", "--no-gradient-accumulation-fusion"]
    if plan.shard:
        copies = plan.dp * plan.cp // plan.shard
        said += [f"--num-distributed-optimizer-instances {copies}", "--outer-dp-sharding-strategy no_shard"]
        if copies == 1 and plan.shard != plan.dp * plan.cp:
            raise refused.of("shard", f"{plan.shard} does not divide dp x cp")
    if plan.dp_overlap:
        said += ["--overlap-grad-reduce", *(["--overlap-param-gather"] if plan.zero else [])]
    if plan.offload:
        if plan.zero != 1:
            raise refused.of("offload", "--optimizer-cpu-offload needs the distributed optimizer", "zero=1")
        ascend = tool == "mindspeed-llm"
        said += ["--swap-optimizer"] if ascend else ["--optimizer-cpu-offload", "--use-precision-aware-optimizer"]
    return said


def recompute_arguments(plan: records.Plan, modules: Sequence[str], tool: str) -> list[str]:
    """The options of recompute. `modules` are what selective recompute stands for."""
    if plan.recompute == records.RECOMPUTE_SELECTIVE:
        return ["--recompute-granularity selective", f"--recompute-modules {' '.join(modules)}"]
    if plan.recompute == records.RECOMPUTE_FULL:
        return ["--recompute-granularity full", "--recompute-method uniform", "--recompute-num-layers 1"]
    if plan.recompute == records.RECOMPUTE_BLOCK:
        if plan.recompute_layers % plan.vpp:
            raise Refusal(tool).of(
                "recompute_layers", f"{plan.recompute_layers} does not divide over the {plan.vpp} chunks of a stage"
            )
        number = plan.recompute_layers // plan.vpp
        return ["--recompute-granularity full", "--recompute-method block", f"--recompute-num-layers {number}"]
    return []
