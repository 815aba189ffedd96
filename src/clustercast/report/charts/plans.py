"""Plans: step time against memory, the fastest ones numbered, and the line that no plan beats in both."""

from typing import Any, Final

from clustercast import units
from clustercast.report.charts import theme
from clustercast.report.charts.theme import Spec

HIGH: Final = 260
MOST_NUMBERED: Final = 5


def plans(result: Any) -> Spec | None:
    """The ranking and the Pareto set of `plan`; None where there is no plan."""
    found = theme.document(result)
    ranked, front = found["plans"], found["pareto"]
    if not ranked:
        return None
    slowest_s = max(each["step_s"] for each in (*ranked, *front))
    unit, times = theme.time_unit(slowest_s)
    points = [
        {"memory": 100.0 * each["memory_fraction"], "step": each["step_s"] * times, "kind": "fastest plans",
         "place": str(place) if place <= MOST_NUMBERED else ""}
        for place, each in enumerate(ranked, 1)
    ]  # fmt: skip
    steps = [
        {
            "memory": 100.0 * each["memory_fraction"],
            "step": each["step_s"] * times,
            "kind": "least memory for its speed",
        }
        for each in front
    ]
    x = theme.axis("memory", "memory of the fullest chip, % of what there is", scale={"zero": False, "padding": 12})
    y = theme.axis("step", f"time of a step, {unit}", scale={"zero": False, "padding": 12})
    shape = {
        "field": "kind", "type": "nominal", "title": None, "legend": {"orient": "top", "symbolFillColor": theme.INK},
        "scale": {"domain": ["fastest plans", "least memory for its speed"], "range": ["circle", "diamond"]},
    }  # fmt: skip
    best = ranked[0]
    body: Spec = {
        "width": theme.WIDE - 60,
        "height": HIGH,
        "layer": [
            {
                "data": theme.values(steps),
                "mark": {"type": "line", "interpolate": "step-before", "color": theme.FRAME, "strokeDash": [4, 3]},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": theme.values([*steps, *points]),
                "mark": {"type": "point", "size": 70, "filled": True, "opacity": 1},
                "encoding": {
                    "x": x, "y": y, "shape": shape,
                    "fill": {"condition": {"test": "datum.kind == 'fastest plans'", "value": theme.STRONG},
                             "value": theme.MIDDLE},
                },
            },
            {
                "data": theme.values([row for row in points if row["place"]]),
                "mark": {"type": "text", "dx": 10, "dy": -7, "fontSize": 11},
                "encoding": {"x": x, "y": y, "text": {"field": "place"}},
            },
        ],
    }  # fmt: skip
    return theme.spec(
        f"Plans: speed against memory, {found['chip']}",
        f"The fastest plan is {best['plan_text']} with {units.seconds(best['step_s'])} a step and "
        f"{100.0 * best['memory_fraction']:.0f} % of memory; {len(front)} plans trade speed for memory.",
        body,
        sources=[f"exact search over {found['n_considered']:,} plans; numbers are places in the ranking"],
    )
