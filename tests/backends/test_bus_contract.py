"""The contract of a bus; every implementation passes it."""

import json

import pytest
from django.test import override_settings

from htmx_live.backends.wire import BusMessage, Replay, TextSnapshot
from htmx_live.core.fragments import text_placeholder

PAGE, TOPIC = "page:a", "topic:t"


def contents(catchup: Replay) -> list[tuple[str, str]]:
    assert not catchup.is_reset
    return [(message.target, message.data) for message in catchup.messages]


def appended(message: BusMessage) -> tuple[int, str]:
    data = json.loads(message.data)
    return data["offset"], data["text"]


def test_a_reader_gets_the_newest_state_of_each_target_in_the_order_of_publication(bus):
    start = bus.position()
    for target, data in (("a", "1"), ("b", "2"), ("a", "3")):
        bus.publish([PAGE], target, data)
    catchup = bus.read([PAGE], start)
    assert contents(catchup) == [("b", "2"), ("a", "3")]
    assert catchup.position == bus.position()


def test_a_reader_gets_only_what_is_newer_than_its_position(bus):
    bus.publish([PAGE], "a", "1")
    middle = bus.position()
    bus.publish([PAGE], "b", "2")
    assert contents(bus.read([PAGE], middle)) == [("b", "2")]
    assert contents(bus.read([PAGE], bus.position())) == []


def test_messages_of_one_target_with_different_events_are_all_kept(bus):
    start = bus.position()
    bus.publish([PAGE], "a", "1")
    bus.publish([PAGE], "a", "2", event="notice")
    assert [(message.event, message.data) for message in bus.read([PAGE], start).messages] == [
        ("", "1"),
        ("notice", "2"),
    ]


def test_one_publication_to_two_channels_is_read_once(bus):
    start = bus.position()
    bus.publish([PAGE, TOPIC], "a", "1")
    assert contents(bus.read([PAGE, TOPIC], start)) == [("a", "1")]
    assert contents(bus.read([TOPIC], start)) == [("a", "1")]


def test_other_channels_are_not_read(bus):
    start = bus.position()
    bus.publish(["page:b"], "a", "1")
    assert contents(bus.read([PAGE], start)) == []


@pytest.mark.parametrize("position", ["", "x", "0badcafe.0", "{epoch}.", "{epoch}.-1", "{epoch}.99", "{epoch}.1²"])
def test_a_position_that_is_not_ours_is_reset(bus, position):
    catchup = bus.read([PAGE], position.format(epoch=bus.epoch))
    assert (catchup.is_reset, catchup.messages, catchup.position) == (True, (), bus.position())


def test_live_messages_are_handed_over_in_order_with_their_numbers(bus, receiver):
    numbers = [bus.publish([PAGE], "a", "1"), bus.append([PAGE], "s", "x"), bus.publish([TOPIC], "a", "2")]
    assert [message.number for message in receiver.messages] == numbers == sorted(numbers)
    assert [message.channel for message in receiver.messages] == [PAGE, PAGE, TOPIC]


def test_who_has_unsubscribed_gets_nothing(bus, receiver):
    bus.unsubscribe(receiver)
    bus.publish([PAGE], "a", "1")
    assert receiver.heard == []


@pytest.mark.parametrize("channel", ["", "page", "page:", "page:a\nb", "page:ä", "Page:a", "page:a b"])
def test_a_name_that_is_no_channel_is_refused(bus, channel):
    with pytest.raises(ValueError, match="is no channel"):
        bus.publish([channel], "a", "1")


@pytest.mark.parametrize("event", ["append", "reset", "hello", "bye", "a b", "a\nid: 7", "Ä"])
def test_an_event_that_is_the_transports_own_or_no_word_is_refused(bus, event):
    with pytest.raises(ValueError, match="cannot be a message's event"):
        bus.publish([PAGE], "a", "1", event=event)


