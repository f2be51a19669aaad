"""Each component's HTML, what it takes, and what it says about mistakes."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.template import TemplateSyntaxError
from django.utils.safestring import mark_safe

from htmx_live.components import load_component_classes, register_all
from htmx_live.views import component as component_module
from htmx_live.views.component import LiveComponent
from tests.components.showing import around, show

NAMES = sorted(load_component_classes())


def needed(name: str) -> str:
    """A component's start tag with what it cannot do without."""
    given = {"live_button": '"save"', "live_lazy_panel": '"/part/"', "live_stream": '"log"'}
    return f'{{% component "{name}" {given.get(name, "")}'


SHOWN_ALONE = [name for name in NAMES if name not in ("live_view", "live_progress", "live_progress_list")]
SHOWN_ALONE = [name for name in SHOWN_ALONE if name not in ("live_cancel_button", "live_retry_button")]


def test_a_button_carries_its_trigger_and_swaps_its_label_in_one_cell() -> None:
    with around():
        html = show('{% component "live_button" "resend" args:pk=3 busy="Sending…" %}Send{% endcomponent %}')
    assert html == (
        '<button type="button" hx-post="/live/event/resend/" hx-trigger="click" hx-swap="none" '
        'hx-indicator="this, #live-1 [data-live-for~=&#x27;resend&#x27;]" data-live-event="resend" '
        'data-live-args="{&quot;pk&quot;:3}" data-live-key="3" data-live-disable="" class="live-button">'
        '<span class="live-swap" data-live-class="live-swapped" data-live-key="3"><span>Send</span>'
        '<span><span class="live-spinner" aria-hidden="true"></span>Sending…</span></span></button>'
    )


def test_a_button_without_a_handler_submits_its_form() -> None:
    html = show('{% component "live_button" disable=False spinner=False busy="…" %}Go{% endcomponent %}')
    assert html == (
        '<button type="submit" class="live-button"><span class="live-swap" data-live-class="live-swapped">'
        "<span>Go</span><span>…</span></span></button>"
    )


def test_a_button_without_a_busy_label_keeps_its_name() -> None:
    html = show('{% component "live_button" busy="" %}Go{% endcomponent %}')
    assert '<span class="live-swap live-cover" data-live-class="live-swapped"><span>Go</span>' in html


def test_slots_fill_label_icon_and_busy_label() -> None:
    html = show(
        '{% component "live_button" %}{% fill "icon" %}<i></i>{% endfill %}{% fill "label" %}Go{% endfill %}'
        '{% fill "busy" %}Going{% endfill %}{% endcomponent %}'
    )
    assert "<span><i></i>Go</span>" in html
    assert '<span class="live-spinner" aria-hidden="true"></span>Going</span>' in html


def test_attributes_with_colons_arrive_and_classes_of_a_framework_replace_ours() -> None:
    html = show(
        '{% component "live_button" class="btn" hx-on::after-request="a()" hx-status:5xx="none" data-x="1" / %}'
    )
    assert html.startswith(
        '<button type="submit" data-live-disable="" data-x="1" hx-on::after-request="a()" hx-status:5xx="none" '
        'class="btn">'
    )


@pytest.mark.parametrize("value", ['say "hi" & <b>', mark_safe('say "hi" & <b>')], ids=["text", "safe"])
def test_a_value_never_leaves_its_attribute(value: str) -> None:
    html = show('{% component "live_spinner" always=True title=value / %}', value=value)
    assert 'title="say &quot;hi&quot; &amp; &lt;b&gt;"' in html


