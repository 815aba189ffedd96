"""`summary`, `spread` and `top`: what there is, how it is spread, and the best of it."""

from typing import Final

from clustercast.errors import WrongInput
from clustercast.studies.query.columns import STATUS, TEXT, text
from clustercast.studies.query.result import FREE, LINES, Picture
from clustercast.studies.query.terms import Ready, Terms, lead, names

QUANTILES: Final = {"p10": 0.1, "median": 0.5, "p90": 0.9}
MOST_EXACT_ROWS: Final = 10_000_000  # a median of more is approximate: an exact one holds all values in memory


def summary(terms: Terms) -> Ready:
    """Rows by status, values by axis, and least, median and most of every output."""
    condition = "".join(f"\nWHERE {each}" for each in terms.where)
    exact = terms.kept.n_rows <= MOST_EXACT_ROWS
    parts = [row_of(0, "rows", STATUS, "", "", f"FROM points{condition}\nGROUP BY {STATUS}", name=f"{STATUS}::VARCHAR")]
    if not any(each.name == STATUS for each in terms.kept.columns):
        parts = []
    for place, each in enumerate(terms.varied_where(" AND ".join(terms.where) or "true"), 1):
        numbers = each.quoted if each.kind != TEXT else ""
        source = f"FROM (SELECT DISTINCT {each.quoted} FROM points{condition})"
        parts.append(row_of(place, "axis", each.name, each.unit, numbers, source))
    for place, each in enumerate(terms.outputs, len(terms.axes) + 1):
        source = f"FROM points\nWHERE {terms.fitting(each)}"
        parts.append(row_of(place, "output", each.name, each.unit, each.quoted, source, exact=exact))
    counts = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in terms.kept.counts.items() if n)
    notes = [f"the sweep's count of points: {counts}"] if counts else []
    notes.append("of an axis: its different values; of an output: the rows that are ok and have it")
    if not exact:
        notes.append("medians of outputs are approximate")
    whole = "\nUNION ALL\n".join(parts)
    sql = f"SELECT * EXCLUDE (place) FROM (\n{whole}\n)\nORDER BY place, n DESC, name"
    return Ready("summary", sql, None, tuple(notes))


def row_of(
    place: int, what: str, of: str, unit: str, numbers: str, source: str, *, name: str = "", exact: bool = True
) -> str:
    """One row of the summary, or one per group: how many, and the least, the median and the most of some numbers."""
    middle = "median({})" if exact else "approx_quantile({}, 0.5)"
    figures = [
        f"{each.format(numbers)}::DOUBLE" if numbers else "NULL::DOUBLE" for each in ("min({})", middle, "max({})")
    ]
    named = ("least", "median", "most")
    said = ", ".join(f"{each} AS {end}" for each, end in zip(figures, named, strict=True))
    return (
        f"SELECT {place} AS place, {text(what)} AS what, {name or text(of)} AS name, count(*) AS n,\n"
        f"  {said}, {text(unit)} AS unit\n{source}"
    )


def spread(terms: Terms) -> Ready:
    """How an output is spread over all points of each chip, model and count: over samples, its distribution.

    Raises WrongInput.
    """
    by = terms.by()
    per = terms.per(("chip", "model", "count"))
    exact = terms.kept.n_rows <= MOST_EXACT_ROWS
    function = "quantile_cont" if exact else "approx_quantile"
    cuts = {name: f"{function}({by.quoted}, {share})" for name, share in QUANTILES.items()}
    told = {"least": f"min({by.quoted})", **cuts, "most": f"max({by.quoted})"}
    said = ",\n  ".join(f"{sql} AS {name}" for name, sql in told.items())
    end = f"GROUP BY {names(per)}\nORDER BY {names(per)}" if per else "HAVING count(*) > 0"
    sql = f"SELECT {lead(per)}count(*) AS n,\n  {said}\nFROM points\nWHERE {terms.fitting(by)}\n{end}"
    others = [each.name for each in terms.varied if each not in per]
    unit = f", {by.unit}" if by.unit and by.unit != by.name else ""
    notes = [f"{by.name}{unit}" + (f", over {', '.join(others)}" if others else "")]
    notes += [] if exact else ["approximate"]
    numbers = [each for each in per if each.kind != TEXT]
    texts = tuple(each.name for each in per if each.kind == TEXT)
    picture = (
        Picture(LINES, numbers[0].name, value="median", series=texts, title=f"median of {by.name}{unit}")
        if numbers
        else None
    )
    return Ready("spread", sql, picture, tuple(notes), (), dict.fromkeys(told, by.unit))


def top(terms: Terms) -> Ready:
    """The best points by an output, for each of `per`. Raises WrongInput."""
    by = terms.by()
    per = terms.per(())
    n = terms.asked.n
    if n < 1:
        raise WrongInput(f"--n: expected a whole number from 1, got {n}")
    order = f"{by.quoted}{' DESC' if terms.most(by) else ''}, point"
    best = terms.best_of(terms.chosen(per, by), by, n)
    end = f"\n  GROUP BY {', '.join(each.quoted for each in per)}" if per else "\n  HAVING count(*) > 0"
    sql = (
        f"FROM (\n  SELECT {lead(per)}unnest({best}, recursive := true)\n"
        f"  FROM points\n  WHERE {terms.fitting(by)}{end}\n)\nORDER BY {lead(per)}{order}"
    )
    return Ready("top", sql, Picture(FREE, terms.asked.x, terms.asked.y, by.name))
