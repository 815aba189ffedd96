"""Files of measurements: what they hold, told by their content and never by their name."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from clustercast.catalog import read
from clustercast.errors import WrongInput
from clustercast.studies.logs import benchmarks, results

MOST_BYTES: Final = 64 * 2**20
MOST_ROWS: Final = 100_000
COLLECTIVES: Final = "collectives"
MATMULS: Final = "matmuls"
STEPS: Final = "steps"
SERVING: Final = "serving"
MEASURED: Final = "measured"  # by `clustercast measure`: matmuls and collectives in one file
MEASURE_SCHEMA: Final = "clustercast.measure/1"
STEP_COLUMNS: Final = frozenset(("chip", "n_chips", "layers", "hidden", "seq_len", "global_batch", "metric", "value"))
SERVING_COLUMNS: Final = frozenset(("chip", "engine", "model", "concurrency", "input_len", "metric", "value"))
SHAPE_COLUMNS: Final = frozenset(("m", "n", "k"))
SHOWN_LINE: Final = 60
EXPECTED: Final = (
    "expected the training or serving CSV form, the result of a serving benchmark, the text or JSON of nccl-tests, or "
    "a CSV of matmuls with m,n,k,dtype and a time"
)


class Source(NamedTuple):
    """One file as it was read: its name without its folder, its hash, its text and what it holds."""

    name: str
    sha256: str
    text: str
    kind: str
    rows: tuple["Row", ...] = ()  # of what is no table by itself

    def wrong(self, message: str, line: int | None = None, hint: str | None = None) -> WrongInput:
        """The error for a line of this file."""
        where = self.name if line is None else f"{self.name}:{line}"
        return WrongInput(f"{where}: {message}", hint=hint)


def source(path: Path, given: results.Given = results.NOTHING) -> Source:
    """A file and its kind. Raises WrongInput where it cannot be read or holds nothing that is known.

    given  what the result of a serving benchmark does not say
    """
    from clustercast.studies.calibrate import nccl

    content = _content(path)
    name = path.name.encode("utf-8", "backslashreplace").decode()
    text = content.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\0", "\ufffd")
    found = Source(name, hashlib.sha256(content).hexdigest(), nccl.document_text(text), "")
    if benchmarks.is_result(text):
        rows = tuple(Row(each.line, each.cells) for each in results.record_file(path, text, given).rows)
        return found._replace(kind=SERVING, rows=rows)
    return found._replace(kind=kind_of(found))


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise read.wrong(path, "", "is a folder, expected a file of measurements")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise read.wrong(path, "", "there is no such file") from None
    except (OSError, ValueError) as error:
        raise read.wrong(path, "", f"cannot be read: {getattr(error, 'strerror', None) or error}".lower()) from None
    if len(content) > MOST_BYTES:
        raise read.wrong(path, "", f"is larger than {MOST_BYTES // 2**20} MiB")
    return content


def kind_of(found: Source) -> str:
    """What a file holds: collectives, matmuls, steps or serving. Raises WrongInput where nothing is known."""
    from clustercast.studies.calibrate import nccl

    text = found.text.lstrip()
    if not text:
        raise found.wrong("is empty", hint=EXPECTED)
    if text.startswith("[") and nccl.looks_like(found.text):  # mpirun and kubectl put brackets before every line
        return COLLECTIVES
    if text.startswith(("{", "[")) and (text.startswith("{") or _is_json(text)):
        document = document_of(found)
        if isinstance(document, dict) and document.get("schema") == MEASURE_SCHEMA:
            return MEASURED
        if isinstance(document, dict) and isinstance(document.get("results"), list):
            return COLLECTIVES
        raise found.wrong("is JSON without a list `results`, expected what nccl-tests writes with -J", hint=EXPECTED)
    header = {name.strip().lower() for name in header_of(found.text)[0]}
    for kind, columns in ((STEPS, STEP_COLUMNS), (SERVING, SERVING_COLUMNS), (MATMULS, SHAPE_COLUMNS)):
        if columns <= header:
            return kind
    if nccl.looks_like(found.text):
        return COLLECTIVES
    near = max((STEP_COLUMNS, SERVING_COLUMNS, SHAPE_COLUMNS), key=lambda columns: len(columns & header) / len(columns))
    if near & header:
        missing = ", ".join(sorted(near - header))
        raise found.wrong(f"its header lacks {missing}", line=1, hint=EXPECTED)
    first = text.splitlines()[0][:SHOWN_LINE]
    raise found.wrong(f"holds nothing that is known; it begins with {first!r}", hint=EXPECTED)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def document_of(found: Source) -> Any:
    """The JSON document of a file. Raises WrongInput with the line where it breaks off."""
    try:
        return json.loads(found.text)
    except json.JSONDecodeError as error:
        raise found.wrong(f"is not JSON: {error.msg.lower()}", line=error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise found.wrong(f"is not JSON: {str(error)[:SHOWN_LINE]}") from None


def header_of(text: str) -> tuple[list[str], str]:
    """The columns that the first line of a table names, and what divides them."""
    first = text.lstrip().split("\n", 1)[0]
    for divider in (",", ";", "\t"):
        if divider in first:
            try:
                return next(csv.reader(io.StringIO(first), delimiter=divider)), divider
            except (csv.Error, StopIteration):
                return [], divider
    return first.split(), " "


class Row(NamedTuple):
    """One row of a table and the line it ends on."""

    line: int
    cells: dict[str, str]


def rows_of(found: Source) -> list[Row]:
    """The rows of a table by its header. Raises WrongInput for what is no table."""
    if found.rows:
        return list(found.rows)
    header, divider = header_of(found.text)
    names = [name.strip() for name in header]
    text = found.text.lstrip()
    if divider == " ":
        lines = [(i, line.split()) for i, line in enumerate(text.split("\n"), 1)]
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=divider)
        lines = []
        try:
            lines += [(reader.line_num, cells) for cells in reader]
        except csv.Error as error:
            raise found.wrong(f"is not a table: {error}", line=reader.line_num) from None
    rows = []
    for line, cells in lines[1:]:
        if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
            continue
        if len(cells) > len(names) and any(cell.strip() for cell in cells[len(names) :]):
            raise found.wrong(f"has {len(cells)} cells, expected {len(names)} as in the header", line=line)
        padded = [*cells, *([""] * (len(names) - len(cells)))]
        rows.append(Row(line, dict(zip(names, (cell.strip() for cell in padded), strict=False))))
    if not rows:
        raise found.wrong("has a header and no rows")
    if len(rows) > MOST_ROWS:
        raise found.wrong(f"has {len(rows):,} rows, expected at most {MOST_ROWS:,}")
    return rows
