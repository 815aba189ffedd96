"""How far the model is from what was published: every row of a file judged once, and the errors by group.

The error of a row is estimated over published, less one. Quantiles of its size run over all complete rows of a group,
linear between ranks; a row that the model cannot do counts as infinitely wrong, and a figure that is then infinite is
absent. The interval's coverage and width run over the rows that have one.
"""

import difflib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from clustercast import progress
from clustercast.catalog import record as shipped
from clustercast.display import Notebook
from clustercast.errors import ClustercastError, WrongInput
from clustercast.studies.logs import results
from clustercast.studies.record import door, numbers, serving, training
from clustercast.studies.record.files import SERVING, TRAINING, RecordFile, Row
from clustercast.studies.record.outcome import CONTEXT, OK, UNSUPPORTED, Answer, Outcome, figure, size_class

UNKNOWN: Final = "unknown"
MOST_ROWS_OF_A_STUDY: Final = 40  # what a study weighs at most, in rows


@dataclass(frozen=True, slots=True)
class Judged:
    """One row of a file with what the model says of it, in the unit and convention of the cell."""

    id: str
    metric: str
    published: float | None
    estimated: float | None
    error: float | None  # estimated over published, less one
    low: float | None  # of the 80 % interval
    high: float | None
    evidence: str | None  # measured chip, measured family, datasheet only
    status: str  # ok, context, unsupported
    why: str
    chip: str
    source: str  # the study or repository
    size: str
    kind: str  # dense, mixture, unknown
    form: str  # training, serving
    mode: str  # serving: agg, disagg; else empty
    engine: str
    mtp: str
    terms: dict[str, float]  # seconds of every exposed term
    setup: dict[str, str]  # what was taken: stack or engine, precision, plan
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Group:
    """The errors of the complete rows of one group; a figure that is infinite or of nothing is None."""

    group: str
    n: int  # complete rows
    n_ok: int
    n_unsupported: int
    n_context: int  # rows beside them that are not judged
    median_abs_error: float | None
    p90_abs_error: float | None
    mean_abs_error: float | None
    max_abs_error: float | None
    median_error: float | None
    interval_coverage: float | None
    median_width: float | None  # high over low
    weighted: bool = False  # every study as at most 40 rows


@dataclass(frozen=True)
class Validation(Notebook):
    """Every row of the files in order, and the summary by group."""

    rows: tuple[Judged, ...]
    summary: tuple[Group, ...]
    files: tuple[tuple[str, str, int], ...]  # name, form, rows
    calibration: tuple[str, ...] = ()  # what a user's own measurements changed, and how many rows rest on it

    def group(self, name: str) -> Group | None:
        """The summary of one group, or None where no row is of it."""
        return next((each for each in self.summary if each.group == name), None)

    def reasons(self) -> list[tuple[str, int]]:
        """Why rows could not be done, the most frequent reason first."""
        counted = Counter(each.why for each in self.rows if each.status == UNSUPPORTED)
        return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))

    def worst(self, most: int) -> list[Judged]:
        """The rows with the largest errors, by the factor that the estimate is off; the worst first."""
        done = [each for each in self.rows if each.status == OK]
        return sorted(done, key=_factor_off, reverse=True)[:most]

    def as_dict(self) -> dict[str, Any]:
        """The document of `validate --json`."""
        named = [{"file": name, "form": form, "n": n} for name, form, n in self.files]
        return {
            "schema": "clustercast.validate/1",
            "files": named,
            "calibration": list(self.calibration),
            "rows": [asdict(each) for each in self.rows],
            "summary": [asdict(each) for each in self.summary],
        }


def _factor_off(row: Judged) -> float:
    if not row.estimated or not row.published:
        return math.inf
    return abs(math.log(row.estimated) - math.log(row.published))


def validate(
    paths: Sequence[str | Path] = (), where: Sequence[str] = (), given: results.Given = results.NOTHING
) -> Validation:
    """Judge every row of the files, or of the package's own record.

    paths  CSV files in the training or the serving form, results of serving benchmarks, several if wanted
    where  "column=value": only rows whose cell says so; of chip also an alias or the beginning of its name
    given  what results of benchmarks do not say

    Raises WrongInput for a file that cannot be read or is of neither form, and where no row is left.
    """
    numbers.forget()
    read = [results.read_file(Path(path), given) for path in paths or shipped.record_files()]
    if not read:
        raise WrongInput("the package's own record is missing", hint="name a CSV file")
    wanted = _chosen([row for each in read for row in each.rows], where)
    return judged(tuple(read), tuple(judge(row) for row in progress.track(wanted, "rows")))


def judged(read: Sequence[RecordFile], rows: tuple[Judged, ...]) -> Validation:
    """Rows that were judged, with their summary."""
    named = tuple((each.name, each.form, len(each.rows)) for each in read)
    return Validation(rows, tuple(summary(rows)), named, calibrated(rows))


