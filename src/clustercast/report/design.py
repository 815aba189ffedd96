"""The best chip that a rule allows: sentences and tables, a CSV of every point, the curves as a picture."""

from typing import TYPE_CHECKING, Any, Final

from clustercast import units
from clustercast.errors import WrongInput
from clustercast.report import files
from clustercast.report.layout import Block, Line, Table, short, wrap
from clustercast.studies.design import CAPS, PURPOSES, SERVING, Best, Design, Point, Standing, shown
from clustercast.studies.throughput import DECODE, JOBS, PREFILL, TRAINING

if TYPE_CHECKING:
    import altair

NO: Final = "–"
WITHIN: Final = {True: "yes", False: "no", None: "?"}
SIDE: Final = 260  # points
SETS: Final = {
    "none": "no rule",
    "2022": "October 2022",
    "2023": "October 2023",
    "letter": "and letter 2025",
    "2026": "case by case 2026",
    "safe": "SAFE bill",
}


def design(found: Design) -> list[Block]:
    """The answer in lines of at most 80 characters."""
    blocks: list[Block] = [*wrap(summary(found), style="bold"), "", Line("The best chip, by job", "bold"), bests(found)]
    blocks += wrap(bound(found), "  ", "  ")
    blocks += wrap(silicon(found), "  ", "  ")
    if found.without_caps:
        blocks += ["", Line("What the cap costs", "bold"), capped(found)]
    if found.standings:
        blocks += ["", Line("Real chips beside it, in per cent of the best", "bold"), standings(found)]
        blocks += wrap(
            "in: within the rule. TPP line: the chip's TPP over the most that the rule leaves at its die area.",
            "  ",
            "  ",
        )
    if found.rule_sets:
        title = Line("What each rule leaves, in per cent of what silicon holds", "bold")
        blocks += ["", title, rule_sets(found), *wrap(letter(found), "  ", "  ")]
    if found.curve:
        blocks += ["", Line("Tokens per second and chip under a bound on TPP alone", "bold"), curve(found)]
    if found.cap_costs:
        title = Line(f"What a tighter bound would cost the best chip for {found.purpose}", "bold")
        blocks += ["", title, cap_costs(found)]
    if found.memories:
        blocks += ["", Line("The same rule with other memory", "bold"), memories(found)]
    if found.areas:
        told = ", ".join(f"{short(area)} mm2: {tpp:,.0f}" for area, tpp in found.areas)
        blocks += ["", *wrap(f"Most TPP by area of logic: {told}.")]
    blocks += ["", *wrap(basis(found))]
    for one in found.assumptions:
        value = f"{one.value:g}" if isinstance(one.value, float) else one.value
        ends = f" ({one.low:g}–{one.high:g})" if isinstance(one.low, float) and one.low != one.high else ""
        blocks += wrap(f"assumed: {one.name} = {value}{ends}, {one.kind}: {one.source}", "", "  ")
    for text in found.warnings:
        blocks += wrap(f"warning: {text}", "", "  ")
    for note in found.notes:
        blocks += wrap(f"Note: {note}.")
    return blocks


def limits_said(found: Design) -> str:
    """Rules and caps in words."""
    parts = [*found.rules, *(f"{CAPS[key][1]} up to {shown(key, value)}" for key, value in found.caps.items())]
    return " and ".join(parts) if parts else "no rule"


def summary(found: Design) -> str:
    """What the best chip is and how near the H20 comes."""
    best = found.best[found.purpose]
    point, rate = best.point, best.tokens_per_s
    told = NO if rate is None else short(rate)
    text = (
        f"Under {limits_said(found)} the best chip for {found.purpose} {found.model} has "
        f"{units.si(point.flop_per_s, 'FLOP/s')} (TPP {point.tpp:,.0f}), {units.si(point.hbm_bytes_per_s, 'B/s')} and "
        f"{units.gib(point.hbm_bytes)} of memory, links of {units.si(point.link_bytes_per_s or 0.0, 'B/s')}: "
        f"{told} tokens/s per chip."
    )
    within = [one for one in found.standings if one.point.holds and one.share[found.purpose] is not None]
    h20 = next((one for one in within if one.point.name == "h20-96gb"), None)
    if h20 is not None:
        parts = ", ".join(f"{percent(h20.share[job])} of it in {job}" for job in JOBS)
        text += f" The H20 reaches {parts}."
    return text