def test_a_text_grows_and_each_piece_says_where_it_begins(bus, receiver):
    bus.append([PAGE], "s", "one ")
    bus.append([PAGE], "s", "two")
    generation = bus.text("s").generation
    assert bus.text("s") == TextSnapshot(generation=generation, text="one two")
    assert [json.loads(message.data) for message in receiver.messages] == [
        {"target": "s", "generation": generation, "offset": 0, "text": "one "},
        {"target": "s", "generation": generation, "offset": 4, "text": "two"},
    ]


def test_a_reader_gets_the_part_of_a_text_that_it_lacks_as_one_piece(bus):
    start = bus.position()
    bus.append([PAGE], "s", "one ")
    middle = bus.position()
    bus.append([PAGE], "s", "two ")
    bus.append([PAGE], "s", "three")
    [all_of_it] = bus.read([PAGE], start).messages
    [rest] = bus.read([PAGE], middle).messages
    assert (appended(all_of_it), appended(rest)) == ((0, "one two three"), (4, "two three"))


def test_replacing_a_text_begins_a_new_generation(bus):
    bus.append([PAGE], "s", "draft")
    before, position = bus.text("s"), bus.position()
    bus.append([PAGE], "s", "final", replace=True)
    [message] = bus.read([PAGE], position).messages
    assert appended(message) == (0, "final")
    assert bus.text("s").generation != before.generation


@override_settings(HTMX_LIVE={"MAX_STREAM_TEXT": 10})
def test_a_text_too_long_loses_its_older_half_and_begins_a_new_generation(bus, receiver):
    bus.append([PAGE], "s", "01234")
    before = bus.text("s").generation
    bus.append([PAGE], "s", "56789")
    assert bus.text("s") == TextSnapshot(generation=before, text="0123456789")
    bus.append([PAGE], "s", "a")
    assert bus.text("s").text == "6789a"
    assert bus.text("s").generation != before
    assert appended(receiver.messages[-1]) == (0, "6789a")


@override_settings(HTMX_LIVE={"MAX_STREAM_TEXT": 600})
def test_the_halves_of_a_text_are_counted_in_characters(bus):
    text = "aé€😀\n" * 120
    bus.append([PAGE], "s", text)
    bus.append([PAGE], "s", "ü")
    assert bus.text("s").text == f"{text}ü"[-300:]


@override_settings(HTMX_LIVE={"MAX_STREAM_TEXT": 10})
@pytest.mark.parametrize("replace", [True, False])
def test_a_single_piece_too_long_keeps_its_end(bus, replace):
    bus.append([PAGE], "s", "0123456789abc", replace=replace)
    assert bus.text("s").text == "3456789abc"


@override_settings(HTMX_LIVE={"MAX_STREAM_TEXT": 10})
def test_a_text_too_long_in_the_place_of_another_keeps_its_end(bus):
    bus.append([PAGE], "s", "old")
    bus.append([PAGE], "s", "0123456789abc", replace=True)
    assert bus.text("s").text == "3456789abc"


def test_an_ended_text_is_gone_and_a_later_one_is_another(bus):
    start = bus.position()
    bus.append([PAGE], "s", "old")
    generation = bus.text("s").generation
    bus.clear_texts(["s", "unknown"])
    assert (bus.text("s"), contents(bus.read([PAGE], start))) == (None, [])
    bus.append([PAGE], "s", "new")
    assert bus.text("s").text == "new"
    assert bus.text("s").generation != generation


def test_the_texts_of_one_instance_end_together(bus):
    for target in ("live-1-a", "live-1-b", "live-2-a"):
        bus.append([PAGE], target, "text")
    bus.clear_texts_under("live-1-")
    assert [bus.text(target) is None for target in ("live-1-a", "live-1-b", "live-2-a")] == [True, True, False]


def test_a_text_without_a_channel_is_kept(bus):
    bus.append([], "s", "text")
    assert bus.text("s").text == "text"


