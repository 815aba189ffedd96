"""The inverse questions: the fewest chips that train in so many days, or that serve so many requests per second."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, NamedTuple

from clustercast.catalog import constants, overlay
from clustercast.errors import NoAnswer, Number, WrongInput
from clustercast.estimates import interval, job, training
from clustercast.estimates.question import MOST_CHIPS, Asked, Question, fill
from clustercast.estimates.result import Assumption
from clustercast.physics.job import training_s
from clustercast.plans import search, text
from clustercast.studies.serving.question import ServeAsked
from clustercast.studies.serving.result import ServeResult, serve

DAY_S: Final = 86400.0
J_PER_MWH: Final = 3.6e9
TRAIN: Final = "train"
SERVE: Final = "serve"
GUESSES: Final = 4  # counts tried by proportion before the search halves
SERVING_COUNTS: Final = (32, 256, 2048, 16384, 131072)  # chips tried for serving until they are enough
GROWTH: Final = 4.0  # of a count that is too small, until it is enough
LEAST_GROWTH: Final = 1.02
GAIN: Final = 1e-3  # of speed: where so many more chips bring less, and again, no number of them is enough
BARREN: Final = 2
MOST_NAMES: Final = 64


@dataclass(frozen=True, slots=True)
class TrainAsked:
    """How many chips train a model in so many days; None and empty are open."""

    chips: tuple[str, ...]
    model: str
    days: float
    tokens: float | None = None
    global_batch: int | None = None
    seq_len: int | None = None
    precision: str | None = None
    plan: str = ""
    fabric: str | None = None
    stack: str | None = None
    settings: tuple[tuple[str, ...], ...] = ()  # of each chip


@dataclass(frozen=True, slots=True)
class RateAsked:
    """How many chips serve so many requests per second under objectives; None and empty are open."""

    chips: tuple[str, ...]
    model: str
    rate: float
    input_len: int | str | None = None
    output_len: int | str | None = None
    lengths: str | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    percentile: int | None = None
    precision: str | None = None
    plan: str = ""
    engine: str = "vllm"
    hit_fraction: float = 0.0
    n_drafts: float | None = None
    accepted_tokens: float | None = None
    fabric: str | None = None
    settings: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Sized:
    """One chip's answer; `count` is None, with `why`, where no number of chips is enough."""

    chip: str
    chip_name: str
    count: int | None
    count_low: int | None  # enough if the model is as much too slow as the 80 % interval allows
    count_high: int | None  # the same the other way; None: no number is enough
    granule: int  # chips by which the count can grow or shrink
    plan: dict[str, Any]
    plan_text: str
    precision: str
    days: float | None
    days_low: float | None
    days_high: float | None
    ttft_ms: float | None
    tpot_ms: float | None
    replicas: int | None
    limiting: str
    usd_per_chip_hour: float | None
    price_basis: str
    cost_usd_per_day: float | None
    cost_usd: float | None  # of the whole run, training
    power_mw: float | None  # at the meter
    energy_mwh: float | None  # of the whole run, or of a day of serving
    evidence: str
    why: str
    numbers: dict[str, Number]


