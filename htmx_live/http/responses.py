"""Answers: what came of a request, as an HTTP response.

The script reads statuses and headers, and swaps nothing but partials.  Without JavaScript the same outcome is a
redirect back to the page, or a page that says in words what went wrong.
"""

import json
import logging
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.contrib.messages import add_message, get_messages
from django.contrib.messages import constants as message_levels
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.middleware.csrf import CsrfViewMiddleware
from django.template.loader import render_to_string
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme

from htmx_live.core.conf import is_debug
from htmx_live.core.exceptions import (
    ArgumentError,
    GrantError,
    HtmxLiveError,
    RefusedValue,
    StoreNotShared,
    StoreUnavailable,
    UploadTooLarge,
    UserError,
    escape_unprintable,
)
from htmx_live.core.fragments import Fragment, join_fragments
from htmx_live.core.records import Record
from htmx_live.core.signing import random_id
from htmx_live.core.text import error_text, log_unavailable
from htmx_live.runtime.inbox_messages import ShowToast
from htmx_live.runtime.pages import sign_return_token
from htmx_live.runtime.rendering import fill_placeholders
from htmx_live.runtime.turn_result import TurnResult
from htmx_live.runtime.url_state import build_page_url, strip_return_param

__all__ = [
    "event_response",
    "fragments_response",
    "handle_errors",
    "is_client_request",
    "referrer_url",
    "replace_csrf_failure",
    "service_unavailable",
]


logger = logging.getLogger("htmx_live.http")

EndpointFunction = Callable[..., HttpResponseBase]

_RETRY_AFTER = "30"  # seconds after which a page that lives in another process asks again


def is_client_request(request: HttpRequest) -> bool:
    """Whether the request comes from our script; a form posted without JavaScript has no such headers."""
    return "X-Live" in request.headers or "X-Live-Page" in request.headers


def handle_errors(endpoint: EndpointFunction) -> EndpointFunction:
    """Turn what ``endpoint`` raises into its status; nothing of the error but an id reaches the browser."""

    @wraps(endpoint)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return endpoint(request, *args, **kwargs)
        except Exception as error:  # a boundary: the page is told a status and an id, the log the rest
            return _error_response(request, error)

    return wrapper


def service_unavailable(request: HttpRequest, error: StoreUnavailable) -> HttpResponse:
    """503 for any page whose view needs a store that is away."""
    response = _error_response(request, error)
    response["Retry-After"] = "5"
    return response


