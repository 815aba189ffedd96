"""Plans: step time against memory, the fastest ones numbered, and the line that no plan beats in both."""

from typing import Any, Final

from clustercast import units
from clustercast.report.charts import theme
from clustercast.report.charts.theme import Spec

HIGH: Final = 260
KINDS: Final = ("fastest plans", "least memory for its speed")
NEAR: Final = 0.03  # of the axes: points that share one text


def plans(result: Any) -> Spec | None:
    """The ranking and the Pareto set of `plan`; None where there is no plan."""
    found = theme.document(result)
    ranked, front = found["plans"], found["pareto"]
    if not ranked:
        return None
    slowest_s = max(each["step_s"] for each in (*ranked, *front))
    unit, times = theme.time_unit(slowest_s)
    points = [
        {"memory": 100.0 * each["memory_fraction"], "step": each["step_s"] * times, "kind": KINDS[0]} for each in ranked
    ]
    steps = [
        {"memory": 100.0 * each["memory_fraction"], "step": each["step_s"] * times, "kind": KINDS[1]} for each in front
    ]
    x = theme.axis("memory", "memory of the fullest chip, % of what there is", scale={"zero": False, "padding": 12})
    y = theme.axis("step", f"time of a step, {unit}", scale={"zero": False, "padding": 12})
    of_kind = {"field": "kind", "type": "nominal", "title": None, "legend": {"orient": "top"}}
    shape = of_kind | {"scale": {"domain": list(KINDS), "range": ["circle", "diamond"]}}
    fill = of_kind | {"scale": {"domain": list(KINDS), "range": [theme.STRONG, theme.PALE]}}
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
                "mark": {"type": "point", "size": 70, "filled": True, "opacity": 1, "stroke": theme.INK},
                "encoding": {"x": x, "y": y, "shape": shape, "fill": fill},
            },
            {
                "data": theme.values(numbered(points, [*steps, *points])),
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


def numbered(points: list[dict[str, Any]], every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Places in the ranking, those of plans that lie on one another together.

    every  point of the picture, which says what is near

    >>> twins = [{"memory": 10, "step": 1}, {"memory": 10, "step": 1}]
    >>> [each["place"] for each in numbered(twins, twins)]
    ['1, 2']
    """
    spans = [max(each[name] for each in every) - min(each[name] for each in every) for name in ("memory", "step")]
    found: list[dict[str, Any]] = []
    for place, one in enumerate(points, 1):
        for other in found:
            if all(
                abs(one[name] - other[name]) <= NEAR * span
                for name, span in zip(("memory", "step"), spans, strict=True)
            ):
                other["place"] += f", {place}"
                break
        else:
            found.append({"memory": one["memory"], "step": one["step"], "place": str(place)})
    return found
