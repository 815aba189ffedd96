"""The roofline: operations of the work under what compute and memory bandwidth of the chip allow."""

import math
from typing import Any, Final

from clustercast.report.charts import theme
from clustercast.report.charts.theme import Document, Spec
from clustercast.report.layout import percent

PHASES: Final = ("training", "prefill", "decode")
SHAPES: Final = {"training": "circle", "prefill": "triangle-up", "decode": "square"}
FILLS: Final = {"training": theme.STRONG, "prefill": theme.PALE, "decode": theme.MIDDLE}
HIGH: Final = 300
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
    bottom = min(min(point["rate"] for point in points), left * found["roofs"][0]["hbm_bytes_per_s"]) / ROOM
    x = theme.axis("intensity", "FLOP per byte of HBM traffic",
                   scale={"type": "log", "domain": [left, right], "nice": False}, axis={"format": "~g", "tickCount": 6})  # fmt: skip
    y = theme.axis("rate", "FLOP/s of one chip",
                   scale={"type": "log", "domain": [bottom, top], "nice": False}, axis={"format": "~s", "tickCount": 6})  # fmt: skip
    phases = [phase for phase in PHASES if any(point["phase"] == phase for point in points)]
    near = _beside(points, left, right, bottom, top)
    body: Spec = {
        "width": theme.WIDE - 70,
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
            *(
                {
                    "data": theme.values([point for point in near if point["align"] == align]),
                    "mark": {"type": "text", "align": align, "dx": 9 if align == "left" else -9, "fontSize": 11},
                    "encoding": {"x": theme.axis("intensity", None), "y": theme.axis("text_rate", None),
                                 "text": {"field": "text"}},
                }
                for align in ("left", "right")
            ),
        ],
    }  # fmt: skip
    return theme.spec(f"Roofline, {found['chip']}", _sentence(found, points), body, sources=[_source(found)])


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


def _beside(points: list[dict[str, Any]], left: float, right: float, bottom: float, top: float) -> list[dict[str, Any]]:
    """Where the words go: to the side with room, and no two on the same line of text."""
    apart = math.log(top / bottom) * 14.0 / HIGH  # a line of text on the axis
    middle = math.sqrt(left * right)
    placed_texts: list[tuple[str, float, float]] = []
    found = []
    for point in sorted(points, key=lambda each: -each["rate"]):
        align = "left" if point["intensity"] < middle else "right"
        at = math.log(point["rate"])
        for whose, x, y in sorted(placed_texts, key=lambda each: -each[2]):
            near_x = abs(math.log(point["intensity"] / x)) < math.log(right / left) * 0.35
            if whose == align and near_x and abs(y - at) < apart:
                at = y - apart
        placed_texts.append((align, point["intensity"], at))
        found.append(point | {"align": align, "text_rate": math.exp(at)})
    return found


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
