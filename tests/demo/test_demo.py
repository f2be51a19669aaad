"""The demo as a visitor's browser meets it, without a browser: pages, login, assets, headers."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server import Server, demo_server

pytestmark = pytest.mark.processes

PAGES = [
    "/", "/login/", "/reports/", "/orders/", "/orders/?page=3", "/orders/?q=zoe", "/orders/new/", "/products/",
    "/dashboard/", "/note/",
]  # fmt: skip
HANDLER = r"@event_handler\n(?:    @.*\n)*    def (\w+)\("

# What a hostile browser could send: JSON of any shape under the handlers' own argument names, or no JSON at all.
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["<script>", "\0", "\r\n"])
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
OBJECTS = st.dictionaries(
    st.sampled_from(["year", "pk", "self", "__class__", "name", "q", "sort", "page", "to", "value"]), VALUES
)
ARGUMENTS = (OBJECTS | st.lists(VALUES) | VALUES).map(json.dumps) | st.text()
FIELDS = st.dictionaries(
    st.sampled_from(["year", "pk", "_live", "value", "q", "sort", "page", "to", "other"]), st.text(), max_size=3
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("demo")) as running:
        yield running


class Visitor:
    """Somebody with a cookie jar."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.jar = CookieJar()
        self.opener: OpenerDirector = build_opener(HTTPCookieProcessor(self.jar))

    def get(self, path: str) -> tuple[str, str]:
        """The URL where this ended, and the page."""
        with self.opener.open(urljoin(self.url, path), timeout=30) as answer:
            return answer.url.removeprefix(self.url), answer.read().decode()

    def post(self, path: str, **fields: str) -> tuple[str, str]:
        body = urlencode({"csrfmiddlewaretoken": self.token, **fields}).encode()
        with self.opener.open(urljoin(self.url, path), body, timeout=30) as answer:
            return answer.url.removeprefix(self.url), answer.read().decode()

    @property
    def token(self) -> str:
        return next((str(cookie.value) for cookie in self.jar if cookie.name == "csrftoken"), "")

    def sign_in(self, name: str) -> "Visitor":
        self.get("/login/")
        self.post("/login/", user=name)
        return self


class Clerk:
    """Somebody at a page of the demo who sends it events, as the script would."""

    def __init__(self, visitor: Visitor, where: str = "reports", path: str = "/reports/") -> None:
        self.visitor = visitor
        page = visitor.get(path)[1]
        self.grants = re.findall(r' data-live="([^"]+)"', page)
        self.headers = {"X-Live-Page": _first(r'data-page="([^"]+)"', page), "X-CSRFToken": visitor.token}
        handlers = Path(f"demo/{where}/views.py").read_text(encoding="utf-8").split("(LiveView):")[1:]
        self.owners = {name: number for number, text in enumerate(handlers) for name in re.findall(HANDLER, text)}

    def event(self, handler: str, fields: dict[str, str]) -> int:
        headers = {**self.headers, "X-Live": self.grants[self.owners[handler]], "X-Live-Nonce": uuid4().hex}
        url = f"{self.visitor.url}/live/event/{handler}/"
        request = Request(url, urlencode(fields, errors="surrogatepass").encode(), headers=headers)
        try:
            with self.visitor.opener.open(request, timeout=30) as answer:
                return int(answer.status)
        except HTTPError as refused:
            with refused:
                return refused.code


@pytest.fixture(scope="module")
def clerk(server: Server) -> Clerk:
    return Clerk(Visitor(server).sign_in("anna"))


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, pattern
    return found[1]


