"""One stream: its opening, its beats and its end."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from django.test import override_settings

from htmx_live.backends import Bus, MemoryBus, bus, override_bus
from htmx_live.backends.wire import Replay
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import Outage
from htmx_live.http.stream_connection import generate_stream
from htmx_live.http.stream_endpoint import StreamAuthorizer, StreamGrant
from htmx_live.http.stream_hub import StreamDenied, current_hub, validity
from tests.http.gate import TrustingGate

PATIENCE = 20.0  # seconds until what does not come fails a test
PAGE = {"x-live-page": "p", "x-session": "s"}


class AbsentBus(MemoryBus):
    """A bus that is away while ``is_away``; ``asked`` counts the readings that it refused."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.reason = StoreUnavailable("The bus is away.")
        self.asked = threading.Semaphore(0)

    def read(self, channels: tuple[str, ...], since: str) -> Replay:
        if self.is_away:
            self.asked.release()
            raise self.reason
        return super().read(channels, since)


def play(scenario: Callable[[Bus], Awaitable[None]], bus: Bus | None = None) -> None:
    with override_bus(bus or MemoryBus()) as chosen:
        asyncio.run(scenario(chosen))


@asynccontextmanager
async def opened(gate: StreamAuthorizer, **headers: str) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
    """The greeting and the rest of a stream."""
    body = generate_stream(gate, {**PAGE, **headers}, abort=lambda: None)
    try:
        yield (await anext(body)).decode(), body
    finally:
        await body.aclose()


async def refusal(gate: StreamAuthorizer, **headers: str) -> int:
    with pytest.raises(StreamDenied) as refused:
        async with opened(gate, **headers):
            pass
    return refused.value.status


def test_a_stream_greets_and_says_where_it_stands():
    async def scenario(bus):
        async with opened(TrustingGate()) as (greeting, _):
            retry, rest = greeting.split("\n", 1)
            assert 1000 <= int(retry.removeprefix("retry: ")) <= 3000
            assert rest.split("\n\n") == [
                'event: hello\ndata: {"heartbeat": 15.0}',
                f"id: {bus.epoch}.0\nevent: reset\ndata: {{}}",  # it came without a position
                f": \nid: {bus.epoch}.0",
                "",
            ]

    play(scenario)


def test_what_is_published_while_a_stream_is_being_opened_is_in_it_once():
    async def scenario(bus):
        class PublishingGate(TrustingGate):
            def on_open(self, grant: StreamGrant) -> None:
                bus.publish(["page:p"], "t", "early")

        async with opened(PublishingGate(), **{"last-event-id": bus.position()}) as (greeting, body):
            bus.publish(["page:p"], "u", "late")
            assert greeting.count("data: early\n") == 1
            assert await anext(body) == f"id: {bus.epoch}.2\ndata: late\n\n".encode()

    play(scenario)


def test_a_gate_that_refuses_is_asked_nothing_more():
    gate = TrustingGate()

    async def scenario(bus):
        assert await refusal(gate, **{"x-live-page": ""}) == 404
        assert len(current_hub()) == 0

    play(scenario)
    assert gate.calls == [("open", "")]


def test_a_gate_whose_store_is_away_gives_no_stream():
    class AwayGate(TrustingGate):
        def authorize(self, headers):
            raise StoreUnavailable("The store is away.")

    async def scenario(bus):
        assert await refusal(AwayGate()) == 503
        assert len(current_hub()) == 0

    play(scenario)


def test_a_stream_whose_check_runs_out_while_it_opens_is_refused():
    async def scenario(bus):
        class SlowGate(TrustingGate):
            def on_open(self, access):
                super().on_open(access)
                [listener] = hub._connections
                listener.checked_at -= validity()

        hub = current_hub()
        assert await refusal(SlowGate()) == 503

    play(scenario)


