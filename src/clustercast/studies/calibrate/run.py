"""From files of measurements to an overlay: read, fit what belongs together, write."""

import datetime
import os
import statistics
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clustercast import __version__, catalog
from clustercast.catalog import ChipProfile, overlay
from clustercast.display import Notebook
from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.calibrate import collectives, files, matmuls, measured, nccl, refusals, serving, steps
from clustercast.studies.calibrate.belonging import Covers, Task
from clustercast.studies.calibrate.files import Source
from clustercast.studies.calibrate.fit import PACE, Estimated, Fit, fit, needs_scipy, settings
from clustercast.studies.logs import results
from clustercast.studies.record import numbers

OUTPUT = "calibration.yaml"


class Options(NamedTuple):
    """What the user says beside the files; None is open."""

    chip: str | None = None
    fabric: str | None = None
    stack: str | None = None
    engine: str | None = None
    n_ranks: int | None = None
    n_hosts: int | None = None
    operation: str | None = None
    output: str = OUTPUT
    force: bool = False
    keep_anyway: bool = False
    given: tuple[str, ...] = ()  # of what results of serving benchmarks do not say
    launch: str | None = None  # a launch file that says more of it


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant before and after. One that the points do not narrow stays as it was and is not identified.

    One that follows the pace alone is identified as far as the pace is.
    """

    name: str
    belongs_to: str
    before: float
    after: float
    standard_error: float | None
    low: float
    high: float
    identified: bool
    unit: str  # s or 1


@dataclass(frozen=True, slots=True)
class Errors:
    """Absolute relative errors of the modelled over the measured times."""

    median: float
    max: float


@dataclass(frozen=True, slots=True)
class PartResult:
    """What the points of one chip and one link, number format, stack or engine said."""

    kind: str
    chip: str
    belongs_to: str
    n: int
    parameters: tuple[Constant, ...]
    error_before: Errors
    error_after: Errors
    error_left_out: Errors | None
    half_width: float | None  # None: too few configurations to leave one out
    n_fitted: int  # numbers that were fitted: constants, and the pace
    pace: float | None  # that all constants follow: 1.1 is slower by a tenth, whatever limits
    covers: Covers | None


@dataclass(frozen=True, slots=True)
class Calibrated(Notebook):
    """Everything that one calibration found, and where it was written."""

    parts: tuple[PartResult, ...]
    n: int
    error_before: Errors
    error_after: Errors
    error_left_out: Errors | None
    overlay: str
    sources: dict[str, str]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of `calibrate --json`; with several parts, `kind` and `chip` are null unless all agree."""
        kinds, chips = ({getattr(part, name) for part in self.parts} for name in ("kind", "chip"))
        document = asdict(self)
        return {
            "schema": "clustercast.calibrate/1",
            "kind": kinds.pop() if len(kinds) == 1 else None,
            "chip": chips.pop() if len(chips) == 1 else None,
            "parameters": [each for part in document["parts"] for each in part["parameters"]],
        } | document


class Read(NamedTuple):
    """The points of all files by kind."""

    collectives: list[nccl.Collective]
    matmuls: list[matmuls.Matmul]
    steps: list[steps.Step]
    serving: list[serving.Point]
    devices: list[str]
    remarks: list[str]


def calibrate(paths: Sequence[str | Path], options: Options) -> Calibrated:
    """Fit the constants of the chip, link, stack or engine that the files measure, and write them as an overlay.

    Raises WrongInput for files and options that are wrong; NoAnswer, with the numbers, for too little, contradictory
    or impossible data. Of several parts, those that are refused are warnings as long as one is not.
    """
    if not paths:
        raise WrongInput("no file is given", hint=files.EXPECTED)
    if options.operation not in (None, *nccl.OPERATIONS.values()):
        known = ", ".join(nccl.OPERATIONS.values())
        raise WrongInput(f"--operation: unknown operation {options.operation!r}", hint=f"there are {known}")
    output = _writable(Path(options.output), force=options.force)
    given = results.given_of(options.given, options.launch, chip=options.chip, engine=options.engine)
    sources = [part for path in paths for part in measured.parts(files.source(Path(path), given))]
    if (options.given or options.launch) and not any(source.rows for source in sources):
        raise WrongInput("--given and --launch speak of results of serving benchmarks: none of the files is one")
    needs_scipy()
    numbers.forget()  # rows read before this may rest on other constants
    try:
        return _calibrate(sources, output, options)
    finally:
        numbers.forget()


