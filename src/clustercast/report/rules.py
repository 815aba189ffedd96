"""What the export rules say of a chip, in sentences; of all chips, as a table; through time, as a list."""

from typing import Any, Final

from clustercast import units
from clustercast.report import files
from clustercast.report.layout import Block, Line, Table, short, wrap
from clustercast.studies.rules import Moment, Reading, RulesHistory, RulesResult, RulesTable, Verdict

WORDS: Final = {True: "caught", False: "not caught", None: "open"}
POLICY: Final = {True: "denial", False: "case by case", None: "open"}
KINDS: Final = {"bill": " (a bill, not law)"}
HEADS: Final = {  # short headings of the table
    "3A090 of October 2022": "2022",
    "3A090 of October 2023": "2023",
    "letter of April 2025": "letter",
    "review policy of January 2026": "review",
    "import duty of January 2026": "duty",
    "SAFE Chips bill": "SAFE",
}


def verdicts(result: RulesResult) -> list[Block]:
    """The verdicts first, then what was measured."""
    blocks: list[Block] = []
    for verdict in result.verdicts:
        blocks += wrap(sentence(result.chip, verdict), style="bold")
        if not verdict.applies:
            continue
        blocks += wrap(f"margin: {verdict.margin}", "  ", "    ")
        if verdict.consequence != "none":
            blocks += wrap(f"consequence: {verdict.consequence}", "  ", "    ")
        if verdict.caught_low != verdict.caught_high:
            ends = f"{WORDS[verdict.caught_low]} at the low end, {WORDS[verdict.caught_high]} at the high end"
            blocks += wrap(f"not sure: over the ranges of peak and die area it is {ends}", "  ", "    ")
        since = "introduced" if verdict.kind == "bill" else "in force from"
        known = "" if verdict.confidence == "federal-register" else f" (known from: {verdict.confidence})"
        blocks += wrap(f"{since} {verdict.effective}; {verdict.source}{known}", "  ", "    ")
    if not result.verdicts:
        blocks += wrap(f"No rule that is known here was in force on {result.on}.")
    if result.readings:
        blocks += ["", Line("Read another way", "bold")]
        for reading in result.readings:
            blocks += wrap(other(reading), "  ", "    ")
    blocks += ["", *wrap(what(result))]
    if result.reading:
        blocks += wrap(f"Read as: {result.reading}.")
    blocks += wrap(f"Not evaluated: {'; '.join(result.not_evaluated)}.")
    for note in result.notes:
        blocks += wrap(f"Note: {note}.")
    return blocks


def what(result: RulesResult) -> str:
    """What was measured, in a sentence."""
    formats = ", ".join(result.tpp_formats)
    tpp = f"TPP {result.tpp:,.6g}{_range(result.tpp_low, result.tpp_high)}, set by {formats}"
    if result.pd is None:
        density = "PD unknown: no die area is known"
    else:
        density = (
            f"PD {result.pd:.2f}{_range(result.pd_low, result.pd_high)} over {short(result.die_area_mm2 or 0)} mm2"
        )
    known = (
        "I/O unknown" if result.io_bytes_per_s is None else f"I/O {units.si(result.io_bytes_per_s, 'B/s')} both ways"
    )
    memory = f"memory {units.si(result.dram_bytes_per_s, 'B/s')}"
    sold = "for data centres" if result.data_centre else "not for data centres"
    changed = f"; set by you: {', '.join(result.changed)}" if result.changed else ""
    return f"{result.chip_name}, {sold}: {tpp}; {density}; {known}; {memory}{changed}"


def sentence(chip: str, verdict: Verdict) -> str:
    """One verdict as a sentence."""
    name = verdict.rule + KINDS.get(verdict.kind, "")
    if not verdict.applies:
        return f"{name}: {verdict.consequence}."
    if verdict.kind == "policy":
        told = {True: f"denial ({verdict.clause})", False: "case by case", None: f"open ({verdict.clause})"}
        return f"{name}: {told[verdict.caught]} for {chip}."
    if verdict.caught is None:
        return f"Whether {name} catches {chip} is open ({verdict.clause})."
    if verdict.caught:
        return f"{name} catches {chip}: {'; '.join(verdict.clauses)}."
    exempt = f" ({verdict.clause})" if verdict.clause else ""
    return f"{name} does not catch {chip}{exempt}."


