"""Tables of docs/rules.md that are made from the data and the formulas: called between cog marks."""

from typing import Any, Final

import clustercast
from clustercast import catalog, units
from clustercast.catalog import constants
from clustercast.studies import design, rules

UNITS: Final = {"io": "B/s", "dram": "B/s", "dram_io": "B/s", "stack": "B/s per mm²"}
CHIPS: Final = (
    *("v100", "a100", "a800", "h100", "h20", "l20", "l2", "l4", "a10", "rtx-4090", "rtx-4090d", "h200"),
    *("mi300x", "mi308x", "mi325x", "b30a", "910b", "910c"),
)


def bound(name: str, bounds: Any) -> str:
    """One bound of a clause in signs.

    >>> bound("tpp", [2400, 4800]), bound("dram", {"above": 4.5e12, "below": 5e12})
    ('2,400 ≤ TPP < 4,800', '4.50 TB/s < memory bandwidth < 5.00 TB/s')
    """
    low, high, inside = rules.line_of(bounds)

    def shown(value: float) -> str:
        return units.si(value, UNITS[name]) if name in UNITS else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"

    word = rules.NAMES[name]
    if high == float("inf"):
        return f"{word} {'≥' if inside else '>'} {shown(low)}"
    return f"{shown(low)} {'≤' if inside else '<'} {word} < {shown(high)}"


def rule_table() -> str:
    """Every rule with its dates, clauses and what is known of it."""
    table = constants.table("rules")
    lines = ["| rule | kind | from | to | caught where | known from |", "|---|---|---|---|---|---|"]
    for rule in table["rules"]:
        clauses = [
            f"{' and '.join(bound(name, bounds) for name, bounds in clause['bounds'].items())} ({clause['clause']})"
            for clause in rule["clauses"]
        ]
        lines.append(
            f"| {rule['rule']} | {rule['kind']} | {rule['effective']} | {rule['until'] or '–'} | "
            f"{'; '.join(clauses)} | {rule['confidence']}: {table['sources'][rule['source']]} |"
        )
    return "\n".join(lines)


def cap_table() -> str:
    """Every cap on a sum, and how many H100, A100, H20 and GB300 it is."""
    lines = ["| cap | limit | H100 | A100 | H20 | GB300 |", "|---|---|---|---|---|---|"]
    for cap in constants.table("rules")["caps"]:
        cells = []
        for name in ("h100", "a100", "h20", "gb300"):
            counts, each = rules.contribution(cap, catalog.find_chip(name))
            cells.append("does not count" if not counts else "?" if not each else f"{cap['limit'] / each:,.0f}")
        unit = {"tpp": "TPP", "h100": "H100 by TPP", "peaks.fp64": "FP64", "vector.fp32": "FP32"}[cap["of"]]
        limit = units.si(cap["limit"], "FLOP/s") if "fp" in cap["of"] else units.count(cap["limit"])
        lines.append(f"| {cap['cap']}: per {cap['per']} | {limit} {unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def frontier_table() -> str:
    """Chips against the most TPP that the rule of October 2023 leaves at their die area."""
    limits = design.set_of("2023")
    lines = ["| chip | TPP | die, mm² | PD | most TPP uncaught at that area | share |", "|---|---|---|---|---|---|"]
    for name in CHIPS:
        profile = catalog.find_chip(name)
        value, area = rules.measured(profile), profile.get("die_area")
        if area is None or value.pd is None:
            continue
        most = design.most_tpp(limits, area.value) if profile.data_centre else 4800.0
        note = "" if profile.data_centre else " (not for data centres)"
        lines.append(
            f"| {profile.name}{note} | {value.tpp:,.0f} | {area.value:,.0f} | {value.pd:.2f} | {most:,.0f} | "
            f"{100 * value.tpp / most:.1f} % |"
        )
    return "\n".join(lines)


def letter_table() -> str:
    """What each rule set leaves of every job, at two objectives of decode."""
    lines = [
        "| TPOT | rules | TPP | TB/s | link GB/s | training | prefill | decode | serving |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for tpot_ms in (50, 20):
        for rule in ("none", "2022", "2023", "letter"):
            found = clustercast.design(rule=rule, tpot_s=tpot_ms / 1e3, purpose="decode", brief=True)
            point = found.point
            rates = [f"{found.best[job].tokens_per_s or 0.0:,.0f}" for job in design.PURPOSES]
            lines.append(
                f"| {tpot_ms} ms | {rule} | {point.tpp:,.0f} | {point.hbm_bytes_per_s / 1e12:.2f} | "
                f"{(point.link_bytes_per_s or 0.0) / 1e9:.0f} | {' | '.join(rates)} |"
            )
    return "\n".join(lines)


def reading_table() -> str:
    """Every other reading, and the chips whose verdict of the rule of October 2023 or of a bill it changes."""
    lines = ["| `--reading` | what counts | changes, of the chips of the catalogue |", "|---|---|---|"]
    entries = [rules.rule_of(name) for name in ("3A090 of October 2023", "SAFE Chips bill")]
    changed: dict[str, list[str]] = {}
    for name in catalog.chip_names():
        for reading in rules.readings_of(catalog.find_chip(name), entries):
            caught = [one for one in reading.changes if one.caught is not None]
            if any(one.clause is None or one.caught for one in caught):
                changed.setdefault(reading.reading, []).append(name)
    for entry in constants.table("rules")["readings"]:
        chips = changed.get(entry["reading"], [])
        shown = ", ".join(chips[:6]) + (f" and {len(chips) - 6} more" if len(chips) > 6 else "")
        lines.append(f"| `{entry['reading']}` | {entry['says']} | {shown or 'none'} |")
    return "\n".join(lines)
