"""What a turn runs inside: the stand-in request, the language, the time zone and the project's own context.

A turn may have no request of its own (a job's end, a push), and its page's request is long gone.  The stand-in is
made from the record alone, so that every render of an instance sees the same: a GET of the page, with its host, path
and query and a lazy user, without session and messages.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta, tzinfo
from datetime import timezone as fixed_zone
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from django.apps import apps
from django.core.handlers.wsgi import WSGIRequest
from django.db import connections, transaction
from django.http import HttpRequest
from django.middleware.csrf import CSRF_SECRET_LENGTH
from django.urls import Resolver404, get_script_prefix, resolve, set_script_prefix
from django.utils import timezone, translation
from django.utils.crypto import salted_hmac
from django.utils.functional import SimpleLazyObject, cached_property
from django.utils.module_loading import import_string
from django_htmx.middleware import HtmxDetails

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import TurnError
from htmx_live.core.records import Owner, Record
from htmx_live.runtime.url_state import strip_return_param

__all__ = [
    "activate",
    "atomic_if_configured",
    "csrf_secret",
    "current_zone_name",
    "get_zone",
    "request_fields",
    "run_after_commit",
    "synthetic_request",
]


_MAX_URL_LENGTH = 4096  # characters of a page's address that a client may tell


def synthetic_request(record: Record) -> HttpRequest:
    """The request that a view sees when no user's request is there."""
    host, _, port = record.host.rpartition(":") if record.host.rpartition(":")[2].isdigit() else (record.host, "", "")
    prefix = record.script_prefix.rstrip("/")
    path_info = record.path[len(prefix) :] if record.path.startswith(prefix) else record.path
    request = _SyntheticRequest(
        {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": prefix,
            "PATH_INFO": path_info.encode().decode("latin-1") or "/",
            "QUERY_STRING": record.query,
            "HTTP_HOST": record.host,
            "CSRF_COOKIE": csrf_secret(),  # where get_token() reads it
            "SERVER_NAME": host or "localhost",
            "SERVER_PORT": port or ("443" if record.secure else "80"),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "https" if record.secure else "http",
            "wsgi.input": BytesIO(),
        }
    )
    request.user = SimpleLazyObject(lambda: _load_user(record))  # type: ignore[assignment]
    request.LANGUAGE_CODE = record.language
    request.live_pages = record.pages
    request.live_owner = record.owner
    request.resolver_match = SimpleLazyObject(lambda: _resolve(path_info))  # type: ignore[assignment]
    return request


@cache
def csrf_secret() -> str:
    """The secret behind every CSRF token of a stand-in request.  No browser has it: ``render`` replaces the tokens."""
    return salted_hmac("htmx_live.csrf", "stand-in", algorithm="sha256").hexdigest()[:CSRF_SECRET_LENGTH]


class _SyntheticRequest(WSGIRequest):
    live_pages: tuple[str, ...]
    live_owner: Owner

    @cached_property
    def htmx(self) -> HtmxDetails:
        return HtmxDetails(self)


def request_fields(request: HttpRequest) -> dict[str, Any]:
    """The fields of a record that describe a user's request."""
    return {
        "language": translation.get_language() or "",
        "time_zone": current_zone_name(),
        "script_prefix": get_script_prefix(),
        "secure": request.is_secure(),
        "host": request.get_host(),
        **_page_location(request),
    }


def _page_location(request: HttpRequest) -> dict[str, str]:
    """Path and query of the page.  An endpoint of ours is asked by a page, which says where it is."""
    match = request.resolver_match
    if match is None or match.app_names[-1:] != ["htmx_live"]:
        return {"path": request.path, "query": strip_return_param(request.META.get("QUERY_STRING", ""))}
    url = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    try:
        parts = urlsplit(url)
    except ValueError:
        return {"path": "/", "query": ""}
    if parts.netloc != request.get_host() or len(url) > _MAX_URL_LENGTH:
        return {"path": "/", "query": ""}
    return {"path": unquote(parts.path) or "/", "query": strip_return_param(parts.query)}


@contextmanager
def activate(record: Record) -> Iterator[None]:
    """The record's language, time zone and script prefix, and the project's ``TURN_CONTEXT``."""
    factory = settings().TURN_CONTEXT
    with ExitStack() as stack:
        stack.enter_context(translation.override(record.language or None))
        stack.enter_context(timezone.override(get_zone(record.time_zone)))
        stack.callback(set_script_prefix, get_script_prefix())
        set_script_prefix(record.script_prefix)
        if factory:
            stack.enter_context(import_string(factory)(record))
        yield


@contextmanager
def atomic_if_configured() -> Iterator[None]:
    """A transaction on each database that the project set ``ATOMIC_REQUESTS`` for; within one, a savepoint."""
    with ExitStack() as stack:
        for alias in connections:
            if connections.settings[alias]["ATOMIC_REQUESTS"]:
                stack.enter_context(transaction.atomic(using=alias))
        yield


def run_after_commit(call: Callable[[], object]) -> bool:
    """Run ``call`` once every transaction that this thread is in has been committed; True when that is now.

    Only connections that are open are looked at: ``transaction.on_commit`` would open one.  The transaction that
    Django's ``TestCase`` wraps around a test does not count, for it never commits.
    """
    for connection in connections.all(initialized_only=True):
        blocks = connection.atomic_blocks if connection.in_atomic_block else []
        if any(not getattr(block, "_from_testcase", False) for block in blocks):
            connection.on_commit(lambda: run_after_commit(call) and None)
            return False
    call()
    return True


def current_zone_name() -> str:
    """A name under which ``zone_of`` finds the current time zone: its key, or its distance from UTC in minutes."""
    zone = timezone.get_current_timezone()
    offset = zone.utcoffset(None)
    return f"{offset.total_seconds() / 60:+g}" if offset else getattr(zone, "key", "UTC")


def get_zone(name: str) -> tzinfo | None:
    if not name:
        return None
    return fixed_zone(timedelta(minutes=float(name))) if name[0] in "+-" else ZoneInfo(name)


def _load_user(record: Record) -> Any:
    if record.shared:
        raise TurnError(f"{record.view} is shared: its template has no user, for what it shows is everybody's.")
    pk = record.owner.user
    from django.contrib.auth.models import AnonymousUser

    if not pk or not apps.is_installed("django.contrib.auth"):
        return AnonymousUser()
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager
    user = users.filter(pk=pk).first()
    return user if user is not None and user.is_active else AnonymousUser()


def _resolve(path: str) -> Any:
    try:
        return resolve(path)
    except Resolver404:
        return None
