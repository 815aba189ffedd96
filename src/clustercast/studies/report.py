"""Everything that a report shows of one question: the answers of the package's own verbs, put together."""

import math
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from clustercast import progress, records
from clustercast.display import Notebook
from clustercast.errors import ClustercastError, NoAnswer, WrongInput
from clustercast.estimates import operations, serving, stages, timeline, training
from clustercast.estimates.answer import estimate
from clustercast.estimates.operations import Operations, Roof
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Estimate
from clustercast.estimates.stages import Stages
from clustercast.estimates.timeline import Timeline
from clustercast.plans import text
from clustercast.studies.compare import CompareAsked, Comparison, compare
from clustercast.studies.plan import PlanRanking, rank
from clustercast.studies.rules import RulesResult, evaluate
from clustercast.studies.sensitivity import Sensitivity, SensitivityAsked, sensitivity
from clustercast.studies.serving.crossover import Crossover, CrossoverAsked, crossover
from clustercast.studies.serving.split import settings_of
from clustercast.studies.why import Why, why

if TYPE_CHECKING:
    from clustercast.studies.launch.launch import TrainingLaunch

SCHEMA: Final = "clustercast.report/1"
MOST_CHIPS: Final = 6
TWO: Final = 2


@dataclass(frozen=True, slots=True)
class OfChip:
    """What is said of one chip."""

    estimate: Estimate
    operations: Operations
    rules: RulesResult


@dataclass(frozen=True, slots=True)
class Report(Notebook):
    """A question and the answers to it. The first chip is looked at closely, the others stand beside it."""

    title: str
    chips: tuple[OfChip, ...]
    why: Why | None
    ranking: PlanRanking | None
    stages: Stages | None
    timeline: Timeline | None
    sensitivity: Sensitivity | None
    crossover: Crossover | None
    comparison: Comparison | None
    reasons: dict[str, str]  # what has no answer, and why
    commands: tuple[str, ...]  # that give the same numbers
    version: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {"schema": SCHEMA} | asdict(self)


def report(
    chips: tuple[str, ...],
    asked: Asked,
    *,
    calibration: tuple[str, ...] = (),
    launch: "TrainingLaunch | None" = None,
    launch_file: str | None = None,
) -> Report:
    """Ask every verb about a question.

    chips   the first one is looked at closely
    asked   the question; its chip is not read, its settings may name one of several chips: "h20.hbm_bandwidth=6TB/s"
    launch  what a launch file said, already part of `asked`; launch_file is its path

    Raises WrongInput, and NoAnswer where no chip has an answer. A part without an answer is left out with its reason.
    """
    from clustercast import __version__

    if not chips:
        raise WrongInput("--chip: expected at least one name")
    if len(chips) > MOST_CHIPS or len(set(chips)) < len(chips):
        raise WrongInput(f"--chip: expected at most {MOST_CHIPS} different names, got {len(chips)}")
    questions = tuple(questions_of(chips, asked))
    reasons: dict[str, str] = {}
    answered = answers(questions, reasons, launch)
    main, first = answered[0]
    trains = first.estimate.training is not None
    held = replace(main, plan=first.estimate.training.plan_text if first.estimate.training else main.plan)
    other = questions[1].chip if len(questions) == TWO and not questions[1].settings else None
    of = "days" if trains else "tpot"
    asks: dict[str, Callable[[], Any]] = {"why": lambda: why(main, other)}
    if trains:
        asks |= {"plan": lambda: rank(main), "pipeline": lambda: pipeline_of(held)}
    asks["sensitivity"] = lambda: sensitivity(SensitivityAsked(main, (of,)))
    if len(chips) == TWO:
        asks["crossover"] = lambda: crossover(crossing(questions))
    if len(chips) > 1:
        asks["compare"] = lambda: compare(comparing(chips, asked))
    found: dict[str, Any] = {}
    for name, ask in progress.track(list(asks.items()), "parts of the report"):
        try:
            found[name] = ask()
        except ClustercastError as error:  # what the question fixes may not be a question for this verb
            reasons[name] = error.message
    drawn = found.get("pipeline", (None, None))
    return Report(
        title=title_of(first.estimate, len(answered)),
        chips=tuple(each for _, each in answered),
        why=found.get("why"),
        ranking=found.get("plan"),
        stages=drawn[0],
        timeline=drawn[1],
        sensitivity=found.get("sensitivity"),
        crossover=found.get("crossover"),
        comparison=found.get("compare"),
        reasons=reasons,
        commands=tuple(commands(chips, asked, questions, calibration, launch_file, trains=trains)),
        version=__version__,
    )


