"""Handlers: marking methods, the table of a class, and what reaches their parameters."""

import datetime as dt
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.utils.functional import SimpleLazyObject
from hypothesis import given
from hypothesis import strategies as st

from htmx_live.core.exceptions import ArgumentError, UnknownHandler
from htmx_live.events.handlers import (
    Handler,
    background,
    bind_arguments,
    collect_handlers,
    debounce,
    event_handler,
    parse_arguments,
    throttle,
)


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


class Rows:
    """A view with handlers of many shapes."""

    @event_handler
    def rename(self, pk: int, name: str = "", **kwargs: Any) -> None: ...

    @event_handler()
    async def load(self, year: int = 2026, *, flag: bool = False) -> None: ...

    @debounce(wait=0.5)
    @event_handler
    @background(key="pk")
    def resend(self, pk: int) -> None: ...

    @event_handler
    def upload(self, file: UploadedFile, more: list[UploadedFile], note=None) -> None: ...  # type: ignore[no-untyped-def]

    @event_handler
    def choose(
        self, ids: list[int], on: bool, sort: Literal["asc", "desc"] = "asc", at: dt.date | None = None
    ) -> None: ...

    def secret(self) -> None: ...


HANDLERS = collect_handlers(Rows)


def bound(name: str, values: Any = (), form: Any = None, files: Any = None) -> dict[str, Any]:
    return bind_arguments(HANDLERS[name], values=values, form=form or {}, files=files or {})


# Marking


def test_a_decorator_returns_the_function_itself() -> None:
    def save(self: Any) -> None: ...

    assert event_handler()(background()(event_handler(background(debounce(wait=1)(save))))) is save


@pytest.mark.parametrize(
    ("pace", "modifier"),
    [
        (debounce(wait=0.5), "delay:500ms"),
        (debounce("200ms"), "delay:200ms"),
        (throttle(interval=1), "throttle:1000ms"),
        (debounce(wait=0), ""),
    ],
)
def test_pacing_becomes_a_modifier_of_the_trigger(pace: Any, modifier: str) -> None:
    class View:
        @event_handler
        @pace
        def save(self) -> None: ...

    assert collect_handlers(View)["save"].modifier == modifier


def test_decorators_combine_in_any_order() -> None:
    decorators = [event_handler, background(key="pk"), throttle(interval=2)]

    def made(order: list[Any]) -> Handler:
        def save(self: Any, pk: int) -> None: ...

        for decorate in order:
            save = decorate(save)
        return collect_handlers(type("View", (), {"save": save}))["save"]

    shapes = {(one.is_background, one.key, one.modifier) for one in (made(decorators), made(decorators[::-1]))}
    assert shapes == {(True, "pk", "throttle:2000ms")}


def generator(self: Any) -> Any:
    yield


async def async_generator(self: Any) -> Any:
    yield


