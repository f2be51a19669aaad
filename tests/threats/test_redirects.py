"""Redirects stay on this site, whatever is asked for and whatever the address of the page is."""

import json

import pytest

from htmx_live.core.exceptions import TurnError
from htmx_live.runtime.view import validate_redirect_url
from tests.threats.visitor import Visitor, record_of, written

pytestmark = pytest.mark.django_db

BYPASSES = [
    "https://evil.example/", "http://evil.example", "//evil.example", "///evil.example", "////evil.example",
    "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\t/evil.example", "\t//evil.example", " //evil.example",
    "/\n/evil.example", "/x\r\nSet-Cookie: a=b", "/x\nLocation: //evil.example", "\x00//evil.example", "/\x7f/evil",
    "http:evil.example", "http:/evil.example", "https:evil.example", "https:///evil.example", "HTTP://evil.example",
    "javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "file:///x",
    "http://testserver@evil.example/", "http://testserver:x@evil.example", "http://evil.example#testserver",
    "http://evil.example?testserver/", "http://testserver.evil.example/", "http://evil.example\\@testserver",
    "http://[::1]/", "http://[", "//[", "http://\uff11\uff12\uff17.0.0.1/",
    "//evil。example", "ftp://testserver/", "x:y", "///", "//", "//?x", "//#x",
]  # fmt: skip


@pytest.mark.parametrize("to", BYPASSES)
def test_a_redirect_to_elsewhere_is_refused_and_changes_nothing(to):
    page = Visitor().open("/guestbook/")
    before = written(page)
    answer = page.event("leave", {"to": to})
    assert answer.status_code in (422, 500)
    assert not {"HX-Redirect", "Location"} & set(answer.headers)
    assert written(page) == before


EVIL = "https://evil.example/"


@pytest.mark.parametrize(
    ("handler", "arguments", "reason"),
    [
        ("leave", {"to": EVIL}, "redirect() got an address that leaves this site."),
        ("go", {"to": EVIL}, "redirect() got an address that leaves this site."),
        ("tell", {"to": EVIL}, "notify() got a url that leaves this site."),
        ("tell", {"text": ""}, "notify() got an empty message."),
    ],
)
def test_a_value_that_is_refused_is_422_and_one_line_without_it(caplog, handler, arguments, reason):
    page = Visitor().open("/guestbook/")
    before = written(page)
    answer = page.event(handler, arguments)
    assert (answer.status_code, written(page)) == (422, before)
    assert json.loads(answer["X-Live-Notices"]) == [{"message": "That value does not fit", "level": "error"}]
    [line] = [record for record in caplog.records if record.name.startswith("htmx_live")]
    start = f"/live/event/{handler}/ answered 422: tests.threats.views.Guestbook.{handler}(): {reason}"
    assert (line.levelname, line.exc_info, line.getMessage()[: len(start)]) == ("WARNING", None, start)
    assert EVIL not in line.getMessage()


def test_a_value_that_is_refused_in_a_job_ends_it_with_one_line(stage, caplog):
    page = Visitor().open("/guestbook/")
    page.event("leave_later", {"to": EVIL})
    stage.runner.run_all()
    [line] = [record for record in caplog.records if record.name.startswith("htmx_live")]
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert line.getMessage().startswith("leave_later of tests.threats.views.Guestbook failed (error ")
    assert record_of(page).jobs == ()


@pytest.mark.parametrize("to", BYPASSES)
def test_no_bypass_is_safe(rf, to):
    with pytest.raises(TurnError):
        validate_redirect_url(to, rf.get("/"))


@pytest.mark.parametrize(
    ("to", "header"),
    [
        ("/reports/", "/reports/"),
        ("/a?b=c#d", "/a?b=c#d"),
        ("http://testserver/x", "http://testserver/x"),
        ("/käse/€/", "/k%C3%A4se/%E2%82%AC/"),
    ],
)
def test_a_redirect_on_this_site_is_an_address_fit_for_a_header(to, header):
    page = Visitor().open("/guestbook/")
    scripted = page.event("leave", {"to": to})
    plain = page.event("leave", {"to": to}, form={"_live": page.live}, X_Live=None, X_Live_Page=None)
    assert (scripted.status_code, scripted["HX-Redirect"]) == (204, header)
    assert (plain.status_code, plain["Location"]) == (303, header)


def post_form(page, **headers):
    form = {"_live": page.live, "text": "x", "csrfmiddlewaretoken": page.csrf}
    return page.event("write", form=form, X_Live=None, X_Live_Page=None, X_CSRFToken=None, **headers)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//evil.example/", "/%2Fevil.example/"),
        ("///evil.example/", "/%2F/evil.example/"),
        ("/any/a%0DSet-Cookie:%20x=1", "/any/a%0DSet-Cookie:%20x%3D1"),
        ("/any/what%3Fis%23this", "/any/what%3Fis%23this"),
        ("/any/k%C3%A4se", "/any/k%C3%A4se"),
        ("/any/%5Cevil.example", "/any/%5Cevil.example"),
    ],
)
def test_a_form_leads_back_to_its_page_whatever_its_address(path, location):
    page = Visitor().open(path)
    answer = post_form(page)
    assert answer.status_code == 303
    assert answer["Location"].split("?_live=")[0] == location
    assert "Set-Cookie" not in answer.headers


def test_a_form_whose_record_is_gone_leads_back_to_its_page(stage):
    page = Visitor().open("/guestbook/?page=2")
    stage.clock.advance(100_000)
    answer = post_form(page, Referer="http://testserver/guestbook/?page=2")
    assert answer.status_code == 303
    assert answer["Location"].split("_live=")[0] == "/guestbook/?page=2&"


@pytest.mark.parametrize(
    "told", ["http://evil.example/x", "http://[", "//evil.example", "/" * 5000, "http://testserver//evil.example/", "x"]
)
def test_where_a_page_says_it_is_never_leads_elsewhere(stage, told):
    page = Visitor().open("/guestbook/")
    stage.clock.advance(100_000)
    answer = post_form(page, Referer=told, HX_Current_URL=told)
    assert answer.status_code == 303
    assert answer["Location"].startswith("/")
    assert not answer["Location"].startswith(("//", "/\\"))
    assert record_of(page) is not None


@pytest.mark.parametrize(
    "came_from", ["https://evil.example/", "javascript:alert(1)", "httpx:y", '"><script>', "http://["]
)
def test_the_way_back_from_an_error_page_stays_on_this_site(came_from):
    page = Visitor().open("/guestbook/")
    form = {"_live": "forged", "csrfmiddlewaretoken": page.csrf}
    answer = page.event("write", form=form, X_Live=None, X_Live_Page=None, Referer=came_from)
    assert answer.status_code == 404
    assert '<a href="/">' in answer.content.decode()
