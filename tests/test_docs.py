"""The documentation names everything that a project can use."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

import htmx_live
from htmx_live.conf import Settings
from htmx_live.templatetags.htmx_live import register

ROOT = Path(__file__).parents[1]
DOCS = "\n".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "htmx_live").rglob("*.py")))


@pytest.mark.parametrize("name", sorted(htmx_live.__all__))
def test_every_public_name_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCS
    assert getattr(htmx_live, name).__doc__


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCS


@pytest.mark.parametrize("name", sorted(register.tags))
def test_every_tag_is_documented(name: str) -> None:
    assert f"{{% {name}" in DOCS


@pytest.mark.parametrize("check", sorted(set(re.findall(r"htmx_live\.[EW]\d{3}", SOURCE))))
def test_every_check_is_documented(check: str) -> None:
    assert f"`{check}`" in DOCS


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            if not (path.parent / target).exists():
                broken.append(f"{path.name} → {target}")
    assert broken == []


def test_the_package_offers_what_it_names() -> None:
    assert sorted(htmx_live.__all__) == sorted(htmx_live._HOMES)
    with pytest.raises(AttributeError, match="It offers"):
        htmx_live.nothing  # noqa: B018
