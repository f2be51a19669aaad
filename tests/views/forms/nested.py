"""A table whose rows are live views of their own."""

from typing import Any

from htmx_live import LiveView, event_handler


class Row(LiveView):
    template_name = "forms/row.html"
    root_tag = "tr"

    def mount(self, request: Any, pk: int, **kwargs: Any) -> None:
        self.pk, self.count = pk, 0

    @event_handler
    def count_up(self) -> None:
        self.count += 1


class Table(LiveView):
    template_name = "forms/table.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.pks, self.ticks = [1, 2, 3], 0

    @event_handler
    def turn_around(self) -> None:
        self.pks = self.pks[::-1]

    @event_handler
    def add(self) -> None:
        self.pks = [*self.pks, max(self.pks) + 1]

    @event_handler
    def drop(self) -> None:
        self.pks = self.pks[1:]


class TickingTable(Table):
    """Renders itself again and again, without being asked."""

    tick_interval = 200

    def handle_tick(self) -> None:
        self.ticks += 1
