"""``Live``: what a view may assign, read and ask for."""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory

from htmx_live import LiveView, event_handler
from htmx_live.core.exceptions import StateError, TurnError
from htmx_live.core.records import Owner, Record
from htmx_live.runtime.inbox_messages import Effect
from htmx_live.runtime.state import get_state
from htmx_live.runtime.view import ViewContext, build_job, find_callback, import_view
from htmx_live.testing import LiveClient
from tests.sample_views import Counter
from tests.working_views import Work, shout

Live = Callable[..., LiveClient]


class Asked:
    """An outlet that remembers."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.is_cancelled = False

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def flush(self) -> None: ...

    def get_text(self, stream: str) -> str | None:
        return None


class Shop(LiveView):
    limit = 10
    _private_default = 1

    @property
    def total(self) -> int:
        return sum(self.prices)

    @property
    def first(self) -> int:
        return int(self.prices[0])

    @first.setter
    def first(self, value: int) -> None:
        self.prices = [value, *self.prices[1:]]

    @cached_property
    def slow(self) -> int:
        return 7

    @event_handler
    def buy(self) -> None: ...

    def helper(self) -> None: ...


@pytest.fixture
def view() -> Any:
    request = RequestFactory().get("/shop/")
    request.user = AnonymousUser()
    record = Record(instance="i", view="v", owner=Owner())
    return Shop(ViewContext(record=record, kwargs={"year": 1}, request=request, sink=Asked()))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("kwargs", "what the view was mounted with"),
        ("request", "the current request"),
        ("user", "the view's user"),
        ("streams", "the view's text streams"),
        ("cancelled", "whether the running job was cancelled"),
        ("handlers", "the table of the view's handlers"),
        ("_live", "the library's own slot"),
        ("buy", "a method of the view"),
        ("helper", "a method of the view"),
        ("mount", "a method of the view"),
        ("notify", "a method of the view"),
    ],
)
def test_a_name_that_is_taken_cannot_be_assigned(view: Any, name: str, what: str) -> None:
    with pytest.raises(StateError) as caught:
        setattr(view, name, 1)
    assert str(caught.value) == (
        f"Shop.{name} is {what}, not to be assigned. Choose another name for your state, {name}_ for example."
    )


def test_state_is_what_was_assigned(view: Any) -> None:
    view.prices, view._hidden = [1, 2], "kept"
    view._skip_render = True
    assert (get_state(view), view.total, view.slow) == ({"prices": [1, 2], "_hidden": "kept"}, 3, 7)
    assert get_state(view) == {"prices": [1, 2], "_hidden": "kept"}


def test_a_propertys_setter_is_used(view: Any) -> None:
    view.prices = [1, 2]
    view.first = 5
    assert get_state(view) == {"prices": [5, 2]}


def test_a_property_without_a_setter_cannot_be_assigned(view: Any) -> None:
    with pytest.raises(AttributeError):
        view.total = 5


@pytest.mark.parametrize("name", ["_broadcast", "_skip_broadcast", "_on_broadcast"])
def test_names_that_other_libraries_use_are_free(view: Any, name: str) -> None:
    setattr(view, name, 1)
    assert get_state(view) == {name: 1}


def test_a_class_attribute_is_a_default_that_an_instance_may_change(live: Live, settings: Any) -> None:
    assert (Shop._class_defaults["limit"], "_private_default" in Shop._class_defaults) == (10, False)


# Callbacks


def test_a_method_is_named_by_the_view_and_found_on_another_instance(view: Any) -> None:
    start = build_job(view, view.helper, kwargs={})
    assert start.callback == "method:helper"
    assert find_callback(view, start.callback) == view.helper


@pytest.mark.parametrize(
    ("function", "path"), [(shout, "tests.working_views:shout"), (time.sleep, "time:sleep")], ids=["Python", "C"]
)
def test_a_function_is_named_by_its_module(view: Any, function: Any, path: str) -> None:
    start = build_job(view, function, kwargs={})
    assert (start.callback, find_callback(view, start.callback)) == (path, function)


@pytest.mark.parametrize("callback", [lambda: None, [].append, "text".upper, 5])
def test_what_another_process_cannot_find_is_refused(view: Any, callback: Any) -> None:
    with pytest.raises(TurnError, match="A background callback is a method of the view or a function at module level"):
        build_job(view, callback, kwargs={})


def test_another_instances_method_is_refused(view: Any) -> None:
    other = Shop(view._live)
    with pytest.raises(TurnError):
        build_job(view, other.helper, kwargs={})


def test_jobs_without_a_name_get_one_each(view: Any) -> None:
    names = {build_job(view, view.helper, kwargs={}).row.name for _ in range(3)}
    assert len(names) == 3 and all(name.startswith("helper-") for name in names)


# Views by path


def test_a_view_is_found_by_its_path() -> None:
    assert import_view("tests.working_views.Work") is Work


@pytest.mark.parametrize("path", ["", "os.system", "tests.working_views.shout", "tests.gone.View", "Work", "a..b"])
def test_a_path_of_anything_else_is_refused(path: str) -> None:
    with pytest.raises(ImportError):
        import_view(path)


# Answers of handlers


@pytest.fixture
def page(live: Live, settings: Any) -> LiveClient:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    return live(Work)


def test_returning_a_redirect_goes_there(page: LiveClient) -> None:
    page.send("go", {"to": "/elsewhere/?a=1"})
    assert (page.status, page.redirected_to) == (204, "/elsewhere/?a=1")


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "ftp://evil.example/", "/a\\b", "/a\tb"])
def test_a_redirect_that_leaves_the_site_is_refused(live: Live, page: LiveClient, to: str) -> None:
    counter = live(Counter)
    counter.send("leave", {"to": to})
    assert (counter.status, counter.redirected_to) == (422, "")


def test_a_redirect_to_an_allowed_host_is_followed(page: LiveClient, settings: Any) -> None:
    settings.HTMX_LIVE = {"REDIRECT_HOSTS": ["pay.example"]}
    page.send("go", {"to": "http://pay.example/"})
    assert page.redirected_to == "http://pay.example/"


def test_returning_anything_else_is_an_error_that_says_what_to_do(page: LiveClient) -> None:
    with pytest.raises(TypeError, match=r"answer\(\) returned str; a handler returns None or a redirect"):
        page.send("answer", {})


@pytest.mark.parametrize("name", ["get_context_data", "has_permission", "share_key"])
def test_a_method_whose_answer_is_used_at_once_cannot_be_async(name: str) -> None:
    async def method(self: Any, **kwargs: Any) -> bool:
        return False

    with pytest.raises(TypeError, match=rf"^Odd\.{name}\(\) is async: expected a plain def"):
        type("Odd", (LiveView,), {name: method, "template_name": "views/plain.html"})
