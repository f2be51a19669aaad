"""The quick start, done to the letter: a fresh project, and the development server.  See also test_browser.py."""

import pytest

from tests.docs.projects import DevelopmentServer, Project
from tests.docs.visiting import Visit
from tests.server import Server

pytestmark = pytest.mark.processes

SETTINGS = {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONWARNINGS": "error"}


def serve(project: Project) -> Server:
    project.run("python manage.py check --fail-level WARNING")
    return Server("mysite.asgi:application", log=project.folder / "server.log", folder=project.folder, env=SETTINGS)


def test_the_quick_start_works_under_the_development_server(quickstart: Project) -> None:
    log = quickstart.folder / "runserver.log"
    with DevelopmentServer("mysite", log=log, folder=quickstart.folder, env=SETTINGS) as server:
        page = Visit(server)
        page.click("generate", year=2026)
        page.wait_for("<li>1/2026</li>")
