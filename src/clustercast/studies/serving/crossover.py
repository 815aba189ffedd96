"""Where one chip serves faster than another: a map over batch, context length and phase, and where decode turns."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from clustercast import progress, records
from clustercast.display import Notebook
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates import interval
from clustercast.estimates.elasticity import STEP, improved_serving
from clustercast.estimates.job import usd_per_chip_hour
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Assumption
from clustercast.estimates.serving import layouts, sizes
from clustercast.physics.serving import decode_pass, free_bytes, prefill_pass, rank_sequence_bytes
from clustercast.studies.serving.split import constant, even_candidates, layout_of, shown_plan

DECODE: Final = "decode"
PREFILL: Final = "prefill"
PHASES: Final = (DECODE, PREFILL)
CHIP: Final = "chip"
DOLLAR: Final = "dollar"
BASES: Final = (CHIP, DOLLAR)
MOST_POINTS: Final = 64
MOST_BATCH: Final = 1 << 20
HALVINGS: Final = 24
EVEN: Final = 0.02  # ratios nearer to 1 are called even


@dataclass(frozen=True, slots=True)
class CrossoverAsked:
    """The question as the user put it; None and empty are open."""

    chip: str
    other: str
    model: str
    count: int | None = None
    batches: tuple[int, ...] = ()
    contexts: tuple[int, ...] = ()
    precision: str | None = None
    other_precision: str | None = None
    plan: str = ""
    engine: str = "vllm"
    settings: tuple[str, ...] = ()
    other_settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One chip at one point of the map; None where no layout fits."""

    tokens_per_s_per_chip: float | None
    time_ms: float | None  # of a decode step, or of all prompts
    plan_text: str
    bound: str  # compute, hbm_bandwidth: the larger elasticity of the two; memory: nothing fits
    elasticity_flops: float | None
    elasticity_hbm_bandwidth: float | None
    largest_batch: int  # that some layout holds at this context


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the map. Ratios are the chip's over the other's; more than 1: the chip wins."""

    phase: str
    batch: int  # sequences on all chips
    context: int  # tokens in the cache of each, or of each prompt
    chip: Point
    other: Point
    ratio: float | None  # tokens per second per chip
    ratio_low: float | None
    ratio_high: float | None
    ratio_per_usd: float | None
    winner: str
    winner_per_usd: str
    sure: bool  # whether the interval of the ratio leaves 1 out


@dataclass(frozen=True, slots=True)
class Turn:
    """Where decode turns from bandwidth-bound to compute-bound on one chip at one context length.

    batch is where the elasticity to compute overtakes that to bandwidth; None where it never does. It counts the
    sequences on all chips and may lie beyond what memory holds (`fits` says so).
    """

    chip: str
    context: int
    batch: float | None
    largest_batch: int  # that memory holds
    fits: bool
    plan_text: str  # at the turn


@dataclass(frozen=True, slots=True)
class Won:
    """Where one chip wins in one phase, per chip or per dollar, and where by most."""

    phase: str
    basis: str  # chip, dollar
    chip: str
    points: int  # of `of` points at which both have an answer
    of: int
    most_factor: float | None  # how many times the other's tokens per second, at best
    batch: int | None  # there
    context: int | None


@dataclass(frozen=True, slots=True)
class Crossing:
    """The batch at which the ratio of the two chips passes 1 at one context, between two points of the map."""

    phase: str
    basis: str  # chip, dollar
    context: int
    batch: float
    winner_below: str
    winner_above: str


@dataclass(frozen=True, slots=True)
class Crossover(Notebook):
    """The map of two chips for one model."""

    chip: str
    other: str
    chip_name: str
    other_name: str
    model: str
    model_name: str
    count: int
    precision: str
    other_precision: str
    engine: str
    batches: tuple[int, ...]
    contexts: tuple[int, ...]
    usd_per_chip_hour: float
    other_usd_per_chip_hour: float
    price_basis: str
    other_price_basis: str
    cells: tuple[Cell, ...]
    turns: tuple[Turn, ...]
    won: tuple[Won, ...]
    crossings: tuple[Crossing, ...]
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `crossover --json`."""
        return {"schema": "clustercast.crossover/1"} | asdict(self)

    def cell(self, phase: str, batch: int, context: int) -> Cell:
        """One point of the map."""
        return next(one for one in self.cells if (one.phase, one.batch, one.context) == (phase, batch, context))


