"""docs/layouts.md names everything that there is to use, and its example runs."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from htmx_live import layouts
from htmx_live.layouts import base as checks
from htmx_live.layouts import cache
from htmx_live.layouts.conf import LayoutSettings
from htmx_live.templatetags.layouts import register
from tests.layouts.conftest import Templates

PAGE = Path(__file__).parents[2] / "docs" / "layouts.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", layouts.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", TEXT)


@pytest.mark.parametrize("name", [name for name in cache.__all__ if name != "CacheRule"])
def test_every_cache_rule_is_documented(name: str) -> None:
    assert f"cache.{name}" in TEXT


@pytest.mark.parametrize("field", fields(LayoutSettings), ids=lambda field: str(field.name))
def test_every_setting_is_documented_with_its_default(field: Any) -> None:
    default = str(field.default).replace("'", '"') if not isinstance(field.default, str) else f'"{field.default}"'
    assert f"| `{field.name}` | `{default}` |" in TEXT


@pytest.mark.parametrize("tag", register.tags)
def test_every_tag_is_documented(tag: str) -> None:
    assert f"{{% {tag} " in TEXT


@pytest.mark.parametrize("check", re.findall(r"htmx_live\.E\d+", checks.__doc__ or ""))
def test_every_check_is_documented(check: str) -> None:
    assert f"| `{check}` |" in TEXT


@override_settings(ROOT_URLCONF="tests.layouts.site")
def test_the_first_example_runs(templates: Templates, get: Any) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
    declared, template, view = (text for _, text in blocks[:3])
    templates({"shop/layout.html": template})
    scope: dict[str, Any] = {"__name__": "shop.layouts"}
    exec(declared, scope)
    exec(view, scope)
    html = async_to_sync(scope["home"])(get("/")).content.decode()
    assert "<title>Welcome</title>" in html and '<main id="panel-content"><h1>Welcome</h1></main>' in html
    assert "the navigation" in html and "7 orders" in html and "<p>One moment…</p>" in html
