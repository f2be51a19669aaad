"""Access to a stream: what the layer above says about a request for one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from htmx_live.conf import settings

__all__ = ["Access", "Gate", "Refusal", "Refused", "validity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One page may listen on ``channels``, its own among them.

    ``owner`` is whose streams are counted together; ``session`` is a hash of the session cookie or of a visitor's
    token, empty without both: a logout ends the streams with the same hash.  ``user`` is the user's own channel, empty
    for a visitor: ``end_streams()`` ends the streams with the same.  ``sign_in`` is what ``Gate.check`` needs.
    """

    page: str
    owner: str
    session: str
    channels: tuple[str, ...]
    user: str = ""
    sign_in: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No stream; ``status`` as in docs/wire.md."""

    status: int


class Refused(Exception):
    """A stream is not opened; the answer has this status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"The stream was refused with status {status}.")


class Gate(Protocol):
    """What the layer above decides and wants to know about streams.

    Every method is called on a thread of the transport's own, whose database connections are closed afterwards.
    For one stream ``opened`` comes first, ``closed`` last and once, and these and ``renewed`` do not overlap.
    """

    def open(self, headers: Mapping[str, str]) -> Access | Refusal:
        """Whether a request with these headers, of lower-case names, may have a stream."""

    def opened(self, access: Access) -> None: ...

    def renewed(self, access: Access) -> None:
        """The stream is still open; said about every ``HEARTBEAT``."""

    def closed(self, access: Access) -> None: ...

    def check(self, accesses: Sequence[Access]) -> Sequence[bool | None]:
        """For each of these open streams whether it may go on; None where that cannot be told now.

        Asked for many at a time; those of one owner come together.
        """


def validity() -> float:
    """Seconds for which a stream sends content after a check: a heartbeat, and at least a second."""
    return max(settings().HEARTBEAT, 1.0)
