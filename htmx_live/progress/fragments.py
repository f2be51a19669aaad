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
from htmx_live.events.context import current_view
from htmx_live.progress.cards import (
    Card,
    get_viewer,
    get_viewers,
    is_owner,
    render_card,
    render_session_list,
    sign_read_grant,
)
from htmx_live.progress.model import SessionHeader, SessionSnapshot, owner_key
from htmx_live.progress.publisher import find_listed, list_channel
from htmx_live.progress.session import ProgressSession
from htmx_live.progress.store import progress_store
from htmx_live.runtime.owners import get_owner
from htmx_live.runtime.rendering import csrf_placeholder
from htmx_live.runtime.services import services
from htmx_live.runtime.subscriptions import subscribe_page

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
    snapshot = progress_store().load(session.session_id if isinstance(session, ProgressSession) else str(session or ""))
    if snapshot is None:
        return SafeString("")
    card = _build_card(
        snapshot.header, tuple(tasks), request, redirect=redirect, event=event, css=css, may_cancel=may_cancel
    )
    progress_store().add_card(snapshot.header.id, card.key, card.to_json())
    services().deadline_monitor.start()
    subscription = subscribe_page(request, card.channel(snapshot.header.id))
    newest: SessionSnapshot = progress_store().load(snapshot.header.id) or snapshot
    url = status_url(snapshot.header, get_viewer(request), redirect=redirect)
    return render_card(newest, card, subscription=subscription, status_url=url, csrf_token=_csrf_token(request))


def progress_list(*, request: HttpRequest | None, css: str = "", name: str = "") -> SafeString:
    """All running work of whose page this is, live; ``name`` tells the list from others in the page."""
    owner = _list_owner(request)
    card = Card(
        css=css, name=name, language=translation.get_language() or "", may_cancel=True, url=_status_url_template()
    )
    if owner == Owner():
        return render_session_list([], card)
    progress_store().add_list_card(owner_key(owner), card.key, card.to_json())
    services().deadline_monitor.start()
    subscription = subscribe_page(request, list_channel(owner_key(owner), card.key))
    return render_session_list(
        find_listed(owner_key(owner)), card, subscription=subscription, csrf_token=_csrf_token(request)
    )


def status_url(header: SessionHeader, viewer: Owner, *, redirect: str = "") -> str:
    """The address under which ``viewer`` may follow the session without JavaScript."""
    return _status_url_template().replace("GRANT", sign_read_grant(header, viewer, redirect=redirect))


def _build_card(header: SessionHeader, tasks: tuple[str, ...], request: HttpRequest | None, **options: Any) -> Card:
    for task in tasks:
        if task not in header.names:
            raise KeyError(f"The session has no task {task!r}. It has: {', '.join(list(header.names)[:20])}.")
    may_cancel = options.pop("may_cancel")
    if header.owner != Owner():
        may_cancel = is_owner(header.owner, get_viewers(request))
    card = Card(
        tasks=tasks,
        language=translation.get_language() or "",
        may_cancel=bool(may_cancel),
        url=_status_url_template(),
        **options,
    )
    return Card.from_json(card.to_json())  # plain texts: a template's literals are safe ones, and a URL may hold "&"


def _status_url_template() -> str:
    try:
        return reverse("htmx_live:progress", args=["GRANT"])
    except NoReverseMatch:
        return ""


def _list_owner(request: HttpRequest | None) -> Owner:
    """Whose list it is.  A visitor with a session may start work later, and gets a token; looking makes no session."""
    session = getattr(request, "session", None)
    if request is not None and current_view.get() is None and session is not None and not session.is_empty():
        return get_owner(request, create=True)
    return get_viewer(request)


def _csrf_token(request: HttpRequest | None) -> str:
    if current_view.get() is not None:
        return csrf_placeholder()
    return "" if request is None else get_token(request)
