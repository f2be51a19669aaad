"""The outlet: where a view's wishes go, and the text streams that it sees there."""

from typing import Protocol

from htmx_live.events import Effect, EndText

__all__ = ["Outlet", "Streams"]


class Outlet(Protocol):
    """Where a view's wishes go: into the turn's list, or from a job into turns of their own."""

    def ask(self, effect: Effect) -> None: ...

    def flush(self) -> None: ...

    def text(self, stream: str) -> str | None: ...

    @property
    def cancelled(self) -> bool: ...

    def check_cancelled(self) -> None: ...


class Streams:
    """The text streams of one view."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def __contains__(self, name: str) -> bool:
        return self._outlet.text(name) is not None

    def __getitem__(self, name: str) -> str:
        text = self._outlet.text(name)
        if text is None:
            raise KeyError(name)
        return text

    def get(self, name: str, default: str = "") -> str:
        text = self._outlet.text(name)
        return default if text is None else text

    def pop(self, name: str, default: str = "") -> str:
        """End the stream; its text so far."""
        text = self.get(name, default)
        self._outlet.ask(EndText(stream=name))
        return text
