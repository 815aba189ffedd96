"""What nccl-tests (and rccl-tests) print, as text or as JSON, with whatever a launcher puts before each line."""

import math
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from clustercast.studies.calibrate.files import Source, document_of

# what stands before a line: Ray, mpirun and kubectl, srun, containerd and docker, mpirun's date, Compose
PREFIXES: Final = (
    r"\([^()]{0,200}\)\s*",
    r"\[[^\]]{0,200}\](?:<std(?:out|err)>)?:?\s?",
    r" {0,6}\d{1,6}:\s",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\S{1,40}\s(?:std(?:out|err) [FP]\s)?",
    r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    r"[\w.-]{1,100} {1,20}\|\s",
)
PREFIX: Final = re.compile(f"^(?:{'|'.join(PREFIXES)})*")
PROGRAM: Final = re.compile(
    r"\b(all_reduce|all_gather|reduce_scatter|alltoall|alltoallv|sendrecv|broadcast|reduce|gather|scatter|hypercube)"
    r"_perf(?:_mpi)?\b"
)
THREADS: Final = re.compile(r"#\s*nThreads?:?\s+(\d+)\s+nGpus:?\s+(\d+)", re.IGNORECASE)
RANK: Final = re.compile(
    r"#\s*Rank\s+(\d{1,7})(?:\s+Group\s+(\d+))?(?:\s+Pid\s+\d+)?(?:\s+on\s+(\S+))?\s+device\s+\d+\s*"
    r"(?:\[[^\]]*\]\s*)?(.*)$",
    re.IGNORECASE,
)
ROW: Final = re.compile(r"^\s*(\d{1,18})\s+(\d{1,18})\s+([A-Za-z]\w*)\s+(.*)$")
MOST_RANKS: Final = 1_000_000
OPERATIONS: Final = {
    "all_reduce": "all-reduce",
    "all_gather": "all-gather",
    "reduce_scatter": "reduce-scatter",
    "alltoall": "all-to-all",
    "sendrecv": "send",
}
COUNTS_ONCE: Final = ("reduce-scatter", "all-gather", "all-to-all")
ENOUGH_DIGITS: Final = 10.0  # GB/s: two decimals of it show the ratio of the two bandwidths
RATIO_TOLERANCE: Final = 0.03


class Collective(NamedTuple):
    """One measured collective."""

    operation: str  # all-reduce, all-gather, reduce-scatter, all-to-all, send
    payload_bytes: float  # the whole vector, as nccl-tests count it
    n_ranks: int
    n_hosts: int
    seconds: float
    where: str  # file and line


class Stated(NamedTuple):
    """What the user says of a file that does not say it itself."""

    n_ranks: int | None = None
    n_hosts: int | None = None
    operation: str | None = None


class Told(NamedTuple):
    """All that a file says: its collectives, and the names of the devices that ran them."""

    collectives: list[Collective]
    devices: list[str]


class Header:
    """What the lines above a table say."""

    def __init__(self, program: str | None = None) -> None:
        self.program = program
        self.n_devices = 0  # threads x GPUs of one process
        self.ranks: dict[int, str] = {}  # host of every rank of the first group
        self.group = ""
        self.n_groups = 0
        self.devices: set[str] = set()
        self.columns: list[str] = []

    def add_rank(self, found: "re.Match[str]") -> None:
        """One line of the list of devices."""
        number, group, host, device = found.groups()
        if not self.ranks:
            self.group = group or ""
        self.n_groups += not self.ranks or (group or "") != self.group
        if (group or "") == self.group:
            self.ranks[int(number)] = host or ""
        if device.strip():
            self.devices.add(device.strip())

    def n_ranks(self) -> int:
        """Ranks of one communicator; 0 where nothing says."""
        if self.ranks:
            return len(self.ranks) if self.n_groups > 1 else max(self.ranks) + 1  # long lists are cut in the middle
        return self.n_devices if self.n_devices > 1 else 0

    def n_hosts(self) -> int:
        """Hosts that those ranks lie on; 0 where nothing says."""
        hosts = {host for host in self.ranks.values() if host}
        return len(hosts) if hosts else 0


class Line(NamedTuple):
    """One row of a table before it is known what it measures."""

    number: int
    payload_bytes: float
    redop: str
    root: str
    time_us: float
    algbw: float
    busbw: float
    n_wrong: float


def bare(line: str) -> str:
    """A line without what a launcher put before it.

    >>> bare("[1,0]<stdout>:# nThread 1"), bare("2026-01-31T10:00:00.1Z stdout F     8"), bare("[pod/a/main] [3]: x")
    ('# nThread 1', '    8', 'x')
    """
    return PREFIX.sub("", line, count=1)


