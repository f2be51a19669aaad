"""Embedding: a live view in a page that is being rendered, mounted anew or taken over from the page before."""

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.middleware.csrf import get_token
from django.template import Context, TemplateSyntaxError
from django.utils.safestring import SafeString, mark_safe

from htmx_live.core.exceptions import TurnError
from htmx_live.core.text import TAG_NAME
from htmx_live.events.context import current_view
from htmx_live.runtime.mounting import mount, reattach_view, render_child
from htmx_live.runtime.pages import Page, get_page
from htmx_live.runtime.rendering import csrf_placeholder, fill_placeholders
from htmx_live.runtime.view import Live, import_view

__all__ = ["EmbeddedView", "embed", "live"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedView:
    """``html`` is the whole root element; ``redirect`` is where ``mount()`` asked to go instead, or ""."""

    view: Live
    html: SafeString
    redirect: str = ""


def embed(
    cls: type[Live], page: Page, *, kwargs: dict[str, Any], key: str = "", tag: str = "", css: str = ""
) -> EmbeddedView:
    """Raises ``PermissionDenied``, and ``StateError`` for kwargs that cannot be kept."""
    visit = page.visit()
    mounted = None
    for instance in page.previous_instances:
        mounted = reattach_view(cls, visit, instance, kwargs=kwargs, key=key)
        if mounted is not None:
            page.previous_instances.remove(instance)  # two views of one class and key are two instances
            break
    mounted = mounted or mount(cls, visit, kwargs=kwargs, key=key, tag=tag, css=css)
    fragment = mounted.result.fragment
    html = (
        ""
        if fragment is None
        else fill_placeholders(fragment.html, get_token(page.request) if csrf_placeholder() in fragment.html else "")
    )
    return EmbeddedView(view=mounted.view, html=mark_safe(html), redirect=mounted.result.redirect)


def live(context: Context, view: str | type[Live], **options: Any) -> SafeString:
    """A live view: ``{% live "app.views.ReportView" year=2026 key=None tag="div" class="" %}``.

    What is no option is passed to ``mount()``.  A user without permission sees nothing in its place.
    """
    tag, css, key = str(options.pop("tag", "")), str(options.pop("class", "")), options.pop("key", None)
    if tag and not TAG_NAME.fullmatch(tag):
        raise TemplateSyntaxError(f"{{% live tag={tag!r} %}}: expected the name of an element, such as 'tr'.")
    cls = import_view(view) if isinstance(view, str) else view
    instance_key = "" if key is None else str(key)
    rendering = current_view.get()
    if rendering is not None:
        if key is None and "forloop" in context:
            raise TurnError(
                f"{{% live {cls.__name__!r} %}} stands in a loop: give each its key, key=row.pk for example."
            )
        return render_child(rendering.view._live.sink, cls, kwargs=options, key=instance_key, tag=tag, css=css)
    request = context.get("request")
    if request is None:
        raise TurnError(
            "{% live %} needs the request in the template's context. Render with a request, or add "
            "'django.template.context_processors.request' to the context processors."
        )
    try:
        embedded = embed(cls, get_page(request), kwargs=options, key=instance_key, tag=tag, css=css)
    except PermissionDenied:
        return mark_safe("")
    return embedded.html
