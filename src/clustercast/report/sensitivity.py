"""What moves an answer: ranked tables with bars, CSV, pictures of a tornado, a screening and shares of variance."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from clustercast import units
from clustercast.report.layout import Block, Line, Table, bar, percent, short, wrap
from clustercast.report.plans import brief
from clustercast.report.text import counted
from clustercast.studies.sensitivity.result import (
    SOBOL,
    TORNADO,
    Answered,
    Pair,
    Screened,
    Sensitivity,
    Share,
    Swing,
    Varied,
)

if TYPE_CHECKING:
    import altair

MOST_ROWS: Final = 20
MOST_PAIRS: Final = 3
LEAST_SHOWN: Final = 0.001  # of the answer, or of its variance
SIDE: Final = 7  # characters of a bar on either side
BAR: Final = 10
LEAST_IN_WORDS: Final = 0.005
WIDTH: Final = 420  # points
ROW: Final = 18
COLUMNS: Final = (
    "of", "rank", "parameter", "title", "group", "value", "low", "high", "unit", "distribution", "median", "kind",
    "at_low", "at_high", "fits_low", "fits_high", "swing", "replanned_low", "replanned_high", "plan_low", "plan_high",
    "mu", "mu_star", "mu_star_conf", "sigma", "first", "first_conf", "total", "total_conf", "source",
)  # fmt: skip
TITLES: Final = {
    TORNADO: "each number alone at the ends of its range",
    "morris": "screening (Morris)",
    SOBOL: "shares of variance (Sobol)",
}


def sensitivity(found: Sensitivity) -> list[Block]:
    """The answer, what moves it most first, and what the figures mean."""
    batch = "" if found.batch is None else f", {counted(found.batch, 'sequence')} in flight"
    blocks: list[Block] = [
        *wrap(
            f"What moves it: {found.count:,} {found.chip} {doing(found)} {found.model} ({found.precision}{batch}); "
            f"{TITLES[found.method]}",
            style="bold",
        ),
        *wrap(f"plan held: {brief(found.plan) if found.half == 'training' else found.plan}", "", "  "),
    ]
    for one in found.outputs:
        blocks += ["", *_output(found, one)]
    blocks += ["", *_notes(found)]
    for each in found.warnings:
        blocks += wrap(f"warning: {each}", "", "  ")
    return blocks


def doing(found: Sensitivity) -> str:
    """What the chips do."""
    verb = "train" if found.half == "training" else "serve"
    return verb if found.count > 1 else f"{verb}s"


def _output(found: Sensitivity, one: Answered) -> Iterator[Block]:
    """One output: its value and its table."""
    head = f"{one.title[:1].upper()}{one.title[1:]}: {amount(one.value, one.unit)}"
    yield Line(head, "bold")
    if one.sampled is not None:
        part = one.sampled
        yield from wrap(
            f"over the samples that fit: median {amount(part.median, one.unit)}, 80 % between "
            f"{amount(part.p10, one.unit)} and {amount(part.p90, one.unit)}",
            "  ",
            "    ",
        )
    effects = one.effects
    if isinstance(effects[0], Swing):
        yield from _tornado(found, one, [each for each in effects if isinstance(each, Swing)])
    elif isinstance(effects[0], Screened):
        yield from _screening(found, one, [each for each in effects if isinstance(each, Screened)])
    else:
        yield from _variance(found, one, [each for each in effects if isinstance(each, Share)])


def _tornado(found: Sensitivity, one: Answered, effects: list[Swing]) -> Iterator[Block]:
    shown = [each for each in effects if each.swing >= LEAST_SHOWN][:MOST_ROWS]
    if not shown:
        yield "  nothing moves it"
        return
    largest = max(abs(end - one.value) for each in shown for end in (each.at_low, each.at_high))
    rows = []
    for each in shown:
        what = found.parameter(each.parameter)
        rows.append(
            (
                what.name,
                between(what),
                f"{figure(each.at_low, fits=each.fits_low)} – {figure(each.at_high, fits=each.fits_high)}",
                sides(each, one.value, largest),
            )
        )
    yield Table(("parameter", "low – high", f"{one.unit} there", f"{'less':>{SIDE}}·more"), rows, frozenset(), (0, 1))
    less = len([each for each in effects if each.swing < LEAST_SHOWN])
    rest = len(effects) - len(shown) - less
    said = [f"{rest} more move it less" if rest else "", f"{less} by less than {percent(LEAST_SHOWN)}" if less else ""]
    if any(said):
        yield from wrap(f"and {', '.join(filter(None, said))}", "  ")
    again = [each for each in effects if each.replanned]
    if again:
        yield from _replanned(one, again)


def _replanned(one: Answered, effects: list[Swing]) -> Iterator[Block]:
    """What the ends come to where the plan may change with the number."""
    yield ""
    yield Line("  with the plan searched again there", "bold")
    said = 0
    for each in effects:
        for where, held, new, plan in (
            ("low", each.at_low, each.replanned_low, each.plan_low),
            ("high", each.at_high, each.replanned_high, each.plan_high),
        ):
            if new is None:
                said += 1
                yield from wrap(f"{each.parameter} at its {where} end: no plan fits", "  ", "    ")
            elif abs(new - held) > LEAST_IN_WORDS * abs(one.value) or not getattr(each, f"fits_{where}"):
                said += 1
                yield from wrap(
                    f"{each.parameter} at its {where} end: {short(new)} instead of {short(held)} {one.unit}: "
                    f"{brief(plan or '')}",
                    "  ",
                    "    ",
                )
    others = "all other ends" if said else "every end"
    yield from wrap(
        f"tried for {counted(len(effects), 'number')}: {others} within {percent(LEAST_IN_WORDS)} of what the held plan "
        "gives",
        "  ",
        "    ",
    )


def _screening(found: Sensitivity, one: Answered, effects: list[Screened]) -> Iterator[Block]:
    usual = abs(one.value) or 1.0
    shown = [each for each in effects if each.mu_star >= LEAST_SHOWN * usual][:MOST_ROWS]
    if not shown:
        yield "  nothing moves it"
        return
    rows = []
    for each in shown:
        what = found.parameter(each.parameter)
        rows.append(
            (
                what.name,
                between(what),
                f"{figure(each.mu_star)} ± {figure(each.mu_star_conf, digits=2)}",
                figure(each.sigma),
                bar(each.mu_star / effects[0].mu_star, BAR),
            )
        )
    yield Table(("parameter", "low – high", f"mu*, {one.unit}", "sigma", ""), rows, frozenset({3}), (0, 1))
    if len(effects) > len(shown):
        yield f"  and {len(effects) - len(shown)} more, which move it less"


def _variance(found: Sensitivity, one: Answered, effects: list[Share]) -> Iterator[Block]:
    if all(each.total == 0.0 for each in effects):
        yield "  nothing moves it"
        return
    shown = [each for each in effects if each.total >= LEAST_SHOWN][:MOST_ROWS]
    rows = []
    for each in shown:
        what = found.parameter(each.parameter)
        rows.append(
            (
                what.name,
                between(what),
                f"{100.0 * each.first:.1f} ± {100.0 * each.first_conf:.1f}",
                f"{100.0 * each.total:.1f} ± {100.0 * each.total_conf:.1f}",
                bar(each.total / effects[0].total, BAR),
            )
        )
    yield Table(("parameter", "low – high", "alone, %", "in all, %", ""), rows, frozenset({2, 3}), (0, 1))
    if len(effects) > len(shown):
        yield f"  and {len(effects) - len(shown)} more with no share"
    first = sum(each.first for each in effects)
    yield from wrap(f"alone they are {percent(first)} of the variance; the rest is what they do together", "  ", "    ")
    sure = [pair for pair in one.pairs if pair.second > pair.second_conf][:MOST_PAIRS]
    if sure:
        yield from wrap(f"together: {'; '.join(map(pair_text, sure))}", "  ", "    ")


def pair_text(pair: Pair) -> str:
    """Two parameters and what they have together.

    >>> pair_text(Pair(("a", "b"), 0.04, 0.01))
    'a with b 4.0 ± 1.0 %'
    """
    one, other = pair.parameters
    return f"{one} with {other} {100.0 * pair.second:.1f} ± {100.0 * pair.second_conf:.1f} %"


def _notes(found: Sensitivity) -> Iterator[Block]:
    """How it was done and how to read it."""
    n = counted(found.evaluations, "evaluation")
    if found.method == TORNADO:
        yield from wrap(
            f"{n}: each number alone at its low (░) and its high end (█), all others at their usual values", "", "  "
        )
    else:
        yield from wrap(
            f"{n}, seed {found.seed}; numbers are drawn apart from one another, half of the samples on either side of "
            "the usual value (in the middle of a range that you gave): in the logarithm for rates, times and prices, "
            "evenly for shares; ± is a 95 % interval",
            "",
            "  ",
        )
    if found.method == "morris":
        yield from wrap("mu*: mean change over the whole range; sigma: how much it depends on the others", "", "  ")
    if found.held:
        yield from wrap(
            f"{len(found.held)} that a screening found to move it less are held at their usual values: --most N "
            "takes more, --param NAME others",
            "",
            "  ",
        )
    if any(each.group == "hardware" and each.kind != "given" for each in found.parameters):
        yield from wrap("hardware: a tenth less and more, farther where the catalogue's own range is wider", "", "  ")
    where = "ends" if found.method == TORNADO else "samples"
    if found.infeasible > 0.0:
        yield from wrap(
            f"the plan does not fit memory at {percent(found.infeasible)} of the {where}"
            f"{' (marked !)' if found.method == TORNADO else ''}; the times are those it would have if it did",
            "",
            "  ",
        )
    else:
        yield from wrap(f"the plan fits memory at all {where}")


def amount(value: float, unit: str) -> str:
    """A value of an output with its unit.

    >>> amount(396.4, "days"), amount(0.412, "share"), amount(2.1e8, "USD")
    ('396 days', '41.2 %', '210M USD')
    """
    if unit == "share":
        return percent(value)
    return f"{units.count(value) if abs(value) >= 1e6 else short(value)} {unit}"


def figure(value: float, *, fits: bool = True, digits: int = 3) -> str:
    """A value without its unit, marked where the plan does not fit.

    >>> figure(1.22e8), figure(396.4, fits=False)
    ('122M', '396!')
    """
    shown = units.count(value, digits) if abs(value) >= 1e6 else short(value, digits)
    return shown if fits else f"{shown}!"


def in_units(value: float, unit: str) -> str:
    """A parameter's value as people write it.

    >>> in_units(148e12, "FLOP/s"), in_units(1.82e8, "s"), in_units(0.9, "share"), in_units(13e12, "1")
    ('148 TFLOP/s', '5.8 years', '0.9', '13T')
    """
    if unit == "s":
        return "0" if value == 0.0 else units.seconds(value)
    if unit == "B":
        return units.gib(value)
    if unit in ("FLOP/s", "B/s", "W"):
        return units.si(value, unit)
    if unit in ("USD", "USD/h"):
        return f"{short(value)} {unit}"
    return units.count(value) if value >= 1e6 else short(value)


def between(what: Varied) -> str:
    """A range, its unit once where both ends share it.

    >>> rate = Varied("a", "a", "hardware", 4e12, 3e12, 5e12, "B/s", "log-uniform", 4e12, "datasheet", "")
    >>> between(rate)
    '3.00–5.00 TB/s'
    """
    low, high = in_units(what.low, what.unit), in_units(what.high, what.unit)
    unit = high.rpartition(" ")[2]
    if " " in high and low.endswith(f" {unit}"):
        low = low.removesuffix(f" {unit}")
    return f"{low}–{high}"


def sides(one: Swing, usual: float, largest: float) -> str:
    """Less to the left and more to the right of the usual answer; the end that is the parameter's high is full.

    >>> sides(Swing("a", 9.0, 14.0, True, True, 0.5, False, None, None, None, None), 10.0, 4.0)
    '     ░░│███████'
    """
    bars = {-1: "", 1: ""}
    for end, mark in ((one.at_low, "░"), (one.at_high, "█")):
        length = len(bar(abs(end - usual) / largest, SIDE)) if end != usual else 0
        side = 1 if end > usual else -1
        if length > len(bars[side]):  # both ends on one side: the shorter one lies over the longer
            bars[side] = bars[side] + mark * (length - len(bars[side]))
        elif length:
            bars[side] = mark * length + bars[side][length:]
    return f"{bars[-1][::-1].rjust(SIDE)}│{bars[1]}"


def rows_of(found: Sensitivity) -> Iterator[dict[str, Any]]:
    """One flat row per output and parameter, under COLUMNS."""
    for one in found.outputs:
        for rank, effect in enumerate(one.effects, 1):
            what = found.parameter(effect.parameter)
            row: dict[str, Any] = {"of": one.of, "rank": rank, "parameter": effect.parameter}
            row |= {name: getattr(what, name) for name in COLUMNS if hasattr(what, name)}
            row |= {name: getattr(effect, name) for name in COLUMNS if hasattr(effect, name)}
            yield row


def csv_text(found: Sensitivity) -> str:
    """The ranking as CSV; empty where the method has no such number."""
    from clustercast.report import files

    return files.csv_table(COLUMNS, ([row.get(name) for name in COLUMNS] for row in rows_of(found)))


def save_plot(found: Sensitivity, path: str) -> None:
    """Draw the ranking: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import plot

    plot.check(path)
    plot.write(chart(found), path)


