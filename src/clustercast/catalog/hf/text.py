"""The text of a config.json to a mapping: plain JSON, no name twice, not too deep, not too long."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from clustercast.catalog import read
from clustercast.errors import WrongInput

# A string, the colon behind it if it is a name, or a bracket; a string that never ends goes to the end of the text.
_TOKEN: Final = re.compile(r'"((?:[^"\\]+|\\.)*)(?:"|\\?\Z)(\s*:)?|[\[{]|[\]}]', re.DOTALL)


def read_config(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file. Raises WrongInput with file and line for anything else."""
    text = read.text_of(read.read_bytes(path), path)

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            line, name = _twice(text)
            raise read.wrong(path, "", f"duplicate key {shown(name)}", line=line)
        return found

    try:
        config = json.loads(text, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        raise read.wrong(path, "", f"is not JSON: {error.msg.lower()}", line=error.lineno) from None
    except ValueError:
        raise read.wrong(path, "", "holds a number of too many digits") from None
    except RecursionError:
        raise _too_deep(text, path) from None
    if not isinstance(config, dict):
        raise read.wrong(path, "", "is not a mapping, expected a Hugging Face config.json", line=1)
    if _deep_line(text) is not None:
        raise _too_deep(text, path)
    return config


def line_of(text: str, places: tuple[str, ...]) -> int | None:
    """The line of the last of these names, each looked for behind the one before it; None where one is not there.

    >>> line_of('{"a": 1,\\n "b": {\\n "a": 2}}', ("b", "a")), line_of("{}", ("a",))
    (3, None)
    """
    wanted = iter(places)
    name = next(wanted)
    for line, token in _tokens(text):
        if token[2] and token[1] == name:
            name = next(wanted, "")
            if not name:
                return line
    return None


def line_in(path: Path, places: tuple[str, ...]) -> int | None:
    """The same of a file; None where it cannot be read again."""
    try:
        return line_of(read.text_of(read.read_bytes(path), path), places)
    except WrongInput:
        return None


def shown(value: Any) -> str:
    """A value of the file in a message: short, one line, nothing that a terminal would obey.

    >>> shown("many"), shown([1, 2]), shown(True), shown("\\x1b[31m")
    ("'many'", 'a list', 'true', "'\\\\x1b[31m'")
    """
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "a mapping"
    if isinstance(value, int) and abs(value) > _LONGEST_NUMBER:
        return "a number of more than 40 digits"
    if isinstance(value, str):
        short = value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "..."
        return repr(short) if short.isprintable() else ascii(short)
    return repr(value)


_LONGEST_TEXT: Final = 40
_LONGEST_NUMBER: Final = 10**40


def _tokens(text: str) -> Iterator[tuple[int, "re.Match[str]"]]:
    """Strings and brackets, each with its line."""
    line, counted = 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", counted, token.start())
        counted = token.start()
        yield line, token


def _twice(text: str) -> tuple[int | None, str]:
    """The line of the first name that its mapping has already, and the name."""
    open_mappings: list[set[str]] = []
    for line, token in _tokens(text):
        if token[0] in "{[":
            open_mappings.append(set())
        elif token[0] in "}]":
            if open_mappings:
                open_mappings.pop()
        elif token[2] and open_mappings:
            if token[1] in open_mappings[-1]:
                return line, token[1]
            open_mappings[-1].add(token[1])
    return None, ""


def _deep_line(text: str) -> int | None:
    """The line where the nesting goes deeper than that of any config; None where it does not."""
    depth = 0
    for line, token in _tokens(text):
        if token[0] in "[{":
            depth += 1
            if depth > read.MAX_DEPTH:
                return line
        elif token[0] in "]}":
            depth -= 1
    return None


def _too_deep(text: str, path: Path) -> WrongInput:
    return read.wrong(path, "", f"is nested deeper than {read.MAX_DEPTH} levels", line=_deep_line(text))
