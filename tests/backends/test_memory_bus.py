"""The memory bus alone: what it keeps is bounded."""

import pytest
from django.test import override_settings

from htmx_live.backends.memory import bus as memory
from htmx_live.backends.memory.bus import MemoryBus
from htmx_live.testing import ManualClock


@pytest.fixture
def bus(monkeypatch):
    monkeypatch.setattr(memory, "_MAX_CHARACTERS", 100)
    return MemoryBus()


def test_beyond_the_bound_the_channel_used_longest_ago_goes_and_its_late_reader_is_reset(bus):
    start = bus.position()
    bus.publish(["page:a"], "t", "x" * 50)
    read_a = bus.position()
    bus.publish(["page:b"], "t", "x" * 50)
    bus.read(["page:a"], start)
    bus.publish(["page:c"], "t", "x" * 50)
    assert bus.read(["page:b"], read_a).is_reset
    assert not bus.read(["page:a", "page:c"], bus.position()).is_reset
    assert [message.channel for message in bus.read(["page:a", "page:c"], f"{bus.epoch}.2").messages] == ["page:c"]


def test_a_message_that_is_replaced_counts_no_more(bus):
    start = bus.position()
    for _ in range(10):
        bus.publish(["page:a"], "t", "x" * 50)
    bus.publish(["page:b"], "t", "x" * 50)
    assert len(bus.read(["page:a", "page:b"], start).messages) == 2


def test_beyond_the_bound_the_text_grown_longest_ago_goes(bus):
    for target in ("s", "t", "u"):
        bus.append(["page:a"], target, "x" * 40)
    assert [bus.text(target) is None for target in ("s", "t", "u")] == [True, False, False]
    assert len(bus.read(["page:a"], f"{bus.epoch}.0").messages) == 2


def test_a_text_that_grows_again_outlives_one_that_does_not(bus):
    for target, text in (("s", "x" * 40), ("t", "x" * 40), ("s", "y"), ("u", "x" * 40)):
        bus.append(["page:a"], target, text)
    assert [bus.text(target) is None for target in ("s", "t", "u")] == [False, True, False]


def test_texts_that_ended_count_no_more(bus):
    for _ in range(10):
        bus.append(["page:a"], "s", "x" * 90)
        bus.clear_texts(["s"])
    bus.append(["page:a"], "t", "x" * 90)
    bus.append(["page:a"], "t", "y", replace=True)
    assert bus.text("t").text == "y"


def test_messages_and_texts_are_each_kept_up_to_the_bound_and_not_beyond(bus):
    start = bus.position()
    for name in ("a", "b"):
        bus.publish([f"page:{name}"], "t", "x" * 50)
        bus.append([f"page:{name}"], name, "x" * 50)
    assert [bus.read([f"page:{name}"], start).is_reset for name in ("a", "b")] == [False, False]
    assert [bus.text(name) is None for name in ("a", "b")] == [False, False]
    bus.publish(["page:b"], "u", "x")
    bus.append([], "b", "x")
    assert bus.read(["page:a"], start).is_reset
    assert [bus.text(name) is None for name in ("a", "b")] == [True, False]


def test_a_text_counts_once_however_many_channels_have_it(bus):
    start = bus.position()
    for n in range(60):
        bus.append(["topic:t"], f"s{n}", "x")
    bus.add_channels("p", ["topic:t"], since=start)
    assert [len(bus.read([name], start).messages) for name in ("topic:t", "page:p")] == [60, 60]


@override_settings(HTMX_LIVE={"REPLAY_TTL": 100, "HIDDEN_TTL": 100})
def test_what_is_not_used_goes_when_its_time_is_over_though_nothing_is_published():
    clock = ManualClock()
    bus = MemoryBus(clock=clock)
    start = bus.position()
    bus.publish(["page:a"], "t", "1")
    bus.append([], "s", "text")
    clock.advance(99)
    bus.sweep()
    assert bus.text("s").text == "text"
    clock.advance(1)
    bus.sweep()
    assert bus.text("s") is None
    assert bus.read(["page:a"], start).is_reset
