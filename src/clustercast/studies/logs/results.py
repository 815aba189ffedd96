"""Results of serving benchmarks as measured rows in the serving form.

A row is made of a mean alone; where a file has only the median, the row is context. What a result does not say (chip,
model, layout, formats) comes from the user, from a launch file, or from the `--metadata` that was given to the
benchmark; what two of them say differently is an error.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from clustercast.catalog import constants, read
from clustercast.errors import ClustercastError, WrongInput
from clustercast.studies.launch import checkpoints
from clustercast.studies.logs.benchmarks import ENGINES, SAID, SHOWN, Run, Times, cells_of, is_result, runs_of
from clustercast.studies.record import files as record_files
from clustercast.studies.record import numbers
from clustercast.studies.record.files import SERVING, RecordFile, Row

MOST_BYTES: Final = 64 * 2**20  # detailed results hold every token's time
COUNTED: Final = ("n_chips", "tp", "pp", "attention_dp", "moe_tp", "ep", "concurrency", "input_len", "output_len")
FULL: Final = 0.9  # of the clients that must be in flight on average for the load to count as a closed loop
LOST: Final = 0.02  # of the requests that may fail in a run that is judged
_BOM: Final = b"\xef\xbb\xbf"


class Given(NamedTuple):
    """What goes with result files: cells that the user gave, and those of a launch file, with what to call them."""

    cells: Mapping[str, str]
    launch: Mapping[str, str]
    launch_file: str = ""
    by_option: bool = False  # cells have options of their own, and there is no --given


NOTHING: Final = Given({}, {})


# -- what goes with it


def given_of(pairs: Sequence[str] = (), launch: str | Path | None = None, **cells: str | None) -> Given:
    """What a user says beside result files: COLUMN=VALUE, a launch file, and cells by their names.

    >>> given_of(["chip=h100", "n_chips=8"], engine="vllm").cells
    {'chip': 'h100', 'n_chips': '8', 'engine': 'vllm'}
    """
    import difflib

    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = (each.strip() for each in pair.partition("="))
        if name not in SAID or not equals or not value:
            near = difflib.get_close_matches(name, SAID, 1)
            hint = f"did you mean {near[0]}?" if near and near[0] != name else f"columns: {', '.join(SAID)}"
            raise WrongInput(f"--given: expected COLUMN=VALUE, got {pair[:SHOWN]!r}", hint=hint)
        if found.get(name, value) != value:
            raise WrongInput(f"--given: {name} is given twice, as {found[name]!r} and {value!r}")
        found[name] = value
    for name, text in cells.items():
        if text is not None and found.setdefault(name, text) != text:
            raise WrongInput(f"--{name} {text} contradicts --given {name}={found[name]}")
    if launch is None:
        return Given(found, {})
    from clustercast.studies.launch.serving import read_serving

    read_launch = read_serving(launch, found.get("model"))
    return Given(found, cells_of(read_launch), read_launch.file)


# -- rows


def record_file(path: Path, text: str, given: Given = NOTHING) -> RecordFile:
    """A result file in the serving form, a row per metric and run. Raises WrongInput."""
    name = read.shown(path)
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem)[:SHOWN]
    found = []
    for number, run in enumerate(runs_of(text, path), 1):
        for cells in rows_of(run, given, path, f"{stem}-{number}"):
            found.append(Row(cells, name, SERVING, run.line, ""))
    if not found:
        raise read.wrong(path, "", "has no time and no rate that can be judged")
    return RecordFile(name, SERVING, tuple(found))


def rows_of(run: Run, given: Given, path: Path, name: str) -> list[dict[str, str]]:
    """The rows of a run. Raises WrongInput where the chip, the model, the engine or the chips are not said."""
    cells, notes = _together(run, given, path)
    concurrency, waves, doubt = _load(run, cells)
    notes = [*run.notes, *notes]
    if run.failed > LOST * (run.completed + run.failed):
        doubt = doubt or f"{run.failed:,} of {run.completed + run.failed:,} requests failed"
    lengths = {"input_len": run.input_len, "output_len": run.output_len}
    for column, value in lengths.items():
        if column not in cells and value is not None:
            cells[column] = str(max(round(value), 1))
    missing = [each for each in ("input_len", "output_len") if each not in cells]
    if missing:
        raise _not_said(path, run, missing, given)
    common = cells | {"mode": "agg", "source": path.name, "study": path.name, "concurrency": str(concurrency or "")}
    common["n_waves"] = f"{waves:.6g}" if waves else ""
    found = []
    for metric, times in (("ttft_ms", run.ttft_ms), ("tpot_ms", run.tpot_ms)):
        value, said = times.mean, _beside(times)
        unsure = doubt or ("" if value is not None else "the median, not the mean")
        value = times.median if value is None else value
        if value:
            found.append(_row(common, f"{name}-{metric}", metric, value, unsure, [*notes, said]))
    if run.output_tokens_per_s:
        together = waves is not None and waves <= 1.0
        unsure = doubt or ("" if together else "a closed loop with its beginning and end: its times are judged")
        found.append(
            _row(common, f"{name}-output_tokens_per_s", "output_tokens_per_s", run.output_tokens_per_s, unsure, notes)
        )
    return found


def _row(
    common: Mapping[str, str], name: str, metric: str, value: float, doubt: str, notes: Sequence[str]
) -> dict[str, str]:
    said = "; ".join(each for each in (doubt, common.get("notes", ""), *notes) if each)
    complete = "partly" if doubt else "yes"
    return dict(common) | {"id": name, "metric": metric, "value": f"{value:.10g}", "complete": complete, "notes": said}


def _beside(times: Times) -> str:
    """The other statistics of a latency, for the notes."""
    named = (("median", times.median), ("p90", times.p90), ("p99", times.p99))
    return ", ".join(f"{name} {value:.5g}" for name, value in named if value is not None)


def _load(run: Run, cells: Mapping[str, str]) -> tuple[int | None, float | None, str]:
    """Requests in flight, requests of each client, and why the run is no closed loop, if it is none."""
    if "concurrency" in cells:
        clients = int(float(cells["concurrency"]))
        return clients, max(run.completed / clients, 1.0), ""
    if run.max_concurrency is not None:
        clients = min(run.max_concurrency, run.completed)
        held = run.in_flight is None or run.in_flight >= FULL * clients
        if run.request_rate in (None, math.inf) or held:
            return clients, run.completed / clients, ""
    if run.request_rate == math.inf:
        return run.completed, 1.0, ""
    about = None if run.in_flight is None else max(round(run.in_flight), 1)
    if run.request_rate is None:
        return about, None, "how requests came is not said: give concurrency=N"
    return about, None, f"requests came at {run.request_rate:g}/s: shown beside a closed loop of as many in flight"


def _together(run: Run, given: Given, path: Path) -> tuple[dict[str, str], list[str]]:
    """What the file, the launch file and the user say of what ran. Raises WrongInput where they differ or lack much."""
    notes: list[str] = []
    cells: dict[str, str] = {}
    named: dict[str, str] = {}
    sources = (
        (f"{read.shown(path)}:{run.line}", _resolved(run.said)),
        (given.launch_file, _resolved(given.launch)),
        ("--given", _resolved(given.cells)),
    )
    for where, said in sources:
        for column, value in said.items():
            before = cells.get(column)
            if before is not None and not _same(column, before, value):
                message = f"{where} says {column} {value!r}, {named[column]} says {before!r}"
                raise WrongInput(f"{message}: they contradict one another")
            cells[column], named[column] = value, where
    if "engine" not in cells and run.tool in ENGINES:
        cells["engine"] = ENGINES[run.tool]
        notes.append(f"engine not said: {cells['engine']}, as the benchmark's")
    if "n_chips" not in cells and "tp" in cells:
        parts = [
            int(float(cells.get(each) or 1)) for each in ("tp", "pp", "attention_dp") if _is_count(cells.get(each))
        ]
        cells["n_chips"] = str(math.prod(parts))
    missing = [each for each in ("chip", "model", "engine", "n_chips") if not cells.get(each)]
    if missing:
        raise _not_said(path, run, missing, given)
    for column in COUNTED:
        if column in cells and not _is_count(cells[column]):
            raise WrongInput(f"{named[column]}: {column}: expected a whole number, got {cells[column][:SHOWN]!r}")
    return cells, notes


def _is_count(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"[1-9][0-9]{0,8}", text) is not None


# Columns that `check` has options for, with an example of each.
_OPTIONS: Final = {"model": "--model llama-3.1-70b", "engine": "--engine vllm", "n_chips": "--count 8"}


def _not_said(path: Path, run: Run, missing: Sequence[str], given: Given) -> WrongInput:
    """The error for what neither the result nor anybody else says."""
    examples = {"chip": "chip=h100", "model": "model=llama-3.1-70b", "engine": "engine=vllm", "n_chips": "n_chips=8",
                "input_len": "input_len=1024", "output_len": "output_len=128"}  # fmt: skip
    hint = " ".join(f"--given {examples[each]}" for each in missing)
    if given.by_option:
        hint = " ".join(_OPTIONS[each] for each in missing if each in _OPTIONS) or "a result that says it"
    launch = ", or --launch FILE" if set(missing) - {"chip"} else ""
    return read.wrong(path, "", f"does not say {', '.join(missing)}", line=run.line, hint=f"{hint}{launch}")


def _resolved(cells: Mapping[str, str]) -> dict[str, str]:
    """Cells with the model under the catalogue's name; a name that it does not know says nothing, but for a path."""
    found = {column: value for column, value in cells.items() if value}
    name = found.get("model")
    if name is not None:
        known = checkpoints.checkpoint(name)
        if known.model:
            found["model"] = known.model
            if known.precision and "weight_dtype" not in found and "/" in name:
                weight, expert, _ = constants.recipe(known.precision).parts
                found |= {"weight_dtype": weight, "moe_dtype": expert}
        elif not name.endswith((".yaml", ".yml", ".json")):
            found.pop("model")
    return found


