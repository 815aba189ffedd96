"""A CSV file in one of the two documented forms, row by row: nothing is dropped, nothing raises later.

What makes the whole file unreadable is WrongInput with file and line. What spoils one row stays in that row's `flaw`.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from clustercast.catalog import read

TRAINING: Final = "training"
SERVING: Final = "serving"

# What a header must have to be one form or the other; the other columns of the form may be left out.
SHARED: Final = ("id", "chip", "metric", "value", "complete")
NEEDED: Final = {
    TRAINING: (*SHARED, "n_chips", "layers", "hidden", "heads", "seq_len", "global_batch"),
    SERVING: (*SHARED, "mode", "engine", "model", "input_len", "output_len"),
}
MAX_BYTES: Final = 2**28
SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Row(NamedTuple):
    """One row of a file."""

    cells: dict[str, str]  # by column; stripped
    file: str
    form: str  # training or serving
    line: int  # where it begins
    flaw: str  # why its cells cannot be trusted; empty for a sound row


class RecordFile(NamedTuple):
    """A file that was read: its form and its rows in order."""

    name: str
    form: str
    rows: tuple[Row, ...]


def read_file(path: Path) -> RecordFile:
    """The rows of a file, its form known by its header.

    Raises WrongInput for a file that cannot be read, is no CSV, or has a header of neither form.
    """
    content = _bytes_of(path)
    text = _text_of(content, path)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    rows = []
    name, form = read.shown(path), ""
    for line, cells in _records(lines, path):
        if header is None:
            header = [cell.strip() for cell in cells]
            form = _form_of(header, path, line)
        else:
            rows.append(_row(header, cells, name, form, line))
    if header is None:
        raise read.wrong(path, "", "is empty, expected a header and rows")
    return RecordFile(name, form, tuple(rows))


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise read.wrong(path, "", "is a folder, expected a CSV file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise read.wrong(path, "", "there is no such file") from None
    except (OSError, ValueError) as error:
        raise read.wrong(path, "", f"cannot be read: {getattr(error, 'strerror', None) or error}".lower()) from None
    if len(content) > MAX_BYTES:
        raise read.wrong(path, "", f"is larger than {MAX_BYTES // 2**20} MiB, expected a shorter file")
    return content


def _text_of(content: bytes, path: Path) -> str:
    """The text: UTF-8 with or without a byte-order mark, without NUL."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise read.wrong(path, "", "is UTF-16 text, expected UTF-8", line=1)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise read.wrong(path, "", "is not UTF-8 text", line=line) from None
    place = text.find("\0")
    if place >= 0:
        raise read.wrong(path, "", "holds a NUL character, expected text", line=text.count("\n", 0, place) + 1)
    return text


def _records(lines: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every record with the line where it begins; lines with nothing on them are none."""
    while True:
        begins = lines.line_num + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise read.wrong(path, "", _problem(str(error)), line=begins) from None
        if cells:
            yield begins, cells


def _problem(said: str) -> str:
    if "field larger" in said:
        return f"a cell is longer than {csv.field_size_limit():,} characters: a quote that is not closed?"
    if "unexpected end" in said:
        return "a quote is not closed before the file ends"
    return f"is no CSV: {said}".replace("','", "a comma")


def _form_of(header: list[str], path: Path, line: int) -> str:
    """The form that a header has. Raises WrongInput naming what is missing of the nearer form."""
    named = [column for column in header if column]
    twice = next((column for place, column in enumerate(named) if column in named[:place]), None)
    if twice is not None:
        raise read.wrong(path, "", f"the column {twice!r} is there twice", line=line)
    missing = {form: [column for column in needed if column not in named] for form, needed in NEEDED.items()}
    whole = [form for form, columns in missing.items() if not columns]
    if len(whole) == 2:
        raise read.wrong(path, "", "has the columns of both forms, expected training or serving", line=line)
    if whole:
        return whole[0]
    near = min(missing, key=lambda form: len(missing[form]) / len(NEEDED[form]))
    other = next(mark for mark in (*SEPARATORS, "") if mark in (header[0] if len(header) == 1 else ""))
    hint = f"the columns are separated by {SEPARATORS[other]}, expected commas" if other else _other_hint(missing, near)
    raise read.wrong(
        path,
        "",
        f"is neither form of measurements: of the {near} form it lacks {', '.join(missing[near])}",
        line=line,
        hint=hint,
    )


def _other_hint(missing: dict[str, list[str]], near: str) -> str:
    other = next(form for form in missing if form != near)
    return f"of the {other} form it lacks {', '.join(missing[other])}; see bench/record/README.md for both"


def _row(header: list[str], cells: list[str], name: str, form: str, line: int) -> Row:
    """A row by column. One of the wrong length keeps the cells that it has and says so."""
    extra = any(cell.strip() for cell in cells[len(header) :])
    flaw = ""
    if len(cells) < len(header) or extra:
        flaw = f"{name}:{line}: {len(cells)} cells, expected {len(header)}"
    kept = {column: cell.strip() for column, cell in zip(header, cells, strict=False) if column}
    return Row({column: "" for column in header if column} | kept, name, form, line, flaw)
