"""What the package root offers."""

import inspect

import pytest

import htmx_live


def test_every_public_name_is_there() -> None:
    assert [name for name in htmx_live.__all__ if getattr(htmx_live, name, None) is None] == []


def test_public_names_are_sorted_and_have_one_home_each() -> None:
    assert (sorted(htmx_live.__all__), set(htmx_live._HOMES)) == (htmx_live.__all__, set(htmx_live.__all__))


def test_every_public_name_explains_itself() -> None:
    objects = {name: getattr(htmx_live, name) for name in htmx_live.__all__}
    assert [name for name, value in objects.items() if not inspect.getdoc(value)] == []


def test_a_misspelt_name_is_an_error_that_lists_the_others() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'Liveview'\. It offers: AsyncWorkMixin, Cancelled"):
        htmx_live.Liveview  # noqa: B018
