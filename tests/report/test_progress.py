"""How far a long answer is shows on a terminal, and nowhere else."""

import io

import pytest

from clustercast import progress
from clustercast.report import progress as render
from clustercast.report import terminal


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second to wait for, and every step said."""
    monkeypatch.setattr(render, "QUIET_S", 0.0)
    monkeypatch.setattr(render, "EVERY_S", 0.0)


@pytest.mark.usefixtures("at_once")
def test_a_terminal_shows_how_far_it_is_and_is_clean_after() -> None:
    stream = Terminal()
    with render.shown(stream):
        for _ in progress.track(["a", "b", "c"], "chips"):
            pass
    said = stream.getvalue()
    assert "chips #############....... 2 of 3" in said
    assert "/s, " in said
    assert " left" in said
    assert said.endswith(render.CLEAR)


@pytest.mark.usefixtures("at_once")
def test_a_pipe_shows_nothing() -> None:
    stream = io.StringIO()
    with render.shown(stream):
        assert list(progress.track([1, 2], "chips")) == [1, 2]
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("at_once")
def test_an_answer_is_never_written_behind_the_line() -> None:
    stream, out = Terminal(), io.StringIO()
    with render.shown(stream):
        for _ in progress.track([1, 2], "chips"):
            terminal.write(["the answer"], out)
            assert not stream.getvalue() or stream.getvalue().endswith(render.CLEAR)
    assert out.getvalue() == "the answer\nthe answer\n"


def test_what_takes_less_than_a_second_says_nothing() -> None:
    stream = Terminal()
    with render.shown(stream):
        list(progress.track([1, 2, 3], "chips"))
    assert stream.getvalue() == ""


def test_a_loop_inside_a_loop_says_nothing() -> None:
    said: list[str] = []
    with progress.listening(lambda what, _done, _of: said.append(what)):
        for _ in progress.track([1, 2], "outer"):
            list(progress.track([1, 2], "inner"))
    assert set(said) == {"outer"}


def test_a_loop_that_breaks_off_leaves_the_next_one_heard() -> None:
    said: list[str] = []

    def broken() -> None:
        for _ in progress.track([1, 2], "first"):
            raise ValueError("broken")

    with progress.listening(lambda what, _done, _of: said.append(what)):
        with pytest.raises(ValueError, match="broken"):
            broken()
        list(progress.track([1], "second"))
    assert "second" in said


def test_nobody_listens_after_the_block() -> None:
    said: list[str] = []
    with progress.listening(lambda what, _done, _of: said.append(what)):
        pass
    list(progress.track([1], "late"))
    assert said == []
