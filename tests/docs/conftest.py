"""The project of the quick start, which most guides go on with."""

import pytest

from tests.docs.projects import Project


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("quickstart")).follow("docs/quickstart.md")
