"""How far a report is, on standard error where somebody looks at it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_S = 1.0  # what is done sooner needs no word on the way
CLEAR = "\r\x1b[K"


@contextmanager
def shown(*, as_json: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Something to call with what is next, how many parts are done and of how many; nothing where nobody looks."""
    if as_json or not sys.stderr.isatty():
        yield None
        return
    began = time.monotonic()
    said = False

    def say(name: str, done: int, of: int) -> None:
        nonlocal said
        taken_s = time.monotonic() - began
        if taken_s >= QUIET_S and name:
            left = f", about {taken_s / done * (of - done):.0f} s left" if done else ""
            sys.stderr.write(f"{CLEAR}asking: {name} ({done} of {of}{left})")
            sys.stderr.flush()
            said = True

    try:
        yield say
    finally:
        if said:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()
