"""What a question about a sweep's points found."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from clustercast.display import Notebook

SCHEMA: Final = "clustercast.query/1"
QUESTIONS_SCHEMA: Final = "clustercast.questions/1"

LINES: Final = "lines"  # value over x, a line per series
MAP: Final = "map"  # value over x and y
RATIO: Final = "ratio"  # a map, or lines, of a ratio that crosses 1
FRONT: Final = "front"  # y over x, both outputs
RUNS: Final = "runs"  # stretches of x
FREE: Final = "free"  # whatever the columns allow


@dataclass(frozen=True, slots=True)
class Picture:
    """How an answer is drawn: names of its columns."""

    kind: str
    x: str
    y: str = ""
    value: str = ""
    series: tuple[str, ...] = ()  # columns that tell lines or panels apart
    labels: tuple[str, ...] = ()  # columns that say what a mark stands for
    x_to: str = ""  # where a stretch ends
    title: str = ""


@dataclass(frozen=True, slots=True)
class QueryResult(Notebook):
    """An answer: its first rows, how many there are, and where they come from."""

    title: str
    about: str
    folder: str
    question: str
    sql: str
    columns: tuple[str, ...]
    units: tuple[str, ...]
    kinds: tuple[str, ...]  # text, whole, number
    rows: tuple[tuple[Any, ...], ...]  # the first ones
    n_rows: int
    study: str  # SHA-256 of what the study says
    version: str
    parts: int
    n_parts: int
    n_points: int  # rows of the table `points`
    picture: Picture | None
    n_shown: int  # rows that are printed
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the sweep is finished."""
        return self.parts == self.n_parts

    def as_dict(self) -> dict[str, Any]:
        """The document of --json."""
        return {
            "schema": SCHEMA,
            "title": self.title,
            "about": self.about,
            "question": self.question,
            "sql": self.sql,
            "columns": list(self.columns),
            "units": [each or None for each in self.units],
            "rows": [list(row) for row in self.rows[: self.n_shown]],
            "n_rows": self.n_rows,
            "n_points": self.n_points,
            "parts": self.parts,
            "n_parts": self.n_parts,
            "complete": self.complete,
            "study": self.study,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def plain(value: Any) -> Any:
    """A value as JSON has one: text for dates and the like.

    >>> plain(1.5), plain({"a": [b"x"]})
    (1.5, {'a': ['x']})
    """
    import decimal

    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


class Sink(Protocol):
    """Takes all rows of an answer as they come."""

    def begin(self, columns: tuple[str, ...]) -> None:
        """Take the names of the columns."""

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Take some rows."""

    def end(self, result: QueryResult) -> None:
        """Take what the rows belong to: there are no more of them."""


@dataclass(frozen=True, slots=True)
class Questions(Notebook):
    """What a sweep can be asked: its columns and the ready-made questions."""

    title: str
    about: str
    folder: str
    columns: tuple[tuple[str, str, str, str], ...]  # name, role, kind, unit
    questions: tuple[tuple[str, str, tuple[str, ...]], ...]  # name, what it answers, options
    parts: int
    n_parts: int
    n_points: int

    @property
    def complete(self) -> bool:
        """Whether the sweep is finished."""
        return self.parts == self.n_parts

    def as_dict(self) -> dict[str, Any]:
        """The document of --list --json."""
        fields = ("name", "role", "kind", "unit")
        return {
            "schema": QUESTIONS_SCHEMA,
            "title": self.title,
            "about": self.about,
            "columns": [dict(zip(fields, (*each[:-1], each[-1] or None), strict=True)) for each in self.columns],
            "questions": [
                {"name": name, "title": title, "options": list(options)} for name, title, options in self.questions
            ],
            "n_points": self.n_points,
            "parts": self.parts,
            "n_parts": self.n_parts,
            "complete": self.complete,
        }
