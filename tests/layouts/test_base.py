"""Layout classes: what is declared, inherited, refused, and found by name."""

from types import ModuleType

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from htmx_live.layouts import Layout, Panel, RenderQueue, ScriptQueue, StyleQueue
from htmx_live.layouts.conf import layout_settings


def declare(module: str, source: str) -> type[Layout]:
    """A layout declared in a module of that name."""
    scope = vars(ModuleType(module))
    scope.update(Layout=Layout, Panel=Panel)
    exec(source, scope)
    return next(value for value in scope.values() if isinstance(value, type) and value.__module__ == module)


def test_a_layout_without_a_template_is_refused_when_it_is_declared() -> None:
    with pytest.raises(TypeError, match=r'Bare has no template. Set template = "app/layout.html" on the class.'):

        class Bare(Layout):
            pass


def test_a_layout_is_found_by_the_first_segment_of_its_module_and_its_name() -> None:
    class Shop(Layout):
        template = "shop.html"

    assert Layout.resolve("tests.Shop") is Shop


def test_resolving_an_unknown_name_lists_what_is_there() -> None:
    class Shop(Layout):
        template = "shop.html"

    with pytest.raises(KeyError, match=r"There is no layout 'tests.Shpo'. There are: .*tests\.Shop"):
        Layout.resolve("tests.Shpo")


def test_two_layouts_under_one_name_are_an_error_that_names_both_modules() -> None:
    declare("acme.layouts", "class Base(Layout):\n    template = 'a.html'")
    with pytest.raises(TypeError, match=r"called 'acme.Base': acme.layouts.Base and acme.admin.layouts.Base"):
        declare("acme.admin.layouts", "class Base(Layout):\n    template = 'b.html'")


def test_a_module_that_is_loaded_again_replaces_its_layout() -> None:
    declare("acme.layouts", "class Base(Layout):\n    template = 'a.html'")
    again = declare("acme.layouts", "class Base(Layout):\n    template = 'a.html'")
    assert Layout.resolve("acme.Base") is again


def test_panels_and_queues_are_inherited_behind_a_class_own() -> None:
    class Parent(Layout):
        template = "p.html"
        header = Panel("h")
        footer = Panel("f")
        scripts = ScriptQueue()

    class Child(Parent):
        sidebar = Panel("s")
        footer = Panel("child's")
        styles = StyleQueue()

    assert list(Child.layout_panels) == ["sidebar", "footer", "header"]
    assert Child.layout_panels["footer"].source == "child's"
    assert list(Child.layout_queues) == ["styles", "scripts"]


def test_none_in_a_subclass_removes_an_inherited_panel() -> None:
    class Parent(Layout):
        template = "p.html"
        header = Panel("h")
        footer = Panel("f")

    class Child(Parent):
        footer = None

    assert list(Child.layout_panels) == ["header"]


@pytest.mark.parametrize("name", ["content", "template", "on_panel_error", "layout_panels"])
def test_a_panel_whose_name_means_something_else_is_refused(name: str) -> None:
    source = f"class Base(Layout):\n    template = 'a.html'\n    {name} = Panel('x')"
    with pytest.raises(TypeError, match=rf"Base\.{name}: |has no template"):
        declare("acme.layouts", source)


def test_a_queue_on_a_class_is_a_factory() -> None:
    class Base(Layout):
        template = "a.html"
        extras = RenderQueue("extras.html")

    first, second = Base.layout_queues["extras"].create_empty(), Base.layout_queues["extras"].create_empty()
    first.add("x")
    assert (list(first), list(second), second.template) == (["x"], [], "extras.html")


@override_settings(HTMX_LIVE={"LAYOUTS": {"PANEL_TIMEUOT": 3}})
def test_a_misspelt_setting_is_an_error_that_guesses_the_right_one() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"has no setting 'PANEL_TIMEUOT' \(did you mean 'PANEL_TIMEOUT'"):
        layout_settings()


def test_the_defaults_of_the_settings_are_the_documented_ones() -> None:
    conf = layout_settings()
    assert (conf.DEBUG_ERRORS, conf.CACHE_ENABLED, conf.CACHE_BACKEND, conf.PARTIAL_DETECTORS) == (
        None,
        True,
        "default",
        (),
    )
    assert (conf.HTMX_SMART_ROUTING, conf.HTMX_CONTENT_TARGET, conf.HTMX_COOKIE_NAME) == (
        False,
        "#panel-content",
        "dj_layout_current",
    )
    assert (conf.DETECTOR_RAISE_EXCEPTIONS, conf.HTMX_COOKIE_DOMAIN, conf.THREAD_SENSITIVE) == (False, None, False)
