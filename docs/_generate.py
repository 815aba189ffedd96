"""Tables of the documentation that are made from the code: called between cog marks, checked by `make check`."""

import ast
import inspect
import io
import tokenize
from typing import Final, NamedTuple

from clustercast import records

# The longest ending that matches names the unit.
UNIT_OF_ENDING: Final = {
    "_flop_per_s": "FLOP/s",
    "_bytes_per_s": "B/s",
    "_tokens_per_s": "tokens/s",
    "_per_doubling": "1 per doubling",
    "_bytes_factor": "1",
    "_flop": "FLOP",
    "_bytes": "B",
    "_w": "W",
    "_usd": "USD",
    "_s": "s",
    "_ms": "ms",
    "_fraction": "0…1",
    "_factor": "1",
    "_overlap": "0…1",
    "_params": "parameters",
}


class Symbol(NamedTuple):
    """One field of a record, as its definition writes it."""

    name: str
    kind: str
    meaning: str


def unit(name: str, kind: str) -> str:
    """The unit that the ending of a name states; counts, codes and widths have none.

    >>> unit("hbm_bytes_per_s", "float"), unit("n_layers", "int")
    ('B/s', '')
    """
    if name.startswith("n_") or kind == "int":
        return ""
    return next(
        (UNIT_OF_ENDING[ending] for ending in sorted(UNIT_OF_ENDING, key=len, reverse=True) if name.endswith(ending)),
        "",
    )


def comments(source: str) -> dict[int, str]:
    """The trailing comment of each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def symbols(definition: ast.ClassDef, comment_of: dict[int, str]) -> list[Symbol]:
    return [
        Symbol(field.target.id, ast.unparse(field.annotation), comment_of.get(field.end_lineno or 0, ""))
        for field in definition.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    ]


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def symbol_tables() -> str:
    """One table per record of `clustercast.records`, in the order of the file."""
    source = inspect.getsource(records)
    comment_of = comments(source)
    lines: list[str] = []
    for definition in ast.parse(source).body:
        if not isinstance(definition, ast.ClassDef):
            continue
        lines += [f"### {definition.name}", "", ast.get_docstring(definition) or "", ""]
        lines += ["| name | type | unit | meaning |", "|---|---|---|---|"]
        for name, kind, meaning in symbols(definition, comment_of):
            lines.append(f"| `{name}` | {kind} | {unit(name, kind)} | {cell(meaning)} |")
        lines.append("")
    return "\n".join(lines)


def code_table() -> str:
    """The integer codes that records carry, with the names that people type."""
    lines = ["| code | names, from 0 |", "|---|---|"]
    for name, value in vars(records).items():
        if name.endswith("_NAMES"):
            lines.append(f"| {name.removesuffix('_NAMES').lower()} | {', '.join(f'`{word}`' for word in value)} |")
    return "\n".join(lines)


def command_line() -> str:
    """The help of every command, as an 80-column terminal shows it."""
    import os

    from clustercast.cli import app

    os.environ["COLUMNS"] = "80"
    parts: list[str] = []
    for path in app.command_paths():
        title = " ".join(("clustercast", *path))
        parts += [f"## `{title}`", "", "```text", app.help_of(path).rstrip(), "```", ""]
    return "\n".join(parts)
