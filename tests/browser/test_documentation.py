"""The README's example and the quick start, followed to the letter in a fresh project."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.server import Server

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"^```(?:python|django)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NAME = re.compile(r"\A(?:# |\{# )([\w/]+/\w+\.(?:py|html))(?: #\})?\n")


def files_of(document: str) -> dict[str, str]:
    """The files that a document asks a reader to write: each block that begins with a comment naming one."""
    blocks = BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    named = ((NAME.match(block), block) for block in blocks)
    return {match[1]: block for match, block in named if match}


def settings_of(document: str) -> str:
    blocks = BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    return next(block for block in blocks if "INSTALLED_APPS +=" in block)


@pytest.fixture(params=["docs/quickstart.md", "README.md"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """The quick start's project, with the view and the template of the document in question."""

    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "mysite.settings"}

    def run(*command: str) -> None:
        subprocess.run([sys.executable, *command], cwd=tmp_path, env=env, check=True)

    run("-m", "django", "startproject", "mysite", ".")
    run("manage.py", "startapp", "reports")
    with (tmp_path / "mysite/settings.py").open("a", encoding="utf-8") as settings:
        settings.write(settings_of("docs/quickstart.md"))
    written = {**files_of("docs/quickstart.md"), **files_of(request.param)}
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    run("manage.py", "migrate", "--verbosity", "0")
    with Server("mysite.asgi:application", log=tmp_path / "server.log", env=env, folder=tmp_path) as server:
        yield server


def test_the_documented_project_works_as_it_stands(project: Server, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(project.url)
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("button", name="Generating…")).to_be_disabled()
    expect(page.locator("li").nth(1)).to_have_text("2/2026")
    expect(page.get_by_role("button", name="Generating…")).to_be_disabled()
    context.close()


def test_the_examples_on_the_first_screen_are_short() -> None:
    files = files_of("README.md")
    assert sorted(files) == ["reports/templates/report.html", "reports/views.py"]
    assert sum(len([line for line in text.splitlines()[1:] if line]) for text in files.values()) <= 25
