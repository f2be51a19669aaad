"""``{% load htmx_live %}``: the tags of the package, from the modules beside this one.

The tags that put live views into a page: ``{% htmx_live %}``, ``{% live %}`` and ``{% stream %}``.

The tag ``{% region %}``: an element that ``send_fragment`` writes to.

The tag ``{% toasts %}``: where notices stand, with those that wait.

The tags ``{% progress %}`` and ``{% progress_list %}``: long work, live on any page.
"""

import re
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import Parser, Token
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import NoReverseMatch, is_valid_path, reverse
from django.utils.html import escape, format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe

from htmx_live.backends.wire import topic_channel
from htmx_live.core.conf import is_debug, project_setting, settings
from htmx_live.core.exceptions import TurnError
from htmx_live.core.fragments import text_placeholder, text_target
from htmx_live.core.text import ERROR_TEXTS, TAG_NAME
from htmx_live.events.context import current_view
from htmx_live.messaging.notifications import toasts
from htmx_live.messaging.regions import is_sending, region_id
from htmx_live.progress.fragments import progress_card
from htmx_live.progress.fragments import progress_list as render_progress_list
from htmx_live.runtime.pages import page_placeholder
from htmx_live.runtime.subscriptions import subscribe_page
from htmx_live.templatetags._attributes import _parse_arguments, _TagValue, register_attributes, register_components
from htmx_live.views.embedding import live

__all__ = ["register_progress", "register_regions", "register_toasts", "register_views"]


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
                "words": ERROR_TEXTS,
                "htmx": (source if "//" in source or source.startswith("/") else static(source)) if htmx else "",
                "script": static("htmx_live/htmx-live.js"),
                "style": static(f"htmx_live/htmx-live{size}.css"),
                "slot": mark_safe(page_placeholder()),
                "csrf_cookie": _readable_csrf_cookie(),
                "url": reverse("htmx_live:sync").removesuffix("sync/"),
                "heartbeat": chosen.HEARTBEAT,
                "poll": chosen.POLL_INTERVAL,
                "hidden_close": chosen.HIDDEN_DISCONNECT_AFTER,
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


def stream(name: str, tag: str = "span") -> SafeString:
    """The place of a text stream that ``self.stream_text(name, …)`` writes to."""
    rendering = current_view.get()
    if rendering is None:
        raise TurnError(f"{{% stream {name!r} %}} stands outside of a live view. Put it into a live view's template.")
    if not _STREAM_NAME.fullmatch(name) or not TAG_NAME.fullmatch(tag):
        raise TemplateSyntaxError(
            f"{{% stream {name!r} tag={tag!r} %}}: a stream's name consists of letters, digits, - and _."
        )
    return text_placeholder(text_target(rendering.instance, name), tag=tag, name=name)


_REGION_OPTIONS = ("topic", "refresh", "tag", "class")


def register_regions(register: Library) -> None:
    """Add the tag to ``{% load htmx_live %}``."""
    register.tag("region", _region_tag)


class _RegionNode(Node):
    def __init__(self, name: _TagValue, options: dict[str, _TagValue], nodelist: NodeList) -> None:
        self.name, self.options, self.nodelist = name, options, nodelist

    def render(self, context: Context) -> SafeString:
        options = {name: value.resolve(context) for name, value in self.options.items()}
        tag = str(options.get("tag") or "div")
        if not TAG_NAME.fullmatch(tag):
            raise TemplateSyntaxError(f"{{% region tag={tag!r} %}}: expected the name of an element, such as 'tr'.")
        attributes = _region_attributes(str(self.name.resolve(context)), options, context)
        # Listening comes before the content is made: what changes meanwhile is sent.
        # Also what is safe is escaped: literals of a template are, and a URL in one may hold "&".
        written = format_html_join("", ' {}="{}"', ((name, escape(value)) for name, value in attributes.items()))
        return format_html("<{}{}>{}</{}>", mark_safe(tag), written, self.nodelist.render(context), mark_safe(tag))


