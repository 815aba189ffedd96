"""The picture of an estimate: what is in it, in which formats, and that no name becomes code."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

import clustercast
from clustercast.errors import WrongInput
from clustercast.estimates.result import Estimate
from clustercast.report import estimate_plot, plot

EVIL = "</script><script>alert(1)</script>"
ROOT = Path(__file__).parent.parent.parent


@cache
def found() -> Estimate:
    return clustercast.estimate("h20", "8B", n_chips=8, plan="tp=2,pp=1,mb=1")


def test_it_shows_where_the_time_goes_the_barrel_and_memory() -> None:
    spec = estimate_plot.picture(found())
    titles = [each["title"]["text"] for each in spec["vconcat"]]
    assert [title.split(",")[0] for title in titles] == [
        "Where the time of one step goes", "Where the time of one token goes", "Where the time of one prompt goes",
        "What ten per cent more of each resource buys", "Memory of the fullest chip",
    ]  # fmt: skip
    assert any("measured" in line for line in spec["title"]["subtitle"])


@pytest.mark.parametrize(("ending", "begins"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("json", b"{")])
def test_every_format_is_written_whole(tmp_path: Path, ending: str, begins: bytes) -> None:
    path = tmp_path / f"estimate.{ending}"
    estimate_plot.save(found(), str(path))
    assert path.read_bytes().startswith(begins)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="--plot: there is no folder"):
        estimate_plot.save(found(), str(tmp_path / "nowhere" / "x.svg"))


def test_a_hostile_name_is_text_in_a_page_and_in_a_picture(tmp_path: Path) -> None:
    profile = (ROOT / "hardware_profiles/chips/h20-96gb.yaml").read_text(encoding="utf-8")
    profile = re.sub(r"^full_name:.*$", f'full_name: "{EVIL}"', profile, flags=re.MULTILINE)
    profile = re.sub(r"^aliases:.*$", "aliases: []", profile, flags=re.MULTILINE)
    chip = tmp_path / "evil.yaml"
    chip.write_text(re.sub(r"^name:.*$", "name: evil", profile, flags=re.MULTILINE), encoding="utf-8")
    spec = estimate_plot.picture(clustercast.estimate(str(chip), "8B", n_chips=8, plan="tp=2,pp=1,mb=1"))
    assert EVIL in json.dumps(spec)
    page = plot.rendered(spec, ".html").decode()
    assert "<script>alert" not in page
    assert r"\u003c/script>\u003cscript>alert(1)" in page
    assert "<script" not in plot.rendered(spec, ".svg").decode()


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(WrongInput, match="--plot: there is nothing to draw"):
        plot.together("nothing", [None, None], [])
