"""The command line run inside the test's own process."""

import json
import signal
from collections.abc import Callable
from typing import Any, NamedTuple


class Done(NamedTuple):
    """What one command left behind."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output; NaN and infinity are refused."""

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} in JSON")

        return json.loads(self.out, parse_constant=refuse)


Cli = Callable[..., Done]


def heed_interrupts() -> None:
    """In a child, before its command: what runs in the background ignores SIGINT and would hand that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
