"""Notices: a word to a user from anywhere, shown as a toast in all their tabs, or on their next page.

                 commit                    seen in one tab
    notify() ──────────▶ unread ─────────────────────────────────────▶ gone from all tabs
                          │  ▲  a toast in every open tab,
                          │  └─ and on each page that is loaded
                          └── one with the same key, NOTICE_TTL, or 50 newer ones ──▶ gone from all tabs

A toast counts as seen when it goes away in a tab that the user looks at: after six seconds there (those of a warning
or an error stay), when it is closed, and when its link is followed.  The tab then names it to the server.  A tab that
is hidden, or left before, has not shown it: it comes again on the next page.  Each notice has an id of its own, so that
one tab's late word about an older notice does nothing to a newer one of the same key.
"""

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.messages import get_messages
from django.contrib.messages.constants import DEFAULT_TAGS
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.shortcuts import resolve_url
from django.template import Context
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString, mark_safe

from htmx_live.backends.notice_store import StoredNotice, notice_store
from htmx_live.backends.wire import user_channel
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import RefusedValue, TurnError
from htmx_live.core.signing import random_id
from htmx_live.events.context import current_view
from htmx_live.runtime.inbox_messages import SendNotice
from htmx_live.runtime.notices import deliver_notice, notice_channels, toast_id, withdraw_notices
from htmx_live.runtime.owners import get_owner, get_owners
from htmx_live.runtime.pages import get_page
from htmx_live.runtime.request_context import run_after_commit
from htmx_live.runtime.subscriptions import subscribe_page
from htmx_live.runtime.turn import current_turn

__all__ = ["acknowledge_seen", "anotify", "notify", "toasts", "unread_notices"]


LEVELS = tuple(DEFAULT_TAGS.values())


def notify(to: Any, message: Any, *, level: str = "info", url: Any = "", key: Any = "") -> None:
    """Show ``message`` as a toast to a user, or to whose request it is, in all their tabs or on their next page.

    ``level`` is one of Django's message tags.  ``url`` (as ``redirect()`` takes it; on this site) makes the toast a
    link.  A notice takes the place of an unread one with the same ``key``.  In a transaction it waits for the commit,
    in a turn until that is saved.  A visitor who is not logged in is known by a signed cookie, set if need be.
    ``TypeError`` and ``ValueError`` say what does not fit.
    """
    if level not in LEVELS:
        raise ValueError(f"notify(level={level!r}): expected one of {', '.join(LEVELS)}.")
    text, new = _replace_unencodable(message), random_id()
    if not text:
        raise RefusedValue("notify() got an empty message. Expected a text.")
    address = _validate_url(resolve_url(url)) if url else ""
    stored = StoredNotice(id=new, key=_replace_unencodable(key) or new, message=text, level=level, url=address)
    notice = SendNotice(channel=_channel_for(to), notice=asdict(stored))
    turn = current_turn()
    if turn is not None:
        turn.emit(notice)
    else:
        run_after_commit(partial(deliver_notice, notice))


async def anotify(to: Any, message: Any, *, level: str = "info", url: Any = "", key: Any = "") -> None:
    """See ``notify()``."""
    # In the thread of the caller's database connections, for a transaction there to be noticed.
    await sync_to_async(notify, thread_sensitive=True)(to, message, level=level, url=url, key=key)


def unread_notices(request: HttpRequest) -> list[StoredNotice]:
    """What the user of ``request`` has not seen yet, oldest first; what they were told before they logged in too."""
    return [notice for channel in _notice_channels(request) for notice in notice_store().unread(channel)]


def acknowledge_seen(request: HttpRequest, ids: Iterable[str]) -> None:
    """The user of ``request`` has seen these; what is not theirs, or known no more, is ignored."""
    wanted = list(ids)[: settings().MAX_NOTICES]
    for channel in _notice_channels(request):
        withdraw_notices(channel, notice_store().remove(channel, wanted))


def _notice_channels(request: HttpRequest) -> list[str]:
    """Where notices for this request may be kept, a user's own first."""
    return list(dict.fromkeys(channel for owner in get_owners(request) for channel in notice_channels(owner)))


def _channel_for(to: Any) -> str:
    if isinstance(to, HttpRequest):
        return _channel_of_request(to)
    if getattr(to, "is_authenticated", None) is not True or to.pk is None:
        raise TypeError(
            f"notify(to={to!r}): expected a user who can log in, or a request. Who is not logged in is known by the "
            "request alone; what is for everybody goes to send_fragment(to=Topic('…'))."
        )
    return user_channel(to.pk)


def _channel_of_request(request: HttpRequest) -> str:
    # A live view's stand-in request has no session, and knows whose the view is.
    owner = getattr(request, "live_owner", None) or get_owner(request, create=True)
    found = notice_channels(owner)
    if not found:
        raise TypeError(
            "notify(to=request): this request is nobody's. Add Django's SessionMiddleware for visitors who are not "
            "logged in; a shared view has no user of its own."
        )
    if not owner.user and get_page(request).is_joined:
        subscribe_page(request, found[0])  # the page was there before its visitor had a token
    return found[0]


def _validate_url(url: str) -> str:
    is_malformed = "\\" in url or any(ord(character) < 33 or ord(character) == 127 for character in url)
    if is_malformed or not url_has_allowed_host_and_scheme(url, allowed_hosts=set(settings().REDIRECT_HOSTS)):
        raise RefusedValue(
            "notify() got a url that leaves this site. Give a path, or add its host to HTMX_LIVE['REDIRECT_HOSTS']."
        )
    return url


def _replace_unencodable(text: Any) -> str:
    """``text`` as any encoding can carry it."""
    return str(text).encode(errors="replace").decode()


def toasts(context: Context, messages: bool = False) -> SafeString:
    """The place for toasts, with the user's unread notices; with ``messages`` those of ``django.contrib.messages`` too.

    Stands once in the base template, and not in a live view's.
    """
    if current_view.get() is not None:
        raise TurnError("{% toasts %} stands in a live view. Put it into the page's own template, once.")
    request = context.get("request")
    if request is None:
        raise TurnError(
            "{% toasts %} needs the request in the template's context. Render with a request, or add "
            "'django.template.context_processors.request' to the context processors."
        )
    owner = get_owner(request)
    channels = notice_channels(owner)
    # A user's pages hear the user's channel anyway.  Listening comes first: what is said meanwhile is sent.
    subscription = subscribe_page(request, "" if owner.user else channels[0]) if channels else ""
    waiting = unread_notices(request)
    shown: list[dict[str, Any]] = [
        {"id": toast_id(one.id), "key": one.key, "level": _toast_level(one.level), "text": one.message, "url": one.url}
        for one in waiting
    ]
    if messages:
        shown += [{"level": _toast_level(one.level_tag), "text": one.message} for one in get_messages(request)]
    template_context = {"subscription": subscription, "toasts": shown, "ids": [one.id for one in waiting]}
    if waiting:
        template_context["csrf"] = get_token(request)
    return mark_safe(render_to_string("htmx_live/toasts.html", template_context))


def _toast_level(level: str) -> str:
    return level if level in ("success", "warning", "error") else "info"
