"""Which export rules catch a chip or a fleet, by how much, and how sure that is. A screening aid, not legal advice.

Rules, events, caps and other readings lie in `catalog/data/rules.yaml`, the formulas in `physics/job.py`.
"""

import datetime
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from clustercast import catalog, units
from clustercast.catalog import ChipProfile, constants
from clustercast.catalog.quantity import Quantity
from clustercast.display import Notebook
from clustercast.errors import WrongInput
from clustercast.physics.job import performance_density, total_processing_performance

FOR_EVER: Final = "9999-12-31"
BILL: Final = "bill"
NAMES: Final = {
    "tpp": "TPP",
    "pd": "PD",
    "io": "I/O",
    "dram": "memory bandwidth",
    "dram_io": "memory bandwidth plus I/O",
    "stack": "bandwidth density of a stack",
}
RATES: Final = ("io", "dram", "dram_io", "stack")  # B/s
CATCHES: Final = "3A090 of October 2023"  # whose .a items the caps count
NONE: Final = "none"


class Measured(NamedTuple):
    """What the rules look at; None is not known."""

    tpp: float
    pd: float | None
    io: float | None  # B/s
    dram: float | None = None  # B/s
    stack: float | None = None  # B/s per mm2 of a memory stack

    @property
    def dram_io(self) -> float | None:
        """Memory bandwidth and I/O together, B/s."""
        return None if self.io is None or self.dram is None else self.io + self.dram


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule on one chip. `low` and `high` are the verdicts at the ends of the ranges of peak and die area."""

    rule: str
    kind: str  # rule, memory, letter, policy, tariff, bill
    effective: str
    until: str | None
    applies: bool  # False: it is not about such a chip or vendor, and `consequence` says why
    caught: bool | None  # None: a number is missing that decides it
    clause: str | None  # the first that decides
    clauses: tuple[str, ...]  # all that catch it
    consequence: str
    margin: str
    caught_low: bool | None
    caught_high: bool | None
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Change:
    """What another reading makes of one rule."""

    rule: str
    caught: bool | None
    clause: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """Another way to read the same words, what it measures, and the verdicts that it changes."""

    reading: str
    says: str
    why: str
    tpp: float
    pd: float | None
    io_bytes_per_s: float | None
    dram_bytes_per_s: float | None
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class RulesResult(Notebook):
    """What the rules measure of a chip, and the verdict of every rule in force on a day."""

    chip: str
    chip_name: str
    on: str
    reading: str  # "": as the rule is understood
    data_centre: bool
    tpp: float
    tpp_low: float
    tpp_high: float
    tpp_formats: tuple[str, ...]  # the formats that set it
    pd: float | None
    pd_low: float | None
    pd_high: float | None
    die_area_mm2: float | None
    io_bytes_per_s: float | None
    dram_bytes_per_s: float
    verdicts: tuple[Verdict, ...]
    readings: tuple[Reading, ...]
    changed: tuple[str, ...]  # what the user set of the chip
    not_evaluated: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `rules --json`."""
        return {"schema": "clustercast.rules/1"} | asdict(self)

    def verdict(self, rule: str) -> Verdict:
        """The verdict of one rule, by its name."""
        return next(each for each in self.verdicts if each.rule == rule)


