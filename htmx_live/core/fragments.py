"""Fragments: pieces of HTML that know where on the page they belong.

A fragment is the only thing sent to a browser, in an htmx response or in an SSE message.
This module builds and joins them.  It renders no templates and does no I/O.

Source: htmx 4 documentation, "Partial tags".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from django.utils.crypto import salted_hmac
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

__all__ = [
    "Fragment",
    "Swap",
    "fill_text_placeholders",
    "join_fragments",
    "placeholder",
    "text_placeholder",
    "text_target",
]


Swap = Literal[
    "outerMorph",
    "innerMorph",
    "outerHTML",
    "innerHTML",
    "beforebegin",
    "afterbegin",
    "beforeend",
    "afterend",
    "delete",
]

_END_OF_ID = "\x03"  # ends the id after a text stream's mark


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


def join_fragments(fragments: Iterable[Fragment]) -> SafeString:
    """One response body holding every fragment, in order."""
    return format_html_join("\n", "{}", ((fragment,) for fragment in fragments))


@cache
def placeholder(purpose: str) -> str:
    """What stands in HTML for something that is filled in only when the HTML is sent.

    It holds a digest of ``SECRET_KEY``: nothing that a user writes passes for one.
    """
    return f"\x02{salted_hmac('htmx_live.mark', purpose, algorithm='sha256').hexdigest()[:20]}"


def text_placeholder(target: str, *, tag: str, name: str) -> SafeString:
    """The element of a text stream, to be completed by ``fill``; ``target`` is its id.

    Between render and send the text may have grown.
    """
    text_mark = placeholder("text")
    return format_html(
        '<{} id="{}" data-live-stream="{}" data-live-offset="{}">{}</{}>',
        tag,
        target,
        name,
        mark_safe(f"{text_mark}@{target}{_END_OF_ID}"),  # the position
        mark_safe(f"{text_mark}={target}{_END_OF_ID}"),  # the text
        tag,
    )


def fill_text_placeholders(html: str, get_text: Callable[[str], tuple[str, str]]) -> str:
    """``html`` with every text slot filled; ``text_of(target)`` gives its generation and its text."""
    text_mark = placeholder("text")
    if text_mark not in html:
        return html
    parts = html.split(text_mark)
    filled = [parts[0]]
    for part in parts[1:]:
        placeholder_id, rest = part.split(_END_OF_ID, 1)
        generation, text = get_text(placeholder_id[1:])
        filled.append(f"{generation}.{len(text)}" if placeholder_id[0] == "@" else escape(text))
        filled.append(rest)
    return "".join(filled)


def text_target(instance: str, stream: str) -> str:
    """The id of a text stream's element."""
    return f"live-{instance}-s-{stream}"
