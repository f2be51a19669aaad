"""Names in ``{% loading for= %}`` that match nothing are reported, and no others."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.template import RequestContext, Template, TemplateSyntaxError
from django.test import RequestFactory

from htmx_live import LiveView, background, event_handler
from htmx_live.events.attributes import job_names
from htmx_live.runtime.services import override_services
from htmx_live.runtime.view import Live
from htmx_live.testing.environment import live_environment


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


class Starting:
    """A mixin with a job."""

    def begin(self: Any) -> None:
        self.start_async(self.work, name="mixed")


class Named(Starting, LiveView):
    template_name = "views/loading.html"

    def mount(self, request: Any, names: str = "", **kwargs: Any) -> None:
        self.names = names
        self.start_async(self.work, name="first")

    @event_handler
    def generate(self) -> None:
        self.start_async(self.work)
        self.start_async(test_function, retries=1)

    @event_handler
    @background
    def export(self) -> None: ...

    def work(self) -> None: ...


class Computed(Named):
    @event_handler
    def start(self, kind: str) -> None:
        self.start_async(self.work, name=f"job-{kind}")


class Splat(Named):
    @event_handler
    def start(self, **options: Any) -> None:
        self.start_async(self.work, **options)


class Passed(Named):
    @event_handler
    def start(self) -> None:
        HttpResponse(self)


class Handed(Named):
    @event_handler
    def start(self) -> None:
        list(map(self.start_async, [self.work]))


def test_function() -> None: ...


def test_the_names_of_jobs_are_read_from_the_class_and_its_bases() -> None:
    assert job_names(Named) == {"first", "mixed", "test_function"}


@pytest.mark.parametrize("view", [Computed, Splat, Passed, Handed, type("Made", (Named,), {})])
def test_names_that_only_running_the_code_tells_are_not_guessed(view: type[Live]) -> None:
    assert job_names(view) is None


@pytest.mark.parametrize(
    "names", ["generate", "export first", "mixed", "mount", "work", "test_function", "*:anything", ""]
)
def test_a_name_that_can_match_is_accepted(live: Any, names: str) -> None:
    assert live(Named, names=names).status == 200


def test_any_name_is_accepted_where_names_are_computed(live: Any) -> None:
    assert live(Computed, names="job-7").status == 200


def test_a_misspelt_name_is_reported(live: Any) -> None:
    message = (
        "{% loading %}: Named has no handler or job 'genrate'. Did you mean 'generate'? "
        'Write for="*:genrate" for what another view or a script starts.'
    )
    with pytest.raises(TemplateSyntaxError) as caught:
        live(Named, names="export genrate")
    assert str(caught.value) == message


def test_a_misspelt_name_breaks_no_page_in_production(live: Any) -> None:
    with override_services(is_strict=False):
        assert live(Named, names="genrate").status == 200


OUTSIDE = [
    '{% load htmx_live %}<b {% loading "show" for="save" %}></b>',
    '{% load htmx_live %}{% component "live_spinner" for="save" / %}',
]


@pytest.mark.parametrize("template", OUTSIDE)
def test_a_name_outside_of_a_live_view_is_reported(template: str) -> None:
    message = (
        '{% loading for="save" %} stands outside of a live view, where it matches nothing. '
        'Put it into the template of a live view, or write for="*:save" for any view.'
    )
    with live_environment(), pytest.raises(TemplateSyntaxError) as caught:
        Template(template).render(RequestContext(RequestFactory().get("/")))
    assert message in str(caught.value)


@pytest.mark.parametrize("template", OUTSIDE)
def test_what_htmx_loads_may_be_put_into_a_live_view(template: str) -> None:
    with live_environment():
        Template(template).render(RequestContext(RequestFactory().get("/", headers={"HX-Request": "true"})))
        Template(template.replace("save", "*:save")).render(RequestContext(RequestFactory().get("/")))
