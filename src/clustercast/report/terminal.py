"""Blocks to a stream: colour only on a terminal that wants it, plain aligned text everywhere else.

What came from a user or a file never reaches the terminal as a control character.
"""

import os
from collections.abc import Sequence
from typing import Final, TextIO

from clustercast.report import progress
from clustercast.report.layout import Block, Line, Table, lines_of

STYLES: Final = {"bold": "\x1b[1m", "dim": "\x1b[2m"}
RESET: Final = "\x1b[0m"
SIMPLER: Final = str.maketrans({"█": "#", "×": "x", "–": "-", "…": ".", "≤": "<", "−": "-", "·": ".", "²": "2"})


def visible(text: str) -> str:
    """The text with every character that is not for display written as its code.

    >>> visible("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def wants_colour(stream: TextIO) -> bool:
    """Whether the stream is a terminal and nobody asked for plain text (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write(blocks: Sequence[Block], stream: TextIO) -> None:
    """Write blocks one under the other."""
    colour = wants_colour(stream)
    for block in blocks:
        for line in _lines(block):
            text = visible(line.text)
            if colour and line.style:
                text = f"{STYLES[line.style]}{text}{RESET}"
            write_raw(text, stream)


def _lines(block: Block) -> list[Line]:
    if isinstance(block, Table):
        return [Line(text, "" if place else "bold") for place, text in enumerate(lines_of(block))]
    return [block if isinstance(block, Line) else Line(block)]


def write_raw(text: str, stream: TextIO) -> None:
    """Write a text that is known to be clean, with simpler characters where the stream has no better ones."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        text = text.translate(SIMPLER).encode("ascii", "backslashreplace").decode("ascii")
    progress.clear()
    stream.write(text + "\n")
