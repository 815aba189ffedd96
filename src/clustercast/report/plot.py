"""Estimated against published as a picture: one point per row, by chip and by kind of model."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clustercast.errors import WrongInput
from clustercast.report import files
from clustercast.report.text import counted
from clustercast.report.validate import UNITS
from clustercast.studies.record.outcome import OK
from clustercast.studies.validate import Judged, Validation, quantile

if TYPE_CHECKING:
    import altair

    from clustercast.report.charts.theme import Spec

SUFFIXES: Final = (".svg", ".png", ".html", ".json")
SIDE: Final = 300  # points
COLUMNS: Final = 2
SHADES: Final = 10  # colours of the stronger scheme
PIXELS_PER_POINT: Final = 2.0
MOST_DECADES: Final = 300
APART: Final = 26  # points between pictures
TITLE: Final = 16  # points
STAND_IN: Final = "\ue03c"  # for "<", a sign for private use: no text of ours has it


def check(path: str) -> None:
    """Refuse a picture that could not be written, before anything is judged. Raises WrongInput."""
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        raise WrongInput(f"--plot: expected a name that ends in {', '.join(SUFFIXES)}, got {path!r}")
    if not file.parent.is_dir():
        raise WrongInput(f"--plot: there is no folder {str(file.parent)!r}")
    _guests()


def _guests() -> None:
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise WrongInput(
            f"--plot needs the package {error.name}", hint="install it with: pip install 'clustercast[plot]'"
        ) from None


def save(result: Validation, path: str) -> None:
    """Write the picture in the format that the file's name says. Raises WrongInput where there is nothing to draw."""
    check(path)
    write(chart(result.rows), path)


def write(drawn: "altair.TopLevelMixin | Spec", path: str) -> None:
    """Write a picture in the format that the file's name says, whole or not at all. Raises WrongInput."""
    content = rendered(drawn, Path(path).suffix.lower())
    with files.whole("--plot", path) as fresh:
        fresh.write_bytes(content)


