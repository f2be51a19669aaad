"""Live views to attack: what a user writes appears in every place where text can stand."""

from typing import Any

from django.http import Http404, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.template import engines

from htmx_live import LiveView, UserError, background, event_handler, notify


class Guestbook(LiveView):
    template_name = "threats/guestbook.html"

    def mount(self, request: Any, rest: str = "", **kwargs: Any) -> None:
        self.text = request.GET.get("text", "")
        self.calls = 0

    @event_handler
    def write(self, text: str) -> None:
        self.calls += 1
        self.text = text

    @event_handler
    @background
    def write_later(self, text: str) -> None:
        self.text = text
        self.notify(text)
        self.stream_text("log", text)

    @event_handler
    def stream(self, text: str) -> None:
        self.stream_text("log", text)

    @event_handler
    @background(key="text")
    def keyed(self, text: str) -> None:
        """Its key stands in data-live-pending."""

    @event_handler
    def say(self, text: str) -> None:
        self.notify(text, level="success")

    @event_handler
    def refuse(self, text: str) -> None:
        raise UserError(text)

    @event_handler
    def leave(self, to: str) -> None:
        self.redirect(to)

    @event_handler
    def go(self, to: str) -> HttpResponseRedirect:
        return HttpResponseRedirect(to)

    @event_handler
    @background
    def leave_later(self, to: str) -> None:
        self.redirect(to)

    @event_handler
    def tell(self, text: str = "told", to: str = "") -> None:
        notify(self.request, text, url=to)

    @event_handler
    def collect(self, **fields: Any) -> None:
        self.text = str(sorted(fields.items()))

    @event_handler
    def hold(self, value: dict) -> None:
        self.text = value

    @event_handler
    def look_up(self, pk: int) -> None:
        self.calls += 1
        raise Http404(f"no row {pk}")

    def helper(self) -> None:
        self.calls += 1


class Guarded(LiveView):
    """For whoever has a permission; it also starts work."""

    template_name = "threats/guarded.html"
    permission_required = "auth.view_user"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 0

    @event_handler
    def add(self) -> None:
        self.count += 1

    @event_handler
    def work(self) -> None:
        self.start_async(self._work, name="work")

    def _work(self) -> None:
        self.count += 1000

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        self.ended = [name, error is not None]


class Shared(LiveView):
    """One for all who have a permission."""

    template_name = "threats/guarded.html"
    scope = "shared"
    permission_required = "auth.view_user"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 0

    @event_handler
    def add(self) -> None:
        self.count += 1


class Board(LiveView):
    """Nothing to click: it needs no session."""

    template_name = "threats/board.html"


class Tokens(LiveView):
    """Writes a CSRF token in every way that a template has."""

    template_name = "threats/tokens.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.text = ""

    @event_handler
    def write(self, text: str = "") -> None:
        self.text = text

    @event_handler
    @background
    def work(self) -> None:
        self.text = "worked"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        drawn = engines["django"].from_string("{% csrf_token %}").render({}, self.request)
        return super().get_context_data(drawn=drawn, asked=get_token(self.request), **kwargs)
