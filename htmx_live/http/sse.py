"""Server-sent events as bytes.

Source: HTML Living Standard, "Server-sent events", parsing an event stream.
"""

import json
import re

__all__ = ["BYE", "event", "heartbeat", "hello", "reset"]


_LINE_END = re.compile(r"\r\n?")


def event(data: str, *, name: str = "", position: str = "") -> bytes:
    """One event.  Whatever ``data`` holds, it stays inside: every line gets its own field, NUL goes.

    ``name`` and ``position`` come from us and contain no line ends.
    """
    head = (f"id: {position}\n" if position else "") + (f"event: {name}\n" if name else "")
    lines = _LINE_END.sub("\n", data.replace("\0", "")).replace("\n", "\ndata: ")
    return f"{head}data: {lines}\n\n".encode(errors="replace")


def hello(*, heartbeat: float, retry: int) -> bytes:
    """The first event of a stream; ``heartbeat`` in seconds, ``retry`` in milliseconds."""
    return f"retry: {retry}\n".encode() + event(json.dumps({"heartbeat": heartbeat}), name="hello")


def heartbeat(position: str = "") -> bytes:
    """A sign of life; with a position, the reader's becomes that."""
    return f": \nid: {position}\n\n".encode() if position else b": \n\n"


def reset(position: str) -> bytes:
    return event("{}", name="reset", position=position)


BYE = event("{}", name="bye")
