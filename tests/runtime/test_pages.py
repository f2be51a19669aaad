"""Pages: sessions only where they are needed, grants only where something is live, and forms without JavaScript."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from django.views.decorators.cache import cache_control

from htmx_live import LiveView, event_handler
from htmx_live.core.signing import unsign_page
from htmx_live.runtime.owners import COOKIE_PREFIX
from htmx_live.runtime.pages import page_placeholder
from htmx_live.runtime.services import services
from htmx_live.testing.environment import live_environment
from htmx_live.testing.page import parse
from tests.sample_views import Counter
from tests.working_views import Work


class Sign(LiveView):
    """Has nothing that a visitor could do."""

    template_name = "views/plain.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 3


def test_a_class_in_the_urlconf_is_an_error_that_says_what_to_write(rf: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"Write Sign\.as_view\(\) there"):
        Sign(rf.get("/"), year=2026)  # as Django calls what a URL pattern names


class Note(LiveView):
    template_name = "views/note_form.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.text = ""

    @event_handler
    def save(self, text: str = "") -> None:
        self.text = text
        self.notify("Saved.", "success")

    @event_handler
    def leave(self) -> None:
        self.redirect("/sign/")


def pieces(page: str, size: int) -> Iterator[str]:
    for start in range(0, len(page), size):
        yield page[start : start + size]


def streamed(request: HttpRequest, size: int) -> StreamingHttpResponse:
    """A page with a live view that is sent ``size`` characters at a time."""
    response: Any = Counter.as_view()(request)
    return StreamingHttpResponse(pieces(response.render().content.decode(), size))


def astreamed(request: HttpRequest, size: int) -> StreamingHttpResponse:
    response = streamed(request, size)

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in response:
            yield chunk

    return StreamingHttpResponse(chunks())


def marks(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(["<p>", page_placeholder()[:7], "</p>", page_placeholder()[:9]])


def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>nothing live</p>")


urlpatterns = [
    path("sign/", Sign.as_view()),
    path("note/", Note.as_view()),
    path("counter/<int:start>/", Counter.as_view()),
    path("work/", Work.as_view(start="set_a")),
    path("bare/", bare),
    path("streamed/<int:size>/", streamed),
    path("astreamed/<int:size>/", astreamed),
    path("marks/", marks),
    path("public/", cache_control(public=True, max_age=60)(Counter.as_view())),
    path("live/", include("htmx_live.urls")),
]

pytestmark = pytest.mark.urls("tests.runtime.test_pages")


@pytest.fixture(autouse=True)
def staged(settings: Any) -> Any:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    with live_environment() as built:
        yield built


def meta(response: Any) -> dict[str, str]:
    page = parse(response.content.decode())
    return next(one.attributes for one in page.all() if one.attributes.get("name") == "htmx-live")


def field(response: Any, name: str) -> str:
    page = parse(response.content.decode())
    return next(one.attributes["value"] for one in page.all() if one.attributes.get("name") == name)


# Sessions and caches


class Earlier(signing.TimestampSigner):
    """Signs a visitor's cookie as it was signed some seconds ago."""

    def __init__(self, seconds: float) -> None:
        super().__init__(salt="htmx_live.visitor")
        self._seconds = seconds

    def timestamp(self) -> str:
        return signing.b62_encode(int(time.time() - self._seconds))


def owner_cookies(response: Any) -> list[Any]:
    return [cookie for name, cookie in response.cookies.items() if name.startswith(COOKIE_PREFIX)]


def test_a_view_without_handlers_sets_no_cookie(client: Client) -> None:
    assert (client.get("/sign/").status_code, set(client.cookies) - {"csrftoken"}) == (200, set())


@pytest.mark.parametrize("url", ["/counter/1/", "/work/"])
def test_a_view_that_can_be_used_gives_its_visitor_a_cookie_and_no_session(
    client: Client, settings: Any, url: str
) -> None:
    settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_SAMESITE = True, "Strict"
    settings.SESSION_COOKIE_DOMAIN, settings.SESSION_COOKIE_PATH = "testserver", "/"
    [cookie] = owner_cookies(client.get(url))
    given = [cookie[name] for name in ("httponly", "secure", "samesite", "domain", "path", "max-age")]
    assert given == [True, True, "Strict", "testserver", "/", settings.SESSION_COOKIE_AGE]
    assert set(client.cookies) == {"csrftoken", cookie.key}
    assert owner_cookies(client.get(url)) == []  # it has one


