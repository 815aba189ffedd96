"""A page into a file, whole or not at all; the name says in which format."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from clustercast.errors import WrongInput
from clustercast.report import files
from clustercast.report.page.parts import Page

if TYPE_CHECKING:
    from clustercast.estimates.result import Estimate
    from clustercast.studies.report import Report
    from clustercast.studies.saved import SweepReport

SUFFIXES: Final = (".html", ".md", ".csv", ".xlsx", ".svg", ".png")


def check(path: str) -> None:
    """Refuse a file that could not be written, before anything is asked. Raises WrongInput."""
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix == ".pdf":
        raise WrongInput(
            "-o: a PDF takes a browser to lay it out, and none is required here",
            hint=f"write {file.with_suffix('.html').name} and print it to PDF from any browser",
        )
    if suffix not in SUFFIXES:
        raise WrongInput(f"-o: expected a name that ends in {', '.join(SUFFIXES)}, got {path!r}")
    if not file.parent.is_dir():
        raise WrongInput(f"-o: there is no folder {str(file.parent)!r}")
    needed = {".html": ("jinja2", "vl_convert"), ".svg": ("vl_convert",), ".png": ("vl_convert",)}.get(suffix, ())
    missing = [name for name in needed if not _there(name)]
    if missing:
        raise WrongInput(
            f"-o: {suffix[1:]} needs the package {missing[0]}",
            hint="install it with: pip install 'clustercast[report]'",
        )
    if suffix == ".xlsx" and not _there("xlsxwriter"):
        raise WrongInput(
            "-o: xlsx needs the package xlsxwriter", hint="install it with: pip install 'clustercast[xlsx]'"
        )


def _there(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def page_of(found: "Report | SweepReport | Estimate") -> Page:
    """The page of a report, a sweep or an estimate alone."""
    from clustercast import __version__
    from clustercast.estimates.result import Estimate
    from clustercast.report.page import sections, sweep
    from clustercast.studies.report import Report

    if isinstance(found, Estimate):
        return sections.of_estimate(found, __version__)
    return sections.page(found) if isinstance(found, Report) else sweep.page(found)


def save(page: Page, path: str) -> None:
    """Write the page. Raises WrongInput."""
    check(path)
    suffix = Path(path).suffix.lower()
    with files.whole("-o", path) as fresh:
        if suffix == ".xlsx":
            from clustercast.report.page import sheet

            sheet.save(page, str(fresh))
        elif suffix in (".svg", ".png"):
            from clustercast.report.page.picture import picture

            fresh.write_bytes(picture(page, suffix[1:]))
        else:
            fresh.write_text(_text(page, suffix), encoding="utf-8")


def _text(page: Page, suffix: str) -> str:
    from clustercast.report.page import html, text

    if suffix == ".html":
        return html.html(page)
    return text.markdown(page) if suffix == ".md" else text.csv_text(page)