def _calibrate(sources: Sequence[Source], output: Path, options: Options) -> Calibrated:
    chip, chip_file = _chip(options.chip)
    found = _points(sources, chip, options)
    warnings = [*found.remarks, *other_chip(chip, found.devices)]
    done: list[tuple[Task, Fit]] = []
    refused: list[NoAnswer] = []
    name, said = _sources(sources)
    with ExitStack() as laid:
        for make in _tasks(found, chip, chip_file, options):
            try:
                task = thinned(make())
                fitted, said_of_it = _fitted(task, options)
            except NoAnswer as error:
                refused.append(error)
                continue
            done.append((task, fitted))
            warnings += [*task.remarks, *said_of_it, *_far(task, fitted)]
            # what comes later is fitted over what came before: nodes over links, steps over kernels
            laid.enter_context(overlay.using(overlay.of_data(output, {"parts": [_data(task, fitted, name)]})))
    if not done:
        raise refused[0]
    warnings += [f"left out: {error.message}" for error in refused]
    document = {
        "schema": overlay.SCHEMA,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "clustercast": __version__,
        "sources": said,
        "parts": [_data(task, fitted, name) for task, fitted in done],
    }
    _write(output, overlay.dump(document))
    overlay.load(output)  # what was written is what is read
    after = [error for _, fitted in done for error in fitted.after]
    left_out = [error for _, fitted in done for error in fitted.left_out]
    return Calibrated(
        parts=tuple(_part(task, fitted) for task, fitted in done),
        n=len(after),
        error_before=errors([error for _, fitted in done for error in fitted.before]),
        error_after=errors(after),
        error_left_out=errors(left_out) if len(left_out) == len(after) else None,
        overlay=str(output),
        sources=said,
        warnings=tuple(warnings),
    )


def _fitted(task: Task, options: Options) -> tuple[Fit, list[str]]:
    """The fit of a task with warnings. Raises NoAnswer for points that are too far off, or that it describes worse."""
    usual = {each.name: each.before for each in task.parameters if each.name != PACE}
    modelled = [task.predict(usual, place) / measured_s for place, measured_s in enumerate(task.measured_s)]
    refusals.too_far_off(task.kind, task.chip, task.belongs_to, modelled)
    fitted = fit(task.kind, task.parameters, task.predict, task.measured_s, task.configurations)
    before, after = errors(fitted.before).median, errors(fitted.after).median
    left_out = errors(fitted.left_out).median if fitted.left_out else None
    worse = refusals.worse(f"{task.belongs_to} on {task.chip}", before, after, left_out)
    if worse and not options.keep_anyway:
        raise NoAnswer(
            f"a calibration would make the model worse: {worse}",
            hint="measure what differs from these points, or write it all the same with --keep-anyway",
            numbers={"error_before": before, "error_after": after, "error_left_out": left_out},
        )
    return fitted, [worse] if worse else []


def errors(relative: Sequence[float]) -> Errors:
    """Median and largest size of relative errors.

    >>> errors([-0.1, 0.02, 0.3])
    Errors(median=0.1, max=0.3)
    """
    sizes = [abs(each) for each in relative]
    return Errors(statistics.median(sizes), max(sizes))


def _chip(name: str | None) -> tuple[ChipProfile | None, str | None]:
    """The chip that --chip names, and its file where it is not in the catalogue."""
    if name is None:
        return None, None
    chip = catalog.find_chip(name)
    return chip, None if chip.name in catalog.chip_names() else Path(name).name


