"""A chip file from the numbers of a datasheet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from clustercast import catalog, units
from clustercast.catalog import constants, write
from clustercast.catalog.chips import FORMATS, ChipProfile, chip_profile
from clustercast.errors import WrongInput
from clustercast.studies.new import doubts
from clustercast.studies.new.made import Made, check_name

# Number of a datasheet: where it stands in the file, its dimension, the option that gives it.
NUMBERS: Final = {
    "memory": ("memory.capacity", "bytes"),
    "bandwidth": ("memory.bandwidth", "bytes/s"),
    "cache": ("memory.cache", "bytes"),
    "scale_up": ("scale_up.per_direction", "bytes/s"),
    "scale_up_quoted": ("scale_up.quoted", "bytes/s"),
    "nic": ("nic", "bytes/s"),
    "power": ("power", "watts"),
    "clock": ("boost_clock", "hertz"),
    "die_area": ("die_area", "mm2"),
    "buy": ("price.buy", "usd"),
    "rent": ("price.rent", "usd/h"),
}
_PEAK: Final = "peak"
_SOURCED: Final = {*NUMBERS, _PEAK, "cores", *(f"{_PEAK}.{each}" for each in FORMATS)}
_LABELLED_GB: Final = re.compile(r"[0-9.]+ ?GB")


@dataclass(frozen=True, slots=True)
class Datasheet:
    """What the user gives. Numbers are text with their unit; sources are keyed by number, "" for all others."""

    name: str
    full_name: str | None = None
    vendor: str | None = None
    family: str | None = None
    architecture: str | None = None
    released: str | None = None
    status: str = "shipping"
    data_centre: bool | None = None
    fabric: str | None = None
    memory_type: str | None = None
    scale_up_name: str | None = None
    pcie: int | None = None
    cores: int | None = None
    peaks: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    like: str | None = None


# What a file cannot do without: the option, and how to ask for it.
NEEDED: Final = {
    "vendor": "vendor, such as NVIDIA",
    "released": "released, such as 2026-01",
    "peak": "dense 16-bit matmul peak, such as bf16=148TFLOP/s",
    "memory": "memory, such as 96GB",
    "bandwidth": "memory bandwidth, such as 4.0TB/s",
    "power": "power, such as 400W",
    "source": "where these numbers stand, such as an address",
}
# What --like can give instead.
FROM_LIKE: Final = {"fabric": "a fabric of `fabrics list`", "memory_type": "type of memory, such as HBM3"}


def missing(sheet: Datasheet) -> dict[str, str]:
    """What has to be given before a file can be written: option and how to ask for it."""
    lacking = {
        "vendor": not sheet.vendor,
        "released": not sheet.released,
        "peak": not sheet.peaks,
        "source": not sheet.sources,
        **{name: name not in sheet.numbers for name in ("memory", "bandwidth", "power")},
    }
    found = {name: ask for name, ask in NEEDED.items() if lacking[name]}
    if sheet.like is None:
        found |= {name: ask for name, ask in FROM_LIKE.items() if not getattr(sheet, name)}
    return found | _links_needed(sheet)


def _links_needed(sheet: Datasheet) -> dict[str, str]:
    """Bandwidths that the fabric leaves to its chips."""
    named = sheet.fabric or (catalog.find_chip(sheet.like).fabric if sheet.like else "")
    if not named:
        return {}
    fabric, found = catalog.find_fabric(named), {}
    if fabric.scale_up.bandwidth is None and not {"scale_up", "scale_up_quoted"} & set(sheet.numbers):
        found["scale_up"] = "bandwidth of its own links in one direction, such as 450GB/s"
    if fabric.rail is not None and fabric.rail.bandwidth is None and "nic" not in sheet.numbers:
        found["nic"] = "network bandwidth of one chip in one direction, such as 400Gbit/s"
    return found


def peaks(given: Sequence[str]) -> dict[str, str]:
    """Peaks by number format.

    >>> peaks(["bf16=148TFLOP/s"])
    {'bf16': '148TFLOP/s'}
    """
    found: dict[str, str] = {}
    for each in given:
        number_format, equals, text = each.partition("=")
        key = number_format.strip().lower()
        if not equals or key not in FORMATS:
            raise WrongInput(
                f"--peak: expected <format>=<rate> with one of {', '.join(FORMATS)}, got {each[:60]!a}",
                hint="--peak bf16=148TFLOP/s",
            )
        if key in found:
            raise WrongInput(f"--peak: {key} is given twice")
        _read(f"--peak {key}", text, "flop/s")
        found[key] = text.strip()
    return found


def sources(given: Sequence[str]) -> dict[str, str]:
    """Sources by number, "" for all that have none of their own; an address may hold an equals sign.

    >>> sources(["https://example.com/?a=b", "nic=a talk"])
    {'': 'https://example.com/?a=b', 'nic': 'a talk'}
    """
    found: dict[str, str] = {}
    for each in given:
        name, equals, text = each.partition("=")
        key = name.strip().replace("-", "_")
        own = equals and key in _SOURCED
        key, text = (key, text) if own else ("", each)
        if not text.strip():
            raise WrongInput("--source: is empty, expected where the numbers stand")
        if key in found:
            raise WrongInput(f"--source: {'a source for ' + key if key else 'a source for all'} is given twice")
        found[key] = text.strip()
    return found


def answered(sheet: Datasheet, name: str, text: str) -> Datasheet:
    """The sheet with the answer to one question of `missing`. Raises WrongInput for an answer that does not fit."""
    text = text.strip()
    if name == "peak":
        return replace(sheet, peaks=peaks([text]))
    if name == "source":
        return replace(sheet, sources=sources([text]))
    if name in NUMBERS:
        _read(option(name), text, NUMBERS[name][1])
        return replace(sheet, numbers=sheet.numbers | {name: text})
    if name == "fabric":
        catalog.find_fabric(text)
    if not text:
        raise WrongInput(f"{option(name)}: is empty")
    fields: dict[str, Any] = {name: text}
    return replace(sheet, **fields)


def option(name: str) -> str:
    """The option of the command line that gives a number or a field.

    >>> option("memory_type")
    '--memory-type'
    """
    return "--" + name.replace("_", "-")


def chip_of(sheet: Datasheet) -> Made:
    """The file of a chip. Raises WrongInput for what is missing or does not fit."""
    name = check_name("chips new", sheet.name)
    _refuse_control_characters(sheet)
    lacking = missing(sheet)
    if lacking:
        options = [option(each) for each in lacking]
        are = "are" if len(options) > 1 else "is"
        hint = next(iter(lacking.values())) if len(lacking) == 1 else None
        if not sheet.like:
            hint = "--like h20 takes family, fabric, links and memory type of a chip of the catalogue"
        raise WrongInput(f"chips new: {', '.join(options)} {are} missing", hint=hint)
    like = catalog.find_chip(sheet.like) if sheet.like else None
    notes: list[str] = []
    data = _data(sheet, name, like, notes)
    text = write.yaml_text("chip", data)
    profile = chip_profile(write.checked("chip", text, data), f"{name}.yaml")
    _check_names(profile)
    warnings = doubts.of(profile, like)
    shown = {key: each.value for key, each in profile.quantities()}
    return Made("chip", name, text, {"numbers": shown}, tuple(notes), tuple(warnings))


def _refuse_control_characters(sheet: Datasheet) -> None:
    """Raises WrongInput for a text that a terminal might obey."""
    fields = {name: getattr(sheet, name) for name in sheet.__dataclass_fields__}
    fields |= {f"source {name}".strip(): text for name, text in sheet.sources.items()}
    fields |= {f"peak {name}": text for name, text in sheet.peaks.items()} | sheet.numbers
    for name, text in fields.items():
        if isinstance(text, str) and not text.isprintable():
            raise WrongInput(f"{option(name)}: holds a control character, expected plain text")


def _check_names(profile: ChipProfile) -> None:
    """That family, fabric and links are known. Raises WrongInput."""
    catalog.find_fabric(profile.fabric)
    constants.clock_fraction(profile.family)


def _data(sheet: Datasheet, name: str, like: ChipProfile | None, notes: list[str]) -> dict[str, Any]:
    """The fields of the file."""
    sources = _Sources(sheet)
    taken = _Taken(like, notes)
    data: dict[str, Any] = {
        "name": name,
        "full_name": sheet.full_name or name,
        "vendor": sheet.vendor,
        "aliases": [],
        "family": sheet.family or taken.field("family", "other"),
        "architecture": sheet.architecture or taken.field("architecture", "unknown"),
        "released": sheet.released,
        "status": sheet.status,
        "data_centre": sheet.data_centre if sheet.data_centre is not None else taken.field("data_centre", True),
        "fabric": sheet.fabric or taken.field("fabric", ""),
        "sources": {},
        "peaks": {each: _peak(each, sheet.peaks[each], sources) for each in FORMATS if each in sheet.peaks},
    }
    data["memory"] = {"type": sheet.memory_type or taken.field("memory_type", ""), **_memory(sheet, sources, notes)}
    links = _links(sheet, like, sources, taken)
    if links:
        data["scale_up"] = links
    pcie = sheet.pcie or (like.pcie_generation if like else None)
    if pcie:
        data["pcie_generation"] = pcie
    data |= {key: _given(given, sheet, sources) for given, key in _PLAIN.items() if given in sheet.numbers}
    if sheet.cores:
        data |= {"n_cores": sheet.cores, "n_cores_source": sources.key("cores")}
    prices = {each: _given(each, sheet, sources) for each in ("buy", "rent") if each in sheet.numbers}
    if prices:
        data["price"] = prices
    if like is not None:
        fields = ", ".join(taken.fields)
        notes.append(f"taken from {like.name}: {fields}; kernels run as well as the {data['family']} family's")
    data["sources"] = sources.used
    data["notes"] = list(notes)
    return data


_PLAIN: Final = {"nic": "nic", "power": "power", "clock": "boost_clock", "die_area": "die_area"}


class _Sources:
    """Sources by number, each under a key of its own in the file."""

    def __init__(self, sheet: Datasheet) -> None:
        self.given = sheet.sources
        self.used: dict[str, str] = {}

    def key(self, *names: str) -> str:
        """The key of the source of a number: its own, or the general one."""
        found = next((name for name in (*names, "") if name in self.given), None)
        if found is None:
            raise WrongInput(f"--source: {names[0]} has no source", hint="give one for all: --source ADDRESS")
        key = found.replace(".", "-").replace("_", "-") or "datasheet"
        self.used[key] = self.given[found]
        return key


class _Taken:
    """Fields that another chip gives."""

    def __init__(self, like: ChipProfile | None, notes: list[str]) -> None:
        self.like = like
        self.notes = notes
        self.fields: list[str] = []

    def field(self, name: str, otherwise: Any) -> Any:
        """A field of the other chip, or what is assumed without one."""
        if self.like is None:
            if otherwise != "":
                self.notes.append(f"{name} is not given: {str(otherwise).lower()} is assumed")
            return otherwise
        self.fields.append(name)
        return getattr(self.like, name)


def _quantity(text: str, source: str, note: str | None = None) -> dict[str, Any]:
    """A number of a datasheet, spelled with a space before its unit."""
    spaced = re.sub(r"([0-9.])([A-Za-z])", r"\1 \2", text.strip(), count=1)
    said = {"note": note} if note else {}
    return {"value": spaced, "source": source, "kind": "datasheet", **said}


def _read(named: str, text: str, dimension: str) -> float:
    try:
        value = units.parse(text, dimension)
    except ValueError as error:
        raise WrongInput(f"{named}: {error}") from None
    if value == 0:
        raise WrongInput(f"{named}: {text!r} is not more than 0")
    return value


def _given(name: str, sheet: Datasheet, sources: _Sources) -> dict[str, Any]:
    """One number of the datasheet."""
    _read(option(name), sheet.numbers[name], NUMBERS[name][1])
    return _quantity(sheet.numbers[name], sources.key(name))


def _peak(number_format: str, text: str, sources: _Sources) -> dict[str, Any]:
    _read(f"--peak {number_format}", text, "flop/s")
    return _quantity(text, sources.key(f"peak.{number_format}", _PEAK))


def _memory(sheet: Datasheet, sources: _Sources, notes: list[str]) -> dict[str, Any]:
    """Capacity, bandwidth and cache; a label in GB counts in GiB, as labels of memory do."""
    text = sheet.numbers["memory"].strip()
    _read("--memory", text, "bytes")
    note = None
    if _LABELLED_GB.fullmatch(text):
        note = f"labelled {text.removesuffix('GB').strip()} GB"
        text = text.removesuffix("GB").strip() + " GiB"
        notes.append(f"memory {note} is read as {text}, as labels of memory mean; write it in GiB if it is not")
    found = {
        "capacity": _quantity(text, sources.key("memory"), note),
        "bandwidth": _given("bandwidth", sheet, sources),
    }
    return found | ({"cache": _given("cache", sheet, sources)} if "cache" in sheet.numbers else {})


def _links(sheet: Datasheet, like: ChipProfile | None, sources: _Sources, taken: _Taken) -> dict[str, Any]:
    """The chip's own links: what is usable in one direction, and what the vendor quotes for both."""
    quoted, usable = sheet.numbers.get("scale_up_quoted"), sheet.numbers.get("scale_up")
    if quoted is None and usable is None:
        return {}
    name = sheet.scale_up_name or (taken.field("scale_up_name", "links") if like and like.scale_up_name else "links")
    found: dict[str, Any] = {"name": name}
    if quoted is not None:
        found["quoted"] = _given("scale_up_quoted", sheet, sources)
    found["direction"] = "both" if quoted is not None else "one"
    if usable is not None:
        found["per_direction"] = _given("scale_up", sheet, sources)
    elif quoted is not None:
        half = units.si(_read("--scale-up-quoted", quoted, "bytes/s") / 2, "B/s", 6)
        found["per_direction"] = _quantity(half, sources.key("scale_up_quoted"), "half of what is quoted")
    return found
