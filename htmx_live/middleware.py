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
from htmx_live.http.responses import csrf_refusal, unavailable
from htmx_live.runtime.files import watch
from htmx_live.runtime.pages import finish
from htmx_live.runtime.services import parts

__all__ = ["LiveMiddleware"]


Answer = HttpResponseBase | Awaitable[HttpResponseBase]


class LiveMiddleware:
    """Put it after the session, authentication and htmx middlewares."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Answer:
        watch(request)
        if self._is_async:
            return self._acall(request)
        request._htmx_live_position = _position()  # type: ignore[attr-defined]
        response = csrf_refusal(request, self._get_response(request))
        finish(request, response)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        # Not on the loop: the bus may be in another process.
        position = await sync_to_async(_position, thread_sensitive=False)() if settings().REDIS_URL else _position()
        request._htmx_live_position = position  # type: ignore[attr-defined]
        response: HttpResponseBase = await self._get_response(request)
        if response.status_code == 403:  # an error page may read the user: in the request's own thread
            response = await sync_to_async(csrf_refusal)(request, response)
        if getattr(request, "_htmx_live_page", None) is not None:
            # Reads the session and the user: in the request's own thread.
            await sync_to_async(finish)(request, response)
        else:
            finish(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        return unavailable(request, exception) if isinstance(exception, StoreUnavailable) else None


def _position() -> str:
    """ "" while the bus is away: a page that needs it asks again, and fails then."""
    try:
        return parts().bus.position()
    except StoreUnavailable:
        return ""
