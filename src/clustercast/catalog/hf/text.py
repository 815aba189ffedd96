"""The text of a config.json to a mapping: plain JSON, no name twice, not too deep, not too long."""

import json
import re
from pathlib import Path
from typing import Any, Final

from clustercast.catalog import read
from clustercast.errors import WrongInput

_STRINGS_AND_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def read_config(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file. Raises WrongInput with file and line for anything else."""
    text = read.text_of(read.read_bytes(path), path)
    _refuse_depth(text, path)

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(name for at, (name, _) in enumerate(pairs) if name in {each for each, _ in pairs[:at]})
            lines = [line for line, name in _names(text) if name == twice]
            raise read.wrong(path, "", f"duplicate key {_quoted(twice)}", line=lines[1] if len(lines) > 1 else None)
        return found

    try:
        config = json.loads(text, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        raise read.wrong(path, "", f"is not JSON: {error.msg.lower()}", line=error.lineno) from None
    except ValueError:
        raise read.wrong(path, "", "holds a number of too many digits") from None
    if not isinstance(config, dict):
        raise read.wrong(path, "", "is not a mapping, expected a Hugging Face config.json", line=1)
    return config


def line_of(text: str, places: tuple[str, ...]) -> int | None:
    """The line of the last of these names, each looked for behind the one before it; None where one is not there.

    >>> line_of('{"a": 1,\\n "b": {\\n "a": 2}}', ("b", "a")), line_of("{}", ("a",))
    (3, None)
    """
    wanted = iter(places)
    name = next(wanted)
    for line, found in _names(text):
        if found == name:
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
    if isinstance(value, int) and abs(value) > 10**40:
        return "a number of more than 40 digits"
    return _quoted(value[:40] + "..." if isinstance(value, str) and len(value) > 40 else value)


def _quoted(value: Any) -> str:
    return ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)


def _names(text: str) -> "list[tuple[int, str]]":
    """Every name of a mapping in the file with its line."""
    found = []
    for name in re.finditer(r'"((?:[^"\\\n]|\\.){1,200})"\s*:', text):
        found.append((text.count("\n", 0, name.start()) + 1, name[1]))
    return found


def _refuse_depth(text: str, path: Path) -> None:
    """Refuse what is nested deeper than any config, before the reader goes down."""
    depth = 0
    for token in _STRINGS_AND_BRACKETS.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > read.MAX_DEPTH:
                line = text.count("\n", 0, token.start()) + 1
                raise read.wrong(path, "", f"is nested deeper than {read.MAX_DEPTH} levels", line=line)
        elif token[0] in "]}":
            depth -= 1
