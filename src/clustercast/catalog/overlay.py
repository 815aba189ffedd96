"""A user's own measured constants, laid over the catalogue's while a question is answered.

`clustercast calibrate` writes an overlay, a small YAML file; `--calibration FILE` lays it over. A constant belongs to
one chip together with one link, number format, training stack or serving engine, and is used for that pair alone.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, NamedTuple

from clustercast.catalog import read
from clustercast.errors import WrongInput

SCHEMA: Final = "clustercast.calibration/1"
PURPOSES: Final = {"training": "steps", "serving": "serving"}
NOTHING: Final[dict[str, Any]] = {}


class Part(NamedTuple):
    """What one kind of measurement said of one chip with one link, number format, stack or engine."""

    kind: str  # collectives, matmuls, steps, serving
    chip: str
    belongs_to: str  # the link, number format, stack or engine
    n: int  # measured points
    half_width: float | None  # 80 % of ln(modelled / measured) of points left out lies within; None: too few to tell
    median_error: float
    max_error: float
    constants: dict[str, dict[str, Any]]  # entries as the data files write them
    file: str
    kinds: tuple[str, ...] = ()  # of models that were measured: dense, mixture
    precisions: tuple[str, ...] = ()
    least_chips: int = 0
    most_chips: int = 0


class Overlay(NamedTuple):
    """All parts of all files that were given."""

    parts: tuple[Part, ...]


class Calibration(NamedTuple):
    """How well a chip is calibrated for a purpose."""

    file: str
    belongs_to: str
    n: int
    half_width: float | None
    median_error: float
    max_error: float
    kinds: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    least_chips: int = 0
    most_chips: int = 0

    def covers(self, kind: str, precision: str, n_chips: int, beyond: float) -> bool:
        """Whether points of that kind were measured, enough of them to tell how far others may lie off.

        kind    dense or mixture
        beyond  times fewer or more chips than were measured that are still the same
        """
        near = self.least_chips <= beyond * n_chips and n_chips <= beyond * self.most_chips
        return self.half_width is not None and kind in self.kinds and precision in self.precisions and near


_ACTIVE: ContextVar[Overlay | None] = ContextVar("overlay", default=None)
_GIVEN: ContextVar[dict[str, float]] = ContextVar("given", default=NOTHING)


@contextmanager
def using(overlay: Overlay) -> Iterator[None]:
    """Lay an overlay over the catalogue's constants, beneath whatever lies there already, for the body of a `with`."""
    below = _ACTIVE.get()
    token = _ACTIVE.set(overlay if below is None else _joined([below, overlay]))
    try:
        yield
    finally:
        _ACTIVE.reset(token)


@contextmanager
def of_files(files: str | Path | Sequence[str | Path] | None) -> Iterator[None]:
    """Lay the overlays in these files over the catalogue's constants. Raises WrongInput for what no overlay is."""
    with using(load(files)):
        yield


@contextmanager
def given_defaults(values: dict[str, float]) -> Iterator[None]:
    """Put these numbers, in base units, before the defaults of the same names for the body of a `with`."""
    token = _GIVEN.set(_GIVEN.get() | values)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def given_default(field: str) -> float | None:
    """The number that the user gave for a default, in base units; None where nobody did."""
    return _GIVEN.get().get(field)


def active() -> Overlay | None:
    """The overlay that lies over the constants now: what anything remembered between questions has to be keyed by."""
    return _ACTIVE.get()


def fields(kind: str, chip: str, belongs_to: str) -> dict[str, dict[str, Any]]:
    """The constants that the active overlay has for a chip and a link, number format, stack or engine."""
    overlay = _ACTIVE.get()
    if overlay is None:
        return NOTHING
    found: dict[str, dict[str, Any]] = {}
    for part in overlay.parts:
        if (part.kind, part.chip, part.belongs_to) == (kind, chip, belongs_to):
            found |= part.constants
    return found


