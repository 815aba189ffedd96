"""One look for all pictures: few tones that differ in lightness, so that they survive grey printing and the dark."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, Final

from clustercast.report.layout import short
from clustercast.report.terminal import visible

Spec = dict[str, Any]
Document = Mapping[str, Any]

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
INK: Final = "#1b1f24"  # text and marks
MUTED: Final = "#57606a"  # labels of axes
GRID: Final = "#d4d8dd"
FRAME: Final = "#8b949e"
PAPER: Final = "#fffffe"  # on a strong tone, and behind everything
STRONG: Final = "#0b4f8a"
MIDDLE: Final = "#5b9bd0"
PALE: Final = "#c9dff2"
FAINT: Final = "#eaf2fa"
RAMP: Final = (STRONG, MIDDLE, "#93c0e4", PALE, FAINT)  # of parts of a whole
DARK: Final = {  # what stands for each tone on a dark page
    INK: "#e8ebee", MUTED: "#a9b1ba", GRID: "#363d45", FRAME: "#6e7781", PAPER: "#14181d",
    STRONG: "#cfe5fa", MIDDLE: "#7ab2e2", "#93c0e4": "#4a86b8", PALE: "#2d5a82", FAINT: "#1d3347",
}  # fmt: skip
FONT: Final = "Arial, 'Liberation Sans', Helvetica, sans-serif"  # of one width on all machines: labels keep their room
WIDE: Final = 760  # points: a picture's width with its labels is about a page's
SIZE: Final = 12
PADDING: Final = {
    "left": 28,
    "right": 12,
    "top": 5,
    "bottom": 5,
}  # points: letters may be wider than they were measured
TIMES: Final = (("s", 1.0), ("ms", 1e3), ("us", 1e6))
LONGER: Final = (("min", 60.0, 120.0), ("h", 3600.0, 7200.0), ("days", 86400.0, 172800.0))  # from how many seconds
LEAST_SHOWN: Final = 1e-3  # of a whole


def document(result: Any) -> Document:
    """The JSON of a result, or the JSON itself.

    >>> document({"chip": "h20"})
    {'chip': 'h20'}
    """
    if isinstance(result, Mapping):
        return result
    if hasattr(result, "as_dict"):
        found: Document = result.as_dict()
        return found
    if is_dataclass(result) and not isinstance(result, type):
        return asdict(result)
    msg = f"expected a result or its JSON, got {type(result).__name__}"
    raise TypeError(msg)


def config() -> Spec:
    """The look, as Vega-Lite's config takes it."""
    return {
        "aria": False,  # a picture has one sentence, not one for each mark
        "background": None,
        "font": FONT,
        "view": {"stroke": None},
        "padding": PADDING,
        "axis": {
            "labelColor": MUTED, "titleColor": INK, "titleFontWeight": "normal", "gridColor": GRID,
            "domainColor": FRAME, "tickColor": FRAME, "labelFontSize": SIZE, "titleFontSize": SIZE, "labelLimit": 260,
            "labelSeparation": 8, "labelOverlap": True,
        },
        "legend": {"labelColor": INK, "titleColor": INK, "titleFontWeight": "normal", "labelFontSize": SIZE,
                   "titleFontSize": SIZE, "labelLimit": 260, "titleLimit": 400, "columnPadding": 24},
        "title": {"color": INK, "subtitleColor": MUTED, "fontSize": SIZE + 2, "subtitleFontSize": SIZE,
                  "anchor": "start", "frame": "group"},
        "header": {"labelColor": INK, "titleColor": INK, "labelFontSize": SIZE},
        "text": {"color": INK, "fontSize": SIZE},
        "rule": {"color": INK},
        "bar": {"color": PALE},
        "point": {"color": INK},
    }  # fmt: skip


def spec(title: str, sentence: str, body: Spec, *, sources: Sequence[str] = ()) -> Spec:
    """A whole Vega-Lite picture: its title, where its numbers come from, and the sentence for who cannot see it."""
    head: Spec = {"text": title}
    if sources:
        head["subtitle"] = list(sources)
    return {"$schema": SCHEMA, "title": head, "description": sentence, "config": config(), **body}


def dark(picture: Any) -> Any:
    """The same picture for a dark page.

    >>> dark({"color": INK, "values": [PALE]}) == {"color": DARK[INK], "values": [DARK[PALE]]}
    True
    """
    if isinstance(picture, dict):
        return {name: each if name == "data" else dark(each) for name, each in picture.items()}
    if isinstance(picture, list):
        return [dark(each) for each in picture]
    return DARK.get(picture, picture) if isinstance(picture, str) else picture


def printable(picture: Any) -> Any:
    """The same picture with control characters written as their codes: the package that draws dies of them.

    >>> printable({"title": "a\\x00b", "n": [1, "c"]})
    {'title': 'a\\\\x00b', 'n': [1, 'c']}
    """
    if isinstance(picture, str):
        return visible(picture)
    if isinstance(picture, dict):
        return {printable(name): printable(each) for name, each in picture.items()}
    return [printable(each) for each in picture] if isinstance(picture, (list, tuple)) else picture


def values(rows: Sequence[Mapping[str, Any]]) -> Spec:
    """Rows inside the picture's own document."""
    return {"values": [dict(row) for row in rows]}


def axis(field: str, title: str, **more: Any) -> Spec:
    """A channel of numbers with its title and unit; layers of one picture have the same one.

    >>> axis("s", "time, s")["type"]
    'quantitative'
    """
    return {"field": field, "type": "quantitative", "title": title, **more}


def names(field: str, order: Sequence[str], *, title: str | None = None, **more: Any) -> Spec:
    """A channel of names in a given order."""
    return {"field": field, "type": "nominal", "title": title, "sort": list(order), **more}


def time_unit(longest_s: float) -> tuple[str, float]:
    """In which unit so long a time is best drawn, and how many of it a second is.

    >>> time_unit(0.02), time_unit(148.0), time_unit(3e-5)
    (('ms', 1000.0), ('min', 0.016666666666666666), ('us', 1000000.0))
    """
    for unit, seconds, least in reversed(LONGER):
        if longest_s >= least:
            return unit, 1.0 / seconds
    for unit, times in TIMES:
        if longest_s * times >= 1.0:
            return unit, times
    return TIMES[-1]


def signed(share: float) -> str:
    """A gain in per cent.

    >>> signed(0.095), signed(0.0)
    ('+9.5 %', '0 %')
    """
    text = f"{100.0 * share:+.1f} %"
    return "0 %" if text in ("+0.0 %", "-0.0 %") else text


def listed(words: Sequence[str]) -> str:
    """Words as a sentence has them.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def number(value: float | None) -> str:
    """A number in few characters; a dash where there is none.

    >>> number(1234.5), number(None)
    ('1,234', '–')
    """
    return "–" if value is None else short(value)
