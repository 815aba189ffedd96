"""Pages: whole, without script, hostile names are text in every format, and a section with nothing to say is gone."""

import csv
import io
import re
import zipfile
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
import reports
import sweep_folder

import clustercast
from clustercast import errors, report
from clustercast.report import page as pages
from clustercast.report.page import html, picture, sections, svg, text
from clustercast.report.terminal import visible
from clustercast.studies import saved

ALLOWED = {
    "html", "head", "meta", "title", "link", "style", "body", "a", "header", "h1", "h2", "p", "main", "section", "dl",
    "div", "dt", "dd", "span", "nav", "ul", "li", "figure", "figcaption", "b", "svg", "g", "path", "line", "rect",
    "text", "tspan", "defs", "clippath", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td",
    "pre", "code", "footer", "wbr",
}  # fmt: skip


class Read(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def two() -> pages.Page:
    return sections.page(reports.small("h20", "h100"))


@cache
def plainly() -> Read:
    return Read(html.html(sections.page(reports.small("h20"))))


@pytest.mark.slow
def test_a_page_is_whole_small_and_without_script() -> None:
    document = html.html(two())
    read = Read(document)
    assert len(document.encode()) < 2_000_000
    assert read.tags <= ALLOWED
    assert not [each for each in read.attributes if each[1].startswith("on") or each[1] == "style"]
    links = {value for _, name, value in read.attributes if name in ("href", "src", "srcset", "action", "xlink:href")}
    assert all(each.startswith("#") or each == "data:," for each in links)
    assert "http" not in re.sub(r"http-equiv", "", document)
    policy = next(value for tag, name, value in read.attributes if tag == "meta" and "default-src" in value)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    named = [value for _, name, value in read.attributes if name == "id"]
    assert len(named) == len(set(named))


def test_every_section_of_two_chips_is_there_and_has_something() -> None:
    page = two()
    assert [each.name for each in page.sections] == [
        "question", "compare", "barrel", "apart", "roofline", "time", "pipeline", "memory", "plans", "crossover",
        "sensitivity", "cost", "rules", "assumptions", "commands",
    ]  # fmt: skip
    assert not [each.name for each in page.sections if each.empty]
    assert page.figures[0].label == "training"


def test_one_chip_has_no_section_that_needs_two() -> None:
    names = {each.name for each in sections.page(reports.small("h20")).sections}
    assert not names & {"compare", "apart", "crossover"}


def test_the_page_says_what_the_verbs_say() -> None:
    found = reports.small("h20")
    est = clustercast.estimate("h20", "llama-3.1-8b", n_chips=8, tokens=1e9, plan=reports.PLAN)
    assert found.chips[0].estimate.step_s == est.step_s
    written = text.markdown(sections.page(found))
    assert f"{24 * est.training.days:.3g} hours" in written  # type: ignore[union-attr]
    assert "clustercast estimate --chip h20 --model llama-3.1-8b --count 8 --tokens 1e+09" in written
    for each in est.assumptions:
        assert text.escaped(each.source)[:40] in written


def test_commands_give_the_same_question_back() -> None:
    found = reports.small("h20", "h100")
    verbs = [each.split()[1] for each in found.commands]
    assert verbs == [
        "report", "estimate", "estimate", "why", "plan", "sensitivity", "compare", "crossover", "rules", "rules"
    ]  # fmt: skip
    assert all("tp=1,pp=2" in each for each in found.commands[:6])


@pytest.mark.slow
@pytest.mark.parametrize("name", reports.NAMES)
def test_hostile_names_are_text_in_a_page(name: str) -> None:
    plain, hostile = plainly(), Read(html.html(sections.page(reports.renamed(reports.small("h20"), name))))
    assert hostile.tags <= plain.tags
    known = {(tag, attribute) for tag, attribute, _ in plain.attributes}
    assert {(tag, attribute) for tag, attribute, _ in hostile.attributes} <= known
    assert any(visible(name) in each for each in hostile.text)


@pytest.mark.parametrize("name", reports.NAMES)
def test_hostile_names_are_text_in_markdown_and_csv(name: str) -> None:
    page = sections.page(reports.renamed(reports.small("h20"), name))
    written = text.markdown(page)
    outside = re.sub(r"```sh.*?```", "", written, flags=re.DOTALL)
    assert not re.search(r"<[a-zA-Z/!]", outside)
    assert "\x1b" not in written
    assert "\u202e" not in written
    rows = list(csv.reader(io.StringIO(text.csv_text(page))))
    assert {len(row) for row in rows} == {5}
    for row in rows[1:]:
        for cell in row:
            assert not cell.startswith(("=", "@")), cell
            assert not re.match(r"[+-](?!\d)", cell), cell


def test_a_hostile_spreadsheet_holds_no_formula(tmp_path: Path) -> None:
    place = tmp_path / "out.xlsx"
    report.save_report(reports.renamed(reports.small("h20"), reports.NAMES[7]), str(place))
    with zipfile.ZipFile(place) as book:
        sheets = [book.read(each).decode() for each in book.namelist() if each.startswith("xl/worksheets/")]
        links = [each for each in book.namelist() if "_rels/sheet" in each]
    assert len(sheets) > 8
    assert not links
    assert not any("<f>" in each for each in sheets)


def test_shapes_are_cleaned() -> None:
    dirty = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="x">'
        '<script>x</script><a xlink:href="javascript:x"><text>in a link</text></a><image href="http://example.org"/>'
        '<foreignObject><b>x</b></foreignObject><style>x</style><g><rect fill="url(http://example.org)" width="2"/></g>'
        '<text fill="#000" style="x">&lt;b&gt;</text></svg>'
    )
    assert svg.cleaned(dirty, 1) == '<svg><g><rect width="2" /></g><text fill="#000">&lt;b&gt;</text></svg>'


