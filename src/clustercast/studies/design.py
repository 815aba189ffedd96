"""The best chip that a rule or a cap still allows, what that costs in tokens per second, where real chips stand.

A design is a chip of the catalogue with other numbers: compute, memory stacks, links, die. It goes through the same
formulas as any chip. What silicon holds lies in `catalog/data/design.yaml`, the area formulas in `physics/die.py`.
"""

import datetime
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, NamedTuple

from clustercast import catalog, progress, units
from clustercast.catalog import ChipProfile, constants
from clustercast.catalog.constants import Constant
from clustercast.display import Notebook
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Assumption
from clustercast.physics.die import (
    chip_usd,
    chip_w,
    fitting_flop_per_s,
    good_dies_fraction,
    logic_mm2,
    n_stacks_beside,
)
from clustercast.physics.job import performance_density
from clustercast.studies import rules
from clustercast.studies.rules import Measured
from clustercast.studies.throughput import (
    DECODE,
    JOBS,
    PREFILL,
    TRAINING,
    Layouts,
    decodes,
    prefills,
    rate_of,
)

SERVING: Final = "serving"
PURPOSES: Final = (*JOBS, SERVING)
JUST_BELOW: Final = 1.0 - 1e-9  # of a bound that is caught itself
NO_BOUND: Final = 1e15  # TPP, beyond any chip
SAME: Final = 1e-6  # relative: numbers nearer than that are one
MOST_DIES: Final = 16
SHORTLIST: Final = 5  # layouts that are tried again, of those best at either end
# What `--cap` may bound: key, dimension, and how it is said.
CAPS: Final = {
    "tpp": ("count", "TPP"),
    "pd": ("count", "PD"),
    "hbm_bandwidth": ("bytes/s", "memory bandwidth"),
    "hbm_capacity": ("bytes", "memory capacity"),
    "io": ("bytes/s", "I/O"),
    "hbm_bandwidth+io": ("bytes/s", "memory bandwidth plus I/O"),
    "die_area": ("mm2", "die area"),
    "power": ("watts", "power"),
    "cost": ("usd", "cost to make"),
}

DIMENSIONS: Final = {  # of the numbers of design.yaml that are no plain counts
    "stack_bytes_per_s": "bytes/s",
    "stack_bytes": "bytes",
    "link_bytes_per_s": "bytes/s",
    "least_link_bytes_per_s": "bytes/s",
    "stack_mm2": "mm2",
    "base_mm2": "mm2",
    "die_mm2": "mm2",
    "pitch_mm2": "mm2",
    "wafer_mm2": "mm2",
    "defect_mm2": "mm2",
    "wafer_usd": "usd",
    "package_usd": "usd",
    "test_usd": "usd",
    "base_w": "watts",
}


@dataclass(frozen=True, slots=True)
class DesignAsked:
    """The question as the user put it; None and empty are open."""

    model: str = "llama-3.1-70b"
    rule: str = ""  # a rule set; empty: "2023", or what is in force on `on`
    on: datetime.date | None = None
    caps: tuple[str, ...] = ()  # "hbm_bandwidth=1.4TB/s"
    purpose: str = SERVING
    memory: str = "hbm3"
    node: str = "4n"
    n_dies: int = 1
    base: str | None = None
    chips: tuple[str, ...] = ()
    count: int | None = None
    precision: str | None = None
    input_len: int | None = None
    output_len: int | None = None
    tpot_s: float | None = None
    engine: str = "vllm"
    brief: bool = False  # the best chip alone, without curve and comparisons


class Silicon(NamedTuple):
    """What a node, a memory, a package hold, and what they cost."""

    flop_per_s_per_mm2: float
    stack_mm2: float
    link_bytes_per_s_per_mm2: float
    base_mm2: float
    wafer_usd: float
    stack_bytes_per_s: float
    stack_bytes: float
    die_mm2: float
    long_factor: float
    pitch_mm2: float
    link_bytes_per_s: float
    least_link_bytes_per_s: float
    n_dies: int


class Spec(NamedTuple):
    """The free numbers of a design."""

    flop_per_s: float  # dense, 16-bit
    die_mm2: float  # all dies
    n_stacks: int
    hbm_bytes_per_s: float
    hbm_bytes: float
    link_bytes_per_s: float  # one direction


class Limits(NamedTuple):
    """What holds a design: rules of the catalogue, and bounds by name in base units."""

    name: str
    rules: tuple[dict[str, Any], ...]
    caps: dict[str, float]

    def with_cap(self, key: str, value: float) -> "Limits":
        """The same with one more bound; the tighter one where it is bounded already."""
        return self._replace(caps=self.caps | {key: min(value, self.caps.get(key, math.inf))})


