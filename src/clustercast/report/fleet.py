"""A mixed fleet in equivalents of one chip: a table per measure, the sums, the caps; CSV."""

from typing import Any, Final

from clustercast import units
from clustercast.report import files
from clustercast.report.layout import Block, Line, Table, short, wrap
from clustercast.studies.fleet import BANDWIDTH, CAPACITY, MEASURES, TPP, Fleet, FleetRow
from clustercast.studies.rules import Cap
from clustercast.studies.throughput import DECODE, JOBS, PREFILL, TRAINING

WORDS: Final = {
    TPP: "TPP",
    TRAINING: "training",
    PREFILL: "prefill",
    DECODE: "decode",
    BANDWIDTH: "bandwidth",
    CAPACITY: "memory",
}
MILLION: Final = 1e6
NO: Final = "–"


def fleet(found: Fleet) -> list[Block]:
    """The answer in lines of at most 80 characters."""
    blocks: list[Block] = [
        *wrap(summary(found), style="bold"),
        "",
        Line(f"Equivalents of {found.reference}", "bold"),
        table(found),
        "",
        Line(f"One chip in {found.reference}", "bold"),
        each(found),
        "",
        Line("Power and money", "bold"),
        spending(found),
        "",
        Line("Caps on sums", "bold"),
        *(line for cap in found.caps for line in wrap(sentence(cap, found), "  ", "    ")),
    ]
    for row in found.rows:
        for measure, one in row.equivalents.items():
            if one.each is None:
                blocks += wrap(f"{row.chip}: none by {WORDS[measure]}: {one.why}", "", "  ")
    blocks += ["", *wrap(basis(found))]
    for said_of in found.assumptions:
        value = f"{said_of.value:g}" if isinstance(said_of.value, float) else said_of.value
        blocks += wrap(f"assumed: {said_of.name} = {value}, {said_of.kind}: {said_of.source}", "", "  ")
    for text in found.warnings:
        blocks += wrap(f"warning: {text}", "", "  ")
    for note in found.notes:
        blocks += wrap(f"Note: {note}.")
    return blocks


def summary(found: Fleet) -> str:
    """Everything in a sentence or two."""
    sums = {measure: found.totals[measure] for measure in MEASURES if not found.totals[measure].missing}
    told = ", ".join(f"{amount(sums[measure].equivalents)} by {WORDS[measure]}" for measure in sums)
    chips = "1 chip is" if found.n_chips == 1.0 else f"{amount(found.n_chips)} chips are"
    text = f"{chips} worth, in {found.reference}: {told}."
    if found.spread is not None and found.spread >= 1.005:
        text += f" The measures differ {short(found.spread)}-fold."
    return text


def basis(found: Fleet) -> str:
    """What training, prefill and decode were measured with."""
    return (
        f"Training: {found.model_name} on {found.count:,} chips of one kind. Prefill and decode: the same model, "
        f"{found.input_len:,} tokens in and {found.output_len:,} out, {1e3 * found.tpot_s:g} ms a token; "
        f"{found.precision} where the silicon has it. Each with the plan that is best for it. Bandwidth and memory are "
        "the datasheet's."
    )


def amount(value: float) -> str:
    """A number of chips.

    >>> amount(58569.98), amount(0.1496), amount(1_456_970.0)
    ('58,570', '0.15', '1.46M')
    """
    if value >= MILLION:
        return units.count(value)
    return f"{value:,.0f}" if value >= 100.0 else short(value)


def table(found: Fleet) -> Table:
    """A row per kind, the sum, its interval."""
    rows = [
        (row.chip, amount(row.count), *(_cell(row.equivalents[measure].all) for measure in MEASURES))
        for row in found.rows
    ]
    totals = [found.totals[measure] for measure in MEASURES]
    rows.append(("all", amount(found.n_chips), *(_cell(one.equivalents) for one in totals)))
    rows.append(("  80 %, from", "", *(_cell(one.low) for one in totals)))
    rows.append(("  to", "", *(_cell(one.high) for one in totals)))
    columns = ("chip", "count", *(WORDS[measure] for measure in MEASURES))
    return Table(columns, rows, frozenset(range(1, len(columns))), (0,))