def chart(found: Sensitivity) -> "altair.ConcatChart":
    """One panel per output."""
    import altair as alt

    from clustercast.report.charts import theme

    panels = []
    for one in found.outputs:
        if isinstance(one.effects[0], Swing):
            panels.append(_drawn_tornado(one))
        elif isinstance(one.effects[0], Screened):
            panels.append(_drawn_screening(one))
        else:
            panels.append(_drawn_shares(one))
    title = f"{found.count:,} {found.chip} {doing(found)} {found.model}: {TITLES[found.method]}"
    kinds = theme.listed(sorted({each.kind for each in found.parameters}))
    said = [f"{counted(len(found.parameters), 'number')} ({kinds}); sources and ranges: --json, --csv"]
    said += [f"seed {found.seed}"] if found.method != TORNADO else []
    drawn: alt.ConcatChart = alt.concat(*panels, columns=1).properties(title=alt.Title(title, subtitle=said))
    drawn = drawn.configure_view(stroke="#888").configure_axis(gridOpacity=0.4)
    drawn.config.aria = False
    return drawn


def tones(*names: str) -> "altair.Scale":
    """A light and a dark tone, which a grey print tells apart."""
    import altair as alt

    from clustercast.report.charts import theme

    return alt.Scale(domain=list(names), range=[theme.PALE, theme.STRONG])