@dataclass(frozen=True, slots=True)
class Point:
    """A chip: its numbers, what it takes, what it does."""

    name: str
    real: bool
    flop_per_s: float
    tpp: float
    pd: float | None
    die_area_mm2: float | None
    needed_area_mm2: float | None  # that its numbers need; the rest of the die is bought for the rule
    n_stacks: int | None
    hbm_bytes_per_s: float
    hbm_bytes: float
    link_bytes_per_s: float | None
    io_bytes_per_s: float | None
    power_w: float | None
    cost_usd: float | None  # to make
    tokens_per_s: dict[str, float | None]  # per chip, by job
    holds: bool | None  # whether it is inside the limits
    bound_by: tuple[str, ...]  # what stops it from being larger


@dataclass(frozen=True, slots=True)
class Best:
    """The best chip for one job within one set of limits."""

    limits: str
    purpose: str
    point: Point
    tokens_per_s: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """One bound on the curve or in the table of caps, and what is left of every job."""

    cap: str
    value: float
    tokens_per_s: dict[str, float | None]
    change: dict[str, float | None]  # over the reference, less 1


@dataclass(frozen=True, slots=True)
class Standing:
    """A real chip beside the best that the limits allow."""

    point: Point
    share: dict[str, float | None]  # of the best, by job
    most_tpp: float | None  # that the rules leave uncaught at its die area
    tpp_share: float | None


@dataclass(frozen=True, slots=True)
class Design(Notebook):
    """The best chip within the limits, the curve, and what each bound costs."""

    model: str
    model_name: str
    count: int
    precision: str
    input_len: int
    output_len: int
    tpot_s: float
    purpose: str
    limits: str
    rules: tuple[str, ...]
    caps: dict[str, float]
    memory: str
    node: str
    n_dies: int
    bases: tuple[str, ...]
    best: dict[str, Best]  # by job
    without_caps: dict[str, Best]  # the same under the rules alone, where there are caps
    standings: tuple[Standing, ...]
    curve: tuple[Step, ...]  # tokens per second against a bound on TPP, nothing else bounding
    areas: tuple[tuple[float, float], ...]  # die area in mm2, the most TPP that the rules leave uncaught
    rule_sets: dict[str, dict[str, Best]]  # by set, by job
    memories: dict[str, dict[str, Best]]  # the same limits with other memory, by job
    cap_costs: tuple[Step, ...]
    n_evaluations: int
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `design --json`."""
        return {"schema": "clustercast.design/1"} | asdict(self)

    @property
    def point(self) -> Point:
        """The best chip for what was asked."""
        return self.best[self.purpose].point


def constant(*place: str) -> Constant:
    """A number of catalog/data/design.yaml by its place, in base units.

    >>> constant("memories", "hbm3", "stack_bytes_per_s").value
    670000000000.0
    """
    data = constants.table("design")
    entry = data
    for key in place:
        entry = entry[key]
    dimension = DIMENSIONS.get(place[-1], "count")
    value = units.number(entry["value"], dimension)
    low = units.number(entry["low"], dimension) if "low" in entry else value
    high = units.number(entry["high"], dimension) if "high" in entry else value
    note = entry.get("why") or entry.get("note") or ""
    return Constant(value, low, high, entry["kind"], data["sources"][entry["source"]], note)


def silicon_of(asked: DesignAsked) -> Silicon:
    """Every number of a node, a memory and the package. Raises WrongInput for a name that there is not."""
    data = constants.table("design")
    constants.named("node", asked.node, data["nodes"])
    constants.named("memory", asked.memory, data["memories"])
    if not 1 <= asked.n_dies <= MOST_DIES:
        raise WrongInput(f"--dies: expected a whole number from 1 to {MOST_DIES}, got {asked.n_dies}")
    values: dict[str, Any] = {"n_dies": asked.n_dies}
    for name in Silicon._fields[:-1]:
        for place in (("nodes", asked.node), ("memories", asked.memory), ("package",)):
            section = data[place[0]] if len(place) == 1 else data[place[0]][place[1]]
            if name in section:
                values[name] = constant(*place, name).value
    return Silicon(**values)


# the limits


def limits_of(asked: DesignAsked) -> Limits:
    """The rules and bounds that were asked for. Raises WrongInput."""
    caps: dict[str, float] = {}
    for text in asked.caps:
        key, equals, value = (each.strip() for each in text.partition("="))
        key = key.lower().replace("-", "_").replace("dram", "hbm")
        if key not in CAPS or not equals or not value:
            raise WrongInput(
                f"--cap {text}: expected <what>=<value>, one of {', '.join(CAPS)}", hint="--cap hbm_bandwidth=1.4TB/s"
            )
        try:
            found = units.parse(value, CAPS[key][0])
        except ValueError as error:
            raise WrongInput(f"--cap {key}: {error}") from None
        if found <= 0.0:
            raise WrongInput(f"--cap {key}: {value!r} is not more than 0")
        if key in caps:
            raise WrongInput(f"--cap {key} is given twice")
        caps[key] = found
    if asked.on is not None:
        if asked.rule:
            raise WrongInput("--rule and --on: give one or the other")
        day = rules.day_of(asked.on)
        entries = constants.table("rules")["rules"]
        held = tuple(one for one in entries if one["kind"] in ("rule", "letter") and rules.in_force(one, day))
        return Limits(f"in force on {day}", held, caps)
    return set_of(asked.rule or "2023")._replace(caps=caps)


def set_of(name: str) -> Limits:
    """A rule set of design.yaml. Raises WrongInput with the nearest name."""
    sets = {each["set"]: each for each in constants.table("design")["rule_sets"]}
    found = constants.named("rule set", name, sets)
    return Limits(name, tuple(rules.rule_of(rule) for rule in found["rules"]), {})


def caught(limits: Limits, value: Measured) -> bool:
    """Whether a rule of the limits catches a chip for data centres of these measures."""
    return any(rules.judge(rule, value, True)[0] for rule in limits.rules)


def edges(limits: Limits, name: str) -> list[float]:
    """Where a rule's clause begins on one quantity, just below; and the bound on it."""
    found = [limits.caps[name]] if name in limits.caps else []
    for rule in limits.rules:
        for clause in rule["clauses"]:
            if name in clause["bounds"]:
                low = rules.line_of(clause["bounds"][name])[0]
                if low > 0.0:
                    found.append(low * JUST_BELOW)
    return found