def document_text(text: str) -> str:
    """A text whose first line holds the beginning of a JSON document behind a launcher's prefix, without prefixes.

    Any other text comes back as it is; every line keeps its number.
    """
    first = text.lstrip().split("\n", 1)[0]
    if first.startswith("{") or not bare(first).startswith("{"):
        return text
    return "\n".join(map(bare, text.split("\n")))


def looks_like(text: str) -> bool:
    """Whether a text may be the output of nccl-tests."""
    return THREADS.search(text) is not None or ("algbw" in text and "busbw" in text)


def collectives(found: Source, stated: Stated) -> Told:
    """Every collective of a file. Raises WrongInput with the line for what is broken or missing."""
    text = found.text.lstrip()
    tables = _of_json(found) if text.startswith("{") else _of_text(found)
    points: list[Collective] = []
    devices: set[str] = set()
    for header, lines in tables:
        points += _points(found, stated, header, lines)
        devices |= header.devices
    if not points:
        raise found.wrong(
            "holds no measured collective, expected rows of size, count, type, redop, root, time, algbw, busbw"
        )
    return Told(points, sorted(devices))


def _of_text(found: Source) -> Iterator[tuple[Header, list[Line]]]:
    """The tables of a text, each with what was said above it."""
    header, lines, program = Header(), [], None
    for number, whole in enumerate(found.text.split("\n"), 1):
        line = bare(whole)
        row = ROW.match(line)
        if row is not None and header.columns:
            read = _line(found, number, header, row)
            if read is not None:
                lines.append(read)
            continue
        named = PROGRAM.search(line)
        if named is not None and "concluded" not in line:
            program = named[1]
            if not lines:
                header.program = program
        threads = THREADS.search(line)
        if threads is not None:
            if lines:
                yield header, lines
            header, lines, program = Header(program), [], None
            header.n_devices = _few(threads[1]) * _few(threads[2])
        rank = RANK.search(line)
        if rank is not None:
            header.add_rank(rank)
        if "algbw" in line and "size" in line:
            header.columns = line.lstrip("# ").split()
    if lines:
        yield header, lines


def _line(found: Source, number: int, header: Header, row: "re.Match[str]") -> Line | None:
    """One row of a table by its columns; None for a message of no bytes."""
    cells = row[4].split()
    has_redop = bool(cells) and not _is_number(cells[0])
    redop = cells.pop(0) if has_redop else ""
    last = max(i for i, name in enumerate(header.columns) if name in ("size", "count", "type", "redop", "root"))
    names = [name for name in header.columns[last + 1 :] if name != "timestamp"]
    root = cells.pop(0) if "root" in header.columns and cells else ""
    per_run = names[: names.index("time", 1)] if names.count("time") > 1 else names
    if float(row[1]) == 0.0:
        return None
    values = dict(zip(per_run, cells, strict=False))
    time = values.get("time", values.get("cputime", ""))
    if len(cells) < len(per_run) or not _is_number(time):
        raise found.wrong(f"expected {', '.join(per_run)} after the size, got {' '.join(cells)[:60]!r}", line=number)
    wrong = values.get("#wrong", values.get("error", "N/A"))
    return Line(
        number,
        float(row[1]),
        redop,
        root,
        float(time),
        _number(values.get("algbw", "")),
        _number(values.get("busbw", "")),
        _number(wrong) if "#wrong" in values else 0.0,
    )


def _is_number(text: Any) -> bool:
    return math.isfinite(_number(text, math.nan))


def _number(text: Any, otherwise: float = 0.0) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError, OverflowError):
        return otherwise
    return value if math.isfinite(value) else otherwise


