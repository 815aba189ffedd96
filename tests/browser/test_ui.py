"""The page in a real browser: what people do with it, by mouse and by keyboard, and what an attacker would try.

Every request to another host is stopped and counted; every word on the console is a failure.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from command_line import heed_interrupts
from hostile_names import NAMES

pytestmark = pytest.mark.slow

SMALL = "#chip=h20-96gb&chip=h100-sxm5-80gb&model=llama-3.1-8b&count=64&tokens=1T"
DRAWN = ("planks", "terms", "roofline", "crossover", "cost")
FIELDS = ("chip", "model", "count", "precision", "engine", "tokens")

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server as a user starts it, and ends with Ctrl+C."""
    server = subprocess.Popen(
        [sys.executable, "-m", "clustercast", "ui", "--port", "0", "--no-browser"], stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 (it calls one function of the system)
    )  # fmt: skip
    assert server.stderr is not None
    yield server.stderr.readline().split()[0]
    server.send_signal(signal.SIGINT)
    _, said = server.communicate(timeout=20)
    assert "Traceback" not in said, said


@pytest.fixture
def opened(open_tab: Any, address: str) -> Iterator[Open]:
    """Opens the page with a question; at the end nothing was said, asked elsewhere or run."""
    tabs: list[tuple[Any, str]] = []

    def page_of(fragment: str = SMALL, *, refused: str = " ", **options: Any) -> Any:
        tab = open_tab(**{"viewport": {"width": 1400, "height": 900}} | options)
        tabs.append((tab, refused))
        tab.page.set_default_timeout(10_000)
        return tab.goto(address + fragment)

    yield page_of
    for tab, refused in tabs:
        assert [each for each in tab.errors if not re.search(f"status of {refused}", each)] == []
        assert (tab.foreign, tab.dialogs) == ([], [])
        assert all(each.startswith((address, "blob:", "data:")) for each in tab.requests)


def expect(*found: Any) -> Any:
    from playwright.sync_api import expect as wanted

    return wanted(*found)


def settled(page: Any) -> None:
    """Wait until every chip has its answer."""
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#table .value").nth(8)).to_be_visible()


def cell(page: Any, row: str, column: int = 0) -> Any:
    head = page.get_by_role("rowheader", name=row, exact=True)
    return page.locator("#table tr", has=head).locator("td").nth(column)


def slider(page: Any, name: str) -> Any:
    return page.get_by_role("slider", name=re.compile(name))


def test_a_slider_moves_days_planks_roofline_crossover_cost_and_the_verdict(opened: Open) -> None:
    page = opened()
    settled(page)
    days = cell(page, "Days").locator(".value")
    before = days.inner_text()
    expect(page.locator("#crossover svg")).to_be_visible()
    drawn = {name: page.locator(f"#{name}").inner_html() for name in DRAWN}
    verdict = page.locator("#rules tr", has_text="3A090 of October 2023").locator("td").nth(0)
    expect(verdict).to_contain_text("not caught")
    slider(page, "Compute").fill("1")
    expect(days).not_to_have_text(before)
    expect(cell(page, "Days").locator(".moved")).to_contain_text("−")
    expect(verdict).to_contain_text("caught: 3A090")
    expect(page.locator("#live-line")).to_contain_text("plan searched again")
    expect(page.locator("#status")).to_contain_text("days, limited by")
    assert [name for name, markup in drawn.items() if page.locator(f"#{name}").inner_html() == markup] == []
    page.get_by_role("button", name="Back to the datasheet").click()
    expect(days).to_have_text(before)
    expect(verdict).to_contain_text("not caught")


def test_numbers_may_be_typed_and_wrong_ones_are_marked(opened: Open) -> None:
    page = opened(refused="400")
    settled(page)
    field = page.get_by_label("HBM capacity in GiB")
    field.fill("192")
    expect(slider(page, "HBM capacity")).to_have_value("1")
    field.fill("much")
    assert field.get_attribute("aria-invalid") is not None
    count = page.get_by_label("Chips of each")
    count.fill("lots")
    expect(page.get_by_role("alert")).to_have_text("count: expected a number like 1024, 10k or 13T")
    expect(count).to_have_attribute("aria-invalid", "")
    count.fill("128")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#table thead")).to_contain_text("128 chips")


