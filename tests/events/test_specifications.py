"""Event specifications, as hx-trigger takes them."""

import pytest
from django.template import TemplateSyntaxError

from htmx_live.events.attributes import add_modifier, event_names


@pytest.mark.parametrize(
    ("event", "completed"),
    [
        ("click", "click M"),
        ("click,keyup", "click M, keyup M"),
        ("input changed, keyup[key=='a,b'] from:body", "input changed M, keyup[key=='a,b'] from:body M"),
        ("input delay:1s, change", "input delay:1s, change M"),
        ("input throttle : 1s", "input throttle : 1s"),
        ('click from:"#a, #delay:b"', 'click from:"#a, #delay:b" M'),
        ("click target:(a, b)", "click target:(a, b) M"),
        ("click[delay:1]", "click[delay:1] M"),
        ("delay:loaded", "delay:loaded M"),
        ("every 5s", "every 5s M"),
    ],
)
def test_a_modifier_goes_to_each_part_that_does_not_pace_itself(event: str, completed: str) -> None:
    assert add_modifier(event, "delay:500ms") == completed.replace("M", "delay:500ms")


def test_without_a_modifier_the_parts_stay() -> None:
    assert add_modifier("click,keyup[a]", "") == "click, keyup[a]"


@pytest.mark.parametrize("event", ["", " ", "click,", ", click", "click,,keyup", "keyup[a", "keyup a]"])
def test_what_names_no_event_is_an_error(event: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="is no event specification"):
        add_modifier(event, "")


@pytest.mark.parametrize(("word", "meant"), [("dealy", "delay"), ("trottle", "throttle")])
def test_a_misspelt_modifier_is_an_error_with_a_guess(word: str, meant: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=f"no modifier '{word}'. Did you mean '{meant}'"):
        add_modifier(f"click {word}:1s", "")


def test_a_selector_may_hold_any_word_before_a_colon() -> None:
    for event in ("click from:closest form:invalid", "click from:delays:hover"):
        assert add_modifier(event, "") == event


def test_the_events_of_the_own_element_are_known_by_name() -> None:
    assert event_names("submit, keyup[key=='x'] delay:1s, click from:body") == {"submit", "keyup"}
