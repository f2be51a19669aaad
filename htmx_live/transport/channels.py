"""Channels: what streams listen on, and who may name one.

A channel's name is made by the server from what a signed grant says; no browser ever sends one.  The same rule is laid
on django-eventstream where the project has chosen no rule of its own.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest

__all__ = [
    "DenyChannelManager",
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


class DenyChannelManager:
    """django-eventstream's channel manager for a project that sets none: only channels fixed in the URLconf are read.

    ``path("events/", include("django_eventstream.urls"), {"channels": ["news"]})`` works; ``?channel=`` and names
    captured from a URL, which any visitor can write, give nothing.
    """

    def get_channels_for_request(self, request: HttpRequest, view_kwargs: Mapping[str, Any]) -> set[str]:
        return set() if "format-channels" in view_kwargs else set(view_kwargs.get("channels", ()))

    def can_read_channel(self, user: object, channel: str) -> bool:
        """Channels reach this point from the URLconf or from a token that the project signed; never ours."""
        return not _NAME.fullmatch(channel)

    def is_channel_reliable(self, channel: str) -> bool:
        return True
