"""Any input to any handler: an answer that says what was wrong with it, and code that is what it was."""

import json
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from htmx_live import LiveView
from tests import sample_views
from tests.threats import views
from tests.threats.visitor import Visitor, somebody

pytestmark = pytest.mark.django_db

VIEWS = [
    view
    for module in (sample_views, views)
    for view in vars(module).values()
    if isinstance(view, type) and issubclass(view, LiveView) and view is not LiveView and view.template_name
    if view.__module__ == module.__name__
]
# fail() raises whatever it is given; to leave() and tell() a text without a slash is the name of a URL pattern.
BY_DESIGN = {"fail", "leave", "tell"}
HANDLERS = [
    pytest.param(view, name, id=f"{view.__name__}.{name}")
    for view in VIEWS
    for name in view.handlers
    if name not in BY_DESIGN
]

text = st.text(max_size=20) | st.sampled_from(
    ["", "0", "-1", "1e999", "nan", "٣", "\0", "\ud800", "2026-02-30", "x" * 200_000]
)
scalar = (
    st.none() | st.booleans() | st.integers() | st.floats() | text | st.sampled_from([10**39, -(10**39), 2**63, 1e308])
)
value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6
)


@cache
def inputs(view, name):
    """What the handler declares, and what it does not."""
    declared = [parameter.name for parameter in view.handlers[name].parameters]
    names = st.sampled_from([*declared, "self", "_live", "_args", "__class__", "value"]) | st.text(max_size=8)
    plain = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
    return (
        st.dictionaries(names, value, max_size=4) | st.lists(value, max_size=4) | value,
        st.dictionaries(names.filter(lambda name: name.isascii() and name.isprintable()), plain, max_size=3),
    )


@cache
def headers():
    ascii_text = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
    hostile = st.sampled_from(["http://[", "//", "http://testserver/?%00=%ff&x", "-1", "9" * 5000, "{}", "1,2"])
    names = st.sampled_from(
        ["X_Live_Rev", "X_Live_Nonce", "X_Live_Page", "HX_Current_URL", "Referer", "HX_Target", "Accept_Language"]
    )
    return st.dictionaries(names, ascii_text | hostile, max_size=2)


@pytest.fixture
def visitor(stage, view):
    """A superuser, who can still open the view's page after all events."""
    visitor = Visitor(somebody("root", is_superuser=True))
    yield visitor
    visitor.open(address(view))


@pytest.mark.parametrize(("view", "name"), HANDLERS)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_input_to_a_handler_is_answered_and_leaves_its_class_alone(stage, visitor, view, name, data):
    before = code_of(view)
    page = visitor.open(address(view))
    sent, form = (data.draw(strategy) for strategy in inputs(view, name))
    answer = page.event(name, json.dumps(sent), form=form, **data.draw(headers()))
    assert answer.status_code in (200, 204) or 400 <= answer.status_code < 500
    stage.runner.run_all()
    page.sync({"poll": True})
    assert code_of(view) == before


def code_of(view):
    """The class's own attributes, but for the count that one of the samples keeps there."""
    return {name: value for name, value in vars(view).items() if name != "mounted"}


def address(view):
    return f"/views/{view.__name__}/" if view.__module__ == sample_views.__name__ else f"/{view.__name__.lower()}/"
