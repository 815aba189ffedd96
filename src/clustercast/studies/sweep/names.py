"""Which names an axis may have: names of the catalogue, whole numbers, the plan's dimensions, and every number."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from clustercast import records
from clustercast.errors import ClustercastError, WrongInput
from clustercast.studies.sweep.space import NAME, NUMBER, PLAN, SERVING, TRAINING, WHOLE

if TYPE_CHECKING:
    from clustercast.estimates.question import Asked
    from clustercast.estimates.ranges import Parameter

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
    from clustercast.studies.sensitivity.model import Problem
    from clustercast.studies.sensitivity.parameters import all_parameters
    from clustercast.studies.sensitivity.study import training_case
    from clustercast.studies.sweep import frames

    first: ClustercastError | None = None
    for each in asked:
        try:
            question = fill(each)
            case: Any = training_case(question) if about == TRAINING else frames.serving_case(question)
        except ClustercastError as error:
            first = first or error
            continue
        plan: Any = frames.NEUTRAL if about == TRAINING else frames.ONE_REPLICA
        found = all_parameters(question, Problem(about, case, plan))
        return {one.name: one for one in found if not one.name.startswith(WORKLOAD)}
    if first is not None:
        raise first
    return {}
