"""The best plans for one training question, and what speed costs in memory."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from clustercast import records
from clustercast.display import Notebook
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates import calibration, job, training
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Assumption, Terms
from clustercast.physics.job import training_s
from clustercast.physics.training import training_step
from clustercast.plans import search, text

MOST_TOP = 1000
DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class RankedPlan:
    """One plan and what it gives. The terms add up to `step_s`."""

    plan: dict[str, int | str | bool]
    plan_text: str
    step_s: float
    step_s_bracket: tuple[float, float]
    days: float
    tokens_per_s: float
    mfu: float
    memory_bytes: float
    memory_fraction: float  # of what the chip has for it
    time_s: Terms


@dataclass(frozen=True, slots=True)
class PlanRanking(Notebook):
    """The fastest plans in order, the exact Pareto set of speed against memory, and what the search looked at."""

    chip: str
    count: int
    model: str
    tokens: float
    seq_len: int
    global_batch: int
    precision: str
    n_considered: int
    n_feasible: int
    rejected: dict[str, int]
    wall_s: float
    plans: tuple[RankedPlan, ...]
    pareto: tuple[RankedPlan, ...]
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]
    calibration: tuple[str, ...] = ()  # what a user's own measurements changed
    export: str | None = None  # the tool that `launch` is for
    launch: str | None = None  # a launch file for the first plan
    fastest: RankedPlan | None = None  # the fastest of all, where the tool of `export` cannot run it

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `plan --json`."""
        return {"schema": "clustercast.plan/1"} | asdict(self)


def rank(asked: Asked, top: int = 10) -> PlanRanking:
    """The `top` fastest plans that fit, and the Pareto set of step time against memory.

    Raises WrongInput when what the user fixed breaks a rule, NoAnswer with the numbers when nothing fits.
    """
    if not 1 <= top <= MOST_TOP:
        raise WrongInput(f"--top: expected a whole number from 1 to {MOST_TOP:,}, got {top:,}")
    question = fill(asked)
    fixed = text.parse(asked.plan)
    if question.silicon.recipe.serving_only:
        raise NoAnswer(f"precision {question.precision} is for serving only")
    setting = question.setting()
    training.check_fixed(setting, fixed, question.n_chips)
    started = time.perf_counter()
    found = search.fastest(setting, question.n_chips, fixed, top)
    if not found.plans:
        training.choose(question, fixed)  # raises with the reason and the numbers
    goodput = job.goodput_of(question).fraction
    front = search.pareto(setting, question.n_chips, fixed)
    formats = question.silicon.recipe.formats.values()
    laid = calibration.used(question.chip, question.fabric, formats, question.stack.name, "")
    return PlanRanking(
        chip=question.chip.name,
        count=question.n_chips,
        model=question.model.name,
        tokens=question.tokens,
        seq_len=question.job.seq_len,
        global_batch=question.job.global_batch,
        precision=question.precision,
        n_considered=found.n_considered,
        n_feasible=found.n_feasible,
        rejected=found.rejected,
        wall_s=time.perf_counter() - started,
        plans=tuple(ranked(question, setting, plan, goodput) for plan in found.plans),
        pareto=tuple(ranked(question, setting, plan, goodput) for _, _, plan in front),
        assumptions=tuple(question.assumptions),
        warnings=tuple(question.warnings),
        calibration=tuple(map(calibration.changed, laid)),
    )


def ranked(question: Question, setting: records.Setting, plan: records.Plan, goodput: float) -> RankedPlan:
    """One plan with what it gives: its step, and the days of the whole run at this goodput."""
    step = training_step(setting, plan)
    used = plan.tp * plan.pp * plan.cp * plan.dp
    tokens_per_s = question.job.global_batch * question.job.seq_len / step.step_s
    terms = {name: getattr(step, f"{name}_s") for name in Terms.__dataclass_fields__}
    return RankedPlan(
        plan=text.as_dict(plan)
        | {
            "global_batch": question.job.global_batch,
            "precision": question.precision,
            "chips": used,
            "idle": question.n_chips - used,
        },
        plan_text=text.as_text(plan),
        step_s=step.step_s,
        step_s_bracket=(step.lower_s, step.upper_s),
        days=training_s(question.tokens, tokens_per_s, goodput) / DAY_S,
        tokens_per_s=tokens_per_s,
        mfu=step.model_flop / (step.step_s * used * setting.chip.matmul_flop_per_s),
        memory_bytes=step.memory_bytes,
        memory_fraction=step.memory_bytes / step.capacity_bytes,
        time_s=Terms(**terms),
    )
