"""Where a page sends its user to sign in again."""

from typing import Any

import pytest
from django.template import Context, Template
from django.test import RequestFactory

HEAD = Template("{% load htmx_live %}{% htmx_live %}")


def links(path: str) -> list[str]:
    html = HEAD.render(Context({"request": RequestFactory().get(path)}))
    return [piece.partition('"')[0] for piece in html.split('<a href="')[1:]]


@pytest.mark.parametrize(
    ("login_url", "expected"),
    [
        ("/live/sync/", ["/live/sync/?next=%2Fshop%2F%3Fq%3D1%26p%3D2"]),
        ("/live/sync/?by=code", ["/live/sync/?by=code&amp;next=%2Fshop%2F%3Fq%3D1%26p%3D2"]),
        ("https://id.example/in", ["https://id.example/in?next=%2Fshop%2F%3Fq%3D1%26p%3D2"]),
        ("/there/is/no/such/page/", []),
        ("no-such-name", []),
    ],
)
def test_the_toast_for_who_is_signed_out_leads_there_and_back(
    settings: Any, login_url: str, expected: list[str]
) -> None:
    settings.LOGIN_URL = login_url
    assert links("/shop/?q=1&p=2") == expected
