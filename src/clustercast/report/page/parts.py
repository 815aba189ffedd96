"""What a page is made of, before anybody knows in which format."""

from dataclasses import dataclass, field
from typing import Any

from clustercast.report.charts.theme import Spec

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: numbers as numbers, for spreadsheets; `shown` says how people read them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    behind: bool = False  # it says in numbers what a picture shows


@dataclass(frozen=True, slots=True)
class Section:
    """One question of a reader: a sentence, then pictures, tables and commands."""

    name: str
    title: str
    words: tuple[str, ...] = ()
    pictures: tuple[Spec, ...] = ()
    tables: tuple[Grid, ...] = ()
    items: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return not any((self.words, self.pictures, self.tables, self.items, self.commands))


@dataclass(frozen=True, slots=True)
class Figure:
    """A big number with its interval, at the head of a page."""

    label: str
    value: str
    interval: str
    beside: str


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page."""

    title: str
    question: str
    answer: str
    figures: tuple[Figure, ...]
    sections: tuple[Section, ...]
    made_with: str
    extra: dict[str, Any] = field(default_factory=dict)


def shown(cell: Cell) -> str:
    """A cell as people read it.

    >>> shown(None), shown(0.12345), shown(12345), shown("a")
    ('–', '0.123', '12,345', 'a')
    """
    from clustercast import units
    from clustercast.report.layout import short

    if cell is None:
        return "–"
    if isinstance(cell, str):
        return printable(cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    return units.count(cell) if abs(cell) >= 1e6 else short(cell)


def printable(text: str) -> str:
    """Text in which every control character is spelt out, and every mark that turns the direction of writing.

    >>> printable("a\\x1b[2J")
    'a\\\\x1b[2J'
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
