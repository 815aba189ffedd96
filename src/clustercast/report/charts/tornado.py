"""The tornado: the answer with each number alone at both ends of its range, what moves it most first."""

from typing import Any, Final

from clustercast.report.charts import theme
from clustercast.report.charts.theme import Spec

MOST_ROWS: Final = 14
ROW: Final = 22
ENDS: Final = {"low": "the number at its low end", "high": "at its high end"}


def tornado(result: Any, most: int = MOST_ROWS) -> Spec | None:
    """The first output of a tornado study; None where nothing moves it or the study is another kind."""
    found = theme.document(result)
    one = found["outputs"][0]
    usual = one["value"]
    effects = [each for each in one["effects"] if abs(each.get("swing", 0.0)) >= theme.LEAST_SHOWN][:most]
    if found["method"] != "tornado" or not effects:
        return None
    rows = [
        {"parameter": each["parameter"], "end": ENDS[end], "usual": usual, "to": each[f"at_{end}"],
         "wide": abs(each[f"at_{end}"] - usual)}
        for each in effects
        for end in ENDS
    ]  # fmt: skip
    order = [each["parameter"] for each in effects]
    first = effects[0]
    unit = "" if one["unit"] in one["title"] else f", {one['unit']}"
    title = f"{one['title']}{unit}"
    tone = {
        "field": "end", "type": "nominal", "title": None,
        "scale": {"domain": list(ENDS.values()), "range": [theme.PALE, theme.STRONG]},
        "legend": {"orient": "top", "direction": "horizontal", "symbolType": "square"},
    }  # fmt: skip
    body: Spec = {
        "width": theme.WIDE - 200,
        "height": {"step": ROW},
        "layer": [
            {
                "data": theme.values(sorted(rows, key=lambda row: -row["wide"])),  # the shorter over the longer
                "mark": {"type": "bar", "stroke": theme.INK, "strokeWidth": 0.5, "height": {"band": 0.7}},
                "encoding": {
                    "y": theme.names("parameter", order),
                    "x": theme.axis("usual", title, scale={"zero": False}),
                    "x2": {"field": "to"},
                    "fill": tone,
                },
            },
            {
                "data": theme.values([{"usual": usual}]),
                "mark": {"type": "rule", "strokeWidth": 1.5},
                "encoding": {"x": theme.axis("usual", title)},
            },
        ],
    }
    return theme.spec(
        f"What moves {one['title'].lower()}, {found['chip']}",
        f"{first['parameter']} moves it most: {theme.number(first['at_low'])} {one['unit']} at its low end, "
        f"{theme.number(first['at_high'])} at its high end, {theme.number(usual)} as it is.",
        body,
        sources=["each number alone at both ends of its range, the plan held; the line is the usual answer"],
    )
