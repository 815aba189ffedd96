"""A serving question: how long requests are, what load or objectives there are, what is fixed of the plan."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from clustercast import records, units
from clustercast.catalog import constants
from clustercast.errors import WrongInput
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Assumption
from clustercast.physics.queueing import Demand, strata_of
from clustercast.studies.serving.search import Limits
from clustercast.studies.serving.simulate import Lengths, by_percentiles
from clustercast.studies.serving.simulate import fixed as always

FIELDS: Final = ("tp", "pp", "attention_dp", "ep", "etp", "replicas", "batch", "chunk")
ALIASES: Final = {
    "dp": "attention_dp",
    "adp": "attention_dp",
    "dp_attention": "attention_dp",
    "chunk_tokens": "chunk",
    "chunk_size": "chunk",
}
MOST_FIXED: Final = 10**6
MOST_TOKENS: Final = 10_000_000
MOST_RATE: Final = 1e9
MOST_ROWS: Final = 10_000_000
TRAINING_ONLY: Final = ("tokens", "seq_len", "global_batch", "stack")


@dataclass(frozen=True, slots=True)
class ServeAsked:
    """The question as the user put it; None is open."""

    chip: str
    model: str
    n_chips: int | None = None
    input_len: int | str | None = None  # tokens, or percentiles: "p50=1k,p90=8k"
    output_len: int | str | None = None
    lengths: str | None = None  # a CSV file with the columns input, output and, if need be, weight
    engine: str = "vllm"
    precision: str | None = None
    fabric: str | None = None
    concurrency: int | None = None
    rate: float | None = None  # requests per second
    ttft_s: float | None = None
    tpot_s: float | None = None
    percentile: float | None = None
    plan: str = ""
    hit_fraction: float = 0.0
    n_drafts: float | None = None
    accepted_tokens: float | None = None
    settings: tuple[str, ...] = ()
    kv_precision: str | None = None  # of the cache; None: as the precision has it


def like(given: Any, **own: Any) -> ServeAsked:
    """The question of one pool that another question contains: its fields of the same name, and `own` over them."""
    common = {each.name: getattr(given, each.name) for each in fields(ServeAsked) if hasattr(given, each.name)}
    return ServeAsked(**(common | own))


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long prompts or answers are: what the steady state needs of them."""

    mean: float
    square_factor: float  # mean square over the square of the mean
    inverse_factor: float  # mean of 1 / (n - 1) times the mean of n - 1, over lengths above 1
    longest: float
    said: str  # how they were given


@dataclass(frozen=True, slots=True)
class ServeQuestion:
    """The question with every blank filled in."""

    asked: ServeAsked
    base: Question
    setting: records.ServingSetting
    input: Sizes
    output: Sizes
    job: records.ServingJob  # one sequence in flight
    demand: Demand
    limits: Limits
    limits_assumed: bool
    percentile: float  # 0: the mean
    fixed: Mapping[str, int]
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]

    @property
    def load(self) -> str:
        """What decides how many requests there are: full (as many as hold the objectives), concurrency, rate."""
        if self.asked.rate is not None:
            return "rate"
        return "full" if self.asked.concurrency is None else "concurrency"


def parse_plan(text: str, option: str = "--plan") -> dict[str, int]:
    """What an option fixes of a serving plan.

    Raises WrongInput for an unknown field, a value that is no whole number, a field given twice.

    >>> parse_plan("tp=8,dp=4,ep=32,chunk=16384")
    {'tp': 8, 'attention_dp': 4, 'ep': 32, 'chunk': 16384}
    """
    import difflib

    fixed: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = (each.strip() for each in part.partition("="))
        name = name.lower().replace("-", "_")
        name = ALIASES.get(name, name)
        if name not in FIELDS:
            near = difflib.get_close_matches(name, (*FIELDS, *ALIASES), 1)
            raise WrongInput(
                f"{option}: unknown field {name!r} of a serving plan",
                hint=f"did you mean {near[0]}?" if near else f"fields: {', '.join(FIELDS)}",
            )
        if name in fixed:
            raise WrongInput(f"{option}: {name} is given twice")
        if not equals or not value:
            raise WrongInput(f"{option}: {name} needs a value", hint=f"write {name}=...")
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= MOST_FIXED:
            raise WrongInput(f"{option}: {name}: expected a whole number from 1 to {MOST_FIXED:,}, got {value!r}")
        fixed[name] = int(value)
    return fixed


