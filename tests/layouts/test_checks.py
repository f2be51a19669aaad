"""System checks: what would fail at the first request is said at start."""

from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.test import override_settings
from django.urls import path

from htmx_live.layouts import Layout, LayoutMixin, Panel, async_layout, base, layout
from htmx_live.layouts.base import autodiscover, check_layouts
from tests.layouts.conftest import answer

urlpatterns = [path("items/<int:pk>/", answer(), name="item")]
app_name = "none"


@pytest.fixture(autouse=True)
def nothing_declared(registry: None) -> None:
    """Only what a test declares is there to be checked."""
    base._registry.clear()
    base._layout_uses.clear()


def found() -> list[tuple[str | None, str]]:
    """The ids and texts of what the check says."""
    return [(error.id, error.msg) for error in check_layouts()]


def test_a_layout_name_that_nobody_has_is_e101() -> None:
    @layout("tests.Nowhere")
    def page(request: Any) -> Any: ...

    @async_layout("tests.Nowhere")
    async def apage(request: Any) -> Any: ...

    class View(LayoutMixin):
        layout_class = "tests.NotThere"

    where = f"{__name__}.test_a_layout_name_that_nobody_has_is_e101.<locals>"
    assert found() == [
        ("htmx_live.E101", f"{where}.View names the layout 'tests.NotThere', which is not there."),
        ("htmx_live.E101", f"{where}.apage names the layout 'tests.Nowhere', which is not there."),
        ("htmx_live.E101", f"{where}.page names the layout 'tests.Nowhere', which is not there."),
    ]


@override_settings(ROOT_URLCONF="tests.layouts.site")
def test_a_url_name_that_is_not_there_is_e102() -> None:
    class Page(Layout):
        template = "page.html"
        good = Panel("shop:home")
        pinned = Panel("shop:item", context={"pk": 1})
        bad = Panel("shop:nowhere")
        lacking = Panel(["shop:item"])

    assert [(kind, text.partition(":")[0]) for kind, text in found()] == [
        ("htmx_live.E102", "Panel tests.Page.bad"),
        ("htmx_live.E102", "Panel tests.Page.lacking"),
    ]


@pytest.mark.parametrize("options", [{"lazy": True}, {"stream": True}, {"timeout": 1, "lazy_on_timeout": True}])
def test_a_panel_that_is_loaded_later_without_our_urls_is_e103(options: Any) -> None:
    class Page(Layout):
        template = "page.html"
        later = Panel("x", **options)

    with override_settings(ROOT_URLCONF=__name__):
        assert found() == [
            ("htmx_live.E103", "Panel tests.Page.later is loaded after its page, from a URL that is not there.")
        ]
    with override_settings(ROOT_URLCONF="tests.layouts.site"):
        assert found() == []


@pytest.mark.parametrize("conf", [{"DEBUG_EROR": 1}, {"PARTIAL_DETECTORS": ["nowhere.at_all"]}])
def test_a_setting_that_cannot_be_used_is_e104(conf: dict[str, Any]) -> None:
    with override_settings(HTMX_LIVE={"LAYOUTS": conf}):
        assert [kind for kind, _ in found()] == ["htmx_live.E104"]


def test_every_message_has_a_hint() -> None:
    layout("tests.Nowhere")(answer())
    with override_settings(HTMX_LIVE={"LAYOUTS": {"DEBUG_EROR": 1}}):
        assert all(error.hint for error in check_layouts())


def test_layouts_of_installed_apps_are_found() -> None:
    with override_settings(INSTALLED_APPS=["tests.layouts.app"]):
        autodiscover()
    assert Layout.resolve("tests.Discovered").template == "discovered.html"


def test_the_app_registers_the_check() -> None:
    layout("tests.Nowhere")(answer())
    with override_settings(ROOT_URLCONF="tests.layouts.site"):
        assert "htmx_live.E101" in [message.id for message in run_checks(app_configs=apps.get_app_configs())]
