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
from htmx_live.messaging.regions import publish_fragments as publish_fragments
from htmx_live.progress.cards import Card, progress_context
from htmx_live.progress.model import owner_key
from htmx_live.progress.store import progress_store

__all__ = ["LIST_NAME", "PAGE_PARAM", "REGION_NAME", "build_topic", "publish_finished", "render_finished"]


logger = logging.getLogger("htmx_live.contrib.task_history")

REGION_NAME = "live-tasks"
LIST_NAME = "tasks"  # the name of the list of running tasks
PAGE_PARAM = "tasks"  # the query parameter with the page's number
PAGE_SIZE = 10  # finished tasks of one page
_ANNOUNCE_FOR = 60.0  # seconds for which a task that has ended is read out


def build_topic(user: str, language: str) -> Topic:
    return Topic(f"htmx_live.tasks:{language}:{user}")


def publish_finished(owner: Owner) -> None:
    """Show an owner's finished tasks as they are now; never raises for a store that is away."""
    if not owner.user:
        return
    try:
        cards = map(Card.from_json, progress_store().load_list_cards(owner_key(owner)).values())
        for language, url in {card.language: card.url for card in cards if card.name == LIST_NAME}.items():
            html = render_finished(owner.user, language=language, url=url)
            publish_fragments([region(REGION_NAME, html=html)], to=build_topic(owner.user, language))
    except StoreUnavailable as error:
        log_unavailable(logger, error, "publications of task lists", "The tasks of user %s cannot be shown", owner.user)


def render_finished(
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
    page = Paginator(records, PAGE_SIZE).get_page(number)
    with translation.override(language or None):
        context = {
            "records": [
                {"record": record, "ago": _time_since_end(record), "retry_url": _retry_url(record, url)}
                for record in page
            ],
            "csrf_token": csrf_token,
            "said": _find_announced(page),
            "newer": _page_link(page.previous_page_number(), query) if page.has_previous() else "",
            "older": _page_link(page.next_page_number(), query) if page.has_next() else "",
            "page": page,
        }
        return mark_safe(render_to_string("htmx_live/task_inbox_past.html", context))


def _time_since_end(record: TaskRecord) -> str:
    """How long ago it ended, "" for just now."""
    if record.finished is None or (timezone.now() - record.finished).total_seconds() < 60:
        return ""
    return timesince(record.finished, depth=1)


def _retry_url(record: TaskRecord, url: str) -> str:
    """Where a failed task is started again, "" when progress has forgotten how."""
    if record.status == TaskRecord.Status.COMPLETE:
        return ""
    snapshot = progress_store().load(record.session)
    return "" if snapshot is None else str(progress_context(snapshot, Card(may_cancel=True, url=url))["retry_url"])


def _find_announced(page: Page[TaskRecord]) -> TaskRecord | None:
    newest = page.object_list[0] if page.number == 1 and len(page.object_list) else None
    if newest is None or newest.finished is None:
        return None
    return newest if (timezone.now() - newest.finished).total_seconds() < _ANNOUNCE_FOR else None


def _page_link(number: int, query: dict[str, str] | None) -> str:
    return "?" + urlencode({**(query or {}), PAGE_PARAM: number})
