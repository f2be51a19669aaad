"""A live view, the smallest that shows something."""

from htmx_live import LiveView, event_handler


class CounterView(LiveView):
    template_name = "counter.html"

    def mount(self, request, **kwargs):
        self.count = 0

    @event_handler
    def add(self, step: int = 1):
        self.count += step
