"""Which numbers a study moves, between which ends, and how samples of the unit cube become values."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clustercast import records, units
from clustercast.catalog import constants
from clustercast.catalog.constants import Constant
from clustercast.errors import WrongInput
from clustercast.estimates.job import bought, rent
from clustercast.estimates.question import Question
from clustercast.estimates.ranges import (
    HARDWARE,
    SET,
    TIMES,
    Parameter,
    Place,
    dimension_of,
    of_constants,
    places_between,
    serving_parameters,
    training_parameters,
)
from clustercast.records import SCHEDULE_DUALPIPE
from clustercast.studies.sensitivity.model import TRAINING, Problem
from clustercast.studies.sensitivity.result import LOG_UNIFORM, UNIFORM, Varied

if TYPE_CHECKING:
    import numpy as np

WORKLOAD: Final = "workload"
EFFICIENCY: Final = "efficiency"
RELIABILITY: Final = "reliability"
POWER: Final = "power"
PRICE: Final = "price"
GIVEN: Final = "given"  # kind of a range that the user states
GROUPS: Final = (HARDWARE, WORKLOAD, EFFICIENCY, RELIABILITY, POWER, PRICE)

RUN_FIELDS: Final = {
    RELIABILITY: ("chip_mtbf_s", "checkpoint_save_s", "restart_s", "checkpoint_every_s"),
    POWER: ("pue", "grid_kg_per_kwh"),
}
MONEY_FIELDS: Final = (
    "all_in_over_chip", "life_years", "residual_fraction", "discount_fraction", "hosting_usd_per_month_kw",
    "upkeep_fraction",
)  # fmt: skip
UNIT_OF: Final = {
    "flop/s": "FLOP/s", "bytes/s": "B/s", "bytes": "B", "seconds": "s", "watts": "W", "usd": "USD", "usd/h": "USD/h",
    "fraction": "share", "count": "1",
}  # fmt: skip
TEXT: Final = "low..high with units, or a share either way like 20%"


def range_of(name: str) -> float:
    """How far what has no range of its own is moved: 0.1 is a tenth more and a tenth less."""
    data = constants.table("sensitivity")
    return constants.constant(data["ranges"][name], name, data["sources"]).value


def around(number: Constant, share: float) -> Constant:
    """A number at least that share of it either way, and farther where its own range is wider.

    >>> around(Constant(11.0, 11.0, 14.0, "reported", "a sheet", ""), 0.1)[:3]
    (11.0, 10.0, 14.0)
    """
    low = min(number.low, number.value / (1.0 + share))
    return number._replace(low=low, high=max(number.high, number.value * (1.0 + share)))


def all_parameters(question: Question, problem: Problem) -> list[Parameter]:
    """Every parameter of one half, those without a range of their own too (low and high are the value)."""
    found: list[Parameter] = []
    setting = problem.case.setting
    if problem.half == TRAINING:
        listed = training_parameters(question, setting)
        chip = (*_clock(question), *_reserved())
    else:
        listed = serving_parameters(question, setting)
        chip = tuple(_reserved())
    hardware = range_of(HARDWARE)
    for each in (*listed, *chip):
        number = around(each.number, hardware) if each.group == HARDWARE else each.number
        found.append(replace(each.under("setting"), number=number))
    found.append(_latency(problem, hardware))
    if setting.chip.peak_w > 0.0:
        found.append(_power(question, problem, hardware))
    found += _workload(question, problem)
    found += _job(question, problem)
    return found


def _clock(question: Question) -> Iterator[Parameter]:
    """What a family's clock and rates are inside a training step."""
    family = question.chip.family
    for name, number in (
        ("clock_fraction", constants.clock_fraction(family)),
        ("rate_factor", constants.family_factor(family)),
    ):
        place = Place(("chip", "clock_fraction"), TIMES)
        yield Parameter(f"chip.{name}", f"{family} {name}", EFFICIENCY, number, "fraction", (place,))


def _reserved() -> Iterator[Parameter]:
    number = constants.default("chip", "reserved_bytes")
    yield from of_constants(EFFICIENCY, "driver", {"reserved_bytes": number}, ("chip",))


