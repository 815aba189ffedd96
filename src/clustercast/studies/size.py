"""The inverse questions: the fewest chips that train in so many days, or that serve so many requests per second."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from clustercast import progress
from clustercast.catalog import constants
from clustercast.display import Notebook
from clustercast.errors import NoAnswer, Number, WrongInput
from clustercast.estimates import interval, job, training
from clustercast.estimates.question import MOST_CHIPS, Asked, Question, fill
from clustercast.estimates.result import Assumption
from clustercast.physics.job import training_s
from clustercast.physics.training import training_step
from clustercast.plans import search, text
from clustercast.records import Plan
from clustercast.studies.serving.pools import Pools, pools
from clustercast.studies.serving.question import fill_serve, like
from clustercast.studies.serving.result import ServeResult, power_w, serve
from clustercast.studies.serving.split import PoolsAsked, Side

DAY_S: Final = 86400.0
J_PER_MWH: Final = 3.6e9
TRAIN: Final = "train"
SERVE: Final = "serve"
SERVING_COUNTS: Final = (32, 256, 2048, 16384, 131072)  # chips tried for serving until they are enough
SPARE: Final = 1.25  # more chips than the capacity of fewer says are needed
GROWTH: Final = 4.0  # of a count that is too small, until it is enough
LEAST_GROWTH: Final = 1.06
GAIN: Final = 1e-3  # of speed: where so many more chips bring less
BARREN_GROWTHS: Final = (1.0, 1.25, 4.0, 4.0)  # of a count where more chips brought nothing, so many times in a row
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
    percentile: float | None = None
    precision: str | None = None
    plan: str = ""
    engine: str = "vllm"
    hit_fraction: float = 0.0
    n_drafts: float | None = None
    accepted_tokens: float | None = None
    fabric: str | None = None
    settings: tuple[tuple[str, ...], ...] = ()
    apart: tuple[Side, Side] | None = None  # prefill and decode in pools of their own, one row more


@dataclass(frozen=True, slots=True)
class Sized:
    """One chip's answer; `count` is None, with `why`, where no number of chips is enough."""

    chip: str
    chip_name: str
    count: int | None
    count_low: int | None  # enough if the model is as much too slow as the 80 % interval allows
    count_high: int | None  # the same the other way; None: no number is enough
    prefill_count: int | None  # of the count, where prefill and decode have pools of their own
    decode_count: int | None
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
class Size(Notebook):
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
    is enough: where again and again many more chips bring nothing.
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
        if barren == len(BARREN_GROWTHS) or one.n_chips >= MOST_CHIPS:
            return None
        ratio = one.days * math.exp(shift * one.width) / days if math.isfinite(one.days) else GROWTH
        grown = one.n_chips * (BARREN_GROWTHS[barren] if barren else min(max(ratio, LEAST_GROWTH), GROWTH))
        high = max(counts.place(min(grown, MOST_CHIPS)), high + 1)
        best = look(high)
    high = counts.place(best.n_chips)
    beside = True  # one less first: plans jump from one use of the chips to the next, so it settles most answers
    while high - low > 1:
        place = high - 1
        if not beside:
            near = counts.place(best.n_chips * best.days * math.exp(shift * best.width) / days)
            place = near if low < near < high - 1 else (low + high) // 2
        found = look(place)
        beside = not beside
        if found is None:
            low, beside = place, True
        else:
            best, high = found, counts.place(found.n_chips)
    return best


class Known(NamedTuple):
    """The fastest plan of so many chips, and so of every number of chips from those that it uses up to these."""

    n_chips: int
    used: int
    plan: Plan | None
    step_s: float


