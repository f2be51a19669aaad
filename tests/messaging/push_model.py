"""What pushes in any order are compared with: views that log what they hear, the lines to their jobs, and a model."""

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

from htmx_live import LiveView, event_handler, push_to_view

__all__ = ["CLICKED", "LINES", "Job", "Model", "Pad", "SharedPad"]

PATIENCE = 30  # seconds until a thread that does not answer fails the test
CLICKED: list[Callable[[], None]] = []  # what is done while the click's handler runs
LINES: dict[str, "Line"] = {}  # by the token that a job was started with


class Pad(LiveView):
    """``log`` grows with what is heard, in order; ``a`` and ``b`` belong to the jobs of these names."""

    template_name = "push/pad.html"
    tick_interval = 1000

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.log: list[str] = []
        self.value = self.a = self.b = 0

    @event_handler
    def click(self, word: str) -> None:
        self.log = [*self.log, word]
        if CLICKED:
            thread = threading.Thread(target=CLICKED.pop())
            thread.start()
            thread.join(PATIENCE)

    @event_handler
    def tell(self, word: str) -> None:
        self.log = [*self.log, word]
        push_to_view(type(self), handler="hear", payload={"word": f"{word}-told"})

    @event_handler
    def start(self, name: str, token: str) -> None:
        self.start_async(self.work, name, token, name=name)

    @event_handler
    def stop(self, name: str) -> None:
        self.cancel_async(name)

    def work(self, name: str, token: str) -> int:
        while True:
            command, number = LINES[token].take()
            if command == "fail":
                raise RuntimeError("secret detail")
            if command == "return":
                return number
            setattr(self, name, number)
            if command == "flush":
                self.flush()

    def hear(self, word: str) -> None:
        self.log = [*self.log, word]

    def breaks(self, word: str) -> None:
        self.log, self.value = [word], -1
        raise RuntimeError("secret detail")

    def handle_tick(self) -> None:
        self.hear("tick")

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        self.hear(f"{name}!{error.kind}" if error else f"{name}={result}")


class SharedPad(Pad):
    scope = "shared"


class Line:
    """The machine's line to one job: a command goes out, and comes back when it is done."""

    def __init__(self) -> None:
        self._commands: Queue[tuple[str, int]] = Queue()
        self._done: Queue[str] = Queue()
        self.is_over = False

    def take(self) -> tuple[str, int]:
        self._done.put("ready")
        return self._commands.get(timeout=PATIENCE)

    def begin(self, run: Callable[[], None]) -> None:
        threading.Thread(target=lambda: (run(), self._done.put("over")), daemon=True).start()
        self._wait()

    def tell(self, command: str, number: int) -> None:
        self._commands.put((command, number))
        self._wait()

    def _wait(self) -> None:
        self.is_over = self._done.get(timeout=PATIENCE) == "over"


class Model:
    """One instance as one thing after the other would leave it.  ``jobs`` maps the names of those running to tokens."""

    def __init__(self, rev: int) -> None:
        self.rev = rev
        self.state: dict[str, Any] = {"log": [], "value": 0, "a": 0, "b": 0}
        self.jobs: dict[str, str] = {}
        self.is_busy = False
        self._mail: list[tuple[str, Callable[[], None]]] = []

    @property
    def text(self) -> str:
        return "{}|{value}|{a}|{b}".format(" ".join(self.state["log"]), **self.state)

    def hear(self, *words: str) -> None:
        self.state["log"] = [*self.state["log"], *words]

    def post(self, letter: Callable[[], None], *, fold: str = "", now: bool) -> None:
        if fold and self._mail[-1:] and self._mail[-1][0] == fold:  # the newer one says all
            self._mail.pop()
        self._mail.append((fold, letter))
        if now:
            self.drain()

    def drain(self) -> None:
        """All that waits is one turn, unless a user's is running."""
        if self._mail and not self.is_busy:
            letters, self._mail = self._mail, []
            for _, letter in letters:
                letter()
            self.rev += 1

    def user(self, event: Callable[[], None]) -> None:
        """A user's turn; what waits comes after it."""
        event()
        self.rev += 1
        self.is_busy = False
        self.drain()

    def hand_over(self, name: str, token: str, changes: dict[str, int]) -> None:
        if self.jobs.get(name) == token:
            self.state.update(changes)

    def end(self, name: str, token: str, changes: dict[str, int], word: str) -> None:
        if self.jobs.get(name) == token:
            self.hand_over(name, token, changes)
            del self.jobs[name]
            self.hear(word)


class Job:
    """A job that was started, and what it has assigned since it handed over last."""

    def __init__(self, name: str, token: str, model: Model) -> None:
        self.name, self.token, self.model = name, token, model
        self.changes: dict[str, int] = {}
        self.line = LINES[token] = Line()

    @property
    def is_wanted(self) -> bool:
        return self.model.jobs.get(self.name) == self.token
