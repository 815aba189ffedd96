"""What a notebook shows of a result: its own document as tables. Everything is escaped; nothing is run."""

import html
from collections.abc import Mapping, Sequence
from typing import Any, Final

MOST_ROWS: Final = 24
MOST_TEXT: Final = 200
MOST_DEPTH: Final = 6
SHOWN_DIGITS: Final = 5


class Notebook:
    """A result that says what it is: `as_dict` gives the document of its command's --json."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """The document of the result."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """Tables for notebooks: without scripts, styles or links, every name escaped."""
        return shown(self.as_dict(), type(self).__name__)


def shown(document: Mapping[str, Any], title: str) -> str:
    """A document as HTML: what is single in one table, what is nested under a line that opens.

    >>> shown({"chip": "<b>", "n": 3}, "Size")
    '<b>Size</b><table><tr><th>chip</th><td>&lt;b&gt;</td></tr><tr><th>n</th><td>3</td></tr></table>'
    """
    return f"<b>{_text(title)}</b>{_mapping(document, 0)}"


def _mapping(document: Mapping[str, Any], depth: int) -> str:
    single = {name: value for name, value in document.items() if not _nested(value)}
    rows = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in single.items())
    table = f"<table>{rows}</table>" if rows else ""
    below = "".join(_opened(name, value, depth) for name, value in document.items() if name not in single and value)
    return table + below


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str))


def _opened(name: str, value: Any, depth: int) -> str:
    if not _nested(value):
        inside = _text(value)
    elif depth >= MOST_DEPTH:
        inside = "…"
    elif isinstance(value, Mapping):
        inside = _mapping(value, depth + 1)
    else:
        inside = _list(value, depth + 1)
    return f"<details><summary>{_text(name)}</summary>{inside}</details>"


def _list(values: Sequence[Any], depth: int) -> str:
    kept = values[:MOST_ROWS]
    if all(isinstance(each, Mapping) for each in kept):
        inside = _table(kept)
    elif any(_nested(each) for each in kept):
        inside = "".join(_opened(str(place), each, depth) for place, each in enumerate(kept, 1))
    else:
        inside = f"<table>{''.join(f'<tr><td>{_text(each)}</td></tr>' for each in kept)}</table>"
    more = f"<p>and {len(values) - MOST_ROWS:,} more</p>" if len(values) > MOST_ROWS else ""
    return inside + more


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Equal mappings as the rows of one table; what is nested in them is counted."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in names) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if not _nested(value):
        return _text(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{_text(name)}={_text(each)}" for name, each in value.items() if not _nested(each))
    return f"{len(value)}" if any(_nested(each) for each in value) else ", ".join(map(_text, value))


def _text(value: Any) -> str:
    """One value: short, without control characters, escaped.

    >>> _text(1234567.891), _text(None), _text("a\\x1b<i>"), _text(True)
    ('1,234,568', '', 'a\\\\x1b&lt;i&gt;', 'True')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e5 <= abs(value) < 1e15 else f"{value:.{SHOWN_DIGITS}g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    cut = text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"
    plain = "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in cut)
    return html.escape(plain)
