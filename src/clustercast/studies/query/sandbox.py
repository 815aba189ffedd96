"""DuckDB over the parts of a sweep, and over nothing else: it reads no other file and writes none.

DuckDB itself keeps a query from the file system and the network, and its settings are locked. What it would still
take is refused before: statements that are no question, more than one of them, and table functions that read from
an address in memory.
"""

import difflib
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.query.columns import NUMBER, TEXT, WHOLE
from clustercast.studies.query.folder import Kept, first_broken
from clustercast.studies.query.result import plain
from clustercast.studies.sweep import store

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

TABLE: Final = "points"
TABLE_FUNCTIONS: Final = frozenset({"range", "generate_series", "unnest", "repeat", "repeat_row"})
BATCH_ROWS: Final = 16_384
AGAIN_S: Final = 0.2  # an interrupt between two statements is lost: say it again
IN_A_PART: Final = "reading the stream registered as"
_KIND: Final = re.compile(r"^(?:\w+Error: )?([A-Z][A-Za-z ]*?) Error: ")
_QUOTED: Final = re.compile(r'"([^"]+)"')


Result = TypeVar("Result")


@dataclass(slots=True)
class Stream:
    """The rows of a statement as they come."""

    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    _reader: "pa.RecordBatchReader"
    _sandbox: "Sandbox"

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        """Some rows at a time. Raises WrongInput and NoAnswer."""
        while True:
            batch = self._sandbox.done(lambda: next(self._reader, None))
            if batch is None:
                return
            yield batch


@dataclass(slots=True)
class Sandbox:
    """One connection, for one question, for a limited time."""

    kept: Kept
    timeout_s: float
    memory_bytes: float
    _connection: "duckdb.DuckDBPyConnection"
    _pool: ThreadPoolExecutor  # of one thread, so that this one can be interrupted
    _end_s: float  # of the time, as `monotonic` counts
    _late: bool = False

    def run(self, sql: str) -> Stream:
        """The rows of one SELECT. Raises WrongInput and NoAnswer."""
        self.done(lambda: self._check(sql))
        reader = self.done(lambda: self._connection.sql(sql).to_arrow_reader(BATCH_ROWS))
        return Stream(tuple(reader.schema.names), tuple(map(kind_of, reader.schema.types)), reader, self)

    def all(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a SELECT that has few."""
        return [row for batch in self.run(sql) for row in rows_of(batch)]

    def _check(self, sql: str) -> None:
        """Refuse all but one SELECT over the points. Raises WrongInput and DuckDB's errors."""
        import json

        try:
            sql.encode()
        except UnicodeEncodeError:
            raise WrongInput("query: holds what is no text") from None
        n = len(self._connection.extract_statements(sql))
        if n != 1:
            raise WrongInput(f"query: expected one SELECT, got {n or 'no'} statement{'s' if n > 1 else ''}")
        told = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
        try:
            tree = json.loads(told[0][0])
        except RecursionError:
            raise WrongInput("query: is nested too deeply") from None
        if tree.get("error"):
            raise WrongInput("query: expected a SELECT: a sweep's points are only read")
        for name in table_functions(tree):
            if name not in TABLE_FUNCTIONS:
                raise WrongInput(
                    f"query: the function {name}() is not for this: the only table is {TABLE}",
                    hint=f"table functions are {', '.join(sorted(TABLE_FUNCTIONS))}",
                )

    def done(self, work: Callable[[], Result]) -> Result:
        """What some work of DuckDB comes to, within the time; its errors in the house's words.

        Raises WrongInput and NoAnswer; an interrupt from the keyboard ends it, too.
        """
        import duckdb
        import pyarrow as pa

        running = self._pool.submit(work)
        try:
            wait([running], max(self._end_s - time.monotonic(), 0.0))
            self._late = self._late or not running.done()
        finally:
            while not running.done():
                self._connection.interrupt()
                wait([running], AGAIN_S)
        if self._late:
            raise self.too_long()
        try:
            return running.result()
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._said(error) from None

    def _said(self, error: Exception) -> WrongInput | NoAnswer:
        text = str(error)
        if IN_A_PART in text:
            return first_broken(self.kept) or WrongInput(f"{str(self.kept.folder)!r}: {' '.join(text.split())}")
        kind = _KIND.match(text)
        message = one_line(text)
        if kind is not None and kind[1] == "Out of Memory":
            gib = self.memory_bytes / 2**30
            return NoAnswer(
                f"query: needs more than {gib:.3g} GiB of memory",
                hint="--memory gives it more; or ask for less: fewer columns, a WHERE, a LIMIT",
                numbers={"memory_bytes": self.memory_bytes},
            )
        return WrongInput(f"query: {message}", hint=self._hint(text))

    def too_long(self) -> NoAnswer:
        """The error for a question that took too long."""
        return NoAnswer(
            f"query: took longer than {self.timeout_s:g} s",
            hint="--timeout gives it longer",
            numbers={"timeout_s": self.timeout_s},
        )

    def _hint(self, text: str) -> str | None:
        """A guess at what was meant, among the study's columns."""
        names = [each.name for each in self.kept.columns]
        wrong = _QUOTED.search(text)
        field_of = re.search(r"Cannot extract field '([^']*)' from expression \"([^\"]*)\"", text)
        dotted = f"{field_of[2]}.{field_of[1]}" if field_of else ""
        apart = re.search(r'Referenced table "([^"]*)" not found', text)
        if dotted in names:
            return f'write "{dotted}" in double quotes'
        if apart and any(name.startswith(f"{apart[1]}.") for name in names):
            return f'write "{apart[1]}...." in double quotes: names with a point need them'
        if "Could not convert string" in text:
            return "numbers are in base units and stand without them: 4e12, not '4 TB/s'"
        if "Table with name" in text:
            return f"the table is {TABLE}"
        if "Referenced column" in text and wrong is not None:
            near = difflib.get_close_matches(wrong[1].lower(), names, 1, 0.6)
            said = f"columns: {', '.join(names)}; text stands in single quotes: '{wrong[1]}'"
            return f"did you mean {near[0]}?" if near else said
        meant = re.search(r'Did you mean "([^"]*)"', text)
        return f"did you mean {meant[1]}?" if meant else None


@contextmanager
def opened(kept: Kept, timeout_s: float, memory_bytes: float) -> Iterator[Sandbox]:
    """A connection that sees the points of a sweep and nothing else, until the time is over."""
    connection = _connection(kept, memory_bytes)
    with ThreadPoolExecutor(1) as pool:
        try:
            yield Sandbox(kept, timeout_s, memory_bytes, connection, pool, time.monotonic() + timeout_s)
        finally:
            connection.close()


def _connection(kept: Kept, memory_bytes: float) -> "duckdb.DuckDBPyConnection":
    try:
        import duckdb
        import pyarrow.dataset as ds
    except ImportError as error:
        raise WrongInput(
            f"query needs the package {error.name}", hint="install it with: pip install 'clustercast[sweep]'"
        ) from None
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    paths = [str(store.part_path(kept.folder, part)) for part in kept.parts]
    connection = duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": False,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": "",
            "memory_limit": f"{int(memory_bytes)}B",
        },
    )
    connection.register(TABLE, ds.dataset(paths, format=form))
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET lock_configuration = true")
    return connection


