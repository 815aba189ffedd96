"""How far a long answer is: what computes says it, and the command line shows it where somebody looks.

Nobody listens unless asked to, and then a loop that is tracked is a plain loop.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

Item = TypeVar("Item")
Told = Callable[[str, int, int], None]  # what is counted, how many are done, of how many


class Listener:
    """Who is told, and whether a loop is telling already."""

    __slots__ = ("busy", "told")

    def __init__(self, told: Told) -> None:
        self.told = told
        self.busy = False


_listener: Final[ContextVar[Listener | None]] = ContextVar("listener", default=None)


@contextmanager
def listening(told: Told | None) -> Iterator[None]:
    """Have `told` called by the loops that are tracked in the block; by none of them where it is None."""
    before = _listener.set(None if told is None else Listener(told))
    try:
        yield
    finally:
        _listener.reset(before)


def track(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items one after the other; who listens is told before each. A loop inside such a loop says nothing.

    >>> said = []
    >>> with listening(lambda *step: said.append(step)):
    ...     total = sum(track([1, 2], "numbers"))
    >>> total, said
    (3, [('numbers', 0, 2), ('numbers', 1, 2), ('numbers', 2, 2)])
    """
    listener = _listener.get()
    if listener is None or listener.busy:
        yield from items
        return
    listener.busy = True
    try:
        for done, item in enumerate(items):
            listener.told(what, done, len(items))
            yield item
        listener.told(what, len(items), len(items))
    finally:
        listener.busy = False
