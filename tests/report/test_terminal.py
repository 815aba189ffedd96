"""What reaches a stream: clean text, colour only where it is wanted, tables that never lose a number."""

import io

import pytest

from clustercast.report import json, terminal
from clustercast.report.layout import Line, Table, lines_of


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_bold_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream, expected in ((Screen(), "\x1b[1ma\x1b[0m\n"), (io.StringIO(), "a\n")):
        terminal.write([Line("a", "bold")], stream)
        assert stream.getvalue() == expected
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen()
    terminal.write([Line("a", "bold")], screen)
    assert screen.getvalue() == "a\n"


def test_no_control_character_passes() -> None:
    stream = Screen()
    terminal.write(["a\x1b[2Jb", Table(("x",), [("\x07\u202e",)])], stream)
    assert "\x1b[2J" not in stream.getvalue()
    assert "a\\x1b[2Jb" in stream.getvalue()
    assert "\\x07\\u202e" in stream.getvalue()


def test_a_wide_table_shortens_words_and_keeps_numbers() -> None:
    row = ("a" * 60, "b" * 40, "1234567890")
    lines = lines_of(Table(("word", "more", "number"), [row], frozenset((2,)), (0, 1)))
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].endswith("1234567890")
    assert "…" in lines[1]


def test_a_document_has_no_number_that_json_lacks() -> None:
    assert json.finite({"a": (1, float("nan"), [float("-inf")])}) == {"a": [1, None, [None]]}
