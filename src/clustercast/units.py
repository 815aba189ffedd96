"""Quantities as people write them, "4.0 TB/s", to numbers in base units and back.

Reading is strict: the unit has to be there, has to be spelled as below and has to fit the dimension that the reader
expects. It is also exact: the number is read as a ratio of integers and rounded to a float once.

    dimension   base unit        also written
    flop/s      FLOP/s           OP/s; k M G T P E before either
    bytes/s     B/s              bit/s; k M G T P E before either, Ki Mi Gi Ti before B/s
    bytes       B                bit; the same prefixes
    watts       W                mW kW MW GW
    joules      J                Wh; k M G T before either
    seconds     s                ns us ms; min h d
    hertz       Hz               k M G before it
    usd         USD              kUSD MUSD GUSD
    usd/h       USD/h
    mm2         mm2              m2
    count       a bare number    k K M B G T after it: 60M, 70B, 1.8T
    fraction    a bare number    %
"""

import re
from typing import Final, NamedTuple


class _Unit(NamedTuple):
    """A unit's dimension and how many base units it is, as a ratio of integers."""

    dimension: str
    numerator: int
    denominator: int


_DECIMAL: Final = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_COUNT: Final = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}

# An example of every dimension, for error messages; its keys are the dimensions.
EXAMPLES: Final = {
    "flop/s": "148 TFLOP/s",
    "bytes/s": "4.0 TB/s",
    "bytes": "96 GiB",
    "watts": "400 W",
    "joules": "1 kJ",
    "seconds": "3 us",
    "hertz": "1830 MHz",
    "usd": "13500 USD",
    "usd/h": "2.0 USD/h",
    "mm2": "814 mm2",
    "count": "1.8T",
    "fraction": "0.9",
}


def _units() -> dict[str, _Unit]:
    """Every spelling that is allowed, with its meaning."""
    units = {
        "mW": _Unit("watts", 1, 1000),
        "ms": _Unit("seconds", 1, 10**3),
        "us": _Unit("seconds", 1, 10**6),
        "ns": _Unit("seconds", 1, 10**9),
        "min": _Unit("seconds", 60, 1),
        "h": _Unit("seconds", 3600, 1),
        "d": _Unit("seconds", 86400, 1),
        "USD/h": _Unit("usd/h", 1, 1),
        "mm2": _Unit("mm2", 1, 1),
        "m2": _Unit("mm2", 10**6, 1),
        "%": _Unit("fraction", 1, 100),
    }
    for unit, dimension, numerator, denominator, prefixes in (
        ("FLOP/s", "flop/s", 1, 1, "kMGTPE"),
        ("OP/s", "flop/s", 1, 1, "kMGTPE"),
        ("B/s", "bytes/s", 1, 1, "kMGTPE"),
        ("bit/s", "bytes/s", 1, 8, "kMGTPE"),
        ("B", "bytes", 1, 1, "kMGTPE"),
        ("bit", "bytes", 1, 8, "kMGTPE"),
        ("W", "watts", 1, 1, "kMG"),
        ("J", "joules", 1, 1, "kMGT"),
        ("Wh", "joules", 3600, 1, "kMGT"),
        ("s", "seconds", 1, 1, ""),
        ("Hz", "hertz", 1, 1, "kMG"),
        ("USD", "usd", 1, 1, "kMG"),
    ):
        units[unit] = _Unit(dimension, numerator, denominator)
        for prefix in prefixes:
            units[prefix + unit] = _Unit(dimension, numerator * _DECIMAL[prefix], denominator)
    for prefix, factor in _BINARY.items():
        units[prefix + "B"] = _Unit("bytes", factor, 1)
        units[prefix + "B/s"] = _Unit("bytes/s", factor, 1)
    return units


_UNITS: Final = _units()
_TEXT: Final = re.compile(
    r"(-?)([0-9]{1,30})(?:\.([0-9]{1,30}))?(?:[eE]([+-]?[0-9]{1,3}))?"  # sign, whole, decimals, exponent
    r"[ ]?([A-Za-z%][A-Za-z0-9/]*)?"  # unit
)
_MAX_CHARACTERS: Final = 80
_MAX_EXPONENT: Final = 40


def parse(text: str, dimension: str) -> float:
    """The number of base units that a text means; ValueError says what was expected.

    text       a number, at most one space, a unit: "4.0 TB/s", "96 GiB"; for counts and fractions the unit may go
    dimension  one of the table above

    >>> parse("4.0 TB/s", "bytes/s"), parse("400 Gbit/s", "bytes/s"), parse("80 GiB", "bytes")
    (4000000000000.0, 50000000000.0, 85899345920.0)
    >>> parse("1.8T", "count"), parse("85 %", "fraction"), parse("3 us", "seconds")
    (1800000000000.0, 0.85, 3e-06)
    >>> parse("400 Gb/s", "bytes/s")
    Traceback (most recent call last):
    ...
    ValueError: unit 'Gb/s' is not known, expected something like '4.0 TB/s' (bytes are B, bits are bit)
    """
    if dimension not in EXAMPLES:
        raise ValueError(f"dimension {dimension!r} is not known, expected one of {', '.join(EXAMPLES)}")
    expected = f"expected something like {EXAMPLES[dimension]!r}"
    found = _TEXT.fullmatch(text.strip(" ")) if len(text) <= _MAX_CHARACTERS else None
    if found is None:
        shown = text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + "..."
        raise ValueError(f"{shown!r} is not a number with a unit, {expected}")
    sign, whole, decimals, exponent, suffix = found.groups()
    if sign:
        raise ValueError(f"{text!r} is negative, {expected}")
    numerator, denominator = _scale(suffix, dimension, text, expected)
    power = int(exponent or 0) - len(decimals or "")
    if abs(int(exponent or 0)) > _MAX_EXPONENT:
        raise ValueError(f"{text!r} is out of range, {expected}")
    digits = int(whole + (decimals or ""))
    ratio: float = digits * numerator * 10 ** max(power, 0) / (denominator * 10 ** max(-power, 0))
    return ratio