@pytest.mark.parametrize("value", ["", "forged", "c" * 32 + ":1xUoiq:" + "s" * 43])
def test_a_forged_cookie_counts_as_none(client: Client, value: str) -> None:
    client.cookies[f"{COOKIE_PREFIX}a"] = value
    assert len(owner_cookies(client.get("/counter/1/"))) == 1


def test_an_expired_cookie_counts_as_none(client: Client, settings: Any) -> None:
    [cookie] = owner_cookies(client.get("/counter/1/"))
    settings.SESSION_COOKIE_AGE = -1
    assert [one.key != cookie.key for one in owner_cookies(client.get("/counter/1/"))] == [True]


def test_a_cookie_is_renewed_when_half_of_its_age_is_over(client: Client, settings: Any) -> None:
    [cookie] = owner_cookies(client.get("/counter/1/"))
    token = cookie.value.partition(":")[0]
    client.cookies[cookie.key] = Earlier(0.6 * settings.SESSION_COOKIE_AGE).sign(token)
    [renewed] = owner_cookies(client.get("/counter/1/"))
    assert (renewed.key, renewed.value.partition(":")[0]) == (cookie.key, token)
    assert owner_cookies(client.get("/counter/1/")) == []


def test_a_cookie_ends_with_the_browser_where_sessions_do(client: Client, settings: Any) -> None:
    settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = True
    assert [cookie["max-age"] for cookie in owner_cookies(client.get("/counter/1/"))] == [""]


def test_a_page_with_something_live_is_private(client: Client) -> None:
    assert "private" in client.get("/sign/")["Cache-Control"]


def test_a_page_with_nothing_live_is_left_alone(client: Client) -> None:
    response = client.get("/bare/")
    assert (response.has_header("Cache-Control"), response.content) == (False, b"<p>nothing live</p>")


def test_private_wins_over_a_views_own_public(client: Client) -> None:
    directives = client.get("/public/")["Cache-Control"].split(", ")
    assert ("private" in directives, "public" in directives) == (True, False)


# Grants


@pytest.mark.parametrize("url", ["/streamed/1/", "/streamed/7/", "/streamed/40/", "/streamed/100000/"])
def test_a_page_that_is_sent_in_pieces_carries_its_grant_wherever_they_are_cut(client: Client, url: str) -> None:
    whole = b"".join(client.get(url)).decode()
    meta = next(one for one in parse(whole).all() if one.attributes.get("name") == "htmx-live")
    assert unsign_page(meta.attributes["data-page"], max_age=60)
    assert page_placeholder() not in whole


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_async_page_that_is_sent_in_pieces_carries_its_grant(size: int) -> None:
    async def load() -> str:
        answer: Any = await AsyncClient().get(f"/astreamed/{size}/")
        return b"".join([chunk async for chunk in answer]).decode()

    whole = asyncio.run(load())
    meta = next(one for one in parse(whole).all() if one.attributes.get("name") == "htmx-live")
    assert unsign_page(meta.attributes["data-page"], max_age=60)


def test_what_only_begins_like_a_slot_is_sent_as_it_is(client: Client) -> None:
    assert b"".join(client.get("/marks/")).decode() == f"<p>{page_placeholder()[:7]}</p>{page_placeholder()[:9]}"


def test_the_page_carries_its_grant_number_and_token(client: Client) -> None:
    given = meta(client.get("/counter/1/"))
    grant = unsign_page(given["data-page"], max_age=60)
    [instance] = services().store.instances_on(grant.page)
    assert instance
    assert given["data-number"] == services().bus.position()
    assert len(given["data-csrf"]) == 64


def test_the_grant_names_the_owner_whose_session_the_page_has_made(client: Client) -> None:
    response = client.get("/counter/1/")
    grant = unsign_page(meta(response)["data-page"], max_age=60)
    [instance] = services().store.instances_on(grant.page)
    loaded = services().store.load(instance)
    assert loaded is not None and grant.owner == loaded.record.owner != ""


