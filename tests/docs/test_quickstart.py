"""The quick start and the README, done to the letter: a fresh project, a real server, one click."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks
from tests.docs.projects import DevelopmentServer, Project
from tests.docs.visiting import Visit
from tests.server import Server

pytestmark = pytest.mark.processes


def serve(project: Project) -> Server:
    project.run("python manage.py check --fail-level WARNING")
    return Server("mysite.asgi:application", log=project.folder / "server.log", folder=project.folder, env=SETTINGS)


SETTINGS = {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONWARNINGS": "error"}


@pytest.fixture(scope="module")
def server(quickstart: Project) -> Iterator[Server]:
    with serve(quickstart) as running:
        yield running


def test_a_click_in_the_quick_start_begins_work_and_another_stops_it(server: Server) -> None:
    page = Visit(server)
    assert 'data-live-pending="generate:report"' in page.click("generate", year=2026)
    page.wait_for("<li>2/2026</li>")
    page.click("stop")
    page.wait_for('data-live-pending=""')


def test_the_quick_start_serves_its_scripts(server: Server) -> None:
    assert_scripts_are_served(Visit(server))


def assert_scripts_are_served(page: Visit) -> None:
    scripts = re.findall(r'<script src="([^"]+)"', page.html)
    assert [bool(page.open(script)) for script in scripts] == [True, True]


def test_the_quick_start_works_under_the_development_server(quickstart: Project) -> None:
    log = quickstart.folder / "runserver.log"
    with DevelopmentServer("mysite", log=log, folder=quickstart.folder, env=SETTINGS) as server:
        page = Visit(server)
        page.click("generate", year=2026)
        page.wait_for("<li>1/2026</li>")


def _of_readme(first: str) -> Block:
    return next(block for block in blocks(ROOT / "README.md") if block.text.startswith(first))


def test_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.run("django-admin startproject mysite .")
    project.run("python manage.py startapp reports")
    project.write("mysite/settings.py", 'INSTALLED_APPS += ["reports"]', is_addition=True)
    project.follow("README.md")
    settings, urls, asgi = _of_readme("# settings.py").text.split("\n\n")
    project.write("mysite/settings.py", settings, is_addition=True)
    routes = "from django.urls import include, path\nfrom reports.views import ReportView\n"
    project.write("mysite/urls.py", f"{routes}urlpatterns = [\n{urls}\n]")
    project.write("mysite/asgi.py", asgi, is_addition=True)
    project.run("python manage.py migrate")
    with serve(project) as server:
        page = Visit(server, "/report/")
        assert_scripts_are_served(page)
        page.click("generate", year=2026)
        page.wait_for("<li>1/2026</li>")
