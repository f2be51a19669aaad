"""A gate for tests: it believes what the request's headers say."""

import threading
from collections.abc import Mapping, Sequence

from htmx_live.backends.wire import page_channel
from htmx_live.http.stream_endpoint import Denial, StreamGrant

__all__ = ["TrustingGate"]


class TrustingGate:
    """``calls`` are the gate's calls with the page of each, in order.

    A page called "slow" keeps the gate busy, from the call named ``blocks`` on, until ``released`` is set.
    """

    def __init__(self, *, blocks: str = "renewed") -> None:
        self.calls: list[tuple[str, str]] = []
        self.closed_one = threading.Event()
        self.blocks = blocks
        self.blocked, self.released = threading.Event(), threading.Event()

    def authorize(self, headers: Mapping[str, str]) -> StreamGrant | Denial:
        page = headers.get("x-live-page", "")
        self.calls.append(("open", page))
        if not page:
            return Denial(status=404)
        return StreamGrant(
            page=page,
            owner_key=headers.get("x-owner", page),
            session_hash=headers.get("x-session", ""),
            channels=(page_channel(page), *headers.get("x-channels", "").split()),
        )

    def on_open(self, grant: StreamGrant) -> None:
        self._call("opened", grant.page)

    def on_heartbeat(self, grant: StreamGrant) -> None:
        self._call("renewed", grant.page)

    def check(self, grants: Sequence[StreamGrant]) -> list[bool | None]:
        return [True] * len(grants)

    def on_close(self, grant: StreamGrant) -> None:
        self.calls.append(("closed", grant.page))
        self.closed_one.set()

    def _call(self, name: str, page: str) -> None:
        self.calls.append((name, page))
        if page == "slow" and name == self.blocks:
            self.blocked.set()
            self.released.wait()