def calibrated(chip: str, purpose: str, belongs_to: str = "") -> Calibration | None:
    """How well the active overlay knows a chip's training steps or serving points; None where it does not.

    purpose     training or serving
    belongs_to  the stack or engine; empty: whichever is known best
    """
    overlay = _ACTIVE.get()
    parts = [] if overlay is None else overlay.parts
    known = [
        Calibration(*(getattr(part, name) for name in Calibration._fields))
        for part in parts
        if part.kind == PURPOSES[purpose] and part.chip == chip and belongs_to in ("", part.belongs_to)
    ]
    return min(known, key=lambda each: each.half_width or float("inf"), default=None)


def load(files: str | Path | Sequence[str | Path] | None) -> Overlay:
    """The overlay that files hold together. Raises WrongInput for a broken file and for two that say the same."""
    paths = [files] if isinstance(files, (str, Path)) else list(files or ())
    return _joined([_read(Path(path)) for path in paths])


def _joined(overlays: Sequence[Overlay]) -> Overlay:
    parts = tuple(part for overlay in overlays for part in overlay.parts)
    said: dict[tuple[str, str, str, str], str] = {}
    for part in parts:
        for field in part.constants:
            key = (part.kind, part.chip, part.belongs_to, field)
            if key in said:
                raise WrongInput(
                    f"{part.file}: {field} of {part.belongs_to} on {part.chip} is calibrated by {said[key]} already",
                    hint="give one of the two, or calibrate once with all the measurements",
                )
            said[key] = part.file
    return Overlay(parts)


def is_overlay(path: Path) -> bool:
    """Whether a file is an overlay, to be replaced without harm."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return f"\nschema: {SCHEMA}\n".encode() in b"\n" + head.replace(b"\r\n", b"\n")


def _read(path: Path) -> Overlay:
    return of_data(path, read.load(path, "calibration"))


def of_data(path: Path, data: dict[str, Any]) -> Overlay:
    """The overlay of a file's checked data. Raises WrongInput for names and units that the catalogue does not know."""
    return Overlay(tuple(_part(path, f"parts.{index}", part) for index, part in enumerate(data["parts"])))


def _part(path: Path, place: str, data: dict[str, Any]) -> Part:
    from clustercast.catalog import find

    if "chip_file" not in data and data["chip"] not in find.chip_names():
        raise _unknown(path, f"{place}.chip", "chip", data["chip"], find.chip_names())
    owners = _owners(data["kind"])
    if data["belongs_to"] not in owners:
        raise _unknown(path, f"{place}.belongs_to", owners.kind, data["belongs_to"], sorted(owners))
    allowed = owners[data["belongs_to"]]
    constants = {}
    for field, entry in data["constants"].items():
        if field not in allowed:
            raise _unknown(path, f"{place}.constants.{field}", "constant", field, sorted(allowed))
        constants[field] = _entry(path, f"{place}.constants.{field}", field, entry, data["n"])
    return Part(
        kind=data["kind"],
        chip=data["chip"],
        belongs_to=data["belongs_to"],
        n=data["n"],
        half_width=data.get("half_width"),
        median_error=data["error_after"]["median"],
        max_error=data["error_after"]["max"],
        constants=constants,
        file=_shown_name(path),
        kinds=tuple(data.get("covers", {}).get("kinds", ())),
        precisions=tuple(data.get("covers", {}).get("precisions", ())),
        least_chips=data.get("covers", {}).get("least_chips", 0),
        most_chips=data.get("covers", {}).get("most_chips", 0),
    )


class Owners(dict[str, frozenset[str]]):
    """What a constant may belong to, with the constants of each."""

    kind = ""


def _owners(kind: str) -> Owners:
    from clustercast import records
    from clustercast.catalog import constants

    usual = constants.table("defaults")["calibration"]["parameters"]
    owners = Owners()
    if kind == "collectives":
        owners.kind = "link"
        owners.update(dict.fromkeys(constants.table("collectives")["links"], frozenset(usual["collectives"])))
    elif kind == "matmuls":
        owners.kind = "number format"
        families = constants.table("kernels")["families"].values()
        formats = {each for family in families for each in family["formats"]}
        owners.update(dict.fromkeys(formats, frozenset((*usual["matmuls"], "head_fraction"))))
    elif kind == "steps":
        owners.kind = "stack"
        owners.update(dict.fromkeys(constants.table("stacks")["stacks"], frozenset(records.Stack._fields)))
    else:
        owners.kind = "engine"
        owners.update(dict.fromkeys(constants.table("engines")["engines"], frozenset(records.Engine._fields)))
    return owners


