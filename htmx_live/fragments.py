"""Fragments: pieces of HTML that know where on the page they belong.

A fragment is the only thing sent to a browser, in an htmx response or in an SSE message.
This module builds and joins them.  It renders no templates and does no I/O.

Source: htmx 4 documentation, "Partial tags".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

__all__ = ["Fragment", "Swap", "fill", "join", "text_slot"]

Swap = Literal["outerMorph", "innerMorph", "outerHTML", "innerHTML", "beforeend", "afterbegin", "delete"]

# A text stream's place in a fragment is marked with these control characters, which no template output contains
# (see clean()), and filled when the fragment is sent: between render and send the text may have grown.
_OPEN, _CLOSE = "\x02", "\x03"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """``html`` for the element whose id is ``target``."""

    target: str
    html: SafeString
    swap: Swap = "outerMorph"

    def __html__(self) -> SafeString:
        return format_html(
            '<hx-partial hx-target="#{}" hx-swap="{}">{}</hx-partial>', self.target, self.swap, self.html
        )


def join(fragments: Iterable[Fragment]) -> SafeString:
    """One response body holding every fragment, in order."""
    return format_html_join("\n", "{}", ((fragment,) for fragment in fragments))


def clean(html: str) -> str:
    """``html`` without the control characters that mark text slots; apply it to whatever a user can write."""
    return html.replace(_OPEN, "").replace(_CLOSE, "") if _OPEN in html or _CLOSE in html else html


def text_slot(target: str, *, tag: str, name: str) -> SafeString:
    """The element of a text stream, to be completed by ``fill``; ``target`` is its id."""
    return format_html(
        '<{} id="{}" data-live-stream="{}" data-live-at="{}">{}</{}>',
        tag,
        target,
        name,
        mark_safe(f"{_OPEN}@{target}{_CLOSE}"),  # the position
        mark_safe(f"{_OPEN}={target}{_CLOSE}"),  # the text
        tag,
    )


def fill(html: str, text_of: Callable[[str], tuple[str, str]]) -> str:
    """``html`` with every text slot filled; ``text_of(target)`` gives its generation and its text."""
    if _OPEN not in html:
        return html
    parts = html.split(_OPEN)
    filled = [parts[0]]
    for part in parts[1:]:
        marker, rest = part.split(_CLOSE, 1)
        generation, text = text_of(marker[1:])
        filled.append(f"{generation}.{len(text)}" if marker[0] == "@" else escape(text))
        filled.append(rest)
    return "".join(filled)
