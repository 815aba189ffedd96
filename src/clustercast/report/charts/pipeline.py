"""The pipeline's timeline: forward and backward blocks of every stage, a few micro-batches."""

from typing import Any, Final

from clustercast.report.charts import theme
from clustercast.report.charts.theme import Spec

KINDS: Final = ("forward", "backward", "weight gradient")
TONES: Final = (theme.PALE, theme.MIDDLE, theme.STRONG)
ROW: Final = 22
ROOM: Final = 15.0  # points that a number needs
NARROW: Final = 4.0  # blocks have no edge of their own
EDGE: Final = 0.4


def pipeline(result: Any) -> Spec | None:
    """One row per stage, one block per micro-batch and pass; None for a single stage."""
    found = theme.document(result)
    blocks = found["blocks"]
    if found["n_stages"] < 2 or not blocks:
        return None
    end_s = max(one["end_s"] for one in blocks)
    unit, times = theme.time_unit(end_s)
    width = theme.WIDE - 60
    rows = [
        {"stage": str(one["stage"] + 1), "from": one["start_s"] * times, "to": one["end_s"] * times,
         "middle": 0.5 * (one["start_s"] + one["end_s"]) * times, "kind": one["kind"],
         "batch": str(one["micro_batch"] + 1) if (one["end_s"] - one["start_s"]) / end_s * width >= ROOM else "",
         "edge": EDGE if (one["end_s"] - one["start_s"]) / end_s * width >= NARROW else 0.0}
        for one in blocks
    ]  # fmt: skip
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    names = [str(stage + 1) for stage in found["shown"]]
    title = f"time, {unit}"
    scale = {"domain": [0, end_s * times], "nice": False}
    fill = {
        "field": "kind", "type": "nominal", "title": None, "sort": kinds,
        "legend": {"orient": "top", "symbolType": "square", "symbolStrokeColor": theme.INK, "symbolStrokeWidth": 0.5},
        "scale": {"domain": kinds, "range": list(TONES[: len(kinds)])},
    }  # fmt: skip
    y = theme.names("stage", names, title="stage", scale={"domain": names, "padding": 0.1})
    numbers: Spec = {
        "data": theme.values([row for row in rows if row["batch"]]),
        "mark": {"type": "text", "fontSize": 10},
        "encoding": {
            "y": y, "x": theme.axis("middle", title, scale=scale), "text": {"field": "batch"},
            "color": {"condition": {"test": "datum.kind == 'weight gradient'", "value": theme.PAPER},
                      "value": theme.INK},
        },
    }  # fmt: skip
    bars: Spec = {
        "data": theme.values(rows),
        "mark": {"type": "bar", "stroke": theme.INK},
        "encoding": {
            "y": y, "x": theme.axis("from", title, scale=scale), "x2": {"field": "to"}, "fill": fill,
            "strokeWidth": {"field": "edge", "type": "quantitative", "scale": None, "legend": None},
        },
    }  # fmt: skip
    drawn = f"{len(names)} of {found['n_stages']} stages" if len(names) < found["n_stages"] else f"{len(names)} stages"
    return theme.spec(
        f"Timeline of the pipeline, {found['chip']}",
        f"{drawn}, {found['n_drawn']} of {found['n_microbatches']:,} micro-batches, schedule {found['schedule']}: each "
        "stage waits until the one before it has passed work on; white is the bubble.",
        {"width": width, "height": {"step": ROW}, "layer": [bars, numbers] if numbers["data"]["values"] else [bars]},
        sources=[
            f"schedule {found['schedule']}, {drawn}, {found['n_drawn']} of {found['n_microbatches']:,} micro-batches; "
            "empty: the bubble",
        ],
    )
