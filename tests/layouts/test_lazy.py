"""Lazy panels: placeholders that load themselves, and the endpoint that they load from."""

import re
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.utils import translation

from htmx_live.layouts import PanelRenderError
from tests.layouts import site
from tests.layouts.conftest import Templates, Way
from tests.layouts.site_templates import TEMPLATES

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def served(templates: Templates) -> Any:
    templates(TEMPLATES)
    with override_settings(ROOT_URLCONF="tests.layouts.site"):
        yield
    site.gates.clear()
    site.seen.clear()


@pytest.fixture(params=["page", "apage"])
def address(request: pytest.FixtureRequest) -> str:
    """The sync page, then the async one."""
    return f"/site/{request.param}/"


def panel_url(html: str) -> str:
    (url,) = set(re.findall(r'hx-get="(/live/layouts/[^"]+)"', html))
    return url  # type: ignore[no-any-return]


def section(html: str, name: str) -> str:
    return html.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def load(client: Client, address: str, **headers: str) -> tuple[str, Any]:
    """The page's HTML, and what its one lazy panel loads."""
    html = client.get(address).content.decode()
    return html, client.get(panel_url(html), headers={**HTMX, **headers})


@pytest.mark.django_db(transaction=True)
def test_a_lazy_panel_is_a_placeholder_that_loads_itself(client: Client, address: str) -> None:
    html = client.get(f"{address}?show=account").content.decode()
    url = panel_url(html)
    assert section(html, "account") == (
        '<script src="/static/htmx_live/layouts.js" defer></script>\n'
        '<div class="layout-panel" data-layout-panel="account" aria-busy="true" '
        f'hx-get="{url}" hx-trigger="load" hx-target="this" hx-swap="outerHTML" hx-push-url="false">'
        f'waiting<noscript><a href="{url}">Show this part</a></noscript>'
        f'<button type="button" class="layout-retry" data-layout-retry hx-get="{url}" '
        'hx-target="closest [data-layout-panel]" hx-swap="outerHTML" hx-push-url="false" hidden>Try again</button>\n'
        "</div>\n"
    )


@pytest.mark.django_db(transaction=True)
def test_a_visible_panel_loads_when_it_is_scrolled_to(client: Client, address: str) -> None:
    assert 'hx-trigger="revealed"' in section(client.get(f"{address}?show=seen").content.decode(), "seen")


@pytest.mark.django_db(transaction=True)
def test_a_lazy_panel_sees_its_page_and_its_user(client: Client, address: str) -> None:
    client.force_login(User.objects.create(username="ann"))
    _, response = load(client, f"{address}?show=account&order=7")
    assert response.content.decode() == (
        f'<p>ann {address}?show=account&order=7 Site 7</p>\n<script src="/account.js"></script>'
    )
    (request,) = site.seen
    assert (request.layout_role, request.resolver_match.route) == ("panel", address.lstrip("/"))  # type: ignore[attr-defined]
    assert request.GET["order"] == "7"


@pytest.mark.django_db(transaction=True)
def test_a_lazy_panel_is_in_the_language_of_its_page(client: Client) -> None:
    with translation.override("de"):
        html = client.get("/site/page/?show=account").content.decode()
    client.get(panel_url(html), headers=HTMX)
    assert [request.language for request in site.seen] == ["de"]
    assert translation.get_language() == "en"


