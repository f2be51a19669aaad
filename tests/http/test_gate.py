"""The gate: what streams say about a page decides whether somebody looks at it."""

from typing import Any

import pytest

from htmx_live import push_to_view
from htmx_live.http.stream_endpoint import StreamGate
from htmx_live.http.stream_hub import Access
from htmx_live.runtime.services import parts
from tests.sample_views import Note


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


def access_of(client: Any) -> Access:
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.http.cookies.items())
    access = StreamGate().open({"x-live-page": client._page, "cookie": cookies})
    assert isinstance(access, Access)
    return access


def test_a_page_whose_old_connection_dies_late_is_still_there(live: Any) -> None:
    client = live(Note)
    access, gate = access_of(client), StreamGate()
    gate.opened(access), gate.opened(access)  # it has connected anew
    gate.closed(access)
    client.advance(20)
    assert parts().store.is_shown(client.instance) is True
    gate.closed(access)
    client.advance(11)
    assert parts().store.is_shown(client.instance) is False


def test_a_beat_brings_what_was_held_back_while_the_page_seemed_away(live: Any) -> None:
    client = live(Note)
    access, gate = access_of(client), StreamGate()
    gate.opened(access)
    client.advance(100)  # no beat for long: the machine slept
    push_to_view(Note, handler="hear", payload={"text": "held back"})
    assert client.state["heard"] == []
    gate.renewed(access)
    assert client.text == "first|held back first"
    gate.closed(access)
