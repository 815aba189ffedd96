"""The text of a log, whatever bytes it is: lines without what terminals and launchers add to them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from clustercast.catalog import read
from clustercast.errors import WrongInput

MOST_BYTES: Final = 64 * 2**20
MOST_LINE: Final = 4096  # characters of a line that are looked at
ESCAPE: Final = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]?[@-~]|[@-_])")
NUMBER: Final = r"[-+]?(?:\d[\d,]{0,24}(?:\.\d{0,24})?|\.\d{1,24})(?:[eE][-+]?\d{1,6})?"
MARKS: Final = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8"))


class Line(NamedTuple):
    """One line; what a carriage return wrote over itself comes as several of the same number."""

    number: int
    text: str


def content_of(path: Path) -> str:
    """The text of a file: UTF-8, or UTF-16 with its mark; a byte that is neither becomes a replacement character.

    Raises WrongInput for a file that is not there, is no plain file or is too large.
    """
    try:
        if path.is_dir():
            raise read.wrong(path, "", "is a folder, expected a log")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise read.wrong(path, "", "there is no such file") from None
    except (OSError, ValueError) as error:
        raise read.wrong(path, "", f"cannot be read: {getattr(error, 'strerror', None) or error}".lower()) from None
    if len(content) > MOST_BYTES:
        hint = "cut it: some hundred steps tell as much"
        raise read.wrong(path, "", f"is larger than {MOST_BYTES // 2**20} MiB", hint=hint)
    return decoded(content)


def decoded(content: bytes) -> str:
    """Bytes as text.

    >>> decoded(b"\\xff\\xfea\\0"), decoded(b"a\\xff")
    ('a', 'a\\ufffd')
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    return content.decode("utf-8", "replace")


def lines_of(text: str) -> Iterator[Line]:
    """The lines of a text with their numbers, without colours; the rest of a very long line is left out."""
    for number, whole in enumerate(text.split("\n"), 1):
        for part in whole.split("\r") if "\r" in whole else (whole,):
            cut = part[:MOST_LINE]
            yield Line(number, ESCAPE.sub("", cut) if "\x1b" in cut else cut)


def number_of(text: str) -> float:
    """A number as logs write it, with commas or without; NaN for what is none.

    >>> number_of("5,762"), number_of("1e400"), number_of("x")
    (5762.0, inf, nan)
    """
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return float("nan")


def nothing_found(path: Path, what: str, expected: str) -> WrongInput:
    """The error for a file that holds nothing of what was looked for."""
    return read.wrong(path, "", f"holds no {what}", hint=f"expected {expected}")
