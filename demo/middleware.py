"""A Content-Security-Policy without a single exception: the library is shown to work under it."""

from collections.abc import Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


@sync_and_async_middleware
def strict_csp(get_response: Callable) -> Callable:
    """Every answer carries ``POLICY``."""
    if iscoroutinefunction(get_response):

        async def with_policy(request: HttpRequest) -> HttpResponse:
            return _strict(await get_response(request))

    else:

        def with_policy(request: HttpRequest) -> HttpResponse:
            return _strict(get_response(request))

    return with_policy


def _strict(response: HttpResponse) -> HttpResponse:
    response.headers["Content-Security-Policy"] = POLICY
    return response