def calibrated(rows: Sequence[Judged]) -> tuple[str, ...]:
    """What the active calibration changes, part by part, with the number of rows that rest on it."""
    from clustercast.catalog import overlay
    from clustercast.estimates.calibration import changed

    laid = overlay.active()
    said = []
    for part in () if laid is None else laid.parts:
        n = sum(part.chip == chip_name(row.chip) and _rests_on(row, part.kind, part.belongs_to) for row in rows)
        said.append(f"{changed(part)}; {n:,} of {len(rows):,} rows rest on it")
    return tuple(said)


def _rests_on(row: Judged, kind: str, belongs_to: str) -> bool:
    """Whether the estimate of a row of that chip takes these constants; those of links and kernels it does."""
    if kind == "steps":
        return row.setup.get("stack") == belongs_to
    if kind == "serving":
        return row.setup.get("engine") == belongs_to
    return row.estimated is not None


@numbers.kept
def chip_name(chip: str) -> str:
    """The catalogue's name of a chip; what it is called where there is no such chip."""
    try:
        return numbers.chip_of({"chip": chip}).name
    except (ClustercastError, LookupError, ValueError):
        return chip


def _chosen(rows: list[Row], where: Sequence[str]) -> list[Row]:
    for each in where:
        column, equals, value = each.partition("=")
        if not equals:
            raise WrongInput(f"--where: expected COLUMN=VALUE, got {each!r}")
        if rows and not any(column in row.cells for row in rows):
            known = sorted({name for row in rows for name in row.cells})
            raise WrongInput(f"--where: there is no column {column!r}", hint=f"there are {', '.join(known)}")
        rows = _with_value(rows, column, value) if rows else rows
    return rows


def _with_value(rows: list[Row], column: str, value: str) -> list[Row]:
    """The rows whose cell is a value; of a chip also its aliases, and the beginning of its name.

    Raises WrongInput with the nearest values where there is no such row.
    """
    found = [row for row in rows if row.cells.get(column, "") == value]
    known = sorted({row.cells.get(column, "") for row in rows} - {""})
    if not found and column == "chip" and value:
        named = {chip for chip in known if chip_name(chip) == chip_name(value)}
        named = named or {chip for chip in known if chip.lower().startswith(value.lower())}
        found = [row for row in rows if row.cells.get(column, "") in named]
    if not found:
        near = difflib.get_close_matches(value, known, MOST_NEAR, 0.4) or known
        more = f" and {len(near) - MOST_NEAR} more" if len(near) > MOST_NEAR else ""
        raise WrongInput(
            f"--where: no row has {column}={value}",
            hint=f"there are {', '.join(each[:SHOWN] for each in near[:MOST_NEAR])}{more}" if near else None,
        )
    return found


MOST_NEAR: Final = 5
SHOWN: Final = 60  # characters of a cell


OF_FORM: Final[dict[str, Callable[[dict[str, str]], Outcome]]] = {
    TRAINING: training.outcome,
    SERVING: serving.outcome,
}


def judge(row: Row) -> Judged:
    """One row with what the model says of it. Never raises for what the row says."""
    found = _outcome(row)
    answer, status, why = found.answer, found.status, found.why
    if answer is not None and not _sound(answer):
        answer = None
        status, why = (CONTEXT if status == CONTEXT else UNSUPPORTED), why or "the estimate is no positive number"
    published = found.published if found.published is not None and found.published > 0.0 else None
    if status == UNSUPPORTED:
        answer = None
    error = answer.estimated / published - 1.0 if answer is not None and published is not None else None
    if error is not None and not -1.0 < error < math.inf:
        answer, error = None, None
        status, why = (CONTEXT if status == CONTEXT else UNSUPPORTED), "the error is no number"
    return Judged(
        id=found.id,
        metric=found.metric,
        published=published,
        estimated=answer.estimated if answer else None,
        error=error,
        low=answer.low if answer else None,
        high=answer.high if answer else None,
        evidence=answer.evidence if answer else None,
        status=status,
        why=_without_id(why, found.id),
        chip=found.chip,
        source=found.source,
        size=answer.size if answer else _size_of(row.cells),
        kind=answer.kind if answer else _kind_of(row),
        form=row.form,
        mode=row.cells.get("mode", "") if row.form == SERVING else "",
        engine=row.cells.get("engine", "") if row.form == SERVING else "",
        mtp=row.cells.get("mtp", ""),
        terms=answer.terms if answer else {},
        setup=answer.setup if answer else {},
        file=row.file,
        line=row.line,
    )


