"""Marks the functions that are formulas: `grid.py` compiles them, the tests check them."""

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])

FORMULAS: list[Callable[..., object]] = []


def formula(function: F) -> F:
    """Register a plain scalar function as a formula and return it unchanged."""
    FORMULAS.append(function)
    return function
