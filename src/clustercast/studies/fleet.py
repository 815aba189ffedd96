"""A mixed fleet in equivalents of one chip: by compute on paper, by training, by prefill, by decode. They disagree."""

import csv
import datetime
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from clustercast import catalog, units
from clustercast.catalog import constants
from clustercast.display import Notebook
from clustercast.errors import WrongInput
from clustercast.estimates.interval import MEASURED, evidence_of
from clustercast.estimates.job import bought, meter_w, rent
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Assumption
from clustercast.studies import rules
from clustercast.studies.rules import Cap
from clustercast.studies.throughput import DECODE, JOBS, PREFILL, TRAINING, Rate, rate_of, ratio

TPP: Final = "tpp"
BANDWIDTH: Final = "hbm_bandwidth"
CAPACITY: Final = "hbm_capacity"
MEASURES: Final = (TPP, TRAINING, PREFILL, DECODE, BANDWIDTH, CAPACITY)
MOST_CHIPS: Final = 1e12
MOST_KINDS: Final = 200


@dataclass(frozen=True, slots=True)
class FleetAsked:
    """The question as the user put it; None is open."""

    chips: tuple[tuple[str, float], ...]  # name and count
    reference: str = "h100"
    model: str = "llama-3.1-70b"
    count: int | None = None  # chips of one cluster, for training
    precision: str | None = None
    input_len: int | None = None
    output_len: int | None = None
    tpot_s: float | None = None
    engine: str = "vllm"
    on: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Equivalent:
    """How many of the reference chip one chip, or all of a kind, is worth by one measure."""

    each: float | None
    all: float | None
    all_low: float | None  # 80 % interval
    all_high: float | None
    plan_text: str
    why: str  # why there is none


@dataclass(frozen=True, slots=True)
class FleetRow:
    """All chips of one kind."""

    chip: str
    chip_name: str
    count: float
    tpp: float
    equivalents: dict[str, Equivalent]  # by measure
    tokens_per_s: dict[str, float | None]  # by job, of all of them
    power_mw: float | None  # at the meter, all busy
    buy_usd: float
    buy_basis: str
    rent_usd_per_h: float
    rent_basis: str