class Layout(NamedTuple):
    """A replica, repeated over the chips."""

    plan: records.ServingPlan
    replicas: int

    def rank_batch(self, batch: float) -> float:
        """Sequences on one attention rank of one replica, at least one where any is."""
        return max(batch / self.replicas / self.plan.attention_dp, 1.0)


class Machine(NamedTuple):
    """One chip's cluster and every layout that its memory may hold."""

    question: Question
    setting: records.ServingSetting
    layouts: tuple[Layout, ...]


def machine(asked: CrossoverAsked, name: str, precision: str | None, settings: tuple[str, ...], count: int) -> Machine:
    """A chip with the layouts of `count` chips, or with the one that was given. Raises WrongInput."""
    question = fill(
        Asked(
            name,
            asked.model,
            n_chips=count,
            precision=precision,
            engine=asked.engine,
            settings=settings,
            only_serving=True,
        )
    )
    fixed, setting = layout_of(asked.plan, question.serving_setting())
    found = [
        Layout(plan, count // size)
        for size, plan in even_candidates(setting, count, fixed)
        if count % size == 0 and free_bytes(setting, plan) > 0.0
    ]
    return Machine(question, setting, tuple(found))


def time_s(phase: str, batch: float, context: float, layout: Layout, setting: records.ServingSetting) -> float:
    """A decode step of all replicas, or the prefill of all prompts, the batch spread evenly."""
    plan = layout.plan
    if phase == DECODE:
        return decode_pass(max(batch / layout.replicas, 1.0), 1.0, context, setting, plan).total_s
    busy = min(max(batch / layout.replicas, 1.0), float(plan.attention_dp))
    return prefill_pass(layout.rank_batch(batch), context, busy, setting, plan).total_s


def largest(context: float, layout: Layout, setting: records.ServingSetting) -> int:
    """Sequences of `context` tokens that the memory of all replicas holds, at most what the engine takes."""
    each = rank_sequence_bytes(context, setting, layout.plan)
    per_rank = min(free_bytes(setting, layout.plan) / each, setting.engine.max_batch)
    return math.floor(per_rank) * layout.plan.attention_dp * layout.replicas


def fastest(phase: str, batch: float, context: float, one: Machine, *, fitting: bool = True) -> Layout | None:
    """The layout with the least time; None where none holds the batch."""
    best: tuple[float, Layout] | None = None
    for layout in one.layouts:
        if fitting and math.ceil(layout.rank_batch(batch)) > largest(context, layout, one.setting) / (
            layout.plan.attention_dp * layout.replicas
        ):
            continue
        taken_s = time_s(phase, batch, context, layout, one.setting)
        if best is None or taken_s < best[0]:
            best = taken_s, layout
    return best[1] if best else None


def slope(resource: str, phase: str, batch: float, context: float, layout: Layout, one: Machine) -> float:
    """d ln(tokens/s) / d ln(resource) at a fixed layout."""
    now_s = time_s(phase, batch, context, layout, one.setting)
    better = improved_serving(one.setting, resource, 1.0 + STEP)
    return -math.log(time_s(phase, batch, context, layout, better) / now_s) / math.log(1.0 + STEP)


def point(phase: str, batch: int, context: int, one: Machine) -> Point:
    """One chip at one point, with its best layout."""
    most = max((largest(context, layout, one.setting) for layout in one.layouts), default=0)
    layout = fastest(phase, batch, context, one)
    if layout is None:
        return Point(None, None, "", "memory", None, None, most)
    taken_s = time_s(phase, batch, context, layout, one.setting)
    tokens = batch * (context if phase == PREFILL else 1.0)
    flops = slope("flops", phase, batch, context, layout, one)
    hbm = slope("hbm_bandwidth", phase, batch, context, layout, one)
    return Point(
        tokens_per_s_per_chip=tokens / taken_s / one.question.n_chips,
        time_ms=1e3 * taken_s,
        plan_text=text_of(layout),
        bound="compute" if flops > hbm else "hbm_bandwidth",
        elasticity_flops=flops,
        elasticity_hbm_bandwidth=hbm,
        largest_batch=most,
    )


def text_of(layout: Layout) -> str:
    """A layout in few characters: its plan, and how often."""
    return shown_plan(layout.plan) + (f" x{layout.replicas}" if layout.replicas > 1 else "")


def turn_of(context: int, one: Machine) -> Turn:
    """The batch at which compute overtakes bandwidth: the first doubling that passes it, then halved down to it.

    At each batch the layout is the fastest that holds it, beyond what memory holds the fastest of all.
    """
    most = max((largest(context, layout, one.setting) for layout in one.layouts), default=0)

    def chosen(batch: float) -> Layout | None:
        return fastest(DECODE, batch, context, one) or fastest(DECODE, batch, context, one, fitting=False)

    def turned(batch: float) -> bool:
        layout = chosen(batch)
        if layout is None:
            return False
        flops = slope("flops", DECODE, batch, context, layout, one)
        return flops > slope("hbm_bandwidth", DECODE, batch, context, layout, one)

    low, high = 0.5, 1.0
    while not turned(high):
        low, high = high, 2.0 * high
        if high > MOST_BATCH:
            return Turn(one.question.chip.name, context, None, most, False, "")
    if high > 1.0:
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if turned(middle) else (middle, high)
    layout = chosen(high)
    plan_text = text_of(layout) if layout else ""
    return Turn(one.question.chip.name, context, high, most, high <= most, plan_text)


def smallest_common(asked: CrossoverAsked) -> int:
    """The fewest whole scale-up domains on which both chips hold the model and a sequence of the longest context.

    Raises NoAnswer where none does.
    """
    most = int(constant("map", "most_count").value)
    count = 8
    while count <= most:
        both = (
            machine(asked, asked.chip, asked.precision, asked.settings, count),
            machine(asked, asked.other, asked.other_precision or asked.precision, asked.other_settings, count),
        )
        if all(any(largest(1.0, layout, one.setting) for layout in one.layouts) for one in both):
            return count
        count *= 2
    raise NoAnswer(
        f"{asked.model} fits neither {most:,} x {asked.chip} nor {most:,} x {asked.other}",
        numbers={"most_count": most},
    )


def grid_of(name: str, given: Sequence[int], section: str) -> tuple[int, ...]:
    """The points of one axis, ascending. Raises WrongInput."""
    points = tuple(sorted(set(given)))
    if not points:
        low, high = (int(constant("map", f"{end}_{section}").value) for end in ("least", "most"))
        return tuple(1 << n for n in range(low.bit_length() - 1, high.bit_length()))
    if len(points) > MOST_POINTS or points[0] < 1 or points[-1] > MOST_BATCH * 16:
        raise WrongInput(f"{name}: expected up to {MOST_POINTS} whole numbers from 1 to {MOST_BATCH * 16:,}")
    return points


def crossover(asked: CrossoverAsked) -> Crossover:
    """The map of two chips: where each serves more tokens per second, per chip and per dollar, and by how much.

    Raises WrongInput for a wrong question, NoAnswer where a chip holds the model on no layout of `count` chips.
    """
    batches = grid_of("--batch", asked.batches, "batch")
    contexts = grid_of("--isl", asked.contexts, "context")
    count = asked.count if asked.count is not None else smallest_common(asked)
    one = machine(asked, asked.chip, asked.precision, asked.settings, count)
    two = machine(asked, asked.other, asked.other_precision or asked.precision, asked.other_settings, count)
    for each in (one, two):
        if not each.layouts:
            raise too_large(each, count)
    usd = usd_per_chip_hour(one.question), usd_per_chip_hour(two.question)
    mixture = one.question.record.n_moe_layers > 0
    cells = []
    for phase, purpose in ((DECODE, "tpot_interval"), (PREFILL, "throughput_interval")):
        widths = [
            interval.half_width(
                interval.evidence_of(each.question.chip, "serving"), count, mixture=mixture, purpose=purpose
            )
            for each in (one, two)
        ]
        for context, batch in progress.track(list(itertools.product(contexts, batches)), f"points of {phase}"):
            points = point(phase, batch, context, one), point(phase, batch, context, two)
            cells.append(cell_of(phase, batch, context, points, (one, two), math.hypot(*widths), usd))
    turns = [turn_of(context, each) for each in (one, two) for context in contexts]
    questions = one.question, two.question
    names = one.question.chip.name, two.question.chip.name
    warnings = tuple(dict.fromkeys(text for each in questions for text in each.warnings))
    return Crossover(
        chip=one.question.chip.name,
        other=two.question.chip.name,
        chip_name=one.question.chip.full_name,
        other_name=two.question.chip.full_name,
        model=one.question.model.name,
        model_name=one.question.model.full_name,
        count=count,
        precision=one.question.precision,
        other_precision=two.question.precision,
        engine=one.question.engine.name,
        batches=batches,
        contexts=contexts,
        usd_per_chip_hour=usd[0][0],
        other_usd_per_chip_hour=usd[1][0],
        price_basis=usd[0][1],
        other_price_basis=usd[1][1],
        cells=tuple(cells),
        turns=tuple(turns),
        won=tuple(won_of(cells, names)),
        crossings=tuple(crossings_of(cells, names)),
        assumptions=tuple(each for each in one.question.assumptions if each.name in ("fabric", "precision")),
        warnings=warnings,
    )


def cell_of(
    phase: str,
    batch: int,
    context: int,
    points: tuple[Point, Point],
    machines: tuple[Machine, Machine],
    width: float,
    usd: tuple[tuple[float, str], tuple[float, str]],
) -> Cell:
    """One point of the map from both chips'. Errors of the two are taken as independent: the interval is the widest."""
    names = machines[0].question.chip.name, machines[1].question.chip.name
    rates = points[0].tokens_per_s_per_chip, points[1].tokens_per_s_per_chip
    if rates[0] is None or rates[1] is None:
        only = "neither" if rates[0] is rates[1] is None else names[0] if rates[0] is not None else names[1]
        return Cell(phase, batch, context, *points, None, None, None, None, only, only, only != "neither")
    ratio = rates[0] / rates[1]
    per_usd = ratio * usd[1][0] / usd[0][0]
    low, high = interval.around(ratio, width)
    return Cell(
        phase=phase,
        batch=batch,
        context=context,
        chip=points[0],
        other=points[1],
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        ratio_per_usd=per_usd,
        winner=winner(ratio, names),
        winner_per_usd=winner(per_usd, names),
        sure=low > 1.0 or high < 1.0,
    )


def ratio_of(one: Cell, basis: str) -> float | None:
    """The ratio per chip or per dollar."""
    return one.ratio_per_usd if basis == DOLLAR else one.ratio


def won_of(cells: Sequence[Cell], names: tuple[str, str]) -> Iterator[Won]:
    """Each chip's points and its largest lead, by phase and basis."""
    for phase in PHASES:
        for basis in BASES:
            known = [(one, ratio_of(one, basis) or 0.0) for one in cells if one.phase == phase and one.ratio]
            for place, name in enumerate(names):
                leads = [(ratio if place == 0 else 1.0 / ratio, one) for one, ratio in known]
                ahead = [(factor, one) for factor, one in leads if math.log(factor) > EVEN]
                factor, at = max(ahead, key=lambda each: each[0], default=(None, None))
                where = (at.batch, at.context) if at else (None, None)
                yield Won(phase, basis, name, len(ahead), len(known), factor, *where)


def crossings_of(cells: Sequence[Cell], names: tuple[str, str]) -> Iterator[Crossing]:
    """Where the ratio passes 1 between neighbouring batches, straight in the logarithms of both."""
    for phase in PHASES:
        for basis in BASES:
            for context in dict.fromkeys(one.context for one in cells):
                known = [one for one in cells if (one.phase, one.context) == (phase, context) and one.ratio]
                for one, two in itertools.pairwise(known):
                    low, high = (math.log(ratio_of(each, basis) or 1.0) for each in (one, two))
                    if low * high < 0.0:
                        batch = one.batch * (two.batch / one.batch) ** (low / (low - high))
                        order = names if low > 0.0 else names[::-1]
                        yield Crossing(phase, basis, context, batch, *order)


def winner(ratio: float, names: tuple[str, str]) -> str:
    """Who is faster by more than a hair.

    >>> winner(1.5, ("a", "b")), winner(0.5, ("a", "b")), winner(1.01, ("a", "b"))
    ('a', 'b', 'even')
    """
    if abs(math.log(ratio)) <= EVEN:
        return "even"
    return names[0] if ratio > 1.0 else names[1]


def too_large(one: Machine, count: int) -> NoAnswer:
    """The answer where a chip does not hold the model."""
    chip, model = one.question.chip.name, one.question.model.name
    domain = one.setting.cluster.scale_up.n_chips
    enough = None
    for size in sizes(64 * domain, domain):
        if size > count and any(
            free_bytes(one.setting, plan) > 0.0 for plan in layouts(size, one.setting.model, domain)
        ):
            enough = size
            break
    return NoAnswer(
        f"{count:,} x {chip} hold no layout of {model}",
        hint=f"--count {enough}" if enough else None,
        numbers={"count": count, "smallest_count": enough},
    )
