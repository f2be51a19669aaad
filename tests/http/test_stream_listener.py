"""A listener on a loop whose time the test moves: what it keeps, when it is due, how it ends."""

import asyncio
from collections.abc import Iterator

import pytest
from django.test import override_settings

from htmx_live.http.stream_hub import Frame, StreamConnection, StreamEnding, StreamGrant, validity
from tests.http.gate import TrustingGate

SETTINGS = {"HEARTBEAT": 10, "STREAM_LIFETIME": 100}


class ManualLoop(asyncio.SelectorEventLoop):
    now = 1000.0

    def time(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass, and make the calls that are due then."""
        self.now += seconds
        self.run_until_complete(asyncio.sleep(0))


class Scene:
    """A listener that has read, its loop, and how often its stream was cut."""

    def __init__(self, loop: ManualLoop) -> None:
        self.loop, self.cuts, self.start = loop, 0, loop.time()
        access = StreamGrant(page="p", owner_key="o", session_hash="s", channels=("page:p",))
        self.listener = StreamConnection(
            loop, access, abort=self.cut, check=TrustingGate().check, checked_at=loop.time()
        )
        self.listener.begin_sync()
        self.listener.end_sync("e", 10)

    def cut(self) -> None:
        self.cuts += 1

    def put(self, number: int, key: object = None) -> None:
        body = f"{number} ".encode()
        self.listener.queue(Frame(channels=("page:p",), key=key or number, number=number, body=body))

    def is_woken(self, act: object, *args: object) -> bool:
        """Whether the call wakes the stream that rests."""
        resting = self.listener.wait()
        assert resting is not None and not resting.done()
        act(*args)  # type: ignore[operator]
        return resting.done()

    def until(self, is_so: str) -> float:
        """Seconds from the start until the listener says so, in steps of a tenth."""
        while not getattr(self.listener, is_so):
            self.loop.advance(0.1)
            assert self.loop.time() - self.start < 1000
        return self.loop.time() - self.start


@pytest.fixture
def loop() -> Iterator[ManualLoop]:
    loop = ManualLoop()
    with override_settings(HTMX_LIVE=SETTINGS):
        yield loop
    loop.close()


@pytest.fixture
def scene(loop: ManualLoop) -> Scene:
    return Scene(loop)


# Frames


def test_frames_are_taken_in_the_order_of_their_numbers_and_once(scene: Scene) -> None:
    for number, key in ((11, "a"), (12, "b"), (13, "a")):
        scene.put(number, key)
    assert (scene.listener.drain(), scene.listener.number) == (b"12 13 ", 13)
    assert (scene.listener.drain(), scene.listener.number) == (b"", 13)


def test_a_new_listener_has_covered_nothing(loop: ManualLoop) -> None:
    access = StreamGrant(page="p", owner_key="o", session_hash="s", channels=())
    listener = StreamConnection(loop, access, abort=lambda: None, check=TrustingGate().check, checked_at=0)
    flags = (listener.is_lagging, listener.is_sync_due, listener.is_ending, listener.is_draining)
    assert (listener.epoch, listener.number, flags) == ("", -1, (False,) * 4)
    listener.queue(Frame(channels=(), key=0, number=0, body=b"zero"))
    assert listener.drain() == b"zero"


def test_what_is_covered_is_not_kept(scene: Scene) -> None:
    scene.put(10)
    scene.put(11)
    scene.put(12)
    scene.listener.end_sync("f", 11)
    assert (scene.listener.drain(), scene.listener.epoch) == (b"12 ", "f")


def test_a_listener_holds_256_frames_and_falls_behind_with_one_more(scene: Scene) -> None:
    for number in range(11, 11 + 256):
        scene.put(number)
    assert (scene.listener.is_lagging, scene.listener.is_sync_due) == (False, False)
    scene.put(1000)
    assert (scene.listener.is_lagging, scene.listener.is_sync_due, scene.listener.drain()) == (True, True, b"")
    scene.put(1001)
    assert scene.listener.drain() == b""


def test_reading_begins_with_nothing_pending(scene: Scene) -> None:
    scene.put(11)
    scene.listener.mark_lagging()
    scene.listener.begin_sync()
    assert (scene.listener.is_sync_due, scene.listener.is_lagging) == (False, False)
    scene.put(12)
    scene.listener.begin_sync()
    assert scene.listener.drain() == b""


def test_a_reading_that_failed_leaves_the_listener_behind_until_the_next_beat(scene: Scene) -> None:
    scene.listener.begin_sync()
    scene.put(11)
    scene.listener.fail_sync()
    assert (scene.listener.drain(), scene.listener.is_lagging, scene.listener.is_sync_due) == (b"", True, False)


# Rest


def test_a_stream_rests_until_there_is_something_to_do(scene: Scene) -> None:
    assert scene.is_woken(scene.put, 11)
    assert scene.listener.wait() is None
    scene.listener.drain()
    assert not scene.is_woken(scene.put, 10)
    assert scene.is_woken(scene.listener.mark_lagging)
    assert scene.listener.wait() is None
    scene.listener.begin_sync()
    assert scene.is_woken(scene.listener.end_check, scene.loop.time())
    assert scene.is_woken(lambda: scene.listener.end(drain=True))
    assert scene.listener.wait() is None


def test_a_rest_that_was_given_up_is_not_woken(scene: Scene) -> None:
    resting = scene.listener.wait()
    assert resting is not None
    resting.cancel()
    scene.put(11)
    assert scene.listener.drain() == b"11 "


def test_nothing_is_sent_while_the_check_is_late(scene: Scene) -> None:
    scene.loop.now += validity() - 0.5
    assert scene.listener.is_checked
    scene.loop.now += 0.5
    scene.put(11)
    assert not scene.listener.is_checked
    assert scene.is_woken(scene.listener.end_check, scene.loop.time())
    assert (scene.listener.is_checked, scene.listener.is_sync_due, scene.listener.wait()) == (True, False, None)


def test_who_was_behind_reads_when_the_check_has_passed(scene: Scene) -> None:
    scene.listener.fail_sync()
    scene.listener.end_check(scene.loop.time())
    assert scene.listener.is_sync_due


# Beats


def test_the_first_beat_comes_after_half_a_heartbeat_to_a_whole_one(loop: ManualLoop) -> None:
    scenes = [Scene(loop) for _ in range(60)]
    loop.advance(4.9)
    assert not any(scene.listener.is_sync_due for scene in scenes)
    loop.advance(2.6)
    assert 0 < sum(scene.listener.is_sync_due for scene in scenes) < 60
    loop.advance(2.6)
    assert all(scene.listener.is_sync_due for scene in scenes)


def test_a_beat_follows_every_heartbeat_and_wakes_the_stream(scene: Scene) -> None:
    first = scene.until("is_sync_due")
    for beat in (10, 20):
        scene.listener.begin_sync()
        resting = scene.listener.wait()
        assert scene.until("is_sync_due") - first == pytest.approx(beat, abs=0.3)
        assert resting is not None and resting.done()


def test_a_stream_lives_for_its_lifetime_give_or_take_a_fifth(loop: ManualLoop) -> None:
    scenes = [Scene(loop) for _ in range(60)]
    for seconds, are_ending in ((79, 0), (21, None), (21, 60)):
        for _ in range(seconds * 2):
            loop.advance(0.5)
        ending = [scene for scene in scenes if scene.listener.is_ending]
        assert len(ending) == are_ending if are_ending is not None else 0 < len(ending) < 60
    assert all(scene.listener.is_draining for scene in scenes)


# The end


@pytest.mark.parametrize("drain", [True, False])
def test_a_stream_that_does_not_end_is_cut_after_three_seconds(scene: Scene, drain: bool) -> None:
    scene.listener.end(drain=drain)
    scene.loop.advance(1)
    scene.listener.end(drain=not drain)
    assert (scene.listener.is_ending, scene.listener.is_draining) == (True, drain)
    scene.loop.advance(1.9)
    assert scene.cuts == 0
    scene.loop.advance(0.2)
    assert scene.cuts == 1


def test_a_stream_that_has_ended_is_not_cut(scene: Scene) -> None:
    scene.put(11)
    scene.listener.end(drain=True)
    scene.listener.stop()
    scene.loop.advance(10)
    assert (scene.cuts, scene.listener.drain()) == (0, b"")


def test_a_stream_that_is_to_end_does_not_beat(scene: Scene) -> None:
    scene.listener.end(drain=True)
    scene.loop.advance(30)
    assert not scene.listener.is_sync_due


def test_a_call_gives_its_result(scene: Scene) -> None:
    async def call() -> int:
        return 7

    assert scene.loop.run_until_complete(scene.listener.wait_for(call())) == 7


@pytest.mark.parametrize("is_ending", [True, False])
def test_a_stream_that_is_to_end_waits_for_no_call(scene: Scene, is_ending: bool) -> None:
    ended: list[str] = []

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def wait() -> None:
        waiting = asyncio.ensure_future(scene.listener.wait_for(call()))
        for _ in range(2):
            await asyncio.sleep(0)
        assert waiting.done() is is_ending
        scene.listener.end(drain=False)
        with pytest.raises(StreamEnding):
            await waiting
        await asyncio.sleep(0)

    if is_ending:
        scene.listener.end(drain=False)
    scene.loop.run_until_complete(wait())
    assert ended == ([] if is_ending else ["cancelled"])