def test_a_session_that_is_closed_during_the_opening_gets_no_stream():
    async def scenario(bus):
        class SlowGate(TrustingGate):
            def authorize(self, headers):
                access = super().authorize(headers)
                bus.close_streams("s")  # a logout, after the session was loaded
                return access

        assert await refusal(SlowGate()) == 401

    play(scenario)


def test_closing_a_session_ends_its_stream_without_what_was_pending():
    async def scenario(bus):
        async with opened(TrustingGate()) as (_, body):
            bus.publish(["page:p"], "t", "secret")
            bus.close_streams("s")
            assert [chunk async for chunk in body] == [b"event: bye\ndata: {}\n\n"]

    play(scenario)


def test_shutting_down_sends_what_is_pending_and_says_bye():
    async def scenario(bus):
        async with opened(TrustingGate()) as (_, body):
            bus.publish(["page:p"], "t", "last")
            await asyncio.sleep(0)
            current_hub().close()
            sent = b"".join([chunk async for chunk in body]).decode()
            assert sent == f"id: {bus.epoch}.1\ndata: last\n\nevent: bye\ndata: {{}}\n\n"

    play(scenario)


@override_settings(HTMX_LIVE={"HEARTBEAT": 0.01})
def test_the_gate_hears_of_a_streams_life_in_order():
    gate = TrustingGate()

    async def scenario(bus):
        async with opened(gate) as (_, body):
            assert await anext(body) == f": \nid: {bus.epoch}.0\n\n".encode()

    play(scenario)
    assert gate.closed_one.wait(10)
    assert gate.calls == [(call, "p") for call in ("open", "opened", "renewed", "closed")]


@override_settings(HTMX_LIVE={"HEARTBEAT": 0.01})
def test_a_beat_brings_what_was_lost_on_its_way():
    async def scenario(bus):
        async with opened(TrustingGate()) as (_, body):
            bus.unsubscribe(current_hub())
            bus.publish(["page:p"], "t", "lost")
            assert await anext(body) == f"id: {bus.epoch}.1\ndata: lost\n\n: \nid: {bus.epoch}.1\n\n".encode()

    play(scenario)


@override_settings(HTMX_LIVE={"HEARTBEAT": 0.01})
def test_what_comes_while_a_beat_reads_is_sent_once():
    class PublishingGate(TrustingGate):
        def on_heartbeat(self, grant):
            if ("renewed", grant.page) not in self.calls:
                bus().publish(["page:p"], "t", "1")
                bus().publish(["page:p"], "u", "2")
            super().on_heartbeat(grant)

    async def scenario(bus):
        async with opened(PublishingGate(), **{"last-event-id": bus.position()}) as (_, body):
            both = f"id: {bus.epoch}.1\ndata: 1\n\nid: {bus.epoch}.2\ndata: 2\n\n"
            beat = f": \nid: {bus.epoch}.2\n\n"
            assert await anext(body) == f"{both}{beat}".encode()
            assert [await anext(body), await anext(body)] == [beat.encode(), beat.encode()]

    play(scenario)


@override_settings(HTMX_LIVE={"HEARTBEAT": 0.01})
def test_while_the_bus_is_away_a_stream_beats_without_a_position_and_then_catches_up(caplog):
    bus = AbsentBus()

    async def scenario(bus):
        async with opened(TrustingGate(), **{"last-event-id": bus.position()}) as (_, body):
            bus.is_away = True
            assert await anext(body) == b": \n\n"
            bus.publish(["page:p"], "t", "1")
            bus.is_away = False
            while (chunk := await anext(body)) == b": \n\n":
                pass
            assert chunk == f"id: {bus.epoch}.1\ndata: 1\n\n: \nid: {bus.epoch}.1\n\n".encode()

    play(scenario, bus)
    said = "A stream could not catch up and will try again: The bus is away."
    assert {record.getMessage() for record in caplog.records if record.name == "htmx_live.http"} == {said}


