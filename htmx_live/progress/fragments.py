"""Placing: a session's card, or an owner's list, in a page that is being rendered.

The page listens before the card is drawn, and the card is noted as shown before that: what changes meanwhile is sent.
"""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.urls import NoReverseMatch, reverse
from django.utils import translation
from django.utils.safestring import SafeString

from htmx_live.core.records import Owner
from htmx_live.events.context import current_rendering
from htmx_live.progress.cards import Card, draw, draw_list, is_owner, sign_read, viewer_of, viewers_of
from htmx_live.progress.model import Kept, Session, listed_under
from htmx_live.progress.publisher import list_channel, listed
from htmx_live.progress.session import ProgressSession
from htmx_live.progress.store import keeping
from htmx_live.runtime.owners import owner_of
from htmx_live.runtime.rendering import csrf_slot
from htmx_live.runtime.services import parts
from htmx_live.runtime.subscriptions import listen

__all__ = ["progress_card", "progress_list", "status_url"]


def progress_card(
    session: ProgressSession | str | None,
    tasks: Iterable[str] = (),
    *,
    request: HttpRequest | None,
    redirect: str = "",
    event: str = "",
    css: str = "",
    may_cancel: bool | None = None,
) -> SafeString:
    """The card of a session, or of some of its tasks, live on the page of ``request``; "" when the session is gone.

    ``redirect`` is where the page goes at the end, ``event`` the DOM event that is fired then.  Who owns the session
    may cancel it; ``may_cancel`` says otherwise for one that has no owner.  ``KeyError`` for a task that is
    not there.
    """
    kept = keeping().load(session.session_id if isinstance(session, ProgressSession) else str(session or ""))
    if kept is None:
        return SafeString("")
    card = _card(kept.session, tuple(tasks), request, redirect=redirect, event=event, css=css, may_cancel=may_cancel)
    keeping().show(kept.session.id, card.key, card.to_json())
    parts().watcher.start()
    word = listen(request, card.channel(kept.session.id))
    newest: Kept = keeping().load(kept.session.id) or kept
    url = status_url(kept.session, viewer_of(request), redirect=redirect)
    return draw(newest, card, word=word, status_url=url, csrf_token=_csrf(request))


def progress_list(*, request: HttpRequest | None, css: str = "", name: str = "") -> SafeString:
    """All running work of whose page this is, live; ``name`` tells the list from others in the page."""
    owner = _lister(request)
    card = Card(css=css, name=name, language=translation.get_language() or "", may_cancel=True, url=_pattern())
    if owner == Owner():
        return draw_list([], card)
    keeping().show_list(listed_under(owner), card.key, card.to_json())
    parts().watcher.start()
    word = listen(request, list_channel(listed_under(owner), card.key))
    return draw_list(listed(listed_under(owner)), card, word=word, csrf_token=_csrf(request))


def status_url(session: Session, viewer: Owner, *, redirect: str = "") -> str:
    """The address under which ``viewer`` may follow the session without JavaScript."""
    return _pattern().replace("GRANT", sign_read(session, viewer, redirect=redirect))


def _card(session: Session, tasks: tuple[str, ...], request: HttpRequest | None, **given: Any) -> Card:
    for task in tasks:
        if task not in session.names:
            raise KeyError(f"The session has no task {task!r}. It has: {', '.join(list(session.names)[:20])}.")
    may_cancel = given.pop("may_cancel")
    if session.owner != Owner():
        may_cancel = is_owner(session.owner, viewers_of(request))
    card = Card(
        tasks=tasks,
        language=translation.get_language() or "",
        may_cancel=bool(may_cancel),
        url=_pattern(),
        **given,
    )
    return Card.from_json(card.to_json())  # plain texts: a template's literals are safe ones, and a URL may hold "&"


def _pattern() -> str:
    try:
        return reverse("htmx_live:progress", args=["GRANT"])
    except NoReverseMatch:
        return ""


def _lister(request: HttpRequest | None) -> Owner:
    """Whose list it is.  A visitor with a session may start work later, and gets a token; looking makes no session."""
    session = getattr(request, "session", None)
    if request is not None and current_rendering.get() is None and session is not None and not session.is_empty():
        return owner_of(request, create=True)
    return viewer_of(request)


def _csrf(request: HttpRequest | None) -> str:
    if current_rendering.get() is not None:
        return csrf_slot()
    return "" if request is None else get_token(request)
