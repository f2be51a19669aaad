"""The endpoint of panels that come after their page: one reference in, one panel out.

The panel's view runs with this request's own user and session, after all of the project's middleware, and does its
own permission checks as ever.  The reference adds that the panel was offered to this very user on a page of theirs,
not longer ago than ``GRANT_MAX_AGE``; what a page's *view* checks is not asked again.

    404 forged · 410 too old, or the code has changed · 403 somebody else's · 200 the panel, or that it failed

A failure is an answer of 200 to htmx, which does not show others, and of 500 to a browser without JavaScript.

Decorators: ``@layout`` and ``@async_layout`` put a view into a layout, ``@panel_only`` keeps it inside of one.

Inside a panel the first two do nothing, so that a page's view can be another page's panel.

``LayoutMixin``: a layout around a class-based view, sync or async.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseForbidden
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import mark_safe
from django.views import View as DjangoView
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import GrantError
from htmx_live.layouts.base import Layout, Reference, fresh_queues, layout_context, note_reference, page_match, read
from htmx_live.layouts.conf import layout_settings
from htmx_live.layouts.execution import Outcome, PanelRun, arun, in_request_thread
from htmx_live.layouts.page import (
    Draft,
    Frame,
    abegin,
    add_timing,
    afinish,
    entry,
    failure_html,
    finish,
    raise_if_asked,
    retry_html,
)
from htmx_live.layouts.panels import Panel, parts_of
from htmx_live.layouts.queues import add_all, with_tags
from htmx_live.layouts.requests import freeze, is_panel, page_request, settle, user_key

__all__ = ["LayoutMixin", "async_layout", "layout", "panel", "panel_only"]


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


View = Callable[..., Any]
W = TypeVar("W", bound=View)
Overrides = Mapping[str, Panel | None]


def layout(
    layout_class: type[Layout] | str, *, panels: Overrides | None = None, statuses: Collection[int] = (200,)
) -> Callable[[View], Callable[..., HttpResponseBase]]:
    """Wrap a sync view: its HTML becomes the layout's ``content``.

    ``panels`` adds to and replaces the layout's; ``None`` leaves one out.  Answers of other ``statuses``, streaming
    ones and ones that are not HTML pass through untouched.
    """
    frame = Frame(layout_class=layout_class, panels=panels or {}, statuses=frozenset(statuses))

    def decorate(view: View) -> Callable[..., HttpResponseBase]:
        _refuse_panel_only(view, "layout")
        if iscoroutinefunction(view):
            raise TypeError(f"@layout is for sync views, and {_name(view)} is async: use @async_layout.")

        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if is_panel(request):
                return view(request, *args, **kwargs)  # type: ignore[no-any-return]
            draft = Draft.begin(request, frame)
            return finish(draft, view(request, *args, **kwargs))

        return _published(wrapper, view, frame)

    return decorate


def async_layout(
    layout_class: type[Layout] | str, *, panels: Overrides | None = None, statuses: Collection[int] = (200,)
) -> Callable[[View], Callable[..., Awaitable[HttpResponseBase]]]:
    """See layout(); for async views.  The panels run side by side, sync ones on threads."""
    frame = Frame(layout_class=layout_class, panels=panels or {}, statuses=frozenset(statuses))

    def decorate(view: View) -> Callable[..., Awaitable[HttpResponseBase]]:
        _refuse_panel_only(view, "async_layout")
        if not iscoroutinefunction(view):
            raise TypeError(f"@async_layout is for async views, and {_name(view)} is sync: use @layout.")

        @wraps(view)
        async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if is_panel(request):
                return await view(request, *args, **kwargs)  # type: ignore[no-any-return]
            draft = await abegin(request, frame)
            return await afinish(draft, await view(request, *args, **kwargs))

        return _published(wrapper, view, frame)

    return decorate


def panel_only(view: View) -> View:
    """403 unless the view is called as a panel."""
    if hasattr(view, "layout_class"):
        raise TypeError(f"{_name(view)} has a layout, so it is a page: @panel_only does not go with it.")
    if iscoroutinefunction(view):

        @wraps(view)
        async def awrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return await view(request, *args, **kwargs) if is_panel(request) else HttpResponseForbidden()

        return _marked(awrapper)

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return view(request, *args, **kwargs) if is_panel(request) else HttpResponseForbidden()

    return _marked(wrapper)


def _marked(wrapper: View) -> View:
    wrapper.is_panel_only = True  # type: ignore[attr-defined]
    return wrapper


def _published(wrapper: W, view: View, frame: Frame) -> W:
    """Say on the wrapper what it wraps in: lazy panels find the view's own panels there."""
    note_reference(frame.layout_class, _name(view))
    vars(wrapper).update(layout_class=frame.layout_class, layout_panels=frame.panels)
    return wrapper


def _refuse_panel_only(view: View, decorator: str) -> None:
    if getattr(view, "is_panel_only", False):
        raise TypeError(
            f"@{decorator} does not go with @panel_only: {_name(view)} would be a page that nobody may open."
        )


def _name(view: View) -> str:
    return f"{view.__module__}.{getattr(view, '__qualname__', type(view).__qualname__)}"


if TYPE_CHECKING:
    _Base = DjangoView
else:
    _Base = object


class LayoutMixin(_Base):
    """Stands before the view class: ``class Home(LayoutMixin, TemplateView)``.  See layout()."""

    layout_class: ClassVar[type[Layout] | str | None] = None
    layout_panels: Mapping[str, Panel | None] = {}
    layout_statuses: Collection[int] = (200,)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        note_reference(cls.layout_class, f"{cls.__module__}.{cls.__qualname__}")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if is_panel(request):
            return super().dispatch(request, *args, **kwargs)
        frame = self._frame()
        if self.view_is_async:
            return self._adispatch(frame, request, *args, **kwargs)
        draft = Draft.begin(request, frame)
        return finish(draft, super().dispatch(request, *args, **kwargs))

    async def _adispatch(self, frame: Frame, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        draft = await abegin(request, frame)
        response: Any = super().dispatch(request, *args, **kwargs)
        return await afinish(draft, await response if isawaitable(response) else response)

    def _frame(self) -> Frame:
        if self.layout_class is None:
            name = type(self).__qualname__
            raise ImproperlyConfigured(f'{name} has no layout_class. Set layout_class = "app.LayoutName" or a class.')
        return Frame(
            layout_class=self.layout_class, panels=self.layout_panels or {}, statuses=frozenset(self.layout_statuses)
        )
