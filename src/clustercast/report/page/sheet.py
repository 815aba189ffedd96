"""The page's tables as a spreadsheet, a sheet per section."""

import re
from typing import Any

from clustercast.errors import WrongInput
from clustercast.report.page.parts import Page, Section
from clustercast.report.terminal import visible

MOST_NAME = 31  # characters of a sheet's name
WIDEST = 60


def save(page: Page, path: str) -> None:
    """Write the spreadsheet. Raises WrongInput where the package that writes it is missing or the file cannot be."""
    try:
        import xlsxwriter
    except ImportError:
        raise WrongInput(
            "-o: a spreadsheet needs the package xlsxwriter", hint="install it with: pip install 'clustercast[xlsx]'"
        ) from None
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    try:
        with xlsxwriter.Workbook(path, options) as book:
            bold = book.add_format({"bold": True})
            _answer(page, book.add_worksheet("answer"), bold)
            for section in page.sections:
                if section.tables or section.items or section.commands:
                    name = re.sub(r"[\[\]:*?/\\]", " ", section.title)[:MOST_NAME]
                    _section(section, book.add_worksheet(name), bold)
    except (OSError, xlsxwriter.exceptions.FileCreateError) as error:
        raise WrongInput(f"-o: {path!r} cannot be written: {error}") from None


def _answer(page: Page, sheet: Any, bold: Any) -> None:
    sheet.set_column(0, 3, 32)
    sheet.write_string(0, 0, visible(page.title), bold)
    sheet.write_string(1, 0, visible(page.question))
    for column, name in enumerate(("what", "value", "80 % interval", "beside")):
        sheet.write_string(3, column, name, bold)
    for line, one in enumerate(page.figures, 4):
        for column, text in enumerate((one.label, one.value, one.interval, one.beside)):
            sheet.write_string(line, column, visible(text))
    sheet.write_string(5 + len(page.figures), 0, visible(page.answer))
    sheet.write_string(6 + len(page.figures), 0, f"made with {visible(page.made_with)}")


def _section(section: Section, sheet: Any, bold: Any) -> None:
    line = 0
    widths: dict[int, int] = {}
    for text in section.words:
        sheet.write_string(line, 0, visible(text))
        line += 1
    for grid in section.tables:
        sheet.write_string(line, 0, visible(grid.title), bold)
        line += 1
        for row in (grid.columns, *grid.rows):
            for column, cell in enumerate(row):
                if isinstance(cell, (int, float)):
                    sheet.write_number(line, column, cell)
                elif cell is not None:
                    sheet.write_string(line, column, visible(cell), bold if row is grid.columns else None)
                widths[column] = max(widths.get(column, 8), min(len(str(cell)), WIDEST))
            line += 1
        line += 1
    for text in (*section.items, *section.commands):
        sheet.write_string(line, 0, visible(text))
        line += 1
    for column, width in widths.items():
        sheet.set_column(column, column, width + 1)
