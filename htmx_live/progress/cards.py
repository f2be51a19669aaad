"""Cards: how a session, or a list of them, is drawn.

A ``Card`` says in which way a session stands on pages: language, tasks, what happens at its end, and whether its
viewers may cancel.  All who see one card see one rendering.  Drawing is pure: kept values in, HTML out.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe

from htmx_live.progress.grants import sign_control
from htmx_live.progress.values import Kept, ProgressStatus, Seen, seen
from htmx_live.progress.wording import amount, duration, status_text, task_message
from htmx_live.transport.channels import progress_channel

__all__ = ["Card", "draw", "draw_list", "progress_context"]

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