def silicon(found: Design) -> str:
    """What the best chip's die is for."""
    point = found.point
    needed, area = point.needed_area_mm2 or 0.0, point.die_area_mm2 or 0.0
    text = f"Its numbers need {short(needed)} of {short(area)} mm2"
    if needed < 0.95 * area and any(name in point.bound_by for name in ("TPP", "PD")):
        text += "; the rest holds its memory stacks and keeps its density down"
    made = "" if point.cost_usd is None else f"; {point.cost_usd:,.0f} USD to make"
    return f"{text}{made}, {short(point.power_w or 0.0)} W ({found.node}, {found.memory})."


def bests(found: Design) -> Table:
    """A row per job; jobs that want the same chip share one."""
    groups: dict[tuple[float, ...], list[str]] = {}
    for job in PURPOSES:
        point = found.best[job].point
        key = (point.flop_per_s, point.hbm_bytes_per_s, point.hbm_bytes, point.link_bytes_per_s or 0.0)
        groups.setdefault(key, []).append(job)
    rows = []
    for jobs in groups.values():
        for at, job in enumerate(jobs):
            one = found.best[job]
            point = one.point
            numbers = (
                f"{point.tpp:,.0f}",
                "" if point.pd is None else f"{point.pd:.2f}",
                f"{point.hbm_bytes_per_s / 1e12:.2f}",
                f"{point.hbm_bytes / 2**30:.0f}",
                f"{(point.link_bytes_per_s or 0.0) / 1e9:.0f}",
            )
            rows.append((job, _rate(one.tokens_per_s), *(numbers if at == 0 else ("″",) * len(numbers))))
    columns = ("job", "tokens/s", "TPP", "PD", "TB/s", "GiB", "link GB/s")
    return Table(columns, rows, frozenset(range(1, 7)))


