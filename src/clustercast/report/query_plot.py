"""A query's answer as a picture: lines, maps, fronts and stretches, told apart without colour too."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from clustercast.errors import WrongInput
from clustercast.report.layout import WIDTH, short
from clustercast.report.query import cell, source
from clustercast.studies.query import QueryResult
from clustercast.studies.query.result import FRONT, MAP, RATIO, RUNS, Picture
from clustercast.studies.query.terms import is_log

if TYPE_CHECKING:
    import altair

MOST_ROWS: Final = 10_000  # that are drawn, and held
MOST_SERIES: Final = 12  # that dashes and marks tell apart
MOST_PANELS: Final = 12
MOST_WRITTEN: Final = 300  # cells of a map that have their number in them
LOG_SPREAD: Final = 10.0  # of the numbers of an axis that is no grid
WIDE: Final = 460  # points
HIGH: Final = 300
SMALL: Final = 300  # a side of one panel of several
ROW: Final = 18
MARGIN: Final = 15
DIGITS: Final = 4  # of a number beside a tick
KILO: Final = 1e3  # from here on numbers beside ticks have a prefix; a prefix like m for milli is read as million
LONG: Final = 10**7  # a number that is written with a prefix
DASHES: Final[tuple[list[int], ...]] = (
    [], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3], [10, 2], [4, 4], [8, 2, 2, 2, 2, 2], [3, 1], [12, 4], [6, 1], [2, 5],
)  # fmt: skip
SHAPES: Final = (
    "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left", "triangle-right", "arrow",
    "wedge", "stroke", "triangle",
)  # fmt: skip
PALE: Final = ("#ffffff", "#74a9cf")  # black numbers stand on either, printed in grey too

Row = dict[str, Any]
Drawn = Any  # altair.LayerChart or altair.Chart: its stubs make a facet of everything


def save(result: QueryResult, path: str) -> None:
    """Draw an answer: .svg, .png, .html or .json. Raises WrongInput where there is nothing to draw."""
    from clustercast.report import plot

    plot.check(path)
    plot.write(chart(result), path)


def chart(found: QueryResult) -> "altair.ConcatChart":
    """One panel, or one per model and the like, under the study's title and above where the numbers come from."""
    import altair as alt

    if found.picture is None:
        raise WrongInput(f"--plot: {found.question} has no picture")
    if found.n_rows > len(found.rows):
        raise WrongInput(
            f"--plot: {found.n_rows:,} rows are too many to draw, expected {len(found.rows):,} at most",
            hint="GROUP BY an axis, or pick rows with WHERE or --where",
        )
    picture = settled(found)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    rows = [row for row in rows if all(finite(row[each]) for each in (picture.x, picture.y, picture.value) if each)]
    if not rows:
        raise WrongInput("--plot: there is nothing to draw: no row has its numbers")
    panels = _panels(found, picture, rows)
    even = ["the thick line is where it is 1"] if picture.kind == RATIO else []
    notes = [each for each in found.notes if not each.startswith("even_")]
    said = [*notes, *even, *(f"warning: {each}" for each in found.warnings), source(found)]
    what = f": {picture.title or found.question}" if found.question != "sql" else ""
    title = alt.Title(
        f"{found.title}{what}", subtitle=[line for each in said for line in _wrapped(each)], anchor="start",
        subtitleColor="#444",
    )  # fmt: skip
    drawn: alt.ConcatChart = alt.concat(*panels, columns=2 if len(panels) > 1 else 1).properties(title=title)
    drawn = drawn.configure_view(stroke="#888").configure_axis(gridOpacity=0.4)
    drawn.config.aria = False
    return drawn


def _wrapped(text: str, width: int = WIDTH) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, break_on_hyphens=False)


def finite(value: Any) -> bool:
    """Whether it is a number that has a place on an axis.

    >>> finite(1), finite(None), finite(float("inf")), finite("h20")
    (True, False, False, False)
    """
    return isinstance(value, (int, float)) and math.isfinite(value)