def test_a_fragment_carries_its_text_as_of_the_moment_it_is_sent(bus, receiver):
    start = bus.position()
    bus.append([PAGE], "s", "one <")
    generation = bus.text("s").generation
    bus.publish([PAGE], "root", text_placeholder("s", tag="p", name="log"))
    bus.append([PAGE], "s", "two")
    live = receiver.messages[1].data
    later = bus.read([PAGE], start).messages[0].data
    assert live == f'<p id="s" data-live-stream="log" data-live-offset="{generation}.5">one &lt;</p>'
    assert later == f'<p id="s" data-live-stream="log" data-live-offset="{generation}.8">one &lt;two</p>'


def test_the_place_of_a_text_that_does_not_exist_is_empty(bus, receiver):
    bus.publish([PAGE], "root", text_placeholder("s", tag="p", name="log"))
    assert receiver.messages[0].data == '<p id="s" data-live-stream="log" data-live-offset="0.0"></p>'


def test_control_characters_that_a_user_wrote_are_no_place_for_a_text(bus, receiver):
    bus.append([PAGE], "s", "secret")
    bus.publish([PAGE], "root", "a \x02=s\x03 \x02 b")
    assert receiver.messages[1].data == "a \x02=s\x03 \x02 b"


@override_settings(HTMX_LIVE={"REPLAY_TTL": 100})
def test_a_channel_that_nobody_used_for_long_is_dropped_and_its_late_reader_reset(bus, clock):
    start = bus.position()
    bus.publish([PAGE], "a", "1")
    middle = bus.position()
    clock.advance(101)
    bus.publish([TOPIC], "a", "2")
    assert bus.read([PAGE], start).is_reset
    assert contents(bus.read([PAGE, TOPIC], middle)) == [("a", "2")]


@override_settings(HTMX_LIVE={"REPLAY_TTL": 100})
def test_a_channel_that_is_read_stays(bus, clock):
    start = bus.position()
    bus.publish([PAGE], "a", "1")
    for _ in range(3):
        clock.advance(60)
        assert contents(bus.read([PAGE], start)) == [("a", "1")]


@override_settings(HTMX_LIVE={"REPLAY_TTL": 100, "HIDDEN_TTL": 500})
def test_a_text_outlives_its_channel_for_as_long_as_a_hidden_page_may_come_back(bus, clock):
    bus.append([PAGE], "s", "text")
    clock.advance(499)
    bus.publish([TOPIC], "a", "1")
    assert bus.text("s").text == "text"
    clock.advance(2)
    bus.publish([TOPIC], "a", "1")
    assert bus.text("s") is None


def test_a_channel_keeps_a_bounded_number_of_messages_and_resets_who_lacks_more(bus):
    start = bus.position()
    numbers = [bus.publish([PAGE], f"t{n}", "1") for n in range(600)]
    assert bus.read([PAGE], start).is_reset
    assert len(bus.read([PAGE], f"{bus.epoch}.{numbers[99]}").messages) == 500
    assert bus.read([PAGE], f"{bus.epoch}.{numbers[98]}").is_reset


def test_a_forgotten_channel_resets_only_who_has_missed_something_of_it(bus):
    start = bus.position()
    bus.publish([PAGE], "a", "1")
    end = bus.position()
    bus.purge([PAGE, "page:unknown"])
    assert bus.read([PAGE], start).is_reset
    assert contents(bus.read([PAGE], end)) == []
    assert contents(bus.read([TOPIC], start)) == []


def test_closing_a_sessions_streams_is_said_in_order_with_the_messages(bus, receiver):
    bus.publish([PAGE], "a", "1")
    bus.close_streams("hash")
    assert receiver.heard[1:] == [("close", "hash")]


def test_joining_sends_the_page_what_came_after_its_render(bus, receiver):
    bus.publish([TOPIC], "a", "old")
    rendered = bus.position()
    bus.publish([TOPIC], "b", "new")
    client = bus.position()  # the page's stream may be further than the render was
    bus.add_channels("a", [TOPIC], since=rendered)
    assert receiver.heard[-1] == ("join", "a", (TOPIC,))
    assert [(message.channel, message.data) for message in receiver.messages[2:]] == [(PAGE, "new")]
    assert contents(bus.read([PAGE, TOPIC], client)) == [("b", "new")]


