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
from htmx_live.events.context import current_rendering
from htmx_live.progress.model import Kept, ProgressStatus, Row, Seen, Session, seen
from htmx_live.progress.store import keeping
from htmx_live.runtime.owners import owners_of

__all__ = [
    "Card",
    "ProgressGrant",
    "amount",
    "checked_url",
    "draw",
    "draw_list",
    "duration",
    "is_owner",
    "progress_context",
    "sign_control",
    "sign_read",
    "status_text",
    "task_message",
    "unsign",
    "viewer_of",
    "viewers_of",
]


def task_message(row: Row, status: ProgressStatus, name: str, *, is_waiting: bool = False) -> str:
    """The task's own message, or what its status says.  A final message waits until the percentage has reached 100."""
    if status is ProgressStatus.PENDING:
        return gettext("Waiting...")
    if status is ProgressStatus.QUEUED:
        return gettext("Waiting for a worker…") if is_waiting else gettext("Waiting...")
    if status is ProgressStatus.COMPLETING:
        return gettext("Completing…")
    if status is ProgressStatus.COMPLETE or row.status is ProgressStatus.COMPLETE:
        return row.message or gettext("%(name)s complete") % {"name": name}
    if status is ProgressStatus.ERROR:
        return row.message or gettext("%(name)s failed") % {"name": name}
    if status is ProgressStatus.CANCELLED:
        return gettext("%(name)s cancelled") % {"name": name}
    if status is ProgressStatus.LOST:
        return gettext("%(name)s was interrupted and did not finish") % {"name": name}
    if status is ProgressStatus.STALLED:
        return gettext("No sign of life, waiting…")
    if status is ProgressStatus.RETRYING:
        return gettext("Failed, will be tried again…")
    return row.message or gettext("Processing...")


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


def checked_url(url: str) -> str:
    """``url`` as a link may have it: a path, or http(s).  ``ValueError`` for what a browser would run."""
    text = str(url)
    scheme, colon, _ = text.partition(":")
    has_scheme = bool(colon) and not re.search(r"[/?#]", scheme)
    if re.search(r"[\x00-\x20\x7f]", text) or (has_scheme and scheme.lower() not in ("http", "https")):
        raise ValueError(f"result={text!r}: expected a path such as '/exports/3/', or an http(s) URL without spaces.")
    return text


def amount(row: Row) -> str:
    """``1,200 of 5,000 rows``, or "" without a real figure."""
    if row.current is None:
        return ""
    current = _number(row.current)
    text = (
        gettext("%(current)s of %(total)s") % {"current": current, "total": _number(row.total)}
        if row.total
        else current
    )
    return f"{text} {row.unit}".strip()


def duration(seconds: float) -> str:
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


def _number(value: float) -> str:
    if value == int(value):
        return number_format(int(value), use_l10n=True, force_grouping=True)
    return number_format(round(value, 1), use_l10n=True, force_grouping=True)


_SALT = "htmx_live.progress"
_READ, _CONTROL = "read", "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressGrant:
    """``may_control``: cancel and try again; ``redirect`` is where a status page without JavaScript goes at the end."""

    session: str
    may_control: bool
    redirect: str = ""


def sign_read(session: Session, viewer: Owner, *, redirect: str = "", now: float | None = None) -> str:
    """A grant for ``viewer``, for ``GRANT_MAX_AGE`` seconds from ``now``."""
    issued = int(keeping().now() if now is None else now)
    return _sign([_READ, session.id, issued, viewer.token, viewer.user, redirect])


def sign_control(session: Session) -> str:
    """The same text each time, so that buttons that are drawn anew do not change."""
    return _sign([_CONTROL, session.id, int(session.created), session.owner.token, session.owner.user, ""])


def unsign(text: str, request: HttpRequest, *, now: float | None = None) -> ProgressGrant:
    """The grant in ``text``, if it is for who asks."""
    try:
        kind, session, issued, token, user, redirect = signing.Signer(salt=_SALT).unsign_object(text)
    except (signing.BadSignature, ValueError, TypeError, UnicodeError):
        raise GrantError("The grant is missing or its signature is wrong.") from None
    given_to, asking = Owner(token=token, user=user), owners_of(request)
    if (keeping().now() if now is None else now) - issued > settings().GRANT_MAX_AGE:
        raise GrantError("The grant has expired.")
    if given_to != Owner() and not is_owner(given_to, asking):
        raise GrantError("The grant was given to somebody else.")
    return ProgressGrant(session=session, may_control=kind == _CONTROL, redirect=redirect)


def is_owner(owner: Owner, asking: Sequence[Owner]) -> bool:
    """Whether one of those who ask is the owner: the same user, or the same visitor, who may have logged in since."""
    if owner.user:
        return owner.user in {one.user for one in asking}
    return owner.token != "" and owner.token in {one.token for one in asking}


def viewer_of(request: HttpRequest | None) -> Owner:
    """For whom something is being rendered: a live view's owner, or the request's."""
    return viewers_of(request)[0]


def viewers_of(request: HttpRequest | None) -> tuple[Owner, ...]:
    """``viewer_of()``, and the other owners that the request may act for."""
    around = current_rendering.get()
    if around is not None:
        return (around.live._live.record.owner,)
    return (Owner(),) if request is None else owners_of(request)


def _sign(values: list[Any]) -> str:
    return signing.Signer(salt=_SALT).sign_object(values, compress=False)