def test_a_form_brings_token_hidden_fields_fields_and_button() -> None:
    with around():
        html = show('{% component "live_form" "save" button="btn" id="f" %}<p>fields</p>{% endcomponent %}')
    start = html[: html.index(">") + 1]
    assert {'method="post"', 'action="/live/event/save/"', 'id="f"', 'class="live-form"'} <= set(start[:-1].split())
    assert re.sub(r"\s*\n\s*", "", html[len(start) :]) == (
        '<input type="hidden" name="_live" value="GRANT"/><p>fields</p><button type="submit" class="btn" '
        'data-live-disable><span class="live-swap" data-live-class="live-swapped"><span>Save</span><span>'
        '<span class="live-spinner" aria-hidden="true"></span>Saving…</span></span></button></form>'
    )


def test_a_form_with_a_file_field_is_multipart() -> None:
    class Upload(forms.Form):
        file = forms.FileField()

    with around():
        html = show('{% component "live_form" form=form / %}', form=Upload())
    assert 'enctype="multipart/form-data"' in html and 'type="file"' in html


def test_a_forms_error_is_an_alert() -> None:
    with around():
        html = show('{% component "live_form" error="No & no" / %}')
    assert '<p class="live-failure" role="alert">No &amp; no</p>' in html


@pytest.mark.parametrize(
    ("template", "html"),
    [
        ('{% component "live_spinner" / %}', '<span aria-hidden="true" data-live-show="" class="live-spinner"></span>'),
        (
            '{% component "live_spinner" "Loading" always=True size="large" / %}',
            '<span role="img" aria-label="Loading" class="live-spinner live-large"></span>',
        ),
        (
            '{% component "live_spinner" for="save" key=7 delay=100 min=300 / %}',
            '<span aria-hidden="true" data-live-show="" data-live-for="save" data-live-key="7" data-live-delay="100" '
            'data-live-min="300" class="live-spinner"></span>',
        ),
        (
            '{% component "live_loading" "save" tag="p" delay=0 %}Busy{% endcomponent %}',
            '<p class="live-wait"><span class="live-wait-busy" data-live-show data-live-for="save">Busy</span></p>',
        ),
        (
            '{% component "live_loading" "save" announce=True delay=0 %}{% fill "busy" %}B{% endfill %}'
            '{% fill "idle" %}I{% endfill %}{% endcomponent %}',
            '<div role="status" class="live-wait"><span data-live-hide data-live-for="save">I</span>'
            '<span class="live-wait-busy" data-live-show data-live-for="save">B</span></div>',
        ),
        (
            '{% component "live_overlay" "save" page=True label="Wait" / %}',
            '<div role="status" data-live-show="grid" data-live-for="save" data-live-delay="200" '
            'class="live-overlay live-page"><span class="live-spinner" aria-hidden="true"></span>'
            "<span>Wait</span></div>",
        ),
        (
            '{% component "live_toasts" position="top-end" / %}',
            '<div data-at="top-end"><div class="live-toasts" data-live-toasts role="region" '
            'aria-label="Notifications"></div></div>',
        ),
        (
            '{% component "live_connection" lost="Gone" back="Here" / %}',
            '<div role="status" class="live-banner"><span class="live-lost"><span class="live-spinner" '
            'aria-hidden="true"></span>Gone</span><span class="live-back">Here</span></div>',
        ),
    ],
)
def test_a_component_is_this_html(template: str, html: str) -> None:
    assert show(template) == html


def test_a_stream_is_a_log_that_does_not_chatter() -> None:
    with around():
        html = show('{% component "live_stream" "log" label="Log" empty="Nothing yet" for="save" / %}')
    assert html.startswith('<div role="log" aria-live="off" aria-label="Log" class="live-text"><span id="live-1-s-log"')
    assert html.endswith(
        '<span class="live-empty">Nothing yet</span>'
        '<span class="live-caret" aria-hidden="true" data-live-show data-live-for="save"></span></div>'
    )


def test_a_lazy_panel_asks_when_it_is_told_to_and_holds_a_way_without_script() -> None:
    html = show('{% component "live_lazy_panel" "/part/?a=1&b=2" when="visible" %}Soon{% endcomponent %}')
    assert 'hx-trigger="revealed"' in html and 'hx-get="/part/?a=1&amp;b=2"' in html
    assert '<noscript><a href="/part/?a=1&amp;b=2">' in html
    html = show('{% component "live_lazy_panel" "/part/" when="click" / %}')
    assert "hx-trigger" not in html and html.count('hx-target="closest [data-layout-panel]"') == 2