@pytest.mark.parametrize(
    ("decorate", "function", "reason"),
    [
        (event_handler, generator, "is a generator"),
        (event_handler, async_generator, "is a generator"),
        (background, lambda self, *args: None, "cannot be filled"),
        (event_handler, lambda self, pk, /: None, "cannot be filled"),
        (event_handler, lambda pk: None, "needs self"),
        (event_handler, lambda: None, "needs self"),
        (event_handler, lambda self, _args: None, "begin with an underscore"),
        (event_handler, staticmethod(lambda self: None), "decorates a method"),
        (event_handler, Rows, "decorates a method"),
        (event_handler, "save", "decorates a method"),
        (background(key="row"), lambda self, pk: None, r"no parameter 'row'\. It has: pk\."),
        (debounce(wait=1), throttle(interval=1)(lambda self: None), "Choose one of the two"),
    ],
)
def test_what_cannot_be_a_handler_is_refused_where_it_is_decorated(decorate: Any, function: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        decorate(function)


@pytest.mark.parametrize("name", ["_save", "__call__"])
def test_a_name_with_an_underscore_is_refused_where_it_is_decorated(name: str) -> None:
    def save(self: Any) -> None: ...

    save.__name__ = name
    with pytest.raises(TypeError, match="begins with an underscore"):
        event_handler(save)


@pytest.mark.parametrize("wait", [-1, float("nan"), "soon", None, True])
def test_an_interval_that_is_none_is_refused(wait: Any) -> None:
    with pytest.raises(ValueError, match="is no interval"):
        debounce(wait=wait)


def test_a_bare_debounce_says_how_it_is_written() -> None:
    with pytest.raises(TypeError, match=r"write @debounce\(wait=0\.5\)"):
        debounce(lambda self: None)  # type: ignore[arg-type]


# The registry


def test_only_decorated_methods_are_offered() -> None:
    assert sorted(HANDLERS) == ["choose", "load", "rename", "resend", "upload"]


@pytest.mark.parametrize("name", ["secret", "__init__", "__class__", "rename\0", "\uff52ename", "", "renam"])
def test_any_other_name_is_unknown(name: str) -> None:
    with pytest.raises(UnknownHandler) as caught:
        HANDLERS[name]
    assert (caught.value.status, caught.value.view, caught.value.name) == (404, "Rows", name)


def test_the_table_is_read_only() -> None:
    with pytest.raises(TypeError):
        HANDLERS["secret"] = HANDLERS["rename"]  # type: ignore[index]


def test_a_handler_knows_its_shape() -> None:
    load = HANDLERS["load"]
    names = [(one.name, one.is_required, one.is_positional) for one in load.parameters]
    assert (load.is_async, load.accepts_kwargs, names) == (True, False, [("year", False, True), ("flag", False, False)])
    assert (HANDLERS["rename"].accepts_kwargs, HANDLERS["rename"].function) == (True, Rows.rename)


def test_an_undecorated_override_takes_the_handler_away() -> None:
    class Quiet(Rows):
        def rename(self, pk: int, name: str = "", **kwargs: Any) -> None: ...

        upload = None  # type: ignore[assignment]

    assert sorted(collect_handlers(Quiet)) == ["choose", "load", "resend"]


def test_the_nearest_class_in_the_mro_decides() -> None:
    class Mixin:
        @event_handler
        def rename(self) -> None: ...

    class View(Mixin, Rows):
        pass

    assert collect_handlers(View)["rename"].function is Mixin.rename


def test_a_decorator_that_keeps_the_signature_may_stand_on_either_side() -> None:
    class View:
        @logged
        @event_handler
        def below(self, pk: int) -> None: ...

        @event_handler
        @logged
        def above(self, pk: int) -> None: ...

    table = collect_handlers(View)
    assert [bind_arguments(table[name], values=["7"], form={}, files={}) for name in ("below", "above")] == [
        {"pk": 7}
    ] * 2


def test_a_lazy_object_in_a_class_stays_unevaluated() -> None:
    class View:
        lazy = SimpleLazyObject(lambda: pytest.fail("evaluated"))

    assert dict(collect_handlers(View)) == {}


@pytest.mark.parametrize("decorate", [background, debounce(wait=1), throttle(interval=1)])
def test_a_mark_without_event_handler_is_an_error(decorate: Any) -> None:
    class View:
        @decorate
        def save(self) -> None: ...

    with pytest.raises(TypeError, match=r"View\.save is marked .* alone\. Add @event_handler"):
        collect_handlers(View)


def test_an_attribute_with_an_underscore_is_no_handler_whatever_the_function_is_called() -> None:
    with pytest.raises(TypeError, match="begins with an underscore"):
        collect_handlers(type("View", (), {"_hidden": Rows.rename}))


def test_a_static_handler_is_an_error() -> None:
    with pytest.raises(TypeError, match="decorates a method"):
        collect_handlers(type("View", (), {"save": staticmethod(Rows.rename)}))


def test_a_method_of_the_library_cannot_become_a_handler() -> None:
    Base = type("Base", (), {"mount": lambda self: None, "__module__": "htmx_live.runtime.view"})
    View = type("View", (Base,), {"mount": event_handler(lambda self: None)})
    with pytest.raises(TypeError, match=r"View\.mount cannot be a handler: Base has a method of that name"):
        collect_handlers(View)


def test_a_handler_of_the_library_may_be_overridden() -> None:
    Base = type("Base", (), {"save": event_handler(lambda self: None), "__module__": "htmx_live.views.form_view"})
    View = type("View", (Base,), {"save": event_handler(lambda self, pk: None)})
    assert [one.name for one in collect_handlers(View)["save"].parameters] == ["pk"]


# Binding


def test_typed_values_win_over_form_fields() -> None:
    assert bound("rename", {"pk": 7}, {"pk": ["8"], "name": ["Ann"]}) == {"pk": 7, "name": "Ann"}


def test_values_by_position_follow_the_declared_order() -> None:
    assert bound("rename", [7, "Ann"]) == {"pk": 7, "name": "Ann"}


def test_more_values_than_parameters_are_an_error() -> None:
    with pytest.raises(ArgumentError, match="holds 2 values for 1 parameters"):
        bound("load", [2026, True])


def test_the_last_of_several_fields_counts_for_one_value() -> None:
    assert bound("rename", {}, {"pk": ["1", "2"]}) == {"pk": 2}


def test_the_rest_goes_to_kwargs() -> None:
    form = {"pk": ["1"], "a": ["x"], "b": ["x", "y"], "empty": []}
    assert bound("rename", {"c": [1]}, form) == {"pk": 1, "a": "x", "b": ["x", "y"], "c": [1]}


def test_fields_of_the_library_never_reach_kwargs() -> None:
    form = {"pk": ["1"], "_args": ["{}"], "_live": ["x"], "csrfmiddlewaretoken": ["x"], "self": ["x"]}
    assert bound("rename", {"_skip": 1, "self": 2}, form) == {"pk": 1}


def test_undeclared_values_are_dropped_without_kwargs() -> None:
    assert bound("load", {"other": 1}, {"more": ["x"]}) == {}


def test_a_missing_argument_keeps_its_default() -> None:
    assert bound("load") == {}


def test_an_empty_field_keeps_the_default_of_a_type_that_has_no_empty_value() -> None:
    assert bound("load", {}, {"year": [""]}) == {}
    assert bound("rename", {}, {"pk": ["1"], "name": [""]}) == {"pk": 1, "name": ""}


def test_an_unchecked_box_and_an_empty_choice_are_false_and_empty() -> None:
    assert bound("choose") == {"ids": [], "on": False}


def test_fields_are_read_by_annotation() -> None:
    form = {"ids": ["1", "2"], "on": ["on"], "sort": ["desc"], "at": ["2026-01-31"]}
    assert bound("choose", {}, form) == {"ids": [1, 2], "on": True, "sort": "desc", "at": dt.date(2026, 1, 31)}


def test_files_come_from_the_upload_only() -> None:
    one, two = SimpleUploadedFile("a.txt", b"a"), SimpleUploadedFile("b.txt", b"b")
    assert bound("upload", {}, {"note": ["x"]}, {"file": [one], "more": [one, two]}) == {
        "file": one,
        "more": [one, two],
        "note": "x",
    }
    with pytest.raises(ArgumentError, match="file: expected an uploaded file"):
        bound("upload", {"file": "a.txt"})


@pytest.mark.parametrize(
    ("name", "values", "form", "parameter"),
    [
        ("rename", {}, {}, "pk"),
        ("rename", {}, {"pk": [""]}, "pk"),
        ("rename", {}, {"pk": ["9" * 5000]}, "pk"),
        ("rename", {"pk": 10**40}, {}, "pk"),
        ("rename", {"pk": 1, "name": "a\0"}, {}, "name"),
        ("rename", {"pk": 1, "name": "\ud800"}, {}, "name"),
        ("rename", {"pk": 1}, {"name": ["x" * 102_401]}, "name"),
        ("rename", {"pk": 1}, {"note": ["\0"]}, "note"),
        ("rename", {"pk": 1, "note": float("inf")}, {}, "note"),
        ("rename", {"pk": 1}, {"a\r\nb": ["x"]}, "kwargs"),
        ("rename", {"pk": 1, "x" * 101: 1}, {}, "kwargs"),
        ("choose", {"ids": ["x"]}, {}, "ids"),
        ("load", {"flag": "perhaps"}, {}, "flag"),
        ("upload", {}, {}, "file"),
    ],
)
def test_what_does_not_fit_names_its_parameter(name: str, values: Any, form: Any, parameter: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        bound(name, values, form)
    assert (caught.value.status, caught.value.handler, caught.value.parameter) == (422, name, parameter)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    st.sampled_from(["pk", "name", "year", "flag", "ids", "on", "sort", "at", "file", "more", "note", "self"])
    | st.text()
)


@given(
    st.sampled_from(sorted(HANDLERS)),
    st.dictionaries(NAMES, ANYTHING, max_size=4) | st.lists(ANYTHING, max_size=4),
    st.dictionaries(NAMES, st.lists(st.text(st.characters()), max_size=3), max_size=4),
)
def test_whatever_is_sent_fits_the_signature_or_is_an_argument_error(name: str, values: Any, form: Any) -> None:
    before = dict(vars(Rows))
    try:
        arguments = bound(name, values, form)
    except ArgumentError:
        pass
    else:
        inspect.signature(HANDLERS[name].function).bind(Rows(), **arguments)
    assert dict(vars(Rows)) == before


@given(st.text())
def test_whatever_stands_in_the_field_args_is_bound_or_is_an_argument_error(text: str) -> None:
    try:
        bound("rename", parse_arguments(text, max_size=1000, max_depth=10))
    except ArgumentError as error:
        assert error.status in (400, 413, 422)
