"""Cards: how a session, or a list of them, is drawn.

A ``Card`` says in which way a session stands on pages: language, tasks, what happens at its end, and whether its
viewers may cancel.  All who see one card see one rendering.  Drawing is pure: kept values in, HTML out.

Wording: what is said of a task, in the language of the moment.

Grants of progress: who may read a session by its address, and who may cancel it.

A *read* grant stands in the address of a status page and holds for the viewer to whom it was given.  A *control* grant
stands in the buttons of a card; of a session with an owner it works for the owner only.  Neither opens the
other's door.  Everything that is wrong with one, and everything that it names and is not there, is one and
the same ``GrantError``.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any

from django.core import signing
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.formats import number_format
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from htmx_live.backends.wire import progress_channel
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import GrantError
from htmx_live.core.records import Owner
from htmx_live.events.context import current_view
from htmx_live.progress.model import (
    ProgressStatus,
    SessionHeader,
    SessionSnapshot,
    SessionSummary,
    TaskState,
    summarize,
)
from htmx_live.progress.store import progress_store
from htmx_live.runtime.owners import get_owners

__all__ = [
    "Card",
    "ProgressGrant",
    "format_amount",
    "format_duration",
    "get_viewer",
    "get_viewers",
    "is_owner",
    "progress_context",
    "render_card",
    "render_session_list",
    "sign_control_grant",
    "sign_read_grant",
    "status_text",
    "task_message",
    "unsign_progress_grant",
    "validate_result_url",
]


def task_message(state: TaskState, status: ProgressStatus, name: str, *, is_waiting: bool = False) -> str:
    """The task's own message, or what its status says.  A final message waits until the percentage has reached 100."""
    if status is ProgressStatus.PENDING:
        return gettext("Waiting...")
    if status is ProgressStatus.QUEUED:
        return gettext("Waiting for a worker…") if is_waiting else gettext("Waiting...")
    if status is ProgressStatus.COMPLETING:
        return gettext("Completing…")
    if status is ProgressStatus.COMPLETE or state.status is ProgressStatus.COMPLETE:
        return state.message or gettext("%(name)s complete") % {"name": name}
    if status is ProgressStatus.ERROR:
        return state.message or gettext("%(name)s failed") % {"name": name}
    if status is ProgressStatus.CANCELLED:
        return gettext("%(name)s cancelled") % {"name": name}
    if status is ProgressStatus.LOST:
        return gettext("%(name)s was interrupted and did not finish") % {"name": name}
    if status is ProgressStatus.STALLED:
        return gettext("No sign of life, waiting…")
    if status is ProgressStatus.RETRYING:
        return gettext("Failed, will be tried again…")
    return state.message or gettext("Processing...")


def status_text(status: ProgressStatus) -> str:
    texts = {
        ProgressStatus.PENDING: gettext("waiting"),
        ProgressStatus.QUEUED: gettext("waiting"),
        ProgressStatus.RUNNING: gettext("running"),
        ProgressStatus.COMPLETING: gettext("running"),
        ProgressStatus.RETRYING: gettext("trying again"),
        ProgressStatus.STALLED: gettext("stalled"),
        ProgressStatus.COMPLETE: gettext("complete"),
        ProgressStatus.ERROR: gettext("failed"),
        ProgressStatus.CANCELLED: gettext("cancelled"),
        ProgressStatus.LOST: gettext("interrupted"),
    }
    return texts[status]


def validate_result_url(url: str) -> str:
    """``url`` as a link may have it: a path, or http(s).  ``ValueError`` for what a browser would run."""
    text = str(url)
    scheme, colon, _ = text.partition(":")
    has_scheme = bool(colon) and not re.search(r"[/?#]", scheme)
    if re.search(r"[\x00-\x20\x7f]", text) or (has_scheme and scheme.lower() not in ("http", "https")):
        raise ValueError(f"result={text!r}: expected a path such as '/exports/3/', or an http(s) URL without spaces.")
    return text


def format_amount(state: TaskState) -> str:
    """``1,200 of 5,000 rows``, or "" without a real figure."""
    if state.current is None:
        return ""
    current = _format_number(state.current)
    text = (
        gettext("%(current)s of %(total)s") % {"current": current, "total": _format_number(state.total)}
        if state.total
        else current
    )
    return f"{text} {state.unit}".strip()