def _latency(problem: Problem, share: float) -> Parameter:
    """All latencies of links and starts of kernels, over their usual ones."""
    from clustercast.estimates.elasticity import improved, improved_serving

    better = improved if problem.half == TRAINING else improved_serving
    setting = problem.case.setting
    quick = places_between(setting, better(setting, "latency", 2.0))
    number = around(Constant(1.0, 1.0, 1.0, "assumed", "links and kernel starts together", ""), share)
    places = tuple(Place(("setting", *place.path), TIMES) for place in quick)
    return Parameter("chip.latency", "all latencies, times", HARDWARE, number, "count", places)


def _power(question: Question, problem: Problem, share: float) -> Parameter:
    chip = problem.case.setting.chip
    quantity = question.chip.get("power")
    number = Constant(chip.peak_w, chip.peak_w, chip.peak_w, "datasheet", "the chip's profile", "")
    if quantity is not None:
        source = question.chip.sources.get(quantity.source, quantity.source)
        number = number._replace(kind=quantity.kind, source=source)
    places = (Place(("setting", "chip", "peak_w"), TIMES), Place(("setting", "chip", "idle_w"), TIMES))
    label = f"{question.chip.name} power"
    return Parameter("chip.power", label, HARDWARE, around(number, share), "watts", places)


def _workload(question: Question, problem: Problem) -> Iterator[Parameter]:
    """Tokens, lengths and batches, in the whole multiples that the plan can divide."""
    lengths = range_of("lengths")

    def one(name: str, value: float, path: tuple[str, ...], number: Constant | None, multiple: int) -> Parameter:
        number = number or _said(question, name, value)
        if number.low >= number.high:
            number = around(number, range_of("tokens") if name == "tokens" else lengths)
        number = whole_ends(number, multiple)
        return Parameter(f"workload.{name}", name, WORKLOAD, number, "count", (Place(path, SET),), multiple)

    case, plan = problem.case, problem.plan
    if problem.half == TRAINING:
        job = case.setting.job
        per_step = plan.dp * plan.micro_batch * (plan.pp if plan.vpp > 1 else 1)
        tokens = question.model.training.get("tokens")
        own = None
        if tokens is not None and tokens.value == case.run.tokens and tokens.low and tokens.high:
            source = question.model.sources.get(tokens.source, tokens.source)
            own = Constant(tokens.value, tokens.low, tokens.high, tokens.kind, source, "")
        yield one("tokens", case.run.tokens, ("run", "tokens"), own, 0)
        per_length = plan.cp * (plan.tp if plan.sequence_parallel else 1)
        yield one("seq_len", float(job.seq_len), ("setting", "job", "seq_len"), None, per_length)
        batch = one("global_batch", float(job.global_batch), ("setting", "job", "global_batch"), None, per_step)
        if plan.schedule == SCHEDULE_DUALPIPE:
            least = 2.0 * plan.pp * plan.dp * plan.micro_batch
            batch = replace(
                batch, number=batch.number._replace(low=min(max(batch.number.low, least), batch.number.value))
            )
        yield batch
        return
    for name in ("input_len", "output_len"):
        usual = None
        if getattr(question.asked, name) is None and name not in question.model.serving:
            usual = constants.default("serving", name)
        yield one(name, float(getattr(case.job, name)), ("job", name), usual, 1)
    batch = one("batch", case.replicas.batch, ("replicas", "batch"), None, int(case.replicas.n_replicas))
    per_replica = Place(("job", "batch"), TIMES)
    yield replace(batch, places=(*batch.places, per_replica))


def _said(question: Question, name: str, value: float) -> Constant:
    """A number of the workload without a range, and where it comes from."""
    said = next((each for each in question.assumptions if each.name == name), None)
    kind, source = ("given", "the question") if said is None else (said.kind, said.source)
    return Constant(value, value, value, kind, source, "")


def whole_ends(number: Constant, multiple: int) -> Constant:
    """The widest range inside another whose ends are whole multiples.

    >>> whole_ends(Constant(12.0, 5.0, 26.0, "assumed", "", ""), 4)[:3]
    (12.0, 8.0, 24.0)
    """
    if multiple <= 0:
        return number
    least, most = whole_multiples(number.low, number.high, multiple)
    return number._replace(
        low=min(float(multiple * least), number.value), high=max(float(multiple * most), number.value)
    )