def tokens(option: str, text: int | str) -> float:
    """A number of tokens, like 4096 or 8k, of at least 1. Raises WrongInput."""
    try:
        found = float(text) if isinstance(text, (int, float)) else units.parse(text, "count")
    except ValueError:
        raise WrongInput(f"{option}: expected a number of tokens like 4096 or 8k, got {text!r}") from None
    if not 1 <= found <= MOST_TOKENS or found != int(found):
        raise WrongInput(f"{option}: expected a whole number from 1 to {MOST_TOKENS:,}, got {text!r}")
    return found


def percentiles_of(option: str, text: str) -> dict[float, float]:
    """Tokens by percentile, from "p50=1k,p90=8k". Raises WrongInput."""
    given: dict[float, float] = {}
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        share = name.lower().removeprefix("p")
        if name[:1].lower() != "p" or not share.replace(".", "", 1).isdigit():
            raise WrongInput(f"{option}: expected percentiles like p50=1k,p90=8k, got {text!r}")
        if float(share) in given:
            raise WrongInput(f"{option}: {name} is given twice")
        given[float(share)] = tokens(option, value)
    return given


def lengths_of(option: str, text: int | str) -> Lengths:
    """What to draw lengths from: a number, or percentiles and straight between them. Raises WrongInput."""
    if not isinstance(text, str) or "=" not in text:
        return always(tokens(option, text))
    try:
        return by_percentiles(percentiles_of(option, text))
    except WrongInput as error:
        raise WrongInput(error.message if error.message.startswith(option) else f"{option}: {error.message}") from None


def sizes_of(option: str, text: int | str) -> Sizes:
    """Lengths from a number or from percentiles, straight between them. Raises WrongInput.

    >>> sizes_of("--isl", "4k").mean, round(sizes_of("--isl", "p0=100,p100=300").mean)
    (4000.0, 200)
    """
    drawn = lengths_of(option, text)
    if not drawn.shares:
        return Sizes(drawn.mean, 1.0, 1.0, drawn.mean, f"{drawn.mean:,.0f}")
    given = percentiles_of(option, str(text))
    said = ", ".join(f"p{share:g}={value:,.0f}" for share, value in sorted(given.items()))
    square = drawn.moment(2) / drawn.mean**2
    return Sizes(drawn.mean, square, _inverse_factor(drawn), max(given.values()), said)


def _inverse_factor(drawn: Lengths) -> float:
    """Mean of 1 / (n - 1) times the mean of n - 1, n straight between percentiles; those of one token left out."""
    inverse, mean, share = 0.0, 0.0, 0.0
    for at, (low, high) in enumerate(zip(drawn.values, drawn.values[1:], strict=False)):
        part = drawn.shares[at + 1] - drawn.shares[at]
        below, above = max(low - 1.0, 1.0), max(high - 1.0, 1.0)
        inverse += part * (math.log(above / below) / (above - below) if above > below else 1.0 / below)
        mean += part * 0.5 * (below + above)
        share += part
    return inverse * mean / (share * share) if share else 1.0