def answers(
    questions: tuple[Asked, ...], reasons: dict[str, str], launch: "TrainingLaunch | None"
) -> list[tuple[Asked, OfChip]]:
    """What each chip answers; one without an answer is left out, its reason kept. Raises NoAnswer if none has one."""
    found: list[tuple[Asked, OfChip]] = []
    missing: list[NoAnswer] = []
    for one in progress.track(questions, "chips"):
        try:
            found.append((one, of_chip(one, launch)))
        except NoAnswer as error:
            reasons[one.chip] = error.message
            missing.append(error)
    if not found:
        raise missing[0]
    return found


def questions_of(chips: tuple[str, ...], asked: Asked) -> Iterator[Asked]:
    """The question of each chip, with its own settings; those of the job belong to all."""
    if len(chips) == 1:
        yield replace(asked, chip=chips[0])
        return
    jobs = tuple(each for each in asked.settings if each.strip().startswith("job."))
    for chip, own in zip(chips, settings_of(asked.settings, chips), strict=True):
        yield replace(asked, chip=chip, settings=(*own, *jobs))


def of_chip(asked: Asked, launch: "TrainingLaunch | None") -> OfChip:
    """Estimate, operations and rules of one chip."""
    answer = estimate(asked)
    if launch is not None:
        from clustercast.studies.launch.training import with_launch

        answer = with_launch(answer, launch)
    own = tuple(each for each in asked.settings if each.strip().startswith("chip."))
    return OfChip(answer, operations_of(asked, answer), evaluate(asked.chip, None, own))


def operations_of(asked: Asked, answer: Estimate) -> Operations:
    """The operations of an estimate's own plans."""
    question = fill(asked)
    found: list[operations.Operation] = []
    roofs: list[Roof] = []
    if answer.training:
        setting = question.setting()
        found += operations.of_training(setting, plan_of(setting, answer.training.plan_text))
        roofs.append(roof_of(question, operations.TRAINING, setting.chip, "matmul"))
    if answer.serving:
        served = question.serving_setting()
        layout = records.ServingPlan(*(int(answer.serving.plan[name]) for name in records.ServingPlan._fields))
        found += operations.of_serving(served, layout, serving.job_of(question, answer.serving.batch_per_replica))
        roofs += [roof_of(question, phase, served.chip, "matmul") for phase in (operations.PREFILL, operations.DECODE)]
    first = found[0].phase if found else ""
    idle = math.fsum(each.share for each in found if each.phase == first and each.flop <= 0.0)
    return Operations(answer.chip, tuple(found), tuple(roofs), idle)


def roof_of(question: Question, phase: str, chip: records.Chip, operation: str) -> Roof:
    """The datasheet's roof over the main matmuls of a phase."""
    label = question.silicon.recipe.formats[operation]
    if phase != operations.TRAINING and chip.matmul_flop_per_s != question.silicon.chip.matmul_flop_per_s:
        label = f"{label}, serving"
    return Roof(phase, f"{label} peak", chip.matmul_flop_per_s, chip.hbm_bytes_per_s)


def plan_of(setting: records.Setting, plan_text: str) -> records.Plan:
    """A whole plan from its text."""
    return training.given(setting, text.parse(plan_text))


def pipeline_of(held: Asked) -> tuple[Stages, Timeline | None]:
    """Stages and timeline of the plan that a question holds."""
    question = fill(held)
    setting = question.setting()
    plan = plan_of(setting, held.plan)
    name = question.chip.name
    return stages.stages(name, setting, plan), timeline.timeline(name, setting, plan)


