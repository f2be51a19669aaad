"""Shared views: one record, one render, one message for all viewers."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model

from htmx_live import push_to_view
from htmx_live.core.exceptions import TurnError
from htmx_live.runtime.services import services
from tests.sample_views import Board, Nosy

pytestmark = pytest.mark.django_db


def test_viewers_share_one_instance_which_is_mounted_once(live: Any) -> None:
    before = Board.mounted
    one, other = live(Board), live(Board)
    assert (one.instance == other.instance, Board.mounted - before) == (True, 1)


def test_other_kwargs_are_another_instance(live: Any) -> None:
    assert live(Board, room=1).instance != live(Board, room=2).instance


def test_a_click_by_one_viewer_updates_all(live: Any) -> None:
    one, other = live(Board), live(Board)
    one.click("add")
    assert (one.text, other.text) == ("1 Add", "1 Add")


def test_a_change_is_published_once_for_all(live: Any) -> None:
    clients = [live(Board) for _ in range(5)]
    sent = len(clients[0]._environment.transport.messages)
    push_to_view(Board, state={"count": 7})
    assert len(clients[0]._environment.transport.messages) - sent == 1
    assert [client.text for client in clients] == ["7 Add"] * 5


def test_a_tick_is_one_for_all(live: Any) -> None:
    one, other = live(Board), live(Board)
    one.tick()
    assert (one.text, other.text) == ("10 Add", "10 Add")


def test_the_sender_of_an_event_is_its_user(live: Any) -> None:
    anna = get_user_model().objects.create(username="anna")
    client = live(Board, user=anna).click("add")
    assert client.state["sender"] == str(anna.pk)


def test_a_job_of_a_shared_view_reaches_all(live: Any) -> None:
    one, other = live(Board), live(Board)
    one.send("work", {})
    assert (one.is_loading("work"), other.is_loading("work")) == (True, True)
    one.run_jobs()
    assert (one.text, other.text, other.pending) == ("100 Add", "100 Add", [])


@pytest.mark.parametrize("about", ["user", "request", "template user"])
def test_reading_a_user_or_request_is_an_error_that_says_why(live: Any, about: str) -> None:
    with pytest.raises(TurnError, match="shared"):
        live(Nosy, about=about)


def test_a_viewer_that_was_away_gets_the_newest_state(live: Any) -> None:
    one, other = live(Board), live(Board).disconnect()
    one.click("add").click("add")
    assert other.reconnect().text == "2 Add"


def test_a_board_that_was_lost_is_mounted_again_above_what_its_viewers_show(live: Any) -> None:
    one, other = live(Board), live(Board)
    one.click("add")
    services().store.delete(one.instance)
    assert one.sync().text == "0 Add"
    assert other.sync().text == "0 Add"
    assert other.click("add").text == one.text == "1 Add"


def test_a_visitor_without_permission_sees_nothing_of_it(live: Any) -> None:
    Board.login_required = True
    try:
        client = live(Board)
        assert (client.status, client.redirected_to) == (302, "/login/?next=/")
    finally:
        Board.login_required = False
