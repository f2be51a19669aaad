"""Decorators: ``@layout`` and ``@async_layout`` put a view into a layout, ``@panel_only`` keeps it inside of one.

Inside a panel the first two do nothing, so that a page's view can be another page's panel.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import wraps
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase, HttpResponseForbidden

from htmx_live.layouts.base import Layout, note_reference
from htmx_live.layouts.draft import Draft, Frame
from htmx_live.layouts.panels import Panel
from htmx_live.layouts.rendering import abegin, afinish, finish
from htmx_live.layouts.requests import is_panel

__all__ = ["async_layout", "layout", "panel_only"]

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
