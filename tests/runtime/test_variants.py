"""Shared views in more than one language and time zone: one record, one render and one message for each in use."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone, translation

from htmx_live import LiveView, event_handler, push_to_view
from htmx_live.core.records import Owner, Record
from htmx_live.runtime.services import services
from htmx_live.runtime.variants import is_recently_viewed, touch_variant, viewed_variants

pytestmark = pytest.mark.django_db


class Spoken(LiveView):
    """Says in which language and time zone it is rendered, and in which it was mounted."""

    template_name = "views/spoken.html"
    scope = "shared"
    renders = 0

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count, self.word = 0, ""
        self.mounted_in = translation.get_language()

    @event_handler
    def add(self) -> None:
        self.count += 1

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        type(self).renders += 1
        assert self.count != "broken"
        return kwargs


@contextmanager
def speaking(language: str, zone: str = "UTC") -> Iterator[None]:
    with translation.override(language), timezone.override(zone):
        yield


def in_language(live: Any, language: str, zone: str = "UTC") -> Any:
    """A page that was loaded in this language."""
    with speaking(language, zone):
        return live(Spoken)


def drop_variant(client: Any, variant: str) -> None:
    """As if nobody had been seen to look in this variant for long."""
    store = services().store
    loaded, lease = store.load(client.instance), store.acquire(client.instance, wait=0)
    assert loaded is not None and lease is not None
    record = replace(loaded.record, rev=loaded.record.rev + 1, viewed={**loaded.record.viewed, variant: 0})
    assert store.save(record, lease=lease)
    store.release(lease)


def test_each_page_shows_its_own_language_and_time_zone_of_one_instance(live: Any) -> None:
    english, german = in_language(live, "en"), in_language(live, "de", "Asia/Tokyo")
    assert english.instance == german.instance
    assert (english.text, german.text) == ("en UTC 0 en Add", "de Asia/Tokyo 0 en Add")


def test_what_a_shared_view_does_itself_is_in_the_sites_language(live: Any) -> None:
    assert in_language(live, "de").state["mounted_in"] == "en"


def test_a_change_is_rendered_and_sent_once_for_each_variant(live: Any) -> None:
    clients = [in_language(live, language) for language in ("en", "de", "de", "en", "de")]
    messages, renders = clients[0]._environment.transport.messages, Spoken.renders
    sent = len(messages)
    push_to_view(Spoken, state={"count": 7})
    assert (len(messages) - sent, Spoken.renders - renders) == (2, 2)
    assert [client.text.split()[0] for client in clients] == ["en", "de", "de", "en", "de"]
    assert all(" 7 " in client.text for client in clients)


def test_a_site_of_one_language_renders_once_whatever_that_is(live: Any) -> None:
    clients = [in_language(live, "fr") for _ in range(3)]
    renders = Spoken.renders
    clients[0].click("add")
    assert Spoken.renders - renders == 1
    assert {client.text for client in clients} == {"fr UTC 1 en Add"}


def test_what_changes_in_one_language_alone_is_sent_in_that_alone(live: Any) -> None:
    english, german = in_language(live, "en"), in_language(live, "de")
    before = len(english.fragments), len(german.fragments)
    push_to_view(Spoken, state={"word": "neu"})
    assert (len(english.fragments) - before[0], len(german.fragments) - before[1]) == (0, 1)
    assert german.text == "de UTC 0 en neu Add"


def test_a_click_answers_in_the_language_of_its_page(live: Any) -> None:
    english, german = in_language(live, "en"), in_language(live, "de")
    german.disconnect().click("add")  # a request in the site's language: the page's is that of its load
    assert (german.text, english.text) == ("de UTC 1 en Add", "en UTC 1 en Add")


def test_a_click_that_changes_nothing_in_its_own_language_answers_nothing(live: Any) -> None:
    german = in_language(live, "de")
    push_to_view(Spoken, state={"count": -1})
    german.click("add").click("add")
    assert (german.status, german.text) == (200, "de UTC 1 en Add")


def test_a_page_that_asks_is_answered_in_its_language(live: Any) -> None:
    english, german = in_language(live, "en"), in_language(live, "de").disconnect()
    english.click("add")
    assert german.sync().text == "de UTC 1 en Add"
    english.click("add")
    assert german.sync(poll=True).text == "de UTC 2 en Add"


def test_a_page_has_another_language_from_its_next_load(live: Any) -> None:
    client = in_language(live, "en")
    with speaking("de"):
        assert client.sync().text == "en UTC 0 en Add"
        client.reload()
    push_to_view(Spoken, state={"count": 3})
    assert client.text == "de UTC 3 en Add"


def test_a_language_that_nobody_uses_any_more_is_not_rendered(live: Any) -> None:
    english, german = in_language(live, "en"), in_language(live, "de")
    german.disconnect()
    drop_variant(english, "de~UTC")
    renders = Spoken.renders
    english.click("add")
    assert Spoken.renders - renders == 1
    assert list(services().store.load(english.instance).record.viewed) == ["en~UTC"]  # type: ignore[union-attr]


def test_a_page_whose_language_was_given_up_gets_what_it_missed_when_it_returns(live: Any) -> None:
    english, german = in_language(live, "en"), in_language(live, "de")
    german.disconnect()
    drop_variant(english, "de~UTC")
    english.click("add")
    german.sync()
    english.click("add")
    assert german.reconnect().text == "de UTC 2 en Add"


def test_a_template_that_fails_says_so_in_every_language(live: Any, caplog: Any) -> None:
    english, german = in_language(live, "en"), in_language(live, "de")
    push_to_view(Spoken, state={"count": "broken"})
    assert [client.text.partition(" (")[0] for client in (english, german)] == [
        "Something went wrong.",
        "Es ist ein Fehler aufgetreten.",
    ]
    push_to_view(Spoken, state={"count": 2})
    assert (english.text, german.text) == ("en UTC 2 en Add", "de UTC 2 en Add")


def test_variants_in_use_are_those_seen_lately() -> None:
    record = touch_variant(touch_variant(RECORD, "en~UTC", now=1000), "de~UTC", now=1500)
    assert viewed_variants(record, now=1550) == {"en~UTC": 1000, "de~UTC": 1500}
    assert viewed_variants(record, now=1700) == {"de~UTC": 1500}


def test_a_variant_says_again_that_it_is_used_long_before_it_would_be_given_up() -> None:
    record = touch_variant(RECORD, "en~UTC", now=1000)
    assert [is_recently_viewed(record, "en~UTC", now=now) for now in (1000, 1199, 1250)] == [True, True, False]
    assert not is_recently_viewed(record, "de~UTC", now=1000)


def test_of_very_many_variants_those_seen_longest_ago_go() -> None:
    record = RECORD
    for number in range(150):
        record = touch_variant(record, f"en~{number}", now=number)
    assert list(record.viewed) == [f"en~{number}" for number in range(50, 150)]


RECORD = Record(instance="i", view="v", owner=Owner(), shared=True)
