"""The documentation names everything that a project can use, and its code is code."""

import ast
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.template import Template

import htmx_live
from htmx_live.components import load_component_classes
from htmx_live.contrib.doctor import report as services
from htmx_live.contrib.task_history.templatetags.live_tasks import register as tasks_register
from htmx_live.core import exceptions
from htmx_live.core.conf import Settings
from htmx_live.layouts.conf import LayoutSettings
from htmx_live.templatetags.htmx_live import register
from htmx_live.templatetags.layouts import register as layouts_register
from tests.docs.blocks import DOCS as FILES
from tests.docs.blocks import ROOT, Block, blocks

DOCS = "\n".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "htmx_live").rglob("*.py")))
SCRIPTS = "\n".join(path.read_text() for path in sorted((ROOT / "static/htmx_live/src").glob("*.js")))
PUBLIC = [
    "htmx_live",
    "htmx_live.contrib.admin",
    "htmx_live.asgi",
    "htmx_live.layouts",
    "htmx_live.progress",
    "htmx_live.testing",
]
PYTHON = [block for path in FILES for block in blocks(path) if block.language == "python"]
TEMPLATES = [block for path in FILES for block in blocks(path) if block.language == "django"]
LIBRARIES = "{% load htmx_live layouts i18n static %}"
TAG = re.compile(r"\{% (?:on|loading|stream|progress|region|toasts) [^%…`*][^…`*]*?%\}")
INLINE = {tag for path in FILES for tag in TAG.findall(path.read_text()) if "= " not in tag}


@pytest.mark.parametrize("name", sorted(htmx_live.__all__))
def test_every_public_name_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCS
    assert getattr(htmx_live, name).__doc__


@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_names_what_a_module_offers(module: str) -> None:
    offered: list[str] = import_module(module).__all__
    assert [name for name in offered if f"`{name}`" not in REFERENCE] == []


@pytest.mark.parametrize("module", PUBLIC)
def test_what_a_module_offers_explains_itself(module: str) -> None:
    home = import_module(module)
    assert [name for name in home.__all__ if not getattr(home, name).__doc__] == []


@pytest.mark.parametrize("cls", [htmx_live.LiveView, htmx_live.LiveFormView])
def test_the_reference_names_what_a_view_offers(cls: type) -> None:
    offered = {name for name in dir(cls) if not name.startswith("_")} - {"as_view", "handlers"}
    assert [name for name in sorted(offered) if not re.search(rf"`(self\.)?{name}\b", REFERENCE)] == []


@pytest.mark.parametrize("name", ["htmx_live.progress.ProgressSession", "htmx_live.testing.LiveClient"])
def test_a_guide_names_what_an_object_offers(name: str) -> None:
    module, _, cls = name.rpartition(".")
    offered = {one for one in dir(getattr(import_module(module), cls)) if not one.startswith("_")}
    assert [one for one in sorted(offered - {"load_snapshot"}) if not re.search(rf"[`.]{one}\b", DOCS)] == []


@pytest.mark.parametrize("name", sorted({*exceptions.__all__} - {"Cancelled"}))  # that one answers nobody
def test_every_error_is_in_the_reference_with_its_status(name: str) -> None:
    errors = REFERENCE.partition("### Errors")[2].splitlines()
    row = next(line for line in errors if f"`{name}`" in line.split(" | ")[0])
    assert str(getattr(exceptions, name).status) in row


@pytest.mark.parametrize("name", [field.name for field in [*fields(Settings), *fields(LayoutSettings)]])
def test_every_setting_is_documented(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", DOCS, re.MULTILINE)


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_a_setting_is_documented_with_its_default(field: Any) -> None:
    told = re.search(rf"^\| `{field.name}` \| `(.*?)` \|", REFERENCE, re.MULTILINE)
    assert told and ast.literal_eval(told[1]) == getattr(Settings(), field.name)


@pytest.mark.parametrize("name", sorted([*register.tags, *layouts_register.tags, *tasks_register.tags]))
def test_every_tag_is_in_the_reference(name: str) -> None:
    assert f"{{% {name}" in REFERENCE


@pytest.mark.parametrize("name", sorted(load_component_classes()))
def test_every_component_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in REFERENCE


@pytest.mark.parametrize("check", sorted(set(re.findall(r"htmx_live\.[EWI]\d{3}", SOURCE))))
def test_every_check_is_documented(check: str) -> None:
    assert f"`{check}`" in DOCS


@pytest.mark.parametrize("check", sorted(set(re.findall(r"htmx_live\.[EWI]\d{3}", DOCS))))
def test_every_documented_check_is_made(check: str) -> None:
    assert check in SOURCE


@pytest.mark.parametrize("event", sorted(set(re.findall(r"\blive:[a-z]+\b", SCRIPTS)) - {"live:x"}))
def test_every_event_of_the_script_is_in_the_reference(event: str) -> None:
    assert f"`{event}`" in REFERENCE


@pytest.mark.parametrize(
    "path", sorted((ROOT / "htmx_live").rglob("management/commands/[!_]*.py")), ids=lambda p: p.stem
)
def test_every_management_command_is_in_the_reference(path: Path) -> None:
    assert f"manage.py {path.stem}" in REFERENCE


def test_every_status_that_a_view_can_answer_is_in_the_reference() -> None:
    table = REFERENCE.partition("## What a user sees when something fails")[2]
    statuses = {getattr(exceptions, name).status for name in exceptions.__all__ if name != "Cancelled"}
    assert [status for status in sorted(statuses) if str(status) not in table] == []


def test_every_document_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert [
        path.name for path in FILES if path.name not in ("README.md", "index.md") and f"({path.name})" not in index
    ] == []


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    for path in FILES:
        for target, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text()):
            file = path.parent / target if target else path
            if not file.exists() or (heading and file.suffix == ".md" and heading not in _headings(file)):
                broken.append(f"{path.name} → {target}#{heading}")
    assert broken == []


def _headings(path: Path) -> set[str]:
    """The anchors that a Markdown page gets for its headings."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    titles = [title.replace("`", "").lower() for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_block_of_python_is_python_and_imports_what_there_is(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text, str(block))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("htmx_live", "django"):
            for one in node.names:
                assert hasattr(import_module(str(node.module)), one.name) or import_module(f"{node.module}.{one.name}")


def test_the_package_offers_what_it_names() -> None:
    assert sorted(htmx_live.__all__) == sorted(htmx_live._HOMES)
    with pytest.raises(AttributeError, match="It offers"):
        htmx_live.nothing  # noqa: B018


@pytest.mark.parametrize("block", TEMPLATES, ids=str)
def test_a_block_of_a_template_compiles(block: Block) -> None:
    Template(LIBRARIES + block.text)


@pytest.mark.parametrize("tag", sorted(INLINE))
def test_a_tag_in_the_text_compiles(tag: str) -> None:
    end = "{% endregion %}" if tag.startswith("{% region") else ""
    Template(f"{LIBRARIES}{tag}{end}")


def test_the_oldest_redis_is_the_same_everywhere() -> None:
    said = set(re.findall(r"Redis (\d+(?:\.\d+)?) or (?:newer|later)", DOCS + SOURCE))
    assert said == {".".join(map(str, services._MIN_REDIS_VERSION))}
