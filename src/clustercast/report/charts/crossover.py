"""The crossover map: a cell per batch and context, lighter where one chip serves faster, darker for the other."""

import math
from typing import Any, Final

from clustercast.report.charts import theme
from clustercast.report.charts.theme import Document, Spec
from clustercast.report.crossover import brief

BOUNDS: Final = (0.25, 0.5, 1.0 / 1.05, 1.05, 2.0, 4.0)  # of a ratio, between the tones
TONES: Final = ("#062a4d", "#0b4f8b", "#2f76b5", "#9dbfdd", "#c9dff3", "#dfecf8", "#f3f8fd")  # on a dark page too
DARK_TONES: Final = 3  # of them: numbers on these are light
ON_DARK: Final = "#fffffd"
ON_LIGHT: Final = "#1b1f25"
EDGE: Final = math.sqrt(2.0)  # a cell reaches half a doubling to either side
MOST_LETTERS: Final = 7
WIDE_CELL: Final = 56
HIGH_CELL: Final = 28


def tone(ratio: float) -> int:
    """Which of the tones a ratio has.

    >>> tone(0.1), tone(1.0), tone(8.0)
    (0, 3, 6)
    """
    return sum(ratio >= bound for bound in BOUNDS)


def crossover(result: Any, phase: str = "decode", *, per_usd: bool = False) -> Spec | None:
    """Tokens per second per chip (or per dollar) of one chip over the other's; None where nothing is answered.

    phase  "decode" or "prefill"
    """
    found = theme.document(result)
    rows = [_cell(found, each, per_usd=per_usd) for each in found["cells"] if each["phase"] == phase]
    answered = [row for row in rows if row["tone"] >= 0]
    if not answered:
        return None
    chip, other = found["chip"], found["other"]
    wins = sum(row["ratio"] > 1.0 for row in answered)
    of = "dollar" if per_usd else "chip"
    title = f"{phase.capitalize()} per {of}: {chip} over {other}"
    sentence = f"{chip} is faster at {wins} of {len(answered)} points of batch and context, {other} at the others."
    return theme.spec(
        title,
        sentence,
        _layers(found, phase, rows),
        sources=[
            f"lighter: {chip} faster; darker: {other}; empty: fits neither",
            f"{found['model']}, {found['count']} of each, {found['precision']}, {found['engine']}",
        ],
    )


def _cell(found: Document, one: Document, *, per_usd: bool) -> dict[str, Any]:
    ratio = one["ratio_per_usd"] if per_usd else one["ratio"]
    winner = one["winner_per_usd" if per_usd else "winner"]
    alone = f"only {brief(winner)[:MOST_LETTERS]}" if winner in (found["chip"], found["other"]) else ""
    text = alone if ratio is None else f"{ratio:.2f}" if ratio < 10.0 else f"{ratio:.0f}"
    return {
        "batch": f"{one['batch']:,}", "context": f"{one['context']:,}", "ratio": ratio, "text": text,
        "tone": -1 if ratio is None else tone(ratio),
    }  # fmt: skip


def _layers(found: Document, phase: str, rows: list[dict[str, Any]]) -> Spec:
    across = [f"{each:,}" for each in found["batches"]]
    down = [f"{each:,}" for each in found["contexts"]]
    what = "sequences in flight on all chips" if phase == "decode" else "prompts at once on all chips"
    fill = {
        "field": "tone", "type": "ordinal", "legend": None,
        "scale": {"domain": list(range(len(TONES))), "range": list(TONES)},
    }  # fmt: skip
    light = {"condition": {"test": f"datum.tone < {DARK_TONES}", "value": ON_DARK}, "value": ON_LIGHT}
    return {
        "width": WIDE_CELL * len(across),
        "height": HIGH_CELL * len(down),
        "encoding": {
            "x": {"field": "batch", "type": "ordinal", "sort": across, "title": what, "axis": {"labelAngle": 0}},
            "y": {"field": "context", "type": "ordinal", "sort": down, "title": "tokens of context"},
        },
        "layer": [
            {
                "data": theme.values([row for row in rows if row["tone"] >= 0]),
                "mark": {"type": "rect", "stroke": theme.PAPER, "strokeWidth": 1},
                "encoding": {"fill": fill},
            },
            {
                "data": theme.values([row for row in rows if row["tone"] >= 0]),
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {"text": {"field": "text"}, "color": light},
            },
            {
                "data": theme.values([row for row in rows if row["tone"] < 0 and row["text"]]),
                "mark": {"type": "text", "fontSize": 10, "color": theme.MUTED},
                "encoding": {"text": {"field": "text"}},
            },
        ],
    }
