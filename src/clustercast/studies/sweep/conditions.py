"""Conditions of a study: SQL expressions on the names of its axes, read and evaluated by DuckDB.

Every expression is taken apart by DuckDB's own parser first. Only comparisons, arithmetic and a few functions on names
and numbers may stand in it: no subqueries, no other tables, nothing that draws or asks the machine. What is evaluated
is the text that DuckDB makes of the tree, on a connection that cannot reach files.

A condition on few axes is a table of as many truths as these axes have combinations, made once; one on more than
`MOST_TRUTHS` combinations is evaluated for every block of points.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clustercast import units
from clustercast.errors import WrongInput
from clustercast.plans.text import NAMED
from clustercast.studies.sweep import names, values
from clustercast.studies.sweep.space import PLAN, SERVING, TRAINING

if TYPE_CHECKING:
    import numpy as np

    from clustercast.studies.sweep.space import Axis, Range, Space

MOST_TRUTHS: Final = 2**20
TRIED: Final = 1_000  # points that a condition on more is tried on when the study is read

OPERATORS: Final = ("+", "-", "*", "/", "//", "%", "**", "^", "&", "|", "<<", ">>", "~~", "!~~")
FUNCTIONS: Final = (
    "abs", "ceil", "ceiling", "contains", "ends_with", "exp", "floor", "gcd", "greatest", "lcm", "least", "ln", "log",
    "log10", "log2", "mod", "pow", "power", "prefix", "round", "sign", "sqrt", "starts_with", "suffix",
)  # fmt: skip
_NODES: Final = ("OPERATOR_NOT", "OPERATOR_COALESCE", "COMPARE_IN", "COMPARE_NOT_IN")
_CLASSES: Final = {
    "COLUMN_REF": "a name",
    "CONSTANT": "a number",
    "COMPARISON": "a comparison",
    "CONJUNCTION": "and, or",
    "OPERATOR": "not, in",
    "BETWEEN": "between",
    "FUNCTION": "arithmetic",
    "CASE": "case",
}
_EXPECTED: Final = "expected names, numbers, comparisons, arithmetic, and, or, not, in, between, case"


class UnfitCondition(WrongInput):
    """A condition that cannot be read or evaluated, and which one of the study's it is."""

    def __init__(self, place: int, error: WrongInput) -> None:
        super().__init__(error.message, hint=error.hint)
        self.place = place


