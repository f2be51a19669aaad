"""Logging in and out: streams end with the session that opened them.

The signals come with the request's old cookie, by which the streams are known; a new login opens new ones.
"""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest

from htmx_live.conf import session_cookie_name
from htmx_live.pages import session_hash
from htmx_live.runtime.parts import parts

__all__ = ["connect"]


def connect() -> None:
    """Listen for as long as the process lives."""
    user_logged_in.connect(_close_streams, dispatch_uid="htmx_live")
    user_logged_out.connect(_close_streams, dispatch_uid="htmx_live")


def _close_streams(request: HttpRequest | None = None, **kwargs: Any) -> None:
    key = session_hash(request.COOKIES.get(session_cookie_name())) if request is not None else ""
    if key:
        parts().bus.close_streams(key)
