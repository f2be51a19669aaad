"""Regions: fragments for any page, without a live view."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template, TemplateSyntaxError
from django.test import Client, RequestFactory
from django.urls import include, path
from django.utils import translation
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis.strategies import text

from htmx_live import Fragment, LiveView, Topic, asend_fragment, background, event_handler, send_fragment
from htmx_live.backends.wire import page_channel
from htmx_live.core.conf import settings as live_settings
from htmx_live.core.exceptions import TurnError
from htmx_live.core.signing import unsign_page
from htmx_live.http.stream_endpoint import PageStreamAuthorizer, StreamGrant
from htmx_live.messaging.regions import region, region_id
from htmx_live.runtime.pages import get_page
from htmx_live.runtime.services import services
from htmx_live.testing import sent_to
from htmx_live.testing.environment import LiveEnvironment, live_environment

pytestmark = pytest.mark.django_db
ORDERS = Topic("orders")
HEAD = "{% load htmx_live %}<head>{% htmx_live %}</head>"
PAGES: dict[str, str] = {}


def show(request: HttpRequest, name: str) -> HttpResponse:
    if "send" in request.GET:
        send_fragment("own", html="from within", to=request)
    return HttpResponse(Template(HEAD + PAGES[name]).render(Context({"request": request})))


urlpatterns = [path("page/<name>/", show), path("live/", include("htmx_live.urls"))]


@pytest.fixture(autouse=True)
def staged(settings: Any) -> Iterator[LiveEnvironment]:
    settings.ROOT_URLCONF = __name__
    PAGES.update(
        orders='{% region "orders:42" topic="orders" %}none yet{% endregion %}', own='{% region "own" %}{% endregion %}'
    )
    with live_environment() as built:
        yield built


class Shown:
    """A page that a browser shows: what its stream would carry."""

    def __init__(self, name: str = "orders", user: Any = None, query: str = "") -> None:
        self.http = Client()
        if user is not None:
            self.http.force_login(user)
        self.html = self.http.get(f"/page/{name}/{query}").content.decode()
        self.grant, self.number = (self.attribute(f"data-{word}") for word in ("page", "number"))
        self.id = unsign_page(self.grant, max_age=60).page

    def attribute(self, name: str) -> str:
        found = re.search(rf'\s{name}="([^"]*)"', self.html)
        return found[1] if found else ""

    def open(self) -> StreamGrant:
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.http.cookies.items())
        access = PageStreamAuthorizer().authorize({"x-live-page": self.grant, "cookie": cookies})
        assert isinstance(access, StreamGrant)
        return access

    def read(self) -> list[str]:
        """What the page has not read yet."""
        catchup = services().bus.read(self.open().channels, self.number)
        self.number = catchup.position
        return ["reset"] if catchup.is_reset else [message.data for message in catchup.messages]

    def sync(self, **question: Any) -> Any:
        return self.http.post(
            "/live/sync/", json.dumps(question), content_type="application/json", headers={"X-Live-Page": self.grant}
        )


def partial(html: str, name: str = "orders:42", swap: str = "innerMorph") -> str:
    return f'<hx-partial hx-target="#{region_id(name)}" hx-swap="{swap}">{html}</hx-partial>'


def render(source: str, **context: Any) -> str:
    return Template("{% load htmx_live %}" + source).render(Context(context))


# The element


def test_a_region_is_an_element_with_an_id_made_from_its_name() -> None:
    html = render(
        '{% region "orders:42" tag="tbody" class="a b" %}<tr>{{ x }}</tr>{% endregion %}', x="<", request=visit()
    )
    assert html == '<tbody id="live-region-orders_3a_42" class="a b"><tr>&lt;</tr></tbody>'


def test_a_region_that_refreshes_names_where_from_and_when() -> None:
    html = render('{% region "r" refresh="/r/?a=1&b=2" %}{% endregion %}', request=visit())
    assert html == (
        '<div id="live-region-r" hx-get="/r/?a=1&amp;b=2" hx-trigger="live:reset from:document" '
        'hx-select-oob="#live-region-r:outerMorph" hx-swap="none ignoreTitle:true" hx-disinherit="*"></div>'
    )


@given(text(min_size=1), text(min_size=1))
def test_an_id_needs_no_quoting_and_is_of_one_name_only(one: str, other: str) -> None:
    assert re.fullmatch(r"live-region-[A-Za-z0-9_-]{1,120}", region_id(one))
    assert (region_id(one) == region_id(other)) == (one == other)


def test_ids_of_names_that_look_alike_differ() -> None:
    names = ["a:b", "a_3a_b", "a_b", "a-b", "a b", "A:b", "a" * 500, "a" * 501, "_" + "0" * 32]
    assert len({region_id(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% region %}{% endregion %}", "write {% region"),
        ('{% region "a" "b" %}{% endregion %}', "write {% region"),
        ('{% region "a" tpic="b" %}{% endregion %}', "Did you mean topic=?"),
        ('{% region "" %}{% endregion %}', "cannot be a region's name"),
        ('{% region "a" topic="" %}{% endregion %}', "a topic's name is not empty"),
        ('{% region "a" topic=missing %}{% endregion %}', "missing is not there"),
        ('{% region "a" tag="di v" %}{% endregion %}', "expected the name of an element"),
    ],
)
def test_a_mistake_in_the_tag_says_what_to_write(source: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=re.escape(message)):
        render(source, request=visit())


def test_a_region_without_a_request_says_what_it_needs() -> None:
    with pytest.raises(TurnError, match="needs the request"):
        render('{% region "a" %}{% endregion %}')


def visit() -> HttpRequest:
    return RequestFactory().get("/")


# Who hears what


def test_a_page_with_a_region_hears_its_topic_and_no_other() -> None:
    page = Shown()
    send_fragment("orders:42", html="paid", to=ORDERS)
    send_fragment("orders:42", html="other", to=Topic("customers"))
    assert page.read() == [partial("paid")]


def test_a_page_without_a_region_of_the_topic_hears_nothing_of_it() -> None:
    page = Shown("own")
    send_fragment("orders:42", html="secret", to=ORDERS)
    assert page.read() == []


def test_a_topic_cannot_be_asked_for() -> None:
    page = Shown("own")
    forged = {
        "subscriptions": ["topic:orders", Shown("own").grant, Shown().grant],
        "topics": ["orders"],
        "channels": ["topic:orders"],
    }
    page.sync(number=page.number, poll=True, **forged)
    assert page.open().channels == (page_channel(page.id),)


def test_a_region_without_a_topic_hears_its_page_and_its_user() -> None:
    anna, ben = (get_user_model().objects.create(username=name) for name in ("anna", "ben"))
    one, other, stranger = Shown("own", anna), Shown("own", anna), Shown("own", ben)
    send_fragment("own", html="hi", to=anna)
    assert [page.read() for page in (one, other, stranger)] == [[partial("hi", "own")]] * 2 + [[]]


def test_a_request_stands_for_its_page() -> None:
    one, other = Shown("own"), Shown("own")
    one.http.get("/page/own/?send=1", headers={"X-Live-Page": one.grant})
    assert (one.read(), other.read()) == ([partial("from within", "own")], [])


def test_a_page_that_is_being_rendered_gets_what_its_own_view_sends() -> None:
    assert Shown("own", query="?send=1").read() == [partial("from within", "own")]


@pytest.mark.parametrize("to", ["orders", None, AnonymousUser(), get_user_model(), 7])
def test_whom_it_cannot_be_sent_to_is_said(to: Any) -> None:
    with pytest.raises(TypeError, match="expected a user"):
        send_fragment("a", html="", to=to)


def test_an_object_that_is_no_user_is_not_taken_for_the_user_of_that_pk() -> None:
    with pytest.raises(TypeError, match="expected a user"):
        send_fragment("a", html="", to=Group.objects.create(name="g"))


# What is sent


@pytest.mark.parametrize(
    ("word", "swap"),
    [
        ("update", "innerMorph"),
        ("replace", "outerMorph"),
        ("append", "beforeend"),
        ("prepend", "afterbegin"),
        ("before", "beforebegin"),
        ("after", "afterend"),
        ("beforeend", "beforeend"),
    ],
)
def test_a_word_or_htmxs_own_says_how_it_is_put_in(word: Any, swap: str) -> None:
    send_fragment("orders:42", html=mark_safe("<b>x</b>"), to=ORDERS, swap=word)
    assert sent_to(ORDERS) == [partial("<b>x</b>", swap=swap)]


def test_removing_takes_no_html() -> None:
    send_fragment("orders:42", to=ORDERS, swap="remove")
    assert sent_to(ORDERS) == [partial("", swap="delete")]


def test_a_plain_text_is_escaped_and_the_async_twin_sends_alike() -> None:
    async_to_sync(asend_fragment)("orders:42", html="<b>", to=ORDERS)
    assert sent_to(ORDERS) == [partial("&lt;b&gt;")]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"html": "x", "swap": "into"}, ValueError, "expected one of update, replace"),
        ({}, ValueError, "takes one of template= and html="),
        ({"html": "x", "template": "t.html"}, ValueError, "takes one of template= and html="),
        ({"html": "x", "swap": "remove"}, ValueError, "takes neither template= nor html="),
        ({"html": "x", "context": {}}, ValueError, "context= without template="),
    ],
)
def test_what_does_not_fit_is_said_to_the_caller(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        send_fragment("a", to=ORDERS, **options)


@pytest.mark.parametrize("name", ["", None, 7])
def test_a_name_that_is_none_is_said(name: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        send_fragment(name, html="x", to=ORDERS)


@pytest.mark.parametrize("fragment", [Fragment(target='a" b', html=mark_safe("")), "text"])
def test_a_fragment_for_what_is_no_id_is_refused(fragment: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="expected"):
        send_fragment([fragment], to=ORDERS)


def test_several_fragments_are_one_message() -> None:
    send_fragment([region("a", html="1"), Fragment(target="total", html=mark_safe("<i>2</i>"))], to=ORDERS)
    expected = partial("1", "a") + '\n<hx-partial hx-target="#total" hx-swap="outerMorph"><i>2</i></hx-partial>'
    assert sent_to(ORDERS) == [expected]


def test_a_template_is_rendered_once_in_the_sites_language_without_listening(settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    with translation.override("fr"):
        context = {"name": "g:1", "group": {"name": "<x>"}}
        send_fragment("g:1", template="regions/group.html", context=context, to=ORDERS, swap="replace")
    [message] = sent_to(ORDERS)
    assert message.strip() == partial('<li id="live-region-g_3a_1">&lt;x&gt; de</li>\n', "g:1", "outerMorph")


@given(text(alphabet="ab<>&\"'\r\n\0 /hx-partial\x02\x03\u2028", max_size=40))
def test_no_text_ends_its_fragment_early(written: str) -> None:
    with live_environment():
        send_fragment('a"b', html=mark_safe(f"</hx-partial><HX-PARTIAL>{written}"), to=ORDERS)
        [message] = sent_to(ORDERS)
    assert (message.count("<hx-partial"), message.count("</hx-partial>"), message.count("<HX")) == (1, 1, 0)
    assert message.startswith('<hx-partial hx-target="#live-region-a_22_b" hx-swap="innerMorph">&lt;/hx-partial>')


# Keeping and catching up


def test_of_what_a_region_is_the_newest_is_kept() -> None:
    page = Shown()
    for number in range(1000):
        send_fragment("orders:42", html=str(number), to=ORDERS)
    assert page.read() == [partial("999")]


def test_what_adds_to_a_region_is_all_kept_and_read_once() -> None:
    page = Shown()
    for number in range(300):
        send_fragment("orders:42", html=str(number), to=ORDERS, swap="append")
    assert page.read() == [partial(str(number), swap="beforeend") for number in range(300)]
    assert page.read() == []


def test_a_replacement_does_not_hide_in_a_later_update() -> None:
    page = Shown()
    send_fragment("orders:42", html="whole", to=ORDERS, swap="replace")
    send_fragment("orders:42", html="inner", to=ORDERS)
    assert page.read() == [partial("whole", swap="outerMorph"), partial("inner")]


def test_more_additions_than_are_kept_are_a_reset() -> None:
    page = Shown()
    for number in range(501):
        send_fragment("orders:42", html=str(number), to=ORDERS, swap="append")
    assert page.read() == ["reset"]


def test_what_was_sent_between_render_and_connect_arrives(staged: LiveEnvironment) -> None:
    page = Shown()
    send_fragment("orders:42", html="early", to=ORDERS)
    staged.clock.advance(600)
    assert page.read() == [partial("early")]


def test_a_region_that_htmx_brings_is_heard_from_the_request_on() -> None:
    page = Shown("own")
    request = RequestFactory().get("/", headers={"X-Live-Page": page.grant})
    assert get_page(request).id == page.id
    send_fragment("orders:42", html="meanwhile", to=ORDERS, swap="append")
    render('{% region "orders:42" topic="orders" %}{% endregion %}', request=request)
    render('{% region "orders:43" topic="orders" %}{% endregion %}', request=request)
    send_fragment("orders:42", html="later", to=ORDERS, swap="append")
    assert page.read() == [partial("meanwhile", swap="beforeend"), partial("later", swap="beforeend")]


def test_a_page_that_polls_is_told_alike() -> None:
    page = Shown()
    send_fragment("orders:42", html="paid", to=ORDERS)
    answer = page.sync(number=page.number, poll=True)
    assert answer.content.decode() == partial("paid")
    assert page.sync(number=answer["X-Live-Number"], poll=True).status_code == 204


def test_a_page_that_polls_from_too_far_behind_is_told_once() -> None:
    page = Shown()
    answer = page.sync(number="lost.1", poll=True).content.decode()
    assert (
        answer.strip()
        == '<script type="application/json" data-live-messages>[{"event": "reset", "data": "{}"}]</script>'
    )
    assert page.sync(number="", poll=True).status_code == 204


def test_a_page_gets_its_topics_back_after_a_restart() -> None:
    page = Shown()
    with live_environment():
        assert page.read() == ["reset"]
        page.sync(number=page.number, subscriptions=[page.attribute("data-live-subscription")])
        send_fragment("orders:42", html="again", to=ORDERS)
        assert page.read() == [partial("again")]


def test_a_topics_word_is_of_no_use_to_somebody_else() -> None:
    anna, ben = (get_user_model().objects.create(username=name) for name in ("anna", "ben"))
    word, thief = Shown("orders", anna).attribute("data-live-subscription"), Shown("own", ben)
    thief.sync(number=thief.number, words=[word])
    send_fragment("orders:42", html="secret", to=ORDERS)
    assert thief.read() == []


# Transactions and turns


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_it_is_sent_on_commit_and_after_a_rollback_never() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        send_fragment("a", html="lost", to=ORDERS)
        raise ZeroDivisionError
    with transaction.atomic():
        send_fragment("a", html="kept", to=ORDERS)
        assert sent_to(ORDERS) == []
    assert sent_to(ORDERS) == [partial("kept", "a")]


class Sender(LiveView):
    """Sends from everywhere a live view's code runs, and shows a region of its own."""

    template_name = "regions/sender.html"

    def mount(self, request: Any, topic: str = "orders", **kwargs: Any) -> None:
        self.count, self.topic = 0, topic

    @event_handler
    def send(self, fails: bool = False) -> None:
        self.count += 1
        send_fragment("a", html=str(len(sent_to(ORDERS))), to=ORDERS)
        assert sent_to(ORDERS) == []
        if fails:
            raise RuntimeError

    @event_handler
    @background
    def work(self) -> None:
        send_fragment("log", html="done", to=self.request, swap="append")


