"""A live view's surroundings for components that are rendered by themselves."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.template import engines

from htmx_live.events.context import RenderContext, current_view
from htmx_live.events.handlers import background, collect_handlers, event_handler

__all__ = ["around", "show"]


class Rows:
    @event_handler
    @background(key="pk")
    def resend(self, pk: int) -> None: ...

    @event_handler
    def save(self, **kwargs: Any) -> None: ...


@contextmanager
def around() -> Iterator[None]:
    """A live view with the handlers ``resend`` and ``save``."""
    rendering = RenderContext(
        instance="1",
        view_path="tests.Rows",
        handlers=collect_handlers(Rows),
        event_url="/live/event/{}/".format,
        hidden_fields={"_live": "GRANT"},
        view=None,
    )
    token = current_view.set(rendering)
    try:
        yield
    finally:
        current_view.reset(token)


def show(template: str, **context: Any) -> str:
    """What a template with components becomes, without what django-components adds at random."""
    html = engines["django"].from_string("{% load htmx_live %}" + template).render(context)
    return re.sub(r' data-djc-id-\w+=""', "", html).strip()