class Column(NamedTuple):
    """What a name in a condition stands for."""

    values: tuple[Any, ...]  # text, ints or floats; none for a sampled number
    place: int | None  # which column of the indices chooses the value; None: it is fixed
    sample: int | None = None  # which of the sampled numbers it is
    dimension: str = ""  # of a number in base units
    catalogue: str = ""  # chip, model, stack ...: may be written by alias


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition that has been read."""

    text: str  # as it was written
    sql: str  # as DuckDB writes it
    names: tuple[str, ...]
    places: tuple[int, ...]  # the columns of the indices that it depends on
    truths: Any  # bool, one per combination of these; None: too many


def columns_of(space: "Space") -> dict[str, Column]:
    """Every name that conditions may use; made once for a study."""
    if "columns" in space._kept:
        kept: dict[str, Column] = space._kept["columns"]
        return kept
    found = {each.name: _of_axis(each, place) for place, each in enumerate(space.axes)}
    found |= {name: _of_fixed(name, value) for name, value in space.fixed.items()}
    if space.samples is not None:
        last = len(space.axes)
        found |= {each.name: _of_range(each, last, i) for i, each in enumerate(space.samples.axes)}
    space._kept["columns"] = found
    return found


def _of_axis(axis: "Axis", place: int) -> Column:
    shown = tuple(_shown(axis.name, each) for each in axis.values) if axis.kind == PLAN else axis.values
    dimension = "" if axis.relative else axis.dimension
    return Column(shown, place, None, dimension, _catalogue(axis.name))


def _of_fixed(name: str, value: Any) -> Column:
    dimension = "count" if name in names.WHOLES[TRAINING] + names.WHOLES[SERVING] else ""
    return Column((_shown(name, value),), None, None, dimension, _catalogue(name))


def _of_range(range_: "Range", place: int, sample: int) -> Column:
    return Column((), place, sample, "" if range_.relative else range_.dimension)


def _catalogue(name: str) -> str:
    return name if name in names.TEXTS[TRAINING] + names.TEXTS[SERVING] else ""


def _shown(name: str, value: Any) -> Any:
    """A value as conditions see it: codes by their words."""
    words = NAMED.get(name)
    return words[value] if words is not None and isinstance(value, int) and value >= 0 else value


# reading


def check(space: "Space") -> None:
    """Read all conditions and try them. Raises UnfitCondition."""
    compiled(space)


def compiled(space: "Space") -> tuple[Condition, ...]:
    """All conditions, read once for a study. Raises UnfitCondition."""
    if "conditions" not in space._kept:
        columns = columns_of(space)
        space._kept["conditions"] = tuple(
            _compiled(space, columns, place, text) for place, text in enumerate(space.conditions)
        )
    found: tuple[Condition, ...] = space._kept["conditions"]
    return found


def _compiled(space: "Space", columns: dict[str, Column], at: int, text: str) -> Condition:
    import numpy as np

    try:
        sql, used = expression(text, columns)
    except WrongInput as error:
        raise UnfitCondition(at, error) from None
    places = tuple(sorted({place for name in used if (place := columns[name].place) is not None}))
    shape = [space.shape[place] for place in places]
    n = prod(shape)
    whole = n <= MOST_TRUTHS
    chosen = np.arange(n, dtype=np.int64) if whole else _spread(n, TRIED)
    indices = dict(zip(places, unravelled(chosen, shape), strict=True))
    try:
        truths = _evaluated(space, columns, sql, used, indices, len(chosen))
    except WrongInput as error:
        raise UnfitCondition(at, error) from None
    if whole and not truths.any():
        raise UnfitCondition(at, WrongInput("holds for no point of the study"))
    return Condition(text, sql, used, places, truths if whole else None)


def _spread(n: int, most: int) -> "np.ndarray":
    import numpy as np

    return np.sort(np.random.default_rng(0).integers(0, n, most))


def unravelled(flat: "np.ndarray", shape: Sequence[int]) -> "list[np.ndarray]":
    """Mixed-radix digits of numbers, the first slowest.

    >>> import numpy as np
    >>> [each.tolist() for each in unravelled(np.arange(6), (2, 3))]
    [[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]]
    """
    digits = []
    for length in reversed(shape):
        digits.append(flat % length)
        flat = flat // length
    return digits[::-1]


def expression(text: str, columns: dict[str, Column]) -> tuple[str, tuple[str, ...]]:
    """A condition as DuckDB writes it, and the names in it. Raises WrongInput for what is none."""
    tree = _parsed(text)
    found: set[str] = set()
    root = tree["statements"][0]["node"]["select_list"][0]
    nodes = list(_walk(root))
    for node in nodes:
        _allowed(node)
    for node in nodes:
        if node["class"] == "COLUMN_REF":
            found.add(_named(node, columns))
    for node in nodes:
        _written(node, columns)
    row = _connection().cursor().execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)]).fetchone()
    return str(row[0]).removeprefix("SELECT ").strip(), tuple(sorted(found))


def _parsed(text: str) -> dict[str, Any]:
    """The tree of one expression."""
    duckdb = _duckdb()
    if not text.strip():
        raise WrongInput(f"is empty, {_EXPECTED}")
    try:
        row = _connection().cursor().execute("SELECT json_serialize_sql(?)", [f"SELECT (\n{text}\n)"]).fetchone()
    except duckdb.Error as error:
        raise WrongInput(_problem(str(error))) from None
    tree: dict[str, Any] = json.loads(row[0])
    if tree.get("error_type") == "not implemented":
        raise WrongInput(f"is more than one expression, {_EXPECTED}")
    if tree.get("error"):
        problem = _problem(str(tree.get("error_message", "cannot be read")))
        closed = problem.endswith('near ")"') and text.count(")") <= text.count("(")
        raise WrongInput("is not finished: something is missing at its end" if closed else problem)
    nodes = [each.get("node", {}) for each in tree["statements"]]
    plain = (
        len(nodes) == 1
        and nodes[0].get("type") == "SELECT_NODE"
        and nodes[0]["from_table"]["type"] == "EMPTY"
        and len(nodes[0]["select_list"]) == 1
        and not any(
            nodes[0].get(each) for each in ("where_clause", "group_expressions", "having", "qualify", "modifiers")
        )
        and not nodes[0].get("cte_map", {}).get("map")
    )
    if not plain:
        raise WrongInput(f"is more than one expression, {_EXPECTED}")
    return tree


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every expression of a tree, from the root down."""
    yield node
    for value in node.values():
        for child in _inside(value):
            yield from _walk(child)


