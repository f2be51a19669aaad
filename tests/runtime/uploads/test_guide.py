"""The guide's first example works as it stands; its other examples are Python."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings

from htmx_live.runtime.files import UPLOAD_FOLDER
from tests.settings import TEMPLATES

pytestmark = pytest.mark.django_db

GUIDE = (Path(__file__).parents[3] / "docs" / "uploads.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


def test_the_inbox_imports_its_files(live: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = ModuleType("inbox_views")
    monkeypatch.setitem(sys.modules, "inbox_views", module)
    module.__dict__["import_rows"] = lambda file: len(file.read().splitlines())
    exec(blocks("python")[0], module.__dict__)
    loader = ("django.template.loaders.locmem.Loader", {"inbox.html": blocks("django")[0]})
    options = {**TEMPLATES[0]["OPTIONS"], "loaders": [loader, "django.template.loaders.app_directories.Loader"]}
    templates = [{**TEMPLATES[0], "APP_DIRS": False, "OPTIONS": options}]
    with override_settings(TEMPLATES=templates, ROOT_URLCONF="tests.runtime.uploads.urls", MEDIA_ROOT=tmp_path):
        page = live(module.InboxView)
        page.submit("upload", files=[SimpleUploadedFile("a.csv", b"1\n2"), SimpleUploadedFile("b.csv", b"3")])
        page.run_jobs()
        assert page.text.endswith("3 rows")
        assert default_storage.listdir(UPLOAD_FOLDER)[1] == []


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_each_example_is_python(number: int) -> None:
    compile(blocks("python")[number], "uploads.md", "exec")
