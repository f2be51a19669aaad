"""Owners: whose a request is.

A user's token is in the session's data, where the login puts it.  A visitor makes no session: the token is in a signed
cookie.  Each first answer sets a cookie of a name of its own, so pages that load at the same moment overwrite nothing.
The browser then sends all of these tokens, and owns what belongs to any of them.  Later pages use one that is there.

    first answers ──▶ a cookie for each token ── login ──▶ the session ── logout, another user's login ──▶ gone
                                 └── logout ──▶ deleted
"""

import threading
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import get_random_string, salted_hmac

from htmx_live.core.conf import project_setting, session_cookie_name, settings
from htmx_live.core.exceptions import GrantError
from htmx_live.core.records import Owner
from htmx_live.core.signing import random_id, unsign_page

__all__ = [
    "COOKIE_PREFIX",
    "forget_visitor",
    "get_owner",
    "get_owners",
    "send_cookies",
    "stream_session_keys",
    "transfer_owner_to_session",
]


COOKIE_PREFIX = "htmx_live_owner_"
_MAX_COOKIES = 32  # of one request; more are ignored
_SESSION_KEY = "_htmx_live"  # the user's token
_VISITOR_KEY = "_htmx_live_visitor"  # the tokens that the user had as a visitor
_signer = signing.TimestampSigner(salt="htmx_live.visitor")
_visitor_lock = threading.Lock()  # views in panels of one page mount side by side, and share a request


@dataclass(slots=True)
class _Visitor:
    """What a request and its answer say of a visitor: the cookies' tokens, and which cookies change."""

    tokens: list[str]
    cookies: dict[str, str]  # token by the name of a cookie that the answer sets: new ones, and renewed ones
    is_forgotten: bool = False  # the answer deletes the cookies that came with the request


def get_owner(request: HttpRequest, *, create: bool = False) -> Owner:
    """The owner of what this request makes.  With ``create`` a visitor who has no token gets one."""
    return get_owners(request, create=create)[0]


def get_owners(request: HttpRequest, *, create: bool = False) -> tuple[Owner, ...]:
    """All owners that this request may act for; ``owner_of()`` is the first.

    They differ in their tokens: those of one browser's first pages.  A user's own token comes before those that the
    user had as a visitor.
    """
    session: Any = getattr(request, "session", None)
    user: Any = getattr(request, "user", None)
    pk = str(user.pk) if user is not None and user.is_authenticated else ""
    if session is None:
        return (Owner(user=pk),)
    with _visitor_lock:
        own = session.get(_SESSION_KEY)
        if own is None and pk:  # a session that no login of Django's has made
            own = session[_SESSION_KEY] = random_id()
        visitor = _get_visitor(request)
        tokens = [*filter(None, [own]), *session.get(_VISITOR_KEY, ()), *visitor.tokens]
        if create and not tokens:
            tokens = visitor.tokens = [random_id()]
            visitor.cookies[COOKIE_PREFIX + get_random_string(8)] = tokens[0]
    return tuple(Owner(token=_digest_token(token), user=pk) for token in tokens) or (Owner(user=pk),)


def transfer_owner_to_session(request: HttpRequest) -> None:
    """At login, give the session a token of its own, and the tokens of the visitor."""
    session: Any = getattr(request, "session", None)
    if session is None:
        return
    session.setdefault(_SESSION_KEY, random_id())
    if tokens := _get_visitor(request).tokens:
        session[_VISITOR_KEY] = [*tokens, *session.get(_VISITOR_KEY, ())][:_MAX_COOKIES]
    forget_visitor(request)


def forget_visitor(request: HttpRequest) -> None:
    """Forget the visitor's tokens, and delete their cookies with the answer."""
    visitor = _get_visitor(request)
    visitor.tokens, visitor.cookies, visitor.is_forgotten = [], {}, True


def stream_session_keys(request: HttpRequest) -> list[str]:
    """The words by which a login or logout finds the streams of this browser; a stream keeps the first.

    A user's streams keep that of the session.  A visitor's keep that of a token, because a project may give a visitor
    another session at any time.
    """
    key, tokens = request.COOKIES.get(session_cookie_name(), ""), _get_visitor(request).tokens
    keys = [key, *tokens] if get_owner(request).user else [*tokens, key]
    return [salted_hmac("htmx_live.session", one, algorithm="sha256").hexdigest()[:32] for one in keys if one]


def send_cookies(request: HttpRequest, response: HttpResponseBase) -> None:
    """Set cookies that are new or half as old as they may get; delete those of a visitor who has logged in or out."""
    visitor: _Visitor | None = getattr(request, "_htmx_live_visitor", None)
    if visitor is None:
        return
    names = ("path", "domain", "samesite")
    like_session: dict[str, Any] = {name: project_setting(f"SESSION_COOKIE_{name.upper()}") for name in names}
    for name in _cookie_names(request) if visitor.is_forgotten else ():
        response.delete_cookie(name, **like_session)
    ends_with_browser = project_setting("SESSION_EXPIRE_AT_BROWSER_CLOSE")
    for name, token in visitor.cookies.items():
        response.set_cookie(
            name,
            _signer.sign(token),
            max_age=None if ends_with_browser else project_setting("SESSION_COOKIE_AGE"),
            secure=project_setting("SESSION_COOKIE_SECURE"),
            httponly=True,
            **like_session,
        )


def _get_visitor(request: HttpRequest) -> _Visitor:
    """One for all panels of a layout, which have copies of the page's request."""
    request = getattr(request, "layout_page_request", request)
    visitor: _Visitor | None = getattr(request, "_htmx_live_visitor", None)
    return visitor or request.__dict__.setdefault("_htmx_live_visitor", _read_cookies(request))


def _read_cookies(request: HttpRequest) -> _Visitor:
    """The tokens in the order of their cookies' names, but first the token of the page that asks.

    What a page's request makes then has the owner that the page has.
    """
    tokens: list[str] = []
    renewed: dict[str, str] = {}
    max_age = project_setting("SESSION_COOKIE_AGE")
    for name in _cookie_names(request)[:_MAX_COOKIES]:
        if token := _unsign(request.COOKIES[name], max_age):
            tokens.append(token)
            if not _unsign(request.COOKIES[name], max_age // 2):
                renewed[name] = token
    if len(tokens) > 1:
        own = _page_token(request)
        tokens.sort(key=lambda token: _digest_token(token) != own)
    return _Visitor(tokens, renewed)


def _unsign(value: str, max_age: int) -> str:
    try:
        return _signer.unsign(value, max_age=max_age)
    except signing.BadSignature:
        return ""


def _page_token(request: HttpRequest) -> str:
    try:
        return unsign_page(request.headers.get("X-Live-Page", ""), max_age=settings().GRANT_MAX_AGE).owner.token
    except GrantError:
        return ""


def _cookie_names(request: HttpRequest) -> list[str]:
    return sorted(name for name in request.COOKIES if name.startswith(COOKIE_PREFIX))


def _digest_token(token: str) -> str:
    return salted_hmac("htmx_live.owner", token, algorithm="sha256").hexdigest()[:32]
