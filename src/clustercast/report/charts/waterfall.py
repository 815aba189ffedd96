"""Where the time of a step goes: each cause begins where the one before it ends."""

from typing import Any, Final

from clustercast import units
from clustercast.estimates.elasticity import bound
from clustercast.estimates.result import Elasticity
from clustercast.report.charts import theme
from clustercast.report.charts.theme import Document, Spec
from clustercast.report.layout import percent
from clustercast.report.text import CAUSES, DECODE

ROW: Final = 24
WHOLE: Final = {"training": "one step", "prefill": "one prompt", "decode": "one token"}
ROOM: Final = 1.22  # of the longest bar, for the number beside it


def causes(found: Document, job: str) -> dict[str, float]:
    """Seconds by cause in words, longest parts of a whole that they add up to; those of no length left out."""
    if job == "training":
        times = found["training"]["time_s"]
        return {title: times[name] for name, title in CAUSES.items() if times[name] > 0.0}
    served = found["serving"]
    slopes = Elasticity(**served["elasticity" if job == "decode" else "elasticity_prefill"])
    times = bound(served[f"{job}_time_ms"], slopes)
    return {DECODE.get(name, name): value / 1e3 for name, value in times.items() if value > 0.0}


def interval(found: Document, job: str) -> tuple[float, float]:
    """The 80 % interval of the whole, s."""
    if job == "training":
        return found["training"]["step_s_low"], found["training"]["step_s_high"]
    name = "tpot_ms" if job == "decode" else "ttft_ms"
    return found["serving"][f"{name}_low"] / 1e3, found["serving"][f"{name}_high"] / 1e3


def waterfall(result: Any, job: str = "training") -> Spec | None:
    """A step of training, a prefill, or a decode step of an estimate; None where it has no such half.

    job  "training", "prefill" or "decode"
    """
    found = theme.document(result)
    if found["training" if job == "training" else "serving"] is None:
        return None
    parts = causes(found, job)
    low_s, high_s = interval(found, job)
    whole_s = sum(parts.values())
    unit, times = theme.time_unit(max(whole_s, high_s))
    rows: list[dict[str, Any]] = []
    at_s = 0.0
    for name, long_s in parts.items():
        text = f"{units.seconds(long_s)}, {percent(long_s / whole_s)}"
        rows.append({"cause": name, "from": at_s * times, "to": (at_s + long_s) * times, "text": text, "whole": False})
        at_s += long_s
    total = WHOLE[job]
    rows.append(
        {"cause": total, "from": 0.0, "to": whole_s * times, "text": units.seconds(whole_s), "whole": True,
         "low": low_s * times, "high": high_s * times}
    )  # fmt: skip
    order = [row["cause"] for row in rows]
    largest = max(parts, key=lambda name: parts[name])
    return theme.spec(
        f"Where the time of {total} goes, {found['chip']}",
        f"{total.capitalize()} takes {units.seconds(whole_s)} (80 % interval {units.seconds(low_s)} to "
        f"{units.seconds(high_s)}); the largest part is {largest} with {percent(parts[largest] / whole_s)}.",
        _layers(rows, order, unit, max(whole_s, high_s) * times),
        sources=["exposed time: what overlaps with compute is not counted again; the line is the 80 % interval"],
    )


def _layers(rows: list[dict[str, Any]], order: list[str], unit: str, longest: float) -> Spec:
    scale = {"domain": [0, ROOM * longest], "nice": False}
    tone = {"condition": {"test": "datum.whole", "value": theme.PALE}, "value": theme.MIDDLE}
    y = theme.names("cause", order)
    title = f"time, {unit}"
    rows = [{**row, "end": max(row["to"], row.get("high", 0.0))} for row in rows]
    return {
        "data": theme.values(rows),
        "width": theme.WIDE - 120,
        "height": {"step": ROW},
        "encoding": {"y": y},
        "layer": [
            {
                "mark": {"type": "bar", "stroke": theme.INK, "strokeWidth": 0.5, "minBandSize": 8},
                "encoding": {
                    "x": theme.axis("from", title, scale=scale),
                    "x2": {"field": "to"},
                    "fill": tone,
                },
            },
            {
                "transform": [{"filter": "datum.whole"}],
                "mark": {"type": "rule", "color": theme.INK, "strokeWidth": 2},
                "encoding": {"x": theme.axis("low", title, scale=scale), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5},
                "encoding": {"x": theme.axis("end", title, scale=scale), "text": {"field": "text"}},
            },
        ],
    }
