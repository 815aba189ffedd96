"""Chips side by side: the same jobs on equal cards, dollars, megawatts or TPP, and how many of one equal another."""

import math
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from clustercast import catalog, progress
from clustercast.display import Notebook
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates import interval, job
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Serving, Training
from clustercast.estimates.serving import serve_estimate
from clustercast.estimates.training import train
from clustercast.studies import rules

EQUAL: Final = ("cards", "dollars", "megawatts", "tpp")
JOBS: Final = ("training", "prefill", "decode")
UNITS_OF: Final = {"cards": "cards", "dollars": "USD per hour", "megawatts": "MW at the meter", "tpp": "TPP"}
THREADS: Final = 2
NODE: Final = 8  # chips: counts are rounded down to whole nodes where they are not given


@dataclass(frozen=True, slots=True)
class CompareAsked:
    """The question as the user put it."""

    chips: tuple[str, ...]
    models: tuple[str, ...]
    n_chips: int | None = None  # of the reference
    equal: str = "cards"
    reference: str | None = None  # None: the first chip
    price: str = "rent"
    precision: str | None = None
    tokens: float | None = None
    global_batch: int | None = None
    seq_len: int | None = None
    input_len: int | None = None
    output_len: int | None = None
    batch: int | None = None
    engine: str = "vllm"
    settings: tuple[tuple[str, ...], ...] = ()  # of each chip, in order


@dataclass(frozen=True, slots=True)
class JobOf:
    """One job on one chip: how fast all its cards do it, with the interval of time turned into one of speed."""

    tokens_per_s: float
    tokens_per_s_low: float
    tokens_per_s_high: float
    tokens_per_s_per_chip: float
    usd_per_million_tokens: float
    joules_per_token: float | None  # at the meter; serving at full load
    limiting: str
    evidence: str
    equals_reference: float | None = None  # cards of this chip that do as much as one of the reference
    equals_reference_low: float | None = None
    equals_reference_high: float | None = None
    even_usd_per_chip_hour: float | None = None  # at which a token costs what it costs on the reference
    rank: int = 0  # 1: the fastest of its model and job
    certain: bool = True  # whether the interval of its ratio to the next slower one leaves the order certain


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one chip."""

    model: str
    chip: str
    count: int
    usd_per_chip_hour: float
    price_basis: str  # where that comes from; says so where it is a guess
    share: float  # what its cards are of the reference's cards, dollars, megawatts or TPP
    days: float | None
    days_low: float | None
    days_high: float | None
    cost_usd: float | None
    energy_mwh: float | None
    mfu: float | None
    goodput: float | None
    plan: str | None
    training_memory_fraction: float | None
    training_reason: str | None
    batch: int | None
    tpot_ms: float | None
    ttft_ms: float | None
    serving_plan: dict[str, Any] | None
    serving_memory_fraction: float | None
    serving_reason: str | None
    serving_remark: str | None  # where no layout holds the usual time per token
    jobs: dict[str, JobOf]


@dataclass(frozen=True, slots=True)
class Comparison(Notebook):
    """Every model on every chip, in the order of the question."""

    equal: str
    unit: str
    amount: float  # of the first model
    amounts: tuple[float, ...]  # of each model: where no count is given, each has its own
    reference: str
    price: str
    chips: tuple[str, ...]
    models: tuple[str, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `compare --json`."""
        return {"schema": "clustercast.compare/1"} | asdict(self)