def test_up_to_six_chips_stand_side_by_side(opened: Open) -> None:
    page = opened()
    for name in ("a800-sxm4-80gb", "ascend-910b3", "v100-sxm2-32gb"):
        page.get_by_label("Add a chip").select_option(name)
    page.get_by_role("button", name="A second H100 SXM5 80GB beside it").click()
    expect(page.locator("#chips li")).to_have_count(6)
    expect(page.get_by_label("Add a chip")).to_be_disabled()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    assert page.locator("#table thead th").count() == 6
    page.get_by_role("button", name="Remove Tesla V100").click()
    expect(page.locator("#table thead th")).to_have_count(5)


def test_a_link_gives_the_same_page_to_somebody_else(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="A second H20").click()
    page.get_by_role("button", name="Decode", exact=True).first.click()
    page.get_by_label("Answer tokens").fill("2k")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    slider(page, "HBM bandwidth").fill("0.5")
    expect(page.locator("#live-line")).to_contain_text("plan searched again")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    other = opened("#" + link.partition("#")[2])
    settled(other)
    for one in (page, other):
        expect(cell(one, "Days", 1).locator(".moved")).to_be_visible()
    for part in ("#table", "#planks", "#rules"):
        assert other.locator(part).inner_text() == page.locator(part).inner_text()
    expect(slider(other, "HBM bandwidth")).to_have_value("0.5")


def test_everything_is_done_by_keyboard_alone(opened: Open) -> None:
    page = opened()
    settled(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the results")).to_be_focused()
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id"))
        if seen[-1] == "set-flops-slider":
            break
    wanted = ["share", "theme", "chip-0", "choose-0", "copy-0", "remove-0", "chip-1", "add-chip", "set-flops"]
    assert [each for each in seen if each in wanted] == wanted
    before = cell(page, "Days").locator(".value").inner_text()
    page.keyboard.press("ArrowRight")
    expect(cell(page, "Days").locator(".value")).not_to_have_text(before)
    expect(slider(page, "Compute")).to_be_focused()
    assert "times the datasheet" in (slider(page, "Compute").get_attribute("aria-valuetext") or "")
    page.locator("#copy-0").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chips li")).to_have_count(3)
    page.locator("#export summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Answers as JSON")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Answers as JSON")).to_be_hidden()


def test_every_control_and_picture_has_a_name(opened: Open) -> None:
    page = opened()
    settled(page)
    named = """() => [...document.querySelectorAll('input, select, button, [role=img]')].filter((each) =>
        !(each.labels?.length || each.getAttribute('aria-label') || each.textContent.trim()))
        .map((each) => each.outerHTML.slice(0, 80))"""
    assert page.evaluate(named) == []
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert page.evaluate(
        "new Set([...document.querySelectorAll('[id]')].map((each) => each.id)).size"
    ) == page.evaluate("document.querySelectorAll('[id]').length")


CONTRAST = """() => {
  const parts = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((each) => each / 255)
    .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const under = (each) => {
    for (let one = each; one; one = one.parentElement) {
      const found = parts(getComputedStyle(one).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('th, td, small, label, legend, p, h2, button, .caught, .free, .moved, svg text')]
    .filter((each) => each.textContent.trim() && each.getClientRects().length)
    .filter((each) => !each.matches(':disabled, .map-text, [class^=on-]'))
    .map((each) => {
      const style = getComputedStyle(each);
      const [one, two] = [light(parts(each.closest('svg') ? style.fill : style.color)), light(under(each))];
      return [(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), each.textContent.slice(0, 40)];
    }).filter(([ratio]) => ratio < 4.5);
}"""  # the contrast ratio of WCAG 2.2, 1.4.3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_by_day_and_by_night(opened: Open, scheme: str) -> None:
    page = opened(color_scheme=scheme)
    settled(page)
    slider(page, "Compute").fill("1")
    expect(page.locator("#live-line")).to_contain_text("plan searched again")
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(20, 22, 26)"
    assert dark is (scheme == "dark")
    assert page.evaluate(CONTRAST) == []
    page.get_by_label("Colours").select_option("light" if dark else "dark")
    assert (
        page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(20, 22, 26)"
    ) is not dark
    assert page.evaluate(CONTRAST) == []


def test_nothing_is_cut_off_on_any_screen(opened: Open) -> None:
    page = opened(SMALL + "&chip=a800-sxm4-80gb~flops=4e14")
    settled(page)
    beyond = """() => [...document.querySelectorAll('svg text, svg rect')].filter((each) => {
        const [one, all] = [each.getBoundingClientRect(), each.closest('section, li, p').getBoundingClientRect()];
        return one.width && (one.left < all.left - 1 || one.right > all.right + 1); }).map((each) => each.outerHTML)"""
    for width in (320, 768, 2400):
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.locator("#planks svg").first).to_be_visible()
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(beyond) == []


