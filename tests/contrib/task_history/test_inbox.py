"""The inbox as a page has it, and what is sent to it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory
from django.utils import timezone, translation

from htmx_live.contrib.task_history.models import TaskRecord
from htmx_live.progress import ProgressSession, current_task
from htmx_live.testing.environment import LiveEnvironment

pytestmark = pytest.mark.django_db(transaction=True)


def draw(user: Any, path: str = "/", tag: str = "{% task_inbox %}") -> str:
    request = RequestFactory().get(path)
    request.user = user
    request.session = SessionStore()
    return Template("{% load live_tasks %}" + tag).render(Context({"request": request}))


def record(user: Any, number: int, **fields: Any) -> TaskRecord:
    at = timezone.now() - timedelta(hours=number)
    given = {"session": f"s{number}", "name": f"Task {number}", "status": "complete", "created": at, "seen": at}
    return TaskRecord.objects.create(owner=user, **{**given, "finished": at, **fields})


def past(user: Any) -> str:
    """The part with what has ended."""
    return draw(user).partition("live-tasks-past")[2]


def names(html: str) -> list[str]:
    return re.findall(r'class="live-task-name">(.*?)<', html)


def sent(staged: LiveEnvironment) -> list[str]:
    """What was sent to the part with finished tasks, oldest first."""
    messages = staged.transport.messages
    return [message.data for message in messages if message.target.startswith("live-region-live-tasks")]


def test_an_empty_inbox_says_so(staged: LiveEnvironment, user: Any) -> None:
    html = draw(user)
    assert "Nothing is running." in html
    assert "What has ended will stand here." in html


def test_who_is_not_logged_in_has_none(staged: LiveEnvironment) -> None:
    assert draw(AnonymousUser()) == ""


def test_a_tag_says_what_it_takes(staged: LiveEnvironment, user: Any) -> None:
    html = draw(user, tag="{% task_inbox title='My work' class='wide' %}")
    assert '<section class="live-tasks wide"' in html
    assert ">My work</h2>" in html
    with pytest.raises(TemplateSyntaxError, match="titel= is unknown"):
        draw(user, tag="{% task_inbox titel='x' %}")


def test_the_newest_stand_first_ten_to_a_page(staged: LiveEnvironment, user: Any, django_user_model: Any) -> None:
    for number in range(1, 13):
        record(user, number)
    record(django_user_model.objects.create_user("bob"), 99)
    first, second = draw(user, "/?a=1"), draw(user, "/?a=1&tasks=2")
    assert names(first) == [f"Task {number}" for number in range(1, 11)]
    assert names(second) == ["Task 11", "Task 12"]
    assert 'href="?a=1&amp;tasks=2" rel="next"' in first
    assert 'href="?a=1&amp;tasks=1" rel="prev"' in second
    assert 'id="live-region-live-tasks"' in first
    assert "live-region" not in second
    assert names(draw(user, "/?tasks=junk")) == names(first)


def test_texts_are_escaped_and_only_what_is_complete_has_a_result(staged: LiveEnvironment, user: Any) -> None:
    record(user, 1, name="<b>", message="<i>", result_url="/a/?b=1&c=2")
    record(user, 2, status="error", result_url="/never/", error_id="abcd1234")
    html = draw(user)
    assert "&lt;b&gt;" in html and "&lt;i&gt;" in html
    assert 'href="/a/?b=1&amp;c=2"' in html
    assert "/never/" not in html
    assert "error abcd1234" in html


def fail() -> None:
    assert current_task() is not None
    raise ValueError


def test_what_failed_can_be_tried_again_while_it_is_kept(staged: LiveEnvironment, user: Any) -> None:
    session = ProgressSession.create({"a": "A"}, owner=user)
    session.run("a", fail)
    staged.runner.run_all()
    staged.clock.advance(1)
    assert "/retry/" in past(user)
    TaskRecord.objects.update(session="gone")
    assert "/retry/" not in past(user)


def test_an_end_is_sent_once_in_each_language_that_is_looked_at(staged: LiveEnvironment, user: Any) -> None:
    for language in ("en", "de"):
        with translation.override(language):
            draw(user)
    session = ProgressSession.create({"a": "Import"}, owner=user)
    session.start("a")
    staged.clock.advance(3)
    staged.transport.messages.clear()
    session.complete("a", "Done")
    staged.clock.advance(3)
    assert [names(html) for html in sent(staged)] == [["Import"], ["Import"]]


def test_nobody_looks_and_nothing_is_sent(staged: LiveEnvironment, user: Any) -> None:
    session = ProgressSession.create({"a": "Import"}, owner=user)
    session.complete("a")
    staged.clock.advance(3)
    assert sent(staged) == []
    assert TaskRecord.objects.get().status == "complete"


def test_looking_finds_what_was_lost(staged: LiveEnvironment, user: Any) -> None:
    record(user, 1, status="running", finished=None)
    html = draw(user)
    assert 'data-status="lost"' in html
    assert "interrupted" in html
