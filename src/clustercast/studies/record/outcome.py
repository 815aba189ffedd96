"""What the model says of one published row."""

import math
from typing import Final, NamedTuple

from clustercast.errors import WrongInput

OK: Final = "ok"
CONTEXT: Final = "context"  # the row is not complete: shown, never judged
UNSUPPORTED: Final = "unsupported"


class Answer(NamedTuple):
    """The model's figure for a row, in the unit and convention of the cell, and what it is made of."""

    estimated: float
    low: float  # of the 80 % interval
    high: float
    evidence: str  # measured chip, measured family, datasheet only
    terms: dict[str, float]  # seconds of every exposed term
    setup: dict[str, str]  # what was taken for the row: stack or engine, precision, plan
    size: str  # the row's class of size, for tables: "up to 8 chips", ...
    kind: str  # "dense" or "mixture"
    remark: str = ""  # what makes one doubt the row or the estimate


class Outcome(NamedTuple):
    """One row of a file, judged: every row has exactly one, in the file's order."""

    id: str
    metric: str
    chip: str
    source: str  # the study or repository: what is left out together
    published: float | None
    answer: Answer | None
    status: str
    why: str

    @property
    def error(self) -> float | None:
        """Estimated over published, less one; nothing where either is missing."""
        if self.answer is None or not self.published:
            return None
        return self.answer.estimated / self.published - 1.0


def size_class(n_chips: int) -> str:
    """The class of size that tables group by.

    >>> size_class(8), size_class(64), size_class(2048)
    ('up to 8 chips', '9 to 64 chips', 'more than 1,024 chips')
    """
    if n_chips <= 8:
        return "up to 8 chips"
    if n_chips <= 64:
        return "9 to 64 chips"
    if n_chips <= 1024:
        return "65 to 1,024 chips"
    return "more than 1,024 chips"


def figure(row: dict[str, str], field: str) -> float | None:
    """The number in a cell, nothing where it is empty. Raises WrongInput for prose or a number that is not finite."""
    text = (row.get(field) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise WrongInput(f"{row.get('id', 'row')}: {field}: expected a number, got {text!r}")
    return value
