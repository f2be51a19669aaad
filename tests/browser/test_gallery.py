"""Every example of the gallery, used: what can be typed into is, what can be pressed is, and nothing is refused."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from demo.gallery.examples import component_names
from tests.browser.visitors import Visitors, visiting
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser

ASKS = "elt => !!elt.closest('[hx-post], [hx-get]')"  # a toast's buttons ask nobody
BUTTON = "button:visible:enabled:not([data-live-action=reload])"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("gallery")) as server:
        yield server


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


@pytest.mark.parametrize("name", component_names())
def test_every_example_can_be_used(server: Server, visitors: Visitors, name: str) -> None:
    page = visitors.at(server, f"/gallery/{name}/")
    refused: list[tuple[str, int]] = []
    page.on("response", lambda one: refused.append((one.url, one.status)) if one.status >= 400 else None)
    for stage in page.locator(".stage").all():
        for field in stage.locator("input:visible, textarea:visible").all():
            field.fill("typed")
        for button in stage.locator(BUTTON).all():
            # A click on one may make another busy, or take it away.
            if button.is_visible() and button.is_enabled():
                _press(button)
    assert refused == []


def test_what_is_typed_into_a_form_component_is_saved(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/gallery/live_form/", name="")
    stage = page.locator(".stage").first
    stage.get_by_label("Note").fill("typed")
    stage.get_by_role("button", name="Save").click()
    expect(stage.get_by_role("button", name="Saving…")).to_be_disabled()
    expect(stage.get_by_role("button", name="Save", exact=True)).to_be_enabled()


def test_a_page_says_which_framework_is_not_installed(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/gallery/beside/bootstrap/")
    expect(page.get_by_text("Bootstrap 5 is not installed here.")).to_be_visible()


def _press(button: Locator) -> None:
    """Click, and wait for the answer to it."""
    if not button.evaluate(ASKS):
        return button.click()
    with button.page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true"):
        button.click()
