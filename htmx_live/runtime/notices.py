"""Delivering notices: kept for the next page, and sent to the pages that are open, in this order.

So a page that is rendered in between shows it, and what it hears of it then replaces that.
"""

import json
from collections.abc import Iterable

from htmx_live.events import SendNotice
from htmx_live.runtime.parts import parts
from htmx_live.stores.notices import Unread, notices

__all__ = ["deliver", "element_id", "withdraw"]


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


def _publish(channel: str, notice: str, message: dict[str, str]) -> None:
    parts().bus.publish([channel], element_id(notice), json.dumps(message), event="notice")
