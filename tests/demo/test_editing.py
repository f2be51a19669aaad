"""Whose order it is: what the demo's editing refuses, over HTTP and without a browser."""

import ast
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request
from uuid import uuid4

import pytest

from tests.demo.test_demo import HANDLER, Links, Visitor
from tests.server import Server, demo_server

pytestmark = pytest.mark.processes

HANDLERS_OF_REPORTS = [
    re.findall(HANDLER, text)
    for text in Path("demo/reports/views.py").read_text(encoding="utf-8").split("(LiveView):")[1:]
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("editing")) as running:
        yield running


def rows(server: Server, query: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(server.env["DEMO_DATABASE"], timeout=20)) as database, database:
        return database.execute(query, values).fetchall()


def order_of(server: Server, username: str, status: str = "open", nth: int = 0) -> tuple[int, str]:
    """The pk and the number of one of a user's orders, put into this status."""
    query = "SELECT o.id, number FROM shop_order o JOIN auth_user u ON u.id = clerk_id WHERE username = ?"
    pk, number = rows(server, f"{query} ORDER BY o.id LIMIT 1 OFFSET ?", username, nth)[0]
    rows(server, "UPDATE shop_order SET status = ? WHERE id = ?", status, pk)
    return pk, number


def status_of(visitor: Visitor, path: str, fields: dict[str, Any] | None = None, **headers: str) -> int:
    body = None if fields is None else urlencode({"csrfmiddlewaretoken": visitor.token, **fields}).encode()
    try:
        with visitor.opener.open(Request(visitor.url + path, body, headers), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code


class Editor:
    """Somebody at the edit page of an order, who sends its two forms' events as the script would."""

    def __init__(self, visitor: Visitor, number: str) -> None:
        self.visitor = visitor
        self.page = visitor.get(f"/orders/{number}/edit/")[1]
        self.details, self.lines = re.findall(r' data-live="([^"]+)"', self.page)
        found = re.search(r'data-page="([^"]+)"', self.page)
        assert found is not None
        self.grant = found[1]

    def event(self, handler: str, form: str, fields: dict[str, Any], by: Visitor | None = None) -> int:
        sender = by or self.visitor
        headers = {"X-Live": form, "X-Live-Page": self.grant, "X-Live-Nonce": uuid4().hex, "X-CSRFToken": sender.token}
        return status_of(sender, f"/live/event/{handler}/", fields, **headers)


@pytest.fixture(scope="module")
def anna(server: Server) -> Visitor:
    return Visitor(server).sign_in("anna")


@pytest.fixture(scope="module")
def ben(server: Server) -> Visitor:
    return Visitor(server).sign_in("ben")


PAGES = ["edit/", "edit/dialog/", "delete/", "attachment/"]
EVENTS = [
    ("details", "save", {"note": "mine now"}),
    ("details", "validate", {"note": "mine now", "field": "note"}),
    ("details", "delete", {}),
    ("lines", "save", {}),
    ("lines", "validate", {"field": "lines-0-quantity"}),
    ("lines", "add_row", {}),
    ("lines", "remove_row", {"index": "0"}),
]


@pytest.mark.parametrize("page", PAGES)
def test_a_colleagues_order_has_no_pages_to_change_it(server: Server, ben: Visitor, page: str) -> None:
    pk, number = order_of(server, "anna", nth=1)
    rows(server, "UPDATE shop_order SET attachment = 'x/secret.pdf' WHERE id = ?", pk)
    assert status_of(ben, f"/orders/{number}/{page}") == 404
    assert status_of(ben, f"/orders/{number}/") == 200  # it can be read


@pytest.mark.parametrize("page", PAGES[:3])
@pytest.mark.parametrize("status", ["shipped", "cancelled"])
def test_an_order_that_has_left_is_not_changed_any_more(server: Server, anna: Visitor, page: str, status: str) -> None:
    assert status_of(anna, f"/orders/{order_of(server, 'anna', status, nth=2)[1]}/{page}") == 404


def test_a_colleague_cannot_delete_by_posting(server: Server, anna: Visitor, ben: Visitor) -> None:
    pk, number = order_of(server, "anna", nth=3)
    assert status_of(ben, f"/orders/{number}/delete/", {}) == 404
    assert rows(server, "SELECT number FROM shop_order WHERE id = ?", pk) == [(number,)]
    assert status_of(anna, f"/orders/{number}/delete/", {}) == 200
    assert rows(server, "SELECT number FROM shop_order WHERE id = ?", pk) == []


@pytest.mark.parametrize(("form", "handler", "fields"), EVENTS)
def test_a_grant_in_a_colleagues_hands_changes_nothing(
    server: Server, anna: Visitor, ben: Visitor, form: str, handler: str, fields: dict[str, str]
) -> None:
    pk, number = order_of(server, "anna", nth=4)
    before = rows(server, "SELECT * FROM shop_order WHERE id = ?", pk)
    editor = Editor(anna, number)
    assert editor.event(handler, getattr(editor, form), fields, by=ben) == 404
    assert rows(server, "SELECT * FROM shop_order WHERE id = ?", pk) == before


@pytest.mark.parametrize(("form", "handler", "fields"), EVENTS)
def test_an_order_given_away_is_out_of_reach_at_the_next_event(
    server: Server, anna: Visitor, form: str, handler: str, fields: dict[str, str]
) -> None:
    pk, number = order_of(server, "anna", nth=5)
    editor = Editor(anna, number)
    (clerk,) = rows(server, "SELECT clerk_id FROM shop_order WHERE id = ?", pk)[0]
    rows(server, "UPDATE shop_order SET clerk_id = (SELECT id FROM auth_user WHERE username = 'ben') WHERE id = ?", pk)
    before = rows(server, "SELECT * FROM shop_order WHERE id = ?", pk)
    assert editor.event(handler, getattr(editor, form), fields) == (422 if handler == "delete" else 404)
    assert rows(server, "SELECT * FROM shop_order WHERE id = ?", pk) == before
    rows(server, "UPDATE shop_order SET clerk_id = ? WHERE id = ?", clerk, pk)


def test_one_forms_grant_does_not_open_the_others_handlers(server: Server, anna: Visitor) -> None:
    editor = Editor(anna, order_of(server, "anna", nth=6)[1])
    assert editor.event("delete", editor.lines, {}) == 404
    assert editor.event("add_row", editor.details, {}) == 404


def test_lines_of_another_order_are_not_touched(server: Server, anna: Visitor) -> None:
    theirs, _ = order_of(server, "ben", nth=7)
    before = rows(server, "SELECT * FROM shop_orderline WHERE order_id = ?", theirs)
    editor = Editor(anna, order_of(server, "anna", nth=7)[1])
    stolen = {
        "lines-TOTAL_FORMS": "1",
        "lines-INITIAL_FORMS": "1",
        "lines-0-id": str(before[0][0]),
        "lines-0-order": str(theirs),
        "lines-0-product": "1",
        "lines-0-quantity": "99",
        "lines-0-DELETE": "on",
    }
    for handler in ("save", "validate", "add_row"):
        editor.event(handler, editor.lines, stolen)
    assert rows(server, "SELECT * FROM shop_orderline WHERE order_id = ?", theirs) == before


@pytest.mark.parametrize("index", ["-1", "99", "one", ""])
def test_a_line_that_is_not_there_cannot_be_removed(server: Server, anna: Visitor, index: str) -> None:
    editor = Editor(anna, order_of(server, "anna", nth=8)[1])
    form = {"lines-TOTAL_FORMS": "1", "lines-INITIAL_FORMS": "1", "index": index}
    assert editor.event("remove_row", editor.lines, form) == 422


@pytest.mark.parametrize(("field", "value"), [("customer", "999999"), ("customer", "x"), ("status", "shipped")])
def test_a_choice_that_is_not_offered_is_not_saved(server: Server, anna: Visitor, field: str, value: str) -> None:
    pk, number = order_of(server, "anna", nth=9)
    editor = Editor(anna, number)
    (customer,) = rows(server, "SELECT customer_id FROM shop_order WHERE id = ?", pk)[0]
    editor.event("save", editor.details, {"customer": str(customer), "note": "", "clerk": "2", field: value})
    assert rows(server, "SELECT customer_id, status FROM shop_order WHERE id = ?", pk) == [(customer, "open")]


def settled(visitor: Visitor, path: str, events: list[tuple[int, str, dict[str, Any]]]) -> None:
    """Send events to live views of a page, by their place in it; returns once no job of theirs runs."""
    page = visitor.get(path)[1]
    grants = re.findall(r' data-live="([^"]+)"', page)
    found = re.search(r'data-page="([^"]+)"', page)
    assert found is not None
    headers = {"X-Live-Page": found[1], "X-CSRFToken": visitor.token}
    for place, handler, arguments in events:
        fields = {"_args": json.dumps(arguments)}
        status = status_of(
            visitor,
            f"/live/event/{handler}/",
            fields,
            **headers,
            **{"X-Live": grants[place], "X-Live-Nonce": uuid4().hex},
        )
        assert status in (200, 204, 422)
    question = json.dumps({"roots": [{"live": grants[place], "rev": 0} for place, _, _ in events]}).encode()
    for _ in range(300):
        sync = Request(f"{visitor.url}/live/sync/", question, {**headers, "Content-Type": "application/json"})
        with visitor.opener.open(sync, timeout=30) as answer:
            shown = answer.read().decode()
        assert 'data-live-rev="' in shown
        if not re.search(r'data-live-pending="[^"]', shown):
            return
    raise AssertionError("A job did not end.")


def test_a_colleagues_order_is_taken_its_next_step_and_no_other(server: Server, anna: Visitor) -> None:
    pk, _ = order_of(server, "ben", nth=10)
    illegal = [(target, to) for target in (pk, 10**9, -1) for to in ("shipped", "open", "cancelled' --")]
    settled(anna, "/orders/", [(0, "move", {"pk": target, "to": to}) for target, to in illegal])
    assert rows(server, "SELECT status FROM shop_order WHERE id = ?", pk) == [("open",)]
    settled(anna, "/orders/", [(0, "move", {"pk": pk, "to": "paid"})])
    assert rows(server, "SELECT status FROM shop_order WHERE id = ?", pk) == [("paid",)]


def test_nobody_is_reminded_of_what_is_paid_or_not_there(server: Server, anna: Visitor) -> None:
    (paid, _), (unpaid, _) = order_of(server, "ben", "paid", nth=11), order_of(server, "ben", nth=12)
    rows(server, "UPDATE shop_order SET reminded_at = NULL WHERE id IN (?, ?)", paid, unpaid)
    place = next(place for place, handlers in enumerate(HANDLERS_OF_REPORTS) if "remind" in handlers)
    settled(anna, "/reports/", [(place, "remind", {"pk": pk}) for pk in (paid, 10**9, unpaid)])
    reminded = "SELECT reminded_at IS NOT NULL FROM shop_order WHERE id IN (?, ?) ORDER BY status"
    assert rows(server, reminded, paid, unpaid) == [(1,), (0,)]  # open, paid


@pytest.mark.parametrize("page", ["edit/", "edit/dialog/", "delete/"])
def test_the_pages_name_no_other_host_and_have_no_inline_styles(server: Server, anna: Visitor, page: str) -> None:
    links = Links(anna.get(f"/orders/{order_of(server, 'anna', nth=13)[1]}/{page}")[1])
    assert [link for link in links.found if re.match(r"(?i)[a-z]+:|//", link)] == []
    assert links.styled == []


def test_a_list_to_search_sort_and_page_through_takes_less_than_40_lines() -> None:
    source = Path("demo/orders/views.py").read_text(encoding="utf-8")
    body = ast.parse(source).body
    parts = [
        part for part in body if ast.unparse(part).startswith(("COLUMNS", "Sort", "class OrderList", "def headings"))
    ]
    assert len(parts) == 4
    code = "\n".join(ast.get_source_segment(source, part) or "" for part in parts)
    code = re.sub(r"    @event_handler\n    @background.*?\n\n", "", code, flags=re.DOTALL)  # a row's action
    assert len(re.findall(r"^\s*[^\s#]", code, flags=re.MULTILINE)) < 40
