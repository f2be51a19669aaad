"""Parts: what a panel's sources come down to, one view call each, and how a result becomes HTML."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import isawaitable
from itertools import combinations
from typing import Any
from urllib.parse import unquote

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, get_script_prefix, resolve, reverse

from htmx_live.layouts.errors import PanelStatusError
from htmx_live.layouts.panels import Panel, Source

__all__ = ["Part", "call", "html_of", "parts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """``html`` that is known, or the call of ``view``."""

    html: str = ""
    view: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    is_async: bool = False


def parts_of(panel: Panel, urlconf: Any = None) -> tuple[Part, ...]:
    """One part for each source.  ``NoReverseMatch`` for a URL name that is not there."""
    return tuple(_part(source, dict(panel.context or {}), urlconf) for source in panel.sources)


def call(part: Part, request: HttpRequest) -> str:
    """The part's HTML, from a thread that may block."""
    if part.view is None:
        return part.html
    result = part.view(request, *part.args, **part.kwargs)
    if isawaitable(result):
        result = async_to_sync(_awaited)(result)
    return html_of(rendered(result))


def rendered(result: Any) -> Any:
    """``result``, a ``TemplateResponse`` rendered; blocks."""
    return result.render() if needs_rendering(result) else result


def needs_rendering(result: Any) -> bool:
    return callable(getattr(result, "render", None)) and not getattr(result, "is_rendered", True)


def html_of(result: Any) -> str:
    """``PanelStatusError`` for a redirect or an error page, ``TypeError`` for what is no HTML."""
    if isinstance(result, str):
        return result
    if not isinstance(result, HttpResponseBase):
        raise TypeError(f"A panel returned {type(result).__name__}; expected an HttpResponse or a str.")
    if not 200 <= result.status_code < 300:
        raise PanelStatusError(result.status_code, result.headers.get("Location", ""))
    if result.streaming:
        raise TypeError("A panel returned a streaming response; expected an HttpResponse or a str.")
    content: bytes = result.content  # type: ignore[attr-defined]
    return content.decode(result.charset)


def _part(source: Source, context: dict[str, Any], urlconf: Any) -> Part:
    match source.kind:
        case "literal":
            return Part(html=source.value)
        case "template":
            return Part(view=_TemplateView(source.value), kwargs=context)
        case "call":
            return Part(view=source.value, kwargs=context, is_async=_is_async(source.value))
    path = "/" + unquote(_reverse(source.value, context, urlconf)).removeprefix(get_script_prefix())
    match = resolve(path, urlconf)
    kwargs = {**match.kwargs, **context}
    return Part(view=match.func, args=match.args, kwargs=kwargs, is_async=_is_async(match.func))


@dataclass(frozen=True, slots=True)
class _TemplateView:
    """The view of ``template_name=``: the template with the layout context."""

    template_name: str

    def __call__(self, request: HttpRequest, **context: Any) -> str:
        values = {**getattr(request, "layout_context", {}), **context}
        return render_to_string(self.template_name, values, request)


def _reverse(name: str, context: dict[str, Any], urlconf: Any) -> str:
    """The URL, which takes none of the context's values, or all, or as many as it can."""
    try:
        return reverse(name, urlconf)
    except NoReverseMatch:
        for size in range(len(context), 0, -1):
            for names in combinations(context, size):
                with suppress(NoReverseMatch):
                    return reverse(name, urlconf, kwargs={key: context[key] for key in names})
        raise


def _is_async(view: Callable[..., Any]) -> bool:
    return iscoroutinefunction(view) or iscoroutinefunction(getattr(view, "__call__", None))  # noqa: B004


async def _awaited(result: Any) -> Any:
    return await result