def test_what_is_exported_is_what_is_shown(opened: Open, tmp_path: Path) -> None:
    page = opened("#chip=h20-96gb&model=llama-3.1-8b&count=8&tokens=100B")
    settled(page)
    slider(page, "Compute").fill("1")
    expect(page.locator("#live-line")).to_contain_text("plan searched again")
    texts = {}
    page.get_by_label("Launch flags for").select_option("megatron-lm", force=True)
    for button in ("Answers as JSON", "Chip as YAML", "Save", "Report as HTML"):
        page.locator("#export").evaluate("each => { each.open = true; }")
        with page.expect_download(timeout=30_000) as made:
            page.get_by_role("button", name=button).click()
        path = tmp_path / made.value.suggested_filename
        made.value.save_as(path)
        texts[path.name] = path.read_text(encoding="utf-8")
    board = json.loads(texts["clustercast.json"])["boards"][0]
    assert f"{board['estimate']['training']['days']:.1f}" in cell(page, "Days").inner_text()
    assert "296TFLOP/s" in texts["h20-96gb-changed.yaml"].replace("296000000000000FLOP/s", "296TFLOP/s")
    assert "--micro-batch-size" in texts["train-megatron-lm.sh"]
    assert texts["clustercast-report.html"].startswith("<!doctype html>")


def test_ten_hostile_names_in_six_places_of_the_address_execute_nothing(opened: Open) -> None:
    page = opened(refused="400")
    settled(page)
    for field in FIELDS:
        for name in NAMES:
            own = f"{field}={quote(name)}"
            rest = [part for part in SMALL[1:].split("&") if field == "chip" or not part.startswith(f"{field}=")]
            page.evaluate("text => { location.hash = text; }", "&".join([*rest, own]))
            page.wait_for_timeout(40)
        expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
        unharmed(page)


def test_hostile_names_from_the_catalogue_are_text(opened: Open) -> None:
    page = opened("#chip=h20-96gb&model=x", refused="4..")
    hostile = iter(NAMES * 40)

    def answer(route: Any) -> None:
        text = route.fetch().text() if route.request.method == "GET" else "{}"
        found = json.loads(text)
        for kind in ("chips", "models"):
            for each in found.get(kind, ()):
                each |= {"full_name": next(hostile), "vendor": NAMES[0]}
        route.fulfill(status=200, json=found)

    page.route("**/api/1/chips", answer)
    page.route("**/api/1/models", answer)
    page.route(
        "**/api/1/board",
        lambda route: route.fulfill(
            status=422, json={"schema": "clustercast.error/1", "error": NAMES[1], "hint": NAMES[2], "numbers": {}}
        ),
    )
    page.reload()
    expect(page.locator("#table")).to_contain_text(NAMES[1])
    expect(page.locator("#add-chip option", has_text=NAMES[0]).first).to_be_attached()
    unharmed(page)


def unharmed(page: Any) -> None:
    assert page.evaluate("window.hit") is None
    assert page.evaluate("document.scripts.length") == 1
    assert (
        page.evaluate("document.querySelectorAll('img, iframe, object, [onload], [onerror], [onmouseover]').length")
        == 0
    )
