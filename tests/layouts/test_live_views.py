"""Live views in layouts: as the content, as panels, and in panels that come later."""

import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path

from htmx_live.layouts import Layout, Panel, async_layout, layout
from htmx_live.runtime.owners import COOKIE_PREFIX
from tests.layouts.conftest import Templates, answer
from tests.sample_views import Counter

TEMPLATE = (
    "{% load layouts htmx_live %}<head>{% htmx_live %}</head>"
    "<main>{% panel 'content' %}{% endpanel %}</main>"
    "<aside>{% panel 'one' %}{% endpanel %}{% panel 'two' %}{% endpanel %}</aside>"
)


class WithLive(Layout):
    template = "live.html"


class LazyLive(WithLive):
    one = Panel(Counter.as_view(), lazy=True)


async def amain(request: Any) -> Any:
    return answer("main")(request)


two_counters = {name: Panel(Counter.as_view(start=number)) for name, number in (("one", 1), ("two", 2))}

urlpatterns = [
    path("content/", layout(WithLive)(Counter.as_view(start=5))),
    path("panels/", layout(WithLive, panels=two_counters)(answer("main"))),
    path("apanels/", async_layout(WithLive, panels=two_counters)(amain)),
    path("lazy/", layout(LazyLive)(answer("main"))),
    path("live/", include("htmx_live.urls")),
]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def served(templates: Templates) -> Any:
    templates({"live.html": TEMPLATE})
    with override_settings(ROOT_URLCONF=__name__):
        yield


def grants(html: str) -> list[str]:
    """The page's grant, where the page has one."""
    return re.findall(r'data-page="([^"]+)"', html)


def counts(html: str) -> list[str]:
    return re.findall(r'<div id="live-\w+"[^>]* data-live="[^"]+"[^>]*>\s*<p>(\d+)</p>', html)


def test_a_layout_is_the_shell_of_a_live_view(client: Client) -> None:
    html = client.get("/content/").content.decode()
    assert (html.count("<head>"), counts(html), len(grants(html))) == (1, ["5"], 1)


@pytest.mark.parametrize("address", ["/panels/", "/apanels/"])
def test_live_views_in_panels_belong_to_one_page(client: Client, address: str) -> None:
    response = client.get(address)
    html = response.content.decode()
    assert (counts(html), len(grants(html))) == (["1", "2"], 1)
    [owner] = set(response.cookies) - {"csrftoken"}
    assert owner.startswith(COOKIE_PREFIX)


def test_live_views_in_panels_work_under_asgi() -> None:
    async def visit() -> str:
        return (await AsyncClient().get("/apanels/")).content.decode()

    assert counts(async_to_sync(visit)()) == ["1", "2"]


def test_a_live_view_in_a_panel_takes_its_events(client: Client) -> None:
    html = client.get("/apanels/").content.decode()
    (page,) = grants(html)
    grant = re.findall(r'data-live="([^"]+)"', html)[0]
    headers = {"X-Live": grant, "X-Live-Page": page, "X-Live-Nonce": "0" * 32}
    response = client.post("/live/event/add/", {"_args": '{"amount": 2}'}, headers=headers)
    assert (response.status_code, "<p>3</p>" in response.content.decode()) == (200, True)


def test_a_lazy_live_view_brings_the_page_its_grant(client: Client) -> None:
    html = client.get("/lazy/").content.decode()
    url = re.findall(r'hx-get="([^"]+)"', html)[0]
    response = client.get(url, headers={"HX-Request": "true"})
    assert (grants(html), counts(response.content.decode())) == ([], ["0"])
    assert {"X-Live-Page", "X-Live-Number", "X-Live-CSRF"} <= set(response.headers)
