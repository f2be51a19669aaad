"""The name of a handler comes from the wire: only decorated methods of the view's class answer to theirs."""

from urllib.parse import quote

import pytest

from htmx_live.runtime.view import Live
from tests.sample_views import Counter
from tests.threats.visitor import Visitor, written

pytestmark = pytest.mark.django_db

NO_HANDLERS = sorted({name for name in dir(Counter) if name not in Counter.handlers})
TWINS = [
    "\uff41\uff44\uff44",
    "\u0430dd",
    "add\u200b",
    "add\u0301",
    "ADD",
    "Add",
    " add",
    "add ",
    "add\n",
    "add\0",
    "add()",
]
PATHS = ["a/b", "../add", "..%2fadd", "add/add", "handlers.add", "__class__.add", "add.__func__", "%00", "a" * 5000]


@pytest.mark.parametrize("name", [*NO_HANDLERS, "unknown", "helper", *TWINS])
def test_a_name_that_is_no_handler_is_404_and_calls_nothing(name):
    page = Visitor().open()
    before = written(page)
    answer = page.event(quote(name))
    assert (answer.status_code, answer.content, written(page)) == (404, b"", before)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_no_handler_is_404(path):
    page = Visitor().open()
    before = written(page)
    answer = page.event(path)
    assert (answer.status_code, written(page)) == (404, before)


def test_methods_that_every_view_inherits_are_no_handlers():
    assert {"mount", "redirect", "start_async", "has_permission"} <= set(NO_HANDLERS)
    assert Live.handlers == {}


def test_another_views_handler_is_404():
    page = Visitor().open("/counter/")
    assert page.event("generate").status_code == 404