def format_duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2 h 5 min``: as exact as anybody wants to know."""
    whole = max(int(seconds + 0.5), 0)
    if whole < 60:
        return gettext("%(seconds)d s") % {"seconds": whole}
    minutes, seconds_left = divmod(whole, 60)
    if minutes < 10:
        return gettext("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": seconds_left}
    hours, minutes_left = divmod(minutes, 60)
    if not hours:
        return gettext("%(minutes)d min") % {"minutes": minutes}
    return gettext("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes_left}


def _format_number(value: float) -> str:
    if value == int(value):
        return number_format(int(value), use_l10n=True, force_grouping=True)
    return number_format(round(value, 1), use_l10n=True, force_grouping=True)


_SALT = "htmx_live.progress"
_READ, _CONTROL = "read", "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressGrant:
    """``may_control``: cancel and try again; ``redirect`` is where a status page without JavaScript goes at the end."""

    session_id: str
    may_control: bool
    redirect: str = ""


def sign_read_grant(header: SessionHeader, viewer: Owner, *, redirect: str = "", now: float | None = None) -> str:
    """A grant for ``viewer``, for ``GRANT_MAX_AGE`` seconds from ``now``."""
    issued = int(progress_store().now() if now is None else now)
    return _sign([_READ, header.id, issued, viewer.token, viewer.user, redirect])


def sign_control_grant(header: SessionHeader) -> str:
    """The same text each time, so that buttons that are drawn anew do not change."""
    return _sign([_CONTROL, header.id, int(header.created), header.owner.token, header.owner.user, ""])


def unsign_progress_grant(text: str, request: HttpRequest, *, now: float | None = None) -> ProgressGrant:
    """The grant in ``text``, if it is for who asks."""
    try:
        kind, session, issued, token, user, redirect = signing.Signer(salt=_SALT).unsign_object(text)
    except (signing.BadSignature, ValueError, TypeError, UnicodeError):
        raise GrantError("The grant is missing or its signature is wrong.") from None
    given_to, requesters = Owner(token=token, user=user), get_owners(request)
    if (progress_store().now() if now is None else now) - issued > settings().GRANT_MAX_AGE:
        raise GrantError("The grant has expired.")
    if given_to != Owner() and not is_owner(given_to, requesters):
        raise GrantError("The grant was given to somebody else.")
    return ProgressGrant(session_id=session, may_control=kind == _CONTROL, redirect=redirect)


def is_owner(owner: Owner, requesters: Sequence[Owner]) -> bool:
    """Whether one of those who ask is the owner: the same user, or the same visitor, who may have logged in since."""
    if owner.user:
        return owner.user in {one.user for one in requesters}
    return owner.token != "" and owner.token in {one.token for one in requesters}


def get_viewer(request: HttpRequest | None) -> Owner:
    """For whom something is being rendered: a live view's owner, or the request's."""
    return get_viewers(request)[0]


def get_viewers(request: HttpRequest | None) -> tuple[Owner, ...]:
    """``get_viewer()``, and the other owners that the request may act for."""
    rendering = current_view.get()
    if rendering is not None:
        return (rendering.view._live.record.owner,)
    return (Owner(),) if request is None else get_owners(request)


def _sign(values: list[Any]) -> str:
    return signing.Signer(salt=_SALT).sign_object(values, compress=False)


_MAX_TASKS = 20  # that are drawn by themselves
_MAX_LENGTH = 300  # characters of a name or a message
_STATUS_PRIORITY = [
    ProgressStatus.ERROR,
    ProgressStatus.LOST,
    ProgressStatus.STALLED,
    ProgressStatus.RUNNING,
    ProgressStatus.RETRYING,
    ProgressStatus.QUEUED,
    ProgressStatus.CANCELLED,
    ProgressStatus.PENDING,
    ProgressStatus.COMPLETE,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """``url`` is the status page's, with ``GRANT`` where a grant stands.  ``may_cancel`` draws the buttons.

    ``name`` tells a list from another one in the same page.
    """

    tasks: tuple[str, ...] = ()
    redirect: str = ""
    event: str = ""
    css: str = ""
    language: str = ""
    may_cancel: bool = False
    url: str = ""
    name: str = ""

    @property
    def list_dom_id(self) -> str:
        """The id of a list's root element."""
        return f"progress-list-{self.name}" if self.name else "progress-list"

    @property
    def key(self) -> str:
        return blake2b(self.to_json().encode(), digest_size=6).hexdigest()

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        given = json.loads(text)
        return cls(**{**given, "tasks": tuple(given["tasks"])})

    def dom_id(self, session_id: str) -> str:
        """The id of the root element."""
        part = blake2b("\0".join(self.tasks).encode(), digest_size=4).hexdigest() if self.tasks else ""
        return f"progress-{session_id}" + (f"-{part}" if part else "")

    def channel(self, session_id: str) -> str:
        return progress_channel(f"{session_id}.{self.key}")


def progress_context(snapshot: SessionSnapshot, card: Card) -> dict[str, Any]:
    """What ``htmx_live/progress.html`` shows of a session."""
    summary = summarize(snapshot, card.tasks, is_settled=True)
    control = card.url.replace("GRANT", sign_control_grant(snapshot.header)) if card.may_cancel and card.url else ""
    root = card.dom_id(snapshot.header.id)
    order = {task: number for number, task in enumerate(summary.states, 1)}
    names = [_task_context(snapshot, summary, task, dom_id=f"{root}-{order[task]}") for task in _visible_tasks(summary)]
    since = [state.started for state in summary.states.values() if state.started is not None]
    is_single = len(summary.states) == 1
    last = max((state.ended or snapshot.now for state in summary.states.values()), default=snapshot.now)
    until = last if summary.is_ended else snapshot.now
    return {
        "id": root,
        "label": f"{root}-name",
        "session": snapshot.header.id,
        "class": card.css,
        "redirect": card.redirect,
        "event": card.event,
        "done": _end_status(summary),
        "status": summary.status,
        "status_text": status_text(summary.status),
        "percent": summary.percent,
        "tasks": names,
        "more": len(summary.states) - len(names),
        "is_single": is_single,
        "elapsed": format_duration(until - min(since)) if since else "",
        "announced": _announcement(summary),
        "cancel_url": f"{control}cancel/" if control and not _is_finished(summary) else "",
        "retry_url": f"{control}retry/" if control and _has_retryable_task(summary) else "",
    }