def _outcome(row: Row) -> Outcome:
    """What the model says of a row; a row with a flaw is not put to it."""
    why = row.flaw or door.flaw_of(row.cells, row.form)
    if not why:
        try:
            return OF_FORM[row.form](row.cells)
        except ClustercastError as error:
            why = error.message
        except Exception as error:  # noqa: BLE001 (one row must not take all others with it)
            why = f"a fault of clustercast itself: {type(error).__name__}: {error}"
    get = row.cells.get
    try:
        published = figure(row.cells, "value")
    except WrongInput:
        published = None
    status = CONTEXT if get("complete") != "yes" and not row.flaw else UNSUPPORTED
    source = get("study") or get("source") or ""
    return Outcome(get("id") or "", get("metric") or "", get("chip") or "", source, published, None, status, why)


def _sound(answer: Answer) -> bool:
    return all(math.isfinite(each) and each > 0.0 for each in (answer.estimated, answer.low, answer.high))


def _without_id(why: str, row_id: str) -> str:
    """A reason without the row's own name, so that equal reasons are counted together."""
    return why.removeprefix(f"{row_id}: ") if row_id else why


def _size_of(cells: dict[str, str]) -> str:
    """The class of size of a row without an answer."""
    try:
        n_chips = figure(cells, "n_chips")
    except WrongInput:
        n_chips = None
    return size_class(int(n_chips)) if n_chips is not None and n_chips >= 1 else UNKNOWN


def _kind_of(row: Row) -> str:
    """Dense or mixture, of a row without an answer."""
    if row.form == TRAINING:
        return "mixture" if row.cells.get("experts") not in ("", "0", None) else "dense"
    try:
        return "mixture" if numbers.known_model(row.cells.get("model", "")).n_moe_layers > 0 else "dense"
    except (ClustercastError, LookupError, ValueError):
        return UNKNOWN


# groups


def summary(rows: Sequence[Judged]) -> list[Group]:
    """The errors of all rows and by form, target, metric, chip, source, size, kind and more."""
    groups = [group("all", rows)]
    forms = _by(rows, lambda row: row.form)
    if len(forms) > 1:
        groups += [group(f"form:{name}", those) for name, those in sorted(forms.items())]
    for name, holds, weighted in TARGETS:
        those = [row for row in rows if holds(row)]
        if any(row.status != CONTEXT for row in those):
            groups.append(group(f"target:{name}", those, weighted=weighted))
    for title, of in GROUPINGS.items():
        parts = _by(rows, of)
        parts.pop("", None)
        if title == "file" and len(parts) < 2:
            continue
        groups += [group(f"{title}:{name}", those) for name, those in sorted(parts.items())]
    if any(row.mtp == "likely" for row in rows):
        groups.append(group("mtp:likely", [row for row in rows if row.mtp == "likely"]))
        groups.append(group("mtp:not marked", [row for row in rows if row.mtp != "likely"]))
    return groups


@numbers.kept
def evidence_of(chip: str, form: str) -> str:
    """How good the evidence for a chip is of whose row nothing could be said; nothing where there is no such chip."""
    from clustercast.estimates import interval

    try:
        return interval.evidence_of(numbers.chip_of({"chip": chip}), form)
    except (ClustercastError, LookupError, ValueError):
        return ""


def _evidence(row: Judged) -> str:
    return row.evidence or (evidence_of(row.chip, row.form) if row.status == UNSUPPORTED else "")


GROUPINGS: Final[dict[str, Callable[[Judged], str]]] = {
    "metric": lambda row: row.metric,
    "chip": lambda row: row.chip,
    "source": lambda row: row.source,
    "size": lambda row: row.size,
    "kind": lambda row: row.kind,
    "evidence": _evidence,
    "mode": lambda row: row.mode,
    "engine": lambda row: row.engine,
    "stack": lambda row: row.setup.get("stack", ""),
    "file": lambda row: row.file,
}


