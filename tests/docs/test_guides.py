"""The guides, done to the letter in the project of the quick start: their files, their commands and their own tests."""

import shutil
from pathlib import Path

import pytest

from tests.docs.projects import Project
from tests.docs.test_quickstart import serve
from tests.docs.visiting import Visit

GUIDES = ["docs/dashboard.md", "docs/llm.md", "docs/shared-editor.md"]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("quickstart")).follow("docs/quickstart.md")


@pytest.fixture
def project(quickstart: Project, tmp_path: Path) -> Project:
    shutil.copytree(quickstart.folder, tmp_path / "project")
    return Project(tmp_path / "project")


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_passes_its_own_tests(project: Project, guide: str) -> None:
    said = [text for text in project.follow(guide).said if text.startswith("Found")]
    assert said and all(text.rstrip().endswith("OK\nDestroying test database for alias 'default'...") for text in said)
    project.run("python manage.py check --fail-level WARNING")


def test_words_of_a_model_come_one_after_the_other_and_stop(project: Project) -> None:
    with serve(project.follow("docs/llm.md")) as server:
        page = Visit(server)
        page.click("ask", question="Hello?")
        page.wait_for("You asked: Hello?")
        assert ">Hello?</h2>" in page.click("stop") and 'data-live-pending=""' in page.html
        page.click("ask", question="And now?")
        assert page.wait_for("word by word.").count("<h2>") == 2
