"""``htmx_live.testing``: the client finds what a user would find, fails where a user would, and converges."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from htmx_live import LiveView, event_handler
from htmx_live.testing import LiveClient, ManualClock
from htmx_live.testing.environment import current_environment
from htmx_live.testing.page import parse

from .sample_views import Counter, Report
from .working_views import Work

Live = Callable[..., LiveClient]


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


class Form(LiveView):
    """Fields of every kind, two rows with the same handler, and a button that is disabled."""

    template_name = "views/fields.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.got: dict[str, Any] = {}
        self.name = "Ada"

    @event_handler
    def save(self, **kwargs: Any) -> None:
        self.got = kwargs

    @event_handler
    def pick(self, pk: int) -> None:
        self.got = {"pk": pk}

    @event_handler
    def choose(self, value: str) -> None:
        self.got = {"value": value}

    @event_handler
    def locked(self) -> None: ...


@pytest.fixture
def page(live: Live) -> LiveClient:
    return live(Form)


# What a user does


def test_submitting_sends_what_a_browser_would(page: LiveClient) -> None:
    page.submit("save")
    assert page.state["got"] == {"name": "Ada", "note": "long\ntext", "size": "m", "boxes": ["a", "c"], "kind": "two"}


def test_values_fill_the_forms_fields_and_none_leaves_one_out(page: LiveClient) -> None:
    page.submit("save", name="Ben", boxes=None)
    assert (page.state["got"]["name"], "boxes" in page.state["got"]) == ("Ben", False)


def test_a_value_tells_triggers_of_one_handler_apart(page: LiveClient) -> None:
    page.click("pick", pk=2)
    assert page.state["got"] == {"pk": 2}


def test_a_control_is_changed_by_its_value(page: LiveClient) -> None:
    page.change("choose", value="x")
    assert page.state["got"] == {"value": "x"}


def test_what_is_disabled_cannot_be_clicked(page: LiveClient) -> None:
    with pytest.raises(AssertionError, match="is disabled: a user could not click it"):
        page.click("locked")


def test_a_trigger_that_is_not_there_fails_with_those_that_are(page: LiveClient) -> None:
    with pytest.raises(
        AssertionError, match=r"no trigger for click → pick\(\{'pk': 9\}\)\. Of that handler it has:\n  <"
    ):
        page.click("pick", pk=9)


def test_a_trigger_for_another_event_is_not_found(page: LiveClient) -> None:
    with pytest.raises(AssertionError, match="no trigger for change → pick"):
        page.change("pick", pk=1)


def test_every_action_can_be_chained(live: Live) -> None:
    assert live(Counter).click("add").click("add", amount=2).text == "4 Add"


# What a test reads


def test_statuses_are_given_in_the_place_of_exceptions_where_asked(live: Live) -> None:
    page = live(Counter, raise_errors=False)
    assert [page.send(handler, {}).status for handler in ("fail", "refuse", "missing", "nothing", "add")] == [
        500,
        422,
        404,
        204,
        200,
    ]


def test_exceptions_are_raised_by_default(live: Live) -> None:
    with pytest.raises(RuntimeError, match="secret detail"):
        live(Counter).send("fail", {})


def test_notices_of_answers_are_kept(live: Live) -> None:
    assert live(Counter).send("say", {}).notices == [{"message": "Saved.", "level": "success"}]


def test_a_redirect_is_kept(live: Live) -> None:
    assert live(Counter).send("leave", {}).redirected_to == "/elsewhere/"


def test_loading_can_be_asked_by_handler_name_or_key(live: Live) -> None:
    page = live(Report)
    page.click("generate", year=2026)
    page.send("resend", {"pk": 7})
    asked = [("generate", None), ("resend", 7), ("resend", 8), ("export", None)]
    assert [page.is_loading(name, key=key) for name, key in asked] == [True, True, False, False]


def test_run_jobs_says_how_many_ran(live: Live) -> None:
    page = live(Work)
    page.send("start_two", {})
    assert (page.run_jobs(), page.run_jobs()) == (2, 0)


def test_state_of_an_expired_view_is_an_error_that_says_so(live: Live) -> None:
    page = live(Counter)
    page.disconnect().advance(100_000)
    with pytest.raises(LookupError, match="There is no record of / any more"):
        page.state  # noqa: B018


@pytest.mark.django_db
def test_a_page_is_loaded_as_its_user(live: Live) -> None:
    user = User.objects.create(username="ada")
    page = live(Counter, user=user)
    assert page.http.session["_auth_user_id"] == str(user.pk)


def test_a_path_with_a_query_reaches_the_view(live: Live) -> None:
    assert live(Counter, path="/count/?start=1").http.get("/count/?start=1").status_code == 200


# Streams that break


def test_a_page_without_its_stream_hears_nothing_until_it_reconnects(live: Live) -> None:
    page = live(Work)
    page.send("start", {"job": "set_a", "name": "job"})
    page.disconnect().run_jobs()
    assert (page.text[0], page.is_connected) == ("0", False)
    page.reconnect()
    assert (page.text[0], page.is_connected) == ("1", True)


def test_of_fragments_in_any_order_the_newest_stays(live: Live) -> None:
    page = live(Counter)
    for _ in range(5):
        page.click("add", amount=2)
    fragments, final, first = list(page.fragments), page.html, live(Counter)
    start = final.replace('data-live-rev="6"', 'data-live-rev="1"').replace("<p>10</p>", "<p>0</p>")
    shuffle = random.Random(7)
    for _ in range(200):
        order = [*fragments, *shuffle.sample(fragments, 2)]
        shuffle.shuffle(order)
        page._synced_page.html = start
        for fragment in order:
            page._synced_page.apply(fragment)
        assert page.html == final
    assert first.text == "0 Add"


def test_time_passes_for_store_messages_and_streams_together(live: Live) -> None:
    page = live(Counter)
    before = current_environment().clock()
    page.advance(5)
    assert current_environment().clock() - before == 5


# Its parts


def test_a_clock_never_runs_backwards() -> None:
    with pytest.raises(ValueError, match="never runs backwards"):
        ManualClock().advance(-1)


def test_a_stage_is_left_as_it_was_found(live: Live) -> None:
    from htmx_live.runtime.services import services
    from htmx_live.testing.environment import live_environment

    before = services()
    with live_environment():
        assert services().store is not before.store
    assert services() is before


def test_markup_is_read_as_browsers_read_it() -> None:
    page = parse("<ul><li>a<li>b</ul><img src=x><p>c&amp;d</p>")
    assert [one.tag for one in page.all() if one.tag] == ["ul", "li", "li", "img", "p"]
    assert page.text == "a b c&d"
