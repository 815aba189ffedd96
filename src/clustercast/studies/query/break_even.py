"""`break-even`: where one chip overtakes another."""

from clustercast.errors import WrongInput
from clustercast.studies.query.columns import Column, find, quoted, text
from clustercast.studies.query.result import RATIO, Picture
from clustercast.studies.query.terms import Ready, Terms, is_log, lead, names


def make(terms: Terms) -> Ready:
    """The best of one chip over the best of the other at every value of one or two axes, and where that is 1.

    Raises WrongInput.
    """
    one, other = pair(terms)
    chip = find("break-even", "chip", terms.axes)
    by = terms.by()
    x, y = axes(terms)
    per = terms.per(but=[x, y, chip])
    apart = [*per, *([y] if y else [])]
    keys = [*apart, x]
    end = "max" if terms.most(by) else "min"
    better = f"ratio {'>' if terms.most(by) else '<'} 1"
    a, b = f"a_{by.name}", f"b_{by.name}"
    crossed = {"even_x": crossing(x, is_log(terms.values(x)))}
    windows = [f"by_x AS ({within(apart)}ORDER BY {x.quoted})"]
    before = ["lag(ratio) OVER by_x AS ratio_x", f"lag({x.quoted}) OVER by_x AS before_x"]
    if y is not None:
        crossed["even_y"] = crossing(y, is_log(terms.values(y)), "y")
        windows.append(f"by_y AS ({within([*per, x])}ORDER BY {y.quoted})")
        before += ["lag(ratio) OVER by_y AS ratio_y", f"lag({y.quoted}) OVER by_y AS before_y"]
    even = ",\n  ".join(f"{sql} AS {name}" for name, sql in crossed.items())
    sql = (
        f"WITH best AS (\n  SELECT {names(keys)},\n"
        f"    {end}({by.quoted}) FILTER (WHERE {chip.quoted} = {text(one)}) AS a,\n"
        f"    {end}({by.quoted}) FILTER (WHERE {chip.quoted} = {text(other)}) AS b\n"
        f"  FROM points\n  WHERE {terms.fitting(by)}\n  AND {chip.quoted} IN ({text(one)}, {text(other)})\n"
        f"  GROUP BY {names(keys)}\n), compared AS (\n"
        f"  SELECT *, a / b AS ratio FROM best\n), stepped AS (\n"
        f"  SELECT *, {', '.join(before)}\n  FROM compared WINDOW {', '.join(windows)}\n)\n"
        f"SELECT {lead(keys)}a AS {quoted(a)}, b AS {quoted(b)}, ratio,\n"
        f"  CASE WHEN ratio = 1 THEN 'even' WHEN {better} OR b IS NULL THEN {text(one)}\n"
        f"    ELSE {text(other)} END AS better,\n"
        f"  {even}\nFROM stepped\nORDER BY {names(keys)}"
    )
    notes, warnings = terms.over(by, [*keys, chip])
    even_at = " and ".join(f"even_{name}: {each.name}" for name, each in (("x", x), ("y", y)) if each)
    notes = (
        f"ratio: {by.name} of {one} (a) over those of {other} (b); {'more' if terms.most(by) else 'less'} than 1: "
        f"{one} is better",
        f"{even_at} where it is 1, between this step and the one before",
        *notes,
    )
    made = {a: by.unit, b: by.unit, "ratio": "", "even_x": x.unit, "even_y": y.unit if y else ""}
    picture = Picture(
        RATIO,
        x.name,
        y.name if y else "",
        "ratio",
        tuple(each.name for each in per),
        title=f"{by.name} of {one} over those of {other}",
    )
    return Ready("break-even", sql, picture, notes, warnings, made)


def pair(terms: Terms) -> tuple[str, str]:
    """The two chips, as the study calls them. Raises WrongInput."""
    column = find("break-even", "chip", terms.axes)
    there = in_order(terms, column)
    asked = terms.asked.chips or tuple(there[:2])
    if len(asked) != 2:
        expected = "two names with a comma between them" if terms.asked.chips else "a study of two chips or more"
        raise WrongInput(f"--chips: expected {expected}, got {len(asked)}: {', '.join(asked)}")
    one, other = (named(each, there) for each in asked)
    if one == other:
        raise WrongInput(f"--chips: expected two chips, got {one} twice")
    return one, other


def in_order(terms: Terms, column: Column) -> list[str]:
    """The chips in the order in which the study names them."""
    rows = terms.place.all(f"SELECT {column.quoted} FROM points WHERE {terms.fitting()} GROUP BY 1 ORDER BY min(point)")
    return [str(row[0]) for row in rows]


def named(name: str, there: list[str]) -> str:
    """A chip of the study by its name, its beginning, or an alias of the catalogue. Raises WrongInput."""
    from clustercast import catalog

    wanted = name.strip().lower()
    begins = [each for each in there if each.lower().startswith(wanted)]
    if wanted in there or len(begins) == 1:
        return wanted if wanted in there else begins[0]
    try:
        resolved = catalog.find_chip(wanted).name
    except WrongInput:
        resolved = ""
    if resolved in there:
        return resolved
    raise WrongInput(f"--chips: the study has no chip {name.strip()!r}; there are {', '.join(there)}")


def axes(terms: Terms) -> tuple[Column, Column | None]:
    """The one or two axes: as said, or the first of the setting's that vary. Raises WrongInput."""
    numbers = [each for each in terms.axes if each.kind != "text"]
    x = find("--x", terms.asked.x, numbers) if terms.asked.x else None
    y = find("--y", terms.asked.y, numbers) if terms.asked.y else None
    rest = [each for each in terms.numeric_axes() if each not in (x, y)]
    if x is None:
        if not rest:
            there = ", ".join(each.name for each in numbers) or "none"
            raise WrongInput(f"break-even needs an axis of numbers with more than one value; there are {there}")
        x = rest.pop(0)
        if y is None and rest:
            y = rest[0]
    if x == y:
        raise WrongInput(f"--y: {x.name} is --x already")
    return x, y


def within(columns: list[Column]) -> str:
    """The part of a window that keeps columns apart."""
    return f"PARTITION BY {names(columns)} " if columns else ""


def crossing(axis: Column, geometric: bool, window: str = "x") -> str:
    """Where the ratio is 1 between the step before and this one, interpolated in its logarithm; NULL if it is not.

    geometric  the axis, too, in its logarithm
    """
    before, here = f"before_{window}", axis.quoted
    share = f"ln(ratio_{window}) / (ln(ratio_{window}) - ln(ratio))"
    at = f"{before} * ({here} / {before}) ** ({share})" if geometric else f"{before} + ({here} - {before}) * {share}"
    crosses = f"(ratio_{window} < 1 AND ratio >= 1) OR (ratio_{window} > 1 AND ratio <= 1)"
    return f"CASE WHEN {crosses}\n    THEN {at} END"
