"""The ready-made questions: each is SQL over the columns that the study has."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from clustercast.errors import WrongInput
from clustercast.studies.query import best, break_even, pareto, plan_changes, tables
from clustercast.studies.query.asked import QueryAsked
from clustercast.studies.query.folder import Kept
from clustercast.studies.query.terms import Ready, Terms

if TYPE_CHECKING:
    from clustercast.studies.query.sandbox import Sandbox


class Question(NamedTuple):
    """A ready-made question."""

    make: Callable[[Terms], Ready]
    title: str
    options: tuple[str, ...]  # of QueryAsked that it takes


QUESTIONS: Final = {
    "best": Question(
        best.make,
        "the best chip and plan for each model and budget (count, days, rent_usd)",
        ("by", "budget", "per", "where", "order"),
    ),
    "break-even": Question(
        break_even.make,
        "where one chip overtakes another, over one or two axes",
        ("by", "x", "y", "chips", "per", "where", "order"),
    ),
    "pareto": Question(
        pareto.make, "what no other point beats in both of two outputs, for each model", ("x", "y", "per", "where")
    ),
    "plan-changes": Question(
        plan_changes.make,
        "where the best plan changes along an axis, for each model and chip",
        ("by", "x", "per", "where", "order"),
    ),
    "spread": Question(
        tables.spread,
        "least, 10 %, median, 90 % and most of an output, for each chip, model and count",
        ("by", "per", "where"),
    ),
    "summary": Question(tables.summary, "rows by status; least, median and most of every output", ("where",)),
    "top": Question(tables.top, "the best points by an output", ("by", "n", "per", "where", "order", "x", "y")),
}
TAKEN: Final = ("by", "budget", "chips", "order", "per", "where", "x", "y")


def made(name: str, asked: QueryAsked, kept: Kept, place: "Sandbox") -> Ready:
    """The SQL of a question. Raises WrongInput where the study lacks a column or an option is not for it."""
    question = QUESTIONS[name]
    for option in TAKEN:
        if getattr(asked, option) and option not in question.options:
            takes = ", ".join(f"--{each}" for each in question.options)
            raise WrongInput(f"--{option} is not for {name!r}, which takes {takes}")
    return question.make(Terms(asked, kept, place))
