"""Children: live views inside a live view."""

import json
import re
from typing import Any

import pytest

from htmx_live import LiveView, event_handler
from htmx_live.core.exceptions import TurnError
from htmx_live.runtime.services import services
from tests.sample_views import Row, Rows
from tests.working_views import shout

pytestmark = pytest.mark.django_db
ROOT = re.compile(r'<li id="live-(\w+)" data-live="([^"]*)" data-live-rev="(\d+)"[^>]*>(?:(\d+): (\d+))?')


def roots(html: str) -> list[tuple[str, str, str]]:
    """Each child's instance, its pk and its count; both empty where the root is."""
    return [(instance, pk, count) for instance, _, _, pk, count in ROOT.findall(html)]


def show(client: Any, *pks: int) -> str:
    client.send("show", {"_args": json.dumps({"pks": pks})})
    return str(client.answer)


def test_the_first_render_shows_each_child_in_full(live: Any) -> None:
    assert [(pk, count) for _, pk, count in roots(live(Rows).html)] == [("1", "0"), ("2", "0")]


def test_a_child_that_stays_is_left_alone_and_a_new_one_is_shown(live: Any) -> None:
    client = live(Rows)
    first, second = (instance for instance, _, _ in roots(client.html))
    answer = roots(show(client, 2, 3, 1))
    assert [(pk, count) for _, pk, count in answer] == [("", ""), ("3", "0"), ("", "")]
    assert (answer[0][0], answer[2][0]) == (second, first)


def test_a_child_that_goes_ends_with_its_jobs(live: Any) -> None:
    client = live(Rows)
    first, second = (instance for instance, _, _ in roots(client.html))
    client.send("work", {}, root=f"live-{first}")
    show(client, 2)
    assert services().store.load(first) is None
    assert services().store.load(second) is not None
    assert client.run_jobs() == 1  # it is told, and finds nobody to report to


def test_a_childs_event_does_not_render_its_parent(live: Any) -> None:
    client = live(Rows)
    rev, child = client.rev, roots(client.html)[1][0]
    client.send("bump", {}, root=f"live-{child}")
    assert roots(client.answer) == [(child, "2", "1")]
    assert services().store.load(client.instance).record.rev == rev


def test_other_kwargs_mount_a_child_anew(live: Any) -> None:
    client = live(Moving)
    before = roots(client.html)[0]
    client.send("move", {"pk": "7"})
    after = roots(client.answer)[0]
    assert (before[1], after[1], before[0] == after[0]) == ("1", "7", False)


def test_a_child_without_permission_is_not_there(live: Any) -> None:
    client = live(Rows)
    assert [pk for _, pk, _ in roots(show(client, 13, 4))] == ["4"]


def test_a_childs_grant_opens_that_child_and_its_handlers_alone(live: Any) -> None:
    client = live(Rows, raise_errors=False)
    (first, _, _), (second, _, _) = roots(client.html)
    client.send("bump", {"_args": json.dumps({"pk": 2, "instance": second})}, root=f"live-{first}")
    assert [(pk, count) for _, pk, count in roots(client.html)] == [("1", "1"), ("2", "0")]
    assert client.send("show", {"_args": json.dumps({"pks": [2]})}, root=f"live-{first}").status == 404
    assert [pk for _, pk, _ in roots(client.html)] == ["1", "2"]


def test_a_child_in_a_loop_needs_a_key(live: Any) -> None:
    with pytest.raises(TurnError, match="give each its key"):
        live(Keyless)


def test_a_reload_shows_the_children_as_they_are(live: Any) -> None:
    client = live(Rows)
    child = roots(client.html)[0][0]
    client.send("bump", {}, root=f"live-{child}")
    client.reload()
    assert roots(client.html)[0] == (child, "1", "1")


def test_a_child_that_has_expired_comes_back_with_a_reload(live: Any) -> None:
    client = live(Rows)
    show(client, 1)
    [(child, _, _)] = roots(client.html)
    services().store.delete(child)
    client.reload()
    [(again, pk, bumps)] = roots(client.html)
    assert (again != child, pk, bumps) == (True, "1", "0")


def test_a_childs_jobs_belong_to_the_page_that_brought_it(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def mount(self: Any, request: Any, pk: int = 0, **kwargs: Any) -> None:
        self.pk, self.bumps = pk, 0
        self.start_async(shout, "text")

    monkeypatch.setattr(Row, "mount", mount)
    client = live(Rows)
    show(client, 1, 2, 3)
    records = [services().store.load(child).record for child, _, _ in roots(client.html)]
    page = services().store.load(client.instance).record.pages[0]
    assert [row.page for record in records for row in record.jobs] == [page] * 3


def test_a_child_born_in_a_turn_that_is_not_saved_ends(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    born: list[str] = []

    def mount(self: Any, request: Any, pk: int = 0, **kwargs: Any) -> None:
        self.pk, self.bumps = pk, 0
        born.append(self._live.record.instance)
        services().store.delete(client.instance)

    client = live(Rows)
    monkeypatch.setattr(Row, "mount", mount)
    show(client, 3)
    assert services().store.load(born[0]) is None


def test_a_page_that_missed_a_childs_arrival_asks_for_its_parent_again(live: Any) -> None:
    client = live(Rows)
    client.disconnect()
    grant, missed = client.html, {"_args": json.dumps({"pks": [1, 2, 3]})}
    url, headers = f"{client._base_url}event/show/", {"X-Live": re.findall('data-live="([^"]+)"', grant)[0]}
    client.http.post(url, missed, headers={**headers, **client._page_headers()})  # its answer is lost
    show(client, 3, 2)
    assert [(pk, count) for _, pk, count in roots(client.html)] == [("3", "0"), ("2", "0")]


class Moving(LiveView):
    template_name = "views/moving.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.pk = 1

    @event_handler
    def move(self, pk: int) -> None:
        self.pk = pk


class Keyless(LiveView):
    template_name = "views/keyless.html"


def test_a_shared_child_is_shown_once_and_left_alone_afterwards(live: Any) -> None:
    client = live(Walled)
    assert client.text == "0 0 Add"
    client.send("step", {})
    assert 'data-live=""' in client.answer
    assert client.text == "1 0 Add"


def test_a_shared_child_outlives_the_parent_that_shows_it(live: Any) -> None:
    client = live(Walled)
    board = next(iter(services().store.load(client.instance).record.children.values()))[0]
    client.send("hide", {})
    assert (client.text, services().store.load(board) is None) == ("0", False)


class Walled(LiveView):
    template_name = "views/walled.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.steps, self.shows = 0, True

    @event_handler
    def step(self) -> None:
        self.steps += 1

    @event_handler
    def hide(self) -> None:
        self.shows = False