@dataclass(frozen=True, slots=True)
class RulesTable(Notebook):
    """Every chip of the catalogue on one day."""

    on: str
    reading: str
    chips: tuple[RulesResult, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `rules --all --json`."""
        return {"schema": "clustercast.rules-table/1"} | asdict(self)


@dataclass(frozen=True, slots=True)
class Moment:
    """One rule or event with its date. `verdict` is None for what has no bound on a chip."""

    date: str
    until: str | None
    kind: str  # a verdict's kind, or event
    title: str
    verdict: Verdict | None
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class RulesHistory(Notebook):
    """Every dated rule and event, and what each rule says of one chip."""

    chip: str
    chip_name: str
    released: str
    moments: tuple[Moment, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `rules --history --json`."""
        return {"schema": "clustercast.rules-history/1"} | asdict(self)


@dataclass(frozen=True, slots=True)
class Cap:
    """A sum over a fleet against a limit."""

    cap: str
    effective: str
    until: str | None
    in_force: bool
    of: str  # tpp; h100: the same in H100; peaks.fp64, vector.fp32: operations per second
    limit: float
    held: float
    share: float
    within: bool | None  # None: so far, and chips are left of which nobody knows how much they count
    counted: tuple[str, ...]  # chips that count
    unknown: tuple[str, ...]  # chips of which nobody knows whether or how much they count
    per: str
    source: str
    confidence: str


def evaluate(
    chip: str,
    on: datetime.date | None = None,
    settings: tuple[str, ...] = (),
    reading: str = "",
    *,
    proposed: bool = False,
) -> RulesResult:
    """What the rules in force on a day (today if None) say of a chip.

    chip      a name, an alias or the path of a YAML file
    settings  "chip.flops=148TFLOP/s", "chip.die_area=814mm2" and the like
    reading   one of `readings`: measure by it
    proposed  judge by bills too

    Raises WrongInput for an unknown chip, setting or reading.
    """
    return of_profile(with_settings(catalog.find_chip(chip), settings), on, reading, proposed=proposed)


def evaluate_all(on: datetime.date | None = None, reading: str = "", *, proposed: bool = False) -> RulesTable:
    """Every chip of the catalogue, by TPP."""
    found = [of_profile(catalog.find_chip(name), on, reading, proposed=proposed) for name in catalog.chip_names()]
    found.sort(key=lambda each: (-each.tpp, each.chip))
    return RulesTable(day_of(on), reading, tuple(found), notes())


def history(chip: str, settings: tuple[str, ...] = (), reading: str = "") -> RulesHistory:
    """Every rule ever in force or proposed, and every event, in order of their dates."""
    table = constants.table("rules")
    profile = with_settings(catalog.find_chip(chip), settings)
    judged = verdicts_of(profile, table["rules"], reading)
    moments = [
        Moment(each.effective, each.until, each.kind, each.rule, each, each.source, each.confidence) for each in judged
    ]
    moments += [
        Moment(
            str(each["date"]), None, "event", each["event"], None, table["sources"][each["source"]], each["confidence"]
        )
        for each in table["events"]
    ]
    moments.sort(key=lambda each: each.date)
    return RulesHistory(profile.name, profile.full_name, profile.released, tuple(moments), notes())


def caps(fleet: Sequence[tuple[ChipProfile, float]], on: datetime.date | None = None) -> tuple[Cap, ...]:
    """Sums over a fleet against every cap there ever was; `in_force` says whether it holds on the day."""
    table, day = constants.table("rules"), day_of(on)
    return tuple(_cap(entry, fleet, day, table) for entry in table["caps"])


def with_settings(profile: ChipProfile, settings: tuple[str, ...]) -> ChipProfile:
    """The chip with every `--set chip.key=value` applied. Raises WrongInput."""
    for setting in settings:
        target, equals, text = setting.partition("=")
        whose, dot, key = target.strip().partition(".")
        if whose != "chip" or not dot or not equals or not text.strip():
            raise WrongInput(f"--set {setting}: expected chip.<key>=<value>", hint="--set chip.flops=148TFLOP/s")
        profile = profile.with_setting(key, text.strip())
    return profile


def notes() -> tuple[str, ...]:
    """What every answer says."""
    table = constants.table("rules")
    return table["aid"], table["counted"]["note"]


def day_of(on: datetime.date | None) -> str:
    """A day as text; today if None."""
    return (on or datetime.datetime.now(datetime.UTC).date()).isoformat()


def in_force(entry: dict[str, Any], day: str) -> bool:
    """Whether a rule or cap holds on a day."""
    return str(entry["effective"]) <= day < str(entry["until"] or FOR_EVER)


def of_profile(
    profile: ChipProfile, on: datetime.date | None = None, reading: str = "", *, proposed: bool = False
) -> RulesResult:
    """What the rules in force on a day say of a chip's profile."""
    table, day = constants.table("rules"), day_of(on)
    asked = [rule for rule in table["rules"] if in_force(rule, day) and (proposed or rule["kind"] != BILL)]
    value, ends = measured_with_ends(profile, reading)
    area, io = profile.get("die_area"), value.io
    tpp, formats = processing(profile, reading_of(reading))
    return RulesResult(
        chip=profile.name,
        chip_name=profile.full_name,
        on=day,
        reading=reading,
        data_centre=profile.data_centre,
        tpp=tpp,
        tpp_low=ends[0].tpp,
        tpp_high=ends[1].tpp,
        tpp_formats=formats,
        pd=value.pd,
        pd_low=ends[0].pd,
        pd_high=ends[1].pd,
        die_area_mm2=area.value if area else None,
        io_bytes_per_s=io,
        dram_bytes_per_s=value.dram or 0.0,
        verdicts=verdicts_of(profile, asked, reading),
        readings=() if reading else readings_of(profile, asked),
        changed=tuple(name for name, each in profile.quantities() if each.source == "--set"),
        not_evaluated=tuple(table["not_evaluated"]),
        notes=notes(),
    )


# what is measured


def reading_of(name: str) -> dict[str, Any]:
    """One reading's entry; nothing for none. Raises WrongInput with the nearest name."""
    if not name:
        return {}
    entries = {each["reading"]: each for each in constants.table("rules")["readings"]}
    found: dict[str, Any] = constants.named("reading", name, entries)
    return found


def processing(profile: ChipProfile, reading: dict[str, Any], end: str = "value") -> tuple[float, tuple[str, ...]]:
    """TPP and the formats that set it, at the value or at an end ("low", "high") of the ranges of the peaks."""
    bits: dict[str, int] = constants.table("rules")["counted"]["bits"] | reading.get("bits", {})
    by_format = {}
    for name, peak in profile.quantities():
        form = name.removeprefix("peaks.")
        if form != name and (form in reading.get("formats", (form,))):
            by_format[form] = total_processing_performance(_at(peak, end), float(bits[form]))
    if not by_format:  # a chip that has none of the formats that a reading counts
        return 0.0, ()
    factor = (
        float(reading.get("tpp_factor", 1)) if profile.family in reading.get("families", (profile.family,)) else 1.0
    )
    if "per_die" in reading:
        factor /= n_dies(profile)
    tpp = max(by_format.values())
    return factor * tpp, tuple(name for name, each in by_format.items() if each >= tpp * (1 - 1e-9))


def n_dies(profile: ChipProfile) -> int:
    """Large logic dies of a package."""
    return int(constants.table("rules")["dies"].get(profile.name, 1))


def _at(quantity: Quantity, end: str) -> float:
    found = getattr(quantity, end)
    return quantity.value if found is None else float(found)


def measured(profile: ChipProfile, reading: dict[str, Any] | None = None, end: str = "value") -> Measured:
    """What the rules measure of a chip. At the high end everything counts most: large peaks on a small die."""
    how = reading or {}
    tpp, _ = processing(profile, how, end)
    area, dram = profile.get("die_area"), profile.value("memory.bandwidth")
    pd = None
    if area is not None:
        other = {"low": "high", "high": "low", "value": how.get("area", "value")}[end]
        share = n_dies(profile) if "per_die" in how else 1
        pd = performance_density(tpp, _at(area, other) / share)
    io = io_bytes_per_s(profile, how.get("io", ""), end)
    if "per_die" in how:
        dram, io = dram / n_dies(profile), None if io is None else io / n_dies(profile)
    return Measured(tpp, pd, io, dram, stack_density(profile.memory_type))


def stack_density(memory_type: str) -> float | None:
    """Bandwidth of a memory stack over its footprint, B/s per mm2; None for memory that is not stacked.

    >>> round((stack_density("HBM3") or 0.0) / 1e9, 1), stack_density("GDDR6")
    (6.1, None)
    """
    entry = constants.table("rules")["stacks"].get(memory_type.lower())
    if entry is None:
        return None
    return units.parse(entry["bandwidth"], "bytes/s") / units.parse(entry["footprint"], "mm2")


def io_bytes_per_s(profile: ChipProfile, how: str, end: str = "value") -> float | None:
    """I/O as a reading counts it, B/s; None where it is not known."""
    known = profile.get("io_bandwidth")
    if known is None:
        return None
    whole = _at(known, end)
    if how == "one-way":
        return whole / 2
    if how == "own-links":
        bus = constants.table("rules")["host_bus"].get(f"pcie{profile.pcie_generation}")
        return whole if bus is None else max(0.0, whole - units.parse(bus, "bytes/s"))
    if how == "with-nic":
        nic = profile.get("nic")
        return whole + (2 * nic.value if nic else 0.0)
    return whole


def measured_with_ends(profile: ChipProfile, reading: str) -> tuple[Measured, tuple[Measured, Measured]]:
    """The measures, and those at both ends of the ranges of peak, die area and I/O."""
    how = reading_of(reading)
    low, high = measured(profile, how, "low"), measured(profile, how, "high")
    return measured(profile, how), (low, high)


# what is judged


def verdicts_of(profile: ChipProfile, rules: Sequence[dict[str, Any]], reading: str = "") -> tuple[Verdict, ...]:
    """The verdict of each rule on a chip."""
    value, ends = measured_with_ends(profile, reading)
    return tuple(_verdict(rule, value, ends, profile) for rule in rules)


def rule_of(name: str) -> dict[str, Any]:
    """A rule's entry by its name."""
    found: dict[str, Any] = next(each for each in constants.table("rules")["rules"] if each["rule"] == name)
    return found


def not_about(rule: dict[str, Any], value: Measured, profile: ChipProfile) -> str:
    """Why a rule is not about a chip at all; empty where it is."""
    if rule.get("alone"):
        if value.stack is None:
            return "not applicable: it has no stacked memory that is known"
        caught = judge(rule, value, True)[0]
        told = f"{value.stack / 1e9:.1f} GB/s per mm2: {'caught' if caught else 'not caught'} where it is sold alone"
        return f"not about a stack on a package with logic; one of {profile.memory_type} has {told}"
    vendors = rule.get("vendors")
    if vendors and profile.vendor not in vendors:
        return f"not applicable: sent to {', '.join(vendors[:-1])} and {vendors[-1]}"
    only_if = rule.get("only_if")
    if only_if and judge(rule_of(only_if), value, profile.data_centre)[0] is False:
        return f"not applicable: {only_if} does not catch it"
    return ""


def _verdict(rule: dict[str, Any], value: Measured, ends: tuple[Measured, Measured], profile: ChipProfile) -> Verdict:
    caught, clause, consequence = judge(rule, value, profile.data_centre)
    why_not = not_about(rule, value, profile)
    near = margin(rule, value, caught, clause)
    at_ends = [judge(rule, end, profile.data_centre)[0] for end in ends]
    holding = all_clauses(rule, value) if caught else ()
    if why_not:
        caught, clause, consequence, holding = False, None, why_not, ()
        at_ends = [False, False]
    elif caught is False and rule.get("passes"):
        consequence = rule["passes"]
        if judge(rule_of(rule["only_if"]), value, profile.data_centre)[0] is None:
            caught, consequence = None, f"if {rule['only_if']} catches it: {consequence}"
    elif caught and rule.get("already") and judge(rule_of(rule["already"]), value, profile.data_centre)[0]:
        consequence = f"nothing new: {rule['already']} asks for a licence already"
    return Verdict(
        rule=rule["rule"],
        kind=rule["kind"],
        effective=str(rule["effective"]),
        until=str(rule["until"]) if rule["until"] else None,
        applies=not why_not,
        caught=caught,
        clause=clause,
        clauses=holding or ((clause,) if caught and clause else ()),
        consequence=consequence,
        margin=near,
        caught_low=at_ends[0],
        caught_high=at_ends[1],
        source=constants.table("rules")["sources"][rule["source"]],
        confidence=rule["confidence"],
    )


def readings_of(profile: ChipProfile, rules: Sequence[dict[str, Any]]) -> tuple[Reading, ...]:
    """Every other reading that changes a verdict on a chip."""
    usual = verdicts_of(profile, rules)
    found = []
    for entry in constants.table("rules")["readings"]:
        other = verdicts_of(profile, rules, entry["reading"])
        changes = tuple(
            Change(new.rule, new.caught, new.clause)
            for old, new in zip(usual, other, strict=True)
            if (old.caught, old.clause) != (new.caught, new.clause)
        )
        if changes:
            value = measured(profile, entry)
            found.append(
                Reading(
                    entry["reading"], entry["says"], entry["why"], value.tpp, value.pd, value.io, value.dram, changes
                )
            )
    return tuple(found)


def judge(rule: dict[str, Any], value: Measured, data_centre: bool) -> tuple[bool | None, str | None, str]:
    """Whether a rule catches a chip, by which clause, and what follows.

    None where no clause catches it for sure and one would if a missing number were in its bounds.
    """
    outside = rule.get("not_data_centre")
    if outside is not None and not data_centre:
        if value.tpp < outside["below_tpp"]:
            return False, outside["clause"], outside["outside"]
        return True, rule["clauses"][0]["clause"], outside["consequence"]
    open_clauses = []
    for clause in rule["clauses"]:
        holds = [_within(getattr(value, name), bounds) for name, bounds in clause["bounds"].items()]
        if all(holds):
            return True, clause["clause"], clause["consequence"]
        if False not in holds:
            open_clauses.append(clause)
    if open_clauses:
        easiest = min(open_clauses, key=lambda each: line_of(each["bounds"].get("pd", [0.0, None]))[0])
        missing = [NAMES[name] for name in easiest["bounds"] if getattr(value, name) is None]
        return None, easiest["clause"], f"open: {' and '.join(missing)} is not known"
    return False, None, NONE


def all_clauses(rule: dict[str, Any], value: Measured) -> tuple[str, ...]:
    """Every clause whose bounds all hold."""
    return tuple(
        clause["clause"]
        for clause in rule["clauses"]
        if all(_within(getattr(value, name), bounds) for name, bounds in clause["bounds"].items())
    )


def line_of(bounds: Any) -> tuple[float, float, bool]:
    """Lower and upper end of a bound, and whether the lower one itself is inside.

    >>> line_of([4800, None]), line_of({"above": 14000, "below": 17500})
    ((4800.0, inf, True), (14000.0, 17500.0, False))
    """
    if isinstance(bounds, dict):
        return float(bounds.get("above", 0.0)), float(bounds.get("below", math.inf)), False
    at_least, below = bounds
    return float(at_least or 0.0), math.inf if below is None else float(below), True


def _within(value: float | None, bounds: Any) -> bool | None:
    if value is None:
        return None
    low, high, inside = line_of(bounds)
    return (value >= low if inside else value > low) and value < high


def margin(rule: dict[str, Any], value: Measured, caught: bool | None, clause: str | None) -> str:
    """How far the chip is from the line that decides: of the clause that catches it, else of the nearest one."""
    outside = rule.get("not_data_centre")
    if outside is not None and clause == outside["clause"]:
        return _of_line(value, ("tpp", value.tpp, float(outside["below_tpp"]), outside["clause"]))
    if caught:
        found = next(each for each in rule["clauses"] if each["clause"] == clause)
        return _of_line(value, min(_lines(found, value), key=lambda line: line[1] / line[2]))
    if caught is None:
        return _missing(next(each for each in rule["clauses"] if each["clause"] == clause), value)
    nearest: list[tuple[str, float, float, str]] = []
    for each in rule["clauses"]:
        unmet = [line for line in _lines(each, value) if line[1] < line[2]]
        if unmet and len(_lines(each, value)) == len(each["bounds"]):
            nearest.append(min(unmet, key=lambda line: line[1] / line[2]))
    return _of_line(value, max(nearest, key=lambda line: line[1] / line[2])) if nearest else "not near any line"


def _lines(clause: dict[str, Any], value: Measured) -> list[tuple[str, float, float, str]]:
    """(quantity, value, lower bound, clause) of every lower bound whose quantity is known."""
    lines = []
    for name, bounds in clause["bounds"].items():
        low, found = line_of(bounds)[0], getattr(value, name)
        if low > 0.0 and found is not None:
            lines.append((name, found, low, clause["clause"]))
    return lines


def _of_line(value: Measured, at: tuple[str, float, float, str]) -> str:
    name, found, line, clause = at
    rate = name in RATES

    def shown(number: float) -> str:
        return units.si(number, "B/s") if rate else f"{number:.6g}" if name == "tpp" else f"{number:.2f}"

    side = "below" if found < line else "above"
    rounded = round(abs(found - line), 2)
    gap = shown(rounded) if rate else f"{rounded:g}"
    die = f" (the line is a die of {value.tpp / line:.0f} mm2)" if name == "pd" else ""
    return f"{100 * found / line:.1f} % of the {NAMES[name]} line of {shown(line)} ({clause}), {gap} {side}{die}"


def _missing(clause: dict[str, Any], value: Measured) -> str:
    at_least = line_of(clause["bounds"].get("pd", [None, None]))[0]
    if value.pd is None and at_least > 0.0:
        return f"caught by {clause['clause']} if the die is at most {value.tpp / at_least:.0f} mm2"
    return "a number is missing that decides it"


# what is summed


def _cap(entry: dict[str, Any], fleet: Sequence[tuple[ChipProfile, float]], day: str, table: dict[str, Any]) -> Cap:
    held, counted, unknown = 0.0, [], []
    for profile, count in fleet:
        counts, each = contribution(entry, profile)
        if counts is None or (counts and each is None):
            unknown.append(profile.name)
        elif counts and each:
            held += count * each
            counted.append(profile.name)
    limit = float(entry["limit"])
    return Cap(
        cap=entry["cap"],
        effective=str(entry["effective"]),
        until=str(entry["until"]) if entry["until"] else None,
        in_force=in_force(entry, day),
        of=entry["of"],
        limit=limit,
        held=held,
        share=held / limit,
        within=False if held > limit else None if unknown else True,
        counted=tuple(counted),
        unknown=tuple(unknown),
        per=entry["per"],
        source=table["sources"][entry["source"]],
        confidence=entry["confidence"],
    )


def contribution(entry: dict[str, Any], profile: ChipProfile) -> tuple[bool | None, float | None]:
    """Whether a chip counts towards a cap (None: open), and how much one of it adds (None: not known)."""
    of = entry["of"]
    if of not in ("tpp", "h100"):
        found = profile.get(of)
        return True, None if found is None else found.value
    value = measured(profile)
    counts: bool | None = True
    if "caught_by" in entry:
        caught, clause, _ = judge(rule_of(entry["caught_by"]), value, profile.data_centre)
        counts = None if caught is None else caught and clause in entry["clauses"] and profile.data_centre
    reference = measured(catalog.find_chip("h100")).tpp if of == "h100" else 1.0
    return counts, value.tpp / reference
