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
from htmx_live.layouts.base import (
    Layout,
    PanelReference,
    build_layout_context,
    create_queues,
    record_layout_use,
    resolve_page,
    unsign_panel_reference,
)
from htmx_live.layouts.conf import layout_settings
from htmx_live.layouts.execution import PanelOutcome, PanelRun, arun_panel, run_in_request_thread
from htmx_live.layouts.page import (
    LayoutSpec,
    PageBuild,
    abegin,
    add_server_timing,
    awrap_response,
    raise_if_configured,
    render_panel_failure,
    render_retry,
    timing_entry,
    wrap_response,
)
from htmx_live.layouts.panels import Panel, resolve_parts
from htmx_live.layouts.queues import add_items, surround_with_tags
from htmx_live.layouts.requests import build_page_request, copy_csrf_token, freeze, get_user_key, is_panel_request

__all__ = ["LayoutMixin", "async_layout", "layout", "panel", "panel_only"]


@transaction.non_atomic_requests  # Django refuses ATOMIC_REQUESTS for async views; a panel only reads
@never_cache
@require_safe
async def panel(request: HttpRequest, reference: str) -> HttpResponse:
    """The panel that ``reference`` names, for the user who makes this request."""
    try:
        found = unsign_panel_reference(reference, max_age=settings().GRANT_MAX_AGE)
    except GrantError as error:
        return await run_in_request_thread(_error_response, request, 410 if error.expired else 404)
    with translation.override(found.language or translation.get_language()):
        run = await run_in_request_thread(_build_run, request, found)
        if isinstance(run, int):
            return await run_in_request_thread(_error_response, request, run, found.path)
        outcome = await arun_panel(run)
        return await run_in_request_thread(_panel_response, request, outcome, found.path)


def _build_run(request: HttpRequest, reference: PanelReference) -> PanelRun | int:
    """The panel's run, or the status that says why there is none."""
    if get_user_key(request) != reference.user:
        return 403
    try:
        layout, panel = reference.resolve()
    except LookupError:
        return 410
    page = build_page_request(request, reference.path, resolve_page(reference.path))
    page.layout_role, page.layout_key, page.is_layout_partial = "main", layout.layout_key, False
    page.layout_queues = create_queues(layout)
    page.layout_context = build_layout_context(layout(), page)
    page.layout_context.update(reference.carried_context)
    conf = layout_settings()
    # The short timeout of a panel that was late was for its page; here it has all the time that there is.
    uses_default_timeout = panel.timeout is None or panel.lazy_on_timeout
    return PanelRun(
        name=reference.panel,
        panel=panel,
        parts=resolve_parts(panel, getattr(request, "urlconf", None)),
        layout=layout,
        request=page,
        context=freeze(page.layout_context),
        conf=conf,
        timeout=conf.PANEL_TIMEOUT if uses_default_timeout else panel.timeout,
        url=request.path,
    )


def _panel_response(request: HttpRequest, outcome: PanelOutcome, page_path: str) -> HttpResponse:
    run = outcome.run
    copy_csrf_token(request, run.request)
    html, status = outcome.output.html, 200
    if outcome.error is not None:
        raise_if_configured(run.conf, outcome.error)
        html = render_retry(run.name, run.url, render_panel_failure(run.layout(), run.request, outcome.error))
        status = 200 if _is_htmx(request) else 500
    queues = create_queues(run.layout)
    add_items(queues, outcome.output.items)
    response = _html_response(request, surround_with_tags(html, queues.values()), page_path=page_path, status=status)
    if run.conf.sends_server_timing:
        add_server_timing(response, [timing_entry(run.name, started=0, seconds=outcome.seconds)])
    return response


def _error_response(request: HttpRequest, status: int, page_path: str = "") -> HttpResponse:
    """In words, and without a name of ours."""
    html = render_to_string("layouts/gone.html", {"page_path": page_path})
    return _html_response(request, html, page_path=page_path, status=status)


def _html_response(request: HttpRequest, html: str, *, page_path: str, status: int) -> HttpResponse:
    """Bare for htmx; a small page with a way back where somebody followed the link without JavaScript."""
    if not _is_htmx(request):
        context = {"panel": mark_safe(html), "page_path": page_path}
        html = render_to_string("layouts/panel_page.html", context, request)
    return HttpResponse(html, status=status)


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


ViewFunction = Callable[..., Any]
ViewFunctionT = TypeVar("ViewFunctionT", bound=ViewFunction)
_Overrides = Mapping[str, Panel | None]


