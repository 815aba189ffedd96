"""What a question about a sweep found: a table to look at, CSV, a spreadsheet, a picture."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from clustercast import units
from clustercast.errors import WrongInput
from clustercast.report import files, terminal
from clustercast.report.layout import GAP, WIDTH, Block, Line, Table, short, wrap
from clustercast.report.text import counted
from clustercast.studies.query import QueryResult, Questions

if TYPE_CHECKING:
    from clustercast.studies.query.result import Sink

DIGITS: Final = 4
SHORT_HASH: Final = 12
FORMULA: Final = ("=", "+", "-", "@")  # a spreadsheet would compute a cell that begins so
MOST_SHEET_ROWS: Final = 2**20 - 1  # of a spreadsheet, below its head
SI: Final = ("FLOP/s", "B/s", "W")


def query(found: QueryResult) -> list[Block]:
    """The rows, how many there are, how to read them, where they come from."""
    blocks: list[Block] = [*wrap(f"{found.title}: {found.question}", style="bold")]
    blocks += ["", *_table(found)] if found.columns else []
    shown = min(len(found.rows), found.n_shown)
    if shown < found.n_rows:
        blocks += wrap(f"{shown:,} of {counted(found.n_rows, 'row')}; --limit shows more, --csv FILE writes all")
    elif not found.n_rows:
        blocks.append("no rows")
    blocks.append("")
    for each in found.notes:
        blocks += wrap(each, "", "  ")
    for each in found.warnings:
        blocks += wrap(f"warning: {each}", "", "  ")
    return [*blocks, *(Line(text, "dim") for text in [source(found)])]


def source(found: QueryResult) -> str:
    """Where the numbers come from, in a line."""
    parts = counted(found.parts, "part") if found.complete else f"{found.parts:,} of {found.n_parts:,} parts"
    return (
        f"source: {counted(found.n_points, 'point')} in {parts}, study {found.study[:SHORT_HASH]}, "
        f"clustercast {found.version}"
    )


def questions(found: Questions) -> list[Block]:
    """The columns and the ready-made questions."""
    parts = counted(found.parts, "part") if found.complete else f"{found.parts:,} of {found.n_parts:,} parts"
    blocks: list[Block] = [*wrap(f"{found.title}: {counted(found.n_points, 'point')} in {parts}", style="bold"), ""]
    blocks.append(Table(("column", "is", "kind", "unit"), found.columns, frozenset(), (0,)))
    blocks += ["", Line("ready-made questions", "bold")]
    wide = max(len(name) for name, _, _ in found.questions)
    for name, title, options in found.questions:
        said = ", ".join(f"--{each}" for each in options)
        blocks += wrap(f"{name:<{wide}}  {title} ({said})", "  ", " " * (wide + 4))
    return [*blocks, *wrap('or SQL over the table points, like: "SELECT chip, min(days) FROM points GROUP BY chip"')]


# --- on the page ----------------------------------------------------------------------------------------------------


def _table(found: QueryResult) -> list[Block]:
    """The rows that are shown; columns that say the same in every row apart where the page is too narrow for all."""
    rows = [
        [cell(value, unit) for value, unit in zip(row, found.units, strict=True)] for row in found.rows[: found.n_shown]
    ]
    heads = [terminal.visible(name) for name in found.columns]
    right = [kind != "text" for kind in found.kinds]
    places = list(range(len(heads)))
    blocks: list[Block] = []
    widths = [max(len(cells[place]) for cells in [heads, *rows]) for place in places]
    if _width(widths) > WIDTH and len(rows) > 1 and len(rows) == found.n_rows:
        same = [place for place in places if len({cells[place] for cells in rows}) == 1]
        if same and len(same) < len(places):
            said = ", ".join(f"{heads[place]} {rows[0][place]}" for place in same)
            blocks += wrap(f"in all rows: {said}", "", "  ")
            places = [place for place in places if place not in same]
    for block in _pages(places, widths):
        columns = tuple(heads[place] for place in block)
        cells = [tuple(row[place] for place in block) for row in rows]
        at_right = frozenset(at for at, place in enumerate(block) if right[place])
        blocks += ([""] if block[0] != places[0] else []) + [Table(columns, cells, at_right)]
    return blocks


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _pages(places: list[int], widths: list[int]) -> Iterator[list[int]]:
    """Columns in groups that the page is wide enough for."""
    page: list[int] = []
    for place in places:
        if page and _width([widths[each] for each in (*page, place)]) > WIDTH:
            yield page
            page = []
        page.append(place)
    if page:
        yield page


def cell(value: Any, unit: str) -> str:
    """A value in few characters.

    >>> cell(4e12, "B/s"), cell(12.3456, "days"), cell(1024, ""), cell(None, ""), cell("h20", "")
    ('4.00 TB/s', '12.35', '1,024', '-', 'h20')
    """
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return terminal.visible(str(value))
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if unit in SI and value >= 1:
        return units.si(float(value), unit)
    if unit == "B" and value >= 1:
        return units.gib(float(value))
    if unit == "tokens" and value >= 1e6:
        return units.count(float(value), DIGITS)
    return f"{value:,}" if isinstance(value, int) else short(value, DIGITS)


# --- files ----------------------------------------------------------------------------------------------------------


@contextmanager
def sinks(*, csv: str | None, xlsx: str | None) -> Iterator[list["Sink"]]:
    """Files that take an answer's rows as they come; each is there whole or not at all. Raises WrongInput."""
    from clustercast.report import compare

    if xlsx is not None:
        compare.check_xlsx(xlsx)
    with ExitStack() as open_files:
        found: list[Sink] = []
        if csv == "-":
            found.append(Csv(sys.stdout))
        elif csv is not None:
            fresh = open_files.enter_context(files.whole("--csv", csv))
            found.append(Csv(open_files.enter_context(fresh.open("w", encoding="utf-8", newline=""))))
        if xlsx is not None:
            found.append(Xlsx(open_files.enter_context(files.whole("--xlsx", xlsx))))
        yield found