def most_tpp(limits: Limits, area_mm2: float, io: float = 0.0, dram: float = 0.0) -> float:
    """The most TPP that the limits leave on so much logic; infinity where they do not bound it.

    >>> round(most_tpp(set_of("2023"), 814.0)), round(most_tpp(set_of("2023"), 608.0))
    (2400, 1946)
    """
    bound = min(limits.caps.get("tpp", NO_BOUND), limits.caps.get("pd", NO_BOUND) * area_mm2, NO_BOUND)
    tries = [*edges(limits, "tpp"), *(edge * area_mm2 for edge in edges(limits, "pd")), bound]
    fitting = [
        tpp
        for tpp in tries
        if tpp <= bound * (1 + 1e-12)
        and not caught(limits, Measured(tpp, performance_density(tpp, area_mm2), io, dram))
    ]
    most = max(fitting, default=0.0)
    return math.inf if most == NO_BOUND else most


# the candidates


class Frame(NamedTuple):
    """What all designs of a question share."""

    silicon: Silicon
    tpp_per_flop_per_s: float  # of the base: TPP over its 16-bit peak
    host_bytes_per_s: float  # what its host bus adds to I/O
    cost: dict[str, float]
    power: dict[str, float]

    def io(self, link_bytes_per_s: float) -> float:
        """I/O as the rules count it: own links both ways, and the host bus."""
        return 2.0 * link_bytes_per_s + self.host_bytes_per_s

    def needed_mm2(self, spec: Spec) -> float:
        """Logic that a design's numbers need."""
        one = self.silicon
        return logic_mm2(
            spec.flop_per_s,
            float(spec.n_stacks),
            spec.link_bytes_per_s,
            one.base_mm2 * one.n_dies,
            one.stack_mm2,
            one.flop_per_s_per_mm2,
            one.link_bytes_per_s_per_mm2,
        )

    def usd(self, spec: Spec) -> float:
        """What a design costs to make."""
        one = self.silicon
        each_mm2 = spec.die_mm2 / one.n_dies
        good = good_dies_fraction(
            each_mm2, self.cost["defect_mm2"], self.cost["cluster_factor"], self.cost["salvage_fraction"]
        )
        return chip_usd(
            float(one.n_dies),
            each_mm2,
            one.wafer_usd,
            self.cost["wafer_mm2"],
            good,
            spec.hbm_bytes,
            self.cost["hbm_usd_per_bytes"],
            self.cost["package_usd"],
            self.cost["test_usd"],
        )

    def watts(self, spec: Spec) -> float:
        """A design's power limit."""
        return chip_w(spec.flop_per_s, self.power["base_w"], self.power["flop_per_s_per_w"])

    def measured(self, spec: Spec) -> Measured:
        """What the rules measure of a design."""
        tpp = spec.flop_per_s * self.tpp_per_flop_per_s
        return Measured(
            tpp, performance_density(tpp, spec.die_mm2), self.io(spec.link_bytes_per_s), spec.hbm_bytes_per_s
        )


def frame_of(asked: DesignAsked, base: ChipProfile) -> Frame:
    """What all designs of a question share."""
    data = constants.table("design")
    bus = constants.table("rules")["host_bus"].get(f"pcie{base.pcie_generation}")
    return Frame(
        silicon_of(asked),
        rules.measured(base).tpp / sixteen_bit(base),
        0.0 if bus is None else units.parse(bus, "bytes/s"),
        {name: constant("cost", name).value for name in data["cost"]},
        {name: constant("power", name).value for name in data["power"]},
    )