@dataclass(frozen=True, slots=True)
class Size:
    """The fewest chips of each type, in the order of the question."""

    purpose: str  # train, serve
    model: str
    model_name: str
    target: dict[str, Any]
    rows: tuple[Sized, ...]
    n_searches: int
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `size --json`."""
        return {"schema": "clustercast.size/1"} | asdict(self)

    def row(self, chip: str) -> Sized:
        """One chip's answer by the chip's name."""
        return next(each for each in self.rows if each.chip == chip)


class Counts(NamedTuple):
    """The counts that are asked about: parts of one scale-up domain, then whole domains."""

    domain: int

    def at(self, place: int) -> int:
        """The count at a place: 1, 2, 4, 8, 16, 24 ... for domains of eight."""
        parts = search.divisors(self.domain, self.domain)
        if place < len(parts):
            return parts[place]
        return self.domain * (place - len(parts) + 2)

    def place(self, count: float) -> int:
        """The first place whose count is at least this."""
        parts = search.divisors(self.domain, self.domain)
        for place, part in enumerate(parts):
            if part >= count:
                return place
        return len(parts) - 2 + math.ceil(count / self.domain)


class Trial(NamedTuple):
    """A count of chips and the days that its fastest plan takes; infinite where none fits."""

    n_chips: int
    days: float
    width: float  # half width of the interval of ln(days)
    used: int  # chips that the plan does not leave idle
    lean_days: float  # the same plan on those chips alone: idle chips fail too


def fewest(trial: Callable[[int], Trial], counts: Counts, days: float, shift: float, start: int) -> Trial | None:
    """The fewest chips whose days, moved by `shift` half widths of their interval, are at most `days`.

    More chips never make the fastest plan slower, but those that it leaves idle still fail: so a count may do where a
    larger one just does not, and of every count the chips that its plan uses are looked at too. None where no count
    is enough: where twice in a row many more chips bring nothing.
    """

    def holds(one: Trial) -> bool:
        return one.days * math.exp(shift * one.width) <= days

    def look(place: int) -> Trial | None:
        one = trial(counts.at(place))
        if not holds(one) and one.lean_days * math.exp(shift * one.width) > days:
            return None
        inside = counts.place(one.used)
        less = trial(counts.at(inside)) if inside < place else one
        return less if holds(less) else one if holds(one) else None

    low, high = -1, counts.place(start)
    least, barren = math.inf, 0
    best = look(high)
    while best is None:
        one = trial(counts.at(high))
        low = high
        barren = barren + 1 if one.days > least * (1.0 - GAIN) and math.isfinite(least) else 0
        least = min(least, one.days)
        if barren == BARREN or one.n_chips >= MOST_CHIPS:
            return None
        ratio = one.days * math.exp(shift * one.width) / days if math.isfinite(one.days) else GROWTH
        grown = one.n_chips * (GROWTH if barren else min(max(ratio, LEAST_GROWTH), GROWTH))
        high = max(counts.place(min(grown, MOST_CHIPS)), high + 1)
        best = look(high)
    high = counts.place(best.n_chips)
    guesses = GUESSES
    while high - low > 1:
        place = (low + high) // 2
        if guesses:
            near = counts.place(best.n_chips * best.days * math.exp(shift * best.width) / days)
            place = min(max(near, low + 1), high - 1)
            guesses -= 1
        found = look(place)
        if found is None:
            low, guesses = place, 0
        else:
            best, high = found, counts.place(found.n_chips)
    return best


@dataclass
class Trials:
    """The forward answer at any count, each searched once."""

    question: Question
    fixed: dict[str, int]
    known: dict[int, Trial] = field(default_factory=dict)

    def __call__(self, count: int) -> Trial:
        if count not in self.known:
            self.known[count] = tried(replace(self.question, n_chips=count), self.fixed)
        return self.known[count]


def tried(question: Question, fixed: dict[str, int]) -> Trial:
    """The days of the fastest plan on the question's chips, as an estimate counts them."""
    count = question.n_chips
    used = math.prod(fixed.get(name, 1) for name in ("tp", "pp", "cp", "dp"))
    found = search.fastest(question.setting(), count, fixed) if used <= count else None
    if found is None or not found.plans:
        return Trial(count, math.inf, 0.0, count, math.inf)
    plan = found.plans[0]
    rate = question.job.global_batch * question.job.seq_len / found.steps_s[0]
    n_used = plan.tp * plan.pp * plan.cp * plan.dp
    days, lean_days = (
        training_s(question.tokens, rate, job.goodput_of(question, n).fraction) / DAY_S
        for n in (count, n_used)
    )
    width = interval.half_width(
        question.silicon.evidence,
        count,
        mixture=question.record.n_moe_layers > 0,
        calibration=overlay.calibrated(question.chip.name, "training", question.stack.name),
    )
    return Trial(count, days, width, n_used, lean_days)


def check_chips(chips: tuple[str, ...]) -> None:
    """Refuse no chip, and too many. Raises WrongInput."""
    if not chips or len(chips) > MOST_NAMES:
        raise WrongInput(f"--chip: expected 1 to {MOST_NAMES} names with commas between them")
    if len(set(chips)) < len(chips):
        raise WrongInput("--chip: a name is given twice")