def _scale(suffix: str | None, dimension: str, text: str, expected: str) -> tuple[int, int]:
    """What one of the suffix is in base units of the dimension, as a ratio."""
    if dimension == "count":
        if suffix is None:
            return 1, 1
        if suffix not in _COUNT:
            raise ValueError(f"suffix {suffix!r} is not known, {expected}: one of {' '.join(_COUNT)} or none")
        return _COUNT[suffix], 1
    if suffix is None:
        if dimension == "fraction":
            return 1, 1
        raise ValueError(f"{text!r} has no unit, {expected}")
    unit = _UNITS.get(suffix)
    if unit is None:
        raise ValueError(f"unit {suffix!r} is not known, {expected}{_near(suffix)}")
    if unit.dimension != dimension:
        raise ValueError(f"{text!r} is in {unit.dimension}, {expected}")
    return unit.numerator, unit.denominator


def _near(suffix: str) -> str:
    """A guess at what an unknown unit was meant to be: `b` alone may be either, else its case may be wrong."""
    if suffix.endswith(("b", "b/s", "bps")):
        return " (bytes are B, bits are bit)"
    same = [unit for unit in _UNITS if unit.lower() == suffix.lower()]
    return f" (did you mean {same[0]}?)" if len(same) == 1 else ""


def number(value: str | int | float, dimension: str) -> float:
    """A count or fraction that may be a bare number already, or any quantity as text.

    >>> number(15.6e12, "count"), number("13T", "count")
    (15600000000000.0, 13000000000000.0)
    """
    if isinstance(value, str):
        return parse(value, dimension)
    if dimension not in ("count", "fraction"):
        raise ValueError(f"{value!r} has no unit, expected something like {EXAMPLES[dimension]!r}")
    if isinstance(value, bool) or not 0 <= value < 1e40:
        raise ValueError(f"{value!r} is not a number from 0 to 1e40, expected something like {EXAMPLES[dimension]!r}")
    return float(value)


def si(value: float, unit: str, digits: int = 3) -> str:
    """A value in base units with the decimal prefix that leaves one to three digits before the point.

    >>> si(4e12, "B/s"), si(148e12, "FLOP/s"), si(999.7e9, "B/s"), si(0.0, "W")
    ('4.00 TB/s', '148 TFLOP/s', '1.00 TB/s', '0.00 W')
    """
    scaled, prefix = _prefixed(value, (("", 1.0), *((key, float(factor)) for key, factor in _DECIMAL.items())), digits)
    return f"{scaled} {prefix}{unit}"


def count(value: float, digits: int = 3) -> str:
    """A count as people say it, with k, M, B or T and no more digits than needed.

    >>> count(1.8e12), count(70.6e9), count(8192), count(12)
    ('1.8T', '70.6B', '8.19k', '12')
    """
    scaled, prefix = _prefixed(value, (("", 1.0), ("k", 1e3), ("M", 1e6), ("B", 1e9), ("T", 1e12)), digits)
    return (scaled.rstrip("0").rstrip(".") if "." in scaled else scaled) + prefix


def gib(value_bytes: float) -> str:
    """Bytes in GiB (2**30), as memory is labelled.

    >>> gib(96 * 2**30), gib(1.5 * 2**40)
    ('96.0 GiB', '1536.0 GiB')
    """
    return f"{value_bytes / 2**30:.1f} GiB"


def seconds(value_s: float) -> str:
    """A duration in the unit a person would pick.

    >>> seconds(0.0032), seconds(2.5e-6), seconds(42.0), seconds(5400.0), seconds(87 * 86400.0), seconds(4e8)
    ('3.2 ms', '2.5 us', '42 s', '90 min', '87 days', '12.7 years')
    """
    for unit, unit_s, below in (
        ("ns", 1e-9, 1e-6),
        ("us", 1e-6, 1e-3),
        ("ms", 1e-3, 1.0),
        ("s", 1.0, 120.0),
        ("min", 60.0, 7200.0),
        ("h", 3600.0, 172800.0),
        ("days", 86400.0, 730 * 86400.0),
    ):
        if value_s < below * 0.9995:
            shown = value_s / unit_s
            return f"{shown:.3g} {unit}" if shown < 100 else f"{shown:.0f} {unit}"
    return f"{value_s / (365.25 * 86400):.1f} years"


def _prefixed(value: float, prefixes: tuple[tuple[str, float], ...], digits: int) -> tuple[str, str]:
    """The value over the largest prefix that leaves at least one before rounding, to so many digits."""
    prefix, factor = prefixes[0]
    for prefix_here, factor_here in prefixes:
        if float(f"{value:.{digits}g}") >= factor_here:
            prefix, factor = prefix_here, factor_here
    scaled = float(f"{value / factor:.{digits}g}")
    n_whole = len(str(int(scaled)))
    return f"{scaled:.{max(digits - n_whole, 0)}f}", prefix
