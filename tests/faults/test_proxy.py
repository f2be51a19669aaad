"""The proxy that the fault tests put between browsers and servers does what it says."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.faults.proxy import FaultProxy
from tests.server import free_port

PATIENCE = 5.0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets, and a tock each tenth of a second for a tick; its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with closing(connection):
                try:
                    while piece := connection.recv(1000):
                        if piece == b"tick":
                            for _ in range(15):
                                threading.Event().wait(0.1)
                                connection.sendall(b"tock")
                        else:
                            connection.sendall(piece)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo: int) -> Iterator[FaultProxy]:
    with FaultProxy(echo) as proxy:
        yield proxy


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)


def say(line: socket.socket, text: bytes) -> bytes:
    line.sendall(text)
    return line.recv(1000)


def is_cut(line: socket.socket) -> bool:
    try:
        return line.recv(1000) == b""
    except ConnectionError:
        return True


def test_it_passes_on_what_it_gets(proxy: FaultProxy) -> None:
    with closing(connect(proxy)) as line:
        assert say(line, b"one") == b"one"


def test_it_passes_over_a_target_that_refuses(echo: int) -> None:
    with FaultProxy(free_port(), echo) as proxy:
        for _ in range(3):
            with closing(connect(proxy)) as line:
                assert say(line, b"one") == b"one"


def test_it_cuts_connections_and_takes_new_ones(proxy: FaultProxy) -> None:
    with closing(connect(proxy)) as line:
        assert say(line, b"one") == b"one"
        proxy.cut()
        assert is_cut(line)
    with closing(connect(proxy)) as line:
        assert say(line, b"two") == b"two"


def test_it_refuses(proxy: FaultProxy) -> None:
    proxy.refuses = True
    with closing(connect(proxy)) as line:
        assert is_cut(line)


def test_a_black_hole_tells_nobody_and_loses_nothing(proxy: FaultProxy) -> None:
    with closing(connect(proxy)) as line:
        assert say(line, b"one") == b"one"
        proxy.is_black_hole = True
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            say(line, b"two")
        proxy.is_black_hole = False
        line.settimeout(PATIENCE)
        assert line.recv(1000) == b"two"


def test_it_cuts_what_is_idle(proxy: FaultProxy) -> None:
    proxy.idle_limit = 0.2
    with closing(connect(proxy)) as line:
        assert say(line, b"one") == b"one"
        assert is_cut(line)


def test_what_passes_in_one_direction_keeps_the_other_open(proxy: FaultProxy) -> None:
    proxy.idle_limit = 1.0
    with closing(connect(proxy)) as line:
        line.sendall(b"tick")
        heard = b""
        while piece := line.recv(1000):
            heard += piece
    assert heard == b"tock" * 15


def test_it_holds_answers_back_until_there_are_many(proxy: FaultProxy) -> None:
    proxy.buffers = True
    with closing(connect(proxy)) as line:
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            say(line, b"one")
        line.settimeout(PATIENCE)
        line.sendall(b"x" * 66_000)
        assert line.recv(3) == b"one"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_an_answer_that_is_whole_is_held_back_no_longer(proxy: FaultProxy, answer: bytes) -> None:
    proxy.buffers = True
    with closing(connect(proxy)) as line:
        line.sendall(answer[:-1])
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.recv(1000)
        line.settimeout(PATIENCE)
        line.sendall(answer[-1:])
        assert line.recv(1000) == answer
