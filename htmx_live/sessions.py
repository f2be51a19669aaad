"""Sessions and users of streams, whose requests pass through no middleware."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from django.contrib.auth import get_user
from django.http import HttpRequest, parse_cookie

from htmx_live.conf import session_cookie_name, session_engine

__all__ = ["request_of"]


def request_of(headers: Mapping[str, str]) -> HttpRequest:
    """A request with the cookies in ``headers``, of lower-case names, and with their session and user."""
    request = HttpRequest()
    request.COOKIES = parse_cookie(headers.get("cookie", ""))
    engine: Any = import_module(session_engine())
    session: Any = engine.SessionStore(request.COOKIES.get(session_cookie_name()))
    # get_user() renews a session that one of SECRET_KEY_FALLBACKS signed, and no new cookie would be sent here.
    session.cycle_key = lambda: None
    request.session = session
    request.user = get_user(request)
    return request
