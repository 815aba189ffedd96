"""Lines, bars and tables before anybody knows where they will be shown."""

import textwrap
from collections.abc import Sequence
from typing import Final, NamedTuple

WIDTH: Final = 80
FULL: Final = "█"
GAP: Final = "  "
LEAST_COLUMN: Final = 6
LEAST_WRITTEN_OUT: Final = 1e-6
MOST_WRITTEN_OUT: Final = 1e15


class Line(NamedTuple):
    """One line of text, bold or dim where the terminal can."""

    text: str
    style: str = ""  # bold, dim


class Table(NamedTuple):
    """Rows under headings. A column of numbers is flush right; `flexible` columns give way when it is too wide."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: frozenset[int] = frozenset()
    flexible: tuple[int, ...] = ()


Block = str | Line | Table


def wrap(text: str, indent: str = "", hanging: str | None = None, style: str = "") -> list[Block]:
    """A paragraph in lines of the page's width; a word that is longer stays whole, to be copied.

    >>> wrap("one " * 30)[0]
    Line(text='one one one one one one one one one one one one one one one one one one one one', style='')
    """
    later = indent if hanging is None else hanging
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=later, break_on_hyphens=False, break_long_words=False
    )
    return [Line(line, style) for line in lines]


def bar(share: float, width: int) -> str:
    """A bar of `width` characters at a share of 1; the smallest share that is not nothing is one character.

    >>> bar(0.5, 8), bar(0.001, 8), bar(0.0, 8)
    ('████', '█', '')
    """
    if share <= 0.0:
        return ""
    return FULL * max(1, min(width, round(share * width)))


def falls(parts: Sequence[float], width: int) -> list[str]:
    """A waterfall in text: a bar for every part of a whole, each beginning where the one before it ends.

    The smallest part that is not nothing is one character.

    >>> falls([6.0, 2.0, 0.0, 0.01], 8)
    ['██████', '      ██', '', '       █']
    """
    whole = sum(parts)
    bars, before = [], 0.0
    for part in parts:
        after = before + part
        begin = min(round(before / whole * width), width - 1) if part > 0.0 else 0
        end = max(begin + 1, round(after / whole * width)) if part > 0.0 else 0
        bars.append(" " * begin + FULL * (end - begin) if part > 0.0 else "")
        before = after
    return bars


def percent(share: float) -> str:
    """A share with one decimal.

    >>> percent(0.4567)
    '45.7 %'
    """
    return f"{100.0 * share:.1f} %"


def short(value: float, digits: int = 3) -> str:
    """A number with so many digits, thousands apart; in powers of ten only where nobody would read the zeros.

    >>> short(123456.0), short(3.14159), short(0.01234), short(0.0), short(1e-300)
    ('123,456', '3.14', '0.0123', '0', '1e-300')
    """
    if value == 0.0:
        return "0"
    if not LEAST_WRITTEN_OUT <= abs(value) < MOST_WRITTEN_OUT:
        return f"{value:.{digits}g}"
    if abs(value) >= 10.0 ** (digits - 1):
        return f"{value:,.0f}"
    shown = f"{value:.{digits}g}"
    return f"{value:.{digits + 4}f}".rstrip("0") if "e" in shown else shown


def lines_of(table: Table) -> list[str]:
    """A table as aligned text of at most the page's width; a cell that had to be cut ends in an ellipsis."""
    widths = [max(len(cell) for cell in column) for column in zip(table.columns, *table.rows, strict=True)]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - WIDTH
    for _ in range(excess):  # the widest that may give way does, one character at a time
        place = max(table.flexible, key=lambda each: widths[each], default=None)
        if place is not None and widths[place] > LEAST_COLUMN:
            widths[place] -= 1
    return [_row(cells, widths, table.right) for cells in (table.columns, *table.rows)]


def _row(cells: Sequence[str], widths: list[int], right: frozenset[int]) -> str:
    shown = []
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        fitted = cell if len(cell) <= width else cell[: width - 1] + "…"
        shown.append(fitted.rjust(width) if place in right else fitted.ljust(width))
    return GAP.join(shown).rstrip()
