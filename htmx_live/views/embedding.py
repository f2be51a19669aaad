"""Embedding: a live view in a page that is being rendered, mounted anew or taken over from the page before."""

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.middleware.csrf import get_token
from django.template import Context, TemplateSyntaxError
from django.utils.safestring import SafeString, mark_safe

from htmx_live.core.exceptions import TurnError
from htmx_live.core.text import TAG_NAME
from htmx_live.events.context import current_rendering
from htmx_live.runtime.mounting import adopt_into, child, mount
from htmx_live.runtime.pages import Page, page_of
from htmx_live.runtime.rendering import complete, csrf_slot
from htmx_live.runtime.view import Live, import_view

__all__ = ["Embedded", "embed", "live"]


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


def live(context: Context, view: str | type[Live], **options: Any) -> SafeString:
    """A live view: ``{% live "app.views.ReportView" year=2026 key=None tag="div" class="" %}``.

    What is no option is passed to ``mount()``.  A user without permission sees nothing in its place.
    """
    tag, css, key = str(options.pop("tag", "")), str(options.pop("class", "")), options.pop("key", None)
    if tag and not TAG_NAME.fullmatch(tag):
        raise TemplateSyntaxError(f"{{% live tag={tag!r} %}}: expected the name of an element, such as 'tr'.")
    cls = import_view(view) if isinstance(view, str) else view
    named = "" if key is None else str(key)
    around = current_rendering.get()
    if around is not None:
        if key is None and "forloop" in context:
            raise TurnError(
                f"{{% live {cls.__name__!r} %}} stands in a loop: give each its key, key=row.pk for example."
            )
        return child(around.live._live.outlet, cls, kwargs=options, key=named, tag=tag, css=css)
    request = context.get("request")
    if request is None:
        raise TurnError(
            "{% live %} needs the request in the template's context. Render with a request, or add "
            "'django.template.context_processors.request' to the context processors."
        )
    try:
        embedded = embed(cls, page_of(request), kwargs=options, key=named, tag=tag, css=css)
    except PermissionDenied:
        return mark_safe("")
    return embedded.html
