"""A report in a real browser, offline: no request but the file, no error, nothing of a hostile name runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import reports

from clustercast import report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report") / "out.html"
    report.save_report(reports.small("h20", "h100"), str(place))
    return place


def test_the_page_asks_for_nothing_and_complains_of_nothing(tab: Any, written: Path) -> None:
    page = tab.goto(written)
    assert page.title() == "llama-3.1-8b on 8 h20-96gb and 1 more"
    assert tab.requests == [written.as_uri()]
    assert (tab.foreign, tab.errors, tab.dialogs) == ([], [], [])
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "960px"  # its own style holds


def test_every_picture_is_seen_and_said(tab: Any, written: Path) -> None:
    page = tab.goto(written)
    pictures = page.locator("[role=img]")
    assert pictures.count() > 12
    for number in range(pictures.count()):
        one = pictures.nth(number)
        assert len(one.get_attribute("aria-label") or "") > 20
        box = one.locator("svg").bounding_box()
        assert box["width"] > 200
        assert box["height"] > 40
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_links_lead_to_their_sections_and_tables_open(tab: Any, written: Path) -> None:
    page = tab.goto(written)
    links = page.locator("nav a")
    for number in range(links.count()):
        assert page.locator(links.nth(number).get_attribute("href")).count() == 1
    page.locator("nav a", has_text="Roofline").click()
    assert page.evaluate("location.hash") == "#roofline"
    table = page.locator("#roofline table")
    assert not table.is_visible()
    page.locator("#roofline summary").click()
    assert table.is_visible()
    assert table.locator("td", has_text="projections").count() > 2


def test_the_keyboard_reaches_the_answer_first(tab: Any, written: Path) -> None:
    page = tab.goto(written)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the answer"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#answer"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_the_page(open_tab: Callable[..., Any], written: Path, scheme: str) -> None:
    page = open_tab(color_scheme=scheme, viewport={"width": 1000, "height": 900}).goto(written)
    poor = page.evaluate(CONTRAST)
    assert poor == []


def test_a_narrow_screen_has_no_sideways_scroll(open_tab: Callable[..., Any], written: Path) -> None:
    page = open_tab(viewport={"width": 390, "height": 800}).goto(written)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_prints_on_light_paper(open_tab: Callable[..., Any], written: Path) -> None:
    page = open_tab(color_scheme="dark").goto(written)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert len(page.pdf(format="A4")) > 20_000


@pytest.mark.parametrize("name", reports.NAMES)
def test_a_hostile_name_runs_nothing(tab: Any, tmp_path: Path, name: str) -> None:
    file = "".join(each for each in name if each not in "/\x00")[:60]
    place = tmp_path / f"{file}.html"
    report.save_report(reports.renamed(reports.small("h20"), name), str(place))
    page = tab.goto(place)
    page.locator("summary").first.click()
    page.mouse.move(300, 300)
    page.wait_for_timeout(50)
    assert page.evaluate("window.__hit") is None
    assert tab.requests == [place.as_uri()]
    assert (tab.foreign, tab.errors, tab.dialogs) == ([], [], [])
    assert page.evaluate("document.scripts.length + document.querySelectorAll('iframe, img, object').length") == 0


# Text of a picture or the page whose colour is nearer to the paper than 3 to 1, by WCAG's relative luminance.
CONTRAST = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map((c) => c / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const apart = (one) => (Math.max(one, paper) + 0.05) / (Math.min(one, paper) + 0.05);
  const inside = new Set(["crossover", "pipeline"]);  // numbers that stand on marks
  return [...document.querySelectorAll("p, td, th, a, dd, svg text")]
    .filter((each) => !(each.closest("svg") && inside.has(each.closest("section").id)))
    .filter((each) => apart(light(getComputedStyle(each)[each.closest("svg") ? "fill" : "color"])) < 3)
    .map((each) => each.textContent.slice(0, 40));
}"""
