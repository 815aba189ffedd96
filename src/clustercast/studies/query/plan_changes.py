"""`plan-changes`: along one axis, the stretches that one plan is the best of."""

from clustercast.errors import WrongInput
from clustercast.studies.query.columns import PLAN, Column, find, text
from clustercast.studies.query.result import RUNS, Picture
from clustercast.studies.query.terms import Ready, Terms, lead, names


def make(terms: Terms) -> Ready:
    """One row per stretch of the axis, for each model and chip. Raises WrongInput."""
    by = terms.by()
    x = along(terms)
    per = terms.per(("model", "chip"), but=[x])
    plan = compared(terms, x, per)
    fields = "{" + ", ".join(f"{text(each.name)}: {each.quoted}" for each in [*plan, by]) + "}"
    alike = " AND ".join(f"{each.quoted} IS NOT DISTINCT FROM lag({each.quoted}) OVER along" for each in plan)
    apart = f"PARTITION BY {names(per)} " if per else ""
    first, last, at_first, at_last = (
        f'"{name}"' for name in (f"{x.name} from", f"{x.name} to", f"{by.name} at first", f"{by.name} at last")
    )
    sql = (
        f"WITH best AS (\n  SELECT {lead(per)}{x.quoted}, unnest({terms.best_of(fields, by)})\n"
        f"  FROM points\n  WHERE {terms.fitting(by)}\n  GROUP BY {lead(per)}{x.quoted}\n), changes AS (\n"
        f"  SELECT *, CASE WHEN {alike} THEN 0 ELSE 1 END AS changed\n"
        f"  FROM best WINDOW along AS ({apart}ORDER BY {x.quoted})\n), runs AS (\n"
        f"  SELECT *, sum(changed) OVER ({apart}ORDER BY {x.quoted}) AS run FROM changes\n)\n"
        f"SELECT {lead(per)}min({x.quoted}) AS {first}, max({x.quoted}) AS {last}, count(*) AS steps,\n"
        f"  {', '.join(f'any_value({each.quoted}) AS {each.quoted}' for each in plan)},\n"
        f"  arg_min({by.quoted}, {x.quoted}) AS {at_first}, arg_max({by.quoted}, {x.quoted}) AS {at_last}\n"
        f"FROM runs\nGROUP BY {lead(per)}run\nORDER BY {lead(per)}{first}"
    )
    follows = [each for each in terms.varied if each.name in PLAN and each not in (*plan, *per, x)]
    notes, warnings = terms.over(by, [*per, x, *plan, *follows])
    if follows:
        notes = (*notes, f"not compared: {', '.join(each.name for each in follows)}, which follows {x.name}")
    made = {f"{x.name} from": x.unit, f"{x.name} to": x.unit, f"{by.name} at first": by.unit,
            f"{by.name} at last": by.unit, "steps": ""}  # fmt: skip
    picture = Picture(
        RUNS,
        f"{x.name} from",
        series=tuple(each.name for each in per),
        labels=tuple(each.name for each in plan),
        x_to=f"{x.name} to",
        title=f"the plan with the {'most' if terms.most(by) else 'least'} {by.name}",
    )
    return Ready("plan-changes", sql, picture, notes, warnings, made)


def along(terms: Terms) -> Column:
    """The axis: as said, or the chips' count, or the first of the setting's that varies. Raises WrongInput."""
    numbers = [each for each in terms.axes if each.kind != "text"]
    if terms.asked.x:
        return find("--x", terms.asked.x, numbers)
    found = terms.numeric_axes()
    if not found:
        there = ", ".join(each.name for each in numbers) or "none"
        raise WrongInput(f"plan-changes needs an axis of numbers with more than one value; there are {there}")
    return next((each for each in found if each.name == "count"), found[0])


def compared(terms: Terms, x: Column, per: list[Column]) -> list[Column]:
    """The columns that make a plan another one. Raises WrongInput.

    Data parallelism takes what chips are left: along their count, or another dimension, `dp` alone changes nothing. A
    chip that is not kept apart is part of what is chosen.
    """
    found = [
        each
        for each in terms.varied
        if (each.name in PLAN or each.name == "chip") and each not in per and each != x
        and not (each.name == "dp" and (x.name == "count" or x.name in PLAN))
    ]  # fmt: skip
    if not found:
        raise WrongInput("plan-changes: the study has one plan only", hint="give tp, pp or the like more values")
    return sorted(found, key=lambda each: each.name != "chip")