def bound(found: Design) -> str:
    """What keeps the best chips from being larger."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for job in PURPOSES:
        groups.setdefault(found.best[job].point.bound_by, []).append(job)
    if len(groups) == 1:
        return f"Bound by {', '.join(found.point.bound_by)}."
    told = [f"{', '.join(jobs)}: {', '.join(names)}" for names, jobs in groups.items()]
    return f"Bound by, for {'; '.join(told)}."


def capped(found: Design) -> Table:
    """Each job with and without the caps."""
    rows = []
    for job in PURPOSES:
        free, held = found.without_caps[job].tokens_per_s, found.best[job].tokens_per_s
        change = None if not free or held is None else held / free - 1.0
        rows.append((job, _rate(free), _rate(held), _change(change)))
    return Table(("job", "rule alone", "with the cap", "change"), rows, frozenset({1, 2, 3}))


def standings(found: Design) -> Table:
    """Real chips."""
    rows = [
        (
            one.point.name,
            f"{one.point.tpp:,.0f}",
            f"{one.point.hbm_bytes_per_s / 1e12:.2f}",
            WITHIN[one.point.holds],
            *(NO if one.share[job] is None else f"{100 * (one.share[job] or 0.0):.1f}" for job in PURPOSES),
            NO if one.tpp_share is None else f"{100 * one.tpp_share:.1f}",
        )
        for one in found.standings
    ]
    columns = ("chip", "TPP", "TB/s", "in", *PURPOSES, "TPP line")
    return Table(columns, rows, frozenset({1, 2, *range(4, 9)}), (0,))


def rule_sets(found: Design) -> Table:
    """What is left of each job under each set of rules."""
    free = found.rule_sets["none"]
    rows = []
    for name, best in found.rule_sets.items():
        point = best[DECODE].point
        rows.append(
            (
                SETS.get(name, name),
                f"{point.tpp:,.0f}",
                f"{point.hbm_bytes_per_s / 1e12:.2f}",
                f"{(point.link_bytes_per_s or 0.0) / 1e9:.0f}",
                *(_left(best[job], free[job]) for job in PURPOSES),
            )
        )
    columns = ("rule", "TPP", "TB/s", "link", *PURPOSES)
    return Table(columns, rows, frozenset(range(1, 8)), (0,))


def letter(found: Design) -> str:
    """What the letter of April 2025 took from what the rule of 2023 left."""
    before, after = found.rule_sets["2023"], found.rule_sets["letter"]
    parts = []
    for job in PURPOSES:
        old, new = before[job].tokens_per_s, after[job].tokens_per_s
        if old and new is not None:
            parts.append(f"{_change(new / old - 1.0)} in {job}")
    return (
        "TPP, memory bandwidth and links are those of the best chip for decode. What the letter of April 2025 takes "
        f"from what the rule of 2023 left: {', '.join(parts)}."
    )


def curve(found: Design) -> Table:
    """The bound and what every job does under it, and the real chips at their TPP."""
    lines: list[tuple[float, tuple[str, ...]]] = [
        (step.value, (f"{step.value:,.0f}", *(_rate(step.tokens_per_s[job]) for job in JOBS), "best"))
        for step in found.curve
    ]
    lines += [
        (
            one.point.tpp,
            (f"{one.point.tpp:,.0f}", *(_rate(one.point.tokens_per_s[job]) for job in JOBS), one.point.name),
        )
        for one in found.standings
    ]
    lines.sort(key=lambda line: line[0])
    return Table(("TPP", *JOBS, "chip"), [cells for _, cells in lines], frozenset({0, 1, 2, 3}), (4,))


def cap_costs(found: Design) -> Table:
    """Each bound and the change of each job."""
    rows = [
        (CAPS[step.cap][1], shown(step.cap, step.value), *(_change(step.change[job]) for job in PURPOSES))
        for step in found.cap_costs
    ]
    return Table(("bound on", "at", *PURPOSES), rows, frozenset(range(1, 6)), (0,))


def memories(found: Design) -> Table:
    """The best with each memory."""
    rows = []
    for name, best in found.memories.items():
        point = best[DECODE].point
        rows.append(
            (
                name,
                f"{point.hbm_bytes_per_s / 1e12:.2f}",
                f"{point.hbm_bytes / 2**30:.0f}",
                *(_rate(best[job].tokens_per_s) for job in PURPOSES),
            )
        )
    return Table(("memory", "TB/s", "GiB", *PURPOSES), rows, frozenset(range(1, 7)))


def basis(found: Design) -> str:
    """What was measured with what."""
    return (
        f"Tokens per second and chip of {found.model_name}, {found.precision}: training on {found.count:,} chips; "
        f"prefill of {found.input_len:,} tokens; decode of {found.output_len:,} within {1e3 * found.tpot_s:g} ms a "
        f"token; serving does both on one chip, output tokens. A design is {' or '.join(found.bases)} with other "
        f"numbers{', between them by its compute' if len(found.bases) > 1 else ''}; {found.n_evaluations:,} estimates."
    )


def percent(share: float | None) -> str:
    """A share in per cent.

    >>> percent(0.9867)
    '98.7 %'
    """
    return NO if share is None else f"{100 * share:.1f} %"


def _rate(value: float | None) -> str:
    return NO if value is None else f"{value:,.0f}" if value >= 100 else short(value)


def _change(value: float | None) -> str:
    if value is None:
        return NO
    return "0 %" if abs(value) < 0.0005 else f"{100 * value:+.1f} %".replace("-", "−")


def _left(one: Best, free: Best) -> str:
    if one.tokens_per_s is None or not free.tokens_per_s:
        return NO
    return f"{100 * one.tokens_per_s / free.tokens_per_s:.1f}"


# CSV and picture


def rows_of(found: Design) -> list[dict[str, Any]]:
    """Every point of the answer as a row for a file."""
    rows = [_row("best", job, found.best[job].point, found) for job in PURPOSES]
    rows += [_row("chip", "", one.point, found) for one in found.standings]
    for name, best in found.rule_sets.items():
        rows += [_row(f"rule {name}", job, best[job].point, found) for job in PURPOSES]
    for name, best in found.memories.items():
        rows += [_row(f"memory {name}", job, best[job].point, found) for job in PURPOSES]
    for kind, steps in (("curve", found.curve), ("cap", found.cap_costs)):
        for step in steps:
            row = dict.fromkeys(rows[0], "") | {"kind": kind, "name": step.cap, "cap": step.value, "model": found.model}
            rows.append(row | {f"{job}_tokens_per_s": step.tokens_per_s.get(job) for job in PURPOSES})
    return rows


def _row(kind: str, purpose: str, point: Point, found: Design) -> dict[str, Any]:
    return {
        "kind": kind,
        "for": purpose,
        "name": point.name,
        "model": found.model,
        "cap": "",
        "flop_per_s": point.flop_per_s,
        "tpp": point.tpp,
        "pd": point.pd,
        "die_area_mm2": point.die_area_mm2,
        "needed_area_mm2": point.needed_area_mm2,
        "hbm_bytes_per_s": point.hbm_bytes_per_s,
        "hbm_bytes": point.hbm_bytes,
        "link_bytes_per_s": point.link_bytes_per_s,
        "io_bytes_per_s": point.io_bytes_per_s,
        "power_w": point.power_w,
        "cost_usd": point.cost_usd,
        "holds": point.holds,
        "bound_by": "; ".join(point.bound_by),
    } | {f"{job}_tokens_per_s": point.tokens_per_s.get(job) for job in PURPOSES}


def csv_text(found: Design) -> str:
    """Every point as CSV."""
    rows = rows_of(found)
    return files.csv_table(list(rows[0]), ([row[name] for name in rows[0]] for row in rows))


def save(found: Design, path: str) -> None:
    """Draw the frontier into a file: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import plot

    plot.check(path)
    if not found.curve:
        raise WrongInput("--plot: there is no curve to draw with --brief")
    plot.write(chart(found), path)


