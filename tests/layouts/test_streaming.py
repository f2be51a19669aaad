"""Streamed panels: what is sent when, and what happens when one fails, hangs or nobody listens any more."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import _unmask_cipher_token
from django.test import AsyncClient, AsyncRequestFactory, override_settings

from htmx_live.layouts import Layout, Panel, async_layout, async_render_with_layout
from tests.layouts import site
from tests.layouts.conftest import Templates
from tests.layouts.site_templates import TEMPLATES


@pytest.fixture(autouse=True)
def served(templates: Templates) -> Any:
    templates(TEMPLATES)
    with override_settings(ROOT_URLCONF="tests.layouts.site"):
        yield
    for gate in site.gates.values():
        gate.set()
    site.gates.clear()
    site.seen.clear()


@pytest.fixture(params=["page", "apage"])
def address(request: pytest.FixtureRequest) -> str:
    return f"/site/{request.param}/"


def visit(script: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    """Run a browser's side of the story."""

    async def run() -> Any:
        return await script(AsyncClient())

    return async_to_sync(run)()


async def chunks(response: Any) -> AsyncIterator[str]:
    async for chunk in response.streaming_content:
        yield chunk.decode()


def arrival(name: str, html: str) -> str:
    """A pattern for the chunk that brings a panel."""
    return (
        rf'<template data-layout-for="{name}">{html}</template>'
        rf'<template data-layout-ready="{name}" data-layout-ms="[\d.]+"></template>'
    )


pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("order", [("slow", "aslow"), ("aslow", "slow")])
def test_the_page_comes_first_and_panels_follow_when_they_are_ready(address: str, order: tuple[str, str]) -> None:
    async def script(client: AsyncClient) -> list[str]:
        response = await client.get(f"{address}?show=slow&show=aslow&gate=both")
        content = chunks(response)
        head = await anext(content)
        site.gates["both"].set()
        return [head, *sorted([await anext(content), await anext(content)]), *[chunk async for chunk in content]]

    head, *arrived, tail = visit(script)
    assert head.startswith("<!doctype html>") and "<h1>main</h1>" in head and "</body>" not in head
    assert [re.search(r'layout-for="(\w+)"', chunk)[1] for chunk in arrived] == ["aslow", "slow"]  # type: ignore[index]
    assert re.fullmatch(arrival("aslow", "<p>aslow</p>"), arrived[0])
    assert tail == "</body></html>"


@pytest.mark.parametrize("first", ["slow", "aslow"])
def test_a_panel_that_is_ready_does_not_wait_for_one_that_is_not(first: str) -> None:
    class Two(Layout):
        template = "site.html"
        layout_context_defaults = {"names": ["slow", "aslow"]}

    gates = {name: threading.Event() for name in ("slow", "aslow")}

    def slow(request: HttpRequest) -> str:
        assert gates["slow"].wait(site.PATIENCE)
        return "slow"

    async def aslow(request: HttpRequest) -> str:
        while not gates["aslow"].is_set():
            await asyncio.sleep(0.001)
        return "aslow"

    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("main")

    async def script(client: AsyncClient) -> list[str]:
        panels = {"slow": Panel(slow, stream=True), "aslow": Panel(aslow, stream=True)}
        content = chunks(await async_layout(Two, panels=panels)(view)(AsyncRequestFactory().get("/")))  # type: ignore[arg-type]
        await anext(content)
        arrived = []
        for name in sorted(gates, key=lambda name: name != first):
            gates[name].set()
            arrived.append(await anext(content))
        return arrived

    names = [re.search(r'layout-for="(\w+)"', chunk)[1] for chunk in visit(script)]  # type: ignore[index]
    assert names == sorted(gates, key=lambda name: name != first)


def test_the_placeholder_shows_the_fallback_and_a_link_without_javascript(address: str) -> None:
    async def script(client: AsyncClient) -> str:
        response = await client.get(f"{address}?show=fast")
        return "".join([chunk async for chunk in chunks(response)])

    html = visit(script)
    (url,) = set(re.findall(r'href="(/live/layouts/[^"]+)"', html))
    assert (
        '<section id="fast"><script src="/static/htmx_live/layouts.js" async></script>\n'
        '<div class="layout-panel" data-layout-panel="fast" aria-busy="true" data-layout-stream>'
        f'waiting<noscript><a href="{url}">Show this part</a></noscript></div>\n</section>'
    ) in html


def test_our_script_comes_once_for_each_kind_of_panel(address: str) -> None:
    """In time for streamed panels while the page is parsed, for lazy ones before htmx starts."""

    async def script(client: AsyncClient) -> str:
        response = await client.get(f"{address}?show=account&show=seen&show=fast&show=greeting")
        return "".join([chunk async for chunk in chunks(response)])

    assert re.findall(r'layouts\.js" (\w+)>', visit(script)) == ["defer", "async"]