@dataclass
class Trials:
    """The forward answer at any count, each searched once: a plan that leaves chips idle answers for fewer too."""

    question: Question
    fixed: dict[str, int]
    seen: dict[int, Trial] = field(default_factory=dict)
    known: list[Known] = field(default_factory=list)

    def __call__(self, count: int) -> Trial:
        if count not in self.seen:
            self.seen[count] = judged(replace(self.question, n_chips=count), self.fastest(count))
        return self.seen[count]

    def fastest(self, count: int) -> Known:
        """The fastest plan of so many chips, searched only where no larger search has found it."""
        setting = self.question.setting(count)
        for one in self.known:
            fits = one.used <= count <= one.n_chips
            if fits and (one.plan is None or training_step(setting, one.plan).step_s == one.step_s):
                return one._replace(n_chips=count)
        held = math.prod(self.fixed.get(name, 1) for name in ("tp", "pp", "cp", "dp"))
        found = search.fastest(setting, count, self.fixed) if held <= count else None
        if found is None or not found.plans:
            # what does not fit so many chips fits no fewer
            self.known.append(Known(count, 0, None, math.inf))
        else:
            plan = found.plans[0]
            self.known.append(Known(count, plan.tp * plan.pp * plan.cp * plan.dp, plan, found.steps_s[0]))
        return self.known[-1]


def judged(question: Question, found: Known) -> Trial:
    """The days of a plan on the question's chips, as an estimate counts them."""
    count = question.n_chips
    if found.plan is None:
        return Trial(count, math.inf, 0.0, count, math.inf)
    rate = question.job.global_batch * question.job.seq_len / found.step_s
    days, lean_days = (days_on(question, rate, n) for n in (count, found.used))
    return Trial(count, days, training.half_width_of(question), found.used, lean_days)


def days_on(question: Question, tokens_per_s: float, n_chips: int) -> float:
    """Calendar days of training on so many chips; infinite where interruptions outrun what is trained between them."""
    try:
        return training_s(question.tokens, tokens_per_s, job.goodput_of(question, n_chips).fraction) / DAY_S
    except NoAnswer:
        return math.inf


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
    own = asked.settings or ((),) * len(asked.chips)
    questions = [train_question(asked, chip, settings) for chip, settings in zip(asked.chips, own, strict=True)]
    each = [Sizing(asked, question) for question in questions]
    each[0].trial(each[0].start)
    done = side_by_side([partial(size_one, one) for one in each])
    rows, n_searches = [row for row, _ in done], sum(searched for _, searched in done)
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


def train_question(asked: TrainAsked, chip: str, settings: tuple[str, ...]) -> Question:
    """The forward question of one chip. Raises WrongInput."""
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
            settings=settings,
        )
    )
    if question.silicon.recipe.serving_only:
        raise WrongInput(f"--precision {question.precision} is for serving only")
    return question


class Sizing:
    """One chip's question, with what was searched for it so far."""

    def __init__(self, asked: TrainAsked, question: Question) -> None:
        self.asked, self.question = asked, question
        self.trial = Trials(question, text.parse(asked.plan))
        flop = 6.0 * question.active_params * question.tokens
        peak = question.silicon.chip.matmul_flop_per_s
        self.start = math.ceil(min(max(flop / (0.5 * peak * asked.days * DAY_S), 1.0), MOST_CHIPS))


Row = TypeVar("Row")
Answer = TypeVar("Answer", ServeResult, Pools)


def side_by_side(each: list[Callable[[], Row]]) -> list[Row]:
    """Every row, on as many threads as there are cores: compiled searches hold no lock.

    What they share is to be compiled before, or every thread compiles it.
    """
    if len(each) == 1:
        return [each[0]()]
    import contextvars
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(contextvars.copy_context().run, one) for one in each]
        return [done.result() for done in progress.track(waiting, "chips")]


