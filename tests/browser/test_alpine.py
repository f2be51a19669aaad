"""Alpine.js beside us: what it holds for an element outlives our swaps."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LivePage
from tests.browser.markup import on, root, swap
from tests.npm import fetch

pytestmark = pytest.mark.browser

PACKAGE = "@alpinejs/csp@3.14.9"  # the build that needs no eval
COUNTER = """document.addEventListener("alpine:init", () => Alpine.data("counter", () => ({
  count: 0, add() { this.count++; }, get isMany() { return this.count > 1; } })));"""
SCRIPTS = '<script defer src="/counter.js"></script><script defer src="/alpine.js"></script>'


@pytest.fixture(scope="module")
def alpine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Alpine as npm has it, and a component of a project."""
    counter = tmp_path_factory.mktemp("alpine") / "counter.js"
    counter.write_text(COUNTER)
    return {"/alpine.js": fetch(PACKAGE) / "dist/cdn.js", "/counter.js": counter}


def view(label: str, *, keep: str = "") -> str:
    return (
        f'<div id="counter" x-data="counter" {keep}><button id="add" @click="add">{label}</button>'
        f'<b x-text="count"></b><i x-show="isMany">many</i></div><button id="save" {on("save")}>Save</button>'
    )


def begin(live: LivePage, alpine: dict[str, Path], **options: str) -> None:
    live.server.files |= alpine
    live.open(SCRIPTS + root(view("Add", **options)))
    for _ in range(2):
        live.page.click("#add")
    expect(live.page.locator("b")).to_have_text("2")
    expect(live.page.locator("i")).to_be_visible()


def test_the_state_of_a_component_outlives_answers_and_pushes(live: LivePage, alpine: dict[str, Path]) -> None:
    begin(live, alpine)
    live.page.click("#save")
    live.event().answer(swap(view("One more"), rev=2))
    expect(live.page.locator("#add")).to_have_text("One more")
    live.push(swap(view("And another"), rev=3), "e.3")
    expect(live.page.locator("#add")).to_have_text("And another")
    live.page.click("#add")
    expect(live.page.locator("b")).to_have_text("3")


def test_what_a_kept_component_has_drawn_stays_too(live: LivePage, alpine: dict[str, Path]) -> None:
    begin(live, alpine, keep="data-live-keep")
    live.push(swap(view("Changed", keep="data-live-keep"), rev=2), "e.2")
    live.page.click("#save")
    live.event().answer(swap(view("Changed again", keep="data-live-keep"), rev=3))
    expect(live.page.locator("[data-live-rev='3']")).to_have_count(1)
    expect(live.page.locator("#counter")).to_have_text("Add2many")
    live.page.click("#add")
    expect(live.page.locator("b")).to_have_text("3")


def test_a_component_that_a_push_brings_begins_its_life(live: LivePage, alpine: dict[str, Path]) -> None:
    begin(live, alpine)
    live.push(swap(view("Add") + '<p id="new" x-data="counter"><b x-text="count"></b></p>', rev=2), "e.2")
    expect(live.page.locator("#new b")).to_have_text("0")
