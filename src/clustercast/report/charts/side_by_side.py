"""Chips side by side: speed of one card over the reference's, and what the run costs."""

from typing import Any, Final

from clustercast import units
from clustercast.report.charts import theme
from clustercast.report.charts.theme import Document, Spec
from clustercast.report.layout import short

JOBS: Final = ("training", "prefill", "decode")
ROW: Final = 26
PANEL: Final = 195
ROOM: Final = 1.25


def comparison(result: Any, model: str | None = None) -> Spec | None:
    """Speed of one card with its 80 % interval, the reference's being 1; None where there is one chip only."""
    found = theme.document(result)
    model = model or found["models"][0]
    rows = [row for row in found["rows"] if row["model"] == model]
    points = {
        job: [
            _point(row["chip"], one, found["reference"])
            for row in rows
            if (one := row["jobs"].get(job)) and _whole(one)
        ]
        for job in JOBS
    }
    drawn = {job: each for job, each in points.items() if each}
    if len(rows) < 2 or not drawn:
        return None
    ends = [point[end] for each in drawn.values() for point in each for end in ("low", "high")]
    scale = {"type": "log", "domain": [0.9 * min(ends), 1.1 * max(ends)], "nice": False}
    order = list(dict.fromkeys(row["chip"] for row in rows))
    said = [
        f"in {job} " + theme.listed([f"{each['chip']} {each['text']}" for each in some if each["text"]])
        for job, some in drawn.items()
        if len(some) > 1
    ]
    return theme.spec(
        f"Speed of one card, {found['reference']} = 1",
        f"Speed of one card where {found['reference']} is 1: {'; '.join(said)}.",
        {
            "hconcat": [
                _panel(job, each, order, scale, first=place == 0) for place, (job, each) in enumerate(drawn.items())
            ]
        },
        sources=[f"{model}; all cards busy with one job; the line is the 80 % interval"],
    )


def _whole(one: Document) -> bool:
    return all(one[name] for name in ("equals_reference", "equals_reference_low", "equals_reference_high"))


def _point(chip: str, one: Document, reference: str) -> dict[str, Any]:
    ratio = 1.0 / one["equals_reference"]
    ends = {"low": 1.0 / one["equals_reference_high"], "high": 1.0 / one["equals_reference_low"]}
    return {"chip": chip, "ratio": ratio, "text": "" if chip == reference else short(ratio), **ends}


def _panel(job: str, points: list[dict[str, Any]], order: list[str], scale: Spec, *, first: bool) -> Spec:
    labels: Spec = {} if first else {"axis": {"labels": False, "ticks": False}}
    title = "times the reference"
    x = theme.axis("ratio", title, scale=scale, axis={"tickCount": 4, "format": "~g"})
    return {
        "title": {"text": job, "fontSize": theme.SIZE, "fontWeight": "bold"},
        "width": PANEL,
        "height": {"step": ROW},
        "data": theme.values(points),
        "encoding": {"y": theme.names("chip", order, scale={"domain": order}, **labels)},
        "layer": [
            {
                "data": theme.values([{"one": 1.0}]),
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": theme.FRAME},
                "encoding": {"x": theme.axis("one", title, scale=scale), "y": None},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": theme.axis("low", title, scale=scale), "x2": {"field": "high"}},
            },
            {"mark": {"type": "point", "filled": True, "size": 60, "opacity": 1}, "encoding": {"x": x}},
            {
                "mark": {"type": "text", "dy": -9, "fontSize": 11},
                "encoding": {"x": theme.axis("ratio", title, scale=scale), "text": {"field": "text"}},
            },
        ],
    }


def cost(result: Any, model: str | None = None) -> Spec | None:
    """What the training run costs on each chip; None where no chip trains it."""
    found = theme.document(result)
    model = model or found["models"][0]
    rows = [
        {"chip": row["chip"], "usd": row["cost_usd"],
         "text": f"{units.count(row['cost_usd'])} USD, {short(row['days'])} days"}
        for row in found["rows"]
        if row["model"] == model and row["cost_usd"]
    ]  # fmt: skip
    if not rows:
        return None
    most = max(row["usd"] for row in rows)
    x = theme.axis("usd", "USD for the whole run", scale={"domain": [0, 1.5 * most], "nice": False},
                   axis={"format": "~s", "tickCount": 5})  # fmt: skip
    order = [row["chip"] for row in rows]
    return theme.spec(
        "What the training run costs",
        f"The whole run: {theme.listed([f'''{row['chip']} {row['text']}''' for row in rows])}.",
        {
            "width": theme.WIDE - 120,
            "height": {"step": ROW},
            "data": theme.values(rows),
            "encoding": {"y": theme.names("chip", order), "x": x},
            "layer": [
                {"mark": {"type": "bar", "fill": theme.PALE, "stroke": theme.INK, "strokeWidth": 0.5}},
                {"mark": {"type": "text", "align": "left", "dx": 5}, "encoding": {"text": {"field": "text"}}},
            ],
        },
        sources=[f"{model}; chips {'rented' if found['price'] == 'rent' else 'owned'}"],
    )