def _points(sources: Sequence[Source], chip: ChipProfile | None, options: Options) -> Read:
    found = Read([], [], [], [], [], [])
    stated = nccl.Stated(options.n_ranks, options.n_hosts, options.operation)
    for source in sources:
        if source.kind in (files.COLLECTIVES, files.MATMULS) and chip is None:
            raise source.wrong("does not say of which chip it is", hint="give --chip")
        if source.kind == files.COLLECTIVES:
            told = nccl.collectives(source, stated)
            found.collectives.extend(told.collectives)
            found.devices.extend(told.devices)
        elif source.kind == files.MATMULS:
            found.matmuls.extend(matmuls.matmuls(source))
        elif source.kind == files.STEPS:
            rows, remarks = steps.steps(source, options.chip, options.stack)
            found.steps.extend(rows)
            found.remarks.extend(remarks)
        else:
            points, remarks = serving.points(source, options.chip, options.engine)
            found.serving.extend(points)
            found.remarks.extend(remarks)
    return found


def _tasks(found: Read, chip: ChipProfile | None, chip_file: str | None, options: Options) -> list[Callable[[], Task]]:
    """What is to be fitted, in order: links from the inside out, matmuls, steps, serving points."""
    made: list[Callable[[], Task]] = []
    if chip is not None and found.collectives:
        fabric = catalog.find_fabric(options.fabric or chip.fabric)
        for _, link in collectives.tasks(chip, fabric, found.collectives):
            made.append(_collectives(chip, chip_file, fabric, found, link))
    if chip is not None and found.matmuls:
        for number_format in dict.fromkeys(point.number_format for point in found.matmuls):
            made.append(_matmuls(chip, chip_file, found, number_format))
    for name, stack in steps.tasks(found.steps):
        made.append(_steps(found, chip_file if chip is not None and chip.name == name else None, name, stack))
    for name, engine in serving.tasks(found.serving):
        made.append(_serving(found, chip_file if chip is not None and chip.name == name else None, name, engine))
    return made


def _collectives(
    chip: ChipProfile, chip_file: str | None, fabric: catalog.FabricProfile, found: Read, link: str
) -> Callable[[], Task]:
    return lambda: collectives.task(chip, chip_file, fabric, found.collectives, link)


def _matmuls(chip: ChipProfile, chip_file: str | None, found: Read, number_format: str) -> Callable[[], Task]:
    return lambda: matmuls.task(chip, chip_file, found.matmuls, number_format)


def _steps(found: Read, chip_file: str | None, chip: str, stack: str) -> Callable[[], Task]:
    return lambda: steps.task(found.steps, chip_file, chip, stack)


def _serving(found: Read, chip_file: str | None, chip: str, engine: str) -> Callable[[], Task]:
    return lambda: serving.task(found.serving, chip_file, chip, engine)