def requests_from(path: str) -> list[tuple[float, float, float]]:
    """Tokens in, out and weight of each request of a CSV file with the columns input, output and, if any, weight.

    Raises WrongInput with file and line for what cannot be read.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise WrongInput(f"--lengths: {path!r} cannot be read: {reason}") from None
    names = [name.strip().lower() for name in rows[0]] if rows else []
    if "input" not in names or "output" not in names:
        raise WrongInput(
            f"--lengths: {path}: expected a first line with the columns input, output and, if need be, weight",
            hint="input,output,weight",
        )
    if len(rows) > MOST_ROWS:
        raise WrongInput(f"--lengths: {path}: more than {MOST_ROWS:,} lines")
    drawn: list[tuple[float, float, float]] = []
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = dict(zip(names, (cell.strip() for cell in row), strict=False))
        where = f"--lengths: {path}:{number}"
        try:
            weight = float(cells.get("weight") or 1.0)
            pair = units.parse(cells.get("input") or "", "count"), units.parse(cells.get("output") or "", "count")
        except ValueError:
            raise WrongInput(f"{where}: expected numbers of tokens, got {', '.join(row)!r}") from None
        if not all(1 <= each <= MOST_TOKENS for each in pair) or not 0.0 <= weight < math.inf:
            raise WrongInput(f"{where}: expected lengths from 1 to {MOST_TOKENS:,} and a weight of at least 0")
        drawn.append((*pair, weight))
    if math.fsum(weight for _, _, weight in drawn) <= 0.0:
        raise WrongInput(f"--lengths: {path} holds no request")
    return drawn


def sizes_from(path: str) -> tuple[Sizes, Sizes]:
    """Prompts and answers of a file of requests. Raises WrongInput."""
    drawn = requests_from(path)
    total = math.fsum(weight for _, _, weight in drawn)
    sides = []
    for side in (0, 1):
        mean = math.fsum(each[side] * each[2] for each in drawn) / total
        square = math.fsum(each[side] ** 2 * each[2] for each in drawn) / total
        gaps = [(max(each[side] - 1.0, 1.0), each[2] / total) for each in drawn]
        inverse = math.fsum(share / gap for gap, share in gaps) * math.fsum(share * gap for gap, share in gaps)
        longest = max(each[side] for each in drawn if each[2] > 0.0)
        sides.append(Sizes(mean, square / mean**2, inverse, longest, f"{Path(path).name}, {len(drawn):,} requests"))
    return sides[0], sides[1]


def drawn_from(asked: ServeAsked, input_len: int, output_len: int) -> tuple[Lengths, Lengths]:
    """What prompts and answers are drawn from; fixed lengths where nobody gave any. Raises WrongInput.

    Both lengths of a file are drawn apart, as the steady state takes them.
    """
    if asked.lengths is None:
        return lengths_of("--isl", asked.input_len or input_len), lengths_of("--osl", asked.output_len or output_len)
    drawn = requests_from(asked.lengths)
    return _weighed([(each[0], each[2]) for each in drawn]), _weighed([(each[1], each[2]) for each in drawn])


def _weighed(pairs: list[tuple[float, float]]) -> Lengths:
    """Lengths with weights: a flat step of the percentiles each."""
    total = math.fsum(weight for _, weight in pairs)
    values: list[float] = []
    shares: list[float] = []
    share = 0.0
    for value, weight in sorted(pairs):
        if weight > 0.0:
            values += [value, value]
            shares += [share, share + weight / total]
            share += weight / total
    shares[-1] = 1.0
    return Lengths(tuple(values), tuple(shares))


def lengths(asked: ServeAsked) -> tuple[Sizes | None, Sizes | None]:
    """Prompts and answers as they were given; None where they were not."""
    if asked.lengths is not None:
        if asked.input_len is not None or asked.output_len is not None:
            raise WrongInput("--lengths: the file gives both lengths; leave out --isl and --osl")
        return sizes_from(asked.lengths)
    return (
        None if asked.input_len is None else sizes_of("--isl", asked.input_len),
        None if asked.output_len is None else sizes_of("--osl", asked.output_len),
    )


def positive(option: str, value: float | None, most: float, expected: str) -> None:
    """Refuse what is no positive number. Raises WrongInput."""
    if value is not None and not 0.0 < value <= most:
        raise WrongInput(f"{option}: expected {expected}, got {value:g}")


def check_percentile(percentile: float | None) -> None:
    """Refuse a percentile that no request has. Raises WrongInput."""
    if percentile is not None and not 0.0 < percentile < 100.0:
        raise WrongInput(f"--percentile: expected a number above 0 and below 100, like 90, got {percentile:g}")


def check(asked: ServeAsked) -> None:
    """Refuse loads, objectives and shares that make no sense. Raises WrongInput."""
    if asked.rate is not None and asked.concurrency is not None:
        raise WrongInput("--rate and --concurrency: give one load or the other")
    positive("--rate", asked.rate, MOST_RATE, "requests per second above 0")
    positive("--concurrency", asked.concurrency, MOST_RATE, "a whole number of at least 1")
    positive("--ttft", asked.ttft_s, math.inf, "a time above 0, like 2s")
    positive("--tpot", asked.tpot_s, math.inf, "a time above 0, like 50ms")
    if asked.percentile is not None:
        check_percentile(asked.percentile)
        if asked.rate is None:
            raise WrongInput(
                "--percentile: percentiles come from arrivals; without --rate times are means", hint="add --rate N"
            )
    if not 0.0 <= asked.hit_fraction < 1.0:
        raise WrongInput(f"--prefix-hit: expected a share from 0 to below 1, got {asked.hit_fraction:g}")
    drafts, accepted = guesses(asked)
    if not 0.0 <= drafts <= 64 or not 1.0 <= accepted <= 1.0 + math.ceil(drafts):
        raise WrongInput(
            f"--accept: with {drafts:g} drafts a step yields 1 to {1 + math.ceil(max(drafts, 0.0))} tokens, "
            f"got {accepted:g}",
            hint="--draft N guesses more tokens in a step",
        )


def guesses(asked: ServeAsked) -> tuple[float, float]:
    """Tokens guessed in a step and tokens that it yields; a guess where only one of the two was given."""
    drafts, accepted = asked.n_drafts, asked.accepted_tokens
    if drafts is None:
        drafts = 0.0 if accepted is None else math.ceil(accepted - 1.0)
    if accepted is None:
        if drafts > 0.0:
            raise WrongInput("--draft: say with --accept how many tokens a step yields", hint="--accept 1.8")
        accepted = 1.0
    return float(drafts), float(accepted)


def fill_serve(asked: ServeAsked) -> ServeQuestion:
    """Resolve names and fill in defaults. Raises WrongInput for what is wrong."""
    check(asked)
    fixed = parse_plan(asked.plan)
    if "batch" in fixed and (asked.rate is not None or asked.concurrency is not None):
        raise WrongInput("--plan: batch: the load decides the batch; give batch, --concurrency or --rate")
    given_in, given_out = lengths(asked)
    base = fill(
        Asked(
            chip=asked.chip,
            model=asked.model,
            n_chips=asked.n_chips,
            precision=asked.precision,
            input_len=None if given_in is None else max(round(given_in.mean), 1),
            output_len=None if given_out is None else max(round(given_out.mean), 1),
            fabric=asked.fabric,
            engine=asked.engine,
            settings=asked.settings,
            only_serving=True,
        )
    )
    prompt = given_in or sizes_of("input_len", base.input_len)
    answer = given_out or sizes_of("output_len", base.output_len)
    drafts, accepted = guesses(asked)
    job = records.ServingJob(
        input_len=base.input_len,
        output_len=base.output_len,
        batch=1.0,
        n_drafts=drafts,
        accepted_tokens=accepted,
        hit_fraction=float(asked.hit_fraction),
        input_square_factor=prompt.square_factor,
        output_square_factor=answer.square_factor,
    )
    said = [each for each in base.assumptions if each.name not in TRAINING_ONLY]
    limits = Limits(asked.ttft_s or math.inf, asked.tpot_s or math.inf)
    assumed = not limits.given and asked.rate is None and asked.concurrency is None and "batch" not in fixed
    if assumed:
        usual = constants.default("serving", "tpot_s")
        limits = Limits(tpot_s=usual.value)
        said.append(Assumption("tpot_s", usual.value, usual.kind, usual.note or usual.source, usual.low, usual.high))
    if asked.kv_precision is not None:
        said.append(Assumption("kv_precision", asked.kv_precision, "given", "the cache's own format"))
    return ServeQuestion(
        asked=asked,
        base=base,
        setting=base.serving_setting(guessing=drafts > 0.0, kv=asked.kv_precision or ""),
        input=prompt,
        output=answer,
        job=records.as_declared(job),
        demand=demand_of(job, answer.inverse_factor),
        limits=limits,
        limits_assumed=assumed,
        percentile=asked.percentile or 0.0,
        fixed=fixed,
        assumptions=tuple(said),
        warnings=tuple(base.warnings),
    )


def demand_of(job: records.ServingJob, inverse_factor: float) -> Demand:
    """What one request of a job asks of a replica under arrivals."""
    values: dict[str, Any] = {
        "input_len": job.input_len,
        "output_len": job.output_len,
        "input_square_factor": job.input_square_factor,
        "output_square_factor": job.output_square_factor,
        "output_inverse_factor": inverse_factor,
        "hit_fraction": job.hit_fraction,
        "n_drafts": job.n_drafts,
        "accepted_tokens": job.accepted_tokens,
        "block_tokens": constants.default("serving", "block_tokens").value,
        "reserve_fraction": constants.default("serving", "reserve_fraction").value,
        "input_strata": strata_of(job.input_square_factor),
        "output_strata": strata_of(job.output_square_factor),
    }
    return records.as_declared(Demand(**{name: values[name] for name in Demand._fields}))
