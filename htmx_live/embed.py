"""Embedding: a live view in a page that is being rendered, mounted anew or taken over from the page before."""

from dataclasses import dataclass
from typing import Any

from django.middleware.csrf import get_token
from django.utils.safestring import SafeString, mark_safe

from htmx_live.fragments import fill
from htmx_live.live import Live
from htmx_live.pages import Page
from htmx_live.runtime.mount import adopt_into, mount
from htmx_live.runtime.parts import parts
from htmx_live.runtime.render import csrf_slot

__all__ = ["Embedded", "complete", "embed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """``html`` is the whole root element; ``redirect`` is where ``mount()`` asked to go instead, or ""."""

    view: Live
    html: SafeString
    redirect: str = ""


def embed(
    cls: type[Live], page: Page, *, kwargs: dict[str, Any], key: str = "", tag: str = "", css: str = ""
) -> Embedded:
    """Raises ``PermissionDenied``, and ``StateError`` for kwargs that cannot be kept."""
    visit = page.visit()
    mounted = None
    for instance in page.adoptable:
        mounted = adopt_into(cls, visit, instance, kwargs=kwargs, key=key)
        if mounted is not None:
            page.adoptable.remove(instance)  # two views of one class and key are two instances
            break
    mounted = mounted or mount(cls, visit, kwargs=kwargs, key=key, tag=tag, css=css)
    fragment = mounted.turned.fragment
    html = (
        ""
        if fragment is None
        else complete(fragment.html, get_token(page.request) if csrf_slot() in fragment.html else "")
    )
    return Embedded(view=mounted.view, html=mark_safe(html), redirect=mounted.turned.redirect)


def complete(html: str, csrf: str = "") -> str:
    """``html`` with what is filled in only when it is sent: text streams and the page's CSRF token."""
    filled = fill(html, _text_of)
    return filled.replace(csrf_slot(), csrf)


def _text_of(target: str) -> tuple[str, str]:
    text = parts().bus.text(target)
    return ("0", "") if text is None else (text.generation, text.text)
