"""What a question about a sweep found: a table to look at, CSV, a spreadsheet, a picture."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from clustercast import units
from clustercast.errors import WrongInput
from clustercast.report import files, terminal
from clustercast.report.layout import GAP, WIDTH, Block, Line, Table, short, wrap
from clustercast.report.text import counted
from clustercast.studies.query import QueryResult, Questions
from clustercast.studies.query.ask import SQL
from clustercast.studies.query.columns import POINT, TIMES
from clustercast.studies.query.result import RATIO, Picture

if TYPE_CHECKING:
    from clustercast.studies.query.result import Sink

DIGITS: Final = 4
SHORT_HASH: Final = 12
FORMULA: Final = ("=", "+", "-", "@")  # a spreadsheet would compute a cell that begins so
MOST_SHEET_ROWS: Final = 2**20 - 1  # of a spreadsheet, below its head
MOST_MAPS: Final = 6
MOST_ACROSS: Final = 8
MOST_DOWN: Final = 16
MOST_SAID: Final = 6  # crossings
INFINITE: Final = float("inf")
SI: Final = ("FLOP/s", "B/s", "W")


def query(found: QueryResult) -> list[Block]:
    """The rows, how many there are, how to read them, where they come from."""
    blocks: list[Block] = [*wrap(f"{found.title}: {found.question}", style="bold")]
    if mapped(found):
        return [*blocks, *_maps(found), "", *_notes(found)]
    blocks += ["", *_table(found), *_even_along(found)] if found.columns else []
    shown = min(len(found.rows), found.n_shown)
    if shown < found.n_rows:
        blocks += wrap(f"{shown:,} of {counted(found.n_rows, 'row')}; --limit shows more, --csv FILE writes all")
    elif not found.n_rows:
        blocks.append("no rows")
    return [*blocks, "", *_notes(found)]


def _notes(found: QueryResult) -> Iterator[Block]:
    """How to read it and where it comes from."""
    for each in found.notes:
        if not (mapped(found) and each.startswith("even_")):  # a column that the map does not have
            yield from wrap(each, "", "  ")
    for each in found.warnings:
        yield from wrap(f"warning: {each}", "", "  ")
    yield Line(source(found), "dim")


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


# --- maps -----------------------------------------------------------------------------------------------------------


def mapped(found: QueryResult) -> bool:
    """Whether the answer is read best as a map: a ratio over two axes, few of them, all rows held."""
    picture = found.picture
    if picture is None or picture.kind != RATIO or not picture.y or found.n_rows > len(found.rows):
        return False
    return len({tuple(row[found.columns.index(name)] for name in picture.series) for row in found.rows}) <= MOST_MAPS


def _maps(found: QueryResult) -> Iterator[Block]:
    """A table of ratios per model and the like, x across and y down, and where they are 1."""
    picture = found.picture
    assert picture is not None
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    unit = dict(zip(found.columns, found.units, strict=True))
    series: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        series.setdefault(", ".join(cell(row[name], unit[name]) for name in picture.series), []).append(row)
    for name, some in series.items():
        yield ""
        yield Line(f"{name}{': ' if name else ''}{picture.x} across, {picture.y} down", "bold")
        across = _some(sorted({row[picture.x] for row in some}), MOST_ACROSS)
        down = _some(sorted({row[picture.y] for row in some}), MOST_DOWN)
        at = {(row[picture.x], row[picture.y]): row for row in some}
        cells = [(cell(y, unit[picture.y]), *(_ratio(at.get((x, y)), picture) for x in across)) for y in reversed(down)]
        heads = ("", *(cell(x, unit[picture.x]) for x in across))
        yield Table(heads, cells, frozenset(range(len(heads))))
        yield from _even(some, picture, unit)


def _even(rows: list[dict[str, Any]], picture: Picture, unit: dict[str, str]) -> Iterator[Block]:
    """Where the ratio is 1, in words."""
    found = []
    for name, own, other in (("even_x", picture.x, picture.y), ("even_y", picture.y, picture.x)):
        crossed = [row for row in rows if row.get(name) is not None]
        said = [f"{cell(row[name], unit[own])} at {cell(row[other], unit[other])}" for row in _some(crossed, MOST_SAID)]
        more = len(crossed) - len(said)
        if said:
            found.append(f"even: {own} {', '.join(said)}{f' and {more} more' if more else ''} {other}")
    alone = sorted({str(row["better"]) for row in rows if row[picture.value] is None})
    if alone:
        yield from wrap("<name: only that one has a point that is ok", "", "  ")
    if len(rows) < len({row[picture.x] for row in rows}) * len({row[picture.y] for row in rows}):
        yield "-: neither has one" if alone else "-: neither has a point that is ok"
    if found:
        for text in found:
            yield from wrap(text, "", "  ")
    else:
        better = sorted({str(row["better"]) for row in rows})
        yield from wrap(f"never even: {' or '.join(better)} is better everywhere", "", "  ")


def _even_along(found: QueryResult) -> Iterator[Block]:
    """Where two chips are even along one axis, in words."""
    picture = found.picture
    if picture is None or picture.kind != RATIO or picture.y or picture.series or found.n_rows > len(found.rows):
        return
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    unit = dict(zip(found.columns, found.units, strict=True))[picture.x]
    crossed = [cell(row["even_x"], unit) for row in rows if row["even_x"] is not None]
    better = sorted({str(row["better"]) for row in rows})
    said = f"even: {picture.x} {', '.join(_some(crossed, MOST_SAID))}" if crossed else ""
    yield from wrap(said or f"never even: {' or '.join(better)} is better everywhere", "", "  ")


def _ratio(row: dict[str, Any] | None, picture: Picture) -> str:
    """A ratio with three digits; where one chip alone is there, its first word."""
    if row is None:
        return "-"
    if row[picture.value] is None:
        return f"<{terminal.visible(str(row['better'])).partition('-')[0]}"
    return cell(float(f"{row[picture.value]:.3g}"), "")


def _some(values: list[Any], most: int) -> list[Any]:
    """Values, or so many of them evenly taken, the last one with them.

    >>> _some([1, 2, 3, 4, 5], 3)
    [1, 3, 5]
    """
    stride = max(1, -(-len(values) // most))
    return values[::-1][::stride][::-1]


# --- on the page ----------------------------------------------------------------------------------------------------


def _table(found: QueryResult) -> list[Block]:
    """The rows that are shown; where the page is too narrow, what is the same in all rows apart, then page by page."""
    rows = _cells(found)
    heads = [terminal.visible(name) for name in found.columns]
    places = [place for place, name in enumerate(heads) if (found.question, name) != ("summary", "unit")]
    blocks: list[Block] = []
    widths = [max(len(cells[place]) for cells in [heads, *rows]) for place in range(len(heads))]
    if _width([widths[place] for place in places]) > WIDTH and len(rows) > 1 and len(rows) == found.n_rows:
        same = [place for place in places if len({cells[place] for cells in rows}) == 1]
        if same and len(same) < len(places):
            said = ", ".join(f"{heads[place]} {rows[0][place]}" for place in same)
            blocks += wrap(f"in all rows: {said}", "", "  ")
            places = [place for place in places if place not in same]
    pages = list(_pages(places, widths))
    if len(pages) > 1 and found.question != SQL and found.columns[places[-1]] == POINT:  # the least of them
        places.pop()
        pages = list(_pages(places, widths))
    if len(pages) > 1:  # rows are told by their number
        heads.append("row")
        rows = [[*cells, f"{number:,}"] for number, cells in enumerate(rows, 1)]
        widths.append(max(len(cells[-1]) for cells in [heads, *rows]))
        number = len(heads) - 1
        pages = [[number, *page] for page in _pages(places, widths, widths[number] + len(GAP))]
    right = {place for place, kind in enumerate(found.kinds) if kind != "text"} | {len(found.kinds)}
    for page in pages:
        columns = tuple(heads[place] for place in page)
        cells = [tuple(row[place] for place in page) for row in rows]
        at_right = frozenset(at for at, place in enumerate(page) if place in right)
        blocks += ([""] if page is not pages[0] else []) + [Table(columns, cells, at_right)]
    return blocks


def _cells(found: QueryResult) -> list[list[str]]:
    """The rows that are shown as text. A column `unit` is that of the other numbers of its row."""
    own = found.columns.index("unit") if "unit" in found.columns else None
    rows = []
    for row in found.rows[: found.n_shown]:
        unit = "" if own is None else str(row[own])
        numbers = [
            each or (unit if kind == "number" else "") for each, kind in zip(found.units, found.kinds, strict=True)
        ]
        rows.append([cell(value, each) for value, each in zip(row, numbers, strict=True)])
    return rows


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _pages(places: list[int], widths: list[int], margin: int = 0) -> Iterator[list[int]]:
    """Columns in groups that the page, less a margin, is wide enough for."""
    page: list[int] = []
    for place in places:
        if page and _width([widths[each] for each in (*page, place)]) > WIDTH - margin:
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
    if unit == TIMES:
        return f"{short(value, DIGITS)}{TIMES}"
    if value != value or value in (INFINITE, -INFINITE):
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
            sheet = Xlsx(open_files.enter_context(files.whole("--xlsx", xlsx)))
            open_files.callback(sheet.close)
            found.append(sheet)
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
        columns = [list(map(csv_cell, column)) for column in zip(*rows, strict=True)]
        self._writer.writerows(zip(*columns, strict=True))

    def end(self, result: QueryResult) -> None:
        """Nothing more."""


def csv_cell(value: Any) -> Any:
    """A value as a cell: no NaN, no control characters, and text that a spreadsheet would compute after an apostrophe.

    >>> csv_cell("=1+1"), csv_cell(-1.5), csv_cell(float("nan")), csv_cell(None), csv_cell("a\\x1b")
    ("'=1+1", -1.5, '', '', 'a\\\\x1b')
    """
    if type(value) is float:
        return value if -INFINITE < value < INFINITE else ""
    if value is None or type(value) is int:
        return "" if value is None else value
    return csv_text(value if isinstance(value, str) else str(value))


@lru_cache(4096)
def csv_text(text: str) -> str:
    """A text as a cell: the same few names come again and again."""
    seen = terminal.visible(text)
    return f"'{seen}" if seen.startswith(FORMULA) else seen


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
                    if -INFINITE < value < INFINITE:
                        self._sheet.write_number(self._line, place, value)
                elif value is not None:
                    self._sheet.write_string(self._line, place, terminal.visible(str(value)))

    def end(self, result: QueryResult) -> None:
        """Say where the rows come from."""
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

    def close(self) -> None:
        """Write what there is."""
        self._book.close()
