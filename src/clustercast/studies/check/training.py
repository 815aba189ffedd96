"""A training log against the model: the question that it answers, the expected step, and what would explain another."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

from clustercast import records
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates import interval
from clustercast.estimates.calibration import changed, used
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Terms
from clustercast.estimates.training import NEEDED, choose, given, half_width_of, measured_runs
from clustercast.physics.training import training_step
from clustercast.plans import rules, text
from clustercast.studies.check import conventions, rank, training_causes
from clustercast.studies.check.result import FAST, NORMAL, SLOW, Check, Figure, Printed
from clustercast.studies.check.training_causes import Run
from clustercast.studies.launch.launch import TrainingLaunch
from clustercast.studies.launch.training import asked_with, read_training
from clustercast.studies.logs import arguments
from clustercast.studies.logs import steady as steadily
from clustercast.studies.logs.steady import Steady, Timed
from clustercast.studies.logs.training import DEEPSPEED, MEGATRON, NEMO, TORCHTITAN, Step, TrainingLog

FRAMEWORKS: Final = {MEGATRON: "Megatron-LM", TORCHTITAN: "torchtitan", NEMO: "NeMo", DEEPSPEED: "DeepSpeed"}
WHOLE: Final = ("micro_batch", "recompute", "zero")  # with tp, pp and dp: nothing is left to search


@dataclass(frozen=True, slots=True)
class Asking:
    """The question, what was said of it and what had to be assumed."""

    asked: Asked
    said: frozenset[str]  # fields of the plan, and precision
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    patterns: tuple[str, ...] = ()  # that the arguments show


def check_training(log: TrainingLog, path: Path, asked: Asked, launch: str | Path | None) -> Check:
    """A training log judged.

    launch  a launch file that says model, plan and batch

    Raises WrongInput where the log, the launch file and the user contradict one another or leave the model open.
    """
    asking = _asking(log, path, asked, launch)
    asking = _with_stack(asking, log)
    question = fill(asking.asked)
    fixed = text.parse(asking.asked.plan)
    plan, remark = _plan(question, fixed)
    setting = question.setting()
    step = training_step(setting, plan)
    timed, batches = _timed(log.steps, question)
    found = steadily.steady(timed, batches)
    patterns = (*found.patterns, *asking.patterns)
    run = Run(question, setting, plan, step, patterns, _used_fraction(log, question))
    figure = _figure(run, found, asking.said)
    left_open = [each for each in question.assumptions if each.name in OPEN]
    return Check(
        kind="training",
        file=log.file,
        tool=log.tool,
        chip=question.chip.name,
        model=question.model.name,
        count=question.n_chips,
        plan=text.as_text(plan),
        figures=(figure,),
        setup={
            "stack": question.stack.name,
            "precision": question.precision,
            "fabric": question.fabric.name,
            "global_batch": str(question.job.global_batch),
            "seq_len": str(question.job.seq_len),
        },
        steps=found,
        printed=_printed(run, log, timed, found),
        assumptions=(
            *asking.assumptions,
            *remark,
            *(f"{each.name} is {each.value}: {each.source}" for each in left_open),
        ),
        notes=(*log.notes, *asking.notes),
        warnings=(*asking.warnings, *question.warnings, *_memory(step)),
        rows=(row_of(run, log, found),),
        calibration=tuple(
            changed(part)
            for part in used(
                question.chip, question.fabric, question.silicon.recipe.formats.values(), question.stack.name, ""
            )
        ),
    )


OPEN: Final = ("fabric", "precision", "seq_len", "global_batch", "count", "stack")


def _asking(log: TrainingLog, path: Path, asked: Asked, launch: str | Path | None) -> Asking:
    """The question that log, launch file and user make together."""
    notes: list[str] = []
    warnings: list[str] = []
    said: set[str] = {*text.parse(asked.plan), *(["precision"] if asked.precision else [])}
    printed = arguments.launch_of(log, path) or arguments.said_of(log, path)
    batch = next((step.global_batch for step in reversed(log.steps) if step.global_batch), None)
    if batch is not None and printed.global_batch not in (None, batch):
        notes.append(f"the last steps have a batch of {batch}, not {printed.global_batch} as the arguments say")
    if batch is not None:
        printed = replace(printed, global_batch=batch, where=printed.where | {"global_batch": log.file})
    sources: list[TrainingLaunch] = [printed]
    if launch is not None:
        sources.append(read_training(launch))
    sources.sort(key=lambda each: each.model is None)  # a file that gives the shape first
    if not asked.model and all(each.model is None for each in sources):
        raise WrongInput(f"{log.file}: the model is not said", hint="give --model, or --launch with its launch file")
    for each in sources:
        asked = asked_with(asked, each if each.model is not None else _with_model(each, asked))
        said |= {*each.plan, *(["precision"] if each.precision else [])}
        notes += each.notes
        warnings += each.warnings
    sixteen = [log.arguments[name].value for name in ("bf16", "fp16") if name in log.arguments]
    patterns = ("32-bit",) if sixteen == ["False", "False"] else ()
    return Asking(asked, frozenset(said), (), tuple(notes), tuple(warnings), patterns)


def _with_model(launch: TrainingLaunch, asked: Asked) -> TrainingLaunch:
    """A launch that says no model takes the one that is known."""
    return replace(launch, model=asked.model)


def _with_stack(asking: Asking, log: TrainingLog) -> Asking:
    """The software stack by tool and date, where the user names none."""
    if asking.asked.stack is not None:
        return asking
    from clustercast.studies.record import training as record

    framework = FRAMEWORKS[log.tool]
    deepspeed = log.arguments.get("deepspeed")
    if log.tool == MEGATRON and deepspeed is not None and deepspeed.value == "True":
        framework = "Megatron-DeepSpeed"
    precision = asking.asked.precision or "bf16"
    row = {"framework": framework, "date": log.date, "precision": precision, "chip": asking.asked.chip}
    name = record.stack_of(row)
    when = f" of {log.date}" if log.date else ", no date"
    said = f"stack is {name}: the log is of {framework}{when} (--stack names another)"
    return replace(asking, asked=replace(asking.asked, stack=name), assumptions=(*asking.assumptions, said))


def _plan(question: Question, fixed: dict[str, int]) -> tuple[records.Plan, tuple[str, ...]]:
    """The plan that ran. What nobody says is searched: the run is taken to have been planned well.

    A run has happened: a plan that the model holds to be too large for memory is taken all the same.
    """
    setting = question.setting()
    known = all(name in fixed and fixed[name] != text.ANY for name in NEEDED)
    if known:
        plan = given(setting, {name: code for name, code in fixed.items() if code != text.ANY})
        broken = rules.first_broken(plan, setting.model, setting.job, question.n_chips)
        if broken:
            raise WrongInput(f"plan: {broken}", hint="check the log's arguments, --count and --gbs")
        if all(name in fixed for name in WHOLE):
            return plan, ()
    try:
        plan, _ = choose(question, fixed)
    except NoAnswer:
        if not known:
            raise
    open_ = [name for name in (*NEEDED, *WHOLE) if name not in fixed]
    return plan, (f"{', '.join(open_)} of the plan: not said, the fastest that fits is taken",)


def _timed(steps: Sequence[Step], question: Question) -> tuple[list[Timed], list[int | None]]:
    """The steps in seconds; rates become times by the batch."""
    tokens = float(question.job.global_batch) * question.job.seq_len
    found = []
    for step in steps:
        if step.seconds is not None:
            seconds = step.seconds
        elif step.tokens_per_s_per_chip is not None:
            seconds = tokens / (step.tokens_per_s_per_chip * question.n_chips)
        else:
            seconds = question.job.global_batch / (step.samples_per_s or 1.0)
        found.append(Timed(step.number, seconds, step.line, step.after))
    return found, [step.global_batch for step in steps]


def _used_fraction(log: TrainingLog, question: Question) -> float | None:
    used = [step.used_bytes for step in log.steps if step.used_bytes]
    return max(used) / question.chip.value("memory.capacity") if used else None


def _figure(run: Run, found: Steady, said: frozenset[str]) -> Figure:
    """The step against what is expected of it."""
    expected = run.step.step_s
    width = half_width_of(run.question)
    low, high = interval.around(expected, width)
    judged = rank.verdict(found.median_s, low, high)
    peak = run.setting.chip.matmul_flop_per_s
    chips = run.plan.tp * run.plan.pp * run.plan.cp * run.plan.dp
    bound = run.step.model_flop / (peak * chips)
    own = measured_runs(run.question)
    figure = Figure(
        metric="step_s",
        unit="s",
        where=f"{found.n} lines, steps {found.first_step} to {found.last_step}",
        measured=found.median_s,
        expected=expected,
        low=low,
        high=high,
        verdict=judged,
        time_s={term.name: getattr(run.step, f"{term.name}_s") for term in fields(Terms)},
        bound=bound,
        beyond_bound=found.median_s < bound,
        evidence=run.question.silicon.evidence if own is None else interval.MEASURED,
    )
    if judged == NORMAL:
        return figure
    section = "training" if judged == SLOW else "training_fast"
    changes = training_causes.slower(run) if judged == SLOW else training_causes.faster(run)
    observed = [rank.Observed(found.median_s, expected, width)]
    denied = training_causes.denied(_contrary(said, run))
    tried = rank.tries(section, [changes], observed, longer=judged != FAST, denied=denied)
    return rank.rank(section, observed, tried, run.patterns)[0].of(figure)


def _contrary(said: frozenset[str], run: Run) -> list[str]:
    """What was said in so many words; silence on overlap denies nothing."""
    return [name for name in said if name not in ("tp_overlap", "dp_overlap") or int(getattr(run.plan, name, 0)) == 1]


def _printed(run: Run, log: TrainingLog, timed: Sequence[Timed], found: Steady) -> tuple[Printed, ...]:
    """What the tool says of its own rate, at the steps that count: each rate against the time of its own step."""
    inside = [
        (step, each.seconds)
        for step, each in zip(log.steps, timed, strict=True)
        if found.first_step <= step.number <= found.last_step
    ]
    rated = sorted((step.tflop_per_s * s, step.tflop_per_s, s) for step, s in inside if step.tflop_per_s)
    shared = sorted(
        (step.mfu_fraction * s, step.mfu_fraction, s, step.tflop_per_s) for step, s in inside if step.mfu_fraction
    )
    said = []
    if rated:
        _, rate, step_s = rated[len(rated) // 2]
        said.append(conventions.of_rate(run, step_s, rate))
    if shared:
        _, mfu, step_s, beside = shared[len(shared) // 2]
        said.append(conventions.of_share(run, step_s, mfu, beside))
    return tuple(said)


def _memory(step: records.Step) -> tuple[str, ...]:
    from clustercast.studies.record.training import memory_remark

    remark = memory_remark(step)
    return (f"{remark}: check the plan",) if remark else ()


def row_of(run: Run, log: TrainingLog, found: Steady) -> dict[str, str]:
    """The run as a row of the training form, for `validate` and `calibrate`."""
    model, plan, question = run.setting.model, run.plan, run.question
    moe = model.n_moe_layers > 0
    latent = model.attention == records.MLA
    cells: dict[str, object] = {
        "id": Path(log.file).stem[:64],
        "source": log.file,
        "date": log.date,
        "chip": question.chip.name,
        "n_chips": question.n_chips,
        "framework": FRAMEWORKS[log.tool],
        "model_name": question.model.name,
        "layers": model.n_layers,
        "hidden": model.hidden,
        "heads": model.n_heads,
        "kv_heads": model.n_kv_heads,
        "head_dim": model.v_head_dim,
        "ffn": model.ffn,
        "vocab": model.vocab,
        "experts": model.n_experts if moe else "",
        "topk": model.n_active_experts if moe else "",
        "moe_ffn": model.expert_ffn if moe else "",
        "shared_experts": model.shared_ffn // model.expert_ffn if moe and model.expert_ffn else "",
        "attention": "MLA" if latent else "GQA",
        "qk_head_dim": model.qk_head_dim if latent else "",
        "v_head_dim": model.v_head_dim if latent else "",
        "mlp": "gated" if model.n_mlp_matrices == 3 else "plain",
        "seq_len": run.setting.job.seq_len,
        "global_batch": run.setting.job.global_batch,
        "micro_batch": plan.micro_batch,
        "TP": plan.tp,
        "PP": plan.pp,
        "virtual_pp": plan.vpp,
        "DP": plan.dp,
        "EP": plan.ep,
        "CP": plan.cp,
        "SP": "yes" if plan.sequence_parallel else "no",
        "zero": plan.zero,
        "recompute": ("none", "selective", "full", "partial")[plan.recompute],
        "precision": question.precision,
        "metric": "iteration_s",
        "value": f"{found.median_s:.6g}",
        "complete": "yes",
    }
    return {name: str(value) for name, value in cells.items()}
