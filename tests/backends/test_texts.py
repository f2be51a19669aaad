"""Growing texts: what a reader lacks."""

from htmx_live.backends.wire import GrowingText


def grown(pieces: int) -> GrowingText:
    """A text of so many pieces "ab", the n-th being message n + 1."""
    text = GrowingText(generation="g")
    for number in range(1, pieces + 1):
        text.add("ab", number)
    return text


def test_a_reader_lacks_what_was_added_after_its_number():
    text = grown(3)
    assert [text.unseen_from(since, ()) for since in range(5)] == [0, 2, 4, 6, 6]


def test_a_reader_too_far_behind_for_the_marks_lacks_everything():
    text = grown(600)
    assert [text.unseen_from(since, ()) for since in (599, 300, 255, 1)] == [1198, 600, 0, 0]


def test_a_channel_that_was_told_late_lacks_more_until_it_has_read_that_message():
    text = grown(3)
    text.announce("page:a", since=1, number=9)
    assert [text.unseen_from(since, ["page:a"]) for since in (1, 3, 8, 9)] == [2, 2, 2, 6]
    assert text.unseen_from(3, ["page:b"]) == 6
