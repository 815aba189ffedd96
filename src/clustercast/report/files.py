"""What a user asked to be written into a file."""

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clustercast.errors import WrongInput


def csv_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV under their columns: empty where there is no number, and no text that a spreadsheet would compute.

    >>> csv_table(("chip", "days"), [("=cmd()", 1.5), ("h20", None)])
    "chip,days\\n'=cmd(),1.5\\nh20,\\n"
    """
    import csv
    import io

    from clustercast.report.query import csv_cell

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, columns))
    writer.writerows(map(csv_cell, row) for row in rows)
    return text.getvalue()


def write(option: str, content: str | bytes, path: str) -> None:
    """Write text, or bytes as they are. Raises WrongInput, in the option's name, where that fails."""
    try:
        if isinstance(content, str):
            Path(path).write_text(content, encoding="utf-8")
        else:
            Path(path).write_bytes(content)
    except OSError as error:
        raise WrongInput(f"{option}: {path!r} cannot be written: {(error.strerror or str(error)).lower()}") from None


@contextmanager
def whole(option: str, path: str) -> Iterator[Path]:
    """Where to write a file that takes its place when the block is left, whole; nothing is left of it on an error.

    Raises WrongInput, in the option's name, where that fails.
    """
    place = Path(path)
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            yield fresh
            with fresh.open("rb+") as file:
                os.fsync(file.fileno())
            fresh.replace(place)
        finally:
            fresh.unlink(missing_ok=True)
    except BrokenPipeError:  # standard output, not this file
        raise
    except OSError as error:
        raise WrongInput(f"{option}: {path!r} cannot be written: {(error.strerror or str(error)).lower()}") from None
