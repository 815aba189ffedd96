"""The roofline: operations of the work under what compute and memory bandwidth of the chip allow."""

import math
from typing import Any, Final

from clustercast.report.charts import theme
from clustercast.report.charts.theme import Document, Spec
from clustercast.report.layout import percent

PHASES: Final = ("training", "prefill", "decode")
SHAPES: Final = {"training": "circle", "prefill": "triangle-up", "decode": "square"}
FILLS: Final = {"training": theme.STRONG, "prefill": theme.PALE, "decode": theme.MIDDLE}
ACROSS: Final = theme.WIDE - 70
HIGH: Final = 300
LETTER: Final = 5.8  # points, of a word's letters
LINE: Final = 13.0
MARK: Final = 7.0
FARTHEST: Final = 16  # half lines that words may go up or down
LEAST_SAID: Final = 0.01  # of a phase's time
ROOM: Final = 2.5  # of a logarithmic axis, beyond its outermost points


def placed(found: Document) -> list[dict[str, Any]]:
    """Operations that do arithmetic and move bytes, with intensity (FLOP/byte) and rate (FLOP/s)."""
    return [
        {"kind": one["kind"], "phase": one["phase"], "intensity": one["flop"] / one["hbm_bytes"],
         "rate": one["flop"] / one["time_s"], "share": one["share"],
         "text": f"{one['kind']} {percent(one['share'])}"}
        for one in found["operations"]
        if one["flop"] > 0.0 and one["hbm_bytes"] > 0.0 and one["time_s"] > 0.0
    ]  # fmt: skip


def roofline(result: Any) -> Spec | None:
    """Operations of training, prefill and decode as points, the chip's roofs as lines; None without any."""
    found = theme.document(result)
    points = placed(found)
    if not points:
        return None
    peaks = {one["phase"]: one for one in found["roofs"]}
    left = min(point["intensity"] for point in points) / ROOM
    ridge = max(one["flop_per_s"] / one["hbm_bytes_per_s"] for one in peaks.values())
    right = max(ROOM * ridge, ROOM * max(point["intensity"] for point in points))
    lines = _roofs(found, left, right)
    top = max(one["flop_per_s"] for one in peaks.values()) * ROOM
    bottom = min(*(point["rate"] for point in points), left * found["roofs"][0]["hbm_bytes_per_s"]) / ROOM
    across = {"type": "log", "domain": [left, right], "nice": False}
    up = {"type": "log", "domain": [bottom, top], "nice": False}
    x = theme.axis(
        "intensity",
        "FLOP per byte of HBM traffic",
        scale=across,
        axis={"format": "~g", "values": _decades(left, right)},
    )
    y = theme.axis("rate", "FLOP/s of one chip", scale=up, axis={"format": "~s", "values": _decades(bottom, top)})
    phases = [phase for phase in PHASES if any(point["phase"] == phase for point in points)]
    places = [
        (ACROSS * math.log(point["intensity"] / left) / math.log(right / left),
         HIGH * math.log(top / point["rate"]) / math.log(top / bottom))
        for point in points
    ]  # fmt: skip
    words = beside(
        [point for point in points if point["share"] >= LEAST_SAID],
        [place for place, point in zip(places, points, strict=True) if point["share"] >= LEAST_SAID],
    )
    body: Spec = {
        "width": ACROSS,
        "height": HIGH,
        "layer": [
            {
                "data": theme.values(lines),
                "mark": {"type": "line", "color": theme.INK, "strokeWidth": 1.5, "clip": True},
                "encoding": {"x": x, "y": y, "detail": {"field": "roof"}, "strokeDash": _dashes(lines)},
            },
            {
                "data": theme.values(points),
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "stroke": theme.INK,
                         "strokeWidth": 1},
                "encoding": {
                    "x": x, "y": y,
                    "shape": _by_phase(phases, [SHAPES[each] for each in phases]),
                    "fill": _by_phase(phases, [FILLS[each] for each in phases]),
                },
            },
            {
                "data": theme.values([one for one in words if abs(one["y"] - one["py"]) > LINE]),
                "mark": {"type": "rule", "color": theme.FRAME, "strokeWidth": 0.7},
                "encoding": {
                    "x": _pixels("px"), "y": _pixels("py"),
                    "x2": {"field": "to", "type": "quantitative"}, "y2": {"field": "y"},
                },
                "transform": [
                    {"calculate": f"datum.x > datum.px ? datum.x - 2 : datum.x + {LETTER} * length(datum.text)",
                     "as": "to"}
                ],
            },
            {
                "data": theme.values(words),
                "mark": {"type": "text", "align": "left", "fontSize": 11},
                "encoding": {"x": _pixels("x"), "y": _pixels("y"), "text": {"field": "text"}},
            },
        ],
    }  # fmt: skip
    return theme.spec(f"Roofline, {found['chip']}", _sentence(found, points), body, sources=[_source(found)])