def _by(rows: Iterable[Judged], of: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    parts = defaultdict(list)
    for row in rows:
        parts[of(row)].append(row)
    return parts


def _is_vtrain(row: Judged) -> bool:
    return "vtrain" in row.source.lower()


def _is_rest(row: Judged) -> bool:
    return row.form == TRAINING and not _is_vtrain(row)


def _is_early_rocm(row: Judged) -> bool:
    """LLM-Inference-Bench's runs on MI250 and MI300X of 2024, which scale badly over tensor parallelism."""
    return row.chip.startswith("mi") and "LLM-Inference-Bench" in row.source


def _is_offline(row: Judged) -> bool:
    """Batches and rates: no latency of one token."""
    return row.form == SERVING and row.metric not in ("ttft_ms", "tpot_ms", "output_tokens_per_s_per_user")


def _latency(metric: str, mode: str) -> Callable[[Judged], bool]:
    return lambda row: row.metric == metric and row.mode == mode and row.mtp != "likely"


# What the accuracy is held against: name, which rows, whether studies are weighted.
TARGETS: Final[tuple[tuple[str, Callable[[Judged], bool], bool], ...]] = (
    ("Korthikanti", lambda row: row.form == TRAINING and "korthikanti" in row.source.lower(), False),
    ("vTrain multi-node", lambda row: row.form == TRAINING and _is_vtrain(row) and row.size != size_class(8), False),
    ("vTrain single-node", lambda row: row.form == TRAINING and _is_vtrain(row) and row.size == size_class(8), False),
    ("rest of training", _is_rest, True),
    ("rest of training, mixtures", lambda row: _is_rest(row) and row.kind == "mixture", True),
    ("TPOT, one pool", _latency("tpot_ms", "agg"), False),
    ("TPOT, pools apart", _latency("tpot_ms", "disagg"), False),
    ("TTFT, one pool", _latency("ttft_ms", "agg"), False),
    ("TTFT, pools apart", _latency("ttft_ms", "disagg"), False),
    ("offline throughput", lambda row: _is_offline(row) and not _is_early_rocm(row), False),
    ("offline throughput, early ROCm", lambda row: _is_offline(row) and _is_early_rocm(row), False),
)


def group(name: str, rows: Sequence[Judged], *, weighted: bool = False) -> Group:
    """The errors of some rows.

    weighted  every study (the row's source) weighs as at most 40 rows
    """
    complete = [row for row in rows if row.status != CONTEXT]
    done = [row for row in complete if row.status == OK]
    sizes = [abs(row.error) if row.error is not None else math.inf for row in complete]
    signed = [row.error if row.error is not None else math.inf for row in complete]
    weights = study_weights([row.source for row in complete]) if weighted else None
    inside = [row.low <= row.published <= row.high for row in done if row.low and row.high and row.published]
    widths = [row.high / row.low for row in done if row.low and row.high]
    return Group(
        group=name,
        n=len(complete),
        n_ok=len(done),
        n_unsupported=len(complete) - len(done),
        n_context=len(rows) - len(complete),
        median_abs_error=_finite(quantile(sizes, 0.5, weights)),
        p90_abs_error=_finite(quantile(sizes, 0.9, weights)),
        mean_abs_error=_finite(mean(sizes, weights)),
        max_abs_error=_finite(max(sizes, default=math.nan)),
        median_error=_finite(quantile(signed, 0.5, weights)),
        interval_coverage=sum(inside) / len(inside) if inside else None,
        median_width=_finite(quantile(widths, 0.5)),
        weighted=weighted,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def study_weights(studies: Sequence[str]) -> list[float]:
    """The weight of each row such that a study weighs as at most 40 rows.

    >>> study_weights(["a"] * 80 + ["b"])[::80]
    [0.5, 1.0]
    """
    counted = Counter(studies)
    return [min(1.0, MOST_ROWS_OF_A_STUDY / counted[each]) for each in studies]


def quantile(values: Sequence[float], share: float, weights: Sequence[float] | None = None) -> float:
    """The quantile of some values, linear between ranks; infinity where a rank that it needs is infinite.

    Rank i of n equal values lies at i / (n − 1). With weights, a value lies in the middle of its own weight, measured
    from the middle of the first to the middle of the last, which is the same for equal weights. NaN of nothing.

    >>> quantile([4.0, 1.0, 2.0, 3.0], 0.5), quantile([1.0, 2.0, 3.0, math.inf], 0.9)
    (2.5, inf)
    >>> quantile([1.0, 2.0, 3.0], 0.5, [1.0, 1.0, 4.0])
    2.3
    """
    if not values:
        return math.nan
    ordered = sorted(zip(values, weights or [1.0] * len(values), strict=True))
    places, below = [], 0.0
    for _, weight in ordered:
        places.append(below + weight / 2.0)
        below += weight
    target = places[0] + share * (places[-1] - places[0])
    upper = next((place for place, at in enumerate(places) if at >= target * (1.0 - ROUNDING)), len(places) - 1)
    high = ordered[upper][0]
    if upper == 0 or abs(places[upper] - target) <= ROUNDING * target:
        return high
    low = ordered[upper - 1][0]
    part = (target - places[upper - 1]) / (places[upper] - places[upper - 1])
    return high if math.isinf(high) else low + part * (high - low)


ROUNDING: Final = 1e-12  # a target this near to a rank, relatively, is on it


def mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """The mean, weighted if weights are given. NaN of nothing.

    >>> mean([1.0, 4.0], [2.0, 1.0])
    2.0
    """
    if not values:
        return math.nan
    shares = weights or [1.0] * len(values)
    whole = math.fsum(shares)
    return sum(value * (share / whole) for value, share in zip(values, shares, strict=True))