def size_train(asked: TrainAsked) -> Size:
    """The fewest chips of each type that finish training in so many days, goodput included.

    Raises WrongInput for a wrong question; NoAnswer, with the numbers, where no chip has an answer.
    """
    check_chips(asked.chips)
    if not 0.0 < asked.days < math.inf:
        raise WrongInput(f"--days: expected more than 0, got {asked.days:g}")
    rows, questions, n_searches = [], [], 0
    for place, chip in enumerate(asked.chips):
        question = fill(
            Asked(
                chip,
                asked.model,
                n_chips=1,
                tokens=asked.tokens,
                global_batch=asked.global_batch,
                seq_len=asked.seq_len,
                precision=asked.precision,
                plan=asked.plan,
                fabric=asked.fabric,
                stack=asked.stack,
                settings=asked.settings[place] if asked.settings else (),
            )
        )
        row, searched = size_one(question, asked)
        rows.append(row)
        questions.append(question)
        n_searches += searched
    raise_if_none(rows)
    first = questions[0]
    kept = [each for each in first.assumptions if each.name not in ("count", "input_len", "output_len")]
    return Size(
        purpose=TRAIN,
        model=first.model.name,
        model_name=first.model.full_name,
        target={
            "days": asked.days,
            "tokens": first.tokens,
            "seq_len": first.job.seq_len,
            "global_batch": first.job.global_batch,
        },
        rows=tuple(rows),
        n_searches=n_searches,
        assumptions=tuple(kept),
        warnings=tuple(dict.fromkeys(said for each in questions for said in each.warnings)),
    )


def size_one(question: Question, asked: TrainAsked) -> tuple[Sized, int]:
    """One chip's fewest, and how many searches it took."""
    if question.silicon.recipe.serving_only:
        raise WrongInput(f"--precision {question.precision} is for serving only")
    fixed = text.parse(asked.plan)
    domain = question.fabric.scale_up.n_chips
    counts = Counts(domain)
    trial = Trials(question, fixed)
    peak = question.silicon.chip.matmul_flop_per_s
    flop = 6.0 * question.active_params * question.tokens
    start = math.ceil(min(max(flop / (0.5 * peak * asked.days * DAY_S), 1.0), MOST_CHIPS))
    found = fewest(trial, counts, asked.days, 0.0, start)
    if found is None:
        return unreachable(question, asked, list(trial.known.values()), counts), len(trial.known)
    low = fewest(trial, counts, asked.days, -1.0, max(1, math.floor(found.n_chips * math.exp(-found.width))))
    high = fewest(trial, counts, asked.days, 1.0, math.ceil(found.n_chips * math.exp(found.width)))
    done = training.train(replace(question, n_chips=found.n_chips))
    usd_per_h, basis = job.usd_per_chip_hour(question)
    power_mw = None if done.energy_mwh is None else done.energy_mwh / (done.days * 24.0)
    return (
        Sized(
            chip=question.chip.name,
            chip_name=question.chip.full_name,
            count=found.n_chips,
            count_low=low.n_chips if low else None,
            count_high=high.n_chips if high else None,
            granule=granule(found.n_chips, domain),
            plan=done.plan,
            plan_text=done.plan_text,
            precision=question.precision,
            days=done.days,
            days_low=done.days_low,
            days_high=done.days_high,
            ttft_ms=None,
            tpot_ms=None,
            replicas=None,
            limiting=done.limiting,
            usd_per_chip_hour=usd_per_h,
            price_basis=basis,
            cost_usd_per_day=usd_per_h * 24.0 * found.n_chips,
            cost_usd=done.cost_usd,
            power_mw=power_mw,
            energy_mwh=done.energy_mwh,
            evidence=done.evidence,
            why="",
            numbers={},
        ),
        len(trial.known),
    )


def granule(count: int, domain: int) -> int:
    """Chips between a count and the next smaller one that was asked about."""
    counts = Counts(domain)
    place = counts.place(count)
    return count - counts.at(place - 1) if place else 1


