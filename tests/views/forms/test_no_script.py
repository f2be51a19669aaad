"""Without JavaScript: the same form, posted and redirected."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.messages import get_messages

from htmx_live.testing.page import parse
from tests.views.forms.reading import errors, said, values
from tests.views.forms.views import Lines, Note, SignUp

pytestmark = pytest.mark.django_db


class Browser:
    """Reads pages and posts their form, without a script."""

    def __init__(self, live: Any, view: Any) -> None:
        self.client = live(view)
        self.http = self.client.http
        self.go("/")

    def go(self, url: str) -> None:
        self.response = self.http.get(url)
        self.html = self.response.content.decode()
        self.messages = [str(message) for message in get_messages(self.response.wsgi_request)]

    def press(self, text: str, number: int = 0, **fields: Any) -> str:
        """Press the button that says ``text``, the one of this number."""
        buttons = [one for one in parse(self.html).all() if one.tag == "button" and one.text == text]
        button = buttons[number].attributes
        named = {button["name"]: button["value"]} if "name" in button else {}
        return self.post(button.get("formaction", ""), **named, **fields)

    def post(self, action: str = "", **fields: Any) -> str:
        """Where the answer leads; the page that is there has been read."""
        form = next(one for one in parse(self.html).all() if one.tag == "form")
        answer = self.http.post(action or form.attributes["action"], {**form.form_values(), **fields})
        assert answer.status_code == 303
        target: str = answer["Location"]
        if urlsplit(target).path == "/":
            self.go(target)
        return target


def test_an_invalid_form_comes_back_with_its_errors_and_values(live: Any) -> None:
    browser = Browser(live, SignUp)
    browser.post(name="Anna", email="nowhere", password="short", sizes=["s", "l"])
    assert list(errors(browser)) == ["email", "password", "agree"]
    assert (values(browser)["name"], values(browser)["sizes"]) == (["Anna"], ["s", "l"])
    assert "short" not in browser.html


def test_a_valid_form_comes_back_empty_and_messages_wait_for_the_page(live: Any) -> None:
    browser = Browser(live, SignUp)
    browser.post(name="Anna", email="nowhere")
    browser.post(name="Anna", email="a@example.com", password="correct horse", agree="on")
    assert (said(browser), errors(browser), values(browser)["name"]) == ("['Anna', [], None]", {}, [""])
    assert browser.messages == ["Welcome!"]


def test_a_success_leads_to_its_url(live: Any) -> None:
    assert Browser(live, Note).post() == "/done/"


def test_a_formset_is_saved(live: Any) -> None:
    browser = Browser(live, Lines)
    browser.post(**{"form-1-name": "second"})
    assert said(browser) == "['second']"


def test_rows_come_and_go(live: Any) -> None:
    browser = Browser(live, Lines)
    browser.press("Add", **{"form-1-name": "second"})
    browser.press("Remove", number=1)
    assert (values(browser)["form-1-name"], values(browser)["form-TOTAL_FORMS"]) == ([""], ["2"])
    browser.post(**{"form-1-name": "third"})
    assert said(browser) == "['third']"
