"""``StreamGate``: who may open a page's stream, and what it carries."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from threading import Lock

from django.db import Error as DatabaseError

from htmx_live.conf import settings
from htmx_live.exceptions import GrantError, StoreNotShared, StoreUnavailable
from htmx_live.grants import unsign_page
from htmx_live.owners import owner_of, stream_words
from htmx_live.ownership import is_allowed, lets_in, opens_page
from htmx_live.records import Owner, Record
from htmx_live.runtime.channels import shared_channels
from htmx_live.runtime.dispatch import look_after
from htmx_live.runtime.first import watch
from htmx_live.runtime.parts import parts
from htmx_live.runtime.processes import check_position
from htmx_live.runtime.shared import say_viewed
from htmx_live.sessions import Visitor, request_of, sign_in_of, visitors
from htmx_live.transport.channels import page_channel, user_channel
from htmx_live.transport.stream import Access, Refusal

__all__ = ["StreamGate"]

logger = logging.getLogger("htmx_live.endpoints")

_GRACE = 10.0  # seconds that a page whose stream has ended still counts as present: it reconnects, or is reloaded

_lock = Lock()
_open: Counter[str] = Counter()  # streams of this process, by page


class StreamGate:
    """See ``htmx_live.transport.stream.Gate``."""

    def open(self, headers: Mapping[str, str]) -> Access | Refusal:
        try:
            grant = unsign_page(headers.get("x-live-page", ""), max_age=settings().GRANT_MAX_AGE)
        except GrantError as error:
            return Refusal(status=401 if error.expired else 404)
        request = request_of(headers)
        owner = owner_of(request)
        if not opens_page(grant, request):
            return Refusal(status=404)
        if not is_allowed(grant.page, request):
            return Refusal(status=403)
        try:
            check_position(headers.get("last-event-id", ""))
        except StoreNotShared as error:
            return Refusal(status=error.status)
        channels = [page_channel(grant.page), *shared_channels(grant.page)]
        if owner.user:
            channels.append(user_channel(owner.user))
        return Access(
            page=grant.page,
            owner=owner.key if owner != Owner() else grant.page,  # visitors without a token are not one owner
            session=next(iter(stream_words(request)), ""),
            channels=tuple(channels),
            user=user_channel(owner.user) if owner.user else "",
            sign_in=sign_in_of(request),
        )

    def opened(self, access: Access) -> None:
        parts().watcher.start()
        with _lock:
            _open[access.page] += 1
        self.renewed(access)

    def renewed(self, access: Access) -> None:
        """The page is there; what was held back because it seemed to be away is made good."""
        store = parts().store
        store.show(access.page, present=3 * settings().HEARTBEAT, kept=0)
        for instance in store.members(access.page):
            loaded = store.load(instance)
            if loaded is not None:
                watch(loaded.record)
                say_viewed(loaded.record, access.page)
                if loaded.mail:
                    look_after(instance)

    @staticmethod
    def check(accesses: Sequence[Access]) -> list[bool | None]:
        found = visitors([access.sign_in for access in accesses])
        return [
            visitor is not None and _may_see(access, visitor) for access, visitor in zip(accesses, found, strict=True)
        ]

    def closed(self, access: Access) -> None:
        with _lock:
            _open[access.page] -= 1
            if _open[access.page]:
                return  # it has connected anew before its old connection was found dead
            del _open[access.page]
        parts().store.show(access.page, present=_GRACE, kept=0)


def _may_see(access: Access, visitor: Visitor) -> bool | None:
    """Whether every view on a page still lets its visitor in; None when its database cannot tell now."""
    try:
        store = parts().store
        loaded = [store.load(instance) for instance in store.members(access.page)]
        records = [one.record for one in loaded if one is not None]
        return all(_lets_in(one, visitor) for one in records if one.owner.user in ("", access.sign_in.user))
    except StoreUnavailable:
        raise
    except DatabaseError:
        return None
    except Exception:  # a boundary: has_permission() is the project's code, and other streams wait for their check
        logger.exception("A permission of page %s could not be checked; its stream ends", access.page)
        return False


def _lets_in(record: Record, visitor: Visitor) -> bool:
    """The view's answer, asked once for a visitor, view and arguments."""
    question = (record.view, json.dumps(record.kwargs, sort_keys=True))
    if question not in visitor.answers:
        visitor.answers[question] = lets_in(record, visitor.request)
    return visitor.answers[question]
