"""The roofline: operations of the work under what compute and memory bandwidth of the chip allow."""

import math
from itertools import pairwise
from typing import Any, Final, NamedTuple

from clustercast.report.charts import theme
from clustercast.report.charts.theme import Document, Spec
from clustercast.report.layout import percent

PHASES: Final = ("training", "prefill", "decode")
SHAPES: Final = {"training": "circle", "prefill": "triangle-up", "decode": "square"}
FILLS: Final = {"training": theme.STRONG, "prefill": theme.PALE, "decode": theme.MIDDLE}
ACROSS: Final = theme.WIDE - 70
HIGH: Final = 320
LETTER: Final = 5.8  # points, of a word's letters
LINE: Final = 13.0
MARK: Final = 7.0
FARTHEST: Final = 16  # half lines that words may go up or down
LEAST_SHARE: Final = 0.01  # of a phase's time: less is not drawn
ROOM: Final = 2.5  # of a logarithmic axis, beyond its outermost points


class Frame(NamedTuple):
    """The ends of both logarithmic axes."""

    left: float
    right: float
    bottom: float
    top: float

    def place(self, intensity: float, rate: float) -> tuple[float, float]:
        """Where a point lies, in points of the picture from its top left corner."""
        across = ACROSS * math.log(intensity / self.left) / math.log(self.right / self.left)
        return across, HIGH * math.log(self.top / rate) / math.log(self.top / self.bottom)


def placed(found: Document) -> list[dict[str, Any]]:
    """Operations that do arithmetic, move bytes and take time worth drawing: intensity in FLOP/byte, rate in FLOP/s."""
    return [
        {"kind": one["kind"], "phase": one["phase"], "intensity": one["flop"] / one["hbm_bytes"],
         "rate": one["flop"] / one["time_s"], "share": one["share"],
         "text": f"{one['kind']} {percent(one['share'])}"}
        for one in found["operations"]
        if one["flop"] > 0.0 and one["hbm_bytes"] > 0.0 and one["share"] >= LEAST_SHARE
    ]  # fmt: skip


def roofline(result: Any) -> Spec | None:
    """Operations of training, prefill and decode as points, the chip's roofs as lines; None without any."""
    found = theme.document(result)
    points = placed(found)
    if not points:
        return None
    frame = framed(found, points)
    lines = _roofs(found, frame)
    body: Spec = {"width": ACROSS, "height": HIGH, "layer": _layers(points, lines, frame)}
    return theme.spec(f"Roofline, {found['chip']}", _sentence(found, points), body, sources=[_source(found)])


def framed(found: Document, points: list[dict[str, Any]]) -> Frame:
    """Axes with room around every point and the ridge of the highest roof."""
    most = max(one["flop_per_s"] for one in found["roofs"])
    ridge = max(one["flop_per_s"] / one["hbm_bytes_per_s"] for one in found["roofs"])
    left = min(point["intensity"] for point in points) / ROOM
    right = ROOM * max(ridge, *(point["intensity"] for point in points))
    lowest = min(left * found["roofs"][0]["hbm_bytes_per_s"], *(point["rate"] for point in points))
    return Frame(left, right, lowest / ROOM, ROOM * max(most, *(point["rate"] for point in points)))


def _layers(points: list[dict[str, Any]], lines: list[dict[str, Any]], frame: Frame) -> list[Spec]:
    across = {"type": "log", "domain": [frame.left, frame.right], "nice": False}
    up = {"type": "log", "domain": [frame.bottom, frame.top], "nice": False}
    x_axis = {"format": "~g", "values": _decades(frame.left, frame.right)}
    x = theme.axis("intensity", "FLOP per byte of HBM traffic", scale=across, axis=x_axis)
    y_axis = {"format": "~s", "values": _decades(frame.bottom, frame.top)}
    y = theme.axis("rate", "FLOP/s of one chip", scale=up, axis=y_axis)
    phases = [phase for phase in PHASES if any(point["phase"] == phase for point in points)]
    ends = [frame.place(one["intensity"], one["rate"]) for one in lines]
    roof = [pair for one, pair in zip(lines, pairwise(ends), strict=False) if one["intensity"] < frame.right]
    words = beside(points, [frame.place(point["intensity"], point["rate"]) for point in points], roof)
    far = [one for one in words if abs(one["y"] - one["py"]) > LINE]
    return [
        {
            "data": theme.values(lines),
            "mark": {"type": "line", "color": theme.INK, "strokeWidth": 1.5, "clip": True},
            "encoding": {"x": x, "y": y, "detail": {"field": "roof"}, "strokeDash": _dashes(lines)},
        },
        {
            "data": theme.values(points),
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "stroke": theme.INK, "strokeWidth": 1},
            "encoding": {
                "x": x, "y": y,
                "shape": _by_phase(phases, [SHAPES[each] for each in phases]),
                "fill": _by_phase(phases, [FILLS[each] for each in phases]),
            },
        },
        {
            "data": theme.values(far),
            "mark": {"type": "rule", "color": theme.FRAME, "strokeWidth": 0.7},
            "encoding": {"x": _pixels("px"), "y": _pixels("py"), "x2": {"field": "near"}, "y2": {"field": "y"}},
        },
        {
            "data": theme.values(words),
            "mark": {"type": "text", "align": "left", "fontSize": 11},
            "encoding": {"x": _pixels("x"), "y": _pixels("y"), "text": {"field": "text"}},
        },
    ]  # fmt: skip


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


def _roofs(found: Document, frame: Frame) -> list[dict[str, Any]]:
    """Three points per different roof: up the bandwidth to the ridge, along the peak."""
    lines = []
    for name in dict.fromkeys(one["label"] for one in found["roofs"]):
        one = next(each for each in found["roofs"] if each["label"] == name)
        ridge = one["flop_per_s"] / one["hbm_bytes_per_s"]
        for at in (frame.left, ridge, frame.right):
            lines.append({"roof": name, "intensity": at, "rate": min(one["flop_per_s"], at * one["hbm_bytes_per_s"])})
    return lines


Pixel = tuple[float, float]


def beside(points: list[dict[str, Any]], at: list[Pixel], roof: list[tuple[Pixel, Pixel]]) -> list[dict[str, Any]]:
    """Where the words of each point go: the nearest place, by its side, that covers no other word, point or roof.

    at    of each point, in points of the picture from its top left corner
    roof  lines that are drawn
    """
    taken = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in at]
    for (x, y), (to_x, to_y) in roof:
        steps = max(1, int(abs(to_x - x) // LETTER), int(abs(to_y - y) // LETTER))
        for step in range(steps + 1):
            on = x + (to_x - x) * step / steps, y + (to_y - y) * step / steps
            taken.append((on[0] - 1, on[1] - 1, on[0] + 1, on[1] + 1))
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
            near = box[0] - 2 if box[0] > x else box[2] + 2
            found.append(point | {"x": box[0], "near": near, "y": (box[1] + box[3]) / 2, "px": x, "py": y})
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
