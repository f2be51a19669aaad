"""The tags that put live views into a page: ``{% htmx_live %}``, ``{% live %}`` and ``{% stream %}``."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.template import Context, Library, TemplateSyntaxError
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import NoReverseMatch, is_valid_path, reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe

from htmx_live.conf import is_debug, project_setting, settings
from htmx_live.embed import embed
from htmx_live.exceptions import TurnError
from htmx_live.fragments import text_slot, text_target
from htmx_live.live import Live, import_view
from htmx_live.pages import page_of, page_slot
from htmx_live.rendering import current_rendering
from htmx_live.runtime.children import child
from htmx_live.words import WORDS

__all__ = ["register_views"]

_TAG_NAME = re.compile(r"[a-z][a-z0-9-]*")
_STREAM_NAME = re.compile(r"[A-Za-z0-9_-]+")


def register_views(register: Library) -> None:
    """Add the tags to ``{% load htmx_live %}``."""
    register.simple_tag(htmx_live, takes_context=True)
    register.simple_tag(live, takes_context=True)
    register.simple_tag(stream)


def htmx_live(context: Context, htmx: bool = True) -> SafeString:
    """What a page needs in ``<head>``: htmx, the script, the style sheet and the page's grant.

    ``htmx=False`` leaves htmx to the page.
    """
    chosen = settings()
    size = "" if is_debug() else ".min"
    source = chosen.HTMX_SRC or "django_htmx/htmx-4.min.js"
    return mark_safe(
        render_to_string(
            "htmx_live/head.html",
            {
                "words": WORDS,
                "htmx": (source if "//" in source or source.startswith("/") else static(source)) if htmx else "",
                "script": static("htmx_live/htmx-live.js"),
                "style": static(f"htmx_live/htmx-live{size}.css"),
                "slot": mark_safe(page_slot()),
                "csrf_cookie": _readable_csrf_cookie(),
                "url": reverse("htmx_live:sync").removesuffix("sync/"),
                "heartbeat": chosen.HEARTBEAT,
                "poll": chosen.POLL_INTERVAL,
                "hidden_close": chosen.HIDDEN_CLOSE,
                "groups": " ".join(chosen.LOADING_GROUPING_CLASSES),
                "signin": _sign_in_url(context.get("request")),
            },
        )
    )


def _readable_csrf_cookie() -> str:
    """The name of the CSRF cookie, "" where scripts cannot read it."""
    is_hidden = project_setting("CSRF_USE_SESSIONS") or project_setting("CSRF_COOKIE_HTTPONLY")
    return "" if is_hidden else str(project_setting("CSRF_COOKIE_NAME"))


def _sign_in_url(request: HttpRequest | None) -> str:
    """The site's page for signing in, which leads back here; "" where ``LOGIN_URL`` names none."""
    try:
        url = resolve_url(project_setting("LOGIN_URL", ""))
        if request is None or not (urlsplit(url).netloc or is_valid_path(urlsplit(url).path)):
            return ""
    except NoReverseMatch:
        return ""
    query = urlencode({"next": request.get_full_path()})
    return f"{url}{'&' if '?' in url else '?'}{query}"


def live(context: Context, view: str | type[Live], **options: Any) -> SafeString:
    """A live view: ``{% live "app.views.ReportView" year=2026 key=None tag="div" class="" %}``.

    What is no option is passed to ``mount()``.  A user without permission sees nothing in its place.
    """
    tag, css, key = str(options.pop("tag", "")), str(options.pop("class", "")), options.pop("key", None)
    if tag and not _TAG_NAME.fullmatch(tag):
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


def stream(name: str, tag: str = "span") -> SafeString:
    """The place of a text stream that ``self.stream_text(name, …)`` writes to."""
    rendering = current_rendering.get()
    if rendering is None:
        raise TurnError(f"{{% stream {name!r} %}} stands outside of a live view. Put it into a live view's template.")
    if not _STREAM_NAME.fullmatch(name) or not _TAG_NAME.fullmatch(tag):
        raise TemplateSyntaxError(
            f"{{% stream {name!r} tag={tag!r} %}}: a stream's name consists of letters, digits, - and _."
        )
    return text_slot(text_target(rendering.instance, name), tag=tag, name=name)