@dataclass(frozen=True, slots=True)
class Total:
    """A sum over the fleet by one measure; `missing` are the kinds that it leaves out."""

    equivalents: float
    low: float
    high: float
    shares: dict[str, float]  # of each kind
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fleet(Notebook):
    """The fleet in equivalents of the reference, side by side."""

    reference: str
    reference_name: str
    model: str
    model_name: str
    count: int
    input_len: int
    output_len: int
    tpot_s: float
    precision: str
    on: str
    n_chips: float
    rows: tuple[FleetRow, ...]
    totals: dict[str, Total]  # by measure
    spread: float | None  # the largest total over the smallest
    power_mw: float
    buy_usd: float
    rent_usd_per_h: float
    tpp: float
    caps: tuple[Cap, ...]
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `fleet --json`."""
        return {"schema": "clustercast.fleet/1"} | asdict(self)


def fleet(asked: FleetAsked) -> Fleet:
    """The fleet in equivalents of the reference chip. Raises WrongInput."""
    pairs = [(catalog.find_chip(name), count) for name, count in asked.chips]
    if not pairs:
        raise WrongInput("--fleet: names no chip", hint="--fleet h20=50000,h800=10000")
    if asked.tpot_s is not None and asked.tpot_s <= 0.0:
        raise WrongInput(f"--tpot: expected a time above 0, like 50ms, got {asked.tpot_s:g} s")
    warnings: list[str] = []
    yard = question_of(asked, asked.reference)
    base = {job: rate_of(yard, job, asked.tpot_s) for job in JOBS}
    for job, found in base.items():
        if found.tokens_per_s is None:
            warnings.append(f"no equivalents by {job}: {found.why}, of {yard.chip.name}")
    rows = []
    for (name, count), (profile, _) in zip(asked.chips, pairs, strict=True):
        question = question_of(asked, name)
        warnings += [text for text in question.warnings if text not in warnings]
        if any(evidence_of(profile, purpose) != MEASURED for purpose in (TRAINING, "serving")):
            warnings.append(
                f"{profile.name}: not every job has published runs of this chip; the intervals say how sure"
            )
        rows.append(row_of(question, count, yard, base, asked.tpot_s))
    totals = {measure: total_of(rows, measure) for measure in MEASURES}
    sums = [each.equivalents for each in totals.values() if not each.missing]
    return Fleet(
        reference=yard.chip.name,
        reference_name=yard.chip.full_name,
        model=yard.model.name,
        model_name=yard.model.full_name,
        count=yard.n_chips,
        input_len=yard.input_len,
        output_len=yard.output_len,
        tpot_s=asked.tpot_s or constants.default("serving", "tpot_s").value,
        precision=yard.precision,
        on=rules.day_of(asked.on),
        n_chips=math.fsum(count for _, count in asked.chips),
        rows=tuple(rows),
        totals=totals,
        spread=max(sums) / min(sums) if sums and min(sums) > 0.0 else None,
        power_mw=math.fsum(row.power_mw or 0.0 for row in rows),
        buy_usd=math.fsum(row.buy_usd for row in rows),
        rent_usd_per_h=math.fsum(row.rent_usd_per_h for row in rows),
        tpp=math.fsum(row.count * row.tpp for row in rows),
        caps=rules.caps(pairs, asked.on),
        assumptions=assumptions(yard),
        warnings=tuple(warnings),
        notes=rules.notes(),
    )


def question_of(asked: FleetAsked, chip: str) -> Question:
    """One kind of chip with the workload that measures all of them."""
    return fill(
        Asked(
            chip,
            asked.model,
            n_chips=asked.count or int(constants.default("training", "chips").value),
            precision=asked.precision,
            input_len=asked.input_len,
            output_len=asked.output_len,
            engine=asked.engine,
        )
    )


def row_of(question: Question, count: float, yard: Question, base: dict[str, Rate], tpot_s: float | None) -> FleetRow:
    """All chips of one kind, in equivalents of the reference."""
    chip = question.chip
    own = {job: rate_of(question, job, tpot_s) for job in JOBS}
    equivalents: dict[str, Equivalent] = {}
    measured, reference = rules.measured(chip), rules.measured(yard.chip)
    for measure, each in (
        (TPP, measured.tpp / reference.tpp),
        (BANDWIDTH, chip.value("memory.bandwidth") / yard.chip.value("memory.bandwidth")),
        (CAPACITY, chip.value("memory.capacity") / yard.chip.value("memory.capacity")),
    ):
        equivalents[measure] = Equivalent(each, count * each, count * each, count * each, "", "")
    same = chip == yard.chip and question.precision == yard.precision
    for job in JOBS:
        found = (1.0, 1.0, 1.0) if same and own[job].tokens_per_s is not None else ratio(own[job], base[job])
        whole = [None if value is None else count * value for value in found]
        why = "" if found[0] is not None else own[job].why or base[job].why
        equivalents[job] = Equivalent(found[0], whole[0], whole[1], whole[2], own[job].plan_text, why)
    watts = meter_w(question)
    usd, buy_basis = bought(question)
    usd_per_h, rent_basis = rent(question)
    return FleetRow(
        chip=chip.name,
        chip_name=chip.full_name,
        count=count,
        tpp=measured.tpp,
        equivalents={measure: equivalents[measure] for measure in MEASURES},
        tokens_per_s={
            job: None if found.tokens_per_s is None else count * found.tokens_per_s for job, found in own.items()
        },
        power_mw=count * watts / 1e6 if watts > 0.0 else None,
        buy_usd=count * usd,
        buy_basis=buy_basis,
        rent_usd_per_h=count * usd_per_h,
        rent_basis=rent_basis,
    )


def total_of(rows: list[FleetRow], measure: str) -> Total:
    """The sum of one measure. The intervals of the kinds are added, as if all were off the same way."""
    known = [(row.chip, row.equivalents[measure]) for row in rows if row.equivalents[measure].all is not None]
    whole = math.fsum(each.all or 0.0 for _, each in known)
    shares: dict[str, float] = {}
    for chip, each in known:
        shares[chip] = shares.get(chip, 0.0) + ((each.all or 0.0) / whole if whole > 0.0 else 0.0)
    return Total(
        equivalents=whole,
        low=math.fsum(each.all_low or 0.0 for _, each in known),
        high=math.fsum(each.all_high or 0.0 for _, each in known),
        shares=shares,
        missing=tuple(row.chip for row in rows if row.equivalents[measure].all is None),
    )


def assumptions(yard: Question) -> tuple[Assumption, ...]:
    """What the equivalents rest on and nobody was asked for."""
    kept = [each for each in yard.assumptions if each.name not in ("fabric", "tokens")]
    for section, name in (("training", "chips"), ("power", "wall_over_chip"), ("power", "pue")):
        found = constants.default(section, name)
        kept.append(Assumption(name, found.value, found.kind, found.note or found.source, found.low, found.high))
    return tuple(kept)


# how a fleet is written


def chips_of(given: "str | Mapping[str, float]") -> tuple[tuple[str, float], ...]:
    """Names and counts from a mapping, from "h20=50000,h800=10k", or from a YAML or CSV file.

    A YAML file maps names to counts; a CSV file has the columns chip and count. Raises WrongInput.

    >>> chips_of("h20=50k, h800=10000")
    (('h20', 50000.0), ('h800', 10000.0))
    """
    if isinstance(given, Mapping):
        return checked([(str(name), str(count)) for name, count in given.items()], "--fleet")
    if given.lower().endswith((".yaml", ".yml", ".csv")) and "=" not in given:
        return from_file(given)
    pairs = []
    for part in filter(None, (piece.strip() for piece in given.split(","))):
        name, equals, count = (each.strip() for each in part.partition("="))
        if not equals or not name or not count:
            raise WrongInput(f"--fleet: expected <chip>=<count>, got {part!r}", hint="--fleet h20=50000,h800=10k")
        pairs.append((name, count))
    return checked(pairs, "--fleet")


def from_file(path: str) -> tuple[tuple[str, float], ...]:
    """Names and counts from a file. Raises WrongInput."""
    from clustercast.catalog import read

    if not path.lower().endswith(".csv"):
        data = read.load(Path(path), "raw")
        return checked([(str(name), str(count)) for name, count in dict(data).items()], path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise WrongInput(f"--fleet: {path!r} cannot be read: {reason}") from None
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or not {"chip", "count"} <= set(rows[0]):
        raise WrongInput(f"--fleet: {path}: expected the columns chip and count", hint="chip,count")
    return checked([(row["chip"] or "", row["count"] or "") for row in rows], path)


def checked(pairs: list[tuple[str, str]], where: str) -> tuple[tuple[str, float], ...]:
    """Counts as numbers, each chip once. Raises WrongInput."""
    found: dict[str, float] = {}
    if len(pairs) > MOST_KINDS:
        raise WrongInput(f"{where}: more than {MOST_KINDS} kinds of chips")
    for name, text in pairs:
        try:
            count = units.parse(text.strip(), "count")
        except ValueError:
            raise WrongInput(f"{where}: {name}: expected a number like 50000 or 50k, got {text!r}") from None
        if not 1.0 <= count <= MOST_CHIPS:
            raise WrongInput(f"{where}: {name}: expected a count from 1 to {MOST_CHIPS:.0e}, got {text!r}")
        if name in found:
            raise WrongInput(f"{where}: {name} is given twice")
        found[name] = count
    return tuple(found.items())