def compare(asked: CompareAsked) -> Comparison:
    """The same jobs on every chip; what one chip cannot do is said in its row.

    Raises WrongInput, and NoAnswer where no chip can do any of the jobs.
    """
    if not asked.chips or not asked.models:
        raise WrongInput("compare: expected at least one --chip and one --model")
    if asked.equal not in EQUAL:
        raise WrongInput(f"--equal: expected one of {', '.join(EQUAL)}, got {asked.equal!r}")
    names = [catalog.find_chip(chip).name for chip in asked.chips]
    for name in names:
        if names.count(name) > 1:
            raise WrongInput(f"--chip: {name} is given twice")
    wanted = catalog.find_chip(asked.reference).name if asked.reference else names[0]
    if wanted not in names:
        raise WrongInput(f"--reference: {wanted} is not among the chips", hint=f"--reference {names[0]}")
    at = names.index(wanted)
    rows: list[Row] = []
    warnings: list[str] = []
    amounts: list[float] = []
    models: list[str] = []
    questions: list[tuple[Question, float]] = []
    for model in asked.models:
        of_reference = question_of(asked, at, model, asked.n_chips)
        models.append(of_reference.model.name)
        each = unit_amount(of_reference, asked.equal)
        amount = of_reference.n_chips * each
        amounts.append(amount)
        for place in range(len(names)):
            question = of_reference
            if place != at:
                question = question_of(asked, place, model, of_reference.n_chips)
                per_card = unit_amount(question, asked.equal)
                count = of_reference.n_chips if asked.equal == "cards" else whole_nodes(amount / per_card)
                question = replace(question, n_chips=count)
            questions.append((question, question.n_chips * unit_amount(question, asked.equal) / amount))
            warnings += [each for each in question.warnings if each not in warnings]
    found = all_answered(questions)
    for start in range(0, len(found), len(names)):
        rows += ranked(found[start : start + len(names)], at)
    if not any(row.jobs for row in rows):
        reasons = [why for row in rows for why in (row.training_reason, row.serving_reason) if why]
        raise NoAnswer(f"no chip does any of the jobs: {'; '.join(dict.fromkeys(reasons))}", hint="more chips: --count")
    warnings += [f"{row.model} on {row.chip}: {row.serving_remark}" for row in rows if row.serving_remark]
    return Comparison(
        asked.equal, UNITS_OF[asked.equal], amounts[0], tuple(amounts), wanted, asked.price, tuple(names),
        tuple(models), tuple(rows), tuple(warnings),
    )  # fmt: skip


def question_of(asked: CompareAsked, place: int, model: str, count: int | None) -> Question:
    """One chip's question about one model."""
    settings = asked.settings[place] if asked.settings else ()
    return fill(
        Asked(
            asked.chips[place], model, count, asked.tokens, asked.global_batch, asked.seq_len, asked.precision, "",
            asked.input_len, asked.output_len, asked.batch, engine=asked.engine, settings=settings, price=asked.price,
        )
    )  # fmt: skip


def unit_amount(question: Question, equal: str) -> float:
    """Cards, dollars an hour, megawatts at the meter at full load, or TPP of one card. Raises NoAnswer if unknown."""
    if equal == "cards":
        return 1.0
    if equal == "dollars":
        return job.usd_per_chip_hour(question)[0]
    if equal == "tpp":
        return rules.measured(question.chip).tpp
    watts = job.meter_w(question)
    if watts <= 0.0:
        raise NoAnswer(f"--equal megawatts: the power of {question.chip.name} is not known")
    return watts / 1e6


def whole_nodes(count: float) -> int:
    """The count rounded down to whole nodes of eight, or to whole cards below that; at least one.

    >>> whole_nodes(1234.5), whole_nodes(6.7), whole_nodes(0.3)
    (1232, 6, 1)
    """
    cards = math.floor(count * (1.0 + 1e-12))
    return max(cards - cards % NODE if cards >= NODE else cards, 1)


def all_answered(questions: list[tuple[Question, float]]) -> list[tuple[Row, dict[str, tuple[float, float]]]]:
    """Every answer in order. Compiled searches release the interpreter: another thread serves meanwhile."""
    first, *others = questions
    done = [answered(*first)]  # alone, for it may compile
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(copy_context().run, answered, question, share) for question, share in others]
        return done + [each.result() for each in progress.track(waiting, "answers")]