class Csv:
    """Rows as CSV; empty where there is no number."""

    def __init__(self, stream: TextIO) -> None:
        import csv

        self._writer = csv.writer(stream, lineterminator="\n")

    def begin(self, columns: tuple[str, ...]) -> None:
        """Write the head."""
        self._writer.writerow(map(csv_cell, columns))

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Write rows."""
        self._writer.writerows([csv_cell(value) for value in row] for row in rows)

    def end(self, result: QueryResult) -> None:
        """Nothing more."""


def csv_cell(value: Any) -> Any:
    """A value as a cell: no NaN, no control characters, and text that a spreadsheet would compute after an apostrophe.

    >>> csv_cell("=1+1"), csv_cell(-1.5), csv_cell(float("nan")), csv_cell(None), csv_cell("a\\x1b")
    ("'=1+1", -1.5, '', '', 'a\\\\x1b')
    """
    if value is None or (isinstance(value, float) and not -float("inf") < value < float("inf")):
        return ""
    if isinstance(value, (int, float)):
        return value
    text = terminal.visible(str(value))
    return f"'{text}" if text.startswith(FORMULA) else text


class Xlsx:
    """Rows as a spreadsheet, and a second sheet that says where they come from."""

    def __init__(self, path: Path) -> None:
        import xlsxwriter

        self._book = xlsxwriter.Workbook(
            str(path), {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        )
        self._sheet = self._book.add_worksheet("rows")
        self._line = 0

    def begin(self, columns: tuple[str, ...]) -> None:
        """Write the head."""
        self._sheet.freeze_panes(1, 0)
        bold = self._book.add_format({"bold": True})
        for place, name in enumerate(columns):
            self._sheet.set_column(place, place, max(10, min(len(name), 24)))
            self._sheet.write_string(0, place, terminal.visible(name), bold)

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Write rows. Raises WrongInput where a spreadsheet cannot hold more."""
        if self._line + len(rows) > MOST_SHEET_ROWS:
            raise WrongInput(
                f"--xlsx: the answer has more than the {MOST_SHEET_ROWS:,} rows that a spreadsheet holds",
                hint="--csv writes any number; or ask for less",
            )
        for row in rows:
            self._line += 1
            for place, value in enumerate(row):
                if isinstance(value, bool):
                    self._sheet.write_boolean(self._line, place, value)
                elif isinstance(value, (int, float)):
                    if -float("inf") < value < float("inf"):
                        self._sheet.write_number(self._line, place, value)
                elif value is not None:
                    self._sheet.write_string(self._line, place, terminal.visible(str(value)))

    def end(self, result: QueryResult) -> None:
        """Say where the rows come from, and close the file."""
        sheet = self._book.add_worksheet("source")
        sheet.set_column(1, 1, WIDTH)
        said = [
            ("title", result.title), ("question", result.question), ("SQL", result.sql), ("study", result.study),
            ("parts", f"{result.parts} of {result.n_parts}"), ("clustercast", result.version),
            *(("note", each) for each in result.notes), *(("warning", each) for each in result.warnings),
        ]  # fmt: skip
        for line, (name, text) in enumerate(said):
            sheet.write_string(line, 0, name)
            sheet.write_string(line, 1, text)
        self._book.close()