def sixteen_bit(chip: ChipProfile) -> float:
    """Dense 16-bit peak, FLOP/s."""
    peaks = chip.peaks()
    return peaks["bf16"] if "bf16" in peaks else peaks.get("fp16", 0.0)


def candidates(limits: Limits, frame: Frame) -> list[Spec]:
    """Every design that may be the best for some job: none is at most another in all of its numbers.

    More of anything never slows a job, so a number is as large as rules, bounds and silicon let it be. Where they
    trade one for another - compute, stacks and links share the die, memory bandwidth and I/O a sum - a grid is tried.
    """
    one = frame.silicon
    largest_mm2 = min(one.die_mm2, limits.caps.get("die_area", math.inf) / one.n_dies)
    traded = bool(edges(limits, "dram_io")) or "hbm_bandwidth+io" in limits.caps
    n_areas = int(constant("grid", "areas").value) if "cost" in limits.caps else 1  # a smaller die is only cheaper
    found: dict[Spec, None] = {}
    for step in range(n_areas):
        die_mm2 = largest_mm2 * (1.0 - step / n_areas)
        most_stacks = int(n_stacks_beside(die_mm2, one.long_factor, one.pitch_mm2)) * one.n_dies
        for link in links(limits, frame, traded):
            for n_stacks in range(most_stacks, 0, -1):
                for spec in _fill_up(limits, frame, die_mm2 * one.n_dies, n_stacks, link):
                    found[spec] = None
    return undominated(list(found))


def links(limits: Limits, frame: Frame, traded: bool) -> list[float]:
    """Link bandwidths to try: all that fits under bounds on I/O, and a grid below it."""
    one = frame.silicon
    bounds = [edge for edge in edges(limits, "io") if edge < math.inf]
    tops = {one.link_bytes_per_s}
    for bound in bounds:
        tops.add(min(one.link_bytes_per_s, max((bound - frame.host_bytes_per_s) / 2.0, one.least_link_bytes_per_s)))
    n = int(constant("grid", "links").value) if traded else 2
    span = one.link_bytes_per_s - one.least_link_bytes_per_s
    tops |= {one.least_link_bytes_per_s + span * step / n for step in range(n)}
    if "io" in limits.caps:
        tops = {link for link in tops if frame.io(link) <= limits.caps["io"] * (1 + SAME)}
    return sorted(tops, reverse=True)


def _fill_up(limits: Limits, frame: Frame, area_mm2: float, n_stacks: int, link: float) -> Iterator[Spec]:
    """Designs with so many stacks and links: each memory bandwidth at an edge, and the most compute with it."""
    one, io = frame.silicon, frame.io(link)
    room = fitting_flop_per_s(
        area_mm2,
        float(n_stacks),
        link,
        one.base_mm2 * one.n_dies,
        one.stack_mm2,
        one.flop_per_s_per_mm2,
        one.link_bytes_per_s_per_mm2,
    )
    if "power" in limits.caps:
        spare_w = limits.caps["power"] - frame.power["base_w"]
        room = min(room, max(spare_w, 0.0) * frame.power["flop_per_s_per_w"])
    capacity = min(n_stacks * one.stack_bytes, limits.caps.get("hbm_capacity", math.inf))
    whole = n_stacks * one.stack_bytes_per_s
    bound = min(whole, limits.caps.get("hbm_bandwidth", math.inf), limits.caps.get("hbm_bandwidth+io", math.inf) - io)
    sums = [edge - io for edge in edges(limits, "dram_io")]
    for dram in {bound, *(edge for edge in (*edges(limits, "dram"), *sums) if 0.0 < edge < bound)}:
        if dram <= 0.0:
            continue
        # at most the room: an edge above it is no choice, and the room itself may be caught
        tpp = room * frame.tpp_per_flop_per_s
        tpp = most_tpp(limits.with_cap("tpp", tpp), area_mm2, io, dram)
        spec = Spec(tpp / frame.tpp_per_flop_per_s, area_mm2, n_stacks, dram, capacity, link)
        if spec.flop_per_s > 0.0 and ("cost" not in limits.caps or frame.usd(spec) <= limits.caps["cost"]):
            yield spec


def undominated(specs: Sequence[Spec]) -> list[Spec]:
    """The designs that no other matches in compute, memory bandwidth, capacity and links at once; equals once."""

    def numbers(spec: Spec) -> tuple[float, ...]:
        return spec.flop_per_s, spec.hbm_bytes_per_s, spec.hbm_bytes, spec.link_bytes_per_s

    kept: list[Spec] = []
    for spec in sorted(specs, key=numbers, reverse=True):
        mine = numbers(spec)
        if not any(all(a >= b * (1 - SAME) for a, b in zip(numbers(other), mine, strict=True)) for other in kept):
            kept.append(spec)
    return kept


