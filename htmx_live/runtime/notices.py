"""Delivering notices: kept for the next page, and sent to the pages that are open, in this order.

So a page that is rendered in between shows it, and what it hears of it then replaces that.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict

from django.utils.translation import gettext as _

from htmx_live.backends.notice_store import StoredNotice, notice_store
from htmx_live.backends.wire import session_channel, user_channel
from htmx_live.core.records import JobRow, Owner
from htmx_live.core.signing import random_id
from htmx_live.runtime.inbox_messages import JobFailure, SendNotice
from htmx_live.runtime.services import services

__all__ = [
    "build_finished_notice",
    "build_slow_notice",
    "deliver_notice",
    "notice_channels",
    "toast_id",
    "withdraw_notices",
]


def deliver_notice(effect: SendNotice) -> None:
    """Keep and send a notice.  It may be done again, when it is not known whether the store has heard it."""
    notice = StoredNotice(**effect.notice)
    withdraw_notices(effect.channel, notice_store().add(effect.channel, notice))
    toast = {"message": notice.message, "level": notice.level, "key": notice.key, "id": toast_id(notice.id)}
    _publish_toast(effect.channel, notice.id, toast | ({"url": notice.url} if notice.url else {}))


def withdraw_notices(channel: str, ids: Iterable[str]) -> None:
    """Take notices that are no longer unread off all pages, and out of what pages that are away have missed."""
    for notice_id in ids:
        _publish_toast(channel, notice_id, {"message": "", "key": toast_id(notice_id)})


def toast_id(notice_id: str) -> str:
    """The id of a notice's toast."""
    return f"live-notice-{notice_id}"


def notice_channels(owner: Owner) -> list[str]:
    """Where notices for ``owner`` are kept and sent; none for a visitor without a token."""
    channels = [user_channel(owner.user)] if owner.user else []
    return [*channels, session_channel(owner.token)] if owner.token else channels


def build_finished_notice(owner: Owner, row: JobRow, failure: JobFailure | None) -> SendNotice | None:
    """A notice about the end of a job; None for a job that asked for none, and in a shared view, which is nobody's."""
    if failure is None:
        return _build_job_notice(owner, row, _("%(job)s: done.") % {"job": row.notify}, "success")
    return _build_job_notice(owner, row, _("%(job)s: %(why)s") % {"job": row.notify, "why": failure}, "error")


def build_slow_notice(owner: Owner, row: JobRow) -> SendNotice | None:
    """A notice about a job that takes its time; that about its end takes its place."""
    return _build_job_notice(owner, row, _("%(job)s: still going…") % {"job": row.notify}, "info")


def _build_job_notice(owner: Owner, row: JobRow, message: str, level: str) -> SendNotice | None:
    channels = notice_channels(owner)
    if not row.notify or not channels:
        return None
    notice = StoredNotice(id=random_id(), key=f"job-{row.ref}", message=message, level=level)
    return SendNotice(channel=channels[0], notice=asdict(notice))


def _publish_toast(channel: str, notice_id: str, message: dict[str, str]) -> None:
    services().bus.publish([channel], toast_id(notice_id), json.dumps(message), event="notice")