def _same(column: str, one: str, other: str) -> bool:
    """Whether two cells say the same."""
    if one == other:
        return True
    if column == "chip":
        return _chip(one) == _chip(other)
    if column == "engine":
        return one.partition("-")[0] == other.partition("-")[0]
    return column in ("notes", "date", "engine_version")


def _chip(name: str) -> str:
    """The catalogue's name of a chip; what it is called where there is none."""
    try:
        return numbers.chip_of({"chip": name}).name
    except ClustercastError:
        return name


# -- files


def read_file(path: Path, given: Given = NOTHING) -> RecordFile:
    """A file of measurements: a benchmark's result, or CSV in one of the two forms. Raises WrongInput."""
    text = text_of(path)
    if text is None:
        if given != NOTHING:
            raise read.wrong(path, "", "is no result of a benchmark: --given and --launch speak of those alone")
        return record_files.read_file(path)
    return record_file(path, text, given)


def text_of(path: Path) -> str | None:
    """The text of a benchmark's result, or None for any other file. Raises WrongInput for one that is too large."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_BOM) + SHOWN).removeprefix(_BOM).lstrip()
            if not head.startswith((b"{", b"Metric,", b'"Metric"')):
                return None
            file.seek(0)
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError):
        return None
    if len(content) > MOST_BYTES:
        raise read.wrong(path, "", f"is larger than {MOST_BYTES // 2**20} MiB", hint="leave out --save-detailed")
    text = content.decode("utf-8-sig", "replace").replace("\0", "\ufffd")
    return text if is_result(text) else None
