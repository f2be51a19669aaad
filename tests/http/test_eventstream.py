"""django-eventstream with our hand-over: the names that it stands on, and what listeners get."""

import asyncio

import pytest
from django.test import override_settings
from django_eventstream import send_event, views
from django_eventstream.event import Event

from htmx_live.backends import RedisBus, override_bus
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.http import eventstream


@pytest.fixture(autouse=True)
def installed():
    assert eventstream.install() == ""
    views.listener_manager.listeners_by_channel.clear()
    yield
    views.listener_manager.listeners_by_channel.clear()


def listener(*channels: str) -> views.Listener:
    made = views.Listener()
    made.channels = set(channels)
    made.assign_loop()
    views.listener_manager.add_listener(made)
    return made


def test_the_installed_package_is_the_one_that_we_know():
    assert eventstream.find_mismatch() == ""
    assert isinstance(views.get_listener_manager(), eventstream.BusListenerManager)


def test_installing_twice_changes_nothing():
    before = views.listener_manager
    assert eventstream.install() == ""
    assert views.listener_manager is before


@pytest.mark.parametrize(
    ("owner", "name", "reason"),
    [
        (views, "get_listener_manager", "django_eventstream.views has no get_listener_manager"),
        (
            views.ListenerManager,
            "kick",
            "django_eventstream.views.ListenerManager.kick does not take (self, user_id, channel)",
        ),
    ],
)
def test_a_package_that_has_changed_is_left_alone_and_the_difference_named(monkeypatch, owner, name, reason):
    before = views.listener_manager
    monkeypatch.delattr(owner, name)
    assert eventstream.install() == reason
    assert views.listener_manager is before


def test_an_event_wakes_every_listener_of_its_channel():
    async def scenario():
        here, other = listener("news"), listener("sport")
        await asyncio.to_thread(send_event, "news", "message", {"n": 1})
        await here.aevent.wait()
        assert [(event.type, event.data) for event in here.channel_items["news"]] == [("message", '{"n": 1}')]
        assert other.channel_items == {}

    asyncio.run(scenario())


def test_beyond_the_bound_the_oldest_event_goes():
    async def scenario():
        here = listener("news")
        for n in range(1500):
            views.listener_manager.add_to_queues("news", Event("news", "message", n))
        assert [event.data for event in here.channel_items["news"]] == list(range(500, 1500))
        assert here.overflow is False

    asyncio.run(scenario())


def test_beyond_the_bound_a_stored_event_is_left_to_the_storage():
    async def scenario():
        here = listener("news")
        for n in range(1500):
            views.listener_manager.add_to_queues("news", Event("news", "message", n, id=n))
        assert [event.data for event in here.channel_items["news"]] == list(range(1000))
        assert here.overflow is True

    asyncio.run(scenario())


def test_a_listener_whose_loop_has_ended_harms_nobody():
    async def leave():
        listener("news")

    asyncio.run(leave())
    send_event("news", "message", 1)


@pytest.fixture
def shared(connection):
    """The bus on Redis, which carries events from process to process."""
    chosen = {"REDIS_URL": connection.url, "REDIS_PREFIX": connection.prefix}
    source = RedisBus(connection)
    with override_settings(HTMX_LIVE=chosen), override_bus(source):
        yield source
    for receiver in source._subscription._subscribers:  # a process listens for as long as it lives
        source.unsubscribe(receiver)


def test_with_redis_an_event_comes_back_over_the_bus(shared):
    async def scenario():
        here = listener("news")
        await converged(here)
        await asyncio.to_thread(send_event, "news", "message", {"n": 1})
        await here.aevent.wait()
        assert [(event.type, event.data) for event in here.channel_items["news"]] == [("message", '{"n": 1}')]

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_with_redis_a_user_who_may_read_no_more_is_sent_away_in_all_processes(shared):
    async def scenario():
        here, other = listener("news"), listener("news")
        here.user_id, other.user_id = 7, 8
        await converged(here)
        await asyncio.to_thread(views.listener_manager.kick, 7, "news")
        await here.aevent.wait()
        assert here.error["condition"] == "forbidden"
        assert other.error == ""

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_when_the_subscription_stands_streams_read_their_storage_again(shared):
    async def scenario():
        here = listener("news")
        await here.aevent.wait()
        assert here.overflow is True

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_while_redis_is_away_an_event_reaches_this_process_and_the_log_says_so(caplog):
    caplog.set_level("DEBUG", logger="htmx_live")  # in an outage, what fails is counted and not a warning
    source = RedisBus(RedisConnection("redis://127.0.0.1:1/0", prefix="x:"))
    with override_settings(HTMX_LIVE={"REDIS_URL": "redis://127.0.0.1:1/0"}), override_bus(source):
        send_event("news", "message", 1)
    assert "'news' reaches this process only" in caplog.text


async def converged(listener: views.Listener) -> None:
    """The subscription stands."""
    await listener.aevent.wait()
    listener.aevent.clear()
    listener.overflow = False
