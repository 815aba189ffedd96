"""One question at a fixed plan as a function of its numbers: plain for a few samples, compiled for many."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clustercast import progress, records
from clustercast.estimates.job import HOURS_A_YEAR
from clustercast.estimates.ranges import SET, TIMES, Parameter, moved
from clustercast.physics.job import carbon_kg, energy_j, goodput, own_usd_per_chip_year, rent_usd, training_s
from clustercast.physics.serving import serve
from clustercast.physics.training import training_step

if TYPE_CHECKING:
    import numpy as np

TRAINING: Final = "training"
SERVING: Final = "serving"

COMPILED_FROM: Final = 500  # samples that cost as much plainly as loading the compiled loop does
CHUNK: Final = 4_096  # samples whose records lie in memory together, 5 MB


class Money(NamedTuple):
    """What a chip costs, rented and owned."""

    rent_usd_per_chip_h: float
    chip_usd: float
    all_in_over_chip: float
    life_years: float
    residual_fraction: float
    discount_fraction: float
    hosting_usd_per_month_kw: float
    upkeep_fraction: float
    wall_over_chip: float


class Run(NamedTuple):
    """What a training run needs beside its steps."""

    tokens: float
    n_chips: float
    chip_mtbf_s: float
    checkpoint_save_s: float
    restart_s: float
    checkpoint_every_s: float
    pue: float
    grid_kg_per_kwh: float


class TrainingCase(NamedTuple):
    """Every number that training depends on, the plan apart."""

    setting: records.Setting
    run: Run
    money: Money


class Replicas(NamedTuple):
    """How a served batch lies on a cluster."""

    n_chips: float
    n_replicas: float
    batch: float  # sequences on all chips


class ServingCase(NamedTuple):
    """Every number that serving depends on, the layout apart."""

    setting: records.ServingSetting
    job: records.ServingJob
    replicas: Replicas
    money: Money


class TrainingOutcome(NamedTuple):
    """What a training run comes to."""

    step_s: float
    mfu_fraction: float
    goodput_fraction: float
    total_s: float  # of the calendar
    rent_usd: float
    own_usd: float
    energy_j: float
    carbon_kg: float
    memory_bytes: float  # of the fullest chip
    capacity_bytes: float


class ServingOutcome(NamedTuple):
    """What serving comes to."""

    tpot_s: float
    ttft_s: float
    output_tokens_per_s_per_chip: float
    prefill_tokens_per_s_per_chip: float
    rent_usd_per_token: float  # of the output, its prompts included
    own_usd_per_token: float
    memory_bytes: float
    capacity_bytes: float


def own_usd_per_chip_h(money: Money, peak_w: float) -> float:
    """What an hour of one's own chip costs. Compiled as it stands, like all below."""
    yearly_usd = own_usd_per_chip_year(
        money.chip_usd * money.all_in_over_chip,
        money.residual_fraction,
        money.discount_fraction,
        money.life_years,
        peak_w * money.wall_over_chip,
        money.hosting_usd_per_month_kw,
        money.upkeep_fraction,
    )
    return yearly_usd / HOURS_A_YEAR


def trained(case: TrainingCase, plan: records.Plan) -> TrainingOutcome:
    """A training run at a plan, whether it fits or not."""
    return trained_by(case, plan, training_step(case.setting, plan))


