"""Which export rules catch a chip, by how much, and how sure that is. A screening aid, not legal advice.

The thresholds lie in `catalog/data/rules.yaml`, the formulas in `physics/job.py`.
"""

import datetime
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from clustercast import catalog, units
from clustercast.catalog import constants
from clustercast.physics.job import performance_density, total_processing_performance

FOR_EVER = "9999-12-31"
NAMES = {"tpp": "TPP", "pd": "PD", "io": "I/O"}


class Measured(NamedTuple):
    """What the rules look at; None is not known."""

    tpp: float
    pd: float | None
    io: float | None  # B/s


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule on one chip. `low` and `high` are the verdicts at the ends of the ranges of peak and die area."""

    rule: str
    effective: str
    until: str | None
    caught: bool | None  # None: a number is missing that decides it
    clause: str | None
    consequence: str
    margin: str
    caught_low: bool | None
    caught_high: bool | None
    source: str


@dataclass(frozen=True, slots=True)
class RulesResult:
    """What the rules measure of a chip, and the verdict of every rule in force on a day."""

    chip: str
    chip_name: str
    on: str
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
    not_evaluated: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `rules --json`."""
        return {"schema": "clustercast.rules/1"} | asdict(self)


def evaluate(chip: str, on: datetime.date | None = None) -> RulesResult:
    """What the rules in force on a day (today if None) say of a chip."""
    profile = catalog.find_chip(chip)
    day = (on or datetime.datetime.now(datetime.UTC).date()).isoformat()
    table = constants.table("rules")
    bits: dict[str, int] = table["counted"]["bits"]
    by_format = {name: total_processing_performance(peak, float(bits[name])) for name, peak in profile.peaks().items()}
    tpp = max(by_format.values())
    formats = tuple(name for name, each in by_format.items() if each >= tpp * (1 - 1e-9))
    lows, highs = [], []
    for name, peak in profile.quantities():
        if name.startswith("peaks."):
            size = float(bits[name.removeprefix("peaks.")])
            lows.append(total_processing_performance(peak.value if peak.low is None else peak.low, size))
            highs.append(total_processing_performance(peak.value if peak.high is None else peak.high, size))
    area, io = profile.get("die_area"), profile.get("io_bandwidth")
    pd = pd_low = pd_high = None
    if area is not None:
        pd = performance_density(tpp, area.value)
        pd_low = performance_density(max(lows), area.value if area.high is None else area.high)
        pd_high = performance_density(max(highs), area.value if area.low is None else area.low)
    value = Measured(tpp, pd, io.value if io else None)
    io_low, io_high = (io.low or io.value, io.high or io.value) if io else (None, None)
    ends = (Measured(max(lows), pd_low, io_low), Measured(max(highs), pd_high, io_high))
    in_force = [rule for rule in table["rules"] if str(rule["effective"]) <= day < str(rule["until"] or FOR_EVER)]
    return RulesResult(
        chip=profile.name,
        chip_name=profile.full_name,
        on=day,
        data_centre=profile.data_centre,
        tpp=tpp,
        tpp_low=max(lows),
        tpp_high=max(highs),
        tpp_formats=formats,
        pd=pd,
        pd_low=pd_low,
        pd_high=pd_high,
        die_area_mm2=area.value if area else None,
        io_bytes_per_s=io.value if io else None,
        dram_bytes_per_s=profile.value("memory.bandwidth"),
        verdicts=tuple(_verdict(rule, value, ends, profile.data_centre, table["sources"]) for rule in in_force),
        not_evaluated=tuple(table["not_evaluated"]),
        notes=(table["aid"], table["counted"]["note"]),
    )


def _verdict(
    rule: dict[str, Any], value: Measured, ends: tuple[Measured, Measured], data_centre: bool, sources: dict[str, str]
) -> Verdict:
    caught, clause, consequence = judge(rule, value, data_centre)
    return Verdict(
        rule=rule["rule"],
        effective=str(rule["effective"]),
        until=str(rule["until"]) if rule["until"] else None,
        caught=caught,
        clause=clause,
        consequence=consequence,
        margin=margin(rule, value, caught, clause),
        caught_low=judge(rule, ends[0], data_centre)[0],
        caught_high=judge(rule, ends[1], data_centre)[0],
        source=sources[rule["source"]],
    )


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
        easiest = min(open_clauses, key=lambda each: float(each["bounds"].get("pd", [0.0])[0]))
        missing = [NAMES[name] for name in easiest["bounds"] if getattr(value, name) is None]
        return None, easiest["clause"], f"open: {' and '.join(missing)} is not known"
    return False, None, "none"


def _within(value: float | None, bounds: list[float | None]) -> bool | None:
    if value is None:
        return None
    at_least, below = bounds
    return (at_least is None or value >= float(at_least)) and (below is None or value < float(below))


def margin(rule: dict[str, Any], value: Measured, caught: bool | None, clause: str | None) -> str:
    """How far the chip is from the line that decides: of the clause that catches it, else of the nearest one."""
    outside = rule.get("not_data_centre")
    if outside is not None and clause == outside["clause"]:
        return _of_line("tpp", value.tpp, float(outside["below_tpp"]), outside["clause"])
    if caught:
        found = next(each for each in rule["clauses"] if each["clause"] == clause)
        lines = _lines(found, value)
        return _of_line(*min(lines, key=lambda line: line[1] / line[2]))
    if caught is None:
        return _missing(next(each for each in rule["clauses"] if each["clause"] == clause), value)
    nearest: list[tuple[str, float, float, str]] = []
    for each in rule["clauses"]:
        unmet = [line for line in _lines(each, value) if line[1] < line[2]]
        if unmet and len(_lines(each, value)) == len(each["bounds"]):
            nearest.append(min(unmet, key=lambda line: line[1] / line[2]))
    return _of_line(*max(nearest, key=lambda line: line[1] / line[2])) if nearest else "not near any line"


def _lines(clause: dict[str, Any], value: Measured) -> list[tuple[str, float, float, str]]:
    """(quantity, value, lower bound, clause) of every lower bound whose quantity is known."""
    lines = []
    for name, (at_least, _) in clause["bounds"].items():
        measured = getattr(value, name)
        if at_least is not None and measured is not None:
            lines.append((name, measured, float(at_least), clause["clause"]))
    return lines


def _of_line(name: str, measured: float, line: float, clause: str) -> str:
    def shown(number: float) -> str:
        return units.si(number, "B/s") if name == "io" else f"{number:.6g}" if name == "tpp" else f"{number:.2f}"

    side = "below" if measured < line else "above"
    rounded = round(abs(measured - line), 2)
    gap = f"{shown(rounded)}" if name == "io" else f"{rounded:g}"
    return f"{100 * measured / line:.1f} % of the {NAMES[name]} line of {shown(line)} ({clause}), {gap} {side}"


def _missing(clause: dict[str, Any], value: Measured) -> str:
    at_least = clause["bounds"].get("pd", [None])[0]
    if value.pd is None and at_least is not None:
        return f"caught by {clause['clause']} if the die is at most {value.tpp / float(at_least):.0f} mm2"
    return "a number is missing that decides it"
