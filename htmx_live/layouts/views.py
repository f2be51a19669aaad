"""The endpoint of panels that come after their page: one reference in, one panel out.

The panel's view runs with this request's own user and session, after all of the project's middleware, and does its
own permission checks as ever.  The reference adds that the panel was offered to this very user on a page of theirs,
not longer ago than ``GRANT_MAX_AGE``; what a page's *view* checks is not asked again.

    404 forged · 410 too old, or the code has changed · 403 somebody else's · 200 the panel, or that it failed

A failure is an answer of 200 to htmx, which does not show others, and of 500 to a browser without JavaScript.
"""

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from htmx_live.conf import settings
from htmx_live.exceptions import GrantError
from htmx_live.layouts.assembly import failure_html, raise_if_asked, retry_html
from htmx_live.layouts.base import fresh_queues, layout_context
from htmx_live.layouts.conf import layout_settings
from htmx_live.layouts.context import freeze
from htmx_live.layouts.execution import Outcome, arun, in_request_thread
from htmx_live.layouts.parts import parts_of
from htmx_live.layouts.plan import PanelRun
from htmx_live.layouts.queues import add_all, with_tags
from htmx_live.layouts.references import Reference, page_match, read
from htmx_live.layouts.requests import page_request, settle, user_key
from htmx_live.layouts.timing import add_timing, entry

__all__ = ["panel"]


@transaction.non_atomic_requests  # Django refuses ATOMIC_REQUESTS for async views; a panel only reads
@never_cache
@require_safe
async def panel(request: HttpRequest, reference: str) -> HttpResponse:
    """The panel that ``reference`` names, for the user who makes this request."""
    try:
        found = read(reference, max_age=settings().GRANT_MAX_AGE)
    except GrantError as error:
        return await in_request_thread(_refusal, request, 410 if error.expired else 404)
    with translation.override(found.language or translation.get_language()):
        run = await in_request_thread(_plan, request, found)
        if isinstance(run, int):
            return await in_request_thread(_refusal, request, run, found.path)
        outcome = await arun(run)
        return await in_request_thread(_answer, request, outcome, found.path)


def _plan(request: HttpRequest, reference: Reference) -> PanelRun | int:
    """The panel's run, or the status that says why there is none."""
    if user_key(request) != reference.user:
        return 403
    try:
        layout, panel = reference.find()
    except LookupError:
        return 410
    page = page_request(request, reference.path, page_match(reference.path))
    page.layout_role, page.layout_key, page.is_layout_partial = "main", layout.layout_key, False
    page.layout_queues = fresh_queues(layout)
    page.layout_context = layout_context(layout(), page)
    page.layout_context.update(reference.carried)
    conf = layout_settings()
    # The short timeout of a panel that was late was for its page; here it has all the time that there is.
    waits_longer = panel.timeout is None or panel.lazy_on_timeout
    return PanelRun(
        name=reference.panel,
        panel=panel,
        parts=parts_of(panel, getattr(request, "urlconf", None)),
        layout=layout,
        request=page,
        context=freeze(page.layout_context),
        conf=conf,
        timeout=conf.PANEL_TIMEOUT if waits_longer else panel.timeout,
        url=request.path,
    )


def _answer(request: HttpRequest, outcome: Outcome, page_path: str) -> HttpResponse:
    run = outcome.run
    settle(request, run.request)
    html, status = outcome.output.html, 200
    if outcome.error is not None:
        raise_if_asked(run.conf, outcome.error)
        html = retry_html(run.name, run.url, failure_html(run.layout(), run.request, outcome.error))
        status = 200 if _is_htmx(request) else 500
    queues = fresh_queues(run.layout)
    add_all(queues, outcome.output.items)
    answer = _wrapped(request, with_tags(html, queues.values()), page_path=page_path, status=status)
    if run.conf.shows_times:
        add_timing(answer, [entry(run.name, started=0, seconds=outcome.seconds)])
    return answer


def _refusal(request: HttpRequest, status: int, page_path: str = "") -> HttpResponse:
    """In words, and without a name of ours."""
    html = render_to_string("layouts/gone.html", {"page_path": page_path})
    return _wrapped(request, html, page_path=page_path, status=status)


def _wrapped(request: HttpRequest, html: str, *, page_path: str, status: int) -> HttpResponse:
    """Bare for htmx; a small page with a way back where somebody followed the link without JavaScript."""
    if not _is_htmx(request):
        context = {"panel": mark_safe(html), "page_path": page_path}
        html = render_to_string("layouts/panel_page.html", context, request)
    return HttpResponse(html, status=status)


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"
