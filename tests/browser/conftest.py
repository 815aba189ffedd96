"""A headless Chromium that is offline: every request is counted, and those to another host are stopped."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PLACES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HERE = ("127.0.0.1", "localhost")


def chromium() -> str | None:
    """A browser of this machine: CLUSTERCAST_CHROMIUM, or one on the path."""
    given = os.environ.get("CLUSTERCAST_CHROMIUM")
    return given or next((found for name in PLACES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """One browser for all tests; without one they are skipped, and say so."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium()
    if path is None:
        pytest.skip("no chromium: install one or set CLUSTERCAST_CHROMIUM")
    with sync_api.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield found
        found.close()


@dataclass
class Watched:
    """A tab, and what happened in it."""

    page: "Page"
    requests: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)  # stopped
    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def goto(self, address: str | Path) -> "Page":
        """Open a file or an address."""
        self.page.goto(address.as_uri() if isinstance(address, Path) else address)
        return self.page


def watched(browser: "Browser", **options: Any) -> Watched:
    """A fresh tab in a profile of its own."""
    page = browser.new_context(**options).new_page()
    found = Watched(page)

    def route(each: Any) -> None:
        from urllib.parse import urlsplit

        parts = urlsplit(each.request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in HERE:
            found.foreign.append(each.request.url)
            each.abort()
        else:
            each.continue_()

    def dialog(each: Any) -> None:
        found.dialogs.append(each.message)
        each.dismiss()

    page.route("**/*", route)
    page.on("request", lambda each: found.requests.append(each.url))
    page.on("console", lambda each: found.errors.append(each.text) if each.type in ("error", "warning") else None)
    page.on("pageerror", lambda each: found.errors.append(str(each)))
    page.on("dialog", dialog)
    return found


@pytest.fixture
def tab(browser: "Browser") -> Iterator[Watched]:
    """A tab of a usual screen."""
    found = watched(browser, viewport={"width": 1000, "height": 900})
    yield found
    found.page.context.close()


@pytest.fixture
def open_tab(browser: "Browser") -> Iterator[Any]:
    """Make tabs with options of one's own."""
    made: list[Watched] = []

    def make(**options: Any) -> Watched:
        made.append(watched(browser, **options))
        return made[-1]

    yield make
    for each in made:
        each.page.context.close()
