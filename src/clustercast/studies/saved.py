"""Results that were saved: an estimate as `estimate --json` printed it, the folder of a sweep."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from clustercast.display import Notebook
from clustercast.errors import ClustercastError, NoAnswer, WrongInput
from clustercast.estimates.result import Estimate
from clustercast.studies.query import QueryAsked, query, questions
from clustercast.studies.query.result import QueryResult, Questions

SCHEMA: Final = "clustercast.estimate/1"
MOST_BYTES: Final = 2**24
ASKED: Final = ("best", "break-even", "pareto", "spread", "plan-changes", "top", "summary")
SHOWN: Final = 200  # rows of an answer that a report shows and draws


@dataclass(frozen=True, slots=True)
class SweepReport(Notebook):
    """A sweep: what it holds, and what the ready-made questions find in it."""

    sweep: Questions
    answers: tuple[QueryResult, ...]
    reasons: dict[str, str]  # questions without an answer
    commands: tuple[str, ...]
    version: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "schema": "clustercast.report/1",
            "sweep": self.sweep.as_dict(),
            "answers": [each.as_dict() for each in self.answers],
            "reasons": self.reasons,
            "commands": list(self.commands),
            "version": self.version,
        }


def of_sweep(folder: str | Path) -> SweepReport:
    """Ask the points of a sweep every ready-made question; one without an answer is left out with its reason.

    Raises WrongInput where it is no sweep's folder, NoAnswer where nothing in it is finished.
    """
    import shlex

    from clustercast import __version__

    place = str(folder)
    held = questions(place)
    answers: list[QueryResult] = []
    reasons: dict[str, str] = {}
    for name in ASKED:
        try:
            answers.append(query(QueryAsked(place, name, n_shown=SHOWN)))
        except ClustercastError as error:
            reasons[name] = error.message
    if not answers:
        raise NoAnswer(f"{place}: {'; '.join(reasons.values())}")
    commands = [shlex.join(["clustercast", "query", place, each.question]) for each in answers]
    return SweepReport(held, tuple(answers), reasons, tuple(commands), __version__)


def of_file(path: str | Path) -> Estimate:
    """An estimate as `estimate --json` printed it; fields that this version does not know are left out.

    Raises WrongInput where the file is something else.
    """
    import pydantic

    file = Path(path)
    try:
        if file.stat().st_size > MOST_BYTES:
            raise WrongInput(f"{str(file)!r} is too large for an estimate: more than {MOST_BYTES:,} bytes")
        document = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise WrongInput(f"{str(file)!r} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError):
        raise WrongInput(f"{str(file)!r} is no JSON document", hint="save one with: estimate --json") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise WrongInput(f"{str(file)!r}: expected the schema {SCHEMA!r}", hint="save one with: estimate --json")
    document.pop("schema")
    try:
        return pydantic.TypeAdapter(Estimate).validate_python(document)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise WrongInput(f"{str(file)!r}: {where}: {first['msg'].lower()}") from None


def _no_number(text: str) -> float:
    msg = f"{text} is no number of JSON"
    raise ValueError(msg)


def as_saved(estimate: Estimate) -> dict[str, Any]:
    """The document that `of_file` takes back."""
    return {"schema": SCHEMA} | asdict(estimate)
