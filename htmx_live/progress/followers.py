"""Followers: who else wants to know of every change of a session, such as an app that keeps them in the database."""

import logging
from collections.abc import Callable

__all__ = ["follow", "tell"]

logger = logging.getLogger("htmx_live.progress")

Follower = Callable[[str], None]

_followers: list[Follower] = []


def follow(call: Follower) -> Follower:
    """Have ``call`` told of every change that this process makes, by the session's id.

    It comes on the thread of whoever made the change, whom it must not keep waiting.
    """
    if call not in _followers:
        _followers.append(call)
    return call


def tell(session: str) -> None:
    """Never raises."""
    for call in _followers:
        try:
            call(session)
        except Exception:  # a boundary: the work goes on whoever cannot follow it
            logger.exception("The progress of %s could not be followed", session)
