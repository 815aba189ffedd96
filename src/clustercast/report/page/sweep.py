"""A sweep as the sections of a page: what was asked, and what the ready-made questions find."""

from typing import Any

from clustercast.errors import WrongInput
from clustercast.report import query_plot
from clustercast.report.charts.theme import Spec, config
from clustercast.report.page.parts import Cell, Grid, Page, Section
from clustercast.report.text import counted
from clustercast.studies.query.ready import QUESTIONS
from clustercast.studies.query.result import QueryResult
from clustercast.studies.saved import SweepReport

SHOWN_ROWS = 20


def page(found: SweepReport) -> Page:
    """Everything that a report of a sweep shows."""
    held = found.sweep
    title = held.title or held.folder
    state = "finished" if held.complete else f"{held.parts:,} of {held.n_parts:,} parts finished"
    columns = Grid("Columns", ("name", "what for", "kind", "unit"), held.columns, behind=True)
    missing = tuple(f"no answer to {name}: {reason}" for name, reason in found.reasons.items())
    warnings = tuple(dict.fromkeys(each for one in found.answers for each in one.warnings))
    made = (
        Section("question", "What was asked", (held.about,) if held.about else (), tables=(columns,)),
        *(answer(each) for each in found.answers),
        Section("warnings", "Warnings", items=(*warnings, *missing)),
        Section("commands", "Reproduce it", commands=found.commands),
    )
    return Page(
        title=title,
        question=f"A sweep of {counted(held.n_points, 'point')}, {state}.",
        answer="",
        figures=(),
        sections=tuple(each for each in made if not each.empty),
        made_with=f"clustercast {found.version}",
    )


def answer(found: QueryResult) -> Section:
    """One ready-made question: its first rows and its picture."""
    names = tuple(
        name if not unit or name.startswith(unit) else f"{name}, {unit}"
        for name, unit in zip(found.columns, found.units, strict=True)
    )
    rows = tuple(tuple(cell(each) for each in row) for row in found.rows[:SHOWN_ROWS])
    more = f", the first {len(rows)} of {found.n_rows:,} rows" if found.n_rows > len(rows) else ""
    title = QUESTIONS[found.question].title if found.question in QUESTIONS else found.question
    grid = Grid(f"{found.question}{more}", names, rows)
    return Section(found.question, title[:1].upper() + title[1:], found.notes, picture(found, title), (grid,))


def picture(found: QueryResult, title: str) -> tuple[Spec, ...]:
    """The picture that `query --plot` draws, in the page's letters; none where the answer has none."""
    try:
        spec: dict[str, Any] = query_plot.chart(found).to_dict()
    except WrongInput:
        return ()
    spec["title"] = {"text": found.picture.title or title if found.picture else title}
    spec["description"] = f"{title}: {counted(found.n_rows, 'row')}, listed in the table below."
    look = config()
    spec["config"] = look | {"view": {"stroke": "#888"}, "background": "#ffffff"}
    return (spec,)


def cell(value: Any) -> Cell:
    """A value of a row as a cell."""
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
