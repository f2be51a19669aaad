"""Floods: whatever one visitor or all of them ask for, what is kept has an end."""

import gc
import tracemalloc

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from htmx_live.core.records import Owner
from htmx_live.http.stream_endpoint import PageStreamAuthorizer
from htmx_live.http.stream_hub import StreamGrant
from htmx_live.runtime.owners import COOKIE_PREFIX, send_cookies
from htmx_live.runtime.pages import get_page
from htmx_live.runtime.services import services
from htmx_live.views.embedding import embed
from tests.sample_views import Counter
from tests.threats.views import Board
from tests.threats.visitor import Visitor, record_of, written

pytestmark = pytest.mark.django_db


class Browser:
    """Loads pages without the whole of Django in between."""

    def __init__(self):
        self.cookies = {}

    def load(self, view):
        request = RequestFactory().get("/")
        request.session, request.COOKIES, request.resolver_match = {}, dict(self.cookies), None
        record = embed(view, get_page(request), kwargs={}).view._live.record
        response = HttpResponse()
        send_cookies(request, response)
        self.cookies.update((name, morsel.value) for name, morsel in response.cookies.items())
        return record


def test_endless_loads_of_one_visitor_keep_as_many_records_as_the_cap(settings):
    settings.HTMX_LIVE = {"MAX_INSTANCES_PER_OWNER": 50}
    browser = Browser()
    first = browser.load(Counter)
    tracemalloc.start()
    sizes = []
    for count in (100, 400):
        for _ in range(count):
            last = browser.load(Counter)
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert services().store.count(last.owner) == 50
    assert services().store.load(first.instance) is None
    assert services().store.load(last.instance) is not None
    assert sizes[1] - sizes[0] < 40_000  # 50 records are more


def test_robots_without_cookies_keep_as_many_records_as_the_cap_of_all(settings):
    settings.HTMX_LIVE = {"MAX_RECORDS": 50}
    records = [Browser().load(Counter) for _ in range(200)]
    alive = [record for record in records if services().store.load(record.instance)]
    assert alive == records[-50:]


def test_visitors_without_a_session_do_not_push_each_other_out(settings):
    settings.HTMX_LIVE = {"MAX_INSTANCES_PER_OWNER": 5}
    records = [Browser().load(Board) for _ in range(20)]
    assert records[0].owner == Owner()
    assert all(services().store.load(record.instance) for record in records)


def test_the_record_that_one_visitor_loses_to_the_cap_is_not_anothers(settings):
    settings.HTMX_LIVE = {"MAX_INSTANCES_PER_OWNER": 5}
    quiet, loud = Visitor().open(), Visitor()
    for _ in range(20):
        loud.open()
    assert record_of(quiet) is not None


def test_a_view_has_so_many_jobs_and_no_more(settings):
    settings.HTMX_LIVE = {"MAX_JOBS_PER_INSTANCE": 3}
    page = Visitor().open("/report/")
    statuses = [page.event("named", {"name": f"n{n}"}).status_code for n in range(5)]
    assert statuses == [200, 200, 200, 500, 500]
    assert len(record_of(page).jobs) == 3


def test_a_jobs_name_and_key_are_no_place_for_long_texts():
    page = Visitor().open("/guestbook/")
    before = written(page)
    assert page.event("keyed", {"text": "x" * 90_000}).status_code == 500
    assert written(page) == before


def test_mounting_again_and_again_keeps_one_record(stage):
    page = Visitor().open()
    for _ in range(20):
        stage.clock.advance(100_000)
        assert page.event("add").status_code == 200
    assert services().store.count(record_of(page).owner) == 1


def owner_of_stream(page):
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in page.visitor.http.cookies.items())
    access = PageStreamAuthorizer().authorize({"x-live-page": page.page, "cookie": cookies})
    assert isinstance(access, StreamGrant)
    return access.owner_key


def test_the_streams_of_one_session_are_counted_together():
    visitor = Visitor()
    assert owner_of_stream(visitor.open()) == owner_of_stream(visitor.open())
    assert owner_of_stream(visitor.open()) != owner_of_stream(Visitor().open())


def test_visitors_without_a_session_are_not_counted_as_one_owner_of_streams():
    assert owner_of_stream(Visitor().open("/board/")) != owner_of_stream(Visitor().open("/board/"))


def test_of_many_visitors_cookies_the_first_32_count():
    visitor, pages = Visitor(), []
    for number in range(33):
        visitor.http.cookies.clear()
        visitor.open()
        [cookie] = [cookie for name, cookie in visitor.http.cookies.items() if name.startswith(COOKIE_PREFIX)]
        pages.append((f"{COOKIE_PREFIX}{number:02}", cookie.value, visitor.open()))
    for name, value, _ in pages:
        visitor.http.cookies[name] = value
    del visitor.http.cookies[cookie.key]
    answers = [page.seen_by(visitor).event("add").status_code for *_, page in pages]
    assert answers == [200] * 32 + [404]