# what they do


@dataclass(slots=True)
class Workshop:
    """Asks the ordinary formulas for the rates of designs, each once."""

    asked: DesignAsked
    bases: tuple[Question, ...]  # by compute
    frame: Frame
    known: dict[tuple[str, Spec], float | None] = field(default_factory=dict)
    shortlists: dict[str, Layouts] = field(default_factory=dict)
    n_evaluations: int = 0

    def question(self, base: Question, spec: Spec) -> Question:
        """The question of a design: the base with other numbers."""
        return fill(self._asked(base.chip.name, settings_of(spec, base.chip, self.frame)))

    def _asked(self, chip: str, settings: tuple[str, ...] = ()) -> Asked:
        one = self.asked
        return Asked(
            chip,
            one.model,
            n_chips=one.count or int(constants.default("training", "chips").value),
            precision=one.precision,
            input_len=one.input_len,
            output_len=one.output_len,
            engine=one.engine,
            settings=settings,
        )

    def chip(self, name: str) -> Question:
        """The question of a real chip."""
        return fill(self._asked(name))

    def rate(self, job: str, spec: Spec) -> float | None:
        """Tokens per second and chip of a design; between two bases, between what both give by its compute."""
        key = (job, spec)
        if key not in self.known:
            self.known[key] = self._rate(job, spec)
        return self.known[key]

    def _rate(self, job: str, spec: Spec) -> float | None:
        if job == SERVING:
            return self.served(self.rate(PREFILL, spec), self.rate(DECODE, spec))
        low, high, share = self.between(spec.flop_per_s)
        one = self._of(job, self.question(low, spec))
        if share <= 0.0 or one is None:
            return one
        other = self._of(job, self.question(high, spec))
        return None if other is None else math.exp((1.0 - share) * math.log(one) + share * math.log(other))

    def between(self, flop_per_s: float) -> tuple[Question, Question, float]:
        """The bases on either side of a compute, and how far it is to the upper one, by logarithm."""
        known = [sixteen_bit(base.chip) for base in self.bases]
        for at in range(1, len(known)):
            if flop_per_s < known[at]:
                share = math.log(flop_per_s / known[at - 1]) / math.log(known[at] / known[at - 1])
                return self.bases[at - 1], self.bases[at], max(share, 0.0)
        return self.bases[-1], self.bases[-1], 0.0

    def _of(self, job: str, question: Question) -> float | None:
        self.n_evaluations += 1
        often = not self.asked.brief
        return rate_of(question, job, self.asked.tpot_s, self.shortlists.get(job), often=often).tokens_per_s

    def served(self, prefill: float | None, decode: float | None) -> float | None:
        """Output tokens per second of a chip that does both: time for its prompts and time for its answers."""
        if not prefill or not decode:
            return None
        prompt = self.bases[0].input_len / self.bases[0].output_len
        return 1.0 / (prompt / prefill + 1.0 / decode)

    def real(self, question: Question) -> dict[str, float | None]:
        """The rates of a chip of the catalogue."""
        found: dict[str, float | None] = {}
        for job in JOBS:
            self.n_evaluations += 1
            found[job] = rate_of(question, job, self.asked.tpot_s, often=True).tokens_per_s
        found[SERVING] = self.served(found[PREFILL], found[DECODE])
        return found

    def choose_layouts(self, specs: Sequence[Spec]) -> None:
        """Keep for serving the layouts that are best at one of these designs."""
        limit_s = self.asked.tpot_s or constants.default("serving", "tpot_s").value
        kept: dict[str, dict[Any, None]] = {PREFILL: {}, DECODE: {}}
        for spec in specs:
            low, high, share = self.between(spec.flop_per_s)
            question = self.question(high if share > 0.5 else low, spec)  # the nearer one's kernels
            setting = question.serving_setting()
            for job, found in (
                (PREFILL, prefills(question, setting, None)),
                (DECODE, decodes(question, setting, limit_s, None)),
            ):
                kept[job] |= {(one.size, one.plan): None for one in found[: SHORTLIST if job == DECODE else None]}
        self.shortlists = {job: tuple(found) for job, found in kept.items() if found}


def settings_of(spec: Spec, base: ChipProfile, frame: Frame) -> tuple[str, ...]:
    """A design as `--set` writes it, so that `estimate` and `serve` can be asked of it too."""
    return (
        f"chip.flops={spec.flop_per_s / 1e12:.15g}TFLOP/s",
        f"chip.hbm_bandwidth={spec.hbm_bytes_per_s / 1e9:.15g}GB/s",
        f"chip.hbm_capacity={spec.hbm_bytes / 2**30:.15g}GiB",
        *((f"chip.scale_up={spec.link_bytes_per_s / 1e9:.15g}GB/s",) if base.get("scale_up.per_direction") else ()),
        f"chip.die_area={spec.die_mm2:.15g}mm2",
        f"chip.power={frame.watts(spec):.6g}W",
    )


