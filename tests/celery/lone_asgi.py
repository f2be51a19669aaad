"""A web process whose own threads perform the job that the environment names."""

import os
import threading

from django.core.asgi import get_asgi_application

from htmx_live.asgi import live_asgi

application = live_asgi(get_asgi_application())


def begin() -> None:
    from .cluster import Page
    from .views import Desk

    Page(Desk).send("start", job=os.environ["TEST_JOB"], path=os.environ["TEST_BELL"])


threading.Thread(target=begin).start()  # not on the server's loop