def together(title: str, specs: "Sequence[Spec | None]", sources: Sequence[str]) -> "Spec":
    """Pictures of `charts` one under the other on white paper, with one caption. Raises WrongInput where there is none.

    Each keeps its own title; what is drawn with one scale stays so.
    """
    drawn = [each for each in specs if each is not None]
    if not drawn:
        raise WrongInput("--plot: there is nothing to draw")
    own = [{name: part for name, part in each.items() if name not in ("$schema", "config")} for each in drawn]
    said = ". ".join(each["description"] for each in drawn).replace("..", ".")
    return {
        "$schema": drawn[0]["$schema"],
        "title": {"text": title, "subtitle": list(sources), "offset": APART // 2, "fontSize": TITLE},
        "description": said,
        "config": drawn[0]["config"] | {"background": "white"},
        "vconcat": own,
        "spacing": APART,
        "resolve": {"scale": dict.fromkeys(("x", "y", "color", "fill", "shape"), "independent")},
    }


def rendered(drawn: "altair.TopLevelMixin | Spec", form: str) -> bytes:
    """A picture in one of the formats, by suffix."""
    import vl_convert

    from clustercast.report import json
    from clustercast.report.charts.theme import printable

    spec = printable(drawn if isinstance(drawn, dict) else drawn.to_dict())
    if form == ".svg":
        return (vl_convert.vegalite_to_svg(spec) + "\n").encode()
    if form == ".png":
        return vl_convert.vegalite_to_png(spec, scale=PIXELS_PER_POINT)
    if form == ".html":
        page = vl_convert.vegalite_to_html(_without(spec, "<", STAND_IN), bundle=True)
        return (page.replace(STAND_IN, "\\u003c") + "\n").encode()
    return (json.dumps(spec) + "\n").encode()


def _without(part: Any, sign: str, other: str) -> Any:
    """A document with a sign replaced in all its texts: vl-convert writes them into a script as they are."""
    if isinstance(part, dict):
        return {_without(name, sign, other): _without(each, sign, other) for name, each in part.items()}
    if isinstance(part, list):
        return [_without(each, sign, other) for each in part]
    return part.replace(sign, other) if isinstance(part, str) else part


def chart(rows: Sequence[Judged]) -> "altair.ConcatChart":
    """One square per metric, both axes logarithmic: points, the line of equality, and the usual interval around it.

    Only rows that are judged and answered have a point. Raises WrongInput where there is none.
    """
    import altair as alt

    parts = defaultdict(list)
    for row in rows:
        if row.status == OK:
            parts[row.metric].append(row)
    if not parts:
        raise WrongInput("--plot: there is no row to draw: none is complete and answered")
    chips = sorted({row.chip for part in parts.values() for row in part})
    kinds = sorted({row.kind for part in parts.values() for row in part})
    panels = [
        _panel(metric, part, chips, kinds) for metric, part in sorted(parts.items(), key=lambda pair: -len(pair[1]))
    ]
    squares = alt.concat(*panels, columns=min(COLUMNS, len(panels)))
    drawn: alt.ConcatChart = squares.configure_view(stroke="#888").configure_axis(gridOpacity=0.4)
    drawn.config.aria = False  # or every point carries its sentence
    return drawn


def _data(rows: Sequence[dict[str, Any]]) -> "altair.InlineData":
    """Rows inside the picture's own document; keys in their order."""
    import altair as alt

    return alt.InlineData(values=rows)


def _panel(
    metric: str, rows: list[Judged], chips: list[str], kinds: list[str]
) -> "altair.LayerChart | altair.FacetChart":
    import altair as alt

    values = [figure for row in rows for figure in (row.published, row.estimated) if figure]
    ends = [10.0 ** decade(min(values)), 10.0 ** (decade(max(values)) + 1)]
    scale = alt.Scale(type="log", domain=ends, nice=False)
    line = [{"published": at, "estimated": at} for at in ends]
    below, above = _ratio(rows, _above), _ratio(rows, _below)
    band = [{"published": at, "below": at / below, "above": at / above} for at in ends]
    unit = UNITS.get(metric, metric)
    x = alt.X("published:Q", scale=scale, title=f"published, {unit}", axis=alt.Axis(format="~s", tickCount=5))
    y = alt.Y("estimated:Q", scale=scale, title=f"estimated, {unit}", axis=alt.Axis(format="~s", tickCount=5))
    points = [
        {"id": row.id, "published": row.published, "estimated": row.estimated, "chip": row.chip, "kind": row.kind}
        for row in rows
    ]
    shades = alt.Scale(domain=chips, scheme="tableau10" if len(chips) <= SHADES else "tableau20")
    return alt.layer(
        alt.Chart(_data(band))
        .mark_area(opacity=0.15, color="#888", clip=True)
        .encode(x=x, y=alt.Y("below:Q", scale=scale), y2="above:Q"),
        alt.Chart(_data(line)).mark_line(color="#888", strokeDash=[4, 3]).encode(x=x, y=y),
        alt.Chart(_data(points))
        .mark_point(size=22, opacity=0.7, strokeWidth=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "chip:N",
                scale=shades,
                title="chip",
            ),
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds), title="model"),
            tooltip=["id:N", "chip:N", "kind:N", "published:Q", "estimated:Q"],
        ),
    ).properties(width=SIDE, height=SIDE, title=f"{metric}: {counted(len(rows), 'row')}; band: 80 % interval")


def decade(value: float) -> int:
    """The power of ten at or below a number, within those that an axis can show.

    >>> decade(3.0), decade(0.02), decade(1e308)
    (0, -2, 300)
    """
    return max(-MOST_DECADES, min(MOST_DECADES, math.floor(math.log10(value))))


def _below(row: Judged) -> float | None:
    return row.low / row.estimated if row.low and row.estimated else None


def _above(row: Judged) -> float | None:
    return row.high / row.estimated if row.high and row.estimated else None


def _ratio(rows: list[Judged], of: Callable[[Judged], float | None]) -> float:
    """The median over the rows of an end of the interval over its estimate."""
    return quantile([found for row in rows if (found := of(row)) is not None], 0.5)
