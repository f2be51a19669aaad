"""The address bar: url_state in the query string."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from htmx_live.runtime.services import services
from tests.sample_views import Listing

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", "|1||False"),
        ("q=oil&page=3&tags=a&tags=b&open=1", "oil|3|a,b|True"),
        ("page=three&q=x", "x|1||False"),
        ("page=99999999999999999999999999999999999999999999&q=%00", "|1||False"),
        ("page=2&page=5", "|5||False"),
    ],
)
def test_a_mounted_view_takes_its_state_from_the_query_string(live: Any, query: str, shown: str) -> None:
    assert live(Listing, path=f"/list/?{query}").text == shown


def test_a_change_replaces_the_address(live: Any) -> None:
    client = live(Listing, path="/list/?utm=7").send("search", {"value": "olive oil"})
    assert client.address == "replace /list/?utm=7&q=olive+oil"


def test_a_change_of_url_push_is_a_step_of_its_own(live: Any) -> None:
    client = live(Listing, path="/list/?q=oil").send("turn", {"page": "2"})
    assert client.address == "push /list/?q=oil&page=2"


def test_the_value_that_mount_gave_is_left_out(live: Any) -> None:
    client = live(Listing, path="/list/?q=oil&page=2").send("search", {"value": ""})
    assert client.address == "push /list/"


def test_a_bool_and_a_list_stand_in_the_address(live: Any) -> None:
    client = live(Listing, path="/list/").send("tag", {"tags": ["b", "a"]}).send("toggle", {})
    assert client.address == "replace /list/?tags=b&tags=a&open=1"


def test_an_event_that_changes_nothing_leaves_the_address_alone(live: Any) -> None:
    client = live(Listing, path="/list/?q=oil").send("search", {"value": "oil"})
    assert client.address == ""
    assert client.send("search", {"value": "tea"}).address == "replace /list/?q=tea"
    assert client.send("search", {"value": "tea"}).address == ""


def test_a_view_that_is_mounted_again_reads_the_address(live: Any) -> None:
    client = live(Listing, path="/list/").send("search", {"value": "oil"}).send("turn", {"page": "3"})
    services().store.delete(client.instance)
    assert client.sync().text == "oil|3||False"
    services().store.delete(client.instance)
    assert client.send("toggle", {}).text == "oil|3||False"  # not run on a state that nobody saw


def test_the_address_that_is_written_is_read_again(live: Any) -> None:
    client = live(Listing, path="/list/").send("search", {"value": "a&b=c ä"}).send("turn", {"page": "4"})
    again = live(Listing, path=client.address.split(" ", 1)[1])
    assert again.text == client.text


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(max_size=60))
def test_a_query_string_of_garbage_mounts_the_view(live: Any, query: str) -> None:
    from urllib.parse import quote

    assert live(Listing, path=f"/list/?{quote(query, safe='&=%')}").status == 200
