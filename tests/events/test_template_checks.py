"""Mistakes that only the rendered HTML shows."""

import pytest
from django.template import TemplateSyntaxError

from htmx_live.events.template_checks import check_markup


def test_two_triggers_on_one_element_are_an_error_that_names_both() -> None:
    html = '<p><button data-live-event="save" type="button" data-live-event="load">'
    with pytest.raises(
        TemplateSyntaxError, match=r"<button> has 2 {% on %}, for save and load: a browser sees the first"
    ):
        check_markup(html)


@pytest.mark.parametrize(
    ("html", "attribute"),
    [
        ('<form data-live-event="save" method="post" METHOD="get">', "method"),
        ('<i data-live-show data-live-for="a" data-live-for="b"/>', "data-live-for"),
    ],
)
def test_two_values_for_one_attribute_beside_a_tag_of_ours_are_an_error(html: str, attribute: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=f"has two values for {attribute}:"):
        check_markup(html)


@pytest.mark.parametrize(
    "html",
    [
        "",
        '<button data-live-event="save" data-live-disable></button><button data-live-event="save">',
        '<p class="a" class="b"><i data-live-show>',
        '<b data-live-event="save" data-live-key="7" data-live-disable data-live-key="7">',
        '<i data-live-show title="data-live-event data-live-event">&lt;b data-live-event data-live-event&gt;</i>',
        '<i data-live-show></i><script>"<b data-live-event data-live-event>"</script>',
        "<!-- <b data-live-event data-live-event> --><i data-live-show>",
    ],
)
def test_other_markup_passes(html: str) -> None:
    check_markup(html)
