"""One question about a sweep's points, from its words to its rows."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.query import folder, ready, sandbox
from clustercast.studies.query.asked import ROWS, QueryAsked
from clustercast.studies.query.columns import AXIS, OK, TEXT, unit_of
from clustercast.studies.query.folder import Kept
from clustercast.studies.query.result import FREE, Picture, QueryResult, Questions, Sink
from clustercast.studies.query.terms import Ready

SQL: Final = "sql"
MOST_NAMES: Final = 20  # of a text that a hint lists


def query(asked: QueryAsked, sinks: Sequence[Sink] = ()) -> QueryResult:
    """QueryResult a question; every sink is given all rows of the answer.

    Raises WrongInput, and NoAnswer where no part is finished or the question takes too long or too much memory.
    """
    kept = folder.kept_in(asked.folder)
    with sandbox.opened(kept, asked.timeout_s, asked.memory_bytes) as place:
        question = understood(asked, kept, place)
        if asked.only_sql:
            return _answer(asked, kept, question)
        stream = place.run(question.sql)
        for each in sinks:
            each.begin(stream.columns)
        rows: list[tuple[Any, ...]] = []
        n_rows = 0
        for batch in stream:
            n_rows += batch.num_rows
            room = max(asked.n_shown, ROWS) - len(rows)
            if room > 0 or sinks:
                some = sandbox.rows_of(batch)
                rows += some[: max(room, 0)]
                for each in sinks:
                    each.add(some)
        if not n_rows and question.name != SQL:
            hint = named_values(asked.where, kept, place) or "`summary` counts them"
            raise NoAnswer(f"{question.name}: no point is {OK} and meets what is asked", hint=hint)
    result = _answer(asked, kept, question, stream, rows, n_rows)
    for each in sinks:
        each.end(result)
    return result


def questions(path: str | Path) -> Questions:
    """What a sweep can be asked. Raises WrongInput and NoAnswer."""
    kept = folder.kept_in(path)
    return Questions(
        title=kept.title,
        about=kept.about,
        folder=str(kept.folder),
        columns=tuple((each.name, each.role, each.kind, each.unit) for each in kept.columns),
        questions=tuple((name, each.title, each.options) for name, each in ready.QUESTIONS.items()),
        parts=len(kept.parts),
        n_parts=kept.n_parts,
        n_points=kept.n_rows,
    )


def understood(asked: QueryAsked, kept: Kept, place: sandbox.Sandbox) -> Ready:
    """A ready-made question by its name, or SQL as it is. Raises WrongInput."""
    words = asked.question.strip()
    name = words.lower().replace("_", "-")
    if name in ready.QUESTIONS:
        return ready.made(name, asked, kept, place)
    if len(words.split()) == 1 and words.isascii() and name.replace("-", "").isalnum():
        near = difflib.get_close_matches(name, ready.QUESTIONS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(ready.QUESTIONS)}; or write SQL"
        raise WrongInput(f"query: unknown question {words!r}", hint=hint)
    given = [name for name in ("per", "budget", "where", "order", "chips") if getattr(asked, name)]
    if given:
        raise WrongInput(f"--{given[0]} is for ready-made questions: {', '.join(ready.QUESTIONS)}")
    return Ready(SQL, words, Picture(FREE, asked.x, asked.y, asked.by))


def named_values(where: str, kept: Kept, place: sandbox.Sandbox) -> str | None:
    """What the first name is that a condition asks for, where it may have been misspelt."""
    said = set(re.findall(r"[a-z_.]+", where.lower()))
    for each in kept.columns:
        if each.kind == TEXT and each.role == AXIS and each.name in said:
            rows = place.all(f"SELECT DISTINCT {each.quoted} FROM points ORDER BY 1 LIMIT {MOST_NAMES + 1}")
            more = ", ..." if len(rows) > MOST_NAMES else ""
            return f"{each.name} is one of {', '.join(str(row[0]) for row in rows[:MOST_NAMES])}{more}"
    return None


def _answer(
    asked: QueryAsked,
    kept: Kept,
    question: Ready,
    stream: sandbox.Stream | None = None,
    rows: Sequence[tuple[Any, ...]] = (),
    n_rows: int = 0,
) -> QueryResult:
    columns = stream.columns if stream else ()
    known = {each.name: each.unit for each in kept.columns}
    warnings = list(question.warnings)
    if not kept.complete:
        said = f"this is of {len(kept.parts):,} of its {kept.n_parts:,} parts"
        warnings.insert(0, f"the sweep is not finished: {said}")
    return QueryResult(
        title=kept.title,
        about=kept.about,
        folder=str(kept.folder),
        question=question.name,
        sql=question.sql,
        columns=columns,
        units=tuple(question.units.get(name, known.get(name, unit_of(name))) for name in columns),
        kinds=stream.kinds if stream else (),
        rows=tuple(rows),
        n_rows=n_rows,
        study=kept.study,
        version=kept.version,
        parts=len(kept.parts),
        n_parts=kept.n_parts,
        n_points=kept.n_rows,
        picture=question.picture,
        n_shown=asked.n_shown,
        notes=question.notes,
        warnings=tuple(warnings),
    )