_MOST_TASKS = 20  # that are drawn by themselves
_LONGEST = 300  # characters of a name or a message
_FIRST = [
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
    def list_element(self) -> str:
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

    def element(self, session: str) -> str:
        """The id of the root element."""
        part = blake2b("\0".join(self.tasks).encode(), digest_size=4).hexdigest() if self.tasks else ""
        return f"progress-{session}" + (f"-{part}" if part else "")

    def channel(self, session: str) -> str:
        return progress_channel(f"{session}.{self.key}")


def progress_context(kept: Kept, card: Card) -> dict[str, Any]:
    """What ``htmx_live/progress.html`` shows of a session."""
    here = seen(kept, card.tasks, is_settled=True)
    control = card.url.replace("GRANT", sign_control(kept.session)) if card.may_cancel and card.url else ""
    root = card.element(kept.session.id)
    order = {task: number for number, task in enumerate(here.rows, 1)}
    names = [_task(kept, here, task, element=f"{root}-{order[task]}") for task in _drawn(here)]
    since = [row.started for row in here.rows.values() if row.started is not None]
    is_single = len(here.rows) == 1
    last = max((row.ended or kept.now for row in here.rows.values()), default=kept.now)
    until = last if here.is_ended else kept.now
    return {
        "id": root,
        "label": f"{root}-name",
        "session": kept.session.id,
        "class": card.css,
        "redirect": card.redirect,
        "event": card.event,
        "done": _done(here),
        "status": here.status,
        "status_text": status_text(here.status),
        "percent": here.percent,
        "tasks": names,
        "more": len(here.rows) - len(names),
        "is_single": is_single,
        "elapsed": duration(until - min(since)) if since else "",
        "announced": _announced(here),
        "cancel_url": f"{control}cancel/" if control and not _is_over(here) else "",
        "retry_url": f"{control}retry/" if control and _can_retry(here) else "",
    }


def draw(kept: Kept, card: Card, **extra: Any) -> SafeString:
    """The card's root element.  ``extra``: ``word``, ``csrf_token``, ``status_url``, for the page that it stands in."""
    with translation.override(card.language or None):
        return _one_line(render_to_string("htmx_live/progress.html", {**progress_context(kept, card), **extra}))


def draw_list(sessions: Iterable[Kept], card: Card, **extra: Any) -> SafeString:
    """The list of sessions, each as one bar."""
    with translation.override(card.language or None):
        items = [{**progress_context(kept, card), **_item(kept, card)} for kept in sessions]
        context = {"id": card.list_element, "items": items, "class": card.css, **extra}
        return _one_line(render_to_string("htmx_live/progress_list.html", context))


def _item(kept: Kept, card: Card) -> dict[str, Any]:
    element = f"progress-item-{card.name}-{kept.session.id}" if card.name else f"progress-item-{kept.session.id}"
    return {"id": element, "label": f"{element}-name", "names": _names(kept)}


def _one_line(html: str) -> SafeString:
    """Without the template's own indentation."""
    return mark_safe("".join(line.strip(" ") + "\n" for line in html.splitlines() if line.strip()).strip())


def _drawn(here: Seen) -> list[str]:
    """The tasks that are drawn by themselves: of too many those that somebody wants to know of."""
    if len(here.rows) <= _MOST_TASKS:
        return list(here.rows)
    rank = {status: number for number, status in enumerate(_FIRST)}
    wanted = set(sorted(here.rows, key=lambda task: rank.get(here.statuses[task], 99))[:_MOST_TASKS])
    return [task for task in here.rows if task in wanted]


def _task(kept: Kept, here: Seen, task: str, *, element: str) -> dict[str, Any]:
    row, status, name = here.rows[task], here.statuses[task], _clipped(kept.session.names[task])
    speed = row.rate.per_second if row.total is None or (row.current or 0) < row.total else None
    left = row.rate.ends - kept.now if row.rate.ends is not None and status is ProgressStatus.RUNNING else None
    return {
        "id": task,
        "element": element,
        "label": f"{element}-name",
        "name": name,
        "status": status,
        "status_text": status_text(status),
        "message": _clipped(task_message(row, status, name, is_waiting=row.is_waiting_for_worker(kept.now))),
        "percent": here.percents[task],
        "is_indeterminate": status.is_running and row.current is not None and row.total is None,
        "amount": amount(row),
        "rate": amount(replace(row, current=_rounded(speed), total=None)) if speed and status.is_running else "",
        "result": row.result if status is ProgressStatus.COMPLETE else "",
        "left": duration(left) if left is not None and left > 0 else "",
    }


def _rounded(speed: float) -> float:
    """As exact as it can be read while it changes."""
    return float(round(speed)) if speed >= 10 else round(speed, 1)


def _names(kept: Kept) -> str:
    names = list(kept.session.names.values())
    return _clipped(", ".join(names[:3]) + (" …" if len(names) > 3 else ""))


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _done(here: Seen) -> str:
    """How it has ended, for the script; "" while it goes on."""
    if here.status is ProgressStatus.ERROR:
        failures = {status for status in here.statuses.values() if status.is_failed}
        return "lost" if failures == {ProgressStatus.LOST} else "error"
    return str(here.status) if here.is_ended else ""


def _announced(here: Seen) -> str:
    """What is read out: it changes at the start, at quarters and at the end only."""
    if here.is_ended or here.status is ProgressStatus.PENDING:
        return status_text(here.status)
    return f"{here.percent // 25 * 25} %" if here.percent >= 25 else status_text(here.status)


def _is_over(here: Seen) -> bool:
    return all(status.is_ended for status in here.statuses.values())


def _can_retry(here: Seen) -> bool:
    again = (ProgressStatus.ERROR, ProgressStatus.LOST, ProgressStatus.CANCELLED)
    return any(here.rows[task].callback and status in again for task, status in here.statuses.items())