def thinned(task: Task) -> Task:
    """The task with no more configurations than a fit needs, taken evenly."""
    most = int(settings("most_points")[task.kind])
    names: list[Hashable] = list(dict.fromkeys(task.configurations))
    if len(names) <= most:
        return task
    kept = {names[place * len(names) // most] for place in range(most)}
    places = [place for place, name in enumerate(task.configurations) if name in kept]
    return task._replace(
        predict=lambda values, place: task.predict(values, places[place]),
        measured_s=tuple(task.measured_s[place] for place in places),
        configurations=tuple(task.configurations[place] for place in places),
        where=tuple(task.where[place] for place in places),
        remarks=(*task.remarks, f"{len(names):,} configurations were thinned to {most:,}"),
    )


def other_chip(chip: ChipProfile | None, devices: Sequence[str]) -> list[str]:
    """A warning where a file names devices that do not look like the chip."""
    if chip is None:
        return []
    known = "".join((chip.name, chip.full_name, *chip.aliases)).lower().replace(" ", "").replace("-", "")
    for device in dict.fromkeys(devices):
        words = [word.lower() for word in device.replace("-", " ").split() if any(each.isdigit() for each in word)]
        if words and not any(word in known for word in words):
            return [f"the file was measured on {device!r} and is taken for {chip.name}"]
    return []


def _sources(sources: Sequence[Source]) -> tuple[str, dict[str, str]]:
    """What the constants name as their source, and what the overlay says of it."""
    if len(sources) == 1:
        return sources[0].name, {sources[0].name: f"sha256 {sources[0].sha256}"}
    name = f"{sources[0].name} and {len(sources) - 1} more"
    return name, {name: "; ".join(f"{each.name}: sha256 {each.sha256}" for each in sources)}


def _far(task: Task, fitted: Fit) -> list[str]:
    """Warnings for constants that lie where no published machine does, and for those that would go on further."""
    moved = [each for each in fitted.constants if each.identified and each.parameter.before]
    far = [each for each in moved if each.far and each.parameter.own]
    said = []
    if far:
        named = ", ".join(f"{each.parameter.name} {each.value / each.parameter.before:.2g}x" for each in far)
        said.append(
            f"{task.belongs_to} on {task.chip}: {named} the usual: far outside what published machines reach; check "
            f"that the setup is the stated one"
        )
    pressing = [each for each in (*moved, *((fitted.pace,) if fitted.pace else ())) if each.pressing]
    if pressing:
        named = ", ".join(each.parameter.name for each in pressing)
        said.append(
            f"{task.belongs_to} on {task.chip}: {named} would go beyond what is plausible and is held there: these "
            f"points have a cause that none of these constants stands for"
        )
    return said


def _part(task: Task, fitted: Fit) -> PartResult:
    return PartResult(
        kind=task.kind,
        chip=task.chip,
        belongs_to=task.belongs_to,
        n=len(task.measured_s),
        parameters=tuple(_constant(task, each) for each in fitted.constants),
        error_before=errors(fitted.before),
        error_after=errors(fitted.after),
        error_left_out=errors(fitted.left_out) if fitted.left_out else None,
        half_width=fitted.half_width,
        n_fitted=fitted.n_free,
        pace=fitted.pace.value if fitted.pace else None,
        covers=task.covers,
    )


def _constant(task: Task, each: Estimated) -> Constant:
    return Constant(
        name=each.parameter.name,
        belongs_to=task.belongs_to,
        before=each.parameter.before,
        after=each.value,
        standard_error=each.standard_error if each.identified else None,
        low=each.low,
        high=each.high,
        identified=each.identified,
        unit=each.parameter.unit,
    )


def _data(task: Task, fitted: Fit, source: str) -> dict[str, Any]:
    """One part of an overlay, as schema.Part has it."""
    entries = {each.parameter.name: _entry(each, source) for each in fitted.constants if each.identified}
    entries |= {name: entries[like] for name, like in task.aliases.items() if like in entries}
    part = {
        "kind": task.kind,
        "chip": task.chip,
        "chip_file": task.chip_file,
        "belongs_to": task.belongs_to,
        "n": len(task.measured_s),
        "error_before": asdict(errors(fitted.before)),
        "error_after": asdict(errors(fitted.after)),
        "error_left_out": asdict(errors(fitted.left_out)) if fitted.left_out else None,
        "half_width": fitted.half_width,
        "covers": task.covers._asdict() if task.covers else None,
        "left_as_they_were": [each.parameter.name for each in fitted.constants if not each.identified],
        "constants": entries,
    }
    return {key: value for key, value in part.items() if value is not None}


def _entry(each: Estimated, source: str) -> dict[str, Any]:
    unit = each.parameter.unit
    written = {
        "value": each.value,
        "standard_error": each.standard_error,
        "low": each.low,
        "high": each.high,
        "before": each.parameter.before,
    }
    return {name: overlay.amount(value, unit) for name, value in written.items()} | {"kind": "fitted", "source": source}


def _writable(path: Path, *, force: bool) -> Path:
    """The path if an overlay may be written there."""
    if path.is_dir() or not path.parent.is_dir():
        reason = "is a folder" if path.is_dir() else "its folder does not exist"
        raise WrongInput(f"--output {path}: {reason}, expected the path of a file")
    if path.exists() and not overlay.is_overlay(path) and not force:
        raise WrongInput(f"--output {path}: is there and is no overlay", hint="name another file, or give --force")
    return path


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise WrongInput(f"--output {path}: cannot be written: {(error.strerror or str(error)).lower()}") from None
