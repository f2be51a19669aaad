"""A form in the project that the quick start makes: Django's own settings, and a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.visitors import Visitors, connected, visiting
from tests.docs.projects import Project
from tests.server import Server

pytestmark = pytest.mark.browser

VIEWS = """
from django import forms
from htmx_live.forms import LiveFormView

class NoteForm(forms.Form):
    note = forms.CharField(min_length=3)

class NoteView(LiveFormView):
    template_name = "note.html"
    form_class = NoteForm

    def mount(self, request, **kwargs):
        self.saved = ""

    def form_valid(self, form):
        self.saved = form.cleaned_data["note"]
"""
TEMPLATE = """{% load htmx_live %}{% component "live_form" form=form / %}<output>{{ saved }}</output>"""
URLS = """
from django.contrib import admin
from django.http import HttpResponse
from reports.notes import NoteView

urlpatterns += [path("admin/", admin.site.urls), path("note/", NoteView.as_view())]
urlpatterns += [path("favicon.ico", lambda request: HttpResponse(status=204))]  # or a browser complains
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = Project(tmp_path_factory.mktemp("fresh")).follow("docs/quickstart.md")
    project.write("reports/notes.py", VIEWS)
    project.write("reports/templates/note.html", TEMPLATE)
    project.write("mysite/urls.py", URLS, is_addition=True)
    env = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_SUPERUSER_PASSWORD", "secret")
        project.run("python manage.py createsuperuser --noinput --username ada --email ada@example.com")
    app = "mysite.asgi:application"
    with Server(app, log=project.folder / "server.log", folder=project.folder, env=env) as server:
        yield server


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


@pytest.mark.parametrize("is_signed_in", [True, False], ids=["signed in", "anonymous"])
def test_a_form_is_validated_and_saved(server: Server, visitors: Visitors, is_signed_in: bool) -> None:
    page = visitors.at(server, "/note/", name="")
    if is_signed_in:
        page.goto(f"{server.url}/admin/login/?next=/note/")
        page.get_by_label("Username").fill("ada")
        page.get_by_label("Password").fill("secret")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_label("Note")).to_be_visible()
        connected(page)
    page.get_by_label("Note").press_sequentially("no")
    page.get_by_label("Note").press("Tab")
    expect(page.get_by_text("at least 3 characters")).to_be_visible()
    page.get_by_label("Note").fill("a note")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("output")).to_have_text("a note")
