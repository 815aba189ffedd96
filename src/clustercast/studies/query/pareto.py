"""`pareto`: the points that no other one beats in both of two figures."""

from typing import Final

from clustercast.errors import WrongInput
from clustercast.studies.query.columns import PLAN, Column, find
from clustercast.studies.query.result import FRONT, Picture
from clustercast.studies.query.terms import USUAL_COSTS, USUAL_OUTPUTS, Ready, Terms, lead, names

CELLS: Final = 64  # per factor of e of the first figure: how finely points are sorted out before they are sorted


def make(terms: Terms) -> Ready:
    """The front of two columns, for each model. Raises WrongInput.

    Points are first put into narrow cells of the first figure; whatever is no better in the second one than the best of
    all cells before is dropped before anything is sorted, so that memory holds the rest.
    """
    x, y = axes(terms)
    per = terms.per()
    key = lead(per)
    joined = ", ".join([*(each.quoted for each in per), "cell"])
    apart = f"PARTITION BY {names(per)} " if per else ""
    told = [*per, x, y, *(each for each in ordered(terms) if each not in (*per, x, y))]
    sql = (
        f"WITH fits AS (\n  SELECT {key}point, {signed(x)} AS x, {signed(y)} AS y,\n"
        f"    {'-' if x.more_is_better else ''}floor({CELLS} * ln(greatest({x.quoted}, 1e-300))) AS cell\n"
        f"  FROM points\n  WHERE {terms.fitting(x, y)}\n), cells AS (\n"
        f"  SELECT {joined}, min(y) AS least FROM fits GROUP BY {joined}\n), bounds AS (\n"
        f"  SELECT {joined}, min(least) OVER ({apart}ORDER BY cell\n"
        f"    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before\n  FROM cells\n), near AS (\n"
        f"  SELECT fits.* FROM fits JOIN bounds USING ({joined}) WHERE before IS NULL OR y < before\n), front AS (\n"
        f"  SELECT point FROM near QUALIFY coalesce(y < min(y) OVER ({apart}ORDER BY x, y, point\n"
        f"    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true)\n)\n"
        f"SELECT {names(told)}, point\nFROM points JOIN front USING (point)\n"
        f"ORDER BY {key}{x.quoted}{' DESC' if x.more_is_better else ''}"
    )
    labels = tuple(each.name for each in terms.varied if each.name == "chip" and each not in per)
    picture = Picture(FRONT, x.name, y.name, series=tuple(each.name for each in per), labels=labels)
    ends = " and ".join(f"{'more' if each.more_is_better else 'less'} {each.name}" for each in (x, y))
    return Ready("pareto", sql, picture, (f"better: {ends}",))


def axes(terms: Terms) -> tuple[Column, Column]:
    """The two figures: as said, or time against money. Raises WrongInput."""
    numbers = [*terms.outputs, *(each for each in terms.axes if each.kind != "text")]
    x = find("--x", terms.asked.x, numbers) if terms.asked.x else None
    y = find("--y", terms.asked.y, numbers) if terms.asked.y else None
    if x is None:
        x = terms.by(y)
    if y is None:
        if len([each for each in terms.outputs if each != x]) == 0:
            raise WrongInput(f"pareto needs two outputs; the study has {x.name} alone", hint="name a number with --y")
        y = terms.by(x, (*USUAL_COSTS, *USUAL_OUTPUTS))
    if x == y:
        raise WrongInput(f"--y: {x.name} is --x already")
    return x, y


def signed(column: Column) -> str:
    """The figure so that less is better."""
    return f"-{column.quoted}" if column.more_is_better else column.quoted


def ordered(terms: Terms) -> list[Column]:
    """What a point is: the chip, the setting, the plan, the outputs."""
    varied = sorted(terms.varied, key=lambda each: (each.name != "chip", each.name in PLAN))
    return [*varied, *terms.outputs]
