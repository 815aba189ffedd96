"""What is asked of a sweep's points."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

TIMEOUT_S: Final = 300.0  # a billion rows are grouped in less
MEMORY_BYTES: Final = 2 * 2**30
ROWS: Final = 10_000  # of an answer; as many are held at least, to be drawn


@dataclass(frozen=True, slots=True)
class QueryAsked:
    """A question about the points that a sweep kept."""

    folder: str | Path
    question: str = ""  # SQL over the table `points`, or the name of a ready-made question; "": what there is
    by: str = ""  # the output that decides
    per: tuple[str, ...] | None = None  # columns that are kept apart; None: the question's usual ones
    x: str = ""
    y: str = ""
    chips: tuple[str, ...] = ()
    budget: str = ""  # "count", "days=30,90", "rent_usd=1M"
    where: str = ""  # a condition in SQL
    order: str = ""  # "least" or "most" of `by` first; "": by what it is
    n: int = 10  # rows of `top`
    n_shown: int = ROWS  # rows of the answer that are printed
    only_sql: bool = False  # make the SQL and do nothing
    timeout_s: float = TIMEOUT_S
    memory_bytes: float = MEMORY_BYTES