def test_an_outage_counts_the_heartbeats_that_it_has_cost():
    bus, outage = AbsentBus(), Outage()
    bus.reason.outage = outage

    async def scenario(bus):
        async with opened(TrustingGate()) as (_, body):
            bus.is_away = True
            current_hub().resync()
            assert await anext(body) == b": \n\n"
            assert outage.summary().endswith("failed meanwhile: 1 heartbeats of streams")

    play(scenario, bus)


def test_a_bus_that_is_away_gives_no_stream_and_leaves_nothing_behind():
    gate, bus = TrustingGate(), AbsentBus()
    bus.is_away = True

    async def scenario(bus):
        assert await refusal(gate) == 503
        assert len(current_hub()) == 0

    play(scenario, bus)
    assert gate.closed_one.wait(10)
    assert [call for call, _ in gate.calls] == ["open", "opened", "closed"]


def test_a_stream_that_overflowed_goes_on_with_the_newest_of_everything():
    async def scenario(bus):
        async with opened(TrustingGate(), **{"last-event-id": bus.position()}) as (_, body):
            for n in range(400):
                bus.publish(["page:p"], f"t{n % 300}", f"{n}")
            sent = (await anext(body)).decode()
            data = [int(line[6:]) for line in sent.split("\n") if line.startswith("data: ")]
            assert data == list(range(100, 400))
            bus.publish(["page:p"], "t", "next")
            assert await anext(body) == f"id: {bus.epoch}.401\ndata: next\n\n".encode()

    play(scenario)


def test_a_stream_that_lacks_more_than_is_kept_is_told_to_start_afresh():
    async def scenario(bus):
        async with opened(TrustingGate(), **{"last-event-id": bus.position()}) as (_, body):
            for n in range(600):
                bus.publish(["page:p"], f"t{n}", f"{n}")
            position = bus.position()
            assert await anext(body) == f"id: {position}\nevent: reset\ndata: {{}}\n\n: \nid: {position}\n\n".encode()

    play(scenario)


@override_settings(HTMX_LIVE={"HEARTBEAT": 0.01})
def test_a_gate_whose_store_is_away_does_not_end_the_stream():
    class ForgetfulGate(TrustingGate):
        def on_heartbeat(self, grant):
            raise StoreUnavailable("The store is away.")

    async def scenario(bus):
        async with opened(ForgetfulGate()) as (_, body):
            assert await anext(body) == f": \nid: {bus.epoch}.0\n\n".encode()

    play(scenario)


@asynccontextmanager
async def busy(blocks: str) -> AsyncIterator[tuple[TrustingGate, AsyncIterator[bytes]]]:
    """A stream whose gate is in the middle of this call, and stays there for as long as the block runs."""
    gate = TrustingGate(blocks=blocks)
    body = generate_stream(gate, {**PAGE, "x-live-page": "slow"}, abort=lambda: None)
    if blocks == "renewed":
        await anext(body)
    reading = asyncio.ensure_future(anext(body))
    assert await asyncio.to_thread(gate.blocked.wait, PATIENCE)

    async def rest() -> AsyncIterator[bytes]:
        yield await asyncio.wait_for(reading, PATIENCE)
        async for chunk in body:
            yield chunk

    try:
        yield gate, rest()
    finally:
        gate.released.set()
        await body.aclose()


@pytest.mark.parametrize("ends", ["a logout", "a shutdown"])
def test_a_stream_that_is_to_end_does_not_wait_for_what_it_reads(ends):
    async def scenario(bus):
        async with busy("renewed") as (_, rest):
            bus.publish(["page:slow"], "t", "left for the next stream")
            if ends == "a logout":
                bus.close_streams("s")
            else:
                current_hub().close()
            assert b"".join([chunk async for chunk in rest]) == b"event: bye\ndata: {}\n\n"

    with override_settings(HTMX_LIVE={"HEARTBEAT": 0.05}):
        play(scenario)


