"""Mistakes that only rendered HTML shows are errors in tests and in DEBUG."""

from typing import Any

import pytest
from django.template import TemplateSyntaxError

from htmx_live import LiveView, event_handler

pytestmark = pytest.mark.django_db


def test_two_triggers_on_one_element_are_an_error(live: Any) -> None:
    with pytest.raises(TemplateSyntaxError, match=r"2 \{% on %\}, for save and check"):
        live(Twice)


class Twice(LiveView):
    template_name = "views/twice.html"

    @event_handler
    def save(self) -> None: ...

    @event_handler
    def check(self) -> None: ...
