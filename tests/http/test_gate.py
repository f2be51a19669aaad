"""The gate: what streams say about a page decides whether somebody looks at it."""

from typing import Any

import pytest

from htmx_live import push_to_view
from htmx_live.http.stream_endpoint import PageStreamAuthorizer
from htmx_live.http.stream_hub import StreamGrant
from htmx_live.runtime.services import services
from tests.sample_views import Note


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


def access_of(client: Any) -> StreamGrant:
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.http.cookies.items())
    access = PageStreamAuthorizer().authorize({"x-live-page": client._page_grant, "cookie": cookies})
    assert isinstance(access, StreamGrant)
    return access


def test_a_page_whose_old_connection_dies_late_is_still_there(live: Any) -> None:
    client = live(Note)
    access, gate = access_of(client), PageStreamAuthorizer()
    gate.on_open(access), gate.on_open(access)  # it has connected anew
    gate.on_close(access)
    client.advance(20)
    assert services().store.is_viewed(client.instance) is True
    gate.on_close(access)
    client.advance(11)
    assert services().store.is_viewed(client.instance) is False


def test_a_beat_brings_what_was_held_back_while_the_page_seemed_away(live: Any) -> None:
    client = live(Note)
    access, gate = access_of(client), PageStreamAuthorizer()
    gate.on_open(access)
    client.advance(100)  # no beat for long: the machine slept
    push_to_view(Note, handler="hear", payload={"text": "held back"})
    assert client.state["heard"] == []
    gate.on_heartbeat(access)
    assert client.text == "first|held back first"
    gate.on_close(access)