def whole_multiples(low: float, high: float, multiple: int) -> tuple[int, int]:
    """How often a number goes into what lies between two others, at least once and at most; the first may be more."""
    return max(1, math.ceil(low / multiple)), math.floor(high / multiple)


def _job(question: Question, problem: Problem) -> Iterator[Parameter]:
    """Interruptions, power and prices."""

    def one(group: str, field: str, path: tuple[str, ...]) -> Parameter:
        number = constants.default(group, field)
        name = f"job.{field.removesuffix('_s')}"
        return Parameter(name, field, group, number, dimension_of(field), (Place(path, SET),))

    if problem.half == TRAINING:
        for group, fields in RUN_FIELDS.items():
            for field in fields:
                yield one(group, field, ("run", field))
        idle = constants.default(POWER, "idle_fraction")
        place = Place(("setting", "chip", "idle_w"), TIMES)
        yield Parameter("job.idle_fraction", "idle_fraction", POWER, idle, "fraction", (place,))
    yield one(POWER, "wall_over_chip", ("money", "wall_over_chip"))
    for field in MONEY_FIELDS:
        yield one(PRICE, field, ("money", field))
    yield from _prices(question)


def _prices(question: Question) -> Iterator[Parameter]:
    """Rent and price of the chip: ranges from its profile, or of the guess that stands for them."""
    usd_per_h, basis = rent(question)
    usd, bought_basis = bought(question)
    guess = constants.default(PRICE, "rent_per_buy_hour")
    per_tflops = constants.default(PRICE, "usd_per_chip_hour_per_tflops")
    own_rent, own_price = question.chip.get("price.rent"), question.chip.get("price.buy")
    rent_from = own_rent if own_rent is not None else (guess if own_price is not None else per_tflops)
    price_from = own_price if own_price is not None else (guess if own_rent is not None else per_tflops)
    inverse = (
        own_price is None and own_rent is not None
    )  # a price guessed from rent: more rent per price is a lower one
    for name, value, origin, text, dimension, path, flipped in (
        ("price_rent", usd_per_h, rent_from, basis, "usd/h", "rent_usd_per_chip_h", False),
        ("price_buy", usd, price_from, bought_basis, "usd", "chip_usd", inverse),
    ):
        low = origin.low if origin.low is not None else origin.value
        high = origin.high if origin.high is not None else origin.value
        ends = (origin.value / high, origin.value / low) if flipped else (low / origin.value, high / origin.value)
        number = Constant(value, value * ends[0], value * ends[1], origin.kind, text, "")
        label = f"{question.chip.name} {name.removeprefix('price_')}"
        yield Parameter(f"chip.{name}", label, PRICE, number, dimension, (Place(("money", path), SET),))


def usual_ones(question: Question, found: Iterable[Parameter]) -> list[Parameter]:
    """What is moved where the user names nothing: what has a range, and of the workload what the user did not give.

    Lengths and batches that the user did not give either are moved only where the catalogue has a range for them.
    """
    kept = []
    for each in found:
        if not each.ranges:
            continue
        if each.group == WORKLOAD:
            field = each.name.removeprefix("workload.")
            given = getattr(question.asked, field, None) is not None
            stated = field == "tokens" or (field in ("input_len", "output_len") and field not in question.model.serving)
            if given or not stated:
                continue
        kept.append(each)
    return kept


def chosen(question: Question, found: Sequence[Parameter], asked: Sequence[str]) -> list[Parameter]:
    """The parameters that the user names, with the ranges that the user gives.

    asked  names, "name=low..high" with units, "name=20%", groups of GROUPS, or "all"; none: the usual ones

    Raises WrongInput for an unknown name, a wrong range, and a parameter that has no range and is given none.
    """
    if not asked:
        return usual_ones(question, found)
    by_name = {each.name: each for each in found}
    kept: dict[str, Parameter] = {}
    for text in asked:
        name, equals, range_text = text.partition("=")
        name = name.strip()
        if name in (*GROUPS, "all"):
            if equals:
                raise WrongInput(f"--param {text}: a group has no range of its own", hint="give --param NAME=low..high")
            kept |= {each.name: each for each in found if name in (each.group, "all") and each.ranges}
            continue
        one: Parameter = constants.named("parameter", name, by_name)
        kept[name] = with_range(one, range_text) if equals else one
        if not kept[name].ranges:
            raise WrongInput(f"--param {name}: the catalogue gives no range for it", hint=f"write {name}=10%")
    return list(kept.values())


