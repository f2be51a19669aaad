"""Deadlines: by when this process says again that its tasks of a session live; after that somebody looks after them."""

import json

from htmx_live.forks import after_fork
from htmx_live.grants import random_id
from htmx_live.progress.values import STALLED_AFTER
from htmx_live.runtime.parts import parts

__all__ = ["clear_deadline", "set_deadline"]

_holder = random_id()  # this process


def set_deadline(session: str) -> None:
    name = _name(session)
    note = json.dumps({"kind": "progress", "name": name, "session": session})
    parts().store.set_deadline(name, note, within=STALLED_AFTER)


def clear_deadline(session: str) -> None:
    parts().store.clear_deadline(_name(session))


def _name(session: str) -> str:
    return f"progress:{session}:{_holder}"


@after_fork
def _after_fork() -> None:
    global _holder
    _holder = random_id()
