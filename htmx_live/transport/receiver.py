"""The receiver port: where a bus hands live messages over."""

from typing import Protocol

from htmx_live.transport.messages import Message

__all__ = ["Receiver"]


class Receiver(Protocol):
    """Called in the bus's order, from any thread, while the bus holds its lock: no method blocks or raises."""

    def deliver(self, channels: tuple[str, ...], message: Message) -> None:
        """A message that was published to these channels, of which there is at least one."""

    def join(self, page: str, channels: tuple[str, ...]) -> None:
        """The open streams of a page listen on these channels too."""

    def close_streams(self, session: str) -> None:
        """End the streams that were opened with this hash of a session cookie."""

    def converge(self) -> None:
        """Messages may have been lost, or the epoch is another one: every reader has to catch up."""
