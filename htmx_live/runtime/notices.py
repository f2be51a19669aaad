"""Delivering notices: kept for the next page, and sent to the pages that are open, in this order.

So a page that is rendered in between shows it, and what it hears of it then replaces that.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict

from django.utils.translation import gettext as _

from htmx_live.backends.notice_store import Unread, notices
from htmx_live.backends.wire import session_channel, user_channel
from htmx_live.core.records import JobRow, Owner
from htmx_live.core.signing import random_id
from htmx_live.runtime.inbox_messages import JobFailure, SendNotice
from htmx_live.runtime.services import parts

__all__ = ["channels_of", "deliver", "element_id", "how_it_ended", "still_going", "withdraw"]


def deliver(sent: SendNotice) -> None:
    """Keep and send a notice.  It may be done again, when it is not known whether the store has heard it."""
    notice = Unread(**sent.notice)
    withdraw(sent.channel, notices().add(sent.channel, notice))
    said = {"message": notice.message, "level": notice.level, "key": notice.key, "id": element_id(notice.id)}
    _publish(sent.channel, notice.id, said | ({"url": notice.url} if notice.url else {}))


def withdraw(channel: str, ids: Iterable[str]) -> None:
    """Take notices that are no longer unread off all pages, and out of what pages that are away have missed."""
    for gone in ids:
        _publish(channel, gone, {"message": "", "key": element_id(gone)})


def element_id(notice: str) -> str:
    """The id of a notice's toast."""
    return f"live-notice-{notice}"


def channels_of(owner: Owner) -> list[str]:
    """Where notices for ``owner`` are kept and sent; none for a visitor without a token."""
    named = [user_channel(owner.user)] if owner.user else []
    return [*named, session_channel(owner.token)] if owner.token else named


def how_it_ended(owner: Owner, row: JobRow, failure: JobFailure | None) -> SendNotice | None:
    """A notice about the end of a job; None for a job that asked for none, and in a shared view, which is nobody's."""
    if failure is None:
        return _about(owner, row, _("%(job)s: done.") % {"job": row.notify}, "success")
    return _about(owner, row, _("%(job)s: %(why)s") % {"job": row.notify, "why": failure}, "error")


def still_going(owner: Owner, row: JobRow) -> SendNotice | None:
    """A notice about a job that takes its time; that about its end takes its place."""
    return _about(owner, row, _("%(job)s: still going…") % {"job": row.notify}, "info")


def _about(owner: Owner, row: JobRow, message: str, level: str) -> SendNotice | None:
    channels = channels_of(owner)
    if not row.notify or not channels:
        return None
    notice = Unread(id=random_id(), key=f"job-{row.ref}", message=message, level=level)
    return SendNotice(channel=channels[0], notice=asdict(notice))


def _publish(channel: str, notice: str, message: dict[str, str]) -> None:
    parts().bus.publish([channel], element_id(notice), json.dumps(message), event="notice")
