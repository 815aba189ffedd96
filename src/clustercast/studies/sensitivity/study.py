"""The study: a question at its best plan, its numbers moved, and what moves the answer most."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clustercast import progress, records
from clustercast.catalog import constants
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates import serving as serving_half
from clustercast.estimates import training as training_half
from clustercast.estimates.job import bought, rent
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.ranges import HARDWARE, Parameter
from clustercast.plans import search, text
from clustercast.studies.sensitivity import methods
from clustercast.studies.sensitivity.model import (
    NEEDS_POWER,
    OUTPUTS,
    SERVING,
    TRAINING,
    Money,
    Problem,
    Replicas,
    Run,
    ServingCase,
    TrainingCase,
    Unit,
)
from clustercast.studies.sensitivity.parameters import all_parameters, chosen, layout_text, values, varied
from clustercast.studies.sensitivity.result import (
    METHODS,
    MORRIS,
    SOBOL,
    TORNADO,
    Answered,
    Effect,
    Pair,
    Sensitivity,
    Spread,
    Swing,
)

if TYPE_CHECKING:
    import numpy as np

MOST = 12  # parameters that Sobol takes, and of which the plan is searched again, where nobody says
MOST_SEED = 2**31
LEAST_SWING = 1e-9  # of the answer: less is rounding


@dataclass(frozen=True, slots=True)
class SensitivityAsked:
    """What the user asks: a question as for `estimate`, and how it is to be moved."""

    question: Asked
    of: tuple[str, ...] = ("days",)
    method: str = TORNADO
    n: int | None = None  # model evaluations, about
    seed: int = 0
    parameters: tuple[str, ...] = ()
    most: int | None = None
    replan: bool = False


def sensitivity(asked: SensitivityAsked) -> Sensitivity:
    """What moves the answer. Raises WrongInput for what is wrong; NoAnswer where the question has none."""
    started = time.perf_counter()
    half = check(asked)
    question = fill(asked.question)
    warnings = list(question.warnings)
    if half == TRAINING:
        problem = training_problem(question)
    else:
        problem, remark = serving_problem(question)
        warnings += [remark] if remark else []
    units = {name: OUTPUTS[name] for name in asked.of}
    if problem.case.setting.chip.peak_w <= 0.0 and any(each.field in NEEDS_POWER for each in units.values()):
        raise NoAnswer(f"the power of {question.chip.name} is not known", hint="--set chip.power=700W")
    found = chosen(question, all_parameters(question, problem), asked.parameters)
    if not found:
        raise NoAnswer("no parameter of this question has a range", hint="give one with --param NAME=low..high")
    if asked.method == TORNADO:
        told = tornado(asked, question, problem, found, units)
    else:
        told = sampled(asked, problem, found, units)
    usual = problem.at((), ())
    return Sensitivity(
        method=asked.method,
        half=half,
        chip=question.chip.name,
        chip_name=question.chip.full_name,
        count=question.n_chips,
        model=question.model.name,
        model_name=question.model.full_name,
        precision=question.precision,
        plan=layout_text(problem.plan),
        batch=None if half == TRAINING else int(problem.case.replicas.batch),
        seed=asked.seed,
        n_asked=asked.n,
        evaluations=told.evaluations,
        infeasible=told.infeasible,
        parameters=tuple(varied(each) for each in told.parameters),
        held=told.held,
        outputs=tuple(
            Answered(name, unit.title, unit.unit, read(unit, usual), told.effects[name], told.pairs.get(name, ()),
                     told.sampled.get(name))
            for name, unit in units.items()
        ),
        warnings=tuple(warnings),
        wall_s=time.perf_counter() - started,
    )  # fmt: skip


def check(asked: SensitivityAsked) -> str:
    """The half that answers. Raises WrongInput for what the study cannot do."""
    if asked.method not in METHODS:
        raise WrongInput(f"--method: expected {', '.join(METHODS)}, got {asked.method!r}")
    if not asked.of:
        raise WrongInput(f"--of: expected one or more of {', '.join(OUTPUTS)}")
    halves: set[str] = {constants.named("output", name, OUTPUTS).half for name in asked.of}
    if len(halves) > 1:
        raise WrongInput("--of: outputs of training and of serving do not go together", hint="ask twice")
    if asked.most is not None and asked.most < 1:
        raise WrongInput(f"--most: expected a whole number from 1, got {asked.most}")
    if not 0 <= asked.seed <= MOST_SEED:
        raise WrongInput(f"--seed: expected a whole number from 0 to {MOST_SEED:,}, got {asked.seed}")
    methods.check_number(asked.n)
    if asked.method == TORNADO and asked.n is not None:
        raise WrongInput("--n: a tornado tries both ends of each parameter, no more", hint="--method sobol")
    if asked.method != TORNADO:
        if asked.replan:
            raise WrongInput("--replan: only a tornado searches the plan again", hint="leave --method out")
        methods.check_guest(asked.method)
    return halves.pop()


def money_of(question: Question) -> Money:
    """What the chip costs, before anything is moved."""
    price = {name: constants.default("price", name).value for name in Money._fields[2:-1]}
    wall = constants.default("power", "wall_over_chip").value
    return Money(rent(question)[0], bought(question)[0], **price, wall_over_chip=wall)


def training_problem(question: Question) -> Problem:
    """Training at the plan that `estimate` answers for. Raises WrongInput and NoAnswer."""
    if question.silicon.recipe.serving_only:
        raise NoAnswer(f"precision {question.precision} is for serving only")
    plan, _ = training_half.choose(question, text.parse(question.asked.plan))
    return Problem(TRAINING, training_case(question), plan)


def training_case(question: Question) -> TrainingCase:
    """Every number that training depends on, the plan apart."""
    usual = {
        field: constants.default("power" if field in ("pue", "grid_kg_per_kwh") else "reliability", field).value
        for field in Run._fields[2:]
    }
    run = Run(tokens=question.tokens, n_chips=float(question.n_chips), **usual)
    return records.as_declared(TrainingCase(question.setting(), run, money_of(question)))


def serving_problem(question: Question) -> tuple[Problem, str]:
    """Serving with the layout and the batch that `estimate` answers for, and its remark."""
    setting = question.serving_setting()
    plan, size, batch, remark = serving_half.choose(question, setting)
    job = serving_half.job_of(question, batch)
    return _served(question, setting, job, plan, size), remark


def _served(
    question: Question,
    setting: records.ServingSetting,
    job: records.ServingJob,
    plan: records.ServingPlan,
    size: int,
) -> Problem:
    n_replicas = question.n_chips // size
    total = float(question.asked.batch or job.batch * n_replicas)
    replicas = Replicas(float(question.n_chips), float(n_replicas), total)
    case = records.as_declared(ServingCase(setting, job, replicas, money_of(question)))
    return Problem(SERVING, case, plan)


def read(unit: Unit, outcome: Any) -> float:
    """One output of an outcome, in its unit."""
    value = float(getattr(outcome, unit.field)) * unit.factor
    return value / float(getattr(outcome, unit.over)) if unit.over else value


def column(unit: Unit, fields: Sequence[str], outcomes: "np.ndarray") -> "np.ndarray":
    """The same of a table of outcomes."""
    found: np.ndarray = outcomes[:, fields.index(unit.field)] * unit.factor
    return found / outcomes[:, fields.index(unit.over)] if unit.over else found


@dataclass(frozen=True, slots=True)
class Told:
    """What a method says, by output."""

    parameters: list[Parameter]
    effects: dict[str, tuple[Effect, ...]]
    pairs: dict[str, tuple[Pair, ...]]
    sampled: dict[str, Spread | None]
    held: tuple[str, ...]
    evaluations: int
    infeasible: float


def tornado(
    asked: SensitivityAsked, question: Question, problem: Problem, found: list[Parameter], units: dict[str, Unit]
) -> Told:
    """Each parameter alone at both ends of its range; the plan held, and searched again where that is asked."""
    usual = problem.at((), ())
    ends = [tuple(problem.at((one,), (end,)) for end in (one.number.low, one.number.high)) for one in found]
    misfits = sum(done.memory_bytes > done.capacity_bytes for both in ends for done in both)

    def swing(place: int, unit: Unit) -> float:
        reached = [read(unit, usual), *(read(unit, done) for done in ends[place])]
        far = methods.relative(max(reached) - min(reached), reached[0])
        return far if far > LEAST_SWING else 0.0

    order = sorted(range(len(found)), key=lambda place: -max(swing(place, unit) for unit in units.values()))
    again: dict[int, list[tuple[Any, str | None]]] = {}
    if asked.replan:
        most = MOST if asked.most is None else asked.most
        tried = [place for rank, place in enumerate(order) if rank < most or found[place].group == HARDWARE]
        for place in progress.track(tried, "plans searched again"):
            one = found[place]
            if any(each.path[0] in ("setting", "job", "replicas") for each in one.places):
                again[place] = [replanned(question, problem, one, end) for end in (one.number.low, one.number.high)]
    effects: dict[str, tuple[Effect, ...]] = {}
    for name, unit in units.items():
        rows: list[Swing] = []
        for place, one in enumerate(found):
            low, high = ends[place]
            (low_done, low_plan), (high_done, high_plan) = again.get(place, [(None, None), (None, None)])
            rows.append(
                Swing(
                    one.name, read(unit, low), read(unit, high),
                    low.memory_bytes <= low.capacity_bytes, high.memory_bytes <= high.capacity_bytes,
                    swing(place, unit), place in again,
                    None if low_done is None else read(unit, low_done),
                    None if high_done is None else read(unit, high_done),
                    low_plan, high_plan,
                )
            )  # fmt: skip
        rows.sort(key=lambda row: -row.swing)
        effects[name] = tuple(rows)
    return Told(found, effects, {}, {}, (), 2 * len(found) + 1, misfits / (2 * len(found)))


def replanned(question: Question, problem: Problem, one: Parameter, end: float) -> tuple[Any, str | None]:
    """The outcome and the plan where the best plan is searched again with one parameter at an end; none if none fits.

    What the user fixed stays. A layout for serving is chosen as `estimate` chooses it: with a batch that was given
    the fastest, else the one with the most tokens within the default TPOT, at a batch of its own.
    """
    case = problem.case_at((one,), (end,))
    if problem.half == TRAINING:
        best = search.fastest(case.setting, question.n_chips, text.parse(question.asked.plan))
        if not best.plans:
            return None, None
        moved = replace(problem, case=case, plan=best.plans[0])
        return moved.at((), ()), layout_text(moved.plan)
    batch = None if question.asked.batch is None else int(case.replicas.batch)
    then = replace(
        question,
        input_len=case.job.input_len,
        output_len=case.job.output_len,
        asked=replace(question.asked, batch=batch),
    )
    try:
        plan, size, own, _ = serving_half.choose(then, case.setting)
    except NoAnswer:
        return None, None
    job = serving_half.job_of(then, own)
    moved = _served(then, case.setting, job, plan, size)
    moved = replace(moved, case=moved.case._replace(money=case.money))
    return moved.at((), ()), layout_text(plan)


def sampled(asked: SensitivityAsked, problem: Problem, found: list[Parameter], units: dict[str, Unit]) -> Told:
    """All parameters at once, over the whole of their ranges."""
    held: tuple[str, ...] = ()
    evaluations = 0
    most = asked.most if asked.most is not None else None if asked.parameters else MOST
    if asked.method == SOBOL and most is not None and len(found) > most:
        order, evaluations = screening(asked, problem, found, units)
        held = tuple(each.name for each in order[most:])
        found = order[:most]
    cube = (methods.sobol_cube if asked.method == SOBOL else methods.morris_cube)(len(found), asked.n, asked.seed)
    outcomes, answers, fits = answered(problem, found, units, cube)
    names = [each.name for each in found]
    effects: dict[str, tuple[Effect, ...]] = {}
    pairs: dict[str, tuple[Pair, ...]] = {}
    for name, column_of in answers.items():
        if asked.method == MORRIS:
            effects[name] = methods.screened(names, cube, column_of, asked.seed)
        else:
            effects[name], pairs[name] = methods.shares(names, column_of, asked.seed)
    told = {} if asked.method == MORRIS else {name: methods.spread(each[fits]) for name, each in answers.items()}
    infeasible = 1.0 - float(fits.mean())
    return Told(found, effects, pairs, told, held, evaluations + len(outcomes), infeasible)


def answered(
    problem: Problem, found: Sequence[Parameter], units: dict[str, Unit], cube: "np.ndarray"
) -> "tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]":
    """Outcomes of samples of the unit cube, each output of them, and at which of them the plan fits."""
    outcomes = problem.many(found, values(found, cube))
    fields = problem.fields
    answers = {name: column(unit, fields, outcomes) for name, unit in units.items()}
    for name, each in answers.items():
        methods.check_finite(each, OUTPUTS[name].title)
    fits = outcomes[:, fields.index("memory_bytes")] <= outcomes[:, fields.index("capacity_bytes")]
    return outcomes, answers, fits


def screening(
    asked: SensitivityAsked, problem: Problem, found: list[Parameter], units: dict[str, Unit]
) -> tuple[list[Parameter], int]:
    """All parameters, by Morris, those that move any of the outputs most first; and the evaluations it took."""
    cube = methods.morris_cube(len(found), None, asked.seed)
    outcomes, answers, _ = answered(problem, found, units, cube)
    names = [each.name for each in found]
    usual = problem.at((), ())
    reach = dict.fromkeys(names, 0.0)
    for name, unit in units.items():
        for one in methods.screened(names, cube, answers[name], asked.seed):
            reach[one.parameter] = max(reach[one.parameter], methods.relative(one.mu_star, read(unit, usual)))
    return sorted(found, key=lambda each: -reach[each.name]), len(outcomes)
