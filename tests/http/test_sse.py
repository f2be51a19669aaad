"""Server-sent events: one message in, one out."""

import re

from hypothesis import given, strategies

from htmx_live.http import sse


def parse(block: bytes) -> dict[str, list[str]]:
    """The fields of one block, as the standard says."""
    text = block.decode()
    assert text.endswith("\n\n")
    assert "\n\n" not in text[:-2]
    assert "\r" not in text
    fields: dict[str, list[str]] = {}
    for line in text[:-2].split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    return fields


@given(strategies.text(strategies.characters(exclude_categories=["Cs"])))
def test_data_comes_out_as_it_went_in_but_for_line_ends_and_nul(data):
    fields = parse(sse.event(data, name="notice", position="e.1"))
    assert (fields["id"], fields["event"]) == (["e.1"], ["notice"])
    assert "\n".join(fields["data"]) == re.sub("\r\n?", "\n", data.replace("\0", ""))
    assert set(fields) == {"id", "event", "data"}


def test_data_that_is_no_unicode_does_not_break_a_stream():
    assert sse.event("a\ud800b") == b"data: a?b\n\n"


def test_the_transports_own_events():
    assert sse.hello(heartbeat=15, retry=2000) == b'retry: 2000\nevent: hello\ndata: {"heartbeat": 15}\n\n'
    assert sse.reset("e.7") == b"id: e.7\nevent: reset\ndata: {}\n\n"
    assert (sse.heartbeat("e.7"), sse.heartbeat()) == (b": \nid: e.7\n\n", b": \n\n")
    assert sse.BYE == b"event: bye\ndata: {}\n\n"