def _entry(path: Path, place: str, field: str, data: dict[str, Any], n: int) -> dict[str, Any]:
    """One constant as the data files write it. Raises WrongInput for a wrong unit, range or value."""
    from clustercast.catalog import constants

    source = f"{_shown_name(path)}: fitted to {n:,} points of {data['source']}"
    entry = {name: data[name] for name in ("value", "low", "high", "kind")} | {"source": source}
    try:
        found = constants.constant(entry, field, {})
        for name in ("standard_error", "before"):
            constants.constant(entry | {"value": data[name]}, field, {})
    except ValueError as error:
        raise read.wrong(path, place, str(error)) from None
    least, most = bounds(field)
    if not found.low <= found.value <= found.high:
        raise read.wrong(path, place, f"value {data['value']} is not from low {data['low']} to high {data['high']}")
    if not (least <= found.value and found.high <= most):
        raise read.wrong(path, f"{place}.value", f"{data['value']} is out of range, expected {least:g} to {most:g}")
    return entry


def bounds(field: str) -> tuple[float, float]:
    """What a constant can be at all; a number without bounds is merely not negative."""
    from clustercast.catalog import constants

    least, most = constants.table("defaults")["calibration"]["bounds"].get(field, (0.0, float("inf")))
    return float(least), float(most)


def _unknown(path: Path, place: str, what: str, name: str, known: Sequence[str]) -> WrongInput:
    import difflib

    near = difflib.get_close_matches(name, known, 1, 0.3)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known[:12])}"
    return read.wrong(path, place, f"unknown {what} {name!r}", hint=hint)


def _shown_name(path: Path) -> str:
    return path.name.encode("utf-8", "backslashreplace").decode()


def amount(value: float, unit: str) -> str:
    """A constant as the overlay writes it: seconds with a unit, anything else a bare number.

    >>> amount(9.43e-6, "s"), amount(0.0078, "s"), amount(0.762, "1")
    ('9.43 us', '7.8 ms', '0.762')
    """
    if unit != "s":
        return f"{value:.6g}"
    for name, unit_s in (("us", 1e-6), ("ms", 1e-3)):
        if value < 1e3 * unit_s:
            return f"{value / unit_s:.6g} {name}"
    return f"{value:.6g} s"


def dump(data: dict[str, Any]) -> str:
    """The text of an overlay, in the form that schema.Calibration checks: one line per constant."""
    lines = [
        "# Measured constants, written by `clustercast calibrate`; give them to a command with --calibration FILE."
    ]
    for key in ("schema", "date", "clustercast"):
        lines.append(f"{key}: {data[key]}")
    lines.append("sources:")
    lines += [f"  {_quoted(name)}: {_quoted(text)}" for name, text in data["sources"].items()]
    lines.append("parts:")
    for part in data["parts"]:
        start = "  - "
        for key, value in part.items():
            if value is None or key == "constants":
                continue
            lines.append(f"{start}{key}: {_inline(value)}")
            start = "    "
        lines.append("    constants:")
        lines += [f"      {field}: {_inline(entry)}" for field, entry in part["constants"].items()]
    return "\n".join(lines) + "\n"


AMOUNTS: Final = ("value", "standard_error", "low", "high", "before")


def _inline(value: Any, key: str = "") -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_inline(each, name)}' for name, each in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, int) or key in AMOUNTS:
        return str(value)
    return _quoted(value)


def _quoted(text: str) -> str:
    """Text as YAML: plain where nothing can be mistaken, else in double quotes."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9 ._-]*[A-Za-z0-9_-]", text)
    if plain is None or text.lower() in ("true", "false", "null"):
        return json.dumps(text, ensure_ascii=False)
    return text