def best_of(workshop: Workshop, limits: Limits, purposes: Sequence[str] = PURPOSES) -> dict[str, Best]:
    """The best design within limits for each job. Raises NoAnswer where there is none at all."""
    tried = candidates(limits, workshop.frame)
    if not tried:
        raise NoAnswer(
            f"no chip is within the limits: {said(limits)}", hint="a looser bound, another memory or more dies"
        )
    found = {}
    for purpose in purposes:
        rates = [(workshop.rate(purpose, spec), spec) for spec in tried]
        rate, spec = max(rates, key=lambda each: -math.inf if each[0] is None else each[0])
        found[purpose] = Best(limits.name, purpose, point_of(workshop, limits, spec), rate)
    return found


def said(limits: Limits) -> str:
    """Limits in words."""
    parts = [rule["rule"] for rule in limits.rules]
    parts += [f"{CAPS[key][1]} up to {shown(key, value)}" for key, value in limits.caps.items()]
    return ", ".join(parts) or "none"


def shown(key: str, value: float) -> str:
    """A bound with its unit.

    >>> shown("hbm_bandwidth", 1.4e12), shown("tpp", 2400.0)
    ('1.40 TB/s', '2,400')
    """
    dimension = CAPS[key][0]
    if dimension == "bytes/s":
        return units.si(value, "B/s")
    if dimension == "bytes":
        return units.gib(value)
    unit = {"mm2": " mm2", "watts": " W", "usd": " USD"}.get(dimension, "")
    return f"{value:,.4g}{unit}" if value < 1000 else f"{value:,.0f}{unit}"


def point_of(workshop: Workshop, limits: Limits, spec: Spec) -> Point:
    """A design with its numbers and rates, and what bounds it."""
    frame = workshop.frame
    value = frame.measured(spec)
    return Point(
        name=f"best under {limits.name}",
        real=False,
        flop_per_s=spec.flop_per_s,
        tpp=value.tpp,
        pd=value.pd,
        die_area_mm2=spec.die_mm2,
        needed_area_mm2=frame.needed_mm2(spec),
        n_stacks=spec.n_stacks,
        hbm_bytes_per_s=spec.hbm_bytes_per_s,
        hbm_bytes=spec.hbm_bytes,
        link_bytes_per_s=spec.link_bytes_per_s,
        io_bytes_per_s=value.io,
        power_w=frame.watts(spec),
        cost_usd=frame.usd(spec),
        tokens_per_s={job: workshop.rate(job, spec) for job in PURPOSES},
        holds=True,
        bound_by=bounds_of(limits, frame, spec),
    )


def bounds_of(limits: Limits, frame: Frame, spec: Spec) -> tuple[str, ...]:
    """What stops a design from being larger: rules and bounds that it touches, else silicon."""
    one, value = frame.silicon, frame.measured(spec)
    found = []
    edge_of = {
        "TPP": (value.tpp, edges(limits, "tpp")),
        "PD": (value.pd or 0.0, edges(limits, "pd")),
        "memory bandwidth": (spec.hbm_bytes_per_s, [*edges(limits, "dram"), limits.caps.get("hbm_bandwidth", 0.0)]),
        "I/O": (value.io or 0.0, edges(limits, "io")),
        "memory bandwidth plus I/O": (
            value.dram_io or 0.0,
            [*edges(limits, "dram_io"), limits.caps.get("hbm_bandwidth+io", 0.0)],
        ),
        "memory capacity": (spec.hbm_bytes, [limits.caps.get("hbm_capacity", 0.0)]),
        "power": (frame.watts(spec), [limits.caps.get("power", 0.0)]),
    }
    for name, (mine, lines) in edge_of.items():
        if any(line > 0.0 and abs(mine / line - 1.0) < SAME for line in lines):
            found.append(name)
    if abs(frame.needed_mm2(spec) / spec.die_mm2 - 1.0) < SAME:
        found.append("die area")
    if abs(spec.hbm_bytes_per_s / (spec.n_stacks * one.stack_bytes_per_s) - 1.0) < SAME:
        found.append(f"{spec.n_stacks} memory stacks")
    if abs(spec.link_bytes_per_s / one.link_bytes_per_s - 1.0) < SAME:
        found.append("links")
    return tuple(found)