def layout(
    layout_class: type[Layout] | str, *, panels: _Overrides | None = None, statuses: Collection[int] = (200,)
) -> Callable[[ViewFunction], Callable[..., HttpResponseBase]]:
    """Wrap a sync view: its HTML becomes the layout's ``content``.

    ``panels`` adds to and replaces the layout's; ``None`` leaves one out.  Answers of other ``statuses``, streaming
    ones and ones that are not HTML pass through untouched.
    """
    spec = LayoutSpec(layout_class=layout_class, panels=panels or {}, statuses=frozenset(statuses))

    def decorate(view: ViewFunction) -> Callable[..., HttpResponseBase]:
        _reject_panel_only(view, "layout")
        if iscoroutinefunction(view):
            raise TypeError(f"@layout is for sync views, and {_dotted_name(view)} is async: use @async_layout.")

        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if is_panel_request(request):
                return view(request, *args, **kwargs)  # type: ignore[no-any-return]
            build = PageBuild.begin(request, spec)
            return wrap_response(build, view(request, *args, **kwargs))

        return _set_layout_attributes(wrapper, view, spec)

    return decorate


def async_layout(
    layout_class: type[Layout] | str, *, panels: _Overrides | None = None, statuses: Collection[int] = (200,)
) -> Callable[[ViewFunction], Callable[..., Awaitable[HttpResponseBase]]]:
    """See layout(); for async views.  The panels run side by side, sync ones on threads."""
    spec = LayoutSpec(layout_class=layout_class, panels=panels or {}, statuses=frozenset(statuses))

    def decorate(view: ViewFunction) -> Callable[..., Awaitable[HttpResponseBase]]:
        _reject_panel_only(view, "async_layout")
        if not iscoroutinefunction(view):
            raise TypeError(f"@async_layout is for async views, and {_dotted_name(view)} is sync: use @layout.")

        @wraps(view)
        async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if is_panel_request(request):
                return await view(request, *args, **kwargs)  # type: ignore[no-any-return]
            build = await abegin(request, spec)
            return await awrap_response(build, await view(request, *args, **kwargs))

        return _set_layout_attributes(wrapper, view, spec)

    return decorate


def panel_only(view: ViewFunction) -> ViewFunction:
    """403 unless the view is called as a panel."""
    if hasattr(view, "layout_class"):
        raise TypeError(f"{_dotted_name(view)} has a layout, so it is a page: @panel_only does not go with it.")
    if iscoroutinefunction(view):

        @wraps(view)
        async def awrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return await view(request, *args, **kwargs) if is_panel_request(request) else HttpResponseForbidden()

        return _mark_panel_only(awrapper)

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return view(request, *args, **kwargs) if is_panel_request(request) else HttpResponseForbidden()

    return _mark_panel_only(wrapper)


def _mark_panel_only(wrapper: ViewFunction) -> ViewFunction:
    wrapper.is_panel_only = True  # type: ignore[attr-defined]
    return wrapper


def _set_layout_attributes(wrapper: ViewFunctionT, view: ViewFunction, spec: LayoutSpec) -> ViewFunctionT:
    """Say on the wrapper what it wraps in: lazy panels find the view's own panels there."""
    record_layout_use(spec.layout_class, _dotted_name(view))
    vars(wrapper).update(layout_class=spec.layout_class, layout_panels=spec.panels)
    return wrapper


def _reject_panel_only(view: ViewFunction, decorator: str) -> None:
    if getattr(view, "is_panel_only", False):
        raise TypeError(
            f"@{decorator} does not go with @panel_only: {_dotted_name(view)} would be a page that nobody may open."
        )


def _dotted_name(view: ViewFunction) -> str:
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
        record_layout_use(cls.layout_class, f"{cls.__module__}.{cls.__qualname__}")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if is_panel_request(request):
            return super().dispatch(request, *args, **kwargs)
        spec = self._build_spec()
        if self.view_is_async:
            return self._adispatch(spec, request, *args, **kwargs)
        build = PageBuild.begin(request, spec)
        return wrap_response(build, super().dispatch(request, *args, **kwargs))

    async def _adispatch(self, spec: LayoutSpec, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        build = await abegin(request, spec)
        response: Any = super().dispatch(request, *args, **kwargs)
        return await awrap_response(build, await response if isawaitable(response) else response)

    def _build_spec(self) -> LayoutSpec:
        if self.layout_class is None:
            name = type(self).__qualname__
            raise ImproperlyConfigured(f'{name} has no layout_class. Set layout_class = "app.LayoutName" or a class.')
        return LayoutSpec(
            layout_class=self.layout_class, panels=self.layout_panels or {}, statuses=frozenset(self.layout_statuses)
        )
