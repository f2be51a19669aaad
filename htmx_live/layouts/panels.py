"""``Panel``: where a named region of a layout gets its HTML from, and how it gets onto the page.

Parts: what a panel's sources come down to, one view call each, and how a result becomes HTML.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from inspect import isawaitable
from itertools import combinations
from typing import Any, Literal
from urllib.parse import unquote

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.template import Context, Variable
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, get_script_prefix, resolve, reverse
from django.views import View

from htmx_live.layouts.cache import CacheRule
from htmx_live.layouts.conf import PanelStatusError

__all__ = ["ConditionalPanel", "Panel", "Part", "Source", "call_part", "resolve_parts", "to_html"]


Lazy = Literal[False, True, "visible"]


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that gives HTML."""

    kind: Literal["url", "literal", "call", "template"]
    value: Any

    def describe(self) -> str:
        """A text that tells sources apart and is the same in every process."""
        return f"{self.kind} {_describe(self.value)}"


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """At most one source: ``source``, ``url_name``, ``literal`` or ``template_name``.

    ``source`` is a URL name (a string with ":"), HTML (a string without), a callable that takes ``(request,
    **context)``, a view class, a list of those (joined with ``join``) or ``None``.  ``context`` goes to the view and
    wins over what its URL captured.

    ``timeout`` is seconds; past it the panel is an error, or with ``lazy_on_timeout`` loads itself later.
    ``lazy=True`` loads it after the page, ``lazy="visible"`` when it is scrolled to; ``stream=True`` sends it at the
    end of the same response.  A panel that comes later gets the layout context without what the view wrote, except
    for the keys in ``carry``, whose values must be JSON.
    """

    source: Any = None
    _: KW_ONLY
    url_name: str | None = None
    literal: str | None = None
    template_name: str | None = None
    context: Mapping[str, Any] | None = None
    cache: CacheRule | None = None
    join: str = ""
    timeout: float | None = None
    lazy_on_timeout: bool = False
    lazy: Lazy = False
    stream: bool = False
    carry: Sequence[str] = ()
    sources: tuple[Source, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = {"url_name": self.url_name, "literal": self.literal, "template_name": self.template_name}
        named = [name for name in ("source", *given) if getattr(self, name) is not None]
        if len(named) > 1:
            raise TypeError(f"A panel has at most one source; {' and '.join(named)} were given.")
        if self.lazy not in (False, True, "visible"):
            raise TypeError(f'Panel(lazy={self.lazy!r}): expected True, False or "visible".')
        if self.lazy and self.stream:
            raise TypeError("A panel is either lazy or streamed: choose lazy=… or stream=True.")
        if self.timeout is not None and not self.timeout > 0:
            raise TypeError(f"Panel(timeout={self.timeout!r}): expected seconds above 0, or None.")
        if isinstance(self.carry, str):
            raise TypeError(f"Panel(carry={self.carry!r}): expected a list of keys.")
        object.__setattr__(self, "sources", tuple(_build_sources(self)))

    @property
    def is_deferred(self) -> bool:
        """Whether the page may be sent without this panel."""
        return bool(self.lazy or self.stream or self.lazy_on_timeout)

    def declared_source(self) -> object:
        """What the panel was declared with, for error reports."""
        given = (self.source, self.url_name, self.literal, self.template_name)
        return next((source for source in given if source is not None), None)


@dataclass(frozen=True, slots=True, eq=False)
class ConditionalPanel(Panel):
    """A panel that is empty unless ``condition`` holds.

    ``condition`` is a callable on the layout context, the dotted name of a variable in it, or a bool.  An exception
    counts as False.  A skipped panel runs nothing and touches no cache.
    """

    _: KW_ONLY
    condition: Callable[[Mapping[str, Any]], object] | str | bool = True

    def is_condition_met(self, layout_context: Mapping[str, Any]) -> bool:
        if isinstance(self.condition, bool):
            return self.condition
        try:
            if callable(self.condition):
                return bool(self.condition(layout_context))
            return bool(Variable(self.condition).resolve(Context(dict(layout_context))))
        except Exception:  # part of the panel's boundary: a condition that cannot be told leaves the panel out
            return False


def _build_sources(panel: Panel) -> list[Source]:
    if panel.url_name is not None:
        return [Source("url", panel.url_name)]
    if panel.literal is not None:
        return [Source("literal", panel.literal)]
    if panel.template_name is not None:
        return [Source("template", panel.template_name)]
    sources = panel.source if isinstance(panel.source, list | tuple) else [panel.source]
    return [_build_source(entry) for entry in sources if entry is not None]


def _build_source(entry: object) -> Source:
    if isinstance(entry, str):
        return Source("url" if ":" in entry else "literal", entry)
    if isinstance(entry, type) and issubclass(entry, View):
        return Source("call", entry.as_view())
    if callable(entry):
        return Source("call", entry)
    raise TypeError(f"A panel's source is a URL name, HTML, a callable or a list of those, not {entry!r}.")


def _describe(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, partial):
        return f"partial {_describe(value.func)} {value.args!r} {sorted(value.keywords.items())!r}"
    function = getattr(value, "view_class", value)
    if not hasattr(function, "__qualname__"):
        function = type(function)
    # Two lambdas, or two closures, of one function share a name: their line tells them apart.
    code = getattr(function, "__code__", None)
    line = f":{code.co_firstlineno}" if code is not None and "<" in function.__qualname__ else ""
    return f"{function.__module__}.{function.__qualname__}{line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """``html`` that is known, or the call of ``view``."""

    html: str = ""
    view: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    is_async: bool = False


def resolve_parts(panel: Panel, urlconf: Any = None) -> tuple[Part, ...]:
    """One part for each source.  ``NoReverseMatch`` for a URL name that is not there."""
    return tuple(_resolve_part(source, dict(panel.context or {}), urlconf) for source in panel.sources)


def call_part(part: Part, request: HttpRequest) -> str:
    """The part's HTML, from a thread that may block."""
    if part.view is None:
        return part.html
    result = part.view(request, *part.args, **part.kwargs)
    if isawaitable(result):
        result = async_to_sync(_await_result)(result)
    return to_html(ensure_rendered(result))


def ensure_rendered(result: Any) -> Any:
    """``result``, a ``TemplateResponse`` rendered; blocks."""
    return result.render() if needs_rendering(result) else result


def needs_rendering(result: Any) -> bool:
    return callable(getattr(result, "render", None)) and not getattr(result, "is_rendered", True)


def to_html(result: Any) -> str:
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


def _resolve_part(source: Source, context: dict[str, Any], urlconf: Any) -> Part:
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


async def _await_result(result: Any) -> Any:
    return await result