def table_functions(tree: Any) -> Iterator[str]:
    """The names of all table functions in a statement that DuckDB wrote as JSON."""
    left = [tree]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if one.get("type") == "TABLE_FUNCTION":
                yield str((one.get("function") or {}).get("function_name")).lower()
            left += one.values()
        elif isinstance(one, list):
            left += one


def kind_of(kind: "pa.DataType") -> str:
    """The kind of a column by its type."""
    import pyarrow as pa

    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return WHOLE
    return NUMBER if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else TEXT


def rows_of(batch: "pa.RecordBatch") -> list[tuple[Any, ...]]:
    """A batch as rows of text, numbers and None; what else there is becomes text or lists of it."""
    import pyarrow as pa

    columns = []
    for each in batch.columns:
        values = each.to_pylist()
        known = pa.types.is_integer(each.type) or pa.types.is_floating(each.type) or pa.types.is_string(each.type)
        columns.append(values if known else [plain(value) for value in values])
    return list(zip(*columns, strict=True))


def one_line(text: str) -> str:
    """DuckDB's message without its kind, its picture of the query and its list of candidates.

    >>> one_line('Binder Error: Referenced column "x" not found!\\nCandidate bindings: "y"\\n\\nLINE 1: select x')
    'referenced column "x" not found!'
    """
    message = _KIND.sub("", text).split("\n\nLINE ")[0]
    message = re.split(r"\n\s*(?:Candidate |Did you mean)", message)[0]
    message = " ".join(message.split())
    first = message[:1] if message[1:2].isupper() else message[:1].lower()
    return first + message[1:].rstrip(".")
