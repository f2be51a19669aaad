"""Render queues: scripts, styles and other HTML that views and panels ask their page to include once.

A queue on a layout class is a factory; each page and each panel fills fresh ones.  What panels queued is joined
in definition order, whatever finished first.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

__all__ = [
    "Queue",
    "RenderQueue",
    "ScriptItem",
    "ScriptQueue",
    "StyleItem",
    "StyleQueue",
    "add_script",
    "add_style",
    "add_to_queue",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptItem:
    """One ``<script>``: ``src``, or ``inline`` JavaScript."""

    src: str | None = None
    inline: str | None = None
    is_async: bool = False
    is_deferred: bool = False
    type: str | None = None
    nonce: str | None = None
    integrity: str | None = None
    crossorigin: str | None = None

    def __post_init__(self) -> None:
        _require_one("script", "src", self.src, self.inline)

    def __html__(self) -> SafeString:
        attributes = _render_attributes(
            {
                "async": self.is_async,
                "defer": self.is_deferred,
                "type": self.type,
                "src": self.src,
                "integrity": self.integrity,
                "crossorigin": self.crossorigin,
                "nonce": self.nonce,
            }
        )
        return format_html("<script{}>{}</script>", attributes, _escape_closing_tag("script", self.inline))


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleItem:
    """One ``<link rel="stylesheet">`` with ``href``, or ``<style>`` with ``inline`` CSS."""

    href: str | None = None
    inline: str | None = None
    media: str | None = None
    nonce: str | None = None
    integrity: str | None = None
    crossorigin: str | None = None

    def __post_init__(self) -> None:
        _require_one("style", "href", self.href, self.inline)

    def __html__(self) -> SafeString:
        shared = {"media": self.media, "nonce": self.nonce}
        if self.href is None:
            return format_html(
                "<style{}>{}</style>", _render_attributes(shared), _escape_closing_tag("style", self.inline)
            )
        attributes = {"rel": "stylesheet", "href": self.href, "integrity": self.integrity}
        return format_html("<link{}>", _render_attributes({**attributes, "crossorigin": self.crossorigin, **shared}))


class Queue:
    """Ordered items, equal ones once."""

    item_type: ClassVar[type] = str
    usage_hint: ClassVar[str] = "add_to_queue(request, name, html)"

    def __init__(self) -> None:
        self._items: dict[Any, None] = {}

    def create_empty(self) -> Self:
        """An empty queue of the same kind."""
        return type(self)()

    def add(self, item: Any) -> None:
        """Append ``item``, unless an equal one is there.  ``TypeError`` for an item of another kind."""
        if not isinstance(item, self.item_type):
            given, wanted = type(item).__name__, self.item_type.__name__
            raise TypeError(f"A {type(self).__name__} holds {wanted}, not {given}: use {self.usage_hint}.")
        self._items.setdefault(item)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def render(self, request: HttpRequest | None = None) -> SafeString:
        return format_html_join("\n", "{}", ((item,) for item in self))


class ScriptQueue(Queue):
    """Scripts; ``{% renderscripts %}`` looks for the one named ``scripts``."""

    item_type = ScriptItem
    usage_hint = "add_script(request, src) or {% addscript %}"


class StyleQueue(Queue):
    """Style sheets; ``{% renderstyles %}`` looks for the one named ``styles``."""

    item_type = StyleItem
    usage_hint = "add_style(request, href) or {% addstyle %}"


class RenderQueue(Queue):
    """Pieces of HTML.  ``template`` gets them as ``items``; without one they are joined by line breaks."""

    def __init__(self, template: str | None = None) -> None:
        super().__init__()
        self.template = template

    def create_empty(self) -> Self:
        return type(self)(self.template)

    def add(self, item: Any) -> None:
        # strip() would turn a SafeString into a str.
        super().add(
            mark_safe(item.strip()) if isinstance(item, SafeString) else item.strip() if isinstance(item, str) else item
        )

    def render(self, request: HttpRequest | None = None) -> SafeString:
        if not self:
            return SafeString()
        if self.template is None:
            return mark_safe("\n".join(self))  # by contract the items are HTML
        return render_to_string(self.template, {"items": list(self)}, request)


def add_script(request: HttpRequest, src: str | None = None, **options: Any) -> None:
    """Queue a script.  Options: ``inline``, ``is_async``, ``is_deferred``, ``type``, ``nonce``, ``integrity``,
    ``crossorigin``.  ``KeyError`` without a queue ``scripts``; ``AttributeError`` on a request without a layout.
    """
    add_to_queue(request, "scripts", ScriptItem(src=src, **options))


def add_style(request: HttpRequest, href: str | None = None, **options: Any) -> None:
    """See add_script().  Options: ``inline``, ``media``, ``nonce``, ``integrity``, ``crossorigin``."""
    add_to_queue(request, "styles", StyleItem(href=href, **options))


def add_to_queue(request: HttpRequest, name: str, item: Any) -> None:
    """Queue ``item`` (HTML, for a ``RenderQueue``) in the queue called ``name``.  See add_script() for the errors."""
    queues: dict[str, Queue] | None = getattr(request, "layout_queues", None)
    if queues is None:
        raise AttributeError(
            "The request has no layout_queues: queues work in views with a layout and in their panels."
        )
    if name not in queues:
        available = ", ".join(sorted(queues)) or "none"
        raise KeyError(f"The layout has no queue {name!r}. It has: {available}. Declare one on the layout class.")
    queues[name].add(item)


def get_queued_items(queues: dict[str, Queue]) -> tuple[tuple[str, Any], ...]:
    """What was queued, as (queue's name, item)."""
    return tuple((name, item) for name, queue in queues.items() for item in queue)


def add_items(queues: dict[str, Queue], items: Iterable[tuple[str, Any]]) -> None:
    """Queue ``items``, leaving out those whose queue the layout does not have any more (they may come from a cache)."""
    for name, item in items:
        if name in queues:
            queues[name].add(item)


def with_nonce(item: Any, nonce: str | None) -> Any:
    """``item`` as it would have been queued in a request with ``nonce``."""
    return replace(item, nonce=nonce) if getattr(item, "nonce", None) else item


def surround_with_tags(html: str, queues: Iterable[Queue]) -> str:
    """``html`` with the styles before it and the scripts after it, for an answer that has no layout around it."""
    asked = [queue for queue in queues if queue]
    styles = [queue.render() for queue in asked if isinstance(queue, StyleQueue)]
    scripts = [queue.render() for queue in asked if isinstance(queue, ScriptQueue)]
    return "\n".join([*styles, html, *scripts])


def _require_one(kind: str, name: str, address: str | None, inline: str | None) -> None:
    if (address is None) == (inline is None):
        raise TypeError(f"A {kind} has either {name} or inline; {'neither' if address is None else 'both'} given.")


def _render_attributes(pairs: Mapping[str, str | bool | None]) -> SafeString:
    present = [(name, value) for name, value in pairs.items() if value not in (None, False, "")]
    return format_html_join("", "{}", ((_render_attribute(name, value),) for name, value in present))


def _render_attribute(name: str, value: str | bool | None) -> SafeString:
    return format_html(" {}", name) if value is True else format_html(' {}="{}"', name, value)


def _escape_closing_tag(tag: str, inline: str | None) -> SafeString:
    """``inline`` that cannot end its element: ``</`` becomes ``<\\/``, the same in JavaScript strings and in CSS."""
    return mark_safe(re.sub(rf"</(?={tag})", r"<\\/", inline or "", flags=re.IGNORECASE))