def settled(found: QueryResult) -> Picture:
    """Which column is which: as the question or the user said, or by their order. Raises WrongInput.

    Of columns that nobody named, the first number is x, the last one the value, texts of few values are series.
    """
    picture = found.picture
    assert picture is not None
    if picture.kind != "free":
        return picture
    kinds = dict(zip(found.columns, found.kinds, strict=True))
    numbers = [name for name, kind in kinds.items() if kind != "text" and name != "point"]
    for option, name in (("--x", picture.x), ("--y", picture.y), ("--by", picture.value)):
        if name and name not in numbers:
            there = ", ".join(numbers) or "none"
            raise WrongInput(f"{option}: the answer has no column of numbers {name!r}; there are {there}")
    named = (picture.x, picture.y, picture.value)
    rest = [name for name in numbers if name not in named]
    value = picture.value or (rest.pop() if rest else "")
    x = picture.x or (rest[0] if rest else "")
    if not x or not value:
        raise WrongInput("--plot: expected two columns of numbers, an axis and what is drawn over it")
    texts = [name for name, kind in kinds.items() if kind == "text" and name != "status"]
    place = {name: found.columns.index(name) for name in texts}
    series = tuple(name for name in texts if 1 < len({row[place[name]] for row in found.rows}) <= MOST_SERIES)
    return Picture(MAP if picture.y else "lines", x, picture.y, value, series)


def _panels(found: QueryResult, picture: Picture, rows: list[Row]) -> list[Drawn]:
    """A panel per series of a map, or all series in one panel."""
    if picture.kind in (MAP, RATIO) and picture.y:
        groups = grouped(rows, picture.series)
        if len(groups) > MOST_PANELS:
            raise WrongInput(
                f"--plot: {len(groups)} maps are too many, expected {MOST_PANELS} at most",
                hint=f"pick some {picture.series[0]} with --where",
            )
        side = SMALL if len(groups) > 1 else WIDE
        return [_map(found, picture, name, some, side) for name, some in groups.items()]
    if picture.kind == RUNS:
        return [_runs(found, picture, rows)]
    return [_lines(found, picture, rows)]