def size_one(sizing: Sizing) -> tuple[Sized, int]:
    """One chip's fewest, and how many searches it took."""
    question, asked, trial, start = sizing.question, sizing.asked, sizing.trial, sizing.start
    domain = question.fabric.scale_up.n_chips
    counts = Counts(domain)
    found = fewest(trial, counts, asked.days, 0.0, start)
    if found is None:
        return unreachable(question, asked, list(trial.seen.values()), counts), len(trial.known)
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
            prefill_count=None,
            decode_count=None,
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
            prefill_count=None, decode_count=None,
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
    if asked.chips or asked.apart is None:
        check_chips(asked.chips)
    if not 0.0 < asked.rate < math.inf:
        raise WrongInput(f"--rate: expected requests per second above 0, got {asked.rate:g}")
    given = constants.table("pools")
    usual = constants.constant(given["objective"]["ttft_s"], "ttft_s", given["sources"])
    tpot = constants.default("serving", "tpot_s")
    said = []
    for name, own, number in (("ttft_s", asked.ttft_s, usual), ("tpot_s", asked.tpot_s, tpot)):
        if own is None:
            note = number.note or number.source
            said.append(Assumption(name, number.value, number.kind, note, number.low, number.high))
    asked = replace(asked, ttft_s=asked.ttft_s or usual.value, tpot_s=asked.tpot_s or tpot.value)
    of_chip = asked.settings or ((),) * len(asked.chips)
    for chip, settings in zip(asked.chips, of_chip, strict=True):
        question_of(asked, chip, settings)  # what is wrong is said before anything is searched
    each: list[Callable[[], Served]] = [
        partial(serve_one, asked, chip, settings) for chip, settings in zip(asked.chips, of_chip, strict=True)
    ]
    if asked.apart is not None:
        each.append(partial(pools_one, asked, *asked.apart))
    found = [each[0](), *(side_by_side(each[1:]) if each[1:] else ())]
    rows, n_searches = [one.row for one in found], sum(one.n_searches for one in found)
    raise_if_none(rows)
    results = [one.done for one in found if one.done is not None]
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


class Served(NamedTuple):
    """One row, the answer behind it, and how many searches it took."""

    row: Sized
    done: ServeResult | Pools | None
    n_searches: int


def question_of(asked: RateAsked, chip: str, settings: tuple[str, ...]) -> Question:
    """What is asked of one chip. Raises WrongInput."""
    return fill_serve(like(asked, chip=chip, settings=settings)).base


def forward(
    asked: RateAsked, chip: str, settings: tuple[str, ...], count: int, rate: float, plan: str | None = None
) -> ServeResult:
    """What `serve` says of so many chips. Raises NoAnswer."""
    plan = asked.plan if plan is None else plan
    return serve(like(asked, chip=chip, settings=settings, n_chips=count, rate=rate, plan=plan))


def used_chips(done: ServeResult) -> int:
    """Chips that a serving answer runs on."""
    return done.replicas * math.prod(int(done.plan[name]) for name in ("tp", "pp", "attention_dp"))


def enough(of_count: Callable[[int], Answer], start: int) -> tuple[Answer, int]:
    """An answer that may use more and more chips until they are enough, and how many searches it took.

    Raises NoAnswer where none is enough.
    """
    count = max(start, 1)
    n_searches = 0
    while True:
        n_searches += 1
        try:
            return of_count(count), n_searches
        except NoAnswer as error:
            if count == SERVING_COUNTS[-1]:
                raise
            rate, capacity = (error.numbers.get(name) for name in ("rate", "capacity_requests_per_s"))
            count = next(each for each in SERVING_COUNTS if each > count)
            if isinstance(rate, float) and isinstance(capacity, float) and capacity > 0.0:
                most = int(error.numbers.get("count") or 0)  # what kept up with less says how many it takes
                count = min(count, max(math.ceil(SPARE * most * rate / capacity), most + 1))


def serve_one(asked: RateAsked, chip: str, settings: tuple[str, ...]) -> Served:
    """One chip's fewest for a rate.

    Of the chips that it may use a search uses the fewest, so one search over enough chips names them: with one less
    there are only setups that it has looked at.
    """

    def over(rate: float) -> Callable[[int], ServeResult]:
        return lambda count: forward(asked, chip, settings, count, rate)

    try:
        roomy, n_searches = enough(over(asked.rate), SERVING_COUNTS[0])
    except NoAnswer as error:
        return Served(out_of_reach(question_of(asked, chip, settings), error), None, 1)
    count = used_chips(roomy)
    done = forward(asked, chip, settings, count, asked.rate, roomy.plan_text)
    question = question_of(asked, chip, settings)
    mixture = question.record.n_moe_layers > 0
    width = interval.half_width(
        interval.evidence_of(question.chip, "serving"), 1, mixture=mixture, purpose="throughput_interval"
    )
    ends: list[int | None] = []
    for sign, start in ((-1.0, count), (1.0, math.ceil(count * math.exp(width)))):
        try:
            other, searched = enough(over(asked.rate * math.exp(sign * width)), start)
            ends.append(used_chips(other))
            n_searches += searched
        except NoAnswer:
            ends.append(None)
    watts = power_w(question.serving_setting().chip, count, done.utilisation["busy"] or 0.0)
    row = Sized(
        chip=done.chip,
        chip_name=done.chip_name,
        count=count,
        count_low=ends[0],
        count_high=ends[1],
        prefill_count=None,
        decode_count=None,
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
        power_mw=None if watts is None else watts / 1e6,
        energy_mwh=None if watts is None else watts * DAY_S / J_PER_MWH,
        evidence=done.evidence,
        why="",
        numbers={},
    )
    return Served(row, done, n_searches)


