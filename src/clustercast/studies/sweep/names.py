"""Which names an axis may have: names of the catalogue, whole numbers, the plan's dimensions, and every number."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from clustercast import records
from clustercast.errors import ClustercastError, WrongInput
from clustercast.studies.sweep.space import NAME, NUMBER, PLAN, SERVING, TRAINING, WHOLE

if TYPE_CHECKING:
    from clustercast.estimates.question import Asked, Question
    from clustercast.estimates.ranges import Parameter
    from clustercast.studies.sensitivity.model import Problem

TEXTS: Final = {
    TRAINING: ("chip", "model", "fabric", "stack", "precision"),
    SERVING: ("chip", "model", "fabric", "engine", "precision"),
}
WHOLES: Final = {
    TRAINING: ("count", "tokens", "global_batch", "seq_len"),
    SERVING: ("count", "input_len", "output_len", "batch"),
}
PLANS: Final = {TRAINING: records.Plan._fields, SERVING: records.ServingPlan._fields}
WORKLOAD: Final = "workload."
TOKENS: Final = "tokens"


def kind_of(name: str, about: str) -> str:
    """The kind of an axis of this name. Raises WrongInput for a name of the other half, or of an axis by itself.

    >>> kind_of("tp", "training"), kind_of("count", "serving"), kind_of("chip.flops", "training")
    ('plan', 'whole', 'number')
    """
    for kind, tables in ((NAME, TEXTS), (WHOLE, WHOLES), (PLAN, PLANS)):
        if name in tables[about]:
            return kind
        other = SERVING if about == TRAINING else TRAINING
        if name in tables[other]:
            raise WrongInput(f"{name} is an axis of {other}, and this study is about {about}")
    if name.startswith(WORKLOAD):
        own = name.removeprefix(WORKLOAD)
        raise WrongInput("is not known", hint=f"did you mean {own}?" if own in WHOLES[about] else None)
    return NUMBER


def near(name: str, about: str, numbers: Iterable[str]) -> str:
    """What an unknown name was meant to be, or what there is."""
    import difflib

    plain = (*TEXTS[about], *WHOLES[about], *PLANS[about])
    found = difflib.get_close_matches(name, (*plain, *numbers), 1, 0.6)
    if found:
        return f"did you mean {found[0]}?"
    owner = name.partition(".")[0] + "."
    same = [each for each in numbers if each.startswith(owner)]
    return f"there are {', '.join(same or plain)}"


def numbers_of(asked: "Iterable[Asked]", about: str) -> "dict[str, Parameter]":
    """Every number that an answer depends on, by name, for the first question that can be put.

    Raises what the first question raises where none can be.
    """
    from clustercast.estimates.question import fill
    from clustercast.studies.sensitivity.parameters import all_parameters

    first: ClustercastError | None = None
    for each in asked:
        try:
            question = fill(each)
            found = all_parameters(question, problem_of(question, about))
        except ClustercastError as error:
            first = first or error
            continue
        return {one.name: one for one in found if not one.name.startswith(WORKLOAD)}
    if first is not None:
        raise first
    return {}


def problem_of(question: "Question", about: str) -> "Problem":
    """The question at the smallest plan: what its numbers are called, without a search."""
    from clustercast.catalog import constants
    from clustercast.estimates import serving as serving_half
    from clustercast.studies.sensitivity import model
    from clustercast.studies.sensitivity.study import money_of

    n_chips = float(question.n_chips)
    if about == TRAINING:
        usual = {
            field: constants.default("power" if field in ("pue", "grid_kg_per_kwh") else "reliability", field).value
            for field in model.Run._fields[2:]
        }
        run = model.Run(question.tokens, n_chips, **usual)
        case = model.TrainingCase(question.setting(), run, money_of(question))
        plan = records.Plan(*(1 if name in ONES else 0 for name in records.Plan._fields))
        return model.Problem(model.TRAINING, records.as_declared(case), plan)
    job = serving_half.job_of(question, 1.0)
    replicas = model.Replicas(n_chips, n_chips, n_chips)
    served = model.ServingCase(question.serving_setting(), job, replicas, money_of(question))
    return model.Problem(model.SERVING, records.as_declared(served), records.ServingPlan(1, 1, 1, 1, 1))


ONES: Final = ("tp", "pp", "vpp", "dp", "cp", "ep", "etp", "micro_batch")
