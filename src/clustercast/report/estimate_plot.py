"""An estimate as one picture: where the time goes, the shortest plank, what lies in memory."""

from typing import Any, Final

from clustercast.estimates.result import Estimate
from clustercast.report import charts, plot
from clustercast.report.charts import theme
from clustercast.report.layout import Line, wrap
from clustercast.report.text import headline

GIB: Final = 2.0**30
PARTS: Final = ("weights", "gradients", "optimizer", "activations", "kv_cache", "workspace")
NAMES: Final = {"kv_cache": "KV cache"}
TONES: Final = (*theme.RAMP, "white")
ROW: Final = 30


def save(found: Estimate, path: str) -> None:
    """Draw an estimate: .svg, .png, .html or .json. Raises WrongInput."""
    plot.check(path)
    plot.write(picture(found), path)


def picture(found: Estimate) -> dict[str, Any]:
    """Waterfalls of both halves, the barrel, memory; the answer and its sources above them."""
    document = found.as_dict()
    drawn = [charts.waterfall(document, job) for job in ("training", "decode", "prefill")]
    said = [line.text for line in headline(found) if isinstance(line, Line)]
    title = f"{found.count:,} {found.chip}: {found.model}"
    return plot.together(title, [*drawn, charts.barrel(document), memory(found)], [*said, *sources(found)])


def sources(found: Estimate) -> list[str]:
    """What the picture rests on."""
    said = [f"{found.chip_name}; {found.model_name} ({found.model_resolved_as})"]
    if found.training is not None:
        said.append(f"training: evidence {found.training.evidence}, software {found.training.stack}")
    if found.serving is not None:
        said.append(f"serving: evidence {found.serving.evidence}, engine {found.serving.engine}")
    said.append("every number with its source: estimate --json, chips show, models show")
    return [line.text for each in said for line in wrap(each) if isinstance(line, Line)]


def memory(found: Estimate) -> dict[str, Any] | None:
    """What lies in a chip's memory, a bar per half."""
    rows, capacity = [], 0.0
    for name, half in (("training", found.training), ("serving", found.serving)):
        if half is None:
            continue
        held = half.memory_bytes
        capacity = max(capacity, held.capacity / GIB)
        rows += [
            {"half": name, "part": NAMES.get(part, part), "order": place, "gib": getattr(held, part) / GIB}
            for place, part in enumerate(PARTS)
            if getattr(held, part, 0.0) > 0.0
        ]
    if not rows:
        return None
    halves = list(dict.fromkeys(row["half"] for row in rows))
    parts = [NAMES.get(part, part) for part in PARTS if any(row["part"] == NAMES.get(part, part) for row in rows)]
    fill = {
        "field": "part", "type": "nominal", "title": None, "sort": parts,
        "legend": {"orient": "top", "symbolType": "square", "symbolStrokeColor": theme.INK, "symbolStrokeWidth": 0.5},
        "scale": {"domain": parts, "range": list(TONES[: len(parts)])},
    }  # fmt: skip
    x = theme.axis("gib", "GiB per chip", stack="zero", scale={"domain": [0, 1.05 * capacity], "nice": False})
    return theme.spec(
        "Memory of the fullest chip",
        f"Memory of the fullest chip, of {capacity:.0f} GiB.",
        {
            "width": theme.WIDE - 120,
            "height": {"step": ROW},
            "layer": [
                {
                    "data": theme.values(rows),
                    "mark": {"type": "bar", "stroke": theme.INK, "strokeWidth": 0.5},
                    "encoding": {
                        "y": theme.names("half", halves), "x": x, "fill": fill, "order": {"field": "order"},
                    },
                },
                {
                    "data": theme.values([{"capacity": capacity}]),
                    "mark": {"type": "rule", "strokeWidth": 2, "strokeDash": [5, 3]},
                    "encoding": {"x": theme.axis("capacity", "GiB per chip")},
                },
            ],
        },
        sources=["the dashed line is what there is"],
    )  # fmt: skip