def grouped(rows: Sequence[Row], by: Sequence[str]) -> dict[str, list[Row]]:
    """Rows by what tells them apart, in words.

    >>> list(grouped([{"chip": "h20", "n": 1}, {"chip": "h100", "n": 1}], ("chip",)))
    ['h20', 'h100']
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(", ".join(cell(row[name], "") for name in by), []).append(row)
    return found


def is_far(values: Sequence[float]) -> bool:
    """Whether numbers are all positive and far apart: better seen in their logarithm.

    >>> is_far([1.0, 30.0]), is_far([0.0, 30.0])
    (True, False)
    """
    return min(values) > 0.0 and max(values) >= LOG_SPREAD * min(values)


def _named(found: QueryResult, name: str) -> str:
    """A column with its unit."""
    unit = found.units[found.columns.index(name)]
    return name if not unit or name.startswith(unit) else f"{name}, {unit}"


# --- lines and fronts -----------------------------------------------------------------------------------------------


def _lines(found: QueryResult, picture: Picture, rows: list[Row]) -> Drawn:
    """Values over an axis, a line with its own dashes and marks per series; a front as steps."""
    import altair as alt

    front = picture.kind == FRONT
    up = picture.y if front else picture.value
    groups = grouped(rows, picture.series)
    if len(groups) > MOST_SERIES:
        raise WrongInput(
            f"--plot: {len(groups)} lines are too many, expected {MOST_SERIES} at most",
            hint=f"pick some {picture.series[0]} with WHERE or --where",
        )
    across = sorted({row[picture.x] for row in rows})
    labels = [each for each in picture.labels if each not in picture.series]
    drawn_rows: list[Row] = [
        {
            "series": name,
            "x": row[picture.x],
            "y": row[up],
            "label": ", ".join(_first(row[each]) for each in labels),
            "below": place % 2,  # so that neighbours do not cover one another
        }
        for name, some in groups.items()
        for place, row in enumerate(some)
    ]
    data = alt.InlineData(values=drawn_rows)
    x_scale = alt.Scale(type="log" if _log_axis(across) else "linear", zero=False, nice=False, padding=MARGIN)
    far = is_far([row[up] for row in rows])
    y_scale = alt.Scale(type="log" if far else "linear", zero=False, nice=False, padding=MARGIN)
    x = alt.X("x:Q", scale=x_scale, title=_named(found, picture.x), axis=_axis(across))
    y = alt.Y("y:Q", scale=y_scale, title=_named(found, up), axis=alt.Axis(format=_form([row[up] for row in rows])))
    names = list(groups)
    legend = alt.Legend(title=", ".join(picture.series), symbolSize=120, symbolStrokeWidth=0) if names != [""] else None
    dash = alt.StrokeDash("series:N", scale=alt.Scale(domain=names, range=list(DASHES[: len(names)])), legend=None)
    shape = alt.Shape("series:N", scale=alt.Scale(domain=names, range=list(SHAPES[: len(names)])), legend=legend)
    colour = alt.Color("series:N", scale=alt.Scale(domain=names, scheme="dark2"), legend=legend)
    base = alt.Chart(data).encode(x=x, y=y, color=colour)
    layers: list[Drawn] = []
    single = all(len({row[picture.x] for row in some}) == len(some) for some in groups.values())
    if single:  # several values at one place make no line
        line = base.mark_line(interpolate="step-after" if front else "linear")
        layers.append(line.encode(strokeDash=dash))
    layers.append(
        base.mark_point(size=35, filled=True, opacity=1.0).encode(shape=shape, tooltip=["series:N", "x:Q", "y:Q"])
    )
    for below in (0, 1) if labels else ():
        beside = base.transform_filter(f"datum.below == {below}")
        mark = beside.mark_text(align="left", dx=6, dy=(-6, 8)[below], fontSize=9)
        layers.append(mark.encode(text="label:N", color=alt.value("black")))
    if picture.kind == RATIO:
        even = alt.Chart(alt.InlineData(values=[{"y": 1.0}])).mark_rule(color="black", strokeWidth=1.5)
        layers.insert(0, even.encode(y=alt.Y("y:Q", scale=y_scale)))
    return alt.layer(*layers).properties(width=WIDE, height=HIGH)


def _first(value: Any) -> str:
    """A name's first word: what fits beside a mark.

    >>> _first("h100-sxm5-80gb"), _first(8)
    ('h100', '8')
    """
    return cell(value, "").partition("-")[0]


def _log_axis(values: Sequence[float]) -> bool:
    return is_log(values) if len(values) <= MOST_SERIES * 2 else is_far(values)


def _form(values: Sequence[float]) -> str:
    """How numbers beside ticks are written.

    >>> _form([0.5, 20.0]), _form([2e12, 8e12])
    ('.4~g', '.4~s')
    """
    return f".{DIGITS}~{'s' if max(map(abs, values)) >= KILO else 'g'}"


def _axis(values: Sequence[float]) -> "altair.Axis":
    """Ticks where the values are, if they are few and short."""
    import altair as alt

    whole = all(each == int(each) for each in values) and max(values) < LONG
    form = ",d" if whole else _form(values)
    few = len(values) <= MOST_SERIES and all(whole or each == float(f"{each:.{DIGITS}g}") for each in values)
    return alt.Axis(format=form, values=list(values)) if few else alt.Axis(format=form)


# --- maps -----------------------------------------------------------------------------------------------------------


def edges(values: Sequence[float], *, log: bool) -> list[float]:
    """The borders of the cells around sorted values: half way between two of them.

    >>> edges([1.0, 2.0, 4.0], log=False), edges([1.0, 4.0], log=True)
    ([0.5, 1.5, 3.0, 5.0], [0.5, 2.0, 8.0])
    """
    points = [math.log(each) for each in values] if log else list(values)
    if len(points) == 1:
        half = 0.5 if log or not points[0] else abs(points[0]) / 2.0
        borders = [points[0] - half, points[0] + half]
    else:
        inner = [(before + after) / 2.0 for before, after in pairwise(points)]
        borders = [points[0] - (inner[0] - points[0]), *inner, points[-1] + (points[-1] - inner[-1])]
    return [round(math.exp(each), 12) for each in borders] if log else borders


def _map(found: QueryResult, picture: Picture, name: str, rows: list[Row], side: int) -> Drawn:
    """A cell per point of the grid, its number in it, and for a ratio the line where it is 1."""
    import altair as alt

    across, up = (sorted({row[each] for row in rows}) for each in (picture.x, picture.y))
    if len(across) * len(up) < len(rows):
        raise WrongInput(
            f"--plot: there are several rows for one {picture.x} and {picture.y}",
            hint="GROUP BY both, or keep more apart with --per",
        )
    log_x, log_y = is_log(across), is_log(up)
    x_edges, y_edges = edges(across, log=log_x), edges(up, log=log_y)
    column = {value: at for at, value in enumerate(across)}
    line = {value: at for at, value in enumerate(up)}
    values: list[Row] = [
        {
            "x": row[picture.x], "y": row[picture.y], "value": row[picture.value],
            "left": x_edges[column[row[picture.x]]], "right": x_edges[column[row[picture.x]] + 1],
            "low": y_edges[line[row[picture.y]]], "high": y_edges[line[row[picture.y]] + 1],
            "text": short(row[picture.value], 2),
        }
        for row in rows
    ]  # fmt: skip
    x_scale = alt.Scale(type="log" if log_x else "linear", domain=[x_edges[0], x_edges[-1]], nice=False)
    y_scale = alt.Scale(type="log" if log_y else "linear", domain=[y_edges[0], y_edges[-1]], nice=False)
    figures = [row[picture.value] for row in rows]
    far = is_far(figures)
    shade = alt.Scale(type="log" if far or picture.kind == RATIO else "linear", range=list(PALE), interpolate="rgb")
    legend = alt.Legend(
        title=[_named(found, picture.value), *_wrapped(picture.title, WIDTH // 2)],
        titleLimit=SMALL,
        format=_form(figures),
    )
    data = alt.InlineData(values=values)
    x_title, y_title = _named(found, picture.x), _named(found, picture.y)
    cells = (
        alt.Chart(data)
        .mark_rect(stroke="#ccc", strokeWidth=0.5)
        .encode(
            x=alt.X("left:Q", scale=x_scale, title=x_title, axis=_axis(across)),
            x2="right:Q",
            y=alt.Y("low:Q", scale=y_scale, title=y_title, axis=_axis(up)),
            y2="high:Q",
            color=alt.Color("value:Q", scale=shade, legend=legend),
            tooltip=["x:Q", "y:Q", "value:Q"],
        )
    )
    layers: list[Drawn] = [cells]
    above = min(9, side // (4 * len(up))) if picture.kind == RATIO else 0  # beside the line
    if len(values) <= MOST_WRITTEN:
        place = {"x": alt.X("x:Q", scale=x_scale), "y": alt.Y("y:Q", scale=y_scale)}
        layers.append(alt.Chart(data).mark_text(fontSize=9, dy=-above, color="black").encode(text="text:N", **place))
    segments = even_line(across, up, values, log_x=log_x, log_y=log_y) if picture.kind == RATIO else []
    if segments:
        ends = alt.InlineData(values=[dict(zip(("x", "y", "x2", "y2"), each, strict=True)) for each in segments])
        rule = alt.Chart(ends).mark_rule(color="black", strokeWidth=3)
        layers.append(rule.encode(x=alt.X("x:Q", scale=x_scale), y=alt.Y("y:Q", scale=y_scale), x2="x2:Q", y2="y2:Q"))
    return alt.layer(*layers).properties(width=side, height=side * 3 // 4, **({"title": name} if name else {}))


def even_line(
    across: Sequence[float], up: Sequence[float], cells: Sequence[Row], *, log_x: bool, log_y: bool
) -> list[tuple[float, float, float, float]]:
    """Where the ratio is 1, as segments (x, y, x2, y2) through the squares between four neighbours.

    On each side of a square whose ends lie on either side of 1 the crossing is interpolated in the ratio's logarithm.

    >>> cells = [{"x": x, "y": y, "value": value} for x, y, value in ((1, 1, 0.5), (1, 4, 0.5), (4, 1, 2), (4, 4, 2))]
    >>> even_line([1, 4], [1, 4], cells, log_x=True, log_y=True)
    [(2.0, 1, 2.0, 4)]
    """
    height = {(each["x"], each["y"]): math.log(each["value"]) for each in cells if each["value"] > 0.0}

    def between(low: float, high: float, share: float, log: bool) -> float:
        return low * (high / low) ** share if log else low + (high - low) * share

    segments = []
    for left, right in pairwise(across):
        for low, high in pairwise(up):
            corners = [(left, low), (right, low), (right, high), (left, high)]
            if not all(each in height for each in corners):
                continue
            crossed = []
            for (x, y), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
                one, other = height[x, y], height[x2, y2]
                if (one < 0.0) != (other < 0.0):
                    share = one / (one - other)
                    crossed.append(
                        (
                            x if x == x2 else between(x, x2, share, log_x),
                            y if y == y2 else between(y, y2, share, log_y),
                        )
                    )
            segments += [(*crossed[at], *crossed[at + 1]) for at in range(0, len(crossed) - 1, 2)]
    return segments


# --- stretches ------------------------------------------------------------------------------------------------------


def _runs(found: QueryResult, picture: Picture, rows: list[Row]) -> Drawn:
    """A bar per stretch of the axis from its first to its last step, what holds on it beside it."""
    import altair as alt

    values: list[Row] = []
    for number, row in enumerate(rows, 1):
        plan = " ".join(f"{name}={cell(row[name], '')}" for name in picture.labels)
        whose = ", ".join(cell(row[name], "") for name in picture.series)
        values.append(
            {
                "row": f"{number:03d}", "label": f"{whose}: {plan}" if whose else plan,
                "from": row[picture.x], "to": row[picture.x_to],
            }
        )  # fmt: skip
    if len(values) > 4 * MOST_SERIES:
        raise WrongInput(
            f"--plot: {len(values)} stretches are too many, expected {4 * MOST_SERIES} at most",
            hint="pick some with --where",
        )
    ends = sorted({each[name] for each in values for name in ("from", "to")})
    scale = alt.Scale(type="log" if _log_axis(ends) else "linear", zero=False, nice=False, padding=MARGIN)
    labels = [each["label"] for each in values]
    data = alt.InlineData(values=values)
    axis = alt.Axis(labelLimit=WIDE, labelExpr=f"{labels!r}[parseInt(datum.label, 10) - 1]".replace("\\", "\\\\"))
    y = alt.Y("row:N", title=None, axis=axis)
    title = _named(found, picture.x).replace(" from", "")
    x = alt.X("from:Q", scale=scale, title=title, axis=_axis(ends))
    base = alt.Chart(data).encode(y=y)
    tips = ["label:N", "from:Q", "to:Q"]
    layers = [
        base.mark_rule(strokeWidth=6, color="#666").encode(x=x, x2="to:Q", tooltip=tips),
        base.mark_point(filled=True, size=60, color="black", opacity=1.0).encode(x=x, tooltip=tips),
        base.mark_point(filled=True, size=60, color="black", opacity=1.0).encode(
            x=alt.X("to:Q", scale=scale), tooltip=tips
        ),
    ]
    return alt.layer(*layers).properties(width=WIDE, height=ROW * max(len(values), 2))
