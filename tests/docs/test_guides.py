"""The guides, done to the letter in the project of the quick start: their files, their commands and their own tests."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from tests.docs.projects import Project
from tests.docs.test_quickstart import SETTINGS, serve
from tests.docs.visiting import Visit
from tests.redis_server import RedisServer
from tests.server import PATIENCE

pytestmark = pytest.mark.processes

GUIDES = ["docs/celery.md", "docs/dashboard.md", "docs/llm.md", "docs/shared-editor.md"]


@pytest.fixture
def project(quickstart: Project, tmp_path: Path) -> Project:
    shutil.copytree(quickstart.folder, tmp_path / "project")
    return Project(tmp_path / "project")


@pytest.fixture(scope="module")
def followed(quickstart: Project, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Project]:
    """A project in which a guide was followed, once for all tests that need it."""

    @cache
    def follow(guide: str) -> Project:
        folder = tmp_path_factory.mktemp("followed") / "project"
        shutil.copytree(quickstart.folder, folder)
        return Project(folder).follow(guide)

    return follow


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_passes_its_own_tests(followed: Callable[[str], Project], guide: str) -> None:
    project = followed(guide)
    said = [text for text in project.said if text.startswith("Found")]
    assert said and all(text.rstrip().endswith("OK\nDestroying test database for alias 'default'...") for text in said)
    project.run("python manage.py check --fail-level WARNING")


def tried(project: Project, guide: str, view: str, test: str, *, also: str = "") -> str:
    """What ``test`` says in an app that is made of a guide's files; ``also`` is what these leave to the reader."""
    app, _, cls = view.partition(".")
    project.run(f"python manage.py startapp {app}")
    project.write("mysite/settings.py", f'INSTALLED_APPS += ["{app}"]', is_addition=True)
    project.follow(guide)
    project.write(f"{app}/views.py", also, is_addition=True)
    imports = "from django.test import TestCase\nfrom htmx_live.testing import LiveClient\n"
    imports += f"from htmx_live.testing.environment import live_environment\nfrom {app}.views import {cls}\n"
    project.write(f"{app}/tests.py", imports + test)
    return project.run(f"python manage.py test {app}")


def test_the_form_of_the_guide_is_checked_and_sent(project: Project) -> None:
    test = """
class ContactTests(TestCase):
    def test_it(self):
        with live_environment():
            page = LiveClient(ContactView).submit("save", email="nowhere", text="Hello")
            self.assertIn("Enter a valid email address.", page.text)
            page.submit("save", email="ada@example.com", text="Hello")
        self.assertEqual(page.notices[0]["message"], "Thank you, we will write to ada@example.com.")
        self.assertIn('value="A question"', page.html)
"""
    assert "Ran 1 test" in tried(project, "docs/forms.md", "contact.ContactView", test)


def test_the_files_of_the_guide_are_imported_and_discarded(project: Project) -> None:
    test = """
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile

class InboxTests(TestCase):
    def test_it(self):
        with live_environment():
            page = LiveClient(InboxView)
            page.submit("upload", files=[SimpleUploadedFile("a.csv", b"1\\n2"), SimpleUploadedFile("b.csv", b"3")])
            page.run_jobs()
        self.assertIn("3 rows", page.text)
        self.assertEqual(default_storage.listdir("htmx_live/kept")[1], [])
"""
    also = "def import_rows(file):\n    return len(file.readlines())\n"
    assert "Ran 1 test" in tried(project, "docs/uploads.md", "inbox.InboxView", test, also=also)


def test_words_of_a_model_come_one_after_the_other_and_stop(followed: Callable[[str], Project]) -> None:
    with serve(followed("docs/llm.md")) as server:
        page = Visit(server)
        page.click("ask", question="Hello?")
        page.wait_for("You asked: Hello?")
        page.click("stop")
        assert "<h2>Hello?</h2>" in page.wait_for('data-live-pending=""')
        page.click("ask", question="And now?")
        assert page.wait_for("word by word.").count("<h2>") == 2


@contextmanager
def worker(project: Project) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "mysite", "worker", "--pool", "solo", "--loglevel", "warning"]
    with (project.folder / "worker.log").open("wb") as log:
        env = {**os.environ, **SETTINGS, "PYTHONWARNINGS": "default"}
        process = subprocess.Popen(command, cwd=project.folder, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.kill()  # its work is over, or the test has failed
            process.wait()


def test_a_file_is_imported_by_a_worker_while_its_page_follows(
    followed: Callable[[str], Project], tmp_path: Path
) -> None:
    shutil.copytree(followed("docs/celery.md").folder, tmp_path / "project")
    project, redis = Project(tmp_path / "project"), RedisServer(tmp_path)
    own = f'CELERY_BROKER_URL = "{redis.url}"\nHTMX_LIVE = {{"REDIS_URL": "{redis.url}"}}\n'
    project.write("mysite/settings.py", own, is_addition=True)
    with redis, serve(project) as server, worker(project):
        jar = CookieJar()
        browser = build_opener(HTTPCookieProcessor(jar))
        browser.open(server.url).read()
        fields = {"csrfmiddlewaretoken": next(iter(jar)).value, "file": SimpleUploadedFile("a.csv", b"Tea;3\nCoffee;4")}
        headers = {"Content-Type": MULTIPART_CONTENT}
        answer = browser.open(Request(server.url, encode_multipart(BOUNDARY, fields), headers), timeout=PATIENCE)
        page, give_up = answer.read().decode(), time.monotonic() + PATIENCE
        while 'data-status="complete"' not in page and time.monotonic() < give_up:
            time.sleep(0.1)  # as somebody who reloads the page
            page = browser.open(answer.url).read().decode()
    assert re.findall(r'live-progress-amount">(.*?)<', page) == ["2 of 2 rows"]