def real_point(workshop: Workshop, limits: Limits, name: str) -> tuple[Point, tuple[str, ...]]:
    """A chip of the catalogue beside the designs, and what the question warns of."""
    question = workshop.chip(name)
    chip = question.chip
    value = rules.measured(chip)
    area, links_of, watts = chip.get("die_area"), chip.get("scale_up.per_direction"), chip.get("power")
    judged = [rules.judge(rule, value, chip.data_centre)[0] for rule in limits.rules]
    within = {
        "tpp": value.tpp,
        "pd": value.pd,
        "hbm_bandwidth": value.dram,
        "io": value.io,
        "hbm_bandwidth+io": value.dram_io,
        "hbm_capacity": chip.value("memory.capacity"),
        "die_area": area.value if area else None,
        "power": watts.value if watts else None,
    }
    over = [number > limits.caps[key] for key, number in within.items() if key in limits.caps and number is not None]
    holds = False if True in judged or True in over else None if None in judged else True
    return Point(
        name=chip.name,
        real=True,
        flop_per_s=sixteen_bit(chip),
        tpp=value.tpp,
        pd=value.pd,
        die_area_mm2=area.value if area else None,
        needed_area_mm2=None,
        n_stacks=None,
        hbm_bytes_per_s=chip.value("memory.bandwidth"),
        hbm_bytes=chip.value("memory.capacity"),
        link_bytes_per_s=links_of.value if links_of else None,
        io_bytes_per_s=value.io,
        power_w=watts.value if watts else None,
        cost_usd=None,
        tokens_per_s=workshop.real(question),
        holds=holds,
        bound_by=(),
    ), tuple(question.warnings)


def standing_of(point: Point, best: dict[str, Best], limits: Limits) -> Standing:
    """A real chip as a share of the best that the limits allow."""
    share: dict[str, float | None] = {}
    for job, one in best.items():
        mine = point.tokens_per_s[job]
        share[job] = None if mine is None or not one.tokens_per_s else mine / one.tokens_per_s
    most = None
    if point.die_area_mm2 is not None and limits.rules:
        most = most_tpp(limits, point.die_area_mm2, point.io_bytes_per_s or 0.0, point.hbm_bytes_per_s)
        most = most if 0.0 < most < math.inf else None
    return Standing(point, share, most, None if most is None else point.tpp / most)


# the study


def design(asked: DesignAsked) -> Design:
    """The best chip within the limits. Raises WrongInput, and NoAnswer where no chip is within them."""
    if asked.purpose not in PURPOSES:
        raise WrongInput(f"--for: expected one of {', '.join(PURPOSES)}, got {asked.purpose!r}")
    if asked.tpot_s is not None and asked.tpot_s <= 0.0:
        raise WrongInput(f"--tpot: expected a time above 0, like 50ms, got {asked.tpot_s:g} s")
    data = constants.table("design")
    limits = limits_of(asked)
    names = (asked.base,) if asked.base else tuple(data["bases"])
    frame = frame_of(asked, catalog.find_chip(names[0]))
    workshop = Workshop(asked, (), frame)
    workshop.bases = tuple(sorted((workshop.chip(name) for name in names), key=lambda one: sixteen_bit(one.chip)))
    free = candidates(set_of("none"), frame)
    if workshop.bases[0].record.n_moe_layers > 0:  # a mixture has so many layouts that trying all each time takes long
        own = candidates(limits, frame)[:1] or free[:1]
        small = own[0]._replace(hbm_bytes=0.5 * own[0].hbm_bytes, hbm_bytes_per_s=0.5 * own[0].hbm_bytes_per_s)
        full = max(free, key=lambda spec: (spec.hbm_bytes, spec.link_bytes_per_s))
        workshop.choose_layouts(list(dict.fromkeys([*own, small, *free[:1], full])))
    best = best_of(workshop, limits)
    question = workshop.bases[0]
    if best[asked.purpose].tokens_per_s is None:
        raise NoAnswer(
            f"{question.model.name} fits no plan for {asked.purpose} on {question.n_chips:,} of any chip within the "
            f"limits: {said(limits)}",
            hint="more chips with --count, or a smaller model",
        )
    standings, warnings = [], list(question.warnings)
    curve: tuple[Step, ...] = ()
    sets: dict[str, dict[str, Best]] = {}
    costs: tuple[Step, ...] = ()
    memories: dict[str, dict[str, Best]] = {}
    if not asked.brief:
        for name in dict.fromkeys(asked.chips or data["chips"]):
            point, said_of = real_point(workshop, limits, name)
            warnings += [text for text in said_of if text not in warnings]
            standings.append(standing_of(point, best, limits))
        curve = curve_of(workshop, limits, best)
        named = progress.track([each["set"] for each in data["rule_sets"]], "rule sets")
        sets = {name: best_of(workshop, set_of(name)) for name in named}
        costs = costs_of(workshop, limits, best, asked.purpose)
        memories = memories_of(workshop, limits)
    return Design(
        model=question.model.name,
        model_name=question.model.full_name,
        count=question.n_chips,
        precision=question.precision,
        input_len=question.input_len,
        output_len=question.output_len,
        tpot_s=asked.tpot_s or constants.default("serving", "tpot_s").value,
        purpose=asked.purpose,
        limits=limits.name,
        rules=tuple(rule["rule"] for rule in limits.rules),
        caps=limits.caps,
        memory=asked.memory,
        node=asked.node,
        n_dies=asked.n_dies,
        bases=names,
        best=best,
        without_caps=best_of(workshop, limits._replace(caps={})) if limits.caps else {},
        standings=tuple(standings),
        curve=curve,
        areas=areas_of(limits, frame.silicon.die_mm2),
        rule_sets=sets,
        memories=memories,
        cap_costs=costs,
        n_evaluations=workshop.n_evaluations,
        assumptions=assumptions_of(asked, question),
        warnings=tuple(warnings),
        notes=rules.notes(),
    )


