"""A lazy panel that does not come says so, in the project's words, and can be asked for again."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LivePage
from tests.browser.markup import root
from tests.browser.scripted_server import STATIC, Exchange
from tests.components.showing import show

pytestmark = pytest.mark.browser


def test_a_panel_that_does_not_come_says_so_and_is_tried_again(live: LivePage) -> None:
    live.server.files["/static/htmx_live/layouts.js"] = STATIC / "layouts.js"
    live.server.on["other"] = Exchange.cut
    panel = show(
        '{% component "live_lazy_panel" "/part/" %}{% fill "error" %}<p>No offers.</p>{% endfill %}{% endcomponent %}'
    )
    live.open(root("1") + panel)
    expect(live.page.get_by_text("No offers.")).to_be_visible()
    expect(live.page.get_by_text("Loading…")).to_be_hidden()
    live.server.on["other"] = lambda exchange: exchange.answer("<p>Three offers</p>")
    live.page.get_by_role("button", name="Try again").click()
    expect(live.page.get_by_text("Three offers")).to_be_visible()
    expect(live.page.get_by_text("No offers.")).to_have_count(0)
