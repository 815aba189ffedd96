"""Where the server listens."""

import socket

import pytest

from clustercast.errors import WrongInput
from clustercast.ui import server


def test_it_listens_on_this_machine_alone() -> None:
    with server.bound(0) as made:
        assert made.getsockname()[0] == "127.0.0.1"
        assert made.proto == socket.IPPROTO_TCP  # or asyncio leaves Nagle's algorithm on


def test_a_port_that_is_taken_is_wrong_input_and_another_one_is_found_where_none_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WrongInput, match=f"--port {port}: "):
            server.bound(port)
        monkeypatch.setattr(server, "USUAL_PORT", port)
        with server.bound(None) as other:
            assert other.getsockname()[1] != port