def _drawn_tornado(one: Answered) -> "altair.LayerChart | altair.FacetChart":
    """A bar from the usual answer to either end, and a tick where the plan was searched again."""
    import altair as alt

    from clustercast.report.charts import theme

    effects = [each for each in one.effects if isinstance(each, Swing) and each.swing >= LEAST_SHOWN][:MOST_ROWS]
    bars, ticks = [], []
    for each in effects:
        for end, value, new in (("low", each.at_low, each.replanned_low), ("high", each.at_high, each.replanned_high)):
            bars.append({"parameter": each.parameter, "end": end, "from": one.value, "to": value})
            if new is not None:
                ticks.append({"parameter": each.parameter, "at": new})
    names = [each.parameter for each in effects]
    y = alt.Y("parameter:N", sort=names, title=None)
    scale = alt.Scale(zero=False)
    title = f"{one.title}, {one.unit}" + ("; black: with the plan searched again" if ticks else "")
    layers = [
        alt.Chart(alt.InlineData(values=bars))
        .mark_bar(stroke=theme.INK, strokeWidth=0.5)
        .encode(
            x=alt.X("from:Q", scale=scale, title=title),
            x2="to:Q",
            y=y,
            fill=alt.Fill("end:N", title="parameter at its", scale=tones("low", "high")),
            tooltip=["parameter:N", "end:N", "to:Q"],
        ),
        alt.Chart(alt.InlineData(values=ticks)).mark_tick(color="black", thickness=2).encode(x="at:Q", y=y),
    ]
    layers = layers if ticks else layers[:1]
    return alt.layer(*layers).properties(width=WIDTH, height=ROW * max(len(names), 2))