def test_two_loads_of_one_session_are_two_pages_of_one_owner(client: Client) -> None:
    one, two = (unsign_page(meta(client.get("/counter/1/"))["data-page"], max_age=60) for _ in range(2))
    assert (one.page == two.page, one.owner == two.owner) == (False, True)


def test_arguments_of_the_url_reach_mount(client: Client) -> None:
    assert b"<p>7</p>" in client.get("/counter/7/").content


def test_only_get_loads_a_page(client: Client) -> None:
    assert client.post("/counter/1/").status_code == 405


# Without JavaScript


def _submit(client: Client, response: Any, handler: str, **values: str) -> Any:
    body = {"_live": field(response, "_live"), **values}
    referer = response.wsgi_request.build_absolute_uri()
    return client.post(f"/live/event/{handler}/", body, headers={"Referer": referer})


def test_a_form_leads_back_to_its_page_which_takes_the_instance_over(client: Client) -> None:
    page = client.get("/note/?a=1")
    answer = _submit(client, page, "save", text="hello")
    assert answer.status_code == 303
    assert answer["Location"].startswith("/note/?a=1&_live=")
    after = client.get(answer["Location"])
    assert (b"<p>hello</p>" in after.content, field(after, "_live") == field(page, "_live")) == (True, True)


def test_notices_of_a_form_wait_as_messages(client: Client) -> None:
    answer = _submit(client, client.get("/note/"), "save", text="hello")
    after = client.get(answer["Location"])
    assert [str(message) for message in after.wsgi_request._messages] == ["Saved."]


def test_a_redirect_of_a_form_is_followed(client: Client) -> None:
    answer = _submit(client, client.get("/note/"), "leave")
    assert (answer.status_code, answer["Location"]) == (303, "/sign/")


def test_a_second_load_under_the_reference_takes_over_too_and_nobody_elses_does(client: Client) -> None:
    location = _submit(client, client.get("/note/"), "save", text="hello")["Location"]
    assert b"<p>hello</p>" not in Client().get(location).content
    assert b"<p>hello</p>" in client.get(location).content


def test_a_page_without_script_can_be_loaded_again_and_again(client: Client) -> None:
    location = _submit(client, client.get("/note/"), "save", text="hello")["Location"]
    shown = [client.get(location) for _ in range(10)]
    assert {field(page, "_live") for page in shown} == {field(shown[0], "_live")}
    assert all(b"<p>hello</p>" in page.content for page in shown)


def test_a_reference_is_no_part_of_the_address_that_a_template_sees(client: Client) -> None:
    location = _submit(client, client.get("/note/?a=1"), "save", text="x")["Location"]
    after = client.get(location)
    grant = unsign_page(meta(after)["data-page"], max_age=60)
    [instance] = services().store.instances_on(grant.page)
    loaded = services().store.load(instance)
    assert loaded is not None and loaded.record.query == "a=1"


@pytest.mark.parametrize("reference", ["", "x", "a:b:c", "%00"])
def test_a_forged_reference_is_ignored(client: Client, reference: str) -> None:
    assert client.get(f"/note/?_live={reference}").status_code == 200


def test_a_form_whose_record_is_gone_leads_back_and_says_so(client: Client) -> None:
    page = client.get("/note/")
    store: Any = services().store
    store.delete(next(iter(store._entries)))
    answer = _submit(client, page, "save", text="lost")
    after = client.get(answer["Location"])
    assert (answer.status_code, urlsplit(answer["Location"]).path, b"<p></p>" in after.content) == (303, "/note/", True)
    assert len(list(after.wsgi_request._messages)) == 1


# What an htmx response brings


def test_an_htmx_response_that_brings_the_first_view_carries_the_page_in_headers(client: Client, rf: Any) -> None:
    from htmx_live.runtime.pages import finalize_response, get_page
    from htmx_live.views.embedding import embed

    request = rf.get("/part/")
    request.session, request.user = client.session, type("Visitor", (), {"is_authenticated": False, "pk": None})()
    response = HttpResponse(embed(Counter, get_page(request), kwargs={}).html)
    finalize_response(request, response)
    grant = unsign_page(response["X-Live-Page"], max_age=60)
    assert (len(list(services().store.instances_on(grant.page))), response["X-Live-Number"]) == (
        1,
        services().bus.position(),
    )
    assert len(response["X-Live-CSRF"]) == 64