def each(found: Fleet) -> Table:
    """What one chip of a kind is worth."""
    rows = [
        (
            row.chip,
            *(
                NO if row.equivalents[measure].each is None else f"{row.equivalents[measure].each:.3f}"
                for measure in MEASURES
            ),
        )
        for row in found.rows
    ]
    return Table(
        ("chip", *(WORDS[measure] for measure in MEASURES)), rows, frozenset(range(1, 1 + len(MEASURES))), (0,)
    )


def spending(found: Fleet) -> Table:
    """Power at the meter, price, rent."""
    rows = [
        (
            row.chip,
            NO if row.power_mw is None else short(row.power_mw),
            short(row.buy_usd / MILLION),
            f"{row.rent_usd_per_h:,.0f}",
            f"{row.count * row.tpp / MILLION:,.1f}",
        )
        for row in found.rows
    ]
    rows.append(
        (
            "all",
            short(found.power_mw),
            short(found.buy_usd / MILLION),
            f"{found.rent_usd_per_h:,.0f}",
            f"{found.tpp / MILLION:,.1f}",
        )
    )
    columns = ("chip", "MW", "buy, million USD", "rent, USD an hour", "million TPP")
    return Table(columns, rows, frozenset({1, 2, 3, 4}), (0,))


def _cell(value: float | None) -> str:
    return NO if value is None else amount(value)


def sentence(cap: Cap, found: Fleet) -> str:
    """One cap in a sentence."""
    until = f" to {cap.until}" if cap.until else ""
    when = "" if cap.in_force else f", not in force on {found.on}"
    verdict = {True: "within", False: "over", None: "open"}[cap.within]
    unit = {TPP: "TPP", "h100": "H100 by TPP"}.get(cap.of, "FLOP/s")
    shown = units.si if unit == "FLOP/s" else None
    held, limit = (
        (shown(cap.held, unit), shown(cap.limit, unit))
        if shown
        else (units.count(cap.held), f"{units.count(cap.limit)} {unit}")
    )
    part = f"{held} of {limit} ({100 * cap.share:,.1f} %)"
    text = f"{cap.cap}: {verdict}, {part} per {cap.per}; {cap.effective}{until}{when}"
    left_out = [row.chip for row in found.rows if row.chip not in cap.counted and row.chip not in cap.unknown]
    if left_out and len(left_out) < len(found.rows):
        text += f"; does not count: {', '.join(left_out)}"
    if cap.unknown:
        text += f"; not known of {', '.join(cap.unknown)}"
    return text


def rows_of(found: Fleet) -> list[dict[str, Any]]:
    """A row per kind and measure, for a file."""
    rows: list[dict[str, Any]] = []
    for row in found.rows:
        for measure in MEASURES:
            one = row.equivalents[measure]
            rows.append(
                _shared(found, row)
                | {
                    "measure": measure,
                    "equivalents_of_one": one.each,
                    "equivalents": one.all,
                    "low": one.all_low,
                    "high": one.all_high,
                    "tokens_per_s": row.tokens_per_s.get(measure) if measure in JOBS else None,
                    "plan": one.plan_text,
                    "why": one.why,
                }
            )
    return rows


def _shared(found: Fleet, row: FleetRow) -> dict[str, Any]:
    return {
        "chip": row.chip,
        "count": row.count,
        "reference": found.reference,
        "model": found.model,
        "tpp": row.tpp,
        "power_mw": row.power_mw,
        "buy_usd": row.buy_usd,
        "rent_usd_per_h": row.rent_usd_per_h,
    }


def csv_text(found: Fleet) -> str:
    """The equivalents as CSV."""
    rows = rows_of(found)
    return files.csv_table(list(rows[0]), ([row[name] for name in rows[0]] for row in rows))