def changes(best: dict[str, Best], than: dict[str, Best]) -> dict[str, float | None]:
    """What is left of each job over the reference, less 1."""
    found: dict[str, float | None] = {}
    for job, one in best.items():
        base = than[job].tokens_per_s
        found[job] = one.tokens_per_s / base - 1.0 if one.tokens_per_s and base else None
    return found


def curve_of(workshop: Workshop, limits: Limits, best: dict[str, Best]) -> tuple[Step, ...]:
    """The best rates under a bound on TPP alone, up to all that silicon holds; changes over the limits' best."""
    free = set_of("none")
    most = max(spec.flop_per_s for spec in candidates(free, workshop.frame)) * workshop.frame.tpp_per_flop_per_s
    least = min(constant("grid", "least_tpp").value, most)
    n = int(constant("grid", "points").value)
    points = {least * (most / least) ** (step / (n - 1)) for step in range(n)}
    points |= {edge / JUST_BELOW for edge in edges(limits, "tpp") if least < edge < most}
    found = []
    for value in progress.track(sorted(points), "bounds"):
        one = best_of(workshop, free.with_cap("tpp", value), JOBS)
        found.append(Step("tpp", value, {job: one[job].tokens_per_s for job in JOBS}, changes(one, best)))
    return tuple(found)


def costs_of(workshop: Workshop, limits: Limits, best: dict[str, Best], purpose: str) -> tuple[Step, ...]:
    """What a bound on each number at three quarters and at half of the best chip's own would cost."""
    point = best[purpose].point
    own = {
        "tpp": point.tpp,
        "pd": point.pd,
        "hbm_bandwidth": point.hbm_bytes_per_s,
        "hbm_capacity": point.hbm_bytes,
        "io": point.io_bytes_per_s,
    }
    found = []
    for key, mine in own.items():
        for share in (0.75, 0.5):
            if not mine or (key == "io" and share * mine < workshop.frame.io(0.0)):
                continue
            one = best_of(workshop, limits.with_cap(key, share * mine), PURPOSES)
            rates = {job: one[job].tokens_per_s for job in PURPOSES}
            found.append(Step(key, share * mine, rates, changes(one, best)))
    return tuple(found)


def memories_of(workshop: Workshop, limits: Limits) -> dict[str, dict[str, Best]]:
    """The best within the same limits with every memory of the catalogue."""
    own = workshop.frame
    found = {}
    for name in constants.table("design")["memories"]:
        workshop.frame = own._replace(silicon=silicon_of(replace(workshop.asked, memory=name)))
        if candidates(limits, workshop.frame):
            found[name] = best_of(workshop, limits)
    workshop.frame = own
    return found


def areas_of(limits: Limits, die_mm2: float) -> tuple[tuple[float, float], ...]:
    """The most TPP that the rules leave uncaught, by die area; nothing where they do not bound it."""
    steps = (300.0, 500.0, 608.0, 750.0, 814.0, die_mm2, 1500.0, 2 * die_mm2, 2400.0, 3000.0)
    found = [(area, most_tpp(limits, area)) for area in steps]
    return tuple((area, tpp) for area, tpp in found if 0.0 < tpp < math.inf)


def assumptions_of(asked: DesignAsked, question: Question) -> tuple[Assumption, ...]:
    """What the answer rests on and nobody was asked for."""
    kept = [each for each in question.assumptions if each.name in ("seq_len", "global_batch", "precision", "stack")]
    data = constants.table("design")
    for place, names in (
        (("nodes", asked.node), ("flop_per_s_per_mm2", "stack_mm2", "link_bytes_per_s_per_mm2", "base_mm2")),
        (("memories", asked.memory), ("stack_bytes_per_s", "stack_bytes")),
        (("package",), tuple(data["package"])),
        (("cost",), tuple(data["cost"])),
        (("power",), tuple(data["power"])),
    ):
        for name in names:
            found = constant(*place, name)
            kept.append(Assumption(name, found.value, found.kind, found.note or found.source, found.low, found.high))
    return tuple(kept)


__all__ = ["TRAINING", "Design", "DesignAsked", "design"]
