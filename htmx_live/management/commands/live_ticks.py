"""``manage.py live_ticks``: ticks in a process of their own, for servers that shall only serve."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.urls import get_resolver
from django.utils.module_loading import autodiscover_modules

from htmx_live.backends.memory.store import MemoryStore
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import log_unavailable
from htmx_live.runtime.services import services
from htmx_live.runtime.ticks import release_ticks, start_ticking_viewed, ticking_views

logger = logging.getLogger("htmx_live.runtime")

_EXIT_TIMEOUT = 10.0  # seconds that turns have to end when the command is stopped


class Command(BaseCommand):
    help = "Calls handle_tick() of live views that somebody looks at, until it is stopped. See docs/push.md."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--look", type=float, default=2.0, metavar="SECONDS", help="how often to look for new viewers (2)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if isinstance(services().store, MemoryStore):
            raise CommandError(
                "Live views are kept in the memory of the web process, where this command cannot reach them. Set "
                "HTMX_LIVE['REDIS_URL'], or leave HTMX_LIVE['TICKS'] at 'web': one process needs no command."
            )
        get_resolver().url_patterns  # noqa: B018 - imports the views of the URLconf
        autodiscover_modules("views")
        views = ticking_views()
        self.stdout.write(f"Ticking {', '.join(sorted(view.__name__ for view in views)) or 'nothing'}.")
        if settings().TICKS != "command":
            self.stdout.write(
                "The web processes tick as well: set HTMX_LIVE['TICKS'] to 'command' to leave it to this."
            )
        stop_event = _create_stop_event()
        while True:
            try:
                start_ticking_viewed(views)
            except StoreUnavailable as error:
                log_unavailable(logger, error, "rounds of ticks", "The store cannot say what is shown; trying again")
            if stop_event.wait(options["look"]):
                break
        self._shut_down()

    def _shut_down(self) -> None:
        """What is due is not begun any more, what has begun ends, and another process may go on at once."""
        process_services = services()
        scheduled = process_services.ticker.stop()
        process_services.turn_pool.join(_EXIT_TIMEOUT)
        try:
            release_ticks(scheduled)
        except StoreUnavailable as error:
            message = "The ticks of this process are free for others when their leases run out"
            log_unavailable(logger, error, "releases of ticks", message)


def _create_stop_event() -> threading.Event:
    stop_event = threading.Event()

    def request_stop(number: int, frame: FrameType | None) -> None:
        stop_event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    return stop_event
