"""Errors: one panel's failure is its own, and what the user and the developer get to see of it."""

import asyncio
import logging
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import override_settings

from htmx_live.layouts import Layout, Panel, PanelError, PanelRenderError
from tests.layouts.conftest import Templates, Way, answer, text

raising = override_settings(HTMX_LIVE={"LAYOUTS": {"DEBUG_ERRORS": True}})


class Broken(Exception):
    pass


def broken(request: HttpRequest) -> HttpResponse:
    raise Broken("secret <text>")


async def abroken(request: HttpRequest) -> HttpResponse:
    raise Broken("secret <text>")


async def cancels_itself(request: HttpRequest) -> HttpResponse:
    raise asyncio.CancelledError


def cancels_itself_in_a_thread(request: HttpRequest) -> HttpResponse:
    raise asyncio.CancelledError


class Failing(Layout):
    template = "page.html"
    before = Panel(answer("before"))
    bad = Panel(broken)
    after = Panel(answer("after"))


@pytest.fixture(autouse=True)
def site(templates: Templates) -> None:
    panels = (
        "{% panel 'before' %}{% endpanel %}|{% panel 'bad' %}fallback{% endpanel %}|{% panel 'after' %}{% endpanel %}"
    )
    templates(
        {
            "page.html": "{% load layouts %}" + panels,
            "mine.html": "sorry, {{ error.panel_name }}",
            "broken.html": "{% load nope %}",
        }
    )


@pytest.mark.parametrize("view", [broken, abroken, cancels_itself, cancels_itself_in_a_thread])
def test_one_panels_failure_leaves_the_others_alone(way: Way, get: Any, view: Any, caplog: Any) -> None:
    html = text(way.page(Failing, get("/"), panels={"bad": Panel(view)}))
    shown = '<p class="layout-error" role="alert">This part of the page could not be loaded.</p>\n'
    assert html == f"before|{shown}|after"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "Panel 'bad' of tests.Failing failed"
    assert record.exc_info is not None


def test_the_error_template_is_the_layouts_own(way: Way, get: Any) -> None:
    class Mine(Failing):
        error_template = "mine.html"

    assert text(way.page(Mine, get("/"))) == "before|sorry, bad|after"


def test_a_failing_error_template_leaves_the_fallback(way: Way, get: Any) -> None:
    class Mine(Failing):
        error_template = "broken.html"

    assert text(way.page(Mine, get("/"))) == "before|fallback|after"


@pytest.mark.parametrize("view", [broken, abroken])
def test_the_hook_gets_the_whole_account(way: Way, get: Any, view: Any) -> None:
    accounts: list[PanelError] = []

    class Mine(Failing):
        bad = Panel(view)

        def on_panel_error(self, request: HttpRequest, error: PanelError) -> str:
            accounts.append(error)
            return "hook"

    assert text(way.page(Mine, get("/"))) == "before|hook|after"
    (account,) = accounts
    assert (account.panel_name, account.source, str(account.exception)) == ("bad", view, "secret <text>")
    assert account.traceback_str.splitlines()[-1].endswith("Broken: secret <text>")
    assert f"in {view.__name__}" in account.traceback_str


def test_a_failing_hook_leaves_the_fallback(way: Way, get: Any) -> None:
    class Mine(Failing):
        def on_panel_error(self, request: HttpRequest, error: PanelError) -> str:
            raise Broken

    assert text(way.page(Mine, get("/"))) == "before|fallback|after"


@raising
@pytest.mark.parametrize("view", [broken, abroken])
def test_debug_errors_raises_after_all_panels_have_run(way: Way, get: Any, view: Any) -> None:
    ran: list[str] = []
    panels = {"bad": Panel(view), "after": Panel(lambda request: ran.append("after") or "after")}
    with pytest.raises(PanelRenderError, match=r"Panel 'bad' failed: Broken\('secret <text>'\)") as caught:
        way.page(Failing, get("/"), panels=panels)
    assert ran == ["after"]
    assert isinstance(caught.value.__cause__, Broken)
    assert "Broken" in caught.value.panel_error.traceback_str


@pytest.mark.parametrize(
    ("debug", "asked", "raises"), [(True, None, True), (False, None, False), (True, False, False), (False, True, True)]
)
def test_debug_errors_follows_debug_unless_it_is_set(debug: bool, asked: bool | None, raises: bool, get: Any) -> None:
    way = Way(is_async=False)
    with override_settings(DEBUG=debug, HTMX_LIVE={"LAYOUTS": {"DEBUG_ERRORS": asked}}):
        if raises:
            with pytest.raises(PanelRenderError):
                way.page(Failing, get("/"))
        else:
            assert text(way.page(Failing, get("/"))).startswith("before|")
