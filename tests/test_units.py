"""units.py: what people write, to base units and back."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustercast import units


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("148 TFLOP/s", "flop/s", 148e12),
        ("296 TOP/s", "flop/s", 296e12),
        ("4.0 TB/s", "bytes/s", 4e12),
        ("6TB/s", "bytes/s", 6e12),
        ("400 Gbit/s", "bytes/s", 5e10),
        ("2575 GiB/s", "bytes/s", 2575 * 2.0**30),
        ("96 GiB", "bytes", 96 * 2.0**30),
        ("96 GB", "bytes", 96e9),
        ("60 MB", "bytes", 60e6),
        ("400 W", "watts", 400.0),
        ("1.2 MW", "watts", 1.2e6),
        ("1 kWh", "joules", 3.6e6),
        ("3 us", "seconds", 3e-6),
        ("3 h", "seconds", 10800.0),
        ("1830 MHz", "hertz", 1.83e9),
        ("13500 USD", "usd", 13500.0),
        ("2.0 USD/h", "usd/h", 2.0),
        ("814 mm2", "mm2", 814.0),
        ("0.5 m2", "mm2", 5e5),
        ("1.8T", "count", 1.8e12),
        ("13T", "count", 13e12),
        ("60M", "count", 6e7),
        ("1e3", "count", 1000.0),
        ("85 %", "fraction", 0.85),
        ("0.85", "fraction", 0.85),
    ],
)
def test_a_quantity_is_read_in_base_units(text, dimension, value):
    assert units.parse(text, dimension) == value


@pytest.mark.parametrize(
    ("text", "dimension", "message"),
    [
        (
            "400 Gb/s",
            "bytes/s",
            "unit 'Gb/s' is not known, expected something like '4.0 TB/s' (bytes are B, bits are bit)",
        ),
        ("4 tb/S", "bytes/s", "unit 'tb/S' is not known, expected something like '4.0 TB/s' (did you mean TB/s?)"),
        ("4 furlong", "bytes/s", "unit 'furlong' is not known, expected something like '4.0 TB/s'"),
        ("4", "bytes/s", "'4' has no unit, expected something like '4.0 TB/s'"),
        ("4 TB", "bytes/s", "'4 TB' is in bytes, expected something like '4.0 TB/s'"),
        ("-4 TB/s", "bytes/s", "'-4 TB/s' is negative, expected something like '4.0 TB/s'"),
        ("nan", "watts", "'nan' is not a number with a unit, expected something like '400 W'"),
        ("inf W", "watts", "'inf W' is not a number with a unit, expected something like '400 W'"),
        ("", "watts", "'' is not a number with a unit, expected something like '400 W'"),
        ("1,000 W", "watts", "'1,000 W' is not a number with a unit, expected something like '400 W'"),
        ("1e99 W", "watts", "'1e99 W' is out of range, expected something like '400 W'"),
        ("1.8X", "count", "suffix 'X' is not known, expected something like '1.8T': one of k K M B G T or none"),
        ("96 GIB", "bytes", "unit 'GIB' is not known, expected something like '96 GiB' (did you mean GiB?)"),
    ],
)
def test_what_cannot_be_read_says_what_was_expected(text, dimension, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        units.parse(text, dimension)
    assert str(caught.value) == message


def test_an_unknown_dimension_is_said():
    with pytest.raises(ValueError, match="dimension 'parsecs' is not known, expected one of flop/s"):
        units.parse("1 s", "parsecs")


@pytest.mark.parametrize("value", [True, -1, math.nan, math.inf, 1e41, 10**50])
def test_a_bare_number_has_to_be_finite_and_not_negative(value):
    with pytest.raises(ValueError, match="is not a number from 0 to 1e40"):
        units.number(value, "count")


def test_a_bare_number_is_no_quantity_with_a_unit():
    with pytest.raises(ValueError, match="4 has no unit"):
        units.number(4, "watts")


@given(st.text(max_size=100), st.sampled_from(sorted(units.EXAMPLES)))
def test_any_text_is_read_as_a_finite_number_or_refused(text, dimension):
    try:
        value = units.parse(text, dimension)
    except ValueError:
        return
    assert math.isfinite(value)
    assert value >= 0


SPELLED = [(unit, each) for unit, each in units._UNITS.items()]


@given(st.integers(0, 10**15), st.integers(0, 15), st.sampled_from(SPELLED))
def test_reading_rounds_once(digits, n_decimals, spelled):
    name, unit = spelled
    exact = Fraction(digits, 10**n_decimals)
    text = f"{digits}e-{n_decimals} {name}"
    assert units.parse(text, unit.dimension) == float(exact * unit.numerator / unit.denominator)


@given(st.floats(1e-3, 1e18), st.sampled_from(["FLOP/s", "B/s", "B"]))
def test_what_is_shown_reads_back_within_its_digits(value, unit):
    dimension = {"FLOP/s": "flop/s", "B/s": "bytes/s", "B": "bytes"}[unit]
    assert units.parse(units.si(value, unit), dimension) == pytest.approx(value, rel=6e-3, abs=5e-3)


@given(st.floats(1, 9e14))
def test_a_count_that_is_shown_reads_back_within_its_digits(value):
    assert units.parse(units.count(value), "count") == pytest.approx(value, rel=6e-3)


@given(st.floats(0, 1e12, allow_nan=False))
def test_a_duration_is_shown_in_few_characters(value):
    assert len(units.seconds(value)) <= 13
