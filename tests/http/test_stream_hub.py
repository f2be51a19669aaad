"""The hub: what a listener gets, and when."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable

import pytest
from django.test import override_settings

from htmx_live.backends import MemoryBus, override_bus
from htmx_live.http.stream_hub import Hub, StreamConnection, StreamDenied, StreamGrant, current_hub
from tests.http.gate import TrustingGate

Scenario = Callable[[Hub], Awaitable[None]]


def play(scenario: Scenario) -> None:
    async def run() -> None:
        hub = current_hub()
        await scenario(hub)
        for listener in tuple(hub._connections):
            hub.remove_connection(listener)

    with override_bus(MemoryBus()):
        asyncio.run(run())


def listen(hub: Hub, *channels: str, page: str = "p", session: str = "s", owner: str = "o") -> StreamConnection:
    access = StreamGrant(page=page, owner_key=owner, session_hash=session, channels=(f"page:{page}", *channels))
    listener = hub.add_connection(access, authorizer=TrustingGate(), abort=lambda: None, checked_at=hub.loop.time())
    listener.begin_sync()
    catchup = hub.bus.read(listener.channels, hub.bus.position())
    listener.end_sync(catchup.epoch, catchup.number)
    return listener


async def taken(listener: StreamConnection) -> list[str]:
    """What is sent, after the loop has drained: the data of each message."""
    await asyncio.sleep(0)
    return [line[6:] for line in listener.drain().decode().split("\n") if line.startswith("data: ")]


@pytest.mark.parametrize("is_burst", [True, False])
def test_of_a_state_only_the_newest_is_sent_and_in_the_order_of_numbers(is_burst):
    async def scenario(hub):
        listener = listen(hub)
        for target, data in (("a", "1"), ("b", "2"), ("a", "3")):
            hub.bus.publish(["page:p"], target, data)
            if not is_burst:
                await asyncio.sleep(0)
        assert await taken(listener) == ["2", "3"]
        assert listener.number == 3

    play(scenario)


def test_a_burst_before_the_loop_runs_is_coalesced_too():
    async def scenario(hub):
        listener = listen(hub)
        for n in range(50):
            hub.bus.publish(["page:p"], "a", f"{n}")
        hub.bus.append(["page:p"], "s", "x")
        hub.bus.append(["page:p"], "s", "y")
        data = await taken(listener)
        assert data[0] == "49"
        assert [len(data), '"x"' in data[1], '"y"' in data[2]] == [3, True, True]

    play(scenario)


def test_a_message_to_several_channels_of_one_stream_is_sent_once():
    async def scenario(hub):
        both, one = listen(hub, "user:1"), listen(hub, "user:1", page="q")
        hub.bus.publish(["page:p", "user:1"], "a", "1")
        assert (await taken(both), await taken(one)) == (["1"], ["1"])

    play(scenario)


def test_what_a_reading_has_covered_is_not_sent_again_and_what_comes_meanwhile_is():
    async def scenario(hub):
        listener = listen(hub)
        listener.begin_sync()
        hub.bus.publish(["page:p"], "a", "covered")
        catchup = hub.bus.read(listener.channels, f"{hub.bus.epoch}.0")
        hub.bus.publish(["page:p"], "b", "later")
        await asyncio.sleep(0)
        listener.end_sync(catchup.epoch, catchup.number)
        assert [message.data for message in catchup.messages] == ["covered"]
        assert await taken(listener) == ["later"]

    play(scenario)


def test_a_listener_that_overflows_takes_nothing_more_until_it_has_read():
    async def scenario(hub):
        listener = listen(hub)
        for n in range(300):
            hub.bus.publish(["page:p"], f"t{n}", f"{n}")
        await asyncio.sleep(0)
        assert (listener.is_lagging, listener.is_sync_due, await taken(listener)) == (True, True, [])
        listener.begin_sync()
        catchup = hub.bus.read(listener.channels, f"{listener.epoch}.{listener.number}")
        listener.end_sync(catchup.epoch, catchup.number)
        assert [message.data for message in catchup.messages] == [str(n) for n in range(300)]

    play(scenario)


def test_a_slow_stream_of_text_does_not_grow_without_bound():
    async def scenario(hub):
        listener = listen(hub)
        for _ in range(1000):
            hub.bus.append(["page:p"], "s", "x")
        await asyncio.sleep(0)
        assert listener.is_lagging
        [message] = hub.bus.read(listener.channels, f"{listener.epoch}.{listener.number}").messages
        assert json.loads(message.data)["text"] == "x" * 1000

    play(scenario)


def test_a_message_wakes_the_loop_once_however_many_listen():
    async def scenario(hub):
        listeners = [listen(hub, "topic:t", page=f"p{n}", owner=f"o{n}") for n in range(20)]
        waiting = [listener.wait() for listener in listeners]
        publisher = threading.Thread(target=hub.bus.publish, args=(["topic:t"], "a", "1"))
        publisher.start()
        await asyncio.gather(*waiting)
        publisher.join()
        bodies = {id(frame.body) for listener in listeners for frame in listener._pending.values()}
        assert len(bodies) == 1

    play(scenario)


def test_a_page_that_joins_a_channel_hears_what_follows_on_all_its_streams():
    async def scenario(hub):
        listener, other = listen(hub), listen(hub, page="q")
        hub.bus.publish(["topic:t"], "a", "before")
        hub.bus.add_channels("p", ["topic:t"])
        hub.bus.publish(["topic:t"], "a", "after")
        assert (await taken(listener), await taken(other)) == (["after"], [])
        hub.remove_connection(listener)
        assert hub._connections_by_channel.keys() == {"page:q"}

    play(scenario)


def test_what_comes_before_and_after_a_join_in_one_burst_goes_to_those_who_heard_then():
    async def scenario(hub):
        joining, hearing = listen(hub), listen(hub, "topic:t", page="q")
        hub.bus.publish(["page:p"], "a", "own")
        hub.bus.publish(["topic:t"], "b", "before")
        hub.bus.add_channels("p", ["topic:t"])
        hub.bus.publish(["topic:t"], "c", "after")
        assert (await taken(joining), await taken(hearing)) == (["own", "after"], ["before", "after"])

    play(scenario)


def test_a_burst_wakes_the_loop_once_and_what_no_stream_hears_not_at_all():
    async def scenario(hub):
        listener, woken, wake = listen(hub), [], hub.loop.call_soon_threadsafe

        def count(call: Callable[[], object]) -> object:
            woken.append(call)
            return wake(call)

        hub.loop.call_soon_threadsafe = count
        for _ in range(2):
            hub.bus.publish(["topic:unheard"], "a", "1")
            assert woken == []
            hub.bus.publish(["page:p"], "a", "1")
            hub.bus.add_channels("p", ["topic:t"])
            assert len(woken) == 1
            assert await taken(listener) == ["1"]
            woken.clear()

    play(scenario)


def test_closing_a_session_ends_its_streams_and_no_others():
    async def scenario(hub):
        ended, other, anonymous = listen(hub, session="x"), listen(hub, session="y"), listen(hub, session="")
        hub.bus.publish(["page:p"], "a", "secret")
        hub.bus.close_streams("x")
        hub.bus.close_streams("")
        await asyncio.sleep(0)
        assert (ended.is_ending, ended.is_draining) == (True, False)
        assert not other.is_ending
        assert not anonymous.is_ending

    play(scenario)


def test_a_session_closed_while_its_stream_is_being_opened_is_known():
    async def scenario(hub):
        with hub.opening() as closed:
            hub.bus.close_streams("x")
            await asyncio.sleep(0)
        assert closed == {"x"}

    play(scenario)


def test_what_the_bus_may_have_lost_makes_every_listener_read():
    async def scenario(hub):
        listener = listen(hub)
        hub.resync()
        await listener.wait()
        assert (listener.is_lagging, listener.is_sync_due) == (True, True)

    play(scenario)


def test_a_hub_that_is_closing_opens_nothing_and_drains_what_is_open():
    async def scenario(hub):
        listener = listen(hub)
        hub.close()
        assert (listener.is_ending, listener.is_draining) == (True, True)
        for attempt in (lambda: hub.opening().__enter__(), lambda: listen(hub)):
            with pytest.raises(StreamDenied) as refused:
                attempt()
            assert refused.value.status == 503

    play(scenario)


@override_settings(HTMX_LIVE={"MAX_STREAMS": 2})
def test_streams_being_opened_count_too():
    async def scenario(hub):
        listen(hub)
        with hub.opening(), pytest.raises(StreamDenied) as refused:
            hub.opening().__enter__()
        assert refused.value.status == 429
        with hub.opening():  # that one has ended, and counts no more
            listen(hub)

    play(scenario)


@override_settings(HTMX_LIVE={"MAX_STREAMS_PER_OWNER": 2})
def test_an_owner_has_a_bounded_number_of_streams():
    async def scenario(hub):
        first, _ = listen(hub), listen(hub, page="q")
        with pytest.raises(StreamDenied) as refused:
            listen(hub)
        listen(hub, owner="other")
        for _ in range(2):  # leaving twice counts once
            hub.remove_connection(first)
        listen(hub)
        with pytest.raises(StreamDenied):
            listen(hub)
        assert (refused.value.status, len(hub)) == (429, 3)

    play(scenario)


def test_a_hub_that_all_have_left_keeps_nothing_of_them():
    async def scenario(hub):
        listeners = [listen(hub, "topic:t"), listen(hub, "topic:t", owner="other")]
        hub.remove_connection(listeners[0])
        assert hub._connections_by_channel == {"page:p": {listeners[1]}, "topic:t": {listeners[1]}}
        hub.remove_connection(listeners[1])
        assert (len(hub), hub._connections_by_channel, dict(hub._streams_by_owner)) == (0, {}, {})
        assert [listener._timer.cancelled() for listener in listeners] == [True, True]

    play(scenario)


def test_a_hub_closes_when_it_is_told_and_waits_for_one_only():
    async def scenario(hub):
        listener, told, calls = listen(hub), asyncio.Event(), []

        async def wait():
            calls.append(1)
            await told.wait()

        hub.close_after(wait)
        hub.close_after(wait)
        await asyncio.sleep(0)
        assert (calls, listener.is_ending) == ([1], False)
        told.set()
        await hub._closing
        assert (listener.is_ending, listener.is_draining) == (True, True)

    play(scenario)


def test_a_channel_that_a_reading_finds_is_heard_and_read_once_more():
    async def scenario(hub):
        listener = listen(hub)
        hub.bus.unsubscribe(hub)
        hub.bus.add_channels("p", ["topic:t"])
        hub.bus.subscribe(hub)
        listener.begin_sync()
        hub.end_sync(listener, hub.bus.read(listener.channels, hub.bus.position()))
        assert (listener.channels, listener.is_lagging) == (("page:p", "topic:t"), True)
        listener.begin_sync()
        hub.end_sync(listener, hub.bus.read(listener.channels, hub.bus.position()))
        assert not listener.is_lagging
        hub.bus.publish(["topic:t"], "a", "1")
        assert await taken(listener) == ["1"]

    play(scenario)


def test_a_loop_that_has_ended_harms_no_publisher_and_is_forgotten():
    with override_bus(MemoryBus()) as bus:

        async def leave_a_listener():
            listen(current_hub())
            return current_hub()

        ended = asyncio.run(leave_a_listener())
        for number in range(3):
            bus.publish(["page:p"], "a", str(number))
            assert not ended._inbox
        asyncio.run(leave_a_listener())
        assert len(bus._subscribers) == 1