class _CsrfCheck(CsrfViewMiddleware):
    """Django's check, with the reason as its result."""

    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def replace_csrf_failure(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Replace the project's ``CSRF_FAILURE_VIEW`` where Django's check refused a request to one of our URLs."""
    match = request.resolver_match
    if response.status_code != 403 or match is None or "htmx_live" not in match.app_names:
        return response
    reason = _CsrfCheck(lambda request: response).process_view(request, match.func, match.args, match.kwargs)
    if not reason:  # it was accepted: the view itself has refused
        return response
    headers = {"X-Live-Refused": "csrf"}
    if is_debug():
        headers["X-Live-Reason"] = str(reason)
    title, text = error_text("csrf", headers.get("X-Live-Reason", ""))
    return _render_error(request, 403, headers=headers, title=title, text=text)


def fragments_response(fragments: Iterable[Fragment]) -> HttpResponse:
    """200 with the fragments, or 204 without any."""
    body = fill_placeholders(join_fragments(fragments))
    return HttpResponse(body) if body else HttpResponse(status=204)


def event_response(request: HttpRequest, turned: TurnResult, *, is_remounted: bool = False) -> HttpResponse:
    """The answer to a user's event."""
    if not is_client_request(request):
        return _redirect_back(request, turned, is_remounted=is_remounted)
    if turned.redirect:
        response = HttpResponse(status=204)
        response["HX-Redirect"] = iri_to_uri(turned.redirect)
        return response
    response = fragments_response([] if turned.fragment is None else [turned.fragment])
    notices = [{"message": notice.message, "level": notice.level} for notice in turned.toasts]
    notices += [{"message": str(message), "level": message.level_tag} for message in get_messages(request)]
    if notices:
        response["X-Live-Notices"] = json.dumps(notices)
    if turned.url_update:
        response["X-Live-Url"] = turned.url_update
    if turned.resets_forms:
        response["X-Live-Reset-Forms"] = "1"
    if is_remounted:
        response["X-Live-Remounted"] = "1"
    return response


def _redirect_back(request: HttpRequest, turned: TurnResult, *, is_remounted: bool) -> HttpResponse:
    """303 to the page, which takes the records over by a signed reference; messages wait there."""
    record = turned.record
    for notice in turned.toasts:
        _add_message(request, notice)
    if is_remounted:
        _add_message(request, ShowToast(message=error_text("remounted")[1], level="warning"))
    response = HttpResponse(status=303)
    response["Location"] = iri_to_uri(turned.redirect) if turned.redirect else _form_page_url(request, record)
    return response


def _form_page_url(request: HttpRequest, record: Record) -> str:
    if not record.pages:  # a shared view stands on many: the browser tells on which
        return iri_to_uri(referrer_url(request))
    query = "&".join(part for part in (strip_return_param(record.query), sign_return_token(record.pages[-1])) if part)
    return build_page_url(record, query)


def _add_message(request: HttpRequest, notice: ShowToast) -> None:
    level = getattr(message_levels, notice.level.upper(), message_levels.INFO)
    add_message(request, level, notice.message, fail_silently=True)


def _error_response(request: HttpRequest, error: Exception) -> HttpResponse:
    status, headers = _status_of(error), {}
    if status == 500:
        headers["X-Live-Error"] = error_id = random_id()[:8]
        logger.error("%s failed (error %s)", escape_unprintable(request.path), error_id, exc_info=error)
        got_request_exception.send(sender=None, request=request)
    elif isinstance(error, StoreUnavailable):
        log_unavailable(logger, error, "requests, answered 503", "%s answered 503", escape_unprintable(request.path))
    else:
        logger.log(
            _log_level(error),
            "%s answered %d: %s",
            escape_unprintable(request.path),
            status,
            escape_unprintable(str(error)),
        )
    if isinstance(error, StoreNotShared):
        headers["Retry-After"] = _RETRY_AFTER
    if isinstance(error, ArgumentError):
        headers["X-Live-Field"] = error.parameter.encode("ascii", "replace").decode()
    title, text = error_text(status, headers.get("X-Live-Field") or headers.get("X-Live-Error", ""))
    if isinstance(error, UserError):
        text = str(error)
    if isinstance(error, UserError | RefusedValue):
        headers["X-Live-Notices"] = json.dumps([{"message": text, "level": "error"}])
    response = _render_error(request, status, headers=headers, title=title, text=text)
    if isinstance(error, StoreUnavailable):
        response._has_been_logged = True  # type: ignore[attr-defined]  # or Django logs an ERROR for each
    return response


def _render_error(request: HttpRequest, status: int, *, headers: dict[str, str], title: str, text: str) -> HttpResponse:
    """An error page.  Our script gets no body: it shows texts of its own."""
    if is_client_request(request):
        return HttpResponse(status=status, headers=headers)
    context = {"title": title, "text": text, "back": referrer_url(request)}
    return HttpResponse(render_to_string("htmx_live/error.html", context, request), status=status, headers=headers)


def _log_level(error: Exception) -> int:
    if isinstance(error, StoreNotShared):
        return logging.DEBUG  # logged once, not for each request; see runtime/processes.py
    return logging.INFO if isinstance(error, UserError) and not isinstance(error, UploadTooLarge) else logging.WARNING


def _status_of(error: Exception) -> int:
    if isinstance(error, GrantError):
        return 401 if error.expired else 404
    if isinstance(error, HtmxLiveError):
        return error.status
    return next((status for kind, status in _DJANGO_STATUSES.items() if isinstance(error, kind)), 500)


# As Django answers what a plain view raises, but for too much of anything: the first that fits.
_DJANGO_STATUSES: dict[type[Exception], int] = {
    Http404: 404,
    PermissionDenied: 403,
    RequestDataTooBig: 413,
    TooManyFieldsSent: 413,
    TooManyFilesSent: 413,
    SuspiciousOperation: 400,
    BadRequest: 400,
    MultiPartParserError: 400,
    UnreadablePostError: 400,  # the client has gone away
}


def referrer_url(request: HttpRequest) -> str:
    """The page of this site that the request comes from, or the first one."""
    referrer = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(referrer, allowed_hosts={request.get_host()})
    return referrer if is_ours and referrer.startswith("http") else "/"
