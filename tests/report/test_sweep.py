"""A sweep on standard error while it runs: a bar on a terminal, few lines elsewhere, nothing for programs."""

import io
from contextlib import nullcontext

import pytest

from clustercast.report import sweep as report
from clustercast.studies.sweep.result import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(points_done: int, parts_done: int = 0, *, checking: bool = False) -> Progress:
    return Progress(1_000_000, 10, points_done, parts_done, 0, 0, points_done // 2, 4.0, checking)


def told(stream: io.StringIO, *, as_json: bool = False, error: type[BaseException] | None = None) -> str:
    """What is written where a sweep is at 30 and then at 60 per cent."""
    with nullcontext() if error is None else pytest.raises(error), report.Shown(stream, as_json=as_json) as shown:
        shown(progress(0))
        for points in (300_000, 600_000):
            shown(progress(points, points // 100_000))
        if error is not None:
            raise error
    return stream.getvalue()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "QUIET_S", 0.0)


def test_what_takes_no_time_needs_no_word() -> None:
    assert told(io.StringIO()) == ""
    assert told(Terminal()) == ""


def test_a_file_is_given_a_line_now_and_then(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(io.StringIO()) == "1,000,000 points in 10 parts\n"
    monkeypatch.setattr(report, "LINE_S", 0.0)
    said = told(io.StringIO()).splitlines()
    assert said[1] == "30.0 %, 3 of 10 parts, 150,000 rows kept, 75k points/s, 9.33 s left"
    assert said[2].startswith("60.0 %, 6 of 10 parts")


def test_a_terminal_is_given_a_bar(at_once: None) -> None:
    written = told(Terminal())
    assert written.startswith("1,000,000 points in 10 parts\n")
    assert "━" in written


def test_a_program_is_told_nothing(at_once: None) -> None:
    assert told(io.StringIO(), as_json=True) == ""


def test_checking_what_is_there_is_said(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "LINE_S", 0.0)
    stream = io.StringIO()
    report.Shown(stream, as_json=False)(progress(500_000, 5, checking=True))
    assert "checking what is there: 50.0 %, 5 of 10 parts" in stream.getvalue()


def test_an_interrupt_says_that_the_same_command_goes_on() -> None:
    said = told(io.StringIO(), as_json=True, error=KeyboardInterrupt)
    assert said == "stopped: 6 of 10 parts are done; the same command goes on after them\n"
    assert told(io.StringIO(), error=ValueError) == ""


def test_nothing_done_has_no_rate() -> None:
    assert (progress(0).points_per_s, progress(0).left_s) == (None, None)