def other(reading: Reading) -> str:
    """What another reading changes, in a sentence."""
    told = "; ".join(
        f"{each.rule}: {WORDS[each.caught]}{f' by {each.clause}' if each.caught else ''}" for each in reading.changes
    )
    return f"{reading.reading} ({reading.says}): {told}"


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None or abs(high - low) <= 1e-9 * high:
        return ""
    return f" ({short(low)}–{short(high)})"


def brief(verdict: Verdict) -> str:
    """A verdict in a cell of the table."""
    if not verdict.applies:
        return "–"
    if verdict.kind == "policy":
        return {True: "denial", False: "case", None: "?"}[verdict.caught]
    if verdict.caught is None:
        return "?"
    clause = (verdict.clause or "").removeprefix("3A090").removeprefix(".").removeprefix(", ")
    if not verdict.caught:
        return clause or "no"
    words = {"memory bandwidth": "memory", "memory bandwidth and I/O together": "both", "TPP and density": "PD",
             "TPP and higher density": "PD", "first band": "band 1", "second band": "band 2"}  # fmt: skip
    return words.get(clause, clause) or "yes"


def shown_of(result: RulesResult) -> list[Verdict]:
    """The verdicts that have a column: those on chips, not on memory alone."""
    return [each for each in result.verdicts if each.kind != "memory"]


def table(result: RulesTable) -> list[Block]:
    """Every chip in a row."""
    heads = [HEADS.get(each.rule, each.rule) for each in shown_of(result.chips[0])] if result.chips else []
    rows = [
        (
            one.chip,
            f"{one.tpp:,.0f}",
            "?" if one.pd is None else f"{one.pd:.2f}",
            f"{one.dram_bytes_per_s / 1e12:.2f}",
            "?" if one.io_bytes_per_s is None else f"{one.io_bytes_per_s / 1e9:,.0f}",
            *(brief(each) for each in shown_of(one)),
        )
        for one in result.chips
    ]
    columns = ("chip", "TPP", "PD", "TB/s", "I/O GB/s", *heads)
    legend = [f"{HEADS.get(each.rule, each.rule)}: {each.rule}" for each in shown_of(result.chips[0])]
    blocks: list[Block] = [
        *wrap(f"Rules in force on {result.on}, every chip by TPP", style="bold"),
        Table(columns, rows, frozenset({1, 2, 3, 4}), (0,)),
        *wrap(f"{'; '.join(legend)}. ?: a number is not known that decides; –: not about this chip."),
    ]
    for note in result.notes:
        blocks += wrap(f"Note: {note}.")
    return blocks


def history(result: RulesHistory) -> list[Block]:
    """Every rule and event in order of its date."""
    blocks: list[Block] = [*wrap(f"{result.chip_name}, released {result.released}", style="bold")]
    for each in result.moments:
        blocks += wrap(f"{each.date}  {moment(result.chip, each)}", "", "            ")
    for note in result.notes:
        blocks += wrap(f"Note: {note}.")
    return blocks


def moment(chip: str, each: Moment) -> str:
    """One line of the history."""
    known = "" if each.confidence == "federal-register" else f" [{each.confidence}]"
    if each.verdict is None:
        return f"{each.title}{known}"
    until = f" (until {each.until})" if each.until else ""
    told = sentence(chip, each.verdict)
    far = f" {each.verdict.margin}" if each.verdict.applies else ""
    return f"{told}{until}{far}{known}"


def rows_of(result: RulesTable) -> list[dict[str, Any]]:
    """The table as rows for a file."""
    rows = []
    for one in result.chips:
        row: dict[str, Any] = {
            "chip": one.chip, "on": one.on, "tpp": one.tpp, "pd": one.pd, "die_area_mm2": one.die_area_mm2,
            "dram_bytes_per_s": one.dram_bytes_per_s, "io_bytes_per_s": one.io_bytes_per_s,
        }  # fmt: skip
        for each in one.verdicts:
            told = POLICY[each.caught] if each.kind == "policy" else WORDS[each.caught]
            row[each.rule] = told if each.applies else "not applicable"
            row[f"{each.rule}: clause"] = each.clause or ""
        rows.append(row)
    return rows


def csv_text(result: RulesTable) -> str:
    """The table as CSV."""
    rows = rows_of(result)
    return files.csv_table(list(rows[0]), ([row[name] for name in rows[0]] for row in rows))