@pytest.mark.parametrize(("ends", "status"), [("a logout", 401), ("a shutdown", 503)])
def test_a_stream_that_is_to_end_while_it_opens_is_refused(ends, status):
    async def scenario(bus):
        async with busy("opened") as (_, rest):
            if ends == "a logout":
                bus.close_streams("s")
            else:
                current_hub().close()
            with pytest.raises(StreamDenied) as refused:
                await anext(rest)
            assert refused.value.status == status

    play(scenario)


class UncertainGate(TrustingGate):
    """A gate that can tell nothing about open streams until it ``is_certain``."""

    is_certain = False

    def check(self, grants):
        return [self.is_certain or None] * len(grants)


@override_settings(HTMX_LIVE={"HEARTBEAT": 0.01})
def test_what_is_rendered_after_a_check_has_run_out_waits_for_the_next_one():
    gate = UncertainGate()

    async def scenario(bus):
        async with opened(gate, **{"last-event-id": bus.position()}) as (_, body):
            while (await anext(body)) != b": \n\n":  # its heartbeats carry a position until the check has run out
                pass
            bus.publish(["page:p"], "t", "late")
            assert {await anext(body) for _ in range(5)} == {b": \n\n"}
            gate.is_certain = True
            while (chunk := await anext(body)) == b": \n\n":
                pass
            assert chunk.startswith(f"id: {bus.epoch}.1\ndata: late\n\n".encode())

    play(scenario)


def test_what_was_held_back_is_sent_at_the_check_and_not_at_the_next_beat():
    async def scenario(bus):
        async with opened(TrustingGate(), **{"last-event-id": bus.position()}) as (_, body):
            [listener] = current_hub()._connections
            listener.checked_at -= validity()
            bus.publish(["page:p"], "t", "1")
            current_hub().resync()
            assert await anext(body) == b": \n\n"
            bus.publish(["page:p"], "u", "2")
            listener.end_check(current_hub().loop.time())
            held = f"id: {bus.epoch}.1\ndata: 1\n\nid: {bus.epoch}.2\ndata: 2\n\n: \nid: {bus.epoch}.2\n\n"
            assert await anext(body) == held.encode()

    play(scenario)


@override_settings(HTMX_LIVE={"HEARTBEAT": 0.01})
@pytest.mark.parametrize("answer", ["no", "an error"])
def test_a_stream_that_may_not_go_on_ends_without_what_was_pending(answer):
    class ClosedGate(TrustingGate):
        def check(self, grants):
            if answer == "no":
                return [False] * len(grants)
            raise ValueError(answer)

    async def scenario(bus):
        async with opened(ClosedGate()) as (_, body):
            chunks = [chunk async for chunk in body]
            assert chunks[-1] == b"event: bye\ndata: {}\n\n"

    play(scenario)


@override_settings(HTMX_LIVE={"HEARTBEAT": 0.01})
def test_streams_of_one_owner_are_checked_together():
    class CountingGate(TrustingGate):
        def check(self, grants):
            self.calls.append(("check", len(grants)))
            return super().check(grants)

    gate = CountingGate()

    async def scenario(bus):
        async with opened(gate, **{"x-owner": "o"}) as (_, first), opened(gate, **{"x-owner": "o"}) as (_, second):
            while not (checks := [count for call, count in gate.calls if call == "check"]):
                await anext(first), await anext(second)
            assert checks == [2]

    play(scenario)


def test_a_page_that_closes_while_the_store_is_away_is_no_error(caplog):
    class AwayGate(TrustingGate):
        def on_close(self, grant: StreamGrant) -> None:
            super().on_close(grant)
            raise StoreUnavailable("The store is away.")

    gate = AwayGate()

    async def scenario(bus):
        async with opened(gate):
            pass
        assert await asyncio.to_thread(gate.closed_one.wait, PATIENCE)
        async with opened(TrustingGate()):  # on the same threads, so that the call before has ended
            pass

    with override_settings(HTMX_LIVE={"HEARTBEAT": 60}):
        play(scenario)
    assert [record.levelname for record in caplog.records if record.name == "htmx_live.core"] == []
