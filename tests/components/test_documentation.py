"""The documentation tells every component, argument, slot and custom property, and no other."""

import re
from pathlib import Path
from typing import Any

import pytest

from htmx_live.components import load_component_classes

ROOT = Path(__file__).parents[2]
COMPONENTS = (ROOT / "docs/components.md").read_text()
STYLING = (ROOT / "docs/styling.md").read_text()
SHEET = (ROOT / "static/htmx_live/htmx-live.css").read_text()


def section(name: str) -> str:
    return COMPONENTS.split(f"### `{name}`\n", 1)[1].split("\n### ")[0]


def test_every_component_has_a_section_and_every_section_a_component() -> None:
    assert re.findall(r"^### `(\w+)`$", COMPONENTS, re.MULTILINE) == sorted(load_component_classes())


@pytest.mark.parametrize("name", sorted(load_component_classes()))
def test_a_components_arguments_and_slots_are_told(name: str) -> None:
    cls: Any = load_component_classes()[name]
    told = re.findall(r"^\| `(\w+)`(?: \(first\))? \|.*\| (.*) \|$", section(name), re.MULTILINE)
    assert told == [(one.name.removesuffix("_"), one.metadata["help"]) for one in cls.Kwargs.option_fields()]
    slots = section(name).rpartition("\nSlots: ")[2] if "\nSlots: " in section(name) else ""
    assert [slot for slot in cls.slot_descriptions if f"`{slot}`" not in slots] == []


def test_every_custom_property_is_told() -> None:
    own = {"--live-tone"}  # one toast's level: set data-level instead
    assert set(re.findall(r"(--live-\w+):", SHEET)) - own == set(re.findall(r"`(--live-\w+)`", STYLING))
