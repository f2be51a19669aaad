"""Whatever is published, lost, coalesced and read again in whatever order: a page ends up with the present state.

The client here follows docs/wire.md and trusts it: a piece of text that does not fit is an error.
"""

import asyncio
import json
import re
from collections.abc import Callable
from uuid import uuid4

from django.test import override_settings
from hypothesis import HealthCheck, given, settings, strategies

from htmx_live.backends import Bus, MemoryBus, RedisBus
from htmx_live.core.fragments import text_placeholder
from htmx_live.http.stream_hub import Hub, StreamGrant
from tests.backends.recorder import settle
from tests.http.gate import TrustingGate

PAGE, TOPIC = "page:p", "topic:t"
SLOT = re.compile(r'^(\d+) <p id="s" data-live-stream="log" data-live-offset="([^"]*)\.(\d+)">(.*)</p>$')


class Page:
    """A page that shows one root, whose newest render may hold a text, and one region of a topic."""

    def __init__(self, position: str) -> None:
        self.position = position
        self.root = 0  # number of the render
        self.region = 0
        self.text: tuple[str, str] | None = None  # generation and text of the element, if there is one
        self.resets = 0

    def apply(self, stream: bytes) -> None:
        for block in stream.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            if "id" in fields:
                assert number_of(fields["id"]) > number_of(self.position)
                self.position = fields["id"]
            if fields.get("event") == "append":
                self.append(**json.loads(fields["data"]))
            elif fields.get("event") == "reset":
                self.resets += 1
            elif fields["data"].startswith("region"):
                self.region = int(fields["data"].split()[1])
            else:
                self.render(fields["data"])

    def render(self, html: str) -> None:
        match = SLOT.match(html)
        self.root = int(match[1] if match else html)
        self.text = (match[2], match[4]) if match else None
        assert match is None or len(match[4]) == int(match[3])

    def append(self, target: str, generation: str, offset: int, text: str) -> None:
        if self.text is None:
            return
        if generation != self.text[0]:
            assert offset == 0
            self.text = (generation, text)
        else:
            has = self.text[1]
            assert offset <= len(has), "a gap"
            self.text = (generation, has + text[len(has) - offset :])


class Scene:
    """One bus, one hub, one page with its stream."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.hub = Hub(asyncio.get_running_loop(), self.bus)
        self.bus.subscribe(self.hub)
        self.start = self.bus.position()
        self.page = Page(self.start)
        self.renders = 0
        self.regions = 0
        self.has_text = False
        self.channels: tuple[str, ...] = (PAGE,)
        self.connect()

    def connect(self) -> None:
        access = StreamGrant(page="p", owner_key="o", session_hash="", channels=self.channels)
        self.listener = self.hub.add_connection(
            access, authorizer=TrustingGate(), abort=lambda: None, checked_at=self.hub.loop.time()
        )
        self.read(self.page.position)

    def read(self, since: str) -> None:
        self.listener.begin_sync()
        catchup = self.bus.read(self.listener.channels, since)
        self.hub.end_sync(self.listener, catchup)
        self.page.apply(
            b"".join(
                encode(message.event, f"{catchup.epoch}.{message.number}", message.data) for message in catchup.messages
            )
        )
        self.page.resets += catchup.is_reset
        self.page.position = catchup.position

    def play(self, action: str) -> None:
        getattr(self, f"do_{action}")()

    def do_render(self) -> None:
        self.renders, self.has_text = self.renders + 1, False
        self.bus.publish([PAGE], "root", str(self.renders))

    def do_render_with_text(self) -> None:
        self.renders, self.has_text = self.renders + 1, True
        self.bus.publish([PAGE], "root", f"{self.renders} {text_placeholder('s', tag='p', name='log')}")

    def do_region(self) -> None:
        self.regions += 1
        self.bus.publish([TOPIC], "region", f"region {self.regions}")

    def do_append(self) -> None:
        self.bus.append([PAGE], "s", "abc")

    def do_replace(self) -> None:
        self.bus.append([PAGE], "s", "xy", replace=True)

    def do_end_text(self) -> None:
        self.bus.clear_texts(["s"])

    def do_take(self) -> None:
        self.page.apply(self.listener.drain())

    def do_lose(self) -> None:
        """The connection breaks with what was on its way, and is opened again."""
        self.listener.drain()
        self.hub.remove_connection(self.listener)
        self.connect()

    def do_fall_behind(self) -> None:
        self.listener.mark_lagging()

    def do_beat(self) -> None:
        self.read(f"{self.listener.epoch}.{self.listener.number}")

    def do_lose_subscription(self) -> None:
        """What is published from here on does not reach the hub."""
        self.bus.unsubscribe(self.hub)

    def do_subscribe(self) -> None:
        self.bus.unsubscribe(self.hub)
        self.bus.subscribe(self.hub)
        self.hub.resync()

    def do_join(self) -> None:
        """The page shows the topic from here on; its render of that is as old as the page."""
        if TOPIC not in self.channels:
            self.channels = (PAGE, TOPIC)
            self.bus.add_channels("p", [TOPIC], since=self.start)


def number_of(position: str) -> int:
    return int(position.split(".")[1])


def encode(event: str, position: str, data: str) -> bytes:
    return (f"id: {position}\n" + (f"event: {event}\n" if event else "") + f"data: {data}\n\n").encode()


ACTIONS = [name.removeprefix("do_") for name in vars(Scene) if name.startswith("do_")]


SCRIPTS = strategies.lists(strategies.sampled_from([*ACTIONS, "yield"]), min_size=5, max_size=40)


def play(bus: Bus, actions: list[str], handed_over: Callable[[], None]) -> None:
    """Play these actions, and see that the page has the present state when all is ``handed_over()``."""

    async def scenario() -> Scene:
        scene = Scene(bus)
        for action in actions:
            if action == "yield":
                await asyncio.sleep(0)
            else:
                scene.play(action)
        scene.do_subscribe()
        for _ in range(2):  # the state now, and that the page goes on hearing what comes
            handed_over()
            for _ in range(2):
                await asyncio.sleep(0)
            scene.do_take()
            while scene.listener.is_lagging:
                scene.do_beat()
            scene.do_region()
        handed_over()
        for _ in range(2):
            await asyncio.sleep(0)
        assert not scene.listener.is_lagging
        scene.do_take()
        scene.hub.remove_connection(scene.listener)
        bus.unsubscribe(scene.hub)
        return scene

    scene = asyncio.run(scenario())
    text = scene.bus.text("s")
    assert scene.page.resets == 0
    assert scene.page.root == scene.renders
    assert TOPIC not in scene.channels or scene.page.region == scene.regions
    assert (scene.page.text is not None) == scene.has_text
    if text and scene.has_text:
        assert scene.page.text == (text.generation, text.text)


@override_settings(HTMX_LIVE={"MAX_STREAM_TEXT": 20})
@settings(max_examples=500)
@given(SCRIPTS)
def test_a_page_always_ends_up_with_the_present_state(actions):
    play(MemoryBus(), actions, lambda: None)


@override_settings(HTMX_LIVE={"MAX_STREAM_TEXT": 20})
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=SCRIPTS)
def test_a_page_ends_up_with_the_present_state_through_redis(connection, actions):
    connection.prefix = f"{uuid4().hex}:"
    bus = RedisBus(connection)
    play(bus, actions, lambda: settle(bus))
