"""``accepted``: the answer to a request whose work goes on after it."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse

from htmx_live.owners import owner_of
from htmx_live.progress.placing import progress_card, status_url
from htmx_live.progress.session import ProgressSession

__all__ = ["RETRY_AFTER", "accepted", "wants_html"]

RETRY_AFTER = 2  # seconds until somebody who polls asks again


def accepted(
    request: HttpRequest, session: ProgressSession, *, redirect: str = "", event: str = "", css: str = ""
) -> HttpResponseBase:
    """202 with the status page's address in ``Location``, and ``Retry-After``.

    htmx gets the session's card, which follows the work, an API client its snapshot as JSON; a browser without
    JavaScript is sent to the status page (303).  ``redirect``, ``event`` and ``css`` are the card's.
    """
    url = status_url(session.session, owner_of(request), redirect=redirect)
    if request.headers.get("HX-Request") == "true":
        card = progress_card(session, request=request, redirect=redirect, event=event, css=css)
        answer: HttpResponseBase = HttpResponse(card, status=202)
    elif wants_html(request):
        answer = HttpResponseRedirect(url)
        answer.status_code = 303
    else:
        answer = JsonResponse(session.to_dict(), status=202)
    answer["Location"] = url
    answer["Retry-After"] = str(RETRY_AFTER)
    answer["Cache-Control"] = "no-store"
    return answer


def wants_html(request: HttpRequest) -> bool:
    """Whether a browser asks for a page; ``*/*`` is what API clients say."""
    return "text/html" in request.headers.get("Accept", "")