def _of_json(found: Source) -> Iterator[tuple[Header, list[Line]]]:
    """The table of a JSON document."""
    document = document_of(found)
    config = _mapping(document.get("config"))
    arguments = [str(each) for each in _list(document.get("args"))]
    named = PROGRAM.search(" ".join(arguments))
    header = Header(named[1] if named else None)
    per_process = _few(config.get("nthreads")) * _few(config.get("ngpus"))
    devices = [_mapping(each) for each in _list(config.get("devices"))]
    n_groups = len({str(each.get("group")) for each in devices}) or 1
    header.n_devices = max(1, len(devices)) * per_process // n_groups
    for place, device in enumerate(devices[: max(1, len(devices) // n_groups)]):
        for each in range(per_process):
            header.ranks[place * per_process + each] = str(device.get("hostname") or "")
        if device.get("device_info"):
            header.devices.add(str(device["device_info"]).strip())
    lines = []
    for place, each in enumerate(_list(document.get("results"))):
        entry = _mapping(each)
        run = _mapping(entry.get("out_of_place")) or _mapping(entry.get("in_place"))
        time = run.get("time", run.get("cpu_time"))
        size = entry.get("size")
        if not _is_number(size) or not _is_number(time):
            raise found.wrong(
                f"results.{place}: expected a number `size` and `out_of_place` or `in_place` with a number `time`"
            )
        if _number(size) > 0.0:
            lines.append(
                Line(
                    place,
                    _number(size),
                    str(entry.get("redop", "")),
                    str(entry.get("root", "")).strip(),
                    _number(time),
                    _number(run.get("alg_bw")),
                    _number(run.get("bus_bw")),
                    _number(run.get("nwrong")),
                )
            )
    if lines:
        yield header, lines


def _few(value: Any) -> int:
    """Threads or GPUs of one process."""
    return max(1, min(int(_number(value, 1.0)), 1024))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _points(found: Source, stated: Stated, header: Header, lines: list[Line]) -> list[Collective]:
    """The rows of one table as collectives, checked against their own bandwidths."""
    n_ranks = header.n_ranks()
    first = lines[0].number
    if stated.n_ranks is not None:
        if n_ranks not in (0, stated.n_ranks):
            raise found.wrong(f"its header lists {n_ranks} ranks, not {stated.n_ranks} (--ranks)", line=first)
        n_ranks = stated.n_ranks
    if n_ranks == 0:
        raise found.wrong("nothing says how many ranks ran", line=first, hint="give --ranks")
    if not 2 <= n_ranks <= MOST_RANKS:
        raise found.wrong(f"ran on {n_ranks} ranks, expected 2 to {MOST_RANKS:,}", line=first)
    operation = _operation(found, stated, header, lines)
    _check_ratio(found, operation, n_ranks, lines)
    n_hosts = stated.n_hosts or header.n_hosts() or 1
    points = []
    for line in lines:
        if line.n_wrong > 0.0:
            raise found.wrong(f"says that {line.n_wrong:g} elements are wrong: measure again", line=line.number)
        if line.time_us <= 0.0:
            raise found.wrong(f"expected a time above 0, got {line.time_us:g}", line=line.number)
        where = f"{found.name}:{line.number}"
        points.append(Collective(operation, line.payload_bytes, n_ranks, n_hosts, line.time_us * 1e-6, where))
    return points


def _operation(found: Source, stated: Stated, header: Header, lines: list[Line]) -> str:
    """What a table measured: its program's name, else what its columns leave possible, else what the user says."""
    known = ", ".join(OPERATIONS)
    if header.program is not None:
        if header.program not in OPERATIONS:
            raise found.wrong(f"{header.program}_perf is not used, expected one of {known}", line=lines[0].number)
        return OPERATIONS[header.program]
    if stated.operation is not None:
        return stated.operation
    best = max(lines, key=lambda line: line.algbw)
    ratio = best.busbw / best.algbw if best.algbw > 0.0 else 0.0
    if best.redop not in ("", "none") and best.root in ("", "-1") and ratio > 0.0:
        return "all-reduce" if ratio >= 1.0 - RATIO_TOLERANCE else "reduce-scatter"
    raise found.wrong(
        "nothing says which collective it measured",
        line=lines[0].number,
        hint=f"give --operation, one of {', '.join(OPERATIONS.values())}",
    )


def bus_ratio(operation: str, n_ranks: int) -> float:
    """Bus bandwidth over algorithm bandwidth, as nccl-tests define them.

    >>> bus_ratio("all-reduce", 8), bus_ratio("all-gather", 8), bus_ratio("send", 8)
    (1.75, 0.875, 1.0)
    """
    share = (n_ranks - 1.0) / n_ranks
    if operation == "all-reduce":
        return 2.0 * share
    return share if operation in COUNTS_ONCE else 1.0


def _check_ratio(found: Source, operation: str, n_ranks: int, lines: list[Line]) -> None:
    """Raise where the two bandwidths of a row are those of another operation or another number of ranks."""
    best = max(lines, key=lambda line: line.algbw)
    if best.algbw < ENOUGH_DIGITS:
        return
    ratio, expected = best.busbw / best.algbw, bus_ratio(operation, n_ranks)
    if abs(ratio / expected - 1.0) > RATIO_TOLERANCE:
        raise found.wrong(
            f"busbw over algbw is {ratio:.3f}, expected {expected:.3f} for {operation} over {n_ranks} ranks",
            line=best.number,
            hint="check --ranks and --operation, or that the file is whole",
        )
