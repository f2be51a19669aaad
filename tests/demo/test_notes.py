"""The demo's shared note: two people's changes are woven into one text, which both see in the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from demo.notes.weaving import joined, woven
from tests.server import ROOT, demo_server

TEXTS = st.text(alphabet="ab \n", max_size=12)


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "both"),
    [
        ("it opens at nine", "it closes at nine", "it opens at nine, always", "it closes at nine, always"),
        ("one two three", "two three", "one two three four", "two three four"),
        ("abc", "abcX", "abcY", "abcXY"),
        ("abcX", "abcXZ", "abcXY", "abcXZY"),
        ("abcY", "abc", "abcXYZ", "abcXZ"),
        ("", "mine", "theirs", "minetheirs"),
        ("delete me", "", "delete me not", " not"),
    ],
)  # fmt: skip
def test_both_changes_are_made(base: str, mine: str, theirs: str, both: str) -> None:
    assert woven(base, mine, theirs) == both


@given(base=TEXTS, other=TEXTS)
def test_a_change_alone_is_what_comes_out(base: str, other: str) -> None:
    assert (woven(base, other, base), woven(base, base, other)) == (other, other)


@given(base=TEXTS, place=st.integers(0, 12), typed=st.text(alphabet="XYZ", min_size=1), theirs=TEXTS)
def test_what_is_typed_into_one_text_stands_whole_in_the_other(base: str, place: int, typed: str, theirs: str) -> None:
    both = woven(base, base[:place] + typed + base[place:], theirs)
    assert typed in both
    assert both.replace(typed, "", 1) == theirs


@given(mine=TEXTS, theirs=TEXTS)
@example(mine=" a \na\n", theirs="aa\na")  # of what both hold there are several ways to find it again
def test_without_a_base_both_texts_are_there_as_a_whole(mine: str, theirs: str) -> None:
    both = joined(mine, theirs)
    for text in (mine, theirs):
        rest = iter(both)
        assert all(character in rest for character in text)


LATE = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.test.utils import setup_test_environment
from demo.notes.views import SharedNote
from htmx_live import push_to_view
from htmx_live.testing import LiveClient
from htmx_live.testing.environment import live_environment

setup_test_environment()
with live_environment():
    anna, ben = (LiveClient(SharedNote, user=user, pk=1) for user in get_user_model().objects.order_by("pk")[:2])
    for one in (anna, ben):
        one.submit("edit")
    broadcast, late = SharedNote.broadcast, []
    SharedNote.broadcast = lambda self, *call: late.append(call)
    anna.trigger("input", "update_content", value=anna.state["draft"] + "Anna")
    SharedNote.broadcast = broadcast
    ben.trigger("input", "update_content", value=ben.state["draft"] + "Ben")
    [(handler, payload)] = late
    push_to_view(SharedNote, handler=handler, payload=payload)
    print(*(one.state["content"].splitlines()[-1] for one in (anna, ben)), sep="; ")
"""


@pytest.mark.processes
def test_all_see_the_whole_text_when_a_broadcast_comes_late(tmp_path: Path) -> None:
    env = {**os.environ, **demo_server(tmp_path).env}
    run = subprocess.run([sys.executable, "-c", LATE], env=env, cwd=ROOT, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("BenAnna; BenAnna\n", "")