def test_a_lazy_panel_says_in_the_projects_words_that_it_did_not_come() -> None:
    html = show(
        '{% component "live_lazy_panel" "/part/" %}{% fill "error" %}<p>No offers</p>{% endfill %}{% endcomponent %}'
    )
    assert "<div data-layout-error hidden><p>No offers</p></div>" in html


@pytest.mark.parametrize("name", SHOWN_ALONE)
def test_what_a_live_view_sends_holds_no_script_and_no_inline_style(name: str) -> None:
    with around():
        html = show(f"{needed(name)} / %}}")
    assert html.startswith("<") and "<script" not in html and "style=" not in html


@pytest.mark.parametrize("name", [name for name in NAMES if name != "live_view"])  # its unknown names go to mount()
def test_a_misspelt_argument_names_the_right_one(name: str) -> None:
    first = load_component_classes()[name].Kwargs.option_fields()[0].name.removesuffix("_")  # type: ignore[attr-defined]
    message = f"{name} has no argument '{first}x'. Did you mean '{first}'?"
    with around(), pytest.raises(TemplateSyntaxError, match=re.escape(message)):
        show(f'{{% component "{name}" {first}x="1" / %}}')


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ('{% component "live_spinner" size="larg" / %}', "live_spinner: size='larg'. Did you mean 'large'?"),
        (
            '{% component "live_toasts" position="x" / %}',
            "live_toasts: position='x'. It knows: bottom-end, bottom-start,",
        ),
        ('{% component "live_button" disable="yes" / %}', "live_button: disable='yes'. Write disable=True or False."),
        ('{% component "live_toasts" "a" / %}', "live_toasts got 1 values by position. It takes: none."),
        (
            '{% component "live_button" %}{% fill "icn" %}{% endfill %}{% endcomponent %}',
            "live_button has no slot 'icn'. Did you mean 'icon'?",
        ),
        ('{% component "live_spinner" delay="soon" / %}', "delay"),
    ],
)
def test_a_wrong_value_names_what_is_allowed(template: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=re.escape(message)):
        show(template)


@pytest.mark.parametrize("name", NAMES)
def test_every_component_explains_itself(name: str) -> None:
    cls: Any = load_component_classes()[name]
    assert cls.get_registered_name() == name and cls.__doc__
    assert [one.name for one in cls.Kwargs.option_fields() if not one.metadata.get("help")] == []


@pytest.fixture
def unloaded() -> Iterator[None]:
    """Components load their templates in this test, and again after it."""
    _forget_first_loads()
    yield
    _forget_first_loads()


def test_a_project_overrides_a_template(settings: Any, tmp_path: Path, unloaded: None) -> None:
    (tmp_path / "htmx_live").mkdir()
    (tmp_path / "htmx_live/live_spinner.html").write_text("<b>mine</b>")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    assert show('{% component "live_spinner" / %}') == "<b>mine</b>"


def test_first_renders_from_many_threads_are_all_complete(unloaded: None) -> None:
    expected = show('{% component "live_spinner" always=True / %}')
    for _ in range(20):
        _forget_first_loads()
        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(show, '{% component "live_spinner" always=True / %}') for _ in range(8)]
        assert [job.result() for job in jobs] == [expected] * 8


def _forget_first_loads() -> None:
    for cls in load_component_classes().values():
        component_module._loaded.discard(cls)
        cls._component_media.reset()  # type: ignore[attr-defined]


def test_components_are_registered_once_and_a_projects_own_stays() -> None:
    register_all()
    assert {"live_button", "live_form", "live_spinner"} <= set(NAMES)
    assert all(issubclass(cls, LiveComponent) for cls in load_component_classes().values())
