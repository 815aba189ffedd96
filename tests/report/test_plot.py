"""The picture of estimated against published has one point for every row that is judged."""

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import clustercast
from clustercast.errors import WrongInput
from clustercast.report import check_plot, save_plot
from clustercast.studies.validate import Validation


@pytest.fixture(scope="module")
def few() -> Validation:
    return clustercast.validate(where=("chip=h20-96gb",))


def test_an_svg_has_one_mark_per_judged_row(few: Validation, tmp_path: Path) -> None:
    path = tmp_path / "few.svg"
    save_plot(few, str(path))
    root = ElementTree.fromstring(path.read_text("utf-8"))
    assert root.tag.endswith("svg")
    groups = [each for each in root.iter() if re.search(r"\bmark-symbol\b", each.get("class", ""))]
    points = [mark for each in groups if "legend" not in each.get("class", "") for mark in each]
    assert len(points) == sum(each.status == "ok" for each in few.rows) > 10


def test_the_points_are_the_rows_figures(few: Validation, tmp_path: Path) -> None:
    path = tmp_path / "few.json"
    save_plot(few, str(path))
    spec = json.loads(path.read_text("utf-8"))
    rows = [point for part in spec["datasets"].values() for point in part if "id" in point]
    drawn = sorted((each["id"], each["published"], each["estimated"]) for each in rows)
    assert drawn == sorted((each.id, each.published, each.estimated) for each in few.rows if each.status == "ok")


def test_pictures_and_pages_come_as_their_names_say(few: Validation, tmp_path: Path) -> None:
    save_plot(few, str(tmp_path / "few.png"))
    save_plot(few, str(tmp_path / "few.html"))
    assert (tmp_path / "few.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "few.html").read_text("utf-8").lower()


def test_a_picture_that_cannot_be_drawn_is_refused(few: Validation, tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="--plot: there is no row to draw"):
        save_plot(Validation((), (), ()), str(tmp_path / "none.svg"))
    with pytest.raises(WrongInput, match="--plot: there is no folder"):
        check_plot(str(tmp_path / "nowhere" / "few.svg"))
    with pytest.raises(WrongInput, match="--plot: expected a name that ends in"):
        check_plot("few")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(WrongInput) as caught:
        check_plot("few.svg")
    assert caught.value.hint == "install it with: pip install 'clustercast[plot]'"
