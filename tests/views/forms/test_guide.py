"""The guide's first example works as it stands; its other examples are Python and templates."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.template import engines
from django.template.loader import get_template
from django.test import override_settings

from tests.settings import TEMPLATES
from tests.views.forms.reading import errors, values

pytestmark = pytest.mark.django_db

GUIDE = (Path(__file__).parents[3] / "docs" / "forms.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


def settings_with(template: str, name: str) -> Any:
    loader = ("django.template.loaders.locmem.Loader", {name: template})
    options = {**TEMPLATES[0]["OPTIONS"], "loaders": [loader, "django.template.loaders.app_directories.Loader"]}
    return override_settings(TEMPLATES=[{**TEMPLATES[0], "APP_DIRS": False, "OPTIONS": options}])


def test_the_contact_form_validates_and_sends(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("contact_views")
    monkeypatch.setitem(__import__("sys").modules, "contact_views", module)
    module.__dict__["__name__"] = "contact_views"
    exec(blocks("python")[0], module.__dict__)
    with settings_with(blocks("django")[0], "contact.html"):
        client = live(module.ContactView).trigger("input", "validate", field="email", email="nowhere")
        assert errors(client) == {"email": "Enter a valid email address."}
        client.submit("save", email="a@example.com", text="Hello")
        assert client.notices == [{"message": "Thank you, we will write to a@example.com.", "level": "success"}]
        assert values(client) == {"email": [""], "subject": ["A question"], "text": [""]}


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_each_example_is_python(number: int) -> None:
    compile(blocks("python")[number], "forms.md", "exec")


@pytest.mark.parametrize("number", range(len(blocks("django"))))
def test_each_template_compiles(number: int) -> None:
    with settings_with(blocks("django")[number], "example.html"):
        assert engines["django"] and get_template("example.html")
