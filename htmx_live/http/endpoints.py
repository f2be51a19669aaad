"""The HTTP endpoints: a user's event, a page's question what it has missed, and its stream.

They ask for permission themselves, and answer statuses that the script knows: Django's LoginRequiredMiddleware would
send a click to the login page instead.

Health: whether this process can keep state and send messages, for whoever decides where visitors are sent.

    GET live/health/   200 {"store": "ok", "bus": "ok", "epoch": "…"}
                       503 {"store": "away", "bus": "away", "epoch": ""}

It asks for no session, no user and no database, and tells nothing that is not in every page.  The store is written to,
for one that only reads (a full Redis, a replica) keeps nothing.  The epoch is the bus's: processes that belong together
have the same.
"""

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
    RawPostDataException,
)
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import InstanceGone, MalformedArguments, StoreUnavailable
from htmx_live.core.records import Record
from htmx_live.core.signing import ViewGrant
from htmx_live.events.handlers import bind_arguments, parse_arguments
from htmx_live.http import stream_connection as body
from htmx_live.http.responses import event_response, handle_errors, is_client_request, referrer_url
from htmx_live.http.stream_endpoint import PageStreamAuthorizer, stream_response
from htmx_live.http.sync import MAX_REV, parse_sync, sync_response
from htmx_live.messaging.notifications import acknowledge_seen
from htmx_live.runtime.dispatch import dispatch
from htmx_live.runtime.files import check_uploads
from htmx_live.runtime.inbox_messages import UserEvent
from htmx_live.runtime.mounting import remount
from htmx_live.runtime.ownership import get_owned_record, read_view_grant
from htmx_live.runtime.pages import get_page
from htmx_live.runtime.services import services
from htmx_live.runtime.ticks import ticking_views
from htmx_live.runtime.view import import_view

__all__ = ["acknowledge_notices", "handle_event", "handle_sync", "health", "open_stream"]


logger = logging.getLogger("htmx_live.http")


# The turn opens its own transaction, which must have ended before anything is saved or sent.
@login_not_required
@transaction.non_atomic_requests
@require_POST
@never_cache
@handle_errors
def handle_event(request: HttpRequest, handler: str) -> HttpResponseBase:
    """A user's event; see docs/wire.md."""
    check_uploads(request)
    grant = read_view_grant(request.headers.get("X-Live") or request.POST.get("_live", ""))
    record = get_owned_record(grant, request)
    if record is None:
        return _remount_response(request, grant)
    try:
        turned = dispatch(grant.instance, _parse_event(request, record, handler))
    except InstanceGone:
        return _remount_response(request, grant)
    assert turned is not None
    return event_response(request, turned)


@login_not_required
@transaction.non_atomic_requests
@require_POST
@never_cache
@handle_errors
def handle_sync(request: HttpRequest) -> HttpResponseBase:
    """A page's question; see docs/wire.md."""
    return sync_response(request, get_page(request), parse_sync(_request_body(request)))


@login_not_required
@require_POST
@never_cache
@handle_errors
def acknowledge_notices(request: HttpRequest) -> HttpResponseBase:
    """A page says which notices its user has seen; without JavaScript its user says so."""
    acknowledge_seen(request, request.POST.getlist("id"))
    return HttpResponse(status=204) if is_client_request(request) else HttpResponseRedirect(referrer_url(request))


@login_not_required
@transaction.non_atomic_requests
async def open_stream(request: HttpRequest) -> HttpResponseBase:
    """The stream, where ``live_asgi`` does not answer before Django does."""
    _warn_about_server(isinstance(request, ASGIRequest))
    return await stream_response(request, partial(body.generate_stream, PageStreamAuthorizer()))


@cache  # once in a process
def _warn_about_server(is_asgi: bool) -> None:
    if is_asgi:
        logger.warning("A stream comes through Django's handler: each page costs a thread. Use live_asgi in asgi.py.")
        return
    ticking = ", ".join(sorted(view.__name__ for view in ticking_views()))
    logger.warning(
        "This server speaks WSGI, which has no streams: pages ask every %g s instead%s. Use an ASGI server.",
        settings().POLL_INTERVAL,
        f", and show the ticks of {ticking} no sooner" if ticking else "",
    )


def _request_body(request: HttpRequest) -> bytes:
    try:
        return request.body
    except RawPostDataException:  # Django's CSRF protection has looked for its token in a multipart form
        raise MalformedArguments("the question is a form, and not a JSON object") from None


def _parse_event(request: HttpRequest, record: Record, name: str) -> UserEvent:
    handler = import_view(record.view).handlers[name]  # UnknownHandler for what is not there
    form = {name: request.POST.getlist(name) for name in request.POST}
    page = get_page(request)
    return UserEvent(
        handler=handler,
        arguments=bind_arguments(handler, values=_event_arguments(request), form=form, files=_uploaded_files(request)),
        request=request,
        nonce=request.headers.get("X-Live-Nonce", "")[:64],
        page=page.id if page.is_joined else next(reversed(record.pages), ""),  # a shared view has none of its own
    )


def _event_arguments(request: HttpRequest) -> Any:
    limits = settings()
    text = request.POST.get("_args") or request.GET.get("_args") or "{}"
    return parse_arguments(text, max_size=limits.MAX_ARGUMENT_SIZE, max_depth=limits.MAX_ARGUMENT_DEPTH)


def _uploaded_files(request: HttpRequest) -> dict[str, Any]:
    return {name: request.FILES.getlist(name) for name in request.FILES}


def _remount_response(request: HttpRequest, grant: ViewGrant) -> HttpResponseBase:
    """The event is not run on a state that its user never saw: the fresh render is the answer."""
    page = get_page(request)
    mounted = remount(grant, page.visit(), rev=_page_rev(request))
    return event_response(request, mounted.result, is_remounted=True)


def _page_rev(request: HttpRequest) -> int:
    try:
        return max(0, min(int(request.headers.get("X-Live-Rev", "0")), MAX_REV))
    except ValueError:
        raise MalformedArguments("the header X-Live-Rev is not a number") from None


_HEALTH_LOCK = "health"  # a named lease that every process takes, as one and the same holder


@login_not_required
@transaction.non_atomic_requests
@require_safe
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    """See the module; a Redis that does not answer is found out within about a second."""
    process_services = services()
    store_result, position = _result_or_none(_write_to_store), _result_or_none(process_services.bus.position)
    report = {
        "store": "away" if store_result is None else "ok",
        "bus": "away" if position is None else "ok",
        "epoch": (position or "").partition(".")[0],
    }
    return JsonResponse(report, status=503 if store_result is None or position is None else 200)


def _write_to_store() -> str:
    services().store.acquire_lock(_HEALTH_LOCK, _HEALTH_LOCK, ttl=1.0)
    return _HEALTH_LOCK


def _result_or_none(call: Callable[[], str]) -> str | None:
    """What ``call`` answers; None when it gets no answer."""
    try:
        return call()
    except StoreUnavailable:
        return None
