"""Push: our own code changes live views from outside."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import transaction

from htmx_live import LiveView, apush_to_view, push_to_view
from htmx_live.backends.memory.store import MemoryStore
from htmx_live.core.exceptions import StateError, TurnError
from htmx_live.core.records import Owner, Record
from htmx_live.runtime.services import override_services, services
from tests.sample_views import Note

pytestmark = pytest.mark.django_db
NOTE = "tests.sample_views.Note"


def test_a_push_sets_attributes_on_every_instance(live: Any) -> None:
    one, other = live(Note), live(Note)
    assert push_to_view(NOTE, state={"content": "news"}) == 2
    assert (one.text, other.text) == ("news| news", "news| news")


def test_a_push_calls_a_method_with_its_payload(live: Any) -> None:
    client = live(Note)
    push_to_view(Note, state={"content": "x"}, handler="hear", payload={"text": "hello"})
    assert client.text == "x|hello x"


def test_the_async_twin_pushes_alike(live: Any) -> None:
    client = live(Note)
    assert async_to_sync(apush_to_view)(NOTE, handler="hear", payload={"text": "hello"}) == 1
    assert client.text == "first|hello first"


def test_kwargs_limit_a_push_to_instances_mounted_with_them(live: Any) -> None:
    one, other = live(Note, pk=1), live(Note, pk=2)
    assert push_to_view(NOTE, state={"content": "news"}, kwargs={"pk": 2}) == 1
    assert (one.state["content"], other.state["content"]) == ("first", "news")


def test_user_limits_a_push_to_one_users_instances(live: Any) -> None:
    anna = get_user_model().objects.create(username="anna")
    hers, other = live(Note, user=anna), live(Note)
    assert push_to_view(NOTE, state={"content": "news"}, user=anna) == 1
    assert (hers.state["content"], other.state["content"]) == ("news", "first")


class CountingStore(MemoryStore):
    """Counts the records that are read to find out whom a push is for."""

    read = 0

    def find_by_view(self, view: str, *, with_state: bool = True, user: str = "") -> tuple[Record, ...]:
        found = super().find_by_view(view, with_state=with_state, user=user)
        self.read += len(found)
        return found


def test_a_push_to_one_user_reads_none_of_the_others_records(live: Any) -> None:
    store = CountingStore(clock=services().timer)
    with override_services(store=store):
        anna = get_user_model().objects.create(username="anna")
        hers = live(Note, user=anna)
        mine = store.load(hers.instance)
        assert mine is not None
        for number in range(500):
            owner = Owner(token=f"t{number}", user="999999")
            store.create(replace(mine.record, instance=f"other-{number}", owner=owner, pages=()))
        with override_services(is_strict=False):  # as without DEBUG
            assert push_to_view(NOTE, state={"content": "news"}, user=anna) == 1
        assert (store.read, hers.state["content"]) == (1, "news")
        with override_services(is_strict=True), pytest.raises(StateError, match=r"Did you mean 'content'\?"):
            push_to_view(NOTE, state={"contents": "news"}, user=anna)
        assert store.read == 2


def test_a_push_without_anything_renders_again(live: Any) -> None:
    client = live(Clocked)
    Clocked.time = "later"
    try:
        push_to_view(Clocked)
        assert client.text == "later"
    finally:
        Clocked.time = "now"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"view": "tests.sample_views.Nothing"}, ImportError, "is not a live view"),
        ({"view": "tests.sample_views.threading"}, ImportError, "is not a live view"),
        ({"view": NOTE, "handler": "haer"}, TurnError, "Did you mean 'hear'"),
        ({"view": NOTE, "handler": "__init__"}, TurnError, "has no method"),
        ({"view": NOTE, "state": {"contnt": 1}}, StateError, "Did you mean 'content'"),
        ({"view": NOTE, "state": {"mount": 1}}, StateError, "cannot be assigned"),
        ({"view": NOTE, "state": {"content": object()}}, StateError, "content is a builtins.object"),
        ({"view": NOTE, "payload": {"a": 1}}, TurnError, "needs handler"),
    ],
)
def test_what_is_unknown_is_an_error_to_the_caller(
    live: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    live(Note)
    with pytest.raises(error, match=message):
        push_to_view(**arguments)


def test_the_sender_of_the_seeds_broadcast_has_one_turn_for_both(live: Any) -> None:
    sender, peer = live(Note), live(Note)
    sender.send("update_content", {"value": "typed"})
    assert (sender.rev, sender.state["_skip_broadcast"], len(sender.fragments)) == (2, False, 1)
    assert (sender.text, peer.text) == ("typed| typed", "typed| typed")


def test_a_broadcast_reaches_equal_kwargs_and_not_the_sender(live: Any) -> None:
    sender, peer, stranger = live(Note, pk=1), live(Note, pk=1), live(Note, pk=2)
    sender.send("tell", {"text": "hi"})
    assert [client.state["heard"] for client in (sender, peer, stranger)] == [[], ["hi"], []]


def test_a_push_that_fails_is_put_back_and_keeps_no_other(live: Any, caplog: Any) -> None:
    client = live(Note)
    push_to_view(NOTE, state={"content": "lost"}, handler="breaks")
    push_to_view(NOTE, handler="hear", payload={"text": "kept"})
    assert (client.state["content"], client.state["heard"]) == ("first", ["kept"])
    assert "secret detail" in caplog.text and "secret" not in str(client.notices)


def test_an_absent_page_gets_its_pushes_when_it_returns(live: Any) -> None:
    client = live(Note).disconnect().advance(60)
    for word in "abc":
        push_to_view(NOTE, handler="hear", payload={"text": word})
    assert client.state["heard"] == []
    assert client.sync().text == "first|a,b,c first"


def test_pushes_of_state_to_an_absent_page_are_folded(live: Any) -> None:
    client = live(Note).disconnect().advance(60)
    for number in range(1000):
        push_to_view(NOTE, state={"content": str(number)})
    assert len(services().store.load(client.instance).messages) == 1
    assert client.sync().text == "999| 999"


def test_an_absent_page_with_too_much_mail_is_mounted_again(live: Any, settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_PENDING_MESSAGES": 5}
    client = live(Note).disconnect().advance(60)
    for word in "abcdefg":
        push_to_view(NOTE, handler="hear", payload={"text": word})
    assert services().store.load(client.instance) is None
    assert client.sync().text == "first| first"


@pytest.mark.django_db(transaction=True)
def test_a_push_in_a_transaction_waits_for_its_commit(live: Any) -> None:
    client = live(Note)
    with transaction.atomic():
        assert push_to_view(NOTE, state={"content": "news"}) is None
        assert client.state["content"] == "first"
    assert client.state["content"] == "news"


@pytest.mark.django_db(transaction=True)
def test_a_push_in_a_transaction_that_rolls_back_is_never_sent(live: Any) -> None:
    client = live(Note)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        push_to_view(NOTE, state={"content": "news"})
        raise ZeroDivisionError
    assert (client.state["content"], client.fragments) == ("first", [])


def test_pushes_from_many_threads_are_all_applied(live: Any) -> None:
    client = live(Note)
    words = [f"w{number}" for number in range(40)]
    threads = [
        threading.Thread(target=push_to_view, args=(NOTE,), kwargs={"handler": "hear", "payload": {"text": word}})
        for word in words
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(client.state["heard"]) == sorted(words)


class Clocked(LiveView):
    template_name = "views/clocked.html"
    time = "now"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"time": type(self).time}