def unreachable(question: Question, asked: TrainAsked, tried_so_far: list[Trial], counts: Counts) -> Sized:
    """The row of a chip of which no number is enough: the least days there are, and with how many."""
    best = min(tried_so_far, key=lambda one: one.days)
    numbers: dict[str, Number] = {"days": asked.days}
    if math.isfinite(best.days):
        numbers |= {"least_days": best.days, "count": best.n_chips}
        why = f"{best.days:.3g} days at best, with {best.n_chips:,} chips: more bring nothing at this global batch"
    else:
        numbers |= {"count": best.n_chips}
        why = f"no plan fits up to {best.n_chips:,} chips"
    return Sized(
        chip=question.chip.name, chip_name=question.chip.full_name, count=None, count_low=None, count_high=None,
        granule=counts.domain, plan={}, plan_text="", precision=question.precision, days=None, days_low=None,
        days_high=None, ttft_ms=None, tpot_ms=None, replicas=None, limiting="", usd_per_chip_hour=None,
        price_basis="", cost_usd_per_day=None, cost_usd=None, power_mw=None, energy_mwh=None,
        evidence=question.silicon.evidence, why=why, numbers=numbers,
    )  # fmt: skip


def raise_if_none(rows: list[Sized]) -> None:
    """One error where no chip has an answer."""
    if any(row.count is not None for row in rows):
        return
    numbers: dict[str, Number] = {}
    for row in rows:
        numbers |= {f"{row.chip}.{name}" if len(rows) > 1 else name: value for name, value in row.numbers.items()}
    raise NoAnswer("; ".join(f"{row.chip}: {row.why}" for row in rows), numbers=numbers)


def size_serve(asked: RateAsked) -> Size:
    """The fewest chips of each type that serve so many requests per second under the objectives.

    Raises WrongInput for a wrong question; NoAnswer, with the numbers, where no chip has an answer.
    """
    check_chips(asked.chips)
    given = constants.table("pools")
    usual = constants.constant(given["objective"]["ttft_s"], "ttft_s", given["sources"])
    tpot = constants.default("serving", "tpot_s")
    said = []
    for name, own, number in (("ttft_s", asked.ttft_s, usual), ("tpot_s", asked.tpot_s, tpot)):
        if own is None:
            note = number.note or number.source
            said.append(Assumption(name, number.value, number.kind, note, number.low, number.high))
    asked = replace(asked, ttft_s=asked.ttft_s or usual.value, tpot_s=asked.tpot_s or tpot.value)
    rows, results, n_searches = [], [], 0
    for place, chip in enumerate(asked.chips):
        row, done, searched = serve_one(asked, chip, asked.settings[place] if asked.settings else ())
        rows.append(row)
        n_searches += searched
        if done is not None:
            results.append(done)
    raise_if_none(rows)
    first = results[0]
    return Size(
        purpose=SERVE,
        model=first.model,
        model_name=first.model_name,
        target={
            "requests_per_s": asked.rate,
            "ttft_ms": 1e3 * (asked.ttft_s or 0.0),
            "tpot_ms": 1e3 * (asked.tpot_s or 0.0),
            "percentile": asked.percentile,
            "input_len": first.input_len,
            "output_len": first.output_len,
        },
        rows=tuple(rows),
        n_searches=n_searches,
        assumptions=(*said, *(each for each in first.assumptions if each.name in ("input_len", "output_len"))),
        warnings=tuple(dict.fromkeys(text for each in results for text in each.warnings)),
    )


def forward(asked: RateAsked, chip: str, settings: tuple[str, ...], count: int, rate: float) -> ServeResult | None:
    """What `serve` says of so many chips; None where they do not hold the objectives."""
    try:
        return serve(
            ServeAsked(
                chip=chip,
                model=asked.model,
                n_chips=count,
                input_len=asked.input_len,
                output_len=asked.output_len,
                lengths=asked.lengths,
                engine=asked.engine,
                precision=asked.precision,
                fabric=asked.fabric,
                rate=rate,
                ttft_s=asked.ttft_s,
                tpot_s=asked.tpot_s,
                percentile=asked.percentile,
                plan=asked.plan,
                hit_fraction=asked.hit_fraction,
                n_drafts=asked.n_drafts,
                accepted_tokens=asked.accepted_tokens,
                settings=settings,
            )
        )
    except NoAnswer:
        if count == SERVING_COUNTS[-1]:
            raise
        return None


def used_chips(done: ServeResult) -> int:
    """Chips that a serving answer runs on."""
    return done.replicas * math.prod(int(done.plan[name]) for name in ("tp", "pp", "attention_dp"))


