"""The barrel: what ten per cent more of each resource buys. The shortest plank is the one that buys most."""

from typing import Any, Final

from clustercast.estimates.elasticity import NAMES
from clustercast.report.charts import theme
from clustercast.report.charts.theme import Document, Spec
from clustercast.report.text import PLANKS, STEP_UP

HALVES: Final = {
    "training": ("training", "elasticity"),
    "prefill": ("serving", "elasticity_prefill"),
    "decode": ("serving", "elasticity"),
}
CALLED: Final = {title: name for name, title in NAMES.items()}  # in a result of why
ROW: Final = 22  # points of a plank
PANEL: Final = 195
ROOM: Final = 1.35  # of the longest bar, for the number beside it


def planks(found: Document) -> dict[str, dict[str, float]]:
    """What ten per cent more of each resource buys, as a share of throughput, by job.

    >>> slopes = dict.fromkeys(PLANKS, 0.0) | {"flops": 1.0}
    >>> planks({"training": {"elasticity": slopes}, "serving": None})["training"]["flops"]
    0.10000000000000009
    """
    if "jobs" in found:
        return {
            one["job"]: {CALLED.get(each["resource"], each["resource"]): each["same_plan"] for each in one["planks"]}
            for one in found["jobs"]
        }
    return {
        job: {name: STEP_UP ** found[half][field][name] - 1.0 for name in PLANKS}
        for job, (half, field) in HALVES.items()
        if found[half] is not None
    }


def shortest(gains: dict[str, float]) -> str:
    """The resource that buys most."""
    return max(gains, key=lambda name: gains[name])


def barrel(*results: Any) -> Spec | None:
    """One row of panels per chip, one panel per job, one plank per resource; None where nothing is answered."""
    documents = [theme.document(each) for each in results]
    found = [(one["chip"], planks(one)) for one in documents]
    most = max((gain for _, jobs in found for gains in jobs.values() for gain in gains.values()), default=0.0)
    if most <= 0.0:
        return None
    rows = [_row(chip, jobs, most, several=len(found) > 1) for chip, jobs in found if jobs]
    said = [
        f"{chip}: {theme.listed([f'{job} by {PLANKS[shortest(gains)]}' for job, gains in jobs.items()])}"
        for chip, jobs in found
        if jobs
    ]
    return theme.spec(
        "What ten per cent more of each resource buys",
        f"The shortest plank, by which each job is limited. {'. '.join(said)}.",
        {"vconcat": rows},
        sources=["throughput at the chosen plan; in bold the shortest plank: where more buys most"],
    )


def _row(chip: str, jobs: dict[str, dict[str, float]], most: float, *, several: bool) -> Spec:
    panels = []
    for place, (job, gains) in enumerate(jobs.items()):
        tightest = shortest(gains)
        rows = [
            {"resource": title, "gain": 100.0 * max(gains[name], 0.0), "text": theme.signed(gains[name]),
             "shortest": name == tightest}
            for name, title in PLANKS.items()
            if name in gains
        ]  # fmt: skip
        panels.append(_panel(f"{chip}: {job}" if several else job, rows, 100.0 * most, first=place == 0))
    return {"hconcat": panels, "spacing": 18}


def _panel(title: str, rows: list[dict[str, Any]], most: float, *, first: bool) -> Spec:
    x = theme.axis(
        "gain", "more throughput, %", scale={"domain": [0, ROOM * most], "nice": False}, axis={"tickCount": 3}
    )
    labels: Spec = {} if first else {"axis": {"labels": False, "ticks": False}}
    y = theme.names("resource", list(PLANKS.values()), **labels)
    tone = {"condition": {"test": "datum.shortest", "value": theme.STRONG}, "value": theme.PALE}
    weight = {"condition": {"test": "datum.shortest", "value": "bold"}, "value": "normal"}
    return {
        "title": {"text": title, "fontSize": theme.SIZE, "fontWeight": "bold"},
        "data": theme.values(rows),
        "width": PANEL,
        "height": {"step": ROW},
        "encoding": {"y": y, "x": x},
        "layer": [
            {"mark": {"type": "bar", "stroke": theme.FRAME, "strokeWidth": 0.5}, "encoding": {"fill": tone}},
            {
                "mark": {"type": "text", "align": "left", "dx": 4},
                "encoding": {"text": {"field": "text"}, "fontWeight": weight},
            },
        ],
    }