@pytest.mark.django_db(transaction=True)
def test_the_answer_is_not_kept_by_any_cache(client: Client) -> None:
    _, response = load(client, "/site/page/?show=account")
    assert response.headers["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"


@pytest.mark.django_db(transaction=True)
def test_nobody_else_can_load_a_panel(client: Client) -> None:
    client.force_login(User.objects.create(username="ann"))
    url = panel_url(client.get("/site/page/?show=account").content.decode())
    ben = Client()
    ben.force_login(User.objects.create(username="ben"))
    assert [visitor.get(url, headers=HTMX).status_code for visitor in (client, ben, Client())] == [200, 403, 403]
    client.logout()
    assert client.get(url, headers=HTMX).status_code == 403
    assert [str(request.user) for request in site.seen] == ["ann"]


@pytest.mark.django_db(transaction=True)
def test_a_forged_reference_is_not_found(client: Client) -> None:
    url = panel_url(client.get("/site/page/?show=account").content.decode())
    assert client.get(url[:-4] + "xxx/", headers=HTMX).status_code == 404
    assert client.get("/live/layouts/nonsense/", headers=HTMX).status_code == 404
    assert site.seen == []


@pytest.mark.django_db(transaction=True)
def test_a_panel_of_an_old_page_is_gone(client: Client) -> None:
    url = panel_url(client.get("/site/page/?show=account").content.decode())
    with override_settings(HTMX_LIVE={"GRANT_MAX_AGE": -1}):
        assert client.get(url, headers=HTMX).status_code == 410


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("place", [0, 1])
def test_a_panel_that_the_code_has_no_more_is_gone(client: Client, place: int) -> None:
    values = signing.loads(
        panel_url(client.get("/site/page/?show=account").content.decode()).split("/")[-2],
        salt="htmx_live.layouts.panel",
    )
    values[place] = "tests.Removed"
    url = f"/live/layouts/{signing.dumps(values, salt='htmx_live.layouts.panel')}/"
    response = client.get(url, headers=HTMX)
    assert (response.status_code, "/site/page/?show=account" in response.content.decode()) == (410, True)


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_endpoint_only_reads(client: Client, method: str) -> None:
    assert getattr(client, method)("/live/layouts/x/").status_code == 405


@pytest.mark.django_db(transaction=True)
def test_a_failure_brings_one_button_that_tries_again(client: Client, address: str, caplog: Any) -> None:
    html, response = load(client, f"{address}?show=broken&gate=mend")
    url = panel_url(html)
    failure = (
        '<div class="layout-panel" data-layout-panel="broken" data-layout-failed>'
        '<p class="layout-error" role="alert">This part of the page could not be loaded.</p>\n'
        f'<button type="button" class="layout-retry" data-layout-retry hx-get="{url}" '
        'hx-target="closest [data-layout-panel]" hx-swap="outerHTML" hx-push-url="false">Try again</button>\n</div>\n'
    )
    assert (response.status_code, response.content.decode()) == (200, failure)
    assert client.get(url, headers=HTMX).content.decode() == failure
    assert "Panel 'broken' of tests.Site failed" in caplog.messages
    site.gates["mend"].set()
    assert client.get(url, headers=HTMX).content.decode() == "<p>mended</p>"


@pytest.mark.django_db(transaction=True)
@override_settings(HTMX_LIVE={"LAYOUTS": {"DEBUG_ERRORS": True}})
def test_debug_errors_raises_in_the_endpoint_too(client: Client) -> None:
    with pytest.raises(PanelRenderError, match="Panel 'broken' failed"):
        load(client, "/site/page/?show=broken")


@pytest.mark.django_db(transaction=True)
def test_without_javascript_the_link_shows_the_panel_and_the_way_back(client: Client) -> None:
    url = panel_url(client.get("/site/page/?show=account&order=7").content.decode())
    html = client.get(url).content.decode()
    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert '<a href="/site/page/?show=account&amp;order=7">Back to the page</a>' in html
    assert "<p>AnonymousUser /site/page/?show=account&order=7 Site 7</p>" in html


@pytest.mark.django_db(transaction=True)
def test_a_lazy_panel_whose_condition_does_not_hold_is_not_offered(client: Client, address: str) -> None:
    assert section(client.get(f"{address}?show=maybe").content.decode(), "maybe") == "waiting"
    assert "hx-get" in section(client.get(f"{address}?show=maybe&order=1").content.decode(), "maybe")


@pytest.mark.django_db(transaction=True)
def test_a_views_own_lazy_panel_is_found_again(client: Client) -> None:
    _, response = load(client, "/site/overriding/?show=own")
    assert response.content.decode() == "<p>the view's own</p>"


def test_a_lazy_panel_that_could_not_be_found_again_is_refused(client: Client) -> None:
    with pytest.raises(
        ImproperlyConfigured, match=r"Panel 'own' is loaded after its page.*Declare it on the layout tests\.Site"
    ):
        client.get("/site/homeless/")


@pytest.mark.django_db(transaction=True)
def test_a_late_panel_becomes_a_lazy_one_that_may_take_its_time(client: Client, address: str) -> None:
    html = client.get(f"{address}?show=limited&gate=later").content.decode()
    assert 'hx-trigger="load"' in section(html, "limited")
    url = panel_url(html)
    opening = threading.Timer(0.05, site.gates["later"].set)  # after the timeout of 0.01 s that the page has
    opening.start()
    assert client.get(url, headers=HTMX).content.decode().startswith('<button id="ask"')
    opening.join()


@pytest.mark.django_db(transaction=True)
@override_settings(HTMX_LIVE={"LAYOUTS": {"SERVER_TIMING": True}})
def test_the_panels_own_time_is_told(client: Client) -> None:
    html = client.get("/site/page/?show=account")
    assert html.headers["Server-Timing"].endswith('account;desc="lazy"')
    timing = client.get(panel_url(html.content.decode()), headers=HTMX).headers["Server-Timing"]
    assert re.fullmatch(r'account;dur=[\d.]+;desc="at 0\.0 ms"', timing)


def test_a_carried_value_that_is_no_json_is_refused(way: Way, get: Any) -> None:
    def view(request: Any) -> HttpResponse:
        request.layout_context["order"] = object()
        return HttpResponse("main")

    panels = site.only("account")
    with pytest.raises(TypeError, match=r"Panel 'account': the values of carry=\['order'\] must be JSON"):
        way.page(site.Site, get("/"), view, panels=panels)


@pytest.mark.django_db(transaction=True)
def test_a_lazy_panel_loads_under_asgi() -> None:
    async def visit() -> str:
        client = AsyncClient()
        html = (await client.get("/site/apage/?show=account")).content.decode()
        return (await client.get(panel_url(html), headers=HTMX)).content.decode()

    assert async_to_sync(visit)().startswith("<p>AnonymousUser /site/apage/?show=account Site None</p>")


@pytest.mark.parametrize("name", ["fast", "slow", "aslow"])
def test_under_wsgi_a_streamed_panel_is_lazy(client: Client, address: str, name: str) -> None:
    response = client.get(f"{address}?show={name}")
    assert not response.streaming
    assert 'hx-trigger="load"' in section(response.content.decode(), name)
