"""A frame: the names and whole numbers of a point that make a question. Many points share one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from clustercast import records
from clustercast.errors import ClustercastError, WrongInput
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.ranges import Parameter
from clustercast.estimates.training import half_width_of
from clustercast.studies.sensitivity.model import TRAINING, Problem, Replicas, ServingCase
from clustercast.studies.sensitivity.parameters import all_parameters
from clustercast.studies.sensitivity.study import money_of, training_case

# Axes that make another question; the others move numbers of one.
OF_FRAME: Final = (
    "chip", "model", "fabric", "stack", "engine", "precision", "count", "global_batch", "seq_len", "input_len",
    "output_len",
)  # fmt: skip
ASKED_AS: Final = {"count": "n_chips"}
NEUTRAL: Final = records.Plan(1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0)
ONE_REPLICA: Final = records.ServingPlan(1, 1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Frame:
    """A question with every blank filled in; or why it has no answer."""

    reason: str = ""  # in words, where there is no answer
    question: Question | None = None
    case: Any = None  # TrainingCase or ServingCase, of a neutral plan
    half_width: float = 0.0  # of ln(step time), 80 %
    parameters: dict[str, Parameter] = field(default_factory=dict)  # of the names that the study moves

    @property
    def setting(self) -> Any:
        """records.Setting or records.ServingSetting."""
        return self.case.setting


def frame_of(about: str, values: dict[str, Any], moved: Sequence[str]) -> Frame:
    """The frame of these values; what a study could not know beforehand (a format that a chip lacks) is a reason.

    values  by the names of OF_FRAME
    moved   the numbers that the study moves
    Raises WrongInput for a number to be moved that this question does not have.
    """
    asked = Asked(**{ASKED_AS.get(name, name): value for name, value in values.items()})
    try:
        question = fill(asked)
        if about == TRAINING and question.silicon.recipe.serving_only:
            return Frame(f"precision {question.precision} is for serving only")
        case = training_case(question) if about == TRAINING else serving_case(question)
    except ClustercastError as error:
        return Frame(error.message)
    plan: Any = NEUTRAL if about == TRAINING else ONE_REPLICA
    found = all_parameters(question, Problem(about, case, plan)) if moved else []
    by_name = {each.name: each for each in found}
    lacking = [name for name in moved if name not in by_name]
    if lacking:
        raise WrongInput(f"{lacking[0]}: {question.model.name} on {question.chip.name} does not depend on it")
    return Frame(
        question=question,
        case=case,
        half_width=half_width_of(question) if about == TRAINING else 0.0,
        parameters={name: by_name[name] for name in moved},
    )


def serving_case(question: Question) -> ServingCase:
    """Every number that serving depends on, the layout and the batch apart."""
    job = records.ServingJob(question.input_len, question.output_len, 1.0, 0.0, 1.0)
    replicas = Replicas(float(question.n_chips), 1.0, 1.0)
    case: ServingCase = records.as_declared(ServingCase(question.serving_setting(), job, replicas, money_of(question)))
    return case
