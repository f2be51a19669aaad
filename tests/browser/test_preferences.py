"""What the style sheet does for who wants less motion, or colours of their own."""

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Page, expect

from tests.browser.markup import document
from tests.browser.scripted_server import ScriptedServer

pytestmark = pytest.mark.browser


def bar(percent: int, status: str, **more: object) -> str:
    return render_to_string("htmx_live/progress_bar.html", {"percent": percent, "status": status, **more})


def toast(**values: object) -> str:
    return render_to_string("htmx_live/toast.html", {"level": "error", "text": "Signed out", **values})


OVERLAY = (
    '<div><p>Behind</p><div class="live-overlay"><span class="live-spinner"></span><b id="said">Working</b></div></div>'
)
BODY = (
    f"{bar(42, 'running')}{bar(0, 'running', is_indeterminate=True)}{OVERLAY}"
    f'<div class="live-toasts">{toast(signin="/in/")}{toast(action="retry")}</div>'
)


def show(page: Page, server: ScriptedServer, **preferences: object) -> None:
    server.pages["/"] = document(BODY, htmx=None, page=None)
    page.emulate_media(**preferences)  # type: ignore[arg-type]
    page.goto(server.url)


def style(page: Page, selector: str, name: str) -> str:
    return str(page.locator(selector).first.evaluate("(elt, name) => getComputedStyle(elt)[name]", name))


def test_nothing_moves_for_who_wants_less_motion(page: Page, server: ScriptedServer) -> None:
    show(page, server, reduced_motion="reduce")
    names = page.evaluate("[...document.body.querySelectorAll('*')].map((elt) => getComputedStyle(elt).animationName)")
    assert set(names) == {"none", "live-breathe"}  # a spinner fades in its place
    assert style(page, ".live-progress-done", "transitionDuration") == "0s"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forced_colours_leave_all_to_be_seen(page: Page, server: ScriptedServer, scheme: str) -> None:
    show(page, server, forced_colors="active", color_scheme=scheme)
    canvas, text = (
        ("rgb(255, 255, 255)", "rgb(0, 0, 0)") if scheme == "light" else ("rgb(0, 0, 0)", "rgb(255, 255, 255)")
    )
    assert style(page, ".live-progress-done", "fill") not in (canvas, style(page, "body", "backgroundColor"))
    expect(page.locator(".live-overlay")).to_have_css("opacity", "1")  # it fades in
    assert style(page, "#said", "color") == text
    assert style(page, ".live-spinner", "borderBottomColor") == text
    assert style(page, ".live-toast", "borderTopColor") == style(page, ".live-toast", "color") == text


def test_the_way_to_go_on_stands_out_in_a_toast(page: Page, server: ScriptedServer) -> None:
    show(page, server, color_scheme="light")
    assert style(page, ".live-toast a", "backgroundColor") == "rgb(37, 99, 235)"
    assert style(page, ".live-toast a", "color") == "rgb(255, 255, 255)"
    assert style(page, "[data-live-action=retry]", "backgroundColor") == "rgb(255, 255, 255)"
    assert style(page, ".live-close", "borderTopColor") == "rgba(0, 0, 0, 0)"