def _drawn_screening(one: Answered) -> "altair.LayerChart | altair.FacetChart":
    """Mean magnitude against spread of the elementary effects."""
    import altair as alt

    points = [
        {"parameter": each.parameter, "mu_star": each.mu_star, "sigma": each.sigma,
         "low": each.mu_star - each.mu_star_conf, "high": each.mu_star + each.mu_star_conf}
        for each in one.effects
        if isinstance(each, Screened)
    ][:MOST_ROWS]  # fmt: skip
    data = alt.InlineData(values=points)
    x = alt.X("mu_star:Q", title=f"mu*, {one.unit}: {one.title}")
    y = alt.Y("sigma:Q", title=f"sigma, {one.unit}")
    return alt.layer(
        alt.Chart(data).mark_rule(color="#888").encode(x="low:Q", x2="high:Q", y=y),
        alt.Chart(data).mark_point(filled=True, size=40).encode(x=x, y=y, tooltip=["parameter:N", "mu_star:Q"]),
        alt.Chart(data).mark_text(align="left", dx=6, dy=-4, fontSize=9).encode(x=x, y=y, text="parameter:N"),
    ).properties(width=WIDTH, height=WIDTH * 3 // 4)


def _drawn_shares(one: Answered) -> "altair.LayerChart | altair.FacetChart":
    """Shares of variance alone and in all, with their intervals."""
    import altair as alt

    from clustercast.report.charts import theme

    effects = [each for each in one.effects if isinstance(each, Share)][:MOST_ROWS]
    bars = [
        {"parameter": each.parameter, "share": name, "value": value, "low": value - half, "high": value + half}
        for each in effects
        for name, value, half in (
            ("alone", each.first, each.first_conf),
            ("in all", each.total, each.total_conf),
        )
    ]
    data = alt.InlineData(values=bars)
    y = alt.Y("parameter:N", sort=[each.parameter for each in effects], title=None)
    offset = alt.YOffset("share:N", sort=["alone", "in all"])
    fill = alt.Fill("share:N", title="share of variance", scale=tones("alone", "in all"))
    return alt.layer(
        alt.Chart(data)
        .mark_bar(stroke=theme.INK, strokeWidth=0.5)
        .encode(x=alt.X("value:Q", title=f"share of the variance of {one.title}"), y=y, yOffset=offset, fill=fill),
        alt.Chart(data).mark_rule(color="black").encode(x="low:Q", x2="high:Q", y=y, yOffset=offset),
    ).properties(width=WIDTH, height=2 * ROW * max(len(effects), 2))