def test_every_format_is_written_whole_and_the_rest_refused(tmp_path: Path) -> None:
    found = reports.small("h20")
    for suffix in ("md", "csv"):
        place = tmp_path / f"out.{suffix}"
        report.save_report(found, str(place))
        assert place.stat().st_size > 2000
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out.csv", "out.md"]
    with pytest.raises(errors.WrongInput, match="a PDF takes a browser") as refused:
        report.check_report(str(tmp_path / "out.pdf"))
    assert refused.value.hint == "write out.html and print it to PDF from any browser"
    with pytest.raises(errors.WrongInput, match=r"a name that ends in \.html, \.md"):
        report.check_report(str(tmp_path / "out.docx"))
    with pytest.raises(errors.WrongInput, match="there is no folder"):
        report.check_report(str(tmp_path / "none" / "out.html"))


@pytest.mark.slow
def test_the_pictures_alone(tmp_path: Path) -> None:
    page = two()
    assert picture.picture(page, "png").startswith(b"\x89PNG")
    assert b"<svg" in picture.picture(page, "svg")[:200]
    assert len(picture.sheet(page)["vconcat"]) > 8


def test_a_saved_estimate_comes_back_and_is_drawn(tmp_path: Path) -> None:
    est = reports.small("h20").chips[0].estimate
    place = tmp_path / "saved.json"
    from clustercast.report import json

    place.write_text(json.dumps({**est.as_dict(), "later": 1}), encoding="utf-8")
    again = saved.of_file(place)
    assert again == est
    names = [each.name for each in pages.page_of(again).sections]
    assert names == ["question", "barrel", "time", "memory", "cost", "assumptions"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{", "is no JSON document"),
        ("[]", "expected the schema"),
        ('{"schema": "clustercast.plan/1"}', "expected the schema"),
        ('{"schema": "clustercast.estimate/1", "chip": "h20"}', "chip_name: field required"),
        ('{"schema": "clustercast.estimate/1", "days": NaN}', "is no JSON document"),
        ("[" * 100_000, "is no JSON document"),
    ],
)
def test_a_file_that_is_no_estimate_is_refused(tmp_path: Path, written: str, said: str) -> None:
    place = tmp_path / "saved.json"
    place.write_text(written, encoding="utf-8")
    with pytest.raises(errors.WrongInput, match=said):
        saved.of_file(place)


@pytest.mark.slow
def test_a_sweep_is_a_page(tmp_path: Path) -> None:
    folder = sweep_folder.write(tmp_path / "out", sweep_folder.by_hand())
    found = clustercast.report_of(folder)
    page = pages.page_of(found)
    names = [each.name for each in page.sections]
    assert {"question", "best", "break-even", "pareto", "summary", "commands"} <= set(names)
    assert page.title == "Two chips by hand"
    assert Read(html.html(page)).tags <= ALLOWED


def test_a_chip_without_an_answer_is_said() -> None:
    found = clustercast.report_on(["b200", "v100"], "llama-3.1-70b", n_chips=1)
    assert len(found.chips) == 1
    assert found.reasons["v100"].startswith("training llama-3.1-70b does not fit 1 x v100")
    page = sections.page(found)
    assert not {"pipeline", "plans"} & {each.name for each in page.sections}
    warned = next(each for each in page.sections if each.name == "warnings")
    assert any(each.startswith("no answer for v100: ") for each in warned.items)
