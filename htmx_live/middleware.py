"""``LiveMiddleware``: notes where the bus stands when a request begins, and signs the page's grant when it ends.

What is published while a page renders has a later number than the page, and is sent when its stream opens.
A page that needs a store which is away is a 503 in words; one without live views does not notice.
A request to our URLs that Django's CSRF check refuses gets our own answer, which tells the script why.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponseBase

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.http.responses import replace_csrf_failure, service_unavailable
from htmx_live.runtime.files import limit_uploads
from htmx_live.runtime.pages import finalize_response
from htmx_live.runtime.services import services

__all__ = ["LiveMiddleware"]


Response = HttpResponseBase | Awaitable[HttpResponseBase]


class LiveMiddleware:
    """Put it after the session, authentication and htmx middlewares."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response:
        limit_uploads(request)
        if self._is_async:
            return self._acall(request)
        request._htmx_live_position = _read_position()  # type: ignore[attr-defined]
        response = replace_csrf_failure(request, self._get_response(request))
        finalize_response(request, response)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        # Not on the loop: the bus may be in another process.
        position = (
            await sync_to_async(_read_position, thread_sensitive=False)() if settings().REDIS_URL else _read_position()
        )
        request._htmx_live_position = position  # type: ignore[attr-defined]
        response: HttpResponseBase = await self._get_response(request)
        if response.status_code == 403:  # an error page may read the user: in the request's own thread
            response = await sync_to_async(replace_csrf_failure)(request, response)
        if getattr(request, "_htmx_live_page", None) is not None:
            # Reads the session and the user: in the request's own thread.
            await sync_to_async(finalize_response)(request, response)
        else:
            finalize_response(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        return service_unavailable(request, exception) if isinstance(exception, StoreUnavailable) else None


def _read_position() -> str:
    """ "" while the bus is away: a page that needs it asks again, and fails then."""
    try:
        return services().bus.position()
    except StoreUnavailable:
        return ""
