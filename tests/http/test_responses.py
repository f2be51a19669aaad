"""A ``UserError`` is an answer to the user: one line in the log at INFO, wherever it is raised, and no traceback."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from htmx_live import LiveView, UserError, background, event_handler, push_to_view
from htmx_live.layouts.base import Layout
from htmx_live.layouts.conf import PanelError
from htmx_live.layouts.page import render_panel_failure
from htmx_live.progress import ProgressSession
from htmx_live.testing import LiveClient
from tests.progress.conftest import staged

__all__ = ["staged"]


class Refusing(LiveView):
    template_name = "views/plain.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 0

    @event_handler
    def refuse(self) -> None:
        raise UserError("Row 7\nhas no price.")

    @event_handler
    @background
    def refuse_later(self) -> None:
        raise UserError("Row 7\nhas no price.")


class Prices(Layout):
    template = "layouts/prices.html"


def refuse() -> None:
    raise UserError("Row 7\nhas no price.")


@pytest.fixture(autouse=True)
def log(caplog: Any, settings: Any) -> Any:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    caplog.set_level(logging.INFO, "htmx_live")
    return caplog


def lines(log: Any) -> list[tuple[str, bool, str]]:
    """Level, whether there is a traceback, and the end of the text."""
    return [
        (one.levelname, one.exc_info is not None, one.getMessage()[-22:])
        for one in log.records
        if one.name.startswith("htmx_live")
    ]


ONE_LINE = [("INFO", False, ": Row 7\\nhas no price.")]


def test_of_an_event(live: Callable[..., LiveClient], log: Any) -> None:
    live(Refusing).send("refuse", {})
    assert lines(log) == ONE_LINE


def test_of_a_job(live: Callable[..., LiveClient], log: Any) -> None:
    page = live(Refusing).send("refuse_later", {})
    page.run_jobs(raise_errors=False)
    assert lines(log) == ONE_LINE
    assert page.notices[-1]["message"] == "Row 7\nhas no price."


def test_of_a_push_whose_user_is_shown_the_text(live: Callable[..., LiveClient], log: Any) -> None:
    page = live(Refusing)
    push_to_view(Refusing, handler="refuse")
    assert lines(log) == ONE_LINE
    assert page.notices == [{"message": "Row 7\nhas no price.", "level": "error"}]


def test_of_a_task_with_progress(staged: Any, log: Any) -> None:
    session = ProgressSession.create({"a": "Import"})
    session.run("a", refuse)
    staged.runner.run_all()
    assert lines(log) == ONE_LINE


def test_of_a_panel(rf: Any, log: Any) -> None:
    error = PanelError.from_exception("prices", refuse, UserError("Row 7\nhas no price."))
    render_panel_failure(Prices(), rf.get("/"), error)
    assert lines(log) == ONE_LINE
