"""The crossover map as tables, as rows for a spreadsheet, as a picture."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from clustercast.report.layout import Block, Line, Table, short, wrap
from clustercast.studies.serving.crossover import BASES, DECODE, PHASES, Cell, Crossover, Turn

if TYPE_CHECKING:
    import altair

MOST_COLUMNS: Final = 11
CSV_COLUMNS: Final = (
    "phase", "batch", "context", "ratio", "ratio_low", "ratio_high", "ratio_per_usd", "winner", "winner_per_usd",
    "sure", "chip", "chip_tokens_per_s", "chip_bound", "chip_plan", "chip_largest_batch", "other",
    "other_tokens_per_s", "other_bound", "other_plan", "other_largest_batch",
)  # fmt: skip
CELL: Final = 30  # points
EDGE: Final = math.sqrt(2.0)  # a cell reaches half a doubling to either side
FARTHEST: Final = 8.0  # ratio at which the colours end


def crossover(found: Crossover) -> list[Block]:
    """The answer in a sentence, the maps, and where decode turns."""
    blocks: list[Block] = [
        *wrap(
            f"{found.chip} against {found.other}, {found.count:,} of each, serving {found.model} "
            f"({found.precision}{'' if found.precision == found.other_precision else ' and ' + found.other_precision}"
            f", {found.engine}): tokens per second per chip over the other's, each with its best layout. "
            f"More than 1: {found.chip} wins.",
            style="bold",
        )
    ]
    blocks += summary(found)
    for phase in PHASES:
        blocks += ["", Line(heading(phase), "bold"), ratios(found, phase, per_usd=False)]
    basis = f"{short(found.usd_per_chip_hour)} and {short(found.other_usd_per_chip_hour)} USD per chip-hour"
    for phase in PHASES:
        blocks += ["", Line(f"The same per dollar, {phase}, at {basis}", "bold"), ratios(found, phase, per_usd=True)]
    blocks += ["", Line("Where decode turns from bandwidth-bound to compute-bound", "bold"), turns(found)]
    blocks += wrap("batch: sequences on all chips; context: tokens in the cache of each sequence, or of each prompt")
    blocks += wrap("-: memory holds the batch on neither; <name: on that one only")
    for phase in PHASES:
        of_phase = [one for one in found.cells if one.phase == phase]
        certain = [one.ratio_high / one.ratio for one in of_phase if one.ratio and one.ratio_high]
        if certain:
            blocks += wrap(
                f"{phase}: errors of the two chips taken as independent, the order is open between "
                f"{1.0 / certain[0]:.2f} and {certain[0]:.2f} (80 % interval)"
            )
    blocks += wrap(f"{found.chip}: {found.price_basis}", "", "  ")
    blocks += wrap(f"{found.other}: {found.other_price_basis}", "", "  ")
    for each in found.warnings:
        blocks += wrap(f"warning: {each}", "", "  ")
    return blocks


def summary(found: Crossover) -> list[Block]:
    """Who wins where and by how much, and at which batch the order changes."""
    blocks: list[Block] = []
    for phase in PHASES:
        for basis in BASES:
            said = []
            for one in found.won:
                if (one.phase, one.basis) == (phase, basis):
                    best = ""
                    if one.most_factor and one.batch and one.context:
                        best = f", by {number(one.most_factor)} times at most ({one.batch:,} x {one.context:,})"
                    said.append(f"{brief(one.chip)} wins {one.points} of {one.of} points{best}")
            passed = [
                f"{each.batch:,.0f} at {each.context:,}"
                for each in found.crossings
                if (each.phase, each.basis) == (phase, basis)
            ]
            if passed:
                said.append(f"the order changes at batch {', '.join(passed)} tokens")
            blocks += wrap(f"{phase}, per {basis}: {'; '.join(said)}", "  ", "    ")
    return blocks


def heading(phase: str) -> str:
    """What a table shows."""
    if phase == DECODE:
        return "Decode: context down, batch across"
    return "Prefill: prompt down, prompts at once across"


def ratios(found: Crossover, phase: str, *, per_usd: bool) -> Table:
    """One row per context, one column per batch; every other batch where the page is too narrow."""
    stride = math.ceil(len(found.batches) / MOST_COLUMNS)
    batches = found.batches[::-1][::stride][::-1]
    rows = []
    for context in found.contexts:
        cells = [found.cell(phase, batch, context) for batch in batches]
        rows.append((f"{context:,}", *(shown(one, per_usd=per_usd) for one in cells)))
    columns = ("", *(f"{batch:,}" for batch in batches))
    return Table(columns, rows, frozenset(range(len(columns))))


def shown(one: Cell, *, per_usd: bool) -> str:
    """A ratio in few characters."""
    value = one.ratio_per_usd if per_usd else one.ratio
    if value is None:
        return "-" if one.winner == "neither" else f"<{brief(one.winner)}"
    return number(value)


def number(ratio: float) -> str:
    """A ratio with two decimals, fewer where it is large.

    >>> number(1.0374), number(12.34)
    ('1.04', '12.3')
    """
    return f"{ratio:.2f}" if ratio < FARTHEST else short(ratio)


def brief(chip: str) -> str:
    """The first word of a chip's name.

    >>> brief("h100-sxm5-80gb")
    'h100'
    """
    return chip.partition("-")[0]


def turns(found: Crossover) -> Table:
    """One row per context, both chips beside one another."""
    rows = []
    for context in found.contexts:
        row = [f"{context:,}"]
        for chip in (found.chip, found.other):
            one = next(each for each in found.turns if (each.chip, each.context) == (chip, context))
            row += [turn(one), f"{one.largest_batch:,}"]
        rows.append(tuple(row))
    columns = ("context", found.chip, "fits", found.other, "fits")
    return Table(columns, rows, frozenset(range(len(columns))))


def turn(one: Turn) -> str:
    """Where a chip turns, in words."""
    if one.batch is None:
        return "never"
    if one.batch <= 1.0:
        return "from the first"
    return f"{one.batch:,.0f}" + ("" if one.fits else ", beyond memory")


def rows_of(found: Crossover) -> Iterator[dict[str, Any]]:
    """Every point of the map as one flat row under CSV_COLUMNS."""
    for one in found.cells:
        row = {name: getattr(one, name) for name in CSV_COLUMNS[:10]}
        for name, side in (("chip", one.chip), ("other", one.other)):
            row |= {
                name: getattr(found, name),
                f"{name}_tokens_per_s": side.tokens_per_s_per_chip,
                f"{name}_bound": side.bound,
                f"{name}_plan": side.plan_text,
                f"{name}_largest_batch": side.largest_batch,
            }
        yield row


def csv_text(found: Crossover) -> str:
    """The map as CSV, one row per point; empty where there is no number."""
    from clustercast.report import files

    return files.csv_table(CSV_COLUMNS, ([row[name] for name in CSV_COLUMNS] for row in rows_of(found)))


def save(found: Crossover, path: str) -> None:
    """Draw the map into a file: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import plot

    plot.check(path)
    plot.write(chart(found), path)