def test_a_panel_brings_the_styles_and_scripts_that_the_page_does_not_have_yet(address: str) -> None:
    async def script(client: AsyncClient) -> list[str]:
        site.gates["open"].set()
        response = await client.get(f"{address}?show=fast&show=slow&gate=open")
        return [chunk async for chunk in chunks(response)]

    html = "".join(visit(script))
    assert (html.count('<script src="/shared.js">'), html.count('href="/fast.css"')) == (1, 1)


def test_the_views_headers_and_cookies_come_with_a_streamed_page(address: str) -> None:
    async def script(client: AsyncClient) -> Any:
        return await client.get(f"{address}?show=fast")

    response = visit(script)
    assert (response.status_code, response.streaming, response.headers["X-Main"]) == (200, True, "1")
    assert response.headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in response.headers


def test_a_form_in_a_streamed_panel_has_the_token_of_the_cookie(address: str) -> None:
    async def script(client: AsyncClient) -> tuple[str, str]:
        response = await client.get(f"{address}?show=form")
        return response.cookies["csrftoken"].value, "".join([chunk async for chunk in chunks(response)])

    cookie, html = visit(script)
    token = re.search(r"<p>(\w{64})</p>", html)
    assert token is not None and unmasked(token[1]) == cookie


def unmasked(token: str) -> str:
    return _unmask_cipher_token(token)  # type: ignore[no-any-return]


def test_a_streamed_panel_that_fails_brings_a_button_that_tries_again(address: str) -> None:
    async def script(client: AsyncClient) -> list[str]:
        return [chunk async for chunk in chunks(await client.get(f"{address}?show=failing"))]

    _, arrived, tail = visit(script)
    assert "This part of the page could not be loaded." in arrived and "secret" not in arrived
    assert re.search(r'data-layout-retry hx-get="/live/layouts/[^"]+"', arrived)
    assert tail == "</body></html>"


def test_debug_errors_does_not_break_a_page_that_is_out_already(address: str) -> None:
    async def script(client: AsyncClient) -> list[str]:
        return [chunk async for chunk in chunks(await client.get(f"{address}?show=failing"))]

    with override_settings(HTMX_LIVE={"LAYOUTS": {"DEBUG_ERRORS": True}}):
        assert visit(script)[-1] == "</body></html>"


def test_a_streamed_panel_that_is_late_becomes_a_lazy_one(address: str) -> None:
    async def script(client: AsyncClient) -> list[str]:
        return [chunk async for chunk in chunks(await client.get(f"{address}?show=late&gate=never"))]

    _, arrived, _ = visit(script)
    assert 'data-layout-panel="late" aria-busy="true" hx-get="/live/layouts/' in arrived


def test_a_streamed_panel_of_render_with_layout_needs_no_url(templates: Templates) -> None:
    async def script(client: AsyncClient) -> str:
        request = AsyncRequestFactory().get("/")
        panels = {"own": Panel(lambda request: "own panel", stream=True)}
        response = await async_render_with_layout(request, Bare, "site.html", panels=panels)  # type: ignore[arg-type]
        return "".join([chunk async for chunk in chunks(response)])

    class Bare(Layout):
        template = "site.html"
        layout_context_defaults = {"names": ["own"]}

    html = visit(script)
    assert re.search(arrival("own", "own panel"), html) and "<noscript>" not in html


@pytest.mark.parametrize("headers", [{"HX-Request": "true"}])
def test_for_htmx_a_streamed_panel_is_lazy(address: str, headers: dict[str, str]) -> None:
    async def script(client: AsyncClient) -> Any:
        return await client.get(f"{address}?show=fast", headers=headers)

    response = visit(script)
    assert not response.streaming and "hx-get" in response.content.decode()


def test_a_head_request_starts_no_stream(address: str) -> None:
    async def script(client: AsyncClient) -> Any:
        return await client.head(f"{address}?show=fast")

    assert not visit(script).streaming


def test_when_nobody_listens_any_more_the_panels_are_cancelled() -> None:
    ended: list[str] = []

    async def panel(request: HttpRequest) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return "never"

    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("main")

    async def script(client: AsyncClient) -> None:
        class One(Layout):
            template = "site.html"

        page = async_layout(One, panels={"own": Panel(panel, stream=True)})(view)
        response: Any = await page(AsyncRequestFactory().get("/"))  # type: ignore[arg-type]
        content = response.streaming_content
        await anext(content)
        await content.aclose()
        for _ in range(3):
            await asyncio.sleep(0)

    visit(script)
    assert ended == ["cancelled"]


def test_a_streamed_panel_sees_the_user(address: str) -> None:
    async def script(client: AsyncClient) -> str:
        await client.aforce_login(await User.objects.acreate(username="ann"))
        response = await client.get(f"{address}?show=greeting")
        return "".join([chunk async for chunk in chunks(response)])

    assert re.search(arrival("greeting", "<p>ann</p>"), visit(script))


@override_settings(HTMX_LIVE={"LAYOUTS": {"SERVER_TIMING": True}})
def test_server_timing_names_what_is_streamed(address: str) -> None:
    async def script(client: AsyncClient) -> Any:
        return await client.get(f"{address}?show=fast")

    assert visit(script).headers["Server-Timing"].endswith('fast;desc="stream"')
