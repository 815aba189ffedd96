"""`clustercast ui`: its options."""

import pytest
from command_line import Cli

from clustercast.ui import server


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int | None, bool]]:
    found: list[tuple[int | None, bool]] = []
    monkeypatch.setattr(server, "run", lambda port, *, browser: found.append((port, browser)))
    return found


def test_a_port_and_no_browser_may_be_asked_for(cli: Cli, asked: list[tuple[int | None, bool]]) -> None:
    assert cli("ui").status == cli("ui", "--port", "9000", "--no-browser").status == 0
    assert asked == [(None, True), (9000, False)]


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_a_port_that_is_none_is_wrong_input(cli: Cli, asked: list[tuple[int | None, bool]], port: str) -> None:
    done = cli("ui", "--port", port)
    assert done.status == 2
    assert done.err.startswith("error: --port: expected a")
    assert not asked