def _inside(value: Any) -> Iterator[dict[str, Any]]:
    """The nearest expressions below a value of the tree."""
    if isinstance(value, dict):
        if "class" in value:
            yield value
        else:
            for each in value.values():
                yield from _inside(each)
    if isinstance(value, list):
        for each in value:
            yield from _inside(each)


def _allowed(node: dict[str, Any]) -> None:
    """Raises WrongInput for what no condition may hold."""
    kind = node["class"]
    if kind not in _CLASSES:
        raise WrongInput(f"holds a {kind.lower().replace('_', ' ')}, {_EXPECTED}")
    if kind == "OPERATOR" and node["type"] not in _NODES:
        raise WrongInput(f"holds {node['type'].lower().replace('_', ' ')}, {_EXPECTED}")
    if kind == "FUNCTION":
        name = str(node["function_name"])
        known = name in FUNCTIONS or name in OPERATORS
        if not known or node.get("schema") or node.get("catalog") or node.get("filter"):
            raise WrongInput(f"{name[:40]!r} is no function of a condition", hint=f"there are {', '.join(FUNCTIONS)}")


def _named(node: dict[str, Any], columns: dict[str, Column]) -> str:
    """The name that a reference means, with its dots in one piece from here on."""
    import difflib

    written = ".".join(node["column_names"])
    name = written.lower()
    if name not in columns:
        near = difflib.get_close_matches(name, columns, 1, 0.7)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(columns)}"
        if name in names.PLANS[TRAINING] + names.PLANS[SERVING]:
            hint = f"give {name} under axes or fixed"
        raise WrongInput(f"{written[:80]!r} is neither an axis nor fixed", hint=hint)
    node["column_names"] = [name]
    return name


def _written(node: dict[str, Any], columns: dict[str, Column]) -> None:
    """Text that stands beside a name becomes what it means there: an alias a name, a quantity its base units."""
    kind = node["class"]
    if kind == "COMPARISON":
        operands = [node["left"], node["right"]]
    elif kind == "BETWEEN":
        operands = [node["input"], node["lower"], node["upper"]]
    elif kind == "OPERATOR" and node["type"] in ("COMPARE_IN", "COMPARE_NOT_IN"):
        operands = node["children"]
    else:
        return
    named = [each["column_names"][0] for each in operands if each["class"] == "COLUMN_REF"]
    for each in operands:
        literal = each.get("literal", {}) if each["class"] == "CONSTANT" else {}
        if len(named) != 1:
            continue
        if literal.get("kind") == "STRING":
            each["literal"] = _meant(named[0], columns[named[0]], literal)
        elif literal.get("kind") == "BOOLEAN" and NAMED.get(named[0]) == ("no", "yes"):
            each["literal"] = {"kind": "STRING", "text": "yes" if literal["text"] == "true" else "no"}


def _meant(name: str, column: Column, literal: dict[str, Any]) -> dict[str, Any]:
    """What a text means beside a name. Raises WrongInput for what the name can never be."""
    text = str(literal["text"])
    if column.dimension:
        try:
            return {"kind": "NUMERIC", "text": f"{units.parse(text, column.dimension)!r}"}
        except ValueError as error:
            raise WrongInput(f"{name}: {error}") from None
    if text in column.values:
        return literal
    if column.catalogue:
        return literal | {"text": values.resolved(column.catalogue, text)}
    words = NAMED.get(name, tuple(each for each in column.values if isinstance(each, str)))
    if not words:
        raise WrongInput(f"{name} is a number, expected no text {text[:40]!r}")
    if text not in words:
        raise WrongInput(f"{name}: {text[:40]!r} is not one of {', '.join(words)}")
    return literal


# evaluating


