"""All that users read is in the catalogs, German and Spanish, and every template speaks them."""

import re
import struct
from collections.abc import Callable
from gettext import GNUTranslations
from html.parser import HTMLParser
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.template.loader import get_template, render_to_string
from django.test import Client, RequestFactory
from django.urls import include, path
from django.utils import translation
from django.utils.html import escape
from django.utils.safestring import mark_safe

from htmx_live import LiveView
from htmx_live.core.text import ERROR_TEXTS, error_text
from htmx_live.progress import ProgressSession
from htmx_live.progress.cards import format_duration, status_text
from htmx_live.progress.model import ProgressStatus
from htmx_live.runtime.inbox_messages import JobFailure
from htmx_live.testing.environment import live_environment
from tests.catalogs import LANGUAGES, LOCALE, ROOT, entries, texts_of_sources
from tests.components.showing import around, show

in_each_language = pytest.mark.parametrize("language", LANGUAGES)


@in_each_language
def test_a_catalog_holds_what_the_sources_say_and_nothing_else(language: str) -> None:
    assert set(entries(language)) == texts_of_sources()


@in_each_language
def test_no_text_is_empty_or_in_doubt(language: str) -> None:
    assert [said for said, texts in entries(language).items() if len(texts) != len(said) or not all(texts)] == []
    assert "fuzzy" not in (LOCALE / language / "LC_MESSAGES" / "django.po").read_text()


@in_each_language
def test_a_text_has_the_places_that_the_sources_fill(language: str) -> None:
    def places(text: str) -> list[str]:
        return sorted(re.findall(r"%\(\w+\)[sd]|\{\}", text))

    assert [
        said
        for said, texts in entries(language).items()
        for text, shown in zip(said, texts, strict=True)
        if places(text) != places(shown)
    ] == []


@in_each_language
def test_the_compiled_catalog_is_that_of_the_source(language: str) -> None:
    compiled_file = LOCALE / language / "LC_MESSAGES" / "django.mo"
    with compiled_file.open("rb") as file:
        compiled = GNUTranslations(file)
    for said, texts in entries(language).items():
        if len(said) == 1:
            assert compiled.gettext(said[0]) == texts[0]
        else:
            assert (compiled.ngettext(*said, 1), compiled.ngettext(*said, 2)) == texts
    assert struct.unpack("<I", compiled_file.read_bytes()[8:12])[0] == len(entries(language)) + 1  # one is the header


def test_the_scripts_hold_no_text() -> None:
    said = {text for texts in entries("de") for text in texts if " " in text}
    files = (ROOT / "static/htmx_live/src").glob("*.js")
    scripts = {path.name: re.sub(r"/\*.*?\*/|// .*", "", path.read_text(), flags=re.DOTALL) for path in files}
    assert [(name, text) for name, source in scripts.items() for text in said if text in source] == []
    shown = re.compile(r"(?:textContent|innerText|ariaLabel|title|placeholder)\s*=\s*[\"'`]([^\"'`]*[A-Za-z][^\"'`]*)")
    assert [(name, shown.findall(source)) for name, source in scripts.items() if shown.search(source)] == []


# Every template: names of the project's are figures here, so that whatever has letters is ours.

BAR = {"labelled": "b", "percent": 50, "status": "RUNNING", "text": "4"}
TASK = {
    "element": "a",
    "label": "b",
    "name": "1",
    "percent": 50,
    "message": "2",
    "rate": "3",
    "left": "4",
    "result": "/",
}
TOASTS = [{"id": "a", "key": "", "level": "error", "text": "1"}, {"id": "b", "key": "", "level": "info", "text": "2"}]
RECORD = {"status": "complete", "name": "1", "result_url": "/", "error_id": "2"}
PLAIN: dict[str, dict[str, Any]] = {
    "htmx_live/admin/change_list.html": {
        "live_parent": Template("{% block extrahead %}{% endblock %}{% block messages %}{% endblock %}"),
        "live_cards": [{"html": "1", "id": "2"}],
    },
    "htmx_live/error.html": {"title": "1", "text": "2", "back": "/"},
    "htmx_live/failure.html": {"error": "1"},
    "htmx_live/head.html": {"script": "/", "style": "/", "words": ERROR_TEXTS},
    "htmx_live/messages.html": {"words": ERROR_TEXTS},
    "htmx_live/page.html": {"title": "1", "live": "2"},
    "htmx_live/progress.html": {"tasks": [TASK], "more": 1, "cancel_url": "/", "retry_url": "/", "status_url": "/"},
    "htmx_live/progress_bar.html": BAR,
    "htmx_live/progress_buttons.html": {"cancel_url": "/", "retry_url": "/"},
    "htmx_live/progress_list.html": {"items": [{**TASK, "names": "1", "status_text": "2", "cancel_url": "/"}]},
    "htmx_live/progress_page.html": {"title": "1", "card": "2", "refresh": 3},
    "htmx_live/task_inbox.html": {"running": "1", "past": "2"},
    "htmx_live/task_inbox_past.html": {
        "records": [{"record": RECORD, "ago": "3", "retry_url": "/"}, {"record": RECORD}],
        "newer": "/",
        "older": "/",
        "page": {"number": 2, "paginator": {"num_pages": 3}},
    },
    "htmx_live/toast.html": {"part": "error", "level": "error", "text": "1", "action": "reload"},
    "htmx_live/toasts.html": {"toasts": TOASTS, "ids": ["a"], "csrf": "1"},
    "layouts/error.html": {},
    "layouts/failed.html": {"name": "1", "message": "2", "url": "/"},
    "layouts/gone.html": {"page_path": "/"},
    "layouts/panel_page.html": {"page_path": "/", "panel": "1"},
    "layouts/placeholder.html": {"slot": {"name": "1", "url": "/", "way": "lazy"}, "fallback": "2"},
    "layouts/retry.html": {"url": "/"},
}
IN_A_VIEW = {
    "live_button": '{% component "live_button" "save" label="1" / %}',
    "live_connection": '{% component "live_connection" / %}',
    "live_form": '{% component "live_form" "save" / %}',
    "live_lazy_panel": '{% component "live_lazy_panel" "/panel/" when="click" / %}',
    "live_loading": '{% component "live_loading" "save" / %}',
    "live_overlay": '{% component "live_overlay" "save" / %}',
    "live_spinner": '{% component "live_spinner" "1" for="save" / %}',
    "live_stream": '{% component "live_stream" "answer" label="1" / %}',
}
ON_A_PAGE = {
    "live_cancel_button": '{% component "live_cancel_button" running / %}',
    "live_progress": '{% component "live_progress" running / %}',
    "live_progress_list": '{% component "live_progress_list" empty="1" / %}',
    "live_retry_button": '{% component "live_retry_button" cancelled / %}',
    "live_toasts": '{% component "live_toasts" / %}',
    "live_view": '{% component "live_view" "tests.project.test_translations.Closed" %}1{% endcomponent %}',
}