def _region_attributes(name: str, options: dict[str, Any], context: Context) -> dict[str, str]:
    try:
        target = region_id(name)
    except ValueError as error:
        raise TemplateSyntaxError(f"{{% region %}}: {error}") from None
    attributes = {"id": target}
    if options.get("class"):
        attributes["class"] = str(options["class"])
    if options.get("refresh"):
        attributes |= {
            "hx-get": str(options["refresh"]),
            "hx-trigger": "live:reset from:document",
            # Out of band: an answer without the region, such as a login page, changes nothing.
            "hx-select-oob": f"#{target}:outerMorph",
            "hx-swap": "none ignoreTitle:true",
            "hx-disinherit": "*",  # in htmx 2 what stands in the region would inherit these
        }
    if is_sending():
        return attributes
    topic = options.get("topic")
    subscription = subscribe_page(context.get("request"), "" if topic is None else topic_channel(_topic_name(topic)))
    if subscription:
        attributes["data-live-subscription"] = subscription
    if current_view.get() is not None:
        attributes["data-live-keep"] = ""  # what was sent stays when the view around it renders again
    return attributes


def _topic_name(topic: Any) -> str:
    name = str(getattr(topic, "name", topic))
    if not name:
        raise TemplateSyntaxError("{% region topic='' %}: a topic's name is not empty. Leave topic= out for none.")
    return name


def _region_tag(parser: Parser, token: Token) -> Node:
    """``{% region NAME topic=None refresh=None tag="div" class="" %}…{% endregion %}``: a place for fragments.

    With ``topic`` it hears what is sent to that topic; without, what is sent to this page or its user.  ``refresh`` is
    a URL whose answer holds the region as it is now, asked for when the page has missed more than the server remembers.
    """
    positional, options = _parse_arguments(parser, token)
    nodelist = parser.parse(("endregion",))
    parser.delete_first_token()
    if len(positional) != 1:
        raise TemplateSyntaxError(f'{{% {token.contents} %}}: write {{% region "name" topic="topic" %}}…')
    for name in options:
        if name not in _REGION_OPTIONS:
            close = get_close_matches(name, _REGION_OPTIONS, n=1)
            hint = f"Did you mean {close[0]}=?" if close else f"It takes {', '.join(_REGION_OPTIONS)}."
            raise TemplateSyntaxError(f"{{% {token.contents} %}}: {name}= is unknown. {hint}")
    return _RegionNode(positional[0], options, nodelist)


def register_toasts(register: Library) -> None:
    """Add the tag to ``{% load htmx_live %}``."""
    register.simple_tag(toasts, takes_context=True)


def register_progress(register: Library) -> None:
    """Add the tags to ``{% load htmx_live %}``."""
    register.simple_tag(progress, takes_context=True)
    register.simple_tag(progress_list, takes_context=True)


def progress(context: Context, session: Any, *task_ids: Any, **options: Any) -> SafeString:
    """``{% progress session *task_ids redirect= event= class= cancel= %}``: a bar per task, or for these tasks only.

    ``session`` is a ``ProgressSession`` or its id; of one that is gone nothing is shown.  ``redirect`` is the URL to go
    to at the end and ``event`` the DOM event to fire then, once for each viewer.  The owner may cancel; ``cancel=True``
    lets anybody who sees a session without an owner.
    """
    css, may_cancel = options.pop("class", ""), options.pop("cancel", None)
    redirect, event = options.pop("redirect", ""), options.pop("event", "")
    if options:
        raise TemplateSyntaxError(
            f"{{% progress %}}: {', '.join(options)}= is unknown. It takes redirect, event, class and cancel."
        )
    try:
        return progress_card(
            session,
            [str(task) for task in task_ids],
            request=context.get("request"),
            redirect=str(redirect or ""),
            event=str(event or ""),
            css=str(css or ""),
            may_cancel=None if may_cancel is None else bool(may_cancel),
        )
    except KeyError as error:
        raise TemplateSyntaxError(f"{{% progress %}}: {error.args[0]}") from None


def progress_list(context: Context, **options: Any) -> SafeString:
    """``{% progress_list class= %}``: all running work of whose page this is; what starts later appears by itself."""
    css = options.pop("class", "")
    if options:
        raise TemplateSyntaxError(f"{{% progress_list %}}: {', '.join(options)}= is unknown. It takes class.")
    return render_progress_list(request=context.get("request"), css=str(css or ""))


register = Library()
register_attributes(register)
register_views(register)
register_regions(register)
register_components(register)
register_toasts(register)
register_progress(register)
