"""What a panel sees of the request: a copy that says GET, with the page's user, session and frozen context.

Attributes are shared with the page's request (a shallow copy); ``META`` is copied, so that a CSRF token that a
panel asks for is noticed, and handed back by ``copy_csrf_token``.

The layout context: values of the whole page, written by its view and read by its panels.

Panels may run at the same time, so what they are given is frozen, deeply: dicts, lists and sets in it raise
``TypeError`` when they are changed.  Other objects are passed on as they are.
"""

from collections.abc import Mapping
from typing import Any, NoReturn, cast
from urllib.parse import unquote

from django.contrib.sessions.backends.base import SessionBase
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, QueryDict
from django.middleware.csrf import CSRF_ALLOWED_CHARS, CSRF_SECRET_LENGTH
from django.urls import ResolverMatch, get_script_prefix
from django.utils.crypto import get_random_string
from django.utils.datastructures import MultiValueDict

from htmx_live.layouts.queues import Queue

__all__ = ["FrozenLayoutContext", "LayoutContext", "LayoutRequest", "freeze", "is_panel_request"]


class LayoutContext(dict[str, Any]):
    """``request.layout_context`` of the page's view: a dict."""


def _raise_read_only(*_: object, **__: object) -> NoReturn:
    raise TypeError(
        "layout_context is read-only in panel views. Write to it in the page's view or get_layout_context()."
    )


class FrozenLayoutContext(dict[str, Any]):
    """``request.layout_context`` of a panel.  A copy of it is an ordinary dict."""

    __setitem__ = __delitem__ = __ior__ = _raise_read_only
    clear = pop = popitem = setdefault = update = _raise_read_only

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class FrozenList(list[Any]):
    """A list in a frozen context.  A copy of it is an ordinary list."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _raise_read_only
    append = extend = insert = remove = pop = clear = sort = reverse = _raise_read_only

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return list, (list(self),)


def freeze(context: dict[str, Any]) -> FrozenLayoutContext:
    """A frozen copy, to be shared by all panels of a page."""
    return FrozenLayoutContext({name: _freeze_value(value) for name, value in context.items()})


def _freeze_value(value: Any) -> Any:
    # Exact types only: a subclass (a QueryDict, a form's ErrorDict) has a behaviour that a copy would lose.
    kind = type(value)
    if kind is dict or kind is LayoutContext:
        return FrozenLayoutContext({key: _freeze_value(entry) for key, entry in value.items()})
    if kind is list:
        return FrozenList([_freeze_value(entry) for entry in value])
    if kind is tuple:
        return tuple(_freeze_value(entry) for entry in value)
    return frozenset(value) if kind is set else value


# What CsrfViewMiddleware reads from META after the view.
_CSRF_KEYS = ("CSRF_COOKIE", "CSRF_COOKIE_NEEDS_UPDATE")


class LayoutRequest(HttpRequest):
    """A request in a layout or a panel, as type checkers see it."""

    layout_role: str  # "main" or "panel"
    layout_key: str
    is_layout_partial: bool
    layout_context: LayoutContext
    layout_queues: dict[str, Queue]
    layout_page_request: HttpRequest  # of a panel: the request that middleware sees again at the end


def is_panel_request(request: HttpRequest) -> bool:
    return getattr(request, "layout_role", None) == "panel"


def build_panel_request(request: HttpRequest, context: Mapping[str, Any], queues: dict[str, Queue]) -> LayoutRequest:
    """The request that one panel gets."""
    clone = _clone_request(request)
    clone.META = {**request.META, "REQUEST_METHOD": "GET"}
    clone.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
    clone.method = "GET"
    clone.POST = QueryDict()
    clone.__dict__.update(_files=MultiValueDict(), _body=b"", _read_started=False)
    if "FILES" in clone.__dict__:
        clone.__dict__["FILES"] = MultiValueDict()
    clone.layout_role = "panel"
    clone.is_layout_partial = False
    clone.layout_context = cast(LayoutContext, context)
    clone.layout_queues = queues
    return clone


def build_page_request(request: HttpRequest, path: str, match: ResolverMatch | None) -> LayoutRequest:
    """``request`` as it would have been for the page at ``path`` (with its query string)."""
    path, _, query = path.partition("?")
    clone = _clone_request(request)
    clone.path, clone.path_info = unquote(path), "/" + unquote(path).removeprefix(get_script_prefix())
    clone.META = {**request.META, "PATH_INFO": clone.path_info, "QUERY_STRING": query}
    clone.__dict__["GET"] = QueryDict(query)
    clone.resolver_match = match
    return clone


def copy_csrf_token(request: HttpRequest, panel: HttpRequest) -> bool:
    """Tell the page's request about the CSRF token that the panel used; whether it used one."""
    is_used = "CSRF_COOKIE_NEEDS_UPDATE" in panel.META
    if is_used:
        request.META.update({key: panel.META[key] for key in _CSRF_KEYS})
    return is_used


def share_csrf_secret(request: HttpRequest) -> None:
    """One secret for all panels of a page: two that run side by side would each make their own.

    Django sets the cookie only when a token is asked for, which this does not do.
    """
    request.META.setdefault("CSRF_COOKIE", get_random_string(CSRF_SECRET_LENGTH, CSRF_ALLOWED_CHARS))


def has_unread_session(request: HttpRequest) -> bool:
    """Whether the session's data has not been read yet."""
    session = getattr(request, "session", None)
    return isinstance(session, SessionBase) and not hasattr(session, "_session_cache")


def read_session(request: HttpRequest) -> None:
    """Read the session's data, which may block, without counting that as a use of it.

    A session reads its data at first use.  Two panels that both did so side by side would each have data of their
    own, and what one of them wrote would be lost.
    """
    accessed = request.session.accessed
    request.session.get("")
    request.session.accessed = accessed


def can_stream(request: HttpRequest) -> bool:
    """Whether panels can follow in the same response: under ASGI, for a page that the browser itself asked for."""
    return isinstance(request, ASGIRequest) and request.method != "HEAD" and "HX-Request" not in request.headers


def get_user_key(request: HttpRequest) -> str:
    """The user's primary key as text, empty for anybody else.  May read the database."""
    user = getattr(request, "user", None)
    return str(user.pk) if user is not None and user.is_authenticated else ""


def get_csp_nonce(request: HttpRequest) -> str | None:
    """The CSP nonce of this request, from Django 6's or django-csp's middleware."""
    nonce = getattr(request, "csp_nonce", None) or getattr(request, "_csp_nonce", None)
    return str(nonce) if nonce is not None else None


def _clone_request(request: HttpRequest) -> LayoutRequest:
    # Not copy.copy(): it leaves out what cannot be pickled, resolver_match among it.
    clone = cast(LayoutRequest, request.__class__.__new__(request.__class__))
    clone.__dict__.update(request.__dict__)
    clone.layout_page_request = getattr(request, "layout_page_request", request)
    return clone
