"""Publishing: the inbox's finished tasks, drawn for the pages that show them.

A page hears a topic of its user and its language; which languages are in use is told by the lists of running tasks that
stand in the same pages.
"""

import logging
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince

from htmx_live.contrib.task_history.models import TaskRecord
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.records import Owner
from htmx_live.core.text import log_unavailable
from htmx_live.messaging.regions import Topic, region
from htmx_live.messaging.regions import publish as publish_fragments
from htmx_live.progress.cards import Card, progress_context
from htmx_live.progress.model import listed_under
from htmx_live.progress.store import keeping

__all__ = ["LIST", "PAGE", "REGION", "draw_past", "publish", "topic_of"]


logger = logging.getLogger("htmx_live.tasks")

REGION = "live-tasks"
LIST = "tasks"  # the name of the list of running tasks
PAGE = "tasks"  # the query parameter with the page's number
SIZE = 10  # finished tasks of one page
_FRESH = 60.0  # seconds for which a task that has ended is read out


def topic_of(user: str, language: str) -> Topic:
    return Topic(f"htmx_live.tasks:{language}:{user}")


def publish(owner: Owner) -> None:
    """Show an owner's finished tasks as they are now; never raises for a store that is away."""
    if not owner.user:
        return
    try:
        cards = map(Card.from_json, keeping().shown_lists(listed_under(owner)).values())
        for language, url in {card.language: card.url for card in cards if card.name == LIST}.items():
            html = draw_past(owner.user, language=language, url=url)
            publish_fragments([region(REGION, html=html)], to=topic_of(owner.user, language))
    except StoreUnavailable as error:
        log_unavailable(logger, error, "publications of task lists", "The tasks of user %s cannot be shown", owner.user)


def draw_past(
    user: str,
    *,
    language: str,
    url: str,
    number: Any = 1,
    csrf_token: str = "",
    query: dict[str, str] | None = None,
) -> SafeString:
    """One page of a user's finished tasks, the newest first.

    ``url`` is a progress card's; ``query`` is what else stands in the page's address.
    """
    owner: Any = user
    records = TaskRecord.objects.filter(owner_id=owner).exclude(finished=None).order_by("-finished", "-pk")
    page = Paginator(records, SIZE).get_page(number)
    with translation.override(language or None):
        context = {
            "records": [
                {"record": record, "ago": _ago(record), "retry_url": _retry_url(record, url)} for record in page
            ],
            "csrf_token": csrf_token,
            "said": _said(page),
            "newer": _link(page.previous_page_number(), query) if page.has_previous() else "",
            "older": _link(page.next_page_number(), query) if page.has_next() else "",
            "page": page,
        }
        return mark_safe(render_to_string("htmx_live/task_inbox_past.html", context))


def _ago(record: TaskRecord) -> str:
    """How long ago it ended, "" for just now."""
    if record.finished is None or (timezone.now() - record.finished).total_seconds() < 60:
        return ""
    return timesince(record.finished, depth=1)


def _retry_url(record: TaskRecord, url: str) -> str:
    """Where a failed task is started again, "" when progress has forgotten how."""
    if record.status == TaskRecord.Status.COMPLETE:
        return ""
    kept = keeping().load(record.session)
    return "" if kept is None else str(progress_context(kept, Card(may_cancel=True, url=url))["retry_url"])


def _said(page: Page[TaskRecord]) -> TaskRecord | None:
    newest = page.object_list[0] if page.number == 1 and len(page.object_list) else None
    if newest is None or newest.finished is None:
        return None
    return newest if (timezone.now() - newest.finished).total_seconds() < _FRESH else None


def _link(number: int, query: dict[str, str] | None) -> str:
    return "?" + urlencode({**(query or {}), PAGE: number})