def render_card(snapshot: SessionSnapshot, card: Card, **extra: Any) -> SafeString:
    """The card's root element.  ``extra``: ``subscription``, ``csrf_token``, ``status_url`` for its page."""
    with translation.override(card.language or None):
        return _strip_indentation(
            render_to_string("htmx_live/progress.html", {**progress_context(snapshot, card), **extra})
        )


def render_session_list(sessions: Iterable[SessionSnapshot], card: Card, **extra: Any) -> SafeString:
    """The list of sessions, each as one bar."""
    with translation.override(card.language or None):
        items = [{**progress_context(snapshot, card), **_list_item_context(snapshot, card)} for snapshot in sessions]
        context = {"id": card.list_dom_id, "items": items, "class": card.css, **extra}
        return _strip_indentation(render_to_string("htmx_live/progress_list.html", context))


def _list_item_context(snapshot: SessionSnapshot, card: Card) -> dict[str, Any]:
    dom_id = f"progress-item-{card.name}-{snapshot.header.id}" if card.name else f"progress-item-{snapshot.header.id}"
    return {"id": dom_id, "label": f"{dom_id}-name", "names": _join_names(snapshot)}


def _strip_indentation(html: str) -> SafeString:
    """Without the template's own indentation."""
    return mark_safe("".join(line.strip(" ") + "\n" for line in html.splitlines() if line.strip()).strip())


def _visible_tasks(summary: SessionSummary) -> list[str]:
    """The tasks that are drawn by themselves: of too many those that somebody wants to know of."""
    if len(summary.states) <= _MAX_TASKS:
        return list(summary.states)
    rank = {status: number for number, status in enumerate(_STATUS_PRIORITY)}
    wanted = set(sorted(summary.states, key=lambda task: rank.get(summary.statuses[task], 99))[:_MAX_TASKS])
    return [task for task in summary.states if task in wanted]


def _task_context(snapshot: SessionSnapshot, summary: SessionSummary, task_id: str, *, dom_id: str) -> dict[str, Any]:
    state, status, name = summary.states[task_id], summary.statuses[task_id], _truncate(snapshot.header.names[task_id])
    speed = state.rate.per_second if state.total is None or (state.current or 0) < state.total else None
    left = state.rate.ends - snapshot.now if state.rate.ends is not None and status is ProgressStatus.RUNNING else None
    return {
        "id": task_id,
        "element": dom_id,
        "label": f"{dom_id}-name",
        "name": name,
        "status": status,
        "status_text": status_text(status),
        "message": _truncate(task_message(state, status, name, is_waiting=state.is_waiting_for_worker(snapshot.now))),
        "percent": summary.percents[task_id],
        "is_indeterminate": status.is_running and state.current is not None and state.total is None,
        "amount": format_amount(state),
        "rate": format_amount(replace(state, current=_round_rate(speed), total=None))
        if speed and status.is_running
        else "",
        "result": state.result if status is ProgressStatus.COMPLETE else "",
        "left": format_duration(left) if left is not None and left > 0 else "",
    }


def _round_rate(speed: float) -> float:
    """As exact as it can be read while it changes."""
    return float(round(speed)) if speed >= 10 else round(speed, 1)


def _join_names(snapshot: SessionSnapshot) -> str:
    names = list(snapshot.header.names.values())
    return _truncate(", ".join(names[:3]) + (" …" if len(names) > 3 else ""))


def _truncate(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"


def _end_status(summary: SessionSummary) -> str:
    """How it has ended, for the script; "" while it goes on."""
    if summary.status is ProgressStatus.ERROR:
        failures = {status for status in summary.statuses.values() if status.is_failed}
        return "lost" if failures == {ProgressStatus.LOST} else "error"
    return str(summary.status) if summary.is_ended else ""


def _announcement(summary: SessionSummary) -> str:
    """What is read out: it changes at the start, at quarters and at the end only."""
    if summary.is_ended or summary.status is ProgressStatus.PENDING:
        return status_text(summary.status)
    return f"{summary.percent // 25 * 25} %" if summary.percent >= 25 else status_text(summary.status)


def _is_finished(summary: SessionSummary) -> bool:
    return all(status.is_ended for status in summary.statuses.values())


def _has_retryable_task(summary: SessionSummary) -> bool:
    again = (ProgressStatus.ERROR, ProgressStatus.LOST, ProgressStatus.CANCELLED)
    return any(summary.states[task].callback and status in again for task, status in summary.statuses.items())
