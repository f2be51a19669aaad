"""``StreamGate``: who may open a page's stream, and what it carries."""

from collections import Counter
from collections.abc import Mapping
from threading import Lock

from htmx_live.conf import session_cookie_name, settings
from htmx_live.exceptions import GrantError, StoreNotShared
from htmx_live.grants import unsign_page
from htmx_live.ownership import is_allowed, opens_page
from htmx_live.pages import owner_of, session_hash
from htmx_live.records import Owner
from htmx_live.runtime.channels import shared_channels
from htmx_live.runtime.dispatch import look_after
from htmx_live.runtime.first import watch
from htmx_live.runtime.parts import parts
from htmx_live.runtime.processes import check_position
from htmx_live.runtime.shared import say_viewed
from htmx_live.sessions import request_of
from htmx_live.transport.channels import page_channel, user_channel
from htmx_live.transport.stream import Access, Refusal

__all__ = ["StreamGate"]

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
        if not opens_page(grant, owner):
            return Refusal(status=404)
        if not is_allowed(grant.page, owner, request):
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
            owner=owner.key if owner != Owner() else grant.page,  # visitors without a session are not one owner
            session=session_hash(request.COOKIES.get(session_cookie_name())),
            channels=tuple(channels),
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

    def closed(self, access: Access) -> None:
        with _lock:
            _open[access.page] -= 1
            if _open[access.page]:
                return  # it has connected anew before its old connection was found dead
            del _open[access.page]
        parts().store.show(access.page, present=_GRACE, kept=0)