def trained_by(case: TrainingCase, plan: records.Plan, step: records.Step) -> TrainingOutcome:
    """The same, of steps that are known."""
    setting = case.setting
    run = case.run
    money = case.money
    tokens_per_s = float(setting.job.global_batch) * setting.job.seq_len / step.step_s
    share = goodput(
        run.n_chips, run.chip_mtbf_s, run.checkpoint_save_s, run.restart_s, run.checkpoint_every_s, 0.0
    ).fraction
    total_s = training_s(run.tokens, tokens_per_s, share)
    busy = min(1.0, step.compute_s / step.step_s)
    chip = setting.chip
    joules = energy_j(run.n_chips, chip.idle_w, chip.peak_w, busy, money.wall_over_chip, run.pue, total_s)
    used = float(plan.tp * plan.pp * plan.cp * plan.dp)
    return TrainingOutcome(
        step.step_s,
        step.model_flop / (step.step_s * used * chip.matmul_flop_per_s),
        share,
        total_s,
        rent_usd(run.n_chips, money.rent_usd_per_chip_h, total_s),
        rent_usd(run.n_chips, own_usd_per_chip_h(money, chip.peak_w), total_s),
        joules,
        carbon_kg(joules, run.grid_kg_per_kwh),
        step.memory_bytes,
        step.capacity_bytes,
    )


def served(case: ServingCase, plan: records.ServingPlan) -> ServingOutcome:
    """Replicas of one layout at a batch, whether it fits or not."""
    return served_by(case.setting.chip, case.job, case.replicas, case.money, serve(case.setting, case.job, plan))


def served_by(
    chip: records.Chip, job: records.ServingJob, replicas: Replicas, money: Money, done: records.Serving
) -> ServingOutcome:
    """The same, of a replica whose steady state is known."""
    out_per_s = replicas.batch / done.tpot_s / replicas.n_chips
    in_per_s = done.prefill_tokens_per_s * replicas.n_replicas / replicas.n_chips
    chip_h = (1.0 / out_per_s + float(job.input_len) / job.output_len / in_per_s) / 3600.0
    return ServingOutcome(
        done.tpot_s,
        done.ttft_s,
        out_per_s,
        in_per_s,
        chip_h * money.rent_usd_per_chip_h,
        chip_h * own_usd_per_chip_h(money, chip.peak_w),
        done.memory_bytes,
        done.capacity_bytes,
    )


def run_trained(cases: Any, plan: records.Plan, out: Any) -> None:
    """Every field of a training run for each case."""
    for i in range(len(cases)):
        found = trained(cases[i], plan)
        for j in range(len(found)):
            out[i, j] = found[j]


def run_served(cases: Any, plan: records.ServingPlan, out: Any) -> None:
    """Every field of serving for each case."""
    for i in range(len(cases)):
        found = served(cases[i], plan)
        for j in range(len(found)):
            out[i, j] = found[j]


class Drivers(NamedTuple):
    """The functions that answer one half."""

    one: Callable[..., Any]
    many: Callable[..., None]
    helpers: tuple[Callable[..., Any], ...]
    outcome: type


DRIVERS: Final = {
    TRAINING: Drivers(trained, run_trained, (trained, trained_by, own_usd_per_chip_h), TrainingOutcome),
    SERVING: Drivers(served, run_served, (served, served_by, own_usd_per_chip_h), ServingOutcome),
}


class Unit(NamedTuple):
    """One thing to ask for: which half answers it, in what unit, and how it comes from the fields of an outcome."""

    half: str
    title: str
    unit: str
    field: str
    factor: float = 1.0
    over: str = ""  # the field that it is divided by


OUTPUTS: Final = {
    "days": Unit(TRAINING, "training days", "days", "total_s", 1.0 / 86400.0),
    "step": Unit(TRAINING, "step time", "s", "step_s"),
    "mfu": Unit(TRAINING, "model FLOP utilisation", "share", "mfu_fraction"),
    "goodput": Unit(TRAINING, "goodput", "share", "goodput_fraction"),
    "cost": Unit(TRAINING, "cost of training, rented", "USD", "rent_usd"),
    "own-cost": Unit(TRAINING, "cost of training, own chips", "USD", "own_usd"),
    "energy": Unit(TRAINING, "energy of training", "MWh", "energy_j", 1.0 / 3.6e9),
    "carbon": Unit(TRAINING, "carbon dioxide of training", "t", "carbon_kg", 1e-3),
    "training-memory": Unit(TRAINING, "memory in training, of what there is", "share", "memory_bytes", 1.0,
                            "capacity_bytes"),
    "tpot": Unit(SERVING, "time per output token", "ms", "tpot_s", 1e3),
    "ttft": Unit(SERVING, "time to first token", "ms", "ttft_s", 1e3),
    "tokens": Unit(SERVING, "output tokens per second per chip", "tokens/s", "output_tokens_per_s_per_chip"),
    "prefill-tokens": Unit(SERVING, "prompt tokens per second per chip", "tokens/s", "prefill_tokens_per_s_per_chip"),
    "token-cost": Unit(SERVING, "cost of a million output tokens, rented", "USD", "rent_usd_per_token", 1e6),
    "own-token-cost": Unit(SERVING, "cost of a million output tokens, own chips", "USD", "own_usd_per_token", 1e6),
    "serving-memory": Unit(SERVING, "memory in serving, of what there is", "share", "memory_bytes", 1.0,
                           "capacity_bytes"),
}  # fmt: skip
NEEDS_POWER: Final = ("energy_j", "carbon_kg")