def chart(found: Design) -> "altair.ConcatChart":
    """The curve of each job with the real chips on it, and the line of the rule over die area."""
    import altair as alt

    panels: list[Any] = [panel(found, job) for job in JOBS]
    if found.areas:
        panels.append(areas(found))
    said = [line.text for line in wrap(basis(found)) if isinstance(line, Line)]
    said.append("line: the best chip under a bound on TPP; points: real chips, their sources in chips show NAME")
    title = alt.Title(f"What a bound on TPP leaves: {found.model_name}", subtitle=said)
    drawn: alt.ConcatChart = alt.concat(*panels, columns=2).properties(title=title)
    drawn = drawn.configure_view(stroke="#888").configure_axis(gridOpacity=0.4)
    drawn.config.aria = False
    return drawn


def _layers(
    line: list[dict[str, Any]], points: list[dict[str, Any]], x: Any, y: Any, title: str
) -> "altair.LayerChart | altair.FacetChart":
    import altair as alt

    ordered = sorted(points, key=lambda point: (point["tpp"], point["chip"]))
    data = alt.InlineData(values=[point | {"odd": at % 2} for at, point in enumerate(ordered)])
    from clustercast.report.charts import theme

    answers = list(WITHIN.values())
    within = alt.Fill(
        "within:N", title="within the rule", scale=alt.Scale(domain=answers, range=[theme.STRONG, "white", theme.PALE])
    )
    shape = alt.Shape(
        "within:N",
        title="within the rule",
        scale=alt.Scale(domain=answers, range=["circle", "square", "triangle-up"]),
    )
    drawn: alt.LayerChart | alt.FacetChart = alt.layer(
        alt.Chart(alt.InlineData(values=line)).mark_line(color=theme.STRONG).encode(x=x, y=y),
        alt.Chart(data)
        .mark_point(filled=True, size=45, stroke=theme.INK, strokeWidth=1, opacity=1)
        .encode(x=x, y=y, fill=within, shape=shape),
        *(
            alt.Chart(data)
            .transform_filter(f"datum.odd == {odd}")
            .mark_text(align="left", dx=6, dy=dy, fontSize=9)
            .encode(x=x, y=y, text="chip:N")
            for odd, dy in ((0, -5), (1, 6))
        ),
    ).properties(width=SIDE, height=SIDE, title=title)
    return drawn


def panel(found: Design, job: str) -> "altair.LayerChart | altair.FacetChart":
    """One job: tokens per second and chip against TPP."""
    import altair as alt

    line = [{"tpp": step.value, "rate": step.tokens_per_s[job]} for step in found.curve if step.tokens_per_s[job]]
    points = [
        {
            "tpp": one.point.tpp,
            "rate": one.point.tokens_per_s[job],
            "chip": one.point.name,
            "within": WITHIN[one.point.holds],
        }
        for one in found.standings
        if one.point.tokens_per_s[job]
    ]
    log = alt.Scale(type="log", nice=False, padding=20)
    x = alt.X("tpp:Q", scale=log, title="TPP", axis=alt.Axis(format="~s", tickCount=5))
    y = alt.Y("rate:Q", scale=log, title="tokens/s per chip", axis=alt.Axis(format="~s", tickCount=5))
    return _layers(line, points, x, y, job)


def areas(found: Design) -> "altair.LayerChart | altair.FacetChart":
    """The most TPP that the rule leaves by die area, and the real chips."""
    import altair as alt

    line = [{"area": area, "tpp": tpp} for area, tpp in found.areas]
    points = [
        {
            "area": one.point.die_area_mm2,
            "tpp": one.point.tpp,
            "chip": one.point.name,
            "within": WITHIN[one.point.holds],
        }
        for one in found.standings
        if one.point.die_area_mm2
    ]
    x = alt.X("area:Q", title="area of logic, mm2")
    y = alt.Y("tpp:Q", scale=alt.Scale(type="log"), title="TPP", axis=alt.Axis(format="~s", tickCount=5))
    return _layers(line, points, x, y, "the line of the rule")


__all__ = ["PREFILL", "SERVING", "TRAINING", "Standing", "csv_text", "design", "save"]