def enough(asked: RateAsked, chip: str, settings: tuple[str, ...], rate: float, start: int) -> tuple[ServeResult, int]:
    """An answer on the fewest of many chips, and how many searches it took. Raises NoAnswer where none is enough."""
    n_searches = 0
    for count in SERVING_COUNTS:
        if count < start and count != SERVING_COUNTS[-1]:
            continue
        n_searches += 1
        done = forward(asked, chip, settings, count, rate)
        if done is not None:
            return done, n_searches
    raise AssertionError("the last of them raises")


def fewest_serving(asked: RateAsked, chip: str, settings: tuple[str, ...]) -> tuple[ServeResult, int]:
    """The answer on the fewest chips, and how many searches it took. Raises NoAnswer where no number is enough.

    A search over many chips names the fewest that it needs; it is asked again with just so many, and with one less.
    """
    first, n_searches = enough(asked, chip, settings, asked.rate, 1)
    count = used_chips(first)
    best = forward(asked, chip, settings, count, asked.rate)
    while best is None:  # a cluster of so many has other links than the larger one
        count += 1
        n_searches += 1
        best = forward(asked, chip, settings, count, asked.rate)
    less: ServeResult | None = best
    while less is not None:
        best = less
        count = min(used_chips(best), count) - 1
        n_searches += 1
        less = forward(asked, chip, settings, count, asked.rate) if count else None
    return best, n_searches + 1


def serve_one(asked: RateAsked, chip: str, settings: tuple[str, ...]) -> tuple[Sized, ServeResult | None, int]:
    """One chip's fewest for a rate."""
    try:
        done, n_searches = fewest_serving(asked, chip, settings)
    except NoAnswer as error:
        question = fill(Asked(chip, asked.model, precision=asked.precision, fabric=asked.fabric, settings=settings))
        why = f"{error.message}; {error.hint}" if error.hint else error.message
        row = Sized(
            chip=question.chip.name, chip_name=question.chip.full_name, count=None, count_low=None, count_high=None,
            granule=question.fabric.scale_up.n_chips, plan={}, plan_text="", precision=question.precision, days=None,
            days_low=None, days_high=None, ttft_ms=None, tpot_ms=None, replicas=None, limiting="",
            usd_per_chip_hour=None, price_basis="", cost_usd_per_day=None, cost_usd=None, power_mw=None,
            energy_mwh=None, evidence="", why=why, numbers=error.numbers,
        )  # fmt: skip
        return row, None, 1
    count = used_chips(done)
    question = fill(Asked(chip, asked.model, n_chips=count, precision=asked.precision, settings=settings))
    evidence = interval.evidence_of(question.chip, "serving")
    mixture = question.record.n_moe_layers > 0
    width = interval.half_width(evidence, 1, mixture=mixture, purpose="throughput_interval")
    ends: list[int | None] = []
    for sign in (-1.0, 1.0):
        try:
            other, searched = enough(asked, chip, settings, asked.rate * math.exp(sign * width), count)
            ends.append(used_chips(other))
            n_searches += searched
        except NoAnswer:
            ends.append(None)
    joules = done.energy_j_per_output_token
    power_w = None if joules is None else joules * done.output_tokens_per_s
    row = Sized(
        chip=done.chip,
        chip_name=done.chip_name,
        count=count,
        count_low=ends[0],
        count_high=ends[1],
        granule=1,
        plan=done.plan,
        plan_text=done.plan_text,
        precision=done.precision,
        days=None,
        days_low=None,
        days_high=None,
        ttft_ms=done.ttft_ms,
        tpot_ms=done.tpot_ms,
        replicas=done.replicas,
        limiting=done.limiting_decode,
        usd_per_chip_hour=done.usd_per_chip_hour,
        price_basis=done.price_basis,
        cost_usd_per_day=done.usd_per_chip_hour * 24.0 * count,
        cost_usd=None,
        power_mw=None if power_w is None else power_w / 1e6,
        energy_mwh=None if power_w is None else power_w * DAY_S / J_PER_MWH,
        evidence=done.evidence,
        why="",
        numbers={},
    )
    return row, done, n_searches
