"""Growing texts: what a reader lacks."""

from htmx_live.backends.wire import TextLog


def grown(pieces: int) -> TextLog:
    """A text of so many pieces "ab", the n-th being message n + 1."""
    text = TextLog(generation="g")
    for number in range(1, pieces + 1):
        text.append("ab", number)
    return text


def test_a_reader_lacks_what_was_added_after_its_number():
    text = grown(3)
    assert [text.replay_offset(since, ()) for since in range(5)] == [0, 2, 4, 6, 6]


def test_a_reader_too_far_behind_for_the_marks_lacks_everything():
    text = grown(600)
    assert [text.replay_offset(since, ()) for since in (599, 300, 255, 1)] == [1198, 600, 0, 0]


def test_a_channel_that_was_told_late_lacks_more_until_it_has_read_that_message():
    text = grown(3)
    text.add_channel("page:a", since=1, number=9)
    assert [text.replay_offset(since, ["page:a"]) for since in (1, 3, 8, 9)] == [2, 2, 2, 6]
    assert text.replay_offset(3, ["page:b"]) == 6
