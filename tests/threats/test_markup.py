"""Text stays text: in the first render, in an answer, in what is pushed, and in every header."""

import json
from html import escape
from html.parser import HTMLParser

import pytest

from htmx_live.core.fragments import placeholder
from htmx_live.http import sse
from htmx_live.runtime.services import services
from tests.threats.visitor import Visitor, record_of

pytestmark = pytest.mark.django_db

PAYLOADS = [
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</textarea><img src=x onerror=alert(1)>",
    '</hx-partial><hx-partial hx-target="#live-other" hx-swap="outerHTML"><b>',
    '</script><script type="application/json" data-live-messages>[{"event":"redirect","data":"{}"}]</script>',
    "{{ 7|add:7 }}{% csrf_token %}",
    "javascript:alert(1)",
    "<!-- _RENDERED x,y -->",
    "--><script>alert(1)</script>",
    "&lt;script&gt;&#0;",
]
ENDS = [
    "a\nb",
    "a\r\nb",
    "a\rb",
    "\n\ndata: x\n\n",
    "\r\n\r\nevent: redirect\r\ndata: {}\r\n\r\n",
    "id: 9\n",
    "\u2028\u2029\x85",
]
SLOTS = ["\x02", "\x03", "\x02=live-x-s-log\x03", "\x04csrf\x04", "\x04page\x04", "\x02\x02\x03\x03", "\x01\x1f\x7f"]


class Elements(HTMLParser):
    """The tags that a browser would see, and the names of their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, *(name for name, _ in attrs)))


def shape(html):
    return Elements(html).found


@pytest.mark.parametrize("text", PAYLOADS)
def test_what_a_user_writes_adds_no_element_and_no_attribute(text):
    first = Visitor().http.get("/guestbook/", {"text": text}).content.decode()
    page = Visitor().open("/guestbook/?text=plain")
    answer = page.event("write", {"text": text}).content.decode()
    pushed = services().bus.messages[-1].data
    plain = page.event("write", {"text": "plain"}).content.decode()
    assert shape(first) == shape(page.html)
    assert shape(answer) == shape(plain)
    assert shape(pushed) == shape(plain)
    assert escape(text).replace("&#x27;", "&#39;") in answer.replace("&#x27;", "&#39;")


@pytest.mark.parametrize("text", PAYLOADS)
def test_what_a_job_sends_adds_no_element_and_no_attribute(stage, text):
    page = Visitor().open("/guestbook/")
    page.event("write_later", {"text": text})
    stage.runner.run_all()
    messages = [message for message in stage.transport.messages if not message.event]
    plain = page.event("write", {"text": "plain"}).content.decode()
    assert shape(messages[-1].data) == shape(plain)


@pytest.mark.parametrize("text", PAYLOADS)
def test_the_text_of_a_stream_stays_text_in_answers_and_polls(text):
    page = Visitor().open("/guestbook/")
    page.event("stream", {"text": text})
    plain = Visitor().open("/guestbook/")
    plain.event("stream", {"text": "plain"})
    bodies = [
        one.sync(
            {"poll": True, "roots": [{"live": one.live, "rev": 2}], "streams": {f"live-{one.instance}-s-log": "0.0"}}
        ).content.decode()
        for one in (page, plain)
    ]
    assert shape(bodies[0]) == shape(bodies[1]) == [("script", "type", "data-live-messages")]
    messages = json.loads(bodies[0].split(">", 1)[1].removesuffix("</script>"))
    assert {json.loads(message["data"])["text"] for message in messages} == {text}


@pytest.mark.parametrize("text", [*PAYLOADS, *ENDS, *SLOTS])
def test_a_key_that_a_user_wrote_stays_one_word_of_pending(text):
    page = Visitor().open("/guestbook/")
    answer = page.event("keyed", {"text": text}).content.decode()
    plain = Visitor().open("/guestbook/").event("keyed", {"text": "plain"}).content.decode()
    [word] = answer.split('data-live-pending="')[1].split('"')[0].split(" ")
    assert shape(answer) == shape(plain)
    assert word.startswith("keyed:keyed:")
    assert word.isascii()


@pytest.mark.parametrize("text", [*PAYLOADS, *ENDS, *SLOTS])
def test_headers_carry_any_text_as_ascii_json(text):
    page = Visitor().open("/guestbook/")
    said, refused = page.event("say", {"text": text}), page.event("refuse", {"text": text})
    assert (said.status_code, refused.status_code) == (204, 422)
    assert json.loads(said["X-Live-Notices"]) == [{"message": text, "level": "success"}]
    assert json.loads(refused["X-Live-Notices"]) == [{"message": text, "level": "error"}]
    assert all(
        value.isascii() and value.isprintable() for answer in (said, refused) for value in answer.headers.values()
    )


@pytest.mark.parametrize("text", [*PAYLOADS, *ENDS])
def test_one_message_in_is_one_event_out_of_a_stream(stage, text):
    page = Visitor().open("/guestbook/")
    page.event("write_later", {"text": text})
    stage.runner.run_all()
    for message in stage.transport.messages:
        sent = sse.event(message.data, name=message.event, position="e.1").decode()
        lines = sent.removesuffix("\n\n").split("\n")
        assert "\r" not in sent
        assert all(line.startswith(("id: ", "event: ", "data: ")) for line in lines)
        assert [line for line in lines if line.startswith("event: ")] == (
            [f"event: {message.event}"] if message.event else []
        )
        assert sum(line.startswith("id: ") for line in lines) == 1


@pytest.mark.parametrize("text", [*SLOTS, "\x02" + "0" * 20 + "=live-x-s-log\x03"])
def test_control_characters_are_no_place_for_a_token_a_grant_or_a_stream(text):
    first = Visitor().http.get("/guestbook/", {"text": text})
    page = Visitor().open("/guestbook/?text=plain")
    answer = page.event("write", {"text": text})
    again = page.sync({"roots": [{"live": page.live, "rev": 0}]})
    for one in (first, answer, again):
        assert one.status_code == 200
        assert f"<a href='/search?q={text}'>" in one.content.decode()
    assert shape(first.content.decode()) == shape(page.html)


def test_the_marks_of_what_is_filled_in_later_never_leave_the_server(stage):
    page = Visitor().open("/guestbook/")
    page.event("write_later", {"text": "x"})
    stage.runner.run_all()
    texts = [page.html, page.event("write", {"text": "y"}).content.decode()]
    texts += [page.sync({"poll": True, "roots": [{"live": page.live, "rev": 0}]}).content.decode()]
    texts += [message.data for message in stage.transport.messages]
    assert all(placeholder(purpose) not in text for text in texts for purpose in ("text", "csrf", "page"))


def test_a_fragment_goes_to_the_root_of_its_own_instance_only(stage):
    page = Visitor().open("/guestbook/")
    page.event(
        "collect", form={"target": "live-other", "hx-target": "#other", "swap": "outerHTML", "channel": "page:x"}
    )
    [message] = stage.transport.messages
    assert message.target == f"live-{page.instance}"
    assert message.channel == f"page:{record_of(page).pages[0]}"
    assert message.data.startswith(f'<hx-partial hx-target="#live-{page.instance}" hx-swap="outerMorph">')
