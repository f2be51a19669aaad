"""The projects that the quick start and the README make, each done to the letter, in a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitors import Visitors, connected, visiting
from tests.docs.blocks import ROOT, Block, blocks
from tests.docs.projects import Project
from tests.docs.test_quickstart import serve
from tests.server import Server

pytestmark = pytest.mark.browser

VIEWS = """
from django import forms
from htmx_live.views.form_view import LiveFormView

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
from reports.notes import NoteView

urlpatterns += [path("admin/", admin.site.urls), path("note/", NoteView.as_view())]
"""
FAVICON = """
from django.http import HttpResponse
urlpatterns += [path("favicon.ico", lambda request: HttpResponse(status=204))]  # or a browser complains
"""


@pytest.fixture(scope="module")
def server(quickstart: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The quick start's project, and a page with a form."""
    project = Project(tmp_path_factory.mktemp("browser") / "project")
    shutil.copytree(quickstart.folder, project.folder)
    project.write("reports/notes.py", VIEWS)
    project.write("reports/templates/note.html", TEMPLATE)
    project.write("mysite/urls.py", URLS + FAVICON, is_addition=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_SUPERUSER_PASSWORD", "secret")
        project.run("python manage.py createsuperuser --noinput --username ada --email ada@example.com")
    with serve(project) as running:
        yield running


@pytest.fixture
def readme_server(tmp_path: Path) -> Iterator[Server]:
    """The README's project."""
    project = Project(tmp_path)
    project.run("django-admin startproject mysite .")
    project.run("python manage.py startapp reports")
    project.write("mysite/settings.py", 'INSTALLED_APPS += ["reports"]', is_addition=True)
    project.follow("README.md")
    settings, urls, asgi = _of_readme("# settings.py").text.split("\n\n")
    project.write("mysite/settings.py", settings, is_addition=True)
    routes = "from django.urls import include, path\nfrom reports.views import ReportView\n"
    project.write("mysite/urls.py", f"{routes}urlpatterns = [\n{urls}\n]\n{FAVICON}")
    project.write("mysite/asgi.py", asgi, is_addition=True)
    project.run("python manage.py migrate")
    with serve(project) as running:
        yield running


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def generate(page: Page) -> None:
    page.get_by_role("button", name="Generate").click()
    busy = page.get_by_role("button", name="Generating…")
    expect(busy).to_be_disabled()
    expect(page.locator("li").nth(1)).to_have_text("2/2026")
    expect(busy).to_be_disabled()


def test_a_click_in_the_quick_start_begins_work_and_another_stops_it(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/", name="")
    generate(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()


def test_the_readme_runs_as_it_stands(readme_server: Server, visitors: Visitors) -> None:
    generate(visitors.at(readme_server, "/report/", name=""))


def test_the_examples_on_the_first_screen_are_short() -> None:
    examples = [block.text for block in blocks(ROOT / "README.md") if block.path]
    assert (len(examples), sum(len([line for line in text.splitlines() if line]) for text in examples) <= 25) == (
        2,
        True,
    )


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


def _of_readme(first: str) -> Block:
    return next(block for block in blocks(ROOT / "README.md") if block.text.startswith(first))
