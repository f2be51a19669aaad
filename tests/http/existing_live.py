"""What that project adds: a live view, and messages on each kind of channel that its page hears."""

from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse

from htmx_live import LiveView, Topic, event_handler, notify, push_to_view, send_fragment

SECRET = "only-for-this-page"


class Board(LiveView):
    template_name = "push/everything.html"

    def mount(self, request, **kwargs):
        self.text = ""

    @event_handler
    def write(self):
        self.text = SECRET
        self.stream_text("log", SECRET)


class SharedBoard(Board):
    template_name = "push/text.html"
    scope = "shared"


def push(request: HttpRequest) -> HttpResponse:
    push_to_view(SharedBoard, state={"text": SECRET})
    send_fragment("orders", html=SECRET, to=Topic("orders"))
    notify(get_user_model().objects.get(username="ann"), SECRET)
    return HttpResponse()
