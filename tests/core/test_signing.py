"""Grants as texts: each comes back as it was signed, and is read as nothing else."""

from dataclasses import replace

import pytest
from django.core import signing

from htmx_live.core.exceptions import GrantError
from htmx_live.core.records import Owner
from htmx_live.core.signing import (
    PageGrant,
    ViewGrant,
    random_id,
    sign_channel,
    sign_page,
    sign_view,
    unsign_channel,
    unsign_page,
    unsign_view,
)

OWNER = Owner(token="token", user="7")
PAGE = PageGrant(page="page", owner=OWNER)
VIEW = ViewGrant(
    instance="instance",
    view="shop.views.Cart",
    kwargs={"size": 3},
    owner=OWNER,
    epoch="epoch",
    key="key",
    tag="section",
    css_class="wide",
    earlier_epochs=("first", "second"),
)


def test_each_kind_comes_back_as_it_was_signed() -> None:
    assert unsign_page(sign_page(PAGE), max_age=60) == PAGE
    assert unsign_view(sign_view(VIEW), max_age=60) == VIEW
    assert unsign_channel(sign_channel("topic:news", OWNER), max_age=60) == ("topic:news", OWNER)


def test_a_page_grant_does_not_name_a_channel() -> None:
    with pytest.raises(GrantError, match="signature is wrong"):
        unsign_channel(sign_page(PAGE), max_age=60)


@pytest.mark.parametrize("values", [["page", "token"], ["page", "token", "7", "more"], {}, "abc"])
def test_a_grant_of_another_version_is_an_error(values: object) -> None:
    text = signing.dumps(values, salt="htmx_live.page")
    with pytest.raises(GrantError, match="signed by another version"):
        unsign_page(text, max_age=60)


def test_an_expired_grant_says_so() -> None:
    with pytest.raises(GrantError) as caught:
        unsign_page(sign_page(PAGE), max_age=-1)
    assert caught.value.expired


def test_long_arguments_are_compressed() -> None:
    assert len(sign_view(replace(VIEW, kwargs={"text": "x" * 1000}))) < 400


def test_an_id_is_128_random_bits() -> None:
    first, second = random_id(), random_id()
    assert (len(first), len(second), first != second) == (32, 32, True)
