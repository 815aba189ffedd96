"""What ready-made questions share: which columns they are about when nobody says, and the usual pieces of their SQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from clustercast.errors import WrongInput
from clustercast.studies.query.asked import QueryAsked
from clustercast.studies.query.columns import (
    AXIS,
    OK,
    OUTPUT,
    PLAN,
    POINT,
    STATUS,
    TEXT,
    Column,
    find,
    text,
)
from clustercast.studies.query.folder import Kept
from clustercast.studies.query.result import Picture

if TYPE_CHECKING:
    from clustercast.studies.query.sandbox import Sandbox

USUAL_OUTPUTS: Final = ("days", "step_s", "tpot_ms", "ttft_ms")
USUAL_COSTS: Final = ("rent_usd", "own_usd", "rent_usd_per_mtok", "own_usd_per_mtok")
MOST_VALUES: Final = 500  # of an axis that a table or a map has a row or a cell for
LEAST: Final = "least"
MOST: Final = "most"
LOG_SPREAD: Final = 4.0  # a shorter axis looks the same either way


@dataclass(frozen=True, slots=True)
class Ready:
    """A question as SQL, and how its answer is drawn."""

    name: str
    sql: str
    picture: Picture | None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)  # of columns that the study does not have


@dataclass
class Terms:
    """A question's options against the columns that the study has."""

    asked: QueryAsked
    kept: Kept
    place: "Sandbox"

    @property
    def axes(self) -> list[Column]:
        """What the study varies or fixes by point."""
        return [each for each in self.kept.columns if each.role == AXIS]

    @property
    def outputs(self) -> list[Column]:
        """What it works out."""
        return [each for each in self.kept.columns if each.role == OUTPUT and each.kind != TEXT]

    @cached_property
    def varied(self) -> list[Column]:
        """Axes with more than one value among the rows that take part."""
        return self.varied_where(self.fitting())

    def varied_where(self, condition: str) -> list[Column]:
        """The same among the rows that meet a condition."""
        if not self.axes:
            return []
        asks = ", ".join(f"min({each.quoted}) IS DISTINCT FROM max({each.quoted})" for each in self.axes)
        (found,) = self.place.all(f"SELECT {asks} FROM points WHERE {condition}")
        return [each for each, varies in zip(self.axes, found, strict=True) if varies]

    def values(self, column: Column) -> list[Any]:
        """The different values of a column, sorted. Raises WrongInput where there are too many."""
        found = self.few_values(column)
        if found is None:
            raise WrongInput(
                f"{column.name} has more than {MOST_VALUES} different values, expected an axis with fewer",
                hint="write SQL that puts them into ranges, like: floor(days / 10)",
            )
        return found

    def few_values(self, column: Column) -> list[Any] | None:
        """The same; None where there are too many."""
        name = column.quoted
        rows = self.place.all(
            f"SELECT DISTINCT {name} FROM points\nWHERE {self.fitting()} AND {name} IS NOT NULL\n"
            f"LIMIT {MOST_VALUES + 1}"
        )
        return sorted(row[0] for row in rows) if len(rows) <= MOST_VALUES else None

    def by(self, but: Column | None = None, usual: Sequence[str] = USUAL_OUTPUTS) -> Column:
        """The output that decides: as said, or the first usual one that the study has."""
        if self.asked.by:
            return find("--by", self.asked.by, self.outputs)
        outputs = [each for each in self.outputs if each != but]
        if not outputs:
            raise WrongInput("the study has no output that could decide", hint="name some under `outputs` of the study")
        named = [each for name in usual for each in outputs if each.name == name]
        return (named or outputs)[0]

    def most(self, column: Column) -> bool:
        """Whether the largest value of the output that decides is the best one. Raises WrongInput."""
        if self.asked.order not in ("", LEAST, MOST):
            raise WrongInput(f"--order: expected {LEAST} or {MOST}, got {self.asked.order!r}")
        return column.more_is_better if not self.asked.order else self.asked.order == MOST

    def per(self, usual: Iterable[str] = ("model",), but: Iterable[Column | None] = ()) -> list[Column]:
        """Columns whose values are kept apart."""
        if self.asked.per is None:
            found = [each for name in usual for each in self.varied if each.name == name]
        else:
            found = [find("--per", name, self.axes) for name in self.asked.per]
        taken = list(but)
        return [each for each in dict.fromkeys(found) if each not in taken]

    def numeric_axes(self) -> list[Column]:
        """Axes for a drawing: numbers, of the setting and not of the plan, that vary over few values."""
        return [
            each
            for each in self.varied
            if each.kind != TEXT and each.name not in PLAN and self.few_values(each) is not None
        ]

    def fitting(self, *finite: Column) -> str:
        """The condition for rows to take part: they are OK, have these figures, and meet the user's condition."""
        parts = [f"{STATUS} = {text(OK)}"] if any(each.name == STATUS for each in self.kept.columns) else []
        parts += [f"isfinite({each.quoted})" for each in finite]
        return "\n  AND ".join([*parts, *self.where]) or "true"

    @property
    def where(self) -> list[str]:
        """The user's own condition."""
        said = self.asked.where.strip()
        return [f"({said}\n)" if "--" in said else f"({said})"] if said else []

    def chosen(self, per: Sequence[Column], by: Column) -> str:
        """What a best row tells, as a struct: the axes that vary and are not kept apart, then the outputs."""
        named = [each for each in self.varied if each not in per]
        named.sort(key=lambda each: (each.name != "chip", each.name in PLAN))
        outputs = [by, *(each for each in self.outputs if each != by)]
        point = [each for each in self.kept.columns if each.name == POINT]
        return "{" + ", ".join(f"{text(each.name)}: {each.quoted}" for each in [*named, *outputs, *point]) + "}"

    def best_of(self, what: str, by: Column, n: int | None = None) -> str:
        """The aggregate that takes `what` from the best row; of equal ones the first."""
        sign = "-" if self.most(by) else ""
        many = "" if n is None else f", {n}"
        return f"arg_min({what}, {{'by': {sign}{by.quoted}, 'point': {POINT}}}{many})"

    def over(self, by: Column, apart: Sequence[Column | None]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Notes and warnings: over which axes the best is taken."""
        rest = [each for each in self.varied if each not in apart and each.name != "chip"]
        plan = [each.name for each in rest if each.name in PLAN]
        setting = [each.name for each in rest if each.name not in PLAN]
        end = MOST if self.most(by) else LEAST
        notes = [f"{by.name}: the {end} over {', '.join(plan)}"] if plan else []
        said = f"{by.name} is the {end} over all values of {', '.join(setting)}, too"
        warnings = [f"{said}: --per {setting[0]} keeps them apart, --where picks some"] if setting else []
        return tuple(notes), tuple(warnings)


def is_log(values: Sequence[float]) -> bool:
    """Whether an axis is geometric: its steps are more alike as ratios than as differences.

    >>> is_log([1, 2, 4, 8]), is_log([1, 2, 3, 4, 5]), is_log([0, 1])
    (True, False, False)
    """
    import itertools
    import math

    if len(values) < 2 or min(values) <= 0.0 or max(values) < LOG_SPREAD * min(values):
        return False
    if len(values) == 2:
        return True

    def unevenness(points: Sequence[float]) -> float:
        steps = [after - before for before, after in itertools.pairwise(points)]
        mean = sum(steps) / len(steps)
        return max(abs(each - mean) for each in steps) / mean

    return unevenness([math.log(each) for each in values]) < unevenness(values)


def names(columns: Iterable[Column]) -> str:
    """Columns with commas between them, for SQL."""
    return ", ".join(each.quoted for each in columns)


def lead(columns: Sequence[Column]) -> str:
    """The same with a comma at the end, where there are any."""
    return "".join(f"{each.quoted}, " for each in columns)