def test_in_a_turn_it_is_sent_when_that_is_saved(live: Any) -> None:
    live(Sender).send("send", {})
    assert sent_to(ORDERS) == [partial("0", "a")]


def test_of_a_turn_that_fails_nothing_is_sent(live: Any) -> None:
    client = live(Sender, raise_errors=False).send("send", {"fails": "1"})
    assert (client.status, sent_to(ORDERS)) == (500, [])


def test_a_job_reaches_the_pages_of_its_view(live: Any) -> None:
    client = live(Sender).send("work", {})
    client.run_jobs()
    assert client.fragments.count(partial("done", "log", "beforeend")) == 1


def test_a_region_in_a_live_view_hears_its_topic_on_all_pages_and_stays_as_it_is(live: Any) -> None:
    client = live(Sender)
    page = unsign_page(client._page_grant, max_age=live_settings().GRANT_MAX_AGE).page
    assert "topic:orders" in services().store.subscribed_channels(page)
    assert re.search(r'<div id="live-region-log" data-live-subscription="[^"]+" data-live-keep="">', client.html)


class SharedSender(Sender):
    scope = "shared"


def test_a_region_in_a_shared_view_says_where_it_belongs(live: Any) -> None:
    with pytest.raises(TurnError, match="shared view"):
        live(SharedSender)
