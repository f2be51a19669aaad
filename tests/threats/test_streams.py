"""Streams of a real server: who may have one, what it carries, and that it ends with its session."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from tests.threats.serving import UNTOLD, execute, serve
from tests.threats.wire import Browser

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_database):
    with serve(tmp_path_factory.mktemp("threats"), empty_database, MAX_STREAMS_PER_OWNER=4) as running:
        yield running


@pytest.fixture
def play(server):
    """Run ``scenario(browser, …)`` with as many browsers as it takes."""

    def run(scenario, count=1):
        async def running():
            async with AsyncExitStack() as stack:
                browsers = [await stack.enter_async_context(Browser(server.port)) for _ in range(count)]
                await scenario(*browsers)

        asyncio.run(running())

    return run


async def until_settled(stream):
    assert stream.status == 200
    await stream.settle()
    return stream


def test_a_page_hears_of_itself_and_of_no_other(play):
    async def scenario(mine, theirs):
        page, other = await mine.open("/counter/"), await theirs.open("/counter/")
        stream = await until_settled(await mine.stream(page.page))
        await theirs.post(other, "add", amount="41")
        await mine.post(page, "add", amount="1")
        events = [await stream.event()]
        assert f"#live-{page.instance}" in events[0].data
        assert other.instance not in events[0].data

    play(scenario, count=2)


@pytest.mark.parametrize(
    "query", ["?channel=user:1", "?channel=page:x&channel=topic:x", "?es-meta=x", "?channel=", "?page=x&grant=x"]
)
def test_no_channel_is_named_by_a_browser(play, query):
    async def scenario(mine, theirs):
        page, other = await mine.open("/counter/"), await theirs.open("/counter/")
        query_of_other = query.replace("page:x", f"page:{other.page}")
        stream = await until_settled(
            await mine.stream(page.page, f"/live/stream/{query_of_other}", x_channels="topic:x", es_meta="x")
        )
        await theirs.post(other, "add", amount="41")
        await mine.post(page, "add", amount="1")
        assert f"#live-{page.instance}" in (await stream.event()).data
        refused = await mine.stream("", f"/live/stream/{query_of_other}")
        assert refused.status == 404

    play(scenario, count=2)


def test_a_grant_that_is_none_or_not_ones_own_opens_no_stream(play):
    async def scenario(mine, theirs):
        page, other = await mine.open("/counter/"), await theirs.open("/counter/")
        forged = ["", "x", page.page[:-1], page.page + "x", page.live, other.page, f"{page.page},{page.page}"]
        assert [(await mine.stream(grant)).status for grant in forged] == [404] * len(forged)

    play(scenario, count=2)


def test_one_owner_has_so_many_streams_and_then_429(play):
    async def scenario(mine, theirs):
        page, other = await mine.open("/counter/"), await theirs.open("/counter/")
        statuses = [(await mine.stream(page.page)).status for _ in range(7)]
        assert statuses == [200] * 4 + [429] * 3
        assert (await theirs.stream(other.page)).status == 200

    play(scenario, count=2)


def test_a_logout_in_one_tab_ends_the_streams_of_all(play):
    async def scenario(browser, other):
        await browser.get("/join/alice/")
        pages = [await browser.open("/counter/") for _ in range(3)]
        streams = [await until_settled(await browser.stream(page.page)) for page in pages]
        await other.get("/join/alice/")
        theirs = await other.open("/counter/")
        elsewhere = await until_settled(await other.stream(theirs.page))
        await browser.get("/logout/")
        assert [(await stream.until("bye"))[-1].name for stream in streams] == ["bye"] * 3
        assert (await browser.stream(pages[0].page)).status == 404
        await other.post(theirs, "add")
        assert f"#live-{theirs.instance}" in (await elsewhere.event()).data

    play(scenario, count=2)


@pytest.mark.parametrize("before", ["", "/join/bob/"])
def test_a_login_ends_the_streams_of_who_was_there_before(play, before):
    async def scenario(browser):
        if before:
            await browser.get(before)
        page = await browser.open("/counter/")
        stream = await until_settled(await browser.stream(page.page))
        await browser.get("/join/alice/")
        assert (await stream.until("bye"))[-1].name == "bye"
        assert (await browser.stream(page.page)).status == 404
        new = await browser.open("/counter/")
        await until_settled(await browser.stream(new.page))

    play(scenario)


@pytest.mark.parametrize(
    "text", ["a%0Ab", "a%0D%0Ab%0D%0A%0D%0Adata:x", "%0A%0Aevent:redirect%0Adata:{}%0A%0A", "%00%00", "%E2%80%A8"]
)
def test_one_push_is_one_event_whatever_it_holds(play, text):
    async def scenario(browser):
        page = await browser.open("/guestbook/")
        stream = await until_settled(await browser.stream(page.page))
        await browser.post(page, "write_later", text=text.replace("%00", "x"))
        await browser.post(page, "write", text="the-end")
        found = []
        while not found or "the-end" not in found[-1].data:
            found.append(await stream.event())
        assert {event.name for event in found} <= {"", "notice", "append"}
        for event in found:
            if event.name:
                json.loads(event.data)
            elif event.data:
                assert event.data.startswith(f'<hx-partial hx-target="#live-{page.instance}"')

    play(scenario)


def test_a_stream_allows_no_other_origin_to_read_it(play):
    async def scenario(browser):
        page = await browser.open("/counter/")
        stream = await browser.stream(page.page, origin="https://evil.example")
        assert stream.status == 200
        assert not [name for name in stream.headers if name.startswith("access-control")]

    play(scenario)


def test_a_permission_that_is_gone_opens_no_stream(play, server):
    async def scenario(browser):
        await browser.get("/join/carol/")
        page = await browser.open("/guarded/")
        await until_settled(await browser.stream(page.page))
        execute(server, UNTOLD["permission"], name="carol")
        assert (await browser.stream(page.page)).status == 403

    play(scenario)
