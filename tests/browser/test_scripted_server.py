"""The scripted server hides from its tests what Chromium does by itself."""

import socket
from contextlib import suppress

from tests.browser.scripted_server import ScriptedServer

EVENT = b"POST /live/event/save/ HTTP/1.1\r\nX-Live-Nonce: 1\r\nHX-Source: %s\r\n\r\n"


def send(server: ScriptedServer, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
    connection.sendall(request)
    return connection


def test_a_request_that_chromium_repeats_after_a_cut_is_seen_once() -> None:
    server = ScriptedServer({})
    with send(server, EVENT % b"button"):
        server.next("event").cut()
    with send(server, EVENT % b"button") as repeated, suppress(ConnectionResetError):
        assert repeated.recv(1) == b""  # cut, too
    assert server.count("event") == 0
    with send(server, EVENT % b"meta"):  # the script tries again
        assert server.next("event").headers["hx-source"] == "meta"
    server.stop()
