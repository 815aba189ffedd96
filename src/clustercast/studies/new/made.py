"""A catalogue file that was made, before it is written."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from clustercast.catalog.find import NAME
from clustercast.display import Notebook
from clustercast.errors import WrongInput

_LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class Made(Notebook):
    """The text of a new chip or model file, what it says in short, and what deserves a second look."""

    kind: str  # chip or model
    name: str
    text: str
    numbers: dict[str, Any]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    file: str = field(default="")  # where it was written; empty where it was printed

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `chips new` and `models import`."""
        return {
            "schema": "clustercast.new/1",
            "kind": self.kind,
            "name": self.name,
            "file": self.file or None,
            **self.numbers,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "text": self.text,
        }


def check_name(option: str, name: str) -> str:
    """A name that a catalogue file may have. Raises WrongInput."""
    if NAME.fullmatch(name) is None or name.startswith("."):
        shown = ascii(name[:_LONGEST])
        raise WrongInput(f"{option}: {shown} is no name, expected 1 to 64 letters, digits, dots, dashes or underscores")
    return name.lower()


def name_like(text: str) -> str:
    """The nearest name to a text, such as a folder's.

    >>> name_like("Llama 3.1 (8B)"), name_like("___")
    ('llama-3.1-8b', 'model')
    """
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return plain[:_LONGEST] or "model"


def check_place(option: str, path: str, *, force: bool) -> None:
    """Refuse to write over a file. Raises WrongInput."""
    place = Path(path)
    if "\0" in path:
        raise WrongInput(f"{option}: the path holds a NUL character")
    if place.is_dir():
        raise WrongInput(f"{option}: {path!r} is a folder, expected a file")
    if place.exists() and not force:
        raise WrongInput(f"{option}: {path!r} is there already", hint="--force writes over it")
