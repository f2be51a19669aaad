"""Channels: their names."""

import pytest
from hypothesis import given, strategies

from htmx_live.backends.wire import page_channel, topic_channel, user_channel, validate_channels, view_channel


def test_each_kind_of_channel_has_names_of_its_own():
    names = [page_channel("ab"), user_channel(7), view_channel("ab"), topic_channel("ab")]
    assert names == ["page:ab", "user:7", "view:ab", "topic:ab"]


@given(strategies.text(min_size=1), strategies.text(min_size=1))
def test_different_topics_make_different_names_that_are_channels(one, other):
    names = [topic_channel(topic) for topic in (one, other)]
    assert validate_channels(names) == tuple(dict.fromkeys(names))
    assert (names[0] == names[1]) == (one == other)


def test_an_empty_name_is_refused():
    with pytest.raises(ValueError, match="A topic channel needs a name that is not empty"):
        topic_channel("")
