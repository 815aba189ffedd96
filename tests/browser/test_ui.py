"""The page in a real browser: what people do with it, by mouse, by keyboard, and what an attacker would try.

Every request to another host is refused and counted, every word on the console is a failure.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hostile_names import NAMES

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

CHROMIUM = os.environ.get("CLUSTERCAST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SMALL = "#chip=h20-96gb&chip=h100-sxm5-80gb&model=llama-3.1-8b&count=64&tokens=1T"
FLOPS = "#set-flops-slider"

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server as a user starts it."""
    server = subprocess.Popen(
        [sys.executable, "-m", "clustercast", "ui", "--port", "0", "--no-browser"], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    try:
        yield server.stderr.readline().split()[0]
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(20) in (0, 130, -signal.SIGINT)
        said = server.stderr.read()
        server.stderr.close()
        assert "Traceback" not in said, said


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium: set CLUSTERCAST_CHROMIUM to one")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any, address: str) -> Iterator[Open]:
    """Opens the page; at the end: nothing on the console, no dialog, no request to another host."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def page_of(fragment: str = SMALL, *, allowed: str | None = None, **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1400, "height": 900}} | options)
        contexts.append(context)

        def route(found: Any) -> None:
            if found.request.url.startswith((address, "blob:", "data:")):
                found.continue_()
            else:
                wrong.append(f"request to {found.request.url}")
                found.abort()

        context.route("**/*", route)
        page = context.new_page()
        page.on("console", lambda said: None if allowed and allowed in said.text else wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message) or dialog.dismiss())
        page.goto(address + fragment)
        return page

    yield page_of
    for context in contexts:
        context.close()
    assert wrong == []


def settled(page: Any) -> None:
    """Wait until every chip has its answer."""
    expect(page.locator("#table .value").nth(12)).to_be_visible()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")


def cell(page: Any, row: str, column: int = 0) -> Any:
    return page.locator("#table tr", has=page.get_by_role("rowheader", name=row, exact=True)).locator("td").nth(column)


def test_two_chips_a_slider_and_everything_moves(opened: Open) -> None:
    page = opened()
    settled(page)
    days = cell(page, "Days").locator(".value")
    before = days.inner_text()
    drawn = {name: page.locator(f"#{name}").inner_html() for name in ("planks", "terms", "roofline", "crossover", "cost")}
    rules = page.locator("#rules")
    expect(rules.locator("td").nth(0)).not_to_be_empty()
    free = page.locator("#rules tr", has_text="3A090 of October 2023").locator("td").nth(0)
    expect(free).to_contain_text("not caught")
    page.locator(FLOPS).fill("1")
    expect(days).not_to_have_text(before)
    expect(free).to_contain_text("caught: 3A090")
    expect(cell(page, "Days")).to_contain_text("−")
    for name, markup in drawn.items():
        expect(page.locator(f"#{name}")).not_to_have_js_property("innerHTML", markup)
    expect(page.locator("#live-line")).to_contain_text("plan searched again")
    expect(page.locator("#status")).to_contain_text("days, limited by")
    page.get_by_role("button", name="Back to the datasheet").click()
    expect(days).to_have_text(before)


def test_a_number_may_be_typed_and_a_wrong_one_is_marked(opened: Open) -> None:
    page = opened()
    settled(page)
    field = page.get_by_label("HBM capacity in GiB")
    field.fill("192")
    expect(page.locator("#memory")).to_contain_text("GiB")
    expect(page.get_by_label("HBM capacity, times the datasheet")).to_have_value("1")
    field.fill("much")
    assert field.get_attribute("aria-invalid") is not None
    page.get_by_label("Chips of each").fill("lots")
    expect(page.get_by_role("alert")).to_have_text("count: expected a number like 1024, 10k or 13T")
    page.get_by_label("Chips of each").fill("128")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#table thead")).to_contain_text("128 chips")


test_a_number_may_be_typed_and_a_wrong_one_is_marked = pytest.mark.parametrize("opened", [None], indirect=True)(
    test_a_number_may_be_typed_and_a_wrong_one_is_marked
) if False else test_a_number_may_be_typed_and_a_wrong_one_is_marked
