"""`best`: the best chip and plan within each budget."""

from collections.abc import Iterator
from typing import Final

from clustercast import units
from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.query.columns import Column, find
from clustercast.studies.query.result import LINES, Picture
from clustercast.studies.query.terms import USUAL_COSTS, USUAL_OUTPUTS, Ready, Terms, lead

MONEY: Final = ("usd", "cost", "money")
MOST_SAID: Final = 8  # of what has no point within the bounds


def make(terms: Terms) -> Ready:
    """The best point for each model and budget. Raises WrongInput."""
    budget, values = budgets(terms)
    usual = USUAL_COSTS if budget is not None and budget in terms.outputs and "usd" not in budget.name else ()
    by = terms.by(budget, (*usual, *USUAL_OUTPUTS))
    per = terms.per(but=[budget])
    count = [each for each in terms.varied if each.name == "count"]  # how many is a part of the choice
    notes, warnings = terms.over(by, [*per, budget, *count])
    if budget is not None:
        notes = (*notes, *out_of_reach(terms, per, by, budget, values))
    best = f"unnest({terms.best_of(terms.chosen(per, by), by)})"
    if budget is None:
        sql = f"SELECT {lead(per)}{best}\nFROM points\nWHERE {terms.fitting(by)}\n" + grouped(per, "")
        return Ready("best", sql, None, notes, warnings)
    within = f"{budget.name}_at_most"
    listed = ", ".join(map(repr, values))
    sql = (
        f'SELECT {lead(per)}budget AS "{within}", {best}\n'
        f"FROM points CROSS JOIN (SELECT unnest([{listed}]) AS budget)\n"
        f"WHERE {terms.fitting(by, budget)}\n  AND {budget.quoted} <= budget\n" + grouped(per, "budget")
    )
    labels = tuple(each.name for each in terms.varied if each.name == "chip")
    picture = Picture(LINES, within, value=by.name, series=tuple(each.name for each in per), labels=labels)
    return Ready("best", sql, picture, notes, warnings, {within: budget.unit})


def out_of_reach(terms: Terms, per: list[Column], by: Column, budget: Column, values: list[float]) -> Iterator[str]:
    """Says of what there is no point within any of the bounds, and from where on there is one. Raises NoAnswer."""
    most = max(values)
    rows = terms.place.all(
        f"SELECT {lead(per)}min({budget.quoted})\nFROM points\nWHERE {terms.fitting(by, budget)}\n" + grouped(per, "")
    )
    beyond = [row for row in rows if row[-1] > most]
    if rows and len(beyond) == len(rows):
        least = min(row[-1] for row in rows)
        raise NoAnswer(f"best: no point has {budget.name} of {most:.6g} or less", hint=f"the least is {least:.4g}")
    said = [f"{', '.join(map(str, row[:-1]))} ({row[-1]:,.4g} at least)" for row in beyond]
    if said:
        more = f", and {len(said) - MOST_SAID:,} more" if len(said) > MOST_SAID else ""
        yield f"none with {budget.name} of {most:,.6g} or less: {'; '.join(said[:MOST_SAID])}{more}"


def grouped(per: list[Column], last: str) -> str:
    """The end of the statement: one row per group, or the one there is."""
    keys = ", ".join([*(each.quoted for each in per), *([last] if last else [])])
    return f"GROUP BY {keys}\nORDER BY {keys}" if keys else "HAVING count(*) > 0"


def budgets(terms: Terms) -> tuple[Column | None, list[float]]:
    """The column that is bounded and its bounds. Raises WrongInput."""
    said, _, listed = terms.asked.budget.partition("=")
    numbers = [each for each in terms.kept.columns if each.kind != "text" and each.name != "point"]
    if not said.strip():
        count = [each for each in terms.varied if each.name == "count"]
        return (count[0], terms.values(count[0])) if count else (None, [])
    if said.strip().lower() in MONEY:
        said = next((name for name in USUAL_COSTS for each in numbers if each.name == name), said)
    budget = find("--budget", said, numbers)
    if not listed.strip():
        if budget in terms.outputs:
            raise WrongInput(f"--budget: {budget.name} needs values", hint=f"write --budget {budget.name}=30,90")
        return budget, terms.values(budget)
    return budget, [number(each) for each in listed.split(",") if each.strip()]


def number(said: str) -> float:
    """A bound as people write it: 30, 10k, 5M. Raises WrongInput.

    >>> number(" 5M")
    5000000.0
    """
    try:
        return units.parse(said.strip(), "count")
    except ValueError:
        raise WrongInput(f"--budget: expected numbers like 30 or 5M, got {said.strip()!r}") from None
