"""The endpoints of progress: one address that reads a session, and two that act on it.

    GET  progress/GRANT/          a page (meta-refresh), a card for htmx, JSON, or an event stream, as the client asks
    POST progress/GRANT/cancel/   \\
    POST progress/GRANT/retry/    / then the card for htmx, JSON, or back to where it came from

A grant that is forged, expired, somebody else's, for another door, or of a session that is gone: one and the same 404.
"""

from collections.abc import Callable
from functools import partial, wraps

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from htmx_live.exceptions import GrantError, StoreUnavailable
from htmx_live.owners import owner_of
from htmx_live.progress.answers import RETRY_AFTER, wants_html
from htmx_live.progress.events import events, single_event
from htmx_live.progress.grants import ProgressGrant, unsign
from htmx_live.progress.placing import progress_card, status_url
from htmx_live.progress.session import ProgressSession
from htmx_live.progress.values import ProgressStatus
from htmx_live.transport.body import HEADERS
from htmx_live.transport.stream import stream_response

__all__ = ["cancel", "progress", "retry"]

View = Callable[[HttpRequest, ProgressSession, ProgressGrant], HttpResponseBase]
Endpoint = Callable[[HttpRequest, str], HttpResponseBase]


def _granted(view: View) -> Endpoint:
    """Call ``view`` with what the grant opens."""

    @login_not_required  # the grant says who may see it, API clients and visitors without a login among them
    @wraps(view)
    def endpoint(request: HttpRequest, grant: str) -> HttpResponseBase:
        try:
            opened = unsign(grant, request)
            session = ProgressSession.get(opened.session)
        except GrantError:
            raise Http404 from None
        except StoreUnavailable:
            return HttpResponse(status=503, headers={"Retry-After": str(RETRY_AFTER)})
        if session is None:
            raise Http404
        return view(request, session, opened)

    return endpoint


@login_not_required
@transaction.non_atomic_requests  # Django refuses atomic requests with an async view
@require_GET
@never_cache
async def progress(request: HttpRequest, grant: str) -> HttpResponseBase:
    """The session as the client asks for it; with ``live_asgi`` an event stream does not come here."""
    if isinstance(request, ASGIRequest) and _asks_for_events(request):
        return await stream_response(request, partial(events, grant))
    return await sync_to_async(_progress)(request, grant)


@_granted
def _progress(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponseBase:
    if grant.may_control:
        raise Http404
    if _asks_for_events(request):
        event = single_event(session.session_id, request.headers.get("Last-Event-ID", ""))
        return HttpResponse(event, headers=HEADERS) if event else HttpResponse(status=204)
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(progress_card(session, request=request, redirect=grant.redirect))
    if wants_html(request):
        return _page(request, session, grant)
    return JsonResponse(
        session.to_dict(), headers={} if session._seen().is_ended else {"Retry-After": str(RETRY_AFTER)}
    )


@transaction.non_atomic_requests
@require_POST
@never_cache
@_granted
def cancel(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponseBase:
    """Cancel what has not ended."""
    _check_control(grant)
    session.cancel()
    return _acted(request, session)


@transaction.non_atomic_requests
@require_POST
@never_cache
@_granted
def retry(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponseBase:
    """Start again what has failed."""
    _check_control(grant)
    session.retry()
    return _acted(request, session)


def _check_control(grant: ProgressGrant) -> None:
    if not grant.may_control:
        raise Http404


def _acted(request: HttpRequest, session: ProgressSession) -> HttpResponseBase:
    """What was done is published to every page that shows it, the asking one included."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204)
    if not wants_html(request):
        return JsonResponse(session.to_dict())
    came_from = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure())
    response = HttpResponseRedirect(came_from if is_ours else status_url(session.session, owner_of(request)))
    response.status_code = 303
    return response


def _page(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponse:
    here = session._seen()
    if grant.redirect and here.status is ProgressStatus.COMPLETE and "done" not in request.GET:
        return HttpResponseRedirect(grant.redirect)
    card = progress_card(session, request=request, redirect=grant.redirect)
    context = {
        "card": card,
        "refresh": 0 if here.is_ended else RETRY_AFTER,
        "title": ", ".join(list(session.session.names.values())[:3]),
    }
    return render(request, "htmx_live/progress_page.html", context)


def _asks_for_events(request: HttpRequest) -> bool:
    return "text/event-stream" in request.headers.get("Accept", "")