@override_settings(HTMX_LIVE={"REPLAY_TTL": 100})
def test_what_a_page_has_joined_is_known_for_as_long_as_its_channel(bus, clock):
    start = bus.position()
    bus.add_channels("a", [TOPIC])
    clock.advance(99)
    bus.publish([TOPIC], "t", "1")
    assert contents(bus.read([PAGE], start)) == [("t", "1")]


def test_joining_brings_the_very_first_message(bus, receiver):
    rendered = bus.position()
    bus.publish([TOPIC], "a", "1")
    bus.add_channels("a", [TOPIC], since=rendered)
    assert [(message.channel, message.data) for message in receiver.messages] == [(TOPIC, "1"), (PAGE, "1")]


def test_a_forgotten_page_has_joined_nothing(bus):
    bus.add_channels("a", [TOPIC])
    bus.purge([PAGE])
    start = bus.position()
    bus.publish([TOPIC], "a", "1")
    assert contents(bus.read([PAGE], start)) == []


def test_joining_without_a_position_sends_nothing(bus, receiver):
    bus.publish([TOPIC], "a", "1")
    bus.add_channels("a", [TOPIC])
    assert receiver.heard[1:] == [("join", "a", (TOPIC,))]


def test_joining_brings_a_text_from_where_the_render_stood(bus, receiver):
    bus.append([TOPIC], "s", "one ")
    rendered = bus.position()
    bus.append([TOPIC], "s", "two ")
    client = bus.position()
    bus.add_channels("a", [TOPIC], since=rendered)
    bus.append([TOPIC], "s", "three")
    assert [appended(message) for message in receiver.messages[2:]] == [(4, "two "), (8, "three")]
    assert [appended(message) for message in bus.read([PAGE, TOPIC], client).messages] == [(4, "two three")]


def test_a_page_that_has_read_what_joining_brought_gets_only_what_follows(bus):
    bus.append([TOPIC], "s", "one ")
    rendered = bus.position()
    bus.append([TOPIC], "s", "two ")
    bus.add_channels("a", [TOPIC], since=rendered)
    caught_up = bus.position()
    bus.append([TOPIC], "s", "three")
    assert [appended(message) for message in bus.read([PAGE, TOPIC], caught_up).messages] == [(8, "three")]


def test_reading_a_pages_channel_reads_what_it_joined_from_that_moment_on(bus):
    start = bus.position()
    bus.publish([TOPIC], "a", "before")
    bus.add_channels("a", [TOPIC])
    bus.publish([TOPIC], "b", "after")
    assert contents(bus.read([PAGE], start)) == contents(bus.read([PAGE, TOPIC], start)) == [("b", "after")]
    assert contents(bus.read(["page:b"], start)) == []


def test_joining_again_changes_nothing(bus):
    bus.add_channels("a", [TOPIC])
    start = bus.position()
    bus.publish([TOPIC], "a", "1")
    bus.add_channels("a", [TOPIC], since=start)
    assert contents(bus.read([PAGE], start)) == [("a", "1")]


def test_a_fragment_that_joining_brought_carries_its_text_as_of_the_moment_it_is_sent(bus):
    rendered = bus.position()
    bus.append([TOPIC], "s", "one ")
    bus.publish([TOPIC], "root", text_placeholder("s", tag="p", name="log"))
    bus.add_channels("a", [TOPIC], since=rendered)
    bus.append([TOPIC], "s", "two")
    generation = bus.text("s").generation
    roots = [data for target, data in contents(bus.read([PAGE], rendered)) if target == "root"]
    assert roots == [f'<p id="s" data-live-stream="log" data-live-offset="{generation}.7">one two</p>']
