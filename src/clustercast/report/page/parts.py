"""What a page is made of, before anybody knows in which format."""

from dataclasses import dataclass

from clustercast import units
from clustercast.report.charts.theme import Spec
from clustercast.report.layout import short
from clustercast.report.terminal import visible

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


def shown(cell: Cell) -> str:
    """A cell as people read it.

    >>> shown(None), shown(0.12345), shown(12345), shown("a")
    ('–', '0.123', '12,345', 'a')
    """
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return visible(cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    return units.count(cell) if abs(cell) >= 1e6 else short(cell)
