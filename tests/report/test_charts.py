"""Pictures: each is a spec that vl-convert draws, says its sentence, has axes with units, and holds no expression."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import reports

from clustercast.report import charts
from clustercast.report.charts import theme
from clustercast.report.charts.crossover import TONES
from clustercast.report.charts.roofline import LETTER, LINE, beside
from clustercast.report.page import svg

Spec = dict[str, Any]


def pictures() -> dict[str, Spec | None]:
    two = reports.small("h20", "h100")
    first = two.chips[0]
    return {
        "barrel": charts.barrel(*(each.estimate for each in two.chips)),
        "barrel of why": charts.barrel(two.why),
        "training": charts.waterfall(first.estimate),
        "prefill": charts.waterfall(first.estimate, "prefill"),
        "decode": charts.waterfall(first.estimate, "decode"),
        "roofline": charts.roofline(first.operations),
        "stages": charts.stages(two.stages),
        "pipeline": charts.pipeline(two.timeline),
        "plans": charts.plans(two.ranking),
        "tornado": charts.tornado(two.sensitivity),
        "crossover": charts.crossover(two.crossover),
        "prefill crossover": charts.crossover(two.crossover, "prefill", per_usd=True),
        "comparison": charts.comparison(two.comparison),
        "cost": charts.cost(two.comparison),
    }


def inside(spec: Any) -> Iterator[Spec]:
    """Every mapping of a spec but its data."""
    if isinstance(spec, dict):
        yield spec
        for name, each in spec.items():
            if name != "data":
                yield from inside(each)
    elif isinstance(spec, list):
        for each in spec:
            yield from inside(each)


@pytest.mark.slow
def test_every_picture_is_drawn() -> None:
    for number, (name, spec) in enumerate(pictures().items()):
        assert spec is not None, name
        shapes = svg.drawn(spec, number)
        assert shapes.startswith("<svg")
        assert "NaN" not in shapes
        assert shapes.count("<path") + shapes.count("<line") > 5, name


def test_every_picture_says_its_sentence_and_its_units() -> None:
    for name, spec in pictures().items():
        assert spec is not None
        assert spec["description"].endswith("."), name
        assert spec["title"]["text"], name
        assert json.loads(json.dumps(spec, allow_nan=False)) == spec
        titles = {
            part["title"]
            for part in inside(spec)
            if part.get("type") in ("quantitative", "ordinal") and "title" in part
        }
        assert all(titles), name
        assert titles, name


def test_the_json_of_a_result_gives_the_same_picture() -> None:
    two = reports.small("h20", "h100")
    for make, result in (
        (charts.barrel, two.chips[0].estimate), (charts.waterfall, two.chips[0].estimate),
        (charts.tornado, two.sensitivity), (charts.plans, two.ranking), (charts.comparison, two.comparison),
        (charts.crossover, two.crossover), (charts.pipeline, two.timeline), (charts.stages, two.stages),
        (charts.roofline, two.chips[0].operations),
    ):  # fmt: skip
        document = json.loads(json.dumps(result.as_dict()))
        assert json.dumps(make(document)) == json.dumps(make(result))  # type: ignore[operator]


def test_no_name_becomes_an_expression() -> None:
    plain = pictures()
    two = reports.small("h20", "h100")
    name = "datum.x']; alert(1)//"
    hostile = reports.renamed(two, name)
    spec = charts.tornado(hostile.sensitivity)
    tests = [part["test"] for part in inside(spec) if "test" in part] + [
        part["filter"] for part in inside(spec) if "filter" in part
    ]
    fields = [part["field"] for part in inside(spec) if "field" in part]
    assert not any(name in each for each in tests + fields)
    known = {part["field"] for each in plain.values() for part in inside(each) if "field" in part}
    assert set(fields) <= known


def test_nothing_to_draw_is_none() -> None:
    one = reports.small("h20")
    assert charts.comparison({"models": ["a"], "rows": [], "reference": "h20"}) is None
    estimate = one.chips[0].estimate.as_dict()
    assert charts.waterfall(estimate | {"training": None}) is None
    assert charts.waterfall(estimate | {"serving": None}, "decode") is None
    assert charts.barrel(estimate | {"serving": None, "training": None}) is None
    assert charts.pipeline({"n_stages": 1, "blocks": []}) is None
    assert charts.stages({"stages": []}) is None


def test_the_parts_of_a_step_end_where_the_whole_does() -> None:
    spec = charts.waterfall(reports.small("h20").chips[0].estimate)
    assert spec is not None
    rows = spec["data"]["values"]
    assert rows[0]["from"] == 0.0
    for one, two in itertools.pairwise(rows[:-1]):
        assert two["from"] == pytest.approx(one["to"])
    assert rows[-1]["to"] == pytest.approx(rows[-2]["to"])
    assert rows[-1]["low"] < rows[-1]["to"] < rows[-1]["high"]


def test_the_shortest_plank_is_the_largest_gain() -> None:
    spec = charts.barrel(reports.small("h20").chips[0].estimate)
    assert spec is not None
    for panel in spec["vconcat"][0]["hconcat"]:
        rows = panel["data"]["values"]
        bold = [row for row in rows if row["shortest"]]
        assert len(bold) == 1
        assert bold[0]["gain"] == max(row["gain"] for row in rows)


def test_tones_of_the_map_fall_in_lightness() -> None:
    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    tones = [lightness(each) for each in TONES]
    assert tones == sorted(tones)
    ramp = [lightness(each) for each in theme.RAMP]
    assert ramp == sorted(ramp)
    assert all(two - one > 10 for one, two in itertools.pairwise(ramp))


def test_every_tone_has_its_own_on_a_dark_page() -> None:
    spec = charts.tornado(reports.small("h20").sensitivity)
    dark = theme.dark(spec)
    assert dark["layer"][0]["data"] == spec["layer"][0]["data"]  # type: ignore[index]
    text = json.dumps({name: each for name, each in dark.items() if name != "layer"})
    assert theme.INK not in text
    assert len(set(theme.DARK.values())) == len(theme.DARK)


def test_words_of_a_roofline_cover_neither_one_another_nor_a_mark() -> None:
    points = [{"text": f"operation {n}", "share": 1.0 / (n + 1)} for n in range(8)]
    at = [(300.0 + 2 * n, 100.0 + 3 * n) for n in range(8)]
    words = beside(points, at, [((0.0, 200.0), (600.0, 90.0))])
    assert len(words) == 8
    boxes = [(each["x"], each["y"], each["x"] + LETTER * len(each["text"])) for each in words]
    for one in range(8):
        for two in range(one):
            apart = abs(boxes[one][1] - boxes[two][1]) >= LINE
            assert apart or boxes[one][2] <= boxes[two][0] or boxes[two][2] <= boxes[one][0]
