"""The components beside Bootstrap, Tailwind and the Django admin: nothing breaks, overflows or breaks the policy.

Set GALLERY_SHOTS to a folder to get the pictures.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.visitors import Visitors, visiting
from tests.npm import fetch
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser

PACKAGES = {"bootstrap": "bootstrap@5.3.8", "tailwind": "tailwindcss@4.1.17"}


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the frameworks as npm has them."""
    folder = tmp_path_factory.mktemp("styles")
    for name, package in PACKAGES.items():
        (folder / name).symlink_to(fetch(package))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, styles: Path) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("frameworks"), DEMO_STYLES=str(styles)) as server:
        yield server


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


@pytest.mark.parametrize("look", ["theme=light", "theme=dark", "theme=light&dir=rtl"])
@pytest.mark.parametrize("framework", ["bootstrap", "tailwind", "admin"])
def test_components_fit_beside_a_framework(server: Server, visitors: Visitors, framework: str, look: str) -> None:
    page = visitors.at(server, f"/gallery/beside/{framework}/?{look}")
    idle, busy, cover = (page.locator("main button").nth(number) for number in range(3))
    expect(busy).to_be_disabled()
    expect(busy).to_have_accessible_name("Exporting…")
    expect(cover).to_have_accessible_name("Export")
    for width in (375, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        heights = {round(button.bounding_box()["height"]) for button in (idle, busy, cover)}  # type: ignore[index]
        assert (width, len(heights)) == (width, 1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("GALLERY_SHOTS"):
            page.screenshot(path=Path(folder) / f"{framework}-{look.replace('&', '-')}-{width}.png", full_page=True)
