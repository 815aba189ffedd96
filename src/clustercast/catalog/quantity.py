"""A number with where it comes from, as the rest of the program sees it."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Quantity(NamedTuple):
    """A value in the base unit of its dimension (see `clustercast.units`), its range and its origin."""

    value: float
    low: float | None  # None: no range is given
    high: float | None
    text: str  # as the source writes it
    dimension: str
    source: str  # a key of the file's `sources`
    kind: str  # datasheet, measured, reported, fitted, assumed
    note: str | None = None
    why: str | None = None


def quantity(fields: Sequence[Any]) -> Quantity:
    """A quantity from the list that the cache keeps."""
    return Quantity(*fields)


def assumed(value: float, text: str, dimension: str, source: str) -> Quantity:
    """A quantity that the user asks to assume: it has no range but itself."""
    return Quantity(value, value, value, text, dimension, source, "assumed", None, "given by the user")
