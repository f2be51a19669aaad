"""Live views that tests share."""

import threading
from typing import Any

from htmx_live import Cancelled, LiveView, UserError, background, event_handler, push_to_view


class Counter(LiveView):
    """Counts; nothing else."""

    template_name = "views/counter.html"

    def mount(self, request: Any, start: int = 0, **kwargs: Any) -> None:
        self.count = start
        self._secret = "kept, not shown"

    @event_handler
    def add(self, amount: int = 1) -> None:
        self.count += amount

    @event_handler
    async def add_later(self) -> None:
        self.count += 10

    @event_handler
    def nothing(self) -> None: ...

    @event_handler
    def quietly(self) -> None:
        self.count += 1
        self.skip_render()

    @event_handler
    def fail(self) -> None:
        self.count += 100
        raise RuntimeError("secret detail")

    @event_handler
    def refuse(self) -> None:
        raise UserError("Not on a Sunday.")

    @event_handler
    def leave(self, to: str = "/elsewhere/") -> None:
        self.redirect(to)

    @event_handler
    def say(self, text: str = "Saved.") -> None:
        self.notify(text, "success")

    def helper(self) -> None:
        """No handler."""


class Report(LiveView):
    """Seed 000's view, and more kinds of jobs."""

    template_name = "views/report.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.rows: list[int] = []
        self.clicks = 0
        self.error = ""
        self.ended: list[str] = []

    @event_handler
    def generate(self, year: int = 2026) -> None:
        self.error = ""
        self.start_async(self._generate, year)

    def _generate(self, year: int) -> int:
        self.rows = [year, year + 1]
        return len(self.rows)

    @event_handler
    def named(self, name: str = "export", text: str = "") -> None:
        self.start_async(self._append, text, name=name)

    def _append(self, text: str) -> None:
        self.error += text

    @event_handler
    def stop(self, name: str = "export") -> None:
        self.cancel_async(name)

    @event_handler
    def click(self) -> None:
        self.clicks += 1

    @event_handler
    def breaks(self) -> None:
        self.start_async(self._break, name="breaks")

    def _break(self) -> None:
        self.clicks += 7
        raise RuntimeError("secret detail")

    @event_handler
    def refuses(self) -> None:
        self.start_async(self._refuse, name="refuses")

    def _refuse(self) -> None:
        raise UserError("The file is empty.")

    @event_handler
    @background(key="pk")
    def resend(self, pk: int) -> None:
        self.rows = [*self.rows, pk]

    @event_handler
    @background
    async def slowly(self) -> None:
        self.clicks += 1000

    @event_handler
    @background
    def write(self) -> None:
        for line in ("one ", "two ", "<three>"):
            self.stream_text("log", line)

    @event_handler
    @background
    def in_steps(self) -> None:
        self.rows = [1]
        self.flush()
        self.rows = [1, 2]

    @event_handler
    @background
    def gives_up(self) -> None:
        self.rows = [9]
        raise Cancelled

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        self.ended = [*self.ended, name.partition("-")[0]]
        if error:
            self.error = str(error)


class Quiet(LiveView):
    """Fails without saying what to do about it."""

    template_name = "views/quiet.html"

    @event_handler
    @background
    def fail(self) -> None:
        raise RuntimeError("secret detail")


class Private(LiveView):
    template_name = "views/counter.html"
    login_required = True

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 0

    @event_handler
    def add(self, amount: int = 1) -> None:
        self.count += amount


GATES: dict[str, threading.Event] = {}


class Row(LiveView):
    """A child: one row of ``Rows``."""

    template_name = "views/row.html"
    root_tag = "li"

    def mount(self, request: Any, pk: int = 0, **kwargs: Any) -> None:
        self.pk = pk
        self.bumps = 0

    @event_handler
    def bump(self) -> None:
        self.bumps += 1

    @event_handler
    @background
    def work(self) -> None:
        self.bumps += 100

    def has_permission(self) -> bool:
        return bool(self.kwargs.get("pk") != 13)


class Rows(LiveView):
    """A parent: its rows stay, come, move and go."""

    template_name = "views/rows.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.pks = [1, 2]

    @event_handler
    def show(self, pks: list[int]) -> None:
        self.pks = pks


class Listing(LiveView):
    """A list whose search, sorting and page stand in the address."""

    template_name = "views/listing.html"
    url_state = ("q", "page", "tags", "open")
    url_push = ("page",)

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.q = ""
        self.page = 1
        self.tags: list[str] = []
        self.open = False

    @event_handler
    def search(self, value: str = "") -> None:
        self.q, self.page = value, 1

    @event_handler
    def turn(self, page: int) -> None:
        self.page = page

    @event_handler
    def tag(self, tags: list[str]) -> None:
        self.tags = tags

    @event_handler
    def toggle(self) -> None:
        self.open = not self.open


class Note(LiveView):
    """Seed 001's shared note, as it is printed there but for the imports."""

    template_name = "views/note.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.content = "first"
        self.heard: list[str] = []
        self._skip_broadcast = False

    @event_handler
    def update_content(self, value: str = "", **kwargs: Any) -> None:
        self.content = value
        self._broadcast({"content": value})

    def _broadcast(self, data: Any) -> None:
        self._skip_broadcast = True
        push_to_view("tests.sample_views.Note", handler="_on_broadcast", payload=data)

    def _on_broadcast(self, content: str = "", **kwargs: Any) -> None:
        if self._skip_broadcast:
            self._skip_broadcast = False
            self._skip_render = True
            return
        self.content = content

    @event_handler
    def tell(self, text: str) -> None:
        self.broadcast("hear", {"text": text})

    def hear(self, text: str) -> None:
        self.heard = [*self.heard, text]

    def breaks(self) -> None:
        self.heard = ["half"]
        raise RuntimeError("secret detail")


class Board(LiveView):
    """One board for all who look at it."""

    template_name = "views/board.html"
    scope = "shared"
    tick_interval = 1000
    mounted = 0

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 0
        type(self).mounted += 1

    @event_handler
    def add(self) -> None:
        self.count += 1
        self.sender = str(self.user.pk)

    @event_handler
    @background
    def work(self) -> None:
        self.count += 100

    def handle_tick(self) -> None:
        self.count += 10


class Nosy(LiveView):
    """A shared view that asks for what it does not have."""

    template_name = "views/nosy.html"
    scope = "shared"

    def mount(self, request: Any, about: str = "", **kwargs: Any) -> None:
        self.about = about
        if about == "user":
            assert self.user