def _pixels(field: str) -> Spec:
    """A channel that is no scale's: points of the picture."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten between two numbers.

    >>> _decades(0.5, 120.0)
    [1.0, 10.0, 100.0]
    """
    return [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]


def _by_phase(phases: list[str], tones: list[str]) -> Spec:
    return {
        "field": "phase", "type": "nominal", "title": None, "legend": {"orient": "top"},
        "scale": {"domain": phases, "range": tones},
    }  # fmt: skip


def _dashes(lines: list[dict[str, Any]]) -> Spec:
    roofs = list(dict.fromkeys(line["roof"] for line in lines))
    return {
        "field": "roof", "type": "nominal", "title": None,
        "legend": {"orient": "top", "symbolStrokeColor": theme.INK, "symbolStrokeWidth": 1.5, "symbolType": "stroke"},
        "scale": {"domain": roofs, "range": [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]][: len(roofs)]},
    }  # fmt: skip


def _roofs(found: Document, left: float, right: float) -> list[dict[str, Any]]:
    """Three points per different roof: up the bandwidth to the ridge, along the peak."""
    lines = []
    for name in dict.fromkeys(one["label"] for one in found["roofs"]):
        one = next(each for each in found["roofs"] if each["label"] == name)
        ridge = one["flop_per_s"] / one["hbm_bytes_per_s"]
        for at in (left, ridge, right):
            lines.append({"roof": name, "intensity": at, "rate": min(one["flop_per_s"], at * one["hbm_bytes_per_s"])})
    return lines


def beside(points: list[dict[str, Any]], at: list[tuple[float, float]]) -> list[dict[str, Any]]:
    """Where the words of each point go: the nearest place, by its side, that covers no other word or point.

    at  of each point, in points of the picture from its top left corner
    """
    taken = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in at]
    found = []
    for point, (x, y) in sorted(zip(points, at, strict=True), key=lambda pair: -pair[0]["share"]):
        long = LETTER * len(point["text"])
        boxes = [
            (left, top, left + long, top + LINE)
            for far in range(FARTHEST)
            for down in dict.fromkeys((far, -far))
            for left, top in (
                (x + MARK + 3, y - LINE / 2 + down * LINE / 2),
                (x - MARK - 3 - long, y - LINE / 2 + down * LINE / 2),
            )
            if left >= 0 and left + long <= ACROSS and top >= 0 and top + LINE <= HIGH
        ]
        box = next((box for box in boxes if not any(_meet(box, other) for other in taken)), None)
        if box is not None:
            taken.append(box)
            found.append(point | {"x": box[0], "y": (box[1] + box[3]) / 2, "px": x, "py": y})
    return found


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _sentence(found: Document, points: list[dict[str, Any]]) -> str:
    said = []
    for phase in PHASES:
        own = [point for point in points if point["phase"] == phase]
        if own:
            largest = max(own, key=lambda point: point["share"])
            roof = next(one for one in found["roofs"] if one["phase"] == phase)
            side = "compute" if largest["intensity"] > roof["flop_per_s"] / roof["hbm_bytes_per_s"] else "bandwidth"
            said.append(
                f"in {phase} {largest['kind']} takes {percent(largest['share'])} of the kernels' time and lies under "
                f"the {side} roof"
            )
    return f"{'; '.join(said).capitalize()}."


def _source(found: Document) -> str:
    return (
        "per cent: share of the time of all kernels of its phase; roofs are dense datasheet peaks; "
        f"{percent(found['without_flop'])} of kernel time is element-wise and not drawn"
        if found["without_flop"]
        else "per cent: share of the time of all kernels of its phase; roofs are dense datasheet peaks"
    )
