"""`summary` and `top`: what there is, and the best of it."""

from typing import Final

from clustercast.errors import WrongInput
from clustercast.studies.query.columns import STATUS, TEXT, text
from clustercast.studies.query.result import FREE, Picture
from clustercast.studies.query.terms import Ready, Terms, lead

MOST_EXACT_ROWS: Final = 10_000_000  # a median of more is approximate: an exact one holds all values in memory


def summary(terms: Terms) -> Ready:
    """Rows by status, values by axis, and least, median and most of every output."""
    nothing = "NULL::DOUBLE AS least, NULL::DOUBLE AS median, NULL::DOUBLE AS most"
    condition = "".join(f"\nWHERE {each}" for each in terms.where)
    exact = terms.kept.n_rows <= MOST_EXACT_ROWS
    parts = []
    if any(each.name == STATUS for each in terms.kept.columns):
        parts.append(
            f"(SELECT 'rows' AS what, {STATUS}::VARCHAR AS name, count(*) AS n, {nothing},
  '' AS unit\n"
            f"FROM points{condition} GROUP BY {STATUS} ORDER BY n DESC, name)"
        )
    for each in terms.varied_where(" AND ".join(terms.where) or "true"):
        name = each.quoted
        figures = nothing if each.kind == TEXT else f"min({name})::DOUBLE, median({name})::DOUBLE, max({name})::DOUBLE"
        source = f"(SELECT DISTINCT {name} FROM points{condition})"
        parts.append(f"SELECT 'axis', {text(each.name)}, count(*), {figures}, {text(each.unit)}\nFROM {source}")
    for each in terms.outputs:
        name = each.quoted
        middle = f"median({name})" if exact else f"approx_quantile({name}, 0.5)"
        parts.append(
            f"SELECT 'output', {text(each.name)}, count(*), min({name}), {middle}, max({name}),\n"
            f"  {text(each.unit)}\n"
            f"FROM points WHERE {terms.fitting(each)}"
        )
    counts = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in terms.kept.counts.items())
    notes = [f"the sweep's count of points: {counts}"] if counts else []
    notes.append("of an axis: its different values; of an output: the rows that are ok and have it")
    if not exact:
        notes.append("medians of outputs are approximate")
    return Ready("summary", "\nUNION ALL ".join(parts), None, tuple(notes))


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