def answered(question: Question, share: float) -> tuple[Row, dict[str, tuple[float, float]]]:
    """One row without its ranks, and of every job tokens per second with the half width of their logarithm."""
    trained: Training | None = None
    served: Serving | None = None
    reasons: dict[str, str] = {}
    remark = ""
    if question.silicon.recipe.serving_only:
        reasons["training"] = f"precision {question.precision} is for serving only"
    else:
        try:
            trained = train(question, explain=False, compiled=True)  # many searches: loading numba pays
        except NoAnswer as error:
            reasons["training"] = error.message
    try:
        served, remark = serve_estimate(question)
    except NoAnswer as error:
        reasons["serving"] = error.message
    speeds: dict[str, tuple[float, float]] = {}
    meter_w = question.n_chips * job.meter_w(question)
    powers = dict.fromkeys(JOBS, meter_w)
    if trained is not None:
        speeds["training"] = trained.tokens_per_s * trained.goodput, math.log(trained.step_s_high / trained.step_s)
        powers["training"] = (trained.job.power_mw or 0.0) * 1e6
    if served is not None:
        prefill, decode = served.prefill_tokens_per_s_per_chip, served.output_tokens_per_s_per_chip
        speeds["prefill"] = prefill * question.n_chips, math.log(served.ttft_ms_high / served.ttft_ms)
        speeds["decode"] = decode * question.n_chips, math.log(served.tpot_ms_high / served.tpot_ms)
    usd_per_h, basis = job.usd_per_chip_hour(question)
    row = Row(
        model=question.model.name,
        chip=question.chip.name,
        count=question.n_chips,
        usd_per_chip_hour=usd_per_h,
        price_basis=basis,
        share=share,
        days=trained.days if trained else None,
        days_low=trained.days_low if trained else None,
        days_high=trained.days_high if trained else None,
        cost_usd=trained.cost_usd if trained else None,
        energy_mwh=trained.energy_mwh if trained else None,
        mfu=trained.mfu if trained else None,
        goodput=trained.goodput if trained else None,
        plan=trained.plan_text if trained else None,
        training_memory_fraction=trained.memory_bytes.total / trained.memory_bytes.capacity if trained else None,
        training_reason=reasons.get("training"),
        batch=served.batch if served else None,
        tpot_ms=served.tpot_ms if served else None,
        ttft_ms=served.ttft_ms if served else None,
        serving_plan=served.plan if served else None,
        serving_memory_fraction=served.memory_bytes.total / served.memory_bytes.capacity if served else None,
        serving_reason=reasons.get("serving"),
        serving_remark=remark or None,
        jobs={},
    )
    limits = {"training": trained.limiting if trained else "", "prefill": "", "decode": ""}
    if served is not None:
        limits |= {"prefill": served.limiting_prefill, "decode": served.limiting_decode}
    jobs = {
        name: JobOf(
            tokens_per_s=speed,
            tokens_per_s_low=speed * math.exp(-width),
            tokens_per_s_high=speed * math.exp(width),
            tokens_per_s_per_chip=speed / question.n_chips,
            usd_per_million_tokens=usd_per_h * question.n_chips / 3600.0 / speed * 1e6,
            joules_per_token=powers[name] / speed if powers[name] > 0.0 else None,
            limiting=limits[name],
            evidence=interval.evidence_of(question.chip, "training" if name == "training" else "serving"),
        )
        for name, (speed, width) in speeds.items()
    }
    return replace(row, jobs=jobs), speeds


def ranked(found: list[tuple[Row, dict[str, tuple[float, float]]]], at: int) -> list[Row]:
    """The rows of one model with ranks and equivalents: errors of two chips are taken as independent."""
    rows = [row for row, _ in found]
    speeds = [speed for _, speed in found]
    for name in JOBS:
        doing = sorted(
            (place for place in range(len(rows)) if name in speeds[place]), key=lambda p: -speeds[p][name][0]
        )
        for order, place in enumerate(doing):
            mine, width = speeds[place][name]
            certain = True
            if order + 1 < len(doing):
                next_speed, next_width = speeds[doing[order + 1]][name]
                certain = math.log(mine / next_speed) > math.hypot(width, next_width)
            changed = replace(rows[place].jobs[name], rank=order + 1, certain=certain)
            if name in speeds[at]:
                theirs, their_width = speeds[at][name]
                ratio = theirs / rows[at].count / (mine / rows[place].count)
                open_width = math.hypot(width, their_width) if place != at else 0.0
                changed = replace(
                    changed,
                    equals_reference=ratio,
                    equals_reference_low=ratio * math.exp(-open_width),
                    equals_reference_high=ratio * math.exp(open_width),
                    even_usd_per_chip_hour=rows[at].usd_per_chip_hour / ratio,
                )
            rows[place] = replace(rows[place], jobs=rows[place].jobs | {name: changed})
    return rows
