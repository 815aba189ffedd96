"""The pages of the documentation hang together: no dead link, and every page is found from the first."""

import re
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
ELSEWHERE = ("http://", "https://", "mailto:")

sys.path.insert(0, str(ROOT / "docs"))
import _formulas  # noqa: E402


def prose(page: Path) -> str:
    """A page without code."""
    return COMMENT.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(CODE.sub("", prose(page))) if not link.startswith(ELSEWHERE)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The names that a link into a page may have, as the sites that show Markdown make them from headings."""
    text = prose(page)
    found = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"^#+ +(.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        place = 0
        while (name if not place else f"{name}-{place}") in found:
            place += 1
        found.add(name if not place else f"{name}-{place}")
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page: Path) -> None:
    for link in links(page):
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert target.exists(), f"{link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: there is no such heading"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    missing = [str(page.relative_to(ROOT)) for page in PAGES if page != index and page.resolve() not in linked]
    assert not missing, "not in docs/index.md"


def test_what_a_formula_says_is_taken_apart() -> None:
    by_name = {one.name: one for one in _formulas.formulas()["roofline"]}
    shown = _formulas.entry(by_name["matmul_s"], 3)
    assert "```text\ncompute = 2 pad(m) n k wave / rate         pad to whole tile rows\n" in shown
    assert "- `traffic_bytes`: both operands read once and the result written once" in shown
    assert "*Source: [Williams et al. 2009](formulas.md#williams2009); constants fitted by" in shown
    assert ">>>" not in shown


def test_every_formula_has_its_place_in_the_page() -> None:
    page = (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8")
    groups = _formulas.formulas()
    assert sum(map(len, groups.values())) == len(_formulas.FORMULAS)
    assert [one.name for group in groups.values() for one in group] == re.findall(r"^### `(\w+)`$", page, re.MULTILINE)


def test_a_sign_that_nobody_knows_is_refused() -> None:
    with pytest.raises(LookupError, match="does not know a sign"):
        _formulas.plain(r"a \strange sign")


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "tutorials").glob("*.md")), ids=lambda page: page.stem)
def test_every_command_of_a_tutorial_is_run_when_the_page_is_made(page: Path) -> None:
    by_hand = re.sub(r"<!-- \[\[\[cog.*?\[\[\[end\]\]\] -->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "$ " not in by_hand
    shown = [line for block in re.findall(r"```sh\n(.*?)```", by_hand, re.DOTALL) for line in block.splitlines()]
    assert all(line.startswith(("dask scheduler ", "dask worker ")) for line in shown), "workers() runs these two"
