"""The page as Markdown, and its tables as CSV."""

import csv
import io
import re

from clustercast.report.page import svg
from clustercast.report.page.parts import Cell, Grid, Page, Section, shown
from clustercast.report.terminal import visible

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would reckon with text that begins so


def markdown(page: Page) -> str:
    """The whole page without pictures: each is its sentence and the table behind it."""
    lines = [f"# {escaped(page.title)}", "", escaped(page.question), "", "## The answer", ""]
    lines += [
        f"- **{escaped(one.label)}: {escaped(one.value)}** (80 % interval {escaped(one.interval)}), "
        f"{escaped(one.beside)}"
        for one in page.figures
    ]
    lines += ["", escaped(page.answer), ""]
    for section in page.sections:
        lines += [*_section(section), ""]
    lines += ["---", "", f"Made with {escaped(page.made_with)}."]
    return "\n".join(lines) + "\n"


def _section(section: Section) -> list[str]:
    lines = [f"## {escaped(section.title)}", ""]
    for text in section.words:
        lines += [escaped(text), ""]
    for spec in section.pictures:
        title, _, sentence = svg.caption(spec)
        lines += [f"**{escaped(title)}.** {escaped(sentence)}", ""]
    for grid in section.tables:
        lines += [f"### {escaped(grid.title)}", "", *_table(grid), ""]
    lines += [f"- {escaped(text)}" for text in section.items]
    if section.commands:
        fence = "`" * (1 + max((len(run) for each in section.commands for run in re.findall("`+", each)), default=2))
        lines += [fence + "sh", *map(visible, section.commands), fence]
    return lines


def _table(grid: Grid) -> list[str]:
    def row(cells: tuple[Cell, ...]) -> str:
        return f"| {' | '.join(escaped(shown(each)) for each in cells)} |"

    return [row(grid.columns), f"|{' --- |' * len(grid.columns)}", *map(row, grid.rows)]


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line: no tag, link or mark of its own.

    >>> escaped("<b>a|b</b>")
    '&lt;b&gt;a\\\\|b&lt;/b&gt;'
    """
    plain = visible(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|#!])", r"\\\1", plain)


def csv_text(page: Page) -> str:
    """Every table as rows under one header: section, table, row, column, value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("section", "table", "row", "column", "value"))
    for one in page.figures:
        writer.writerow(("answer", one.label, 1, "value", guarded(one.value)))
        writer.writerow(("answer", one.label, 1, "80 % interval", guarded(one.interval)))
    for section in page.sections:
        for grid in section.tables:
            for number, row in enumerate(grid.rows, 1):
                for name, cell in zip(grid.columns, row, strict=True):
                    head = (section.name, guarded(grid.title), number, guarded(name))
                    writer.writerow((*head, "" if cell is None else guarded(cell)))
    return out.getvalue()


def guarded(cell: str | float | int) -> str | float | int:
    """A cell that no spreadsheet takes for a formula.

    >>> guarded("=cmd()"), guarded(-3.5), guarded("h20")
    ("'=cmd()", -3.5, 'h20')
    """
    if not isinstance(cell, str):
        return cell
    text = visible(cell)
    return f"'{text}" if text.startswith(FORMULA) or cell.startswith(FORMULA) else text
