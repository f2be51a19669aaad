"""push_on_save: a region follows an object of the database."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.db.models.signals import post_delete, post_save

from htmx_live import LiveView, Topic, event_handler, push_on_save
from htmx_live.messaging.regions import region_id
from htmx_live.testing import sent_to
from htmx_live.testing.environment import live_environment

pytestmark = pytest.mark.django_db(transaction=True)
GROUPS = Topic("groups")
TEMPLATE = "regions/named.html"


@pytest.fixture(autouse=True)
def staged() -> Iterator[None]:
    """A stage, and no listener of one test in another."""
    known = [(signal, list(signal.receivers)) for signal in (post_save, post_delete)]
    with live_environment():
        yield
    for signal, receivers in known:
        signal.receivers = receivers
        signal.sender_receivers_cache.clear()


def shown(html: str, pk: Any, swap: str = "innerMorph") -> str:
    return f'<hx-partial hx-target="#{region_id(f"groups:{pk}")}" hx-swap="{swap}">{html}</hx-partial>'


def test_a_saved_object_is_sent_to_its_region() -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    group = Group.objects.create(name="<one>")
    assert sent_to(GROUPS) == [shown("&lt;one&gt;", group.pk)]


def test_a_function_makes_the_templates_context() -> None:
    @push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    def named(found: Group) -> dict[str, Any]:
        return {"group": {"name": found.name.upper()}}

    group = Group.objects.create(name="one")
    assert sent_to(GROUPS) == [shown("ONE", group.pk)]
    assert named(group) == {"group": {"name": "ONE"}}


def test_names_and_topics_are_made_from_fields() -> None:
    push_on_save(Group, "groups:{name}:{pk}", template=TEMPLATE, topic="of-{name}")
    group = Group.objects.create(name="a")
    assert sent_to(Topic("of-a")) == [shown("a", f"a:{group.pk}")]


def test_many_saves_of_one_object_in_a_transaction_are_one_message_after_the_commit() -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    one, other = (Group.objects.create(name=name) for name in "ab")
    before = len(sent_to(GROUPS))
    with transaction.atomic():
        for number in range(50):
            one.name = f"a{number}"
            one.save()
        other.save()
        assert len(sent_to(GROUPS)) == before
    assert sent_to(GROUPS)[before:] == [shown("a49", one.pk), shown("b", other.pk)]


def test_each_transaction_tells_anew() -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    group = Group.objects.create(name="1")
    for name in "23":
        with transaction.atomic():
            group.name = name
            group.save()
    assert sent_to(GROUPS) == [shown(name, group.pk) for name in "123"]


def test_after_a_rollback_nothing_is_sent_and_the_next_save_is() -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Group.objects.create(name="lost")
        raise ZeroDivisionError
    assert sent_to(GROUPS) == []
    with transaction.atomic():
        group = Group.objects.create(name="kept")
    assert sent_to(GROUPS) == [shown("kept", group.pk)]


def test_a_save_outlives_an_earlier_one_in_a_savepoint_that_is_rolled_back() -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    group = Group.objects.create(name="first")
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            group.name = "undone"
            group.save()
            raise ZeroDivisionError
        Group.objects.get(pk=group.pk).save()
    assert sent_to(GROUPS) == [shown("first", group.pk)] * 2


def test_what_is_sent_is_what_the_database_holds() -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    group = Group.objects.create(name="a")
    group.name = models.functions.Concat(models.F("name"), models.Value("!"))
    group.save()
    assert sent_to(GROUPS)[-1] == shown("a!", group.pk)


def test_a_deleted_object_takes_its_region_along() -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    group = Group.objects.create(name="a")
    pk = group.pk
    with transaction.atomic():
        group.save()
        group.delete()
    assert sent_to(GROUPS)[-1:] == [shown("", pk, "delete")]
    assert len(sent_to(GROUPS)) == 2


def test_a_new_object_is_added_to_a_list_and_replaced_from_then_on() -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups", append_to="all")
    group = Group.objects.create(name="a")
    group.save()
    added = f'<hx-partial hx-target="#{region_id("all")}" hx-swap="beforeend">a</hx-partial>'
    assert sent_to(GROUPS) == [added, shown("a", group.pk, "outerMorph")]


def test_a_fixtures_objects_are_not_sent() -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    Group(pk=7, name="raw").save_base(raw=True)
    assert sent_to(GROUPS) == []


def test_a_template_that_fails_does_not_keep_the_object_from_being_saved(caplog: Any) -> None:
    push_on_save(Group, "groups:{pk}", template="regions/missing.html", topic="groups")
    group = Group.objects.create(name="a")
    assert (Group.objects.filter(pk=group.pk).count(), sent_to(GROUPS)) == (1, [])
    assert "auth.Group" in caplog.text and "TemplateDoesNotExist" in caplog.text


class Saving(LiveView):
    template_name = TEMPLATE

    @event_handler
    def save(self) -> None:
        Group.objects.create(name="kept")
        raise RuntimeError


def test_what_a_turn_has_saved_is_sent_even_if_the_turn_fails(live: Any) -> None:
    push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    live(Saving, raise_errors=False).send("save", {})
    assert sent_to(GROUPS) == [shown("kept", Group.objects.get().pk)]


def test_who_reads_later_sends_later() -> None:
    """One has read the old name, and before it sends that, another wants to send the new one: it has to wait."""
    others: list[threading.Thread] = []

    def rename() -> None:
        group = Group.objects.get()
        group.name = "new"
        group.save()

    @push_on_save(Group, "groups:{pk}", template=TEMPLATE, topic="groups")
    def named(found: Group) -> dict[str, Any]:
        if found.name == "old":
            others.append(threading.Thread(target=rename))
            others[0].start()
            others[0].join(0.3)  # ends only if it need not wait
        return {"group": {"name": found.name}}

    group = Group.objects.create(name="old")
    others[0].join()
    assert sent_to(GROUPS) == [shown("old", group.pk), shown("new", group.pk)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "auth.Group"}, TypeError, "expected a model"),
        ({"model": models.Model}, TypeError, "expected a model"),
        ({"name": "groups"}, ValueError, "'groups:{pk}'"),
        ({"name": "groups:{nmae}"}, ValueError, "Group has no 'nmae'. It has: id, name, pk"),
        ({"name": "groups:{}"}, ValueError, "Group has no ''"),
        ({"name": "groups:{pk.real}"}, ValueError, "Group has no 'pk.real'"),
        ({"name": "groups:{pk"}, ValueError, "expected '}'"),
        ({"topic": "groups:{nmae}"}, ValueError, "topic="),
        ({"topic": ""}, TypeError, "topic="),
        ({"template": None}, TypeError, "expected the path of a template"),
    ],
)
def test_what_does_not_fit_is_said_at_once(arguments: Any, error: type[Exception], message: str) -> None:
    given: Any = {"model": Group, "name": "groups:{pk}", "template": TEMPLATE, "topic": "groups", **arguments}
    before = len(post_save.receivers)
    with pytest.raises(error) as caught:
        push_on_save(given.pop("model"), given.pop("name"), **given)
    assert message in str(caught.value)
    assert len(post_save.receivers) == before
