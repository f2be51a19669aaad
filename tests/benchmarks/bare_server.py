"""The least that a fan-out can cost: an asyncio server that writes the same bytes to every connection.

    python -m tests.benchmarks.bare_server PORT SIZE

`GET /` opens a stream, `GET /fire` writes one event of SIZE bytes to all, `GET /census` counts as the real one does.
"""

import asyncio
import json
import os
import sys
import threading

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Connection(asyncio.Protocol):
    streams: set[asyncio.WriteTransport] = set()
    event = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET /fire"):
            for stream in self.streams:
                stream.write(self.event)
            self.answer({})
        elif data.startswith(b"GET /census"):
            self.answer({"cpu": sum(os.times()[:2]), "memory": resident(), "threads": threading.active_count()})
        else:
            self.streams.add(self.transport)
            self.transport.write(STREAM)

    def answer(self, content: dict[str, float]) -> None:
        body = json.dumps(content).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.streams.discard(self.transport)


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main(port: int, size: int) -> None:
    event = b"id: 0123abcd.1\ndata: " + b"x" * size + b"\n\n"
    Connection.event = b"%x\r\n%s\r\n" % (len(event), event)
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
