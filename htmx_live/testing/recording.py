"""``RecordingTransport``: a bus that remembers what it was given to send."""

from collections.abc import Callable

from htmx_live.transport.bus import MemoryBus
from htmx_live.transport.messages import Message

__all__ = ["RecordingTransport"]


class RecordingTransport(MemoryBus):
    """The bus of one process; ``messages`` are those that were sent, in order, whoever listened."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.messages: list[Message] = []
        self._listeners: list[tuple[list[str], Callable[[Message], None]]] = []
        self.subscribe(_Recorder(self))

    def listen(self, channels: list[str], receive: Callable[[Message], None]) -> None:
        """Hand live messages of these channels to ``receive``."""
        self._listeners.append((channels, receive))

    def ignore(self, channels: list[str], receive: Callable[[Message], None]) -> None:
        """The reverse of ``listen``."""
        self._listeners.remove((channels, receive))

    def record(self, channels: tuple[str, ...], message: Message) -> None:
        self.messages.append(message)
        for listened, receive in list(self._listeners):
            if not set(listened).isdisjoint(channels):
                receive(message)


class _Recorder:
    """The receiver's side of it; control messages have no stream here to act on."""

    def __init__(self, transport: RecordingTransport) -> None:
        self._transport = transport

    def deliver(self, channels: tuple[str, ...], message: Message) -> None:
        self._transport.record(channels, message)

    def join(self, page: str, channels: tuple[str, ...]) -> None: ...

    def close_streams(self, session: str) -> None: ...

    def converge(self) -> None: ...