@dataclass(frozen=True, slots=True)
class Problem:
    """A question at a fixed plan: the usual case, to be moved."""

    half: str
    case: Any  # TrainingCase or ServingCase
    plan: Any  # records.Plan or records.ServingPlan

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of what an outcome holds."""
        return tuple(getattr(DRIVERS[self.half].outcome, "_fields"))  # noqa: B009 (a type with fields)

    def at(self, parameters: Sequence[Parameter], values: Sequence[float]) -> Any:
        """The outcome with these parameters at these values, in their base units, by the plain formulas."""
        return DRIVERS[self.half].one(self.case_at(parameters, values), self.plan)

    def case_at(self, parameters: Sequence[Parameter], values: Sequence[float]) -> Any:
        """The case with these parameters at these values."""
        case = self.case
        for column, part in in_order(parameters):
            case = moved(case, part, float(values[column]))
        return case

    def many(self, parameters: Sequence[Parameter], samples: Any, *, compiled: bool | None = None) -> "np.ndarray":
        """Outcomes [n, fields] of samples [n, parameters] in base units.

        compiled  None: by the number of samples; the answer is the same bit for bit
        """
        import numpy as np

        out = np.empty((len(samples), len(self.fields)))
        if compiled is None:
            compiled = len(samples) >= COMPILED_FROM
        if not compiled:
            for i, row in enumerate(samples):
                out[i] = self.at(parameters, [float(value) for value in row])
            return out
        from clustercast.physics import grid

        drivers = DRIVERS[self.half]
        run = grid.compiled(drivers.many, *drivers.helpers)
        base = grid.row(self.case)
        for first in progress.track(range(0, len(samples), CHUNK), "parts of the samples"):
            part = slice(first, first + CHUNK)
            cases = table(base, parameters, samples[part])
            run(cases, self.plan, out[part])
        return out


def in_order(parameters: Sequence[Parameter]) -> Iterator[tuple[int, Parameter]]:
    """Columns and parameters as they act: what sets a field goes before what multiplies it."""
    for setting in (True, False):
        for column, parameter in enumerate(parameters):
            places = tuple(place for place in parameter.places if (place.how == SET) == setting)
            if places:
                yield column, replace(parameter, places=places)


def table(base: Any, parameters: Sequence[Parameter], samples: Any) -> "np.ndarray":
    """Rows of cases: the usual one with each sample's parameters."""
    import numpy as np

    cases = np.empty(len(samples), base.dtype)
    cases[:] = base
    for column, part in in_order(parameters):
        for place in part.places:
            _move(cases, place.path, place.how, samples[:, column], part.number.value)
    return cases


def _move(cases: Any, path: tuple[str, ...], how: str, values: Any, usual: float) -> None:
    for name in path[:-1]:
        cases = cases[name]
    field = path[-1]
    if how == SET:
        cases[field] = values
    elif how == TIMES:
        cases[field] = cases[field] * (values / usual)
    else:
        cases[field] = cases[field] / (values / usual)
