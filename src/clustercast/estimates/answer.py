"""Both halves of the answer, each with its reason where it has none."""

from clustercast.catalog import constants
from clustercast.errors import NoAnswer, Number
from clustercast.estimates.calibration import changed, used
from clustercast.estimates.job import usd_per_chip_hour
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Assumption, Estimate, Serving, Training
from clustercast.estimates.serving import Held, serve_estimate
from clustercast.estimates.training import train

FEW_CHIPS_IDLE = 0.1


def estimate(asked: Asked, *, explain: bool = True, held: Held | None = None) -> Estimate:
    """How long the model trains and how fast it serves.

    explain  whether to try what moves the days most
    held     a serving layout that is not searched again

    Raises WrongInput for a wrong question; NoAnswer, with the numbers, when neither half has an answer or the plan
    that was given does not fit.
    """
    question = fill(asked)
    warnings = list(question.warnings)
    training: Training | None = None
    serving: Serving | None = None
    reasons: dict[str, NoAnswer] = {}
    if question.silicon.recipe.serving_only:
        reasons["training"] = NoAnswer(f"precision {question.precision} is for serving only")
    else:
        try:
            training = train(question, explain=explain)
        except NoAnswer as error:
            if asked.plan:
                raise
            reasons["training"] = error
    try:
        serving, remark = serve_estimate(question, held)
        if remark:
            warnings.append(remark)
    except NoAnswer as error:
        reasons["serving"] = error
    if training is None and serving is None:
        raise neither(reasons)
    if training is not None and training.plan["idle"] > FEW_CHIPS_IDLE * question.n_chips:
        warnings.append(
            f"the best plan leaves {training.plan['idle']:,} of {question.n_chips:,} chips idle: "
            f"a global batch with more divisors than {question.job.global_batch:,} would use more"
        )
    return Estimate(
        chip=question.chip.name,
        chip_name=question.chip.full_name,
        count=question.n_chips,
        model=question.model.name,
        model_name=question.model.full_name,
        model_resolved_as=question.model.resolved_as,
        fabric=question.fabric.name,
        fabric_name=question.fabric.full_name,
        total_params=question.total_params,
        active_params=question.active_params,
        seq_len=question.job.seq_len,
        precision=question.precision,
        serving_precision=question.precision,
        training=training,
        training_reason=_reason(reasons.get("training")),
        serving=serving,
        serving_reason=_reason(reasons.get("serving")),
        assumptions=(*question.assumptions, *job_assumptions(question)),
        warnings=tuple(warnings),
        calibration=tuple(
            changed(part)
            for part in used(
                question.chip,
                question.fabric,
                question.silicon.recipe.formats.values(),
                question.stack.name if training else "",
                question.engine.name if serving else "",
            )
        ),
    )


def _reason(error: NoAnswer | None) -> str | None:
    if error is None:
        return None
    return f"{error.message}; {error.hint}" if error.hint else error.message


def neither(reasons: dict[str, NoAnswer]) -> NoAnswer:
    """One error for two halves without an answer."""
    numbers: dict[str, Number] = {}
    for half, error in reasons.items():
        numbers.update({f"{half}_{name}": value for name, value in error.numbers.items()})
    hints = "; ".join(f"{half}: {error.hint}" for half, error in reasons.items() if error.hint)
    message = "; ".join(error.message for error in reasons.values())
    return NoAnswer(message, hint=hints or None, numbers=numbers)


def _assumption(name: str, number: constants.Constant) -> Assumption:
    return Assumption(name, number.value, number.kind, number.note or number.source, number.low, number.high)


def job_assumptions(question: Question) -> tuple[Assumption, ...]:
    """Constants that move the answer and that nobody was asked for."""
    said = []
    for section, name in (
        ("power", "pue"),
        ("power", "wall_over_chip"),
        ("serving", "tpot_s"),
    ):
        if name == "tpot_s" and question.asked.tpot_s:
            continue
        found = constants.default(section, name)
        said.append(_assumption(name, found))
    usd_per_h, basis = usd_per_chip_hour(question)
    kind = "reported" if question.chip.get("price.rent") else "assumed"
    said.append(Assumption("usd_per_chip_hour", usd_per_h, kind, basis))
    said.append(_assumption(f"{question.engine.name}.host_step_s", question.engine.constants["host_step_s"]))
    return tuple(said)
