"""Signatures: annotations that are written as text, and those that cannot be read."""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from htmx_live.events.handlers import bind_arguments, collect_handlers, event_handler

if TYPE_CHECKING:
    from decimal import Decimal


class View:
    class Sort(Enum):
        NAME = "name"

    @event_handler
    def list(self, day: dt.date, sort: Sort, sizes: list[Annotated[int, "cm"]], **kwargs: Unknown) -> Missing: ...  # type: ignore[name-defined, valid-type] # noqa: F821

    @event_handler
    def plain(self, anything, pk: int = None) -> None: ...  # type: ignore[assignment, no-untyped-def] # noqa: RUF013


def test_annotations_that_are_text_are_evaluated() -> None:
    handler, sent = collect_handlers(View)["list"], {"day": "2026-01-31", "sort": "name", "sizes": ["1"]}
    expected = {"day": dt.date(2026, 1, 31), "sort": View.Sort.NAME, "sizes": [1]}
    assert bind_arguments(handler, values=sent, form={}, files={}) == expected


def test_a_default_of_none_admits_none() -> None:
    values: dict[str, Any] = {"anything": [1], "pk": None}
    assert bind_arguments(collect_handlers(View)["plain"], values=values, form={}, files={}) == values


def test_an_annotation_that_is_there_for_type_checkers_only_is_an_error() -> None:
    class Shop:
        @event_handler
        def pay(self, amount: Decimal) -> None: ...

    with pytest.raises(
        TypeError, match=r"pay\(\): an annotation cannot be evaluated: .* outside of `if TYPE_CHECKING:`"
    ):
        collect_handlers(Shop)


def test_an_annotation_that_no_browser_can_fill_names_handler_and_parameter() -> None:
    class Shop:
        @event_handler
        def pay(self, amount: complex) -> None: ...

    with pytest.raises(TypeError, match=r"pay\(\): amount: <class 'complex'> cannot be read from a browser"):
        collect_handlers(Shop)
