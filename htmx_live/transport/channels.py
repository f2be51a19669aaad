"""Channels: what streams listen on, and who may name one.

The server derives a channel's name from a signed grant; no browser ever sends one.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from urllib.parse import quote

__all__ = [
    "checked",
    "page_channel",
    "session_channel",
    "topic_channel",
    "user_channel",
    "view_channel",
]

_NAME = re.compile(r"[a-z]+:[A-Za-z0-9_.~%+=-]{1,200}")


def page_channel(page: str) -> str:
    """What is addressed to one page load; ``page`` is its id."""
    return _name("page", page)


def user_channel(pk: object) -> str:
    """What is addressed to all pages of one user."""
    return _name("user", str(pk))


def session_channel(token: str) -> str:
    """What is addressed to all pages of one visitor; ``token`` is their owner's."""
    return _name("session", token)


def view_channel(key: str) -> str:
    """What is addressed to all viewers of a shared view; ``key`` tells one instance of it from another."""
    return _name("view", key)


def topic_channel(topic: str) -> str:
    """What is addressed to all pages that name a topic."""
    return _name("topic", topic)


def event_channel(name: str) -> str:
    """What carries django-eventstream's events on its own channel ``name`` from process to process."""
    return _name("events", name)


def progress_channel(of: str) -> str:
    """What is addressed to all pages that show a session of progress in one way, or an owner's list of them."""
    return _name("progress", of)


def checked(channels: Iterable[str]) -> tuple[str, ...]:
    """``channels`` without repetitions, in order; ``ValueError`` names one that this module cannot have made."""
    names = tuple(dict.fromkeys(channels))
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no channel. Make its name with page_channel(), user_channel() or the like.")
    return names


def _name(kind: str, of: str) -> str:
    """Two different ``of`` never make one name; a long one is hashed."""
    quoted = quote(of, safe="", errors="surrogatepass")
    if not quoted:
        raise ValueError(f"A {kind} channel needs a name that is not empty.")
    if len(quoted) > 150:
        quoted = "+" + blake2b(of.encode(errors="surrogatepass"), digest_size=32).hexdigest()
    return f"{kind}:{quoted}"
