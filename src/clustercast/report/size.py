"""The fewest chips of each type, as a table and a sentence."""

from clustercast import units
from clustercast.report.layout import Block, Line, Table, short, wrap
from clustercast.report.plans import brief
from clustercast.report.text import LIMITS, milliseconds
from clustercast.studies.size import TRAIN, Size, Sized


def size(found: Size) -> list[Block]:
    """The answer in lines of at most 80 characters."""
    target = found.target
    if found.purpose == TRAIN:
        asked = (
            f"train on {units.count(target['tokens'])} tokens in {short(target['days'])} days "
            f"(global batch {target['global_batch']:,} x {target['seq_len']:,} tokens)"
        )
    else:
        percentile = f"p{target['percentile']:g}" if target["percentile"] else "mean"
        asked = (
            f"serve {short(target['requests_per_s'])} requests/s of {target['input_len']:,} tokens in and "
            f"{target['output_len']:,} out, TTFT {milliseconds(target['ttft_ms'])} and TPOT "
            f"{milliseconds(target['tpot_ms'])} ({percentile})"
        )
    blocks: list[Block] = [
        *wrap(f"The fewest chips that {asked}: {found.model}", style="bold"),
        "",
        table(found),
    ]
    for row in found.rows:
        if row.count is None:
            blocks += wrap(f"{row.chip}: no number of chips is enough: {row.why}", "", "  ")
    blocks += ["", Line("With", "bold")]
    for row in found.rows:
        if row.count is not None:
            blocks += wrap(f"{row.chip}: {detail(row)}", "  ", "    ")
    blocks += wrap(
        f"80 %: the count where everything is as much faster or slower as the interval allows; forward answers "
        f"searched: {found.n_searches:,}"
    )
    for row in found.rows:
        if row.price_basis:
            blocks += wrap(f"{row.chip}: {row.price_basis}", "", "  ")
    for each in found.assumptions:
        value = units.count(each.value) if isinstance(each.value, float) and each.value >= 1e6 else each.value
        blocks += wrap(f"assumed: {each.name} = {value}, {each.kind}: {each.source}", "", "  ")
    for text in found.warnings:
        blocks += wrap(f"warning: {text}", "", "  ")
    return blocks


def table(found: Size) -> Table:
    """One row per chip."""
    training = found.purpose == TRAIN
    times = ("days",) if training else ("TTFT", "TPOT")
    money = ("USD", "MWh") if training else ("USD/day", "MWh/day")
    columns = ("chip", "count", "80 %", *times, *money)
    rows = []
    for row in found.rows:
        if row.count is None:
            rows.append((row.chip, "-", *("" for _ in columns[2:])))
            continue
        low, high = (f"{end:,}" if end is not None else "none" for end in (row.count_low, row.count_high))
        shown = (short(row.days or 0.0),) if training else tuple(map(_milliseconds, (row.ttft_ms, row.tpot_ms)))
        cost = row.cost_usd if training else row.cost_usd_per_day
        rows.append((row.chip, f"{row.count:,}", f"{low}–{high}", *shown, _number(cost), _number(row.energy_mwh)))
    return Table(columns, rows, frozenset(range(1, len(columns))), (0,))


def _milliseconds(value: float | None) -> str:
    return "" if value is None else milliseconds(value)


def _number(value: float | None) -> str:
    return "" if value is None else units.count(value) if value >= 1e6 else short(value)


def detail(row: Sized) -> str:
    """Plan, size of a step, and what limits."""
    limits = LIMITS.get(row.limiting, row.limiting)
    steps = f"one less of {row.granule:,} is not enough" if row.granule > 1 else "one less is not enough"
    return f"{brief(row.plan_text)}; {row.precision}; limited by {limits}; {steps}"