class Closed(LiveView):
    template_name = "htmx_live/failure.html"
    login_required = True


def work() -> None: ...


def page(request: HttpRequest) -> HttpResponse:
    """A component with work of the visitor's, some of it still waiting."""
    request.session["known"] = True
    context: dict[str, Any] = {"request": request}
    for name in ("running", "cancelled"):
        context[name] = ProgressSession.create({"a": "1"}, owner=request)
        context[name].run("a", work)
    context["cancelled"].cancel("a")
    template = Template("{% load htmx_live %}{% htmx_live %}<main>" + request.GET["template"])
    return HttpResponse(template.render(Context(context)))


urlpatterns = [path("page/", page), path("live/", include("htmx_live.urls"))]


class _Texts(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        spoken = ("aria-label", "aria-valuetext", "title", "placeholder", "alt", "data-sending", "data-working")
        self.found += [value for name, value in attrs if name in spoken and value]

    def handle_data(self, data: str) -> None:
        self.found.append(data.strip())


def texts(html: str) -> list[str]:
    """What a user reads or hears of it, as far as it has letters."""
    found = [
        re.sub(r"^\d+ %, |\x02.*?\x03", "", text) for text in _Texts(html).found
    ]  # a bar's figure, a stream's place
    return [text for text in found if any(letter.isalpha() for letter in text)]


def translated(text: str, language: str) -> str:
    """``text`` of an English page as the catalog puts it; an error if it does not know it."""
    for said, put in entries(language).items():
        for one, other in zip(said, put, strict=True):
            names = re.findall(r"%\((\w+)\)[sd]", one)
            pattern = re.sub(r"%\\\(\w+\\\)[sd]", r"([\\d.,]+)", re.escape(one))
            if match := re.fullmatch(pattern, text):
                return other % dict(zip(names, match.groups(), strict=True)) if names else other
    raise AssertionError(f"A template says {text!r}, which no catalog has.")


def test_every_template_is_shown_here() -> None:
    files = {path.as_posix().partition("/templates/")[2] for path in (ROOT / "htmx_live").rglob("*.html")}
    shown = {*PLAIN, *(f"htmx_live/{name}.html" for name in [*IN_A_VIEW, *ON_A_PAGE])}
    assert files == shown


@in_each_language
@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_template_speaks_the_language(name: str, language: str) -> None:
    def render() -> str:
        context = {key: mark_safe(value) if key == "fallback" else value for key, value in PLAIN[name].items()}
        return get_template(name).render(context, RequestFactory().get("/"))

    _compare(render, language)


@in_each_language
@pytest.mark.parametrize("name", sorted(IN_A_VIEW))
def test_a_component_in_a_view_speaks_the_language(name: str, language: str) -> None:
    with around():
        _compare(lambda: show(IN_A_VIEW[name]), language)


@in_each_language
@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(ON_A_PAGE))
def test_a_component_on_a_page_speaks_the_language(name: str, language: str, settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    with live_environment():
        _compare(lambda: Client().get("/page/", {"template": ON_A_PAGE[name]}).content.decode(), language)


def _compare(render: Callable[[], str], language: str) -> None:
    with translation.override("en"):
        english = texts(render())
    with translation.override(language):
        assert texts(render()) == [translated(text, language) for text in english]


@in_each_language
def test_words_of_a_failure_come_in_the_language_of_the_reader(language: str) -> None:
    for status, (title, text) in ERROR_TEXTS.items():
        with translation.override(language):
            here = error_text(status, "{}")
        with translation.override("en"):
            assert here == (translated(str(title), language), translated(str(text), language))


def test_a_failure_of_a_job_and_the_word_for_a_status_are_german_for_a_german() -> None:
    with translation.override("de"):
        told = str(JobFailure(id="1f", kind="lost"))
        status = status_text(ProgressStatus.COMPLETE)
        time = format_duration(3720)
    assert told == "Der Vorgang wurde unterbrochen. Bitte starten Sie ihn erneut. (1f)"
    assert (status, time) == ("abgeschlossen", "1 h 2 min")


def test_a_toast_says_what_a_page_without_javascript_says() -> None:
    toasts = render_to_string("htmx_live/messages.html", {"words": ERROR_TEXTS})
    assert [key for key, (_title, text) in ERROR_TEXTS.items() if escape(str(text)) not in toasts] == []