def mask(space: "Space", indices: "np.ndarray") -> "np.ndarray":
    """Which points meet all conditions: bool [n] from the indices [n, axes] of their values."""
    import numpy as np

    found: np.ndarray = np.ones(len(indices), bool)
    if not len(indices):
        return found
    columns = columns_of(space)
    for at, each in enumerate(compiled(space)):
        chosen = {place: indices[:, place] for place in each.places}
        if each.truths is None:
            try:
                found &= _evaluated(space, columns, each.sql, each.names, chosen, len(indices))
            except WrongInput as error:
                raise UnfitCondition(at, WrongInput(f"where: {each.text}: {error.message}")) from None
            continue
        flat: np.ndarray = np.zeros(len(indices), np.int64)
        for place in each.places:
            flat *= space.shape[place]
            flat += chosen[place]
        found &= each.truths[flat]
    return found


def _evaluated(
    space: "Space",
    columns: dict[str, Column],
    sql: str,
    used: tuple[str, ...],
    indices: "dict[int, np.ndarray]",
    n: int,
) -> "np.ndarray":
    """A condition for n points: bool; where it is unknown (a division by zero) it does not hold."""
    import numpy as np

    duckdb = _duckdb()
    block = _block(space, {name: columns[name] for name in used}, indices, n)
    connection = _connection().cursor()
    try:
        connection.register("points_of_study", block)
        done = connection.sql(f"SELECT {sql} AS holds FROM points_of_study")
        kind = str(done.types[0])
        if kind != "BOOLEAN":
            raise WrongInput(f"is not true or false but {_kind_name(kind)}, expected a comparison")
        table = done.to_arrow_table()
    except duckdb.Error as error:
        raise WrongInput(_problem(str(error))) from None
    finally:
        connection.close()
    holds = table.column(0).fill_null(False)
    found: np.ndarray = holds.to_numpy(zero_copy_only=False).astype(bool)
    return found


def _block(space: "Space", columns: dict[str, Column], indices: "dict[int, np.ndarray]", n: int) -> Any:
    """The columns of n points as an Arrow table; `n` itself where a condition names nothing."""
    import numpy as np
    import pyarrow as pa

    arrays: dict[str, Any] = {"row": pa.array(np.zeros(n, np.int8))} if not columns else {}
    for name, column in columns.items():
        if column.sample is not None and column.place is not None:
            chosen = indices[column.place]
            first, last = int(chosen.min()), int(chosen.max()) + 1
            drawn = space.sampled(first, last)[:, column.sample]
            arrays[name] = pa.array(np.ascontiguousarray(drawn[chosen - first]))
            continue
        place = np.zeros(n, np.int64) if column.place is None else indices[column.place]
        if isinstance(column.values[0], str):
            arrays[name] = pa.DictionaryArray.from_arrays(pa.array(place.astype(np.int32)), pa.array(column.values))
        else:
            kind = np.float64 if any(isinstance(each, float) for each in column.values) else np.int64
            arrays[name] = pa.array(np.asarray(column.values, kind)[place])
    return pa.table(arrays)


def _kind_name(kind: str) -> str:
    return "text" if kind == "VARCHAR" else "a number"


def _duckdb() -> Any:
    try:
        import duckdb
        import pyarrow as pa
    except ImportError as error:
        raise WrongInput(
            f"conditions need the package {error.name}", hint="install it with: pip install 'clustercast[sweep]'"
        ) from None
    return duckdb if pa is not None else None


@cache
def _connection() -> Any:
    """A database of its own that reaches no file and no network, and whose settings are locked."""
    connection = _duckdb().connect(
        ":memory:",
        config={
            "threads": 1,
            "enable_external_access": False,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "python_enable_replacements": False,
        },
    )
    connection.execute("SET lock_configuration = true")
    return connection


def _problem(text: str) -> str:
    """What DuckDB found wrong, in one line."""
    line = text.strip().split("\n")[0]
    for head in (
        "Parser Error: ",
        "Binder Error: ",
        "Out of Range Error: ",
        "Conversion Error: ",
        "Invalid Input Error: ",
    ):
        line = line.removeprefix(head)
    line = "".join(each if each.isprintable() else "?" for each in line)[:200]
    return line[:1].lower() + line[1:]
