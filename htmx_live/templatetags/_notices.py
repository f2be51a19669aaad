"""The tag ``{% toasts %}``: where notices stand, with those that wait."""

from typing import Any

from django.contrib.messages import get_messages
from django.middleware.csrf import get_token
from django.template import Context, Library
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from htmx_live.exceptions import TurnError
from htmx_live.listening import listen
from htmx_live.notices import unread
from htmx_live.owners import owner_of
from htmx_live.rendering import current_rendering
from htmx_live.runtime.notices import channels_of, element_id

__all__ = ["register_notices"]


def register_notices(register: Library) -> None:
    """Add the tag to ``{% load htmx_live %}``."""
    register.simple_tag(toasts, takes_context=True)


def toasts(context: Context, messages: bool = False) -> SafeString:
    """The place for toasts, with the user's unread notices; with ``messages`` those of ``django.contrib.messages`` too.

    Stands once in the base template, and not in a live view's.
    """
    if current_rendering.get() is not None:
        raise TurnError("{% toasts %} stands in a live view. Put it into the page's own template, once.")
    request = context.get("request")
    if request is None:
        raise TurnError(
            "{% toasts %} needs the request in the template's context. Render with a request, or add "
            "'django.template.context_processors.request' to the context processors."
        )
    owner = owner_of(request)
    channels = channels_of(owner)
    # A user's pages hear the user's channel anyway.  Listening comes first: what is said meanwhile is sent.
    word = listen(request, "" if owner.user else channels[0]) if channels else ""
    waiting = unread(request)
    shown: list[dict[str, Any]] = [
        {"id": element_id(one.id), "key": one.key, "level": _shown(one.level), "text": one.message, "url": one.url}
        for one in waiting
    ]
    if messages:
        shown += [{"level": _shown(one.level_tag), "text": one.message} for one in get_messages(request)]
    facts = {"word": word, "toasts": shown, "ids": [one.id for one in waiting]}
    if waiting:
        facts["csrf"] = get_token(request)
    return mark_safe(render_to_string("htmx_live/toasts.html", facts))


def _shown(level: str) -> str:
    return level if level in ("success", "warning", "error") else "info"
