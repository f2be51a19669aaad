"""A gate for tests: it believes what the request's headers say."""

import threading
from collections.abc import Mapping, Sequence

from htmx_live.backends.wire import page_channel
from htmx_live.http.stream_endpoint import Access, Refusal

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

    def open(self, headers: Mapping[str, str]) -> Access | Refusal:
        page = headers.get("x-live-page", "")
        self.calls.append(("open", page))
        if not page:
            return Refusal(status=404)
        return Access(
            page=page,
            owner=headers.get("x-owner", page),
            session=headers.get("x-session", ""),
            channels=(page_channel(page), *headers.get("x-channels", "").split()),
        )

    def opened(self, access: Access) -> None:
        self._call("opened", access.page)

    def renewed(self, access: Access) -> None:
        self._call("renewed", access.page)

    def check(self, accesses: Sequence[Access]) -> list[bool | None]:
        return [True] * len(accesses)

    def closed(self, access: Access) -> None:
        self.calls.append(("closed", access.page))
        self.closed_one.set()

    def _call(self, name: str, page: str) -> None:
        self.calls.append((name, page))
        if page == "slow" and name == self.blocks:
            self.blocked.set()
            self.released.wait()
