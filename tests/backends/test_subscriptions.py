"""What every store promises about the channels that pages subscribe to."""

from typing import Any

from htmx_live.core.records import Owner, Record
from htmx_live.testing import ManualClock


def test_a_page_without_instances_keeps_its_channels_in_order_and_once(store: Any) -> None:
    for channel in ("topic:a", "topic:b", "topic:b"):
        store.add_subscription("p", channel)
    assert (tuple(store.subscribed_channels("p")), tuple(store.subscribed_channels("q"))) == (
        ("topic:a", "topic:b"),
        (),
    )


def test_the_end_of_a_pages_instances_is_not_the_end_of_its_channels(store: Any) -> None:
    store.create(Record(instance="one", view="app.View", owner=Owner(), rev=1, pages=("p",)))
    store.add_subscription("p", "topic:a")
    store.delete("one")
    assert tuple(store.subscribed_channels("p")) == ("topic:a",)


def test_a_page_that_is_not_heard_of_for_long_loses_its_channels(store: Any, clock: ManualClock, settings: Any) -> None:
    settings.HTMX_LIVE = {"HIDDEN_TTL": 100}
    store.add_subscription("left", "topic:a")
    store.add_subscription("shown", "topic:a")
    clock.advance(60)
    store.touch_page("shown", present_for=45, retain_for=0)
    clock.advance(60)
    store.add_subscription("fresh", "topic:a")
    assert [tuple(store.subscribed_channels(page)) for page in ("left", "shown")] == [(), ("topic:a",)]


def test_of_very_many_channels_a_page_keeps_the_newest(store: Any) -> None:
    for number in [*range(1000), 900]:
        store.add_subscription("p", f"topic:{number}")
    assert tuple(store.subscribed_channels("p"))[-2:] == ("topic:999", "topic:900")
    assert len(store.subscribed_channels("p")) == 256