def out_of_reach(question: Question, error: NoAnswer) -> Sized:
    """The row of a chip of which no number is enough."""
    why = f"{error.message}; {error.hint}" if error.hint else error.message
    return Sized(
        chip=question.chip.name, chip_name=question.chip.full_name, count=None, count_low=None, count_high=None,
        prefill_count=None, decode_count=None,
        granule=question.fabric.scale_up.n_chips, plan={}, plan_text="", precision=question.precision, days=None,
        days_low=None, days_high=None, ttft_ms=None, tpot_ms=None, replicas=None, limiting="",
        usd_per_chip_hour=None, price_basis="", cost_usd_per_day=None, cost_usd=None, power_mw=None,
        energy_mwh=None, evidence="", why=why, numbers=error.numbers,
    )  # fmt: skip


def pools_one(asked: RateAsked, prefill: Side, decode: Side) -> Served:
    """The cheapest pools apart for a rate: neither can do with a chip less while the other stays."""

    def over(rate: float) -> Callable[[int], Pools]:
        sides = {"prefill": prefill, "decode": decode}
        shared = {name: getattr(asked, name) for name in PoolsAsked.__dataclass_fields__ if hasattr(asked, name)}
        return lambda count: pools(PoolsAsked(**(shared | sides | {"count": count, "rate": rate})), compare=False)

    try:
        done, n_searches = enough(over(asked.rate), SERVING_COUNTS[0])
    except NoAnswer as error:
        first, second = (question_of(asked, side.chip, side.settings) for side in (prefill, decode))
        row = replace(out_of_reach(first, error), chip=f"{first.chip.name} + {second.chip.name}")
        return Served(row, None, 1)
    ends: list[int | None] = []
    for rate in (done.requests_per_s**2 / done.requests_per_s_high, done.requests_per_s**2 / done.requests_per_s_low):
        try:
            other, searched = enough(over(rate), SERVING_COUNTS[0])
            ends.append(other.count)
            n_searches += searched
        except NoAnswer:
            ends.append(None)
    one, two = done.prefill, done.decode
    watts = None
    if done.energy_j_per_input_token is not None and done.energy_j_per_output_token is not None:
        watts = done.energy_j_per_input_token * done.input_tokens_per_s
        watts += done.energy_j_per_output_token * done.output_tokens_per_s
    row = Sized(
        chip=f"{one.chip} + {two.chip}",
        chip_name=f"{one.chip_name} prefills, {two.chip_name} decodes",
        count=done.count,
        count_low=ends[0],
        count_high=ends[1],
        prefill_count=one.count,
        decode_count=two.count,
        granule=1,
        plan={"prefill": one.plan, "decode": two.plan},
        plan_text=f"--prefill-count {one.count} --prefill-plan {one.plan_text} "
        f"--decode-count {two.count} --decode-plan {two.plan_text}",
        precision=one.precision if one.precision == two.precision else f"{one.precision} and {two.precision}",
        days=None,
        days_low=None,
        days_high=None,
        ttft_ms=done.ttft_ms,
        tpot_ms=done.tpot_ms,
        replicas=one.replicas + two.replicas,
        limiting=two.limiting,
        usd_per_chip_hour=done.usd_per_hour / done.count,
        price_basis=f"prefill: {one.price_basis}; decode: {two.price_basis}",
        cost_usd_per_day=24.0 * done.usd_per_hour,
        cost_usd=None,
        power_mw=None if watts is None else watts / 1e6,
        energy_mwh=None if watts is None else watts * DAY_S / J_PER_MWH,
        evidence=one.evidence if one.evidence == two.evidence else f"{one.evidence}, {two.evidence}",
        why="",
        numbers={},
    )
    return Served(row, done, n_searches)
