"""The fastest plans among those that a training tool can run."""

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from clustercast import records
from clustercast.errors import NoAnswer
from clustercast.estimates import job
from clustercast.estimates.question import Asked, Question, fill
from clustercast.plans import search, text
from clustercast.studies.launch import space
from clustercast.studies.launch.launch import PlanRefused
from clustercast.studies.plan import PlanRanking, RankedPlan, rank, ranked

if TYPE_CHECKING:
    from clustercast.studies.launch.training import Tool

FIRST: Final = 16  # plans of a search that are tried at first, beyond what is to be shown
MORE: Final = 8  # times as many where the tool lacks all of them
MOST: Final = 10_000
MOST_PARETO: Final = 12
COMPILED_ABOVE: Final = 100_000  # plans of the search of all: below it plain Python is done before numba is loaded
LESS: Final = 1.0 - 1e-3  # of the memory of the last plan of a Pareto set, for the next

Timed = tuple[float, records.Plan]  # seconds of a step


def ranking(tool: "Tool", asked: Asked, top: int) -> PlanRanking:
    """The ranking of `plan` where the tool can run its fastest plan, else that of the tool's own plans.

    Raises WrongInput for what is wrong whatever the plan, NoAnswer where nothing that the tool can run fits.
    """
    whole = rank(asked, top)
    question = fill(asked)
    own = Own(tool, question, text.parse(asked.plan), compiled=whole.n_considered > COMPILED_ABOVE)
    fastest = search.fastest(question.setting(), question.n_chips, own.fixed)
    if own.runs(fastest.plans[0]):
        return whole
    started = time.perf_counter()
    found = own.fastest(top)
    if not found:
        raise NoAnswer(_none(tool.name, whole.plans[0]), numbers={"fastest_days": whole.plans[0].days})
    goodput = job.goodput_of(question).fraction
    setting = question.setting()
    own_ranking = replace(
        whole,
        plans=tuple(ranked(question, setting, plan, goodput) for _, plan in found),
        n_considered=own.n_considered,
        n_feasible=own.n_feasible,
        rejected=dict(own.rejected),
        pareto=tuple(ranked(question, setting, plan, goodput) for _, plan in own.pareto()),
        wall_s=whole.wall_s + time.perf_counter() - started,
    )
    if whole.plans[0].step_s >= own_ranking.plans[0].step_s:  # it has what a search does not try unless it is told to
        return own_ranking
    said = f"--export {tool.name}: {slower_than(tool.name, whole.plans[0])}"
    return replace(own_ranking, fastest=whole.plans[0], warnings=(*whole.warnings, said))


def slower_than(tool: str, fastest: RankedPlan) -> str:
    """The sentence about a plan that a tool cannot run, faster than what is exported."""
    return f"the fastest that {tool} can run; the fastest of all is {fastest.days:.4g} days with {fastest.plan_text}"


def _none(tool: str, fastest: RankedPlan) -> str:
    return f"no plan that {tool} can run fits; the fastest of all is {fastest.days:.4g} days with {fastest.plan_text}"


@dataclass(slots=True)
class Own:
    """The plans that a tool can run, for one question, with what the user fixed."""

    tool: "Tool"
    question: Question
    fixed: dict[str, int]
    compiled: bool  # the searches
    n_considered: int = 0
    n_feasible: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    def runs(self, plan: records.Plan) -> bool:
        """Whether the tool's writer takes a plan. Raises WrongInput for what no plan would mend."""
        try:
            self.tool.write(self.question, plan, ())
        except PlanRefused:
            return False
        return True

    def fastest(self, top: int = 1, cap_bytes: float = math.inf) -> list[Timed]:
        """Up to `top` plans in order, exactly: those behind a search's last plan are not shown before it."""
        self.n_considered, self.n_feasible, self.rejected = 0, 0, {}
        found: dict[records.Plan, float] = {}
        seen_s = math.inf  # up to here nothing is left out
        for held in space.searches(self.tool.space, self.fixed):
            best_s = min(found.values(), default=math.inf)
            taken, last_s = self._of(held, top, cap_bytes, best_s)
            found |= {plan: step_s for step_s, plan in taken}
            seen_s = min(seen_s, last_s)
        timed = sorted((step_s, plan) for plan, step_s in found.items() if step_s <= seen_s)
        return timed[:top]

    def _of(self, held: dict[str, int], top: int, cap_bytes: float, best_s: float) -> tuple[list[Timed], float]:
        """What the tool takes of one search, and the last step that was looked at; infinite where all were."""
        n = top + FIRST
        setting = self.question.setting()
        while True:
            found = search.fastest(setting, self.question.n_chips, held, n, cap_bytes, compiled=self.compiled)
            pairs = zip(found.steps_s, found.plans, strict=True)
            taken = [(step_s, space.settled(plan, self.fixed)) for step_s, plan in pairs if self.runs(plan)]
            whole = len(found.plans) < n
            if taken or whole or n >= MOST or found.steps_s[-1] >= best_s:
                break
            n = min(n * MORE, MOST)
        self.n_considered += found.n_considered
        self.n_feasible += found.n_feasible
        for reason, count in found.rejected.items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count
        return taken, math.inf if whole else found.steps_s[-1]

    def pareto(self) -> list[Timed]:
        """The exact Pareto set of speed against memory, fastest first."""
        from clustercast.physics.training import training_step

        counts = self.n_considered, self.n_feasible, self.rejected
        points: list[Timed] = []
        cap_bytes = math.inf
        while len(points) < MOST_PARETO:
            best = self.fastest(1, cap_bytes)
            if not best:
                break
            points += best
            cap_bytes = training_step(self.question.setting(), best[0][1]).memory_bytes * LESS
        self.n_considered, self.n_feasible, self.rejected = counts
        return points