class Links(HTMLParser):
    """Every address that a page names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.assets: list[str] = []
        self.styled: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "action", "hx-get", "hx-post", "data-url"):
                self.found.append(value or "")
                if tag in ("script", "link", "img"):
                    self.assets.append(value or "")
            if name == "style" or name.startswith("on"):
                self.styled.append(f"<{tag} {name}={value!r}>")


@pytest.fixture(scope="module")
def anna(server: Server) -> Visitor:
    return Visitor(server).sign_in("anna")


@pytest.fixture(scope="module")
def ben(server: Server) -> Visitor:
    return Visitor(server).sign_in("ben")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_answers_and_names_no_other_host(anna: Visitor, path: str) -> None:
    links = Links(anna.get(path)[1])
    assert [link for link in links.found if re.match(r"(?i)[a-z]+:|//", link)] == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_inline_styles_and_no_inline_handlers(anna: Visitor, path: str) -> None:
    assert Links(anna.get(path)[1]).styled == []


def test_every_asset_of_a_page_is_there_and_loads_nothing_from_outside(anna: Visitor) -> None:
    for asset in Links(anna.get("/reports/")[1]).assets:
        text = anna.get(asset)[1]
        assert not re.search(r"url\(\s*[\"']?(?:[a-z]+:)?//|@import", text), asset


def test_every_page_forbids_scripts_and_styles_from_elsewhere(anna: Visitor) -> None:
    with anna.opener.open(anna.url + "/reports/") as answer:
        policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)


@pytest.mark.parametrize("name", ["anna", "ben"])
def test_a_prepared_user_signs_in_by_a_click_and_lands_where_they_wanted(server: Server, name: str) -> None:
    visitor = Visitor(server)
    where, page = visitor.get("/orders/")
    assert where == "/login/?next=/orders/"
    where, page = visitor.post("/login/", user=name, next="/orders/")
    assert where == "/orders/"
    assert "Sign out" in page


def test_nobody_else_can_sign_in(server: Server) -> None:
    visitor = Visitor(server)
    visitor.get("/login/")
    with pytest.raises(HTTPError) as refused:
        visitor.post("/login/", user="root")
    assert refused.value.code == 404
    refused.value.close()


def test_signing_in_never_leads_to_another_site(server: Server) -> None:
    visitor = Visitor(server)
    visitor.get("/login/")
    assert visitor.post("/login/", user="anna", next="https://example.com/")[0] == "/reports/"


def test_the_reports_page_holds_every_example_with_its_code(anna: Visitor) -> None:
    page = anna.get("/reports/")[1]
    views = Path("demo/reports/views.py").read_text(encoding="utf-8")
    examples = re.findall(r"^class (\w+)\(LiveView\)", views, flags=re.MULTILINE)
    assert len(re.findall(r'<div[^>]* data-live="', page)) == len(examples) == 6
    assert re.findall(r'<span class="code-nc">(\w+)</span>', page) == examples


@pytest.mark.parametrize(("handler", "arguments"), [("generate", {"year": 2025}), ("predict", [2025]), ("stop", {})])
def test_a_handler_answers_what_its_page_sends(clerk: Clerk, handler: str, arguments: object) -> None:
    assert clerk.event(handler, {"_args": json.dumps(arguments)}) in (200, 204)


@pytest.mark.parametrize("handler", ["generate", "stop", "export", "cancel", "check", "predict", "remind", "audit"])
@settings(max_examples=12)
@given(arguments=ARGUMENTS, fields=FIELDS)
def test_no_input_to_a_handler_ends_in_a_server_error(
    clerk: Clerk, handler: str, arguments: str, fields: dict[str, str]
) -> None:
    status = clerk.event(handler, {**fields, "_args": arguments})
    assert status in (200, 204) or 400 <= status < 500


@pytest.mark.parametrize(
    ("where", "path", "handler"),
    [
        ("dashboard", "/dashboard/", "order_something"),
        *(("orders", "/orders/", handler) for handler in ("search", "sort_by", "turn_to", "move")),
        *(("notes", "/note/", handler) for handler in ("edit", "update_content", "done")),
    ],
)
@settings(max_examples=6)
@given(events=st.lists(st.tuples(ARGUMENTS, FIELDS), min_size=1, max_size=6))
def test_no_input_to_another_page_ends_in_a_server_error(
    ben: Visitor, where: str, path: str, handler: str, events: list[tuple[str, dict[str, str]]]
) -> None:
    clerk = Clerk(ben, where, path)
    if where == "notes":
        assert clerk.event("edit", {}) == 200
    for arguments, fields in events:
        status = clerk.event(handler, {**fields, "_args": arguments})
        assert status in (200, 204) or 400 <= status < 500


def test_a_file_is_its_owners_alone(server: Server, anna: Visitor, ben: Visitor) -> None:
    with closing(sqlite3.connect(server.env["DEMO_DATABASE"])) as database, database:
        (owner,) = database.execute("SELECT id FROM auth_user WHERE username = 'anna'").fetchone()
        row = (owner, "orders.csv", "number,total", "2026-01-01 00:00:00")
        columns = "owner_id, name, content, created_at"
        pk = database.execute(f"INSERT INTO shop_export ({columns}) VALUES (?, ?, ?, ?)", row).lastrowid
    assert anna.get(f"/exports/{pk}/")[1] == "number,total"
    with pytest.raises(HTTPError) as refused:
        ben.get(f"/exports/{pk}/")
    assert refused.value.code == 404
    refused.value.close()
