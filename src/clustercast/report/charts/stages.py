"""Memory of each pipeline stage: what lies in it, and how much there is."""

from typing import Any, Final

from clustercast import units
from clustercast.report.charts import theme
from clustercast.report.charts.theme import Spec

PARTS: Final = ("weights", "gradients", "optimizer", "activations", "workspace")
GIB: Final = 2.0**30
MOST_STAGES: Final = 20
ROW: Final = 18


def stages(result: Any) -> Spec | None:
    """A stacked bar per stage; of many stages every n-th and the last; None where there are none."""
    found = theme.document(result)
    every = found["stages"]
    if not every:
        return None
    apart = -(-len(every) // MOST_STAGES)
    shown = [one for one in every if one["stage"] % apart == 0 or one["stage"] == len(every) - 1]
    rows = [
        {"stage": str(one["stage"] + 1), "part": part, "order": place, "gib": one[part] / GIB}
        for one in shown
        for place, part in enumerate(PARTS)
    ]
    capacity = found["capacity"] / GIB
    fullest = max(every, key=lambda one: one["total"])
    fill = {
        "field": "part", "type": "nominal", "title": None, "sort": list(PARTS),
        "legend": {"orient": "top", "symbolType": "square", "symbolStrokeColor": theme.INK, "symbolStrokeWidth": 0.5},
        "scale": {"domain": list(PARTS), "range": list(theme.RAMP)},
    }  # fmt: skip
    title = "GiB per chip"
    x = theme.axis("gib", title, stack="zero", scale={"domain": [0, 1.05 * capacity], "nice": False})
    names = [str(one["stage"] + 1) for one in shown]
    body: Spec = {
        "width": theme.WIDE - 60,
        "height": {"step": ROW},
        "layer": [
            {
                "data": theme.values(rows),
                "mark": {"type": "bar", "stroke": theme.INK, "strokeWidth": 0.5},
                "encoding": {
                    "y": theme.names("stage", names, title="stage"), "x": x, "fill": fill, "order": {"field": "order"},
                },
            },
            {
                "data": theme.values([{"capacity": capacity}]),
                "mark": {"type": "rule", "strokeWidth": 2, "strokeDash": [5, 3]},
                "encoding": {"x": theme.axis("capacity", title)},
            },
        ],
    }  # fmt: skip
    return theme.spec(
        f"Memory of each pipeline stage, {found['chip']}",
        f"The fullest stage is {fullest['stage'] + 1} of {len(every)} with {units.gib(fullest['total'])} of "
        f"{units.gib(found['capacity'])}.",
        body,
        sources=[f"the dashed line is what a chip has for it, {units.gib(found['capacity'])}"],
    )