def with_range(parameter: Parameter, text: str) -> Parameter:
    """A parameter between the ends that the user gives: "100TFLOP/s..200TFLOP/s", "10%". Raises WrongInput."""
    low_text, dots, high_text = text.partition("..")
    usual = parameter.number
    try:
        if dots:
            low, high = (units.parse(end.strip(), parameter.dimension) for end in (low_text, high_text))
        else:
            share = units.parse(text.strip(), "fraction")
            low, high = usual.value / (1.0 + share), usual.value * (1.0 + share)
    except ValueError as error:
        raise WrongInput(f"--param {parameter.name}={text}: {error}", hint=f"expected {TEXT}") from None
    if not low < high:
        raise WrongInput(f"--param {parameter.name}={text}: the low end is not below the high one")
    if low <= 0.0 and not may_be_none(parameter):
        raise WrongInput(f"--param {parameter.name}={text}: expected more than 0")
    if parameter.dimension == "fraction" and usual.high <= 1.0 < high:
        if dots:
            raise WrongInput(f"--param {parameter.name}={text}: expected a share up to 1")
        high = 1.0
    number = Constant(usual.value, low, high, GIVEN, "--param", "")
    if parameter.multiple:
        low, high = (parameter.multiple * end for end in whole_multiples(low, high, parameter.multiple))
        if low >= high:
            raise WrongInput(
                f"--param {parameter.name}={text}: the plan needs multiples of {parameter.multiple:,}, "
                "and there are no two of them there"
            )
        number = number._replace(low=float(low), high=float(high))
    return replace(parameter, number=number)


def may_be_none(parameter: Parameter) -> bool:
    """Whether nothing at all is a sensible value: an overlap, a restart that takes no time."""
    return parameter.number.low <= 0.0 or (parameter.name.startswith("job.") and parameter.dimension == "seconds")


def is_uniform(parameter: Parameter) -> bool:
    """Shares and what reaches down to nothing are uniform between their ends; rates, times and prices in their log."""
    return parameter.dimension == "fraction" or parameter.number.low <= 0.0


def median(parameter: Parameter) -> float:
    """What half of the samples lie below: the usual value; of a range that the user gives, its middle.

    The catalogue's ranges are not centred: sampled evenly, an answer would lie far from that of the usual values.
    """
    number = parameter.number
    if number.kind != GIVEN and number.low <= number.value <= number.high:
        return number.value
    if is_uniform(parameter):
        return 0.5 * (number.low + number.high)
    return math.sqrt(number.low * number.high)


def varied(parameter: Parameter) -> Varied:
    """A parameter as the answer shows it."""
    number = parameter.number
    return Varied(
        parameter.name,
        parameter.label,
        parameter.group,
        number.value,
        number.low,
        number.high,
        UNIT_OF[parameter.dimension],
        UNIFORM if is_uniform(parameter) else LOG_UNIFORM,
        median(parameter),
        number.kind,
        number.note or number.source,
    )


def values(parameters: Sequence[Parameter], cube: Any) -> "np.ndarray":
    """Samples [n, parameters] in base units from samples of the unit cube.

    Half of the cube lies on either side of the median, spread evenly there, in the logarithm where that is the
    distribution. Those that take whole multiples are rounded to the nearest.
    """
    import numpy as np

    out: np.ndarray = np.empty(cube.shape)
    for column, parameter in enumerate(parameters):
        low, middle, high = parameter.number.low, median(parameter), parameter.number.high
        below, above = np.minimum(2.0 * cube[:, column], 1.0), np.maximum(2.0 * cube[:, column] - 1.0, 0.0)
        if is_uniform(parameter):
            found = low + (middle - low) * below + (high - middle) * above
        else:
            found = low * (middle / low) ** below * (high / middle) ** above
        if parameter.multiple:
            found = np.round(found / parameter.multiple) * parameter.multiple
        out[:, column] = np.clip(found, low, high)
    return out


def layout_text(plan: records.Plan | records.ServingPlan) -> str:
    """A plan in the words of --plan."""
    from clustercast.plans import text

    if isinstance(plan, records.Plan):
        return text.as_text(plan)
    return ",".join(f"{name}={value}" for name, value in plan._asdict().items())
