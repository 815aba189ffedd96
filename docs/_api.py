"""The public names of the library with their signatures and docstrings, for docs/api.md."""

import inspect
import re
from typing import Any

WIDTH = 100


def verbs() -> list[str]:
    """The functions of the library, in the order of `__all__`."""
    import clustercast

    return [name for name in clustercast.__all__ if callable(getattr(clustercast, name))]


def table() -> str:
    """Every function with its first sentence and what it gives."""
    lines = ["| function | gives | what |", "|---|---|---|"]
    for name in verbs():
        text = _docstring(name).split("\n\n")[0].replace("\n", " ")
        first = re.split(r"(?<=[.?])\s", text)[0].replace("|", "\\|")
        lines.append(f"| [`{name}`](#{name}) | {_gives(name)} | {first} |")
    return "\n".join(lines)


def reference() -> str:
    """Every function: its signature, then its docstring with its examples."""
    parts: list[str] = []
    for name in verbs():
        parts += [f"### `{name}`", "", "```python", _signature(name), "```", "", "```text", _docstring(name), "```", ""]
    return "\n".join(parts)


def _function(name: str) -> Any:
    import clustercast

    return getattr(clustercast, name)


def _docstring(name: str) -> str:
    return inspect.getdoc(_function(name)) or ""


def _annotation(value: Any) -> str:
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    return text.strip("\"'")


def _gives(name: str) -> str:
    found = _annotation(inspect.signature(_function(name)).return_annotation)
    return f"`{found}`".replace("|", "\\|")


def _signature(name: str) -> str:
    """The call, one argument a line where it is too long for one."""
    found = inspect.signature(_function(name))
    parts: list[str] = []
    named = False
    for each in found.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not named:
            parts.append("*")
            named = True
        default = "" if each.default is each.empty else f" = {each.default!r}"
        parts.append(f"{each.name}: {_annotation(each.annotation)}{default}")
    line = f"clustercast.{name}({', '.join(parts)}) -> {_annotation(found.return_annotation)}"
    if len(line) <= WIDTH:
        return line
    inside = "\n".join(f"    {part}," for part in parts)
    return f"clustercast.{name}(\n{inside}\n) -> {_annotation(found.return_annotation)}"
