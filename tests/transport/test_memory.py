"""The memory bus alone: what it keeps is bounded."""

import pytest

from htmx_live.transport import memory
from htmx_live.transport.memory import MemoryBus


@pytest.fixture
def bus(monkeypatch):
    monkeypatch.setattr(memory, "_KEPT_IN_ALL", 100)
    return MemoryBus()


def test_beyond_the_bound_the_channel_used_longest_ago_goes_and_its_late_reader_is_reset(bus):
    start = bus.position()
    bus.publish(["page:a"], "t", "x" * 50)
    read_a = bus.position()
    bus.publish(["page:b"], "t", "x" * 50)
    bus.read(["page:a"], start)
    bus.publish(["page:c"], "t", "x" * 50)
    assert bus.read(["page:b"], read_a).reset
    assert not bus.read(["page:a", "page:c"], bus.position()).reset
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
        bus.end_texts(["s"])
    bus.append(["page:a"], "t", "x" * 90)
    bus.append(["page:a"], "t", "y", replace=True)
    assert bus.text("t").text == "y"