def crossing(questions: tuple[Asked, ...]) -> CrossoverAsked:
    """The crossover of two chips for the same model."""
    one, two = questions
    assert isinstance(one.model, str)
    own, others = (tuple(each for each in asked.settings if not each.startswith("job.")) for asked in questions)
    return CrossoverAsked(
        one.chip, two.chip, one.model, precision=one.precision, engine=one.engine, settings=own, other_settings=others
    )


def comparing(chips: tuple[str, ...], asked: Asked) -> CompareAsked:
    """All chips side by side on equal cards."""
    assert isinstance(asked.model, str)
    return CompareAsked(
        chips, (asked.model,), asked.n_chips, price=asked.price, precision=asked.precision, tokens=asked.tokens,
        global_batch=asked.global_batch, seq_len=asked.seq_len, input_len=asked.input_len, output_len=asked.output_len,
        batch=asked.batch, engine=asked.engine, settings=tuple(settings_of(asked.settings, chips)),
    )  # fmt: skip


def title_of(first: Estimate, n_chips: int) -> str:
    """The question in a few words."""
    beside = f" and {n_chips - 1} more" if n_chips > 1 else ""
    return f"{first.model} on {first.count:,} {first.chip}{beside}"


def commands(
    chips: tuple[str, ...],
    asked: Asked,
    questions: tuple[Asked, ...],
    calibration: tuple[str, ...],
    launch: str | None,
    *,
    trains: bool,
) -> Iterator[str]:
    """The command lines that give the numbers of the report, safe to paste into a shell."""
    laid = [("--calibration", each) for each in calibration]
    given = [("--launch", launch)] if launch else []
    whole = [*options(replace(asked, chip=",".join(chips))), *given, *laid]
    yield line("report", whole)
    for one in questions:
        yield line("estimate", [*options(one), *given, *laid])
    main = [*options(replace(questions[0], price="rent")), *laid]
    if launch:
        return
    other = [("--other", questions[1].chip)] if len(questions) == TWO and not questions[1].settings else []
    yield line("why", [*main, *other])
    if trains:
        yield line(
            "plan", [*(each for each in main if each[0] not in ("--isl", "--osl", "--batch", "--engine")), *laid]
        )
    yield line("sensitivity", [*main, ("--of", "days" if trains else "tpot")])
    if len(chips) > 1:
        beside = options(replace(asked, chip=",".join(chips)))
        yield line("compare", [each for each in beside if each[0] not in ("--plan", "--fabric", "--stack")] + laid)
    if len(chips) == TWO:
        two = [("--chip", chips[0]), ("--other", chips[1]), ("--model", str(asked.model))]
        two += [each for each in options(asked) if each[0] in ("--precision", "--engine")]
        yield line("crossover", [*two, *(("--set", each) for each in asked.settings), *laid])
    for one in questions:
        own = [("--set", each) for each in one.settings if each.startswith("chip.")]
        yield line("rules", [("--chip", one.chip), *own])


def options(asked: Asked) -> list[tuple[str, str]]:
    """A question as options of the command line, what is at its default left out."""
    given = [
        ("--chip", asked.chip), ("--model", str(asked.model)), ("--count", asked.n_chips), ("--tokens", asked.tokens),
        ("--gbs", asked.global_batch), ("--seq", asked.seq_len), ("--precision", asked.precision),
        ("--plan", asked.plan or None), ("--isl", asked.input_len), ("--osl", asked.output_len),
        ("--batch", asked.batch), ("--fabric", asked.fabric), ("--stack", asked.stack),
        ("--engine", asked.engine if asked.engine != Asked.__dataclass_fields__["engine"].default else None),
        ("--price", asked.price if asked.price != Asked.__dataclass_fields__["price"].default else None),
    ]  # fmt: skip
    found = [(name, f"{value:g}" if isinstance(value, float) else str(value)) for name, value in given if value]
    return [*found, *(("--set", each) for each in asked.settings)]


def line(verb: str, given: list[tuple[str, str]]) -> str:
    """One command line.

    >>> line("estimate", [("--chip", "my chip.yaml"), ("--count", "8")])
    "clustercast estimate --chip 'my chip.yaml' --count 8"
    """
    return shlex.join(["clustercast", verb, *(word for pair in given for word in pair)])