def chart(found: Crossover) -> "altair.ConcatChart":
    """Two maps a phase, per chip and per dollar: colour the ratio, a line where each chip's decode turns."""
    import altair as alt

    panels = [panel(found, phase, per_usd=per_usd) for phase in PHASES for per_usd in (False, True)]
    title = f"{found.chip} against {found.other}: {found.model}, {found.count} of each"
    drawn: alt.ConcatChart = alt.concat(*panels, columns=2).properties(title=title)
    drawn = drawn.configure_view(stroke="#888").configure_axis(grid=False)
    drawn.config.aria = False
    return drawn


def panel(found: Crossover, phase: str, *, per_usd: bool) -> "altair.LayerChart | altair.FacetChart":
    """One map: a cell per point, grey where memory holds the batch on neither, the ratio written in it."""
    import altair as alt

    rows = []
    for one in found.cells:
        if one.phase != phase:
            continue
        value = one.ratio_per_usd if per_usd else one.ratio
        place: dict[str, Any] = {
            "left": one.batch / EDGE, "right": one.batch * EDGE, "batch": one.batch,
            "low": one.context / EDGE, "high": one.context * EDGE, "context": one.context,
        }  # fmt: skip
        text = number(value) if value else "" if one.winner == "neither" else brief(one.winner)
        rows.append(place | {"ratio": value, "text": text})
    ends = [found.batches[0] / EDGE, found.batches[-1] * EDGE], [found.contexts[0] / EDGE, found.contexts[-1] * EDGE]
    x = alt.X(
        "left:Q",
        scale=alt.Scale(type="log", base=2, domain=ends[0], nice=False),
        title="prompts at once" if phase != DECODE else "batch, sequences on all chips",
        axis=alt.Axis(values=list(found.batches), format=",d"),
    )
    y = alt.Y(
        "low:Q",
        scale=alt.Scale(type="log", base=2, domain=ends[1], nice=False),
        title="context, tokens",
        axis=alt.Axis(values=list(found.contexts), format=",d"),
    )
    colour = alt.Color(
        "ratio:Q",
        title=f"{found.chip} over {found.other}",
        scale=alt.Scale(type="log", domain=[1.0 / FARTHEST, 1.0, FARTHEST], scheme="redblue", clamp=True),
    )
    data = alt.InlineData(values=rows)
    have, lack = "isValid(datum.ratio)", "!isValid(datum.ratio)"
    layers = [
        alt.Chart(data).transform_filter(lack).mark_rect(color="#ddd").encode(x=x, x2="right:Q", y=y, y2="high:Q"),
        alt.Chart(data).transform_filter(have).mark_rect().encode(x=x, x2="right:Q", y=y, y2="high:Q", color=colour),
        alt.Chart(data)
        .mark_text(fontSize=8, yOffset=-2)
        .encode(x=alt.X("batch:Q", scale=x["scale"]), y=alt.Y("context:Q", scale=y["scale"]), text="text:N"),
    ]
    if phase == DECODE:
        layers.append(turning(found, x["scale"], y["scale"]))
    size = {"width": CELL * len(found.batches), "height": CELL * len(found.contexts)}
    return alt.layer(*layers).properties(title=f"{phase}, per {'dollar' if per_usd else 'chip'}", **size)


def turning(found: Crossover, across: Any, down: Any) -> "altair.Chart":
    """Where each chip turns compute-bound: one mark per context, inside the map."""
    import altair as alt

    marks = [
        {"batch": max(one.batch, found.batches[0]), "context": one.context, "turns": f"{one.chip} compute-bound from"}
        for one in found.turns
        if one.batch is not None and one.batch <= found.batches[-1]
    ]
    drawn: alt.Chart = (
        alt.Chart(alt.InlineData(values=marks))
        .mark_point(filled=True, size=30, color="black", yOffset=CELL / 3)
        .encode(
            x=alt.X("batch:Q", scale=across),
            y=alt.Y("context:Q", scale=down),
            shape=alt.Shape("turns:N", title="decode"),
        )
    )
    return drawn
