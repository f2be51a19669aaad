"""One suite for every place where sessions are kept."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import caches

from htmx_live.backends.redis.client import RedisConnection
from htmx_live.core.records import Owner
from htmx_live.progress import ProgressSession
from htmx_live.progress import memory_store as memory
from htmx_live.progress.cache_store import CacheProgressStore
from htmx_live.progress.memory_store import MAX_CARDS, MemoryProgressStore
from htmx_live.progress.model import ProgressStatus, SessionHeader, TaskState, owner_key
from htmx_live.progress.redis_store import RedisProgressStore
from htmx_live.progress.store import (
    ProgressStore,
    create_or_join,
    override_progress_store,
    progress_store,
    task_finished_receivers,
    update_task,
)
from htmx_live.progress.transitions import Report, apply_report, mark_completed, mark_started
from tests.redis_server import RedisServer

OWNER = Owner(token="t", user="7")


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.processes), "cache"])
def place(request: pytest.FixtureRequest, settings: Any) -> Iterator[ProgressStore]:
    if request.param == "memory":
        made: ProgressStore = MemoryProgressStore()
    elif request.param == "cache":
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "LOCATION": "progress",
                "OPTIONS": {"MAX_ENTRIES": 5000},
            }
        }
        caches["default"].clear()
        made = CacheProgressStore("default")
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        made = RedisProgressStore(RedisConnection(server.url, prefix=f"{uuid4().hex}:"))
    with override_progress_store(made):
        yield made


def create(place: ProgressStore, *tasks: str, session: str = "s1", created: float = 0, owner: Owner = OWNER) -> None:
    names = {task: task.upper() for task in tasks or ("a", "b")}
    made = SessionHeader(id=session, owner=owner, created=created, names=names, weights={"a": 2.0})
    place.create(made, {task: TaskState() for task in names})


def test_what_was_created_is_loaded(place: ProgressStore) -> None:
    create(place)
    kept = place.load("s1")
    assert kept is not None
    assert kept.header == SessionHeader(id="s1", owner=OWNER, created=0, names={"a": "A", "b": "B"}, weights={"a": 2.0})
    assert (kept.states, kept.cards, kept.number) == ({"a": TaskState(), "b": TaskState()}, {}, 0)
    assert abs(kept.now - place.now()) < 5


def test_what_is_not_there_is_none(place: ProgressStore) -> None:
    create(place)
    assert (place.load("s2"), place.load_task("s1", "c"), place.load_task("s2", "a")) == (None, None, None)
    assert (place.compare_and_set("s2", "a", TaskState(rev=1)), place.heartbeat("s2", ["a"])) == (False, set())


def test_a_row_comes_back_as_it_was_written(place: ProgressStore) -> None:
    create(place)
    update_task("s1", "a", mark_started)
    written = update_task("s1", "a", apply_report(Report(current=3, total=9.5, message="ü <b>", unit="rows")))
    found = place.load_task("s1", "a")
    assert written is not None and found is not None and found[0] == written


def test_only_the_first_of_two_swaps_is_made(place: ProgressStore) -> None:
    create(place)
    assert place.compare_and_set("s1", "a", TaskState(rev=1, message="one"))
    assert not place.compare_and_set("s1", "a", TaskState(rev=1, message="other"))
    found = place.load_task("s1", "a")
    assert found is not None and found[0].message == "one"


def test_the_number_rises_with_every_change_of_any_task(place: ProgressStore) -> None:
    create(place)
    numbers = []
    for task in ("a", "b", "a"):
        update_task("s1", task, apply_report(Report(advance=1)))
        kept = place.load("s1")
        numbers.append(kept.number if kept else None)
    assert numbers == [1, 2, 3]


def test_signs_of_life_reach_what_runs_and_change_no_number(place: ProgressStore) -> None:
    create(place)
    update_task("s1", "a", mark_started)
    before = place.load("s1")
    assert place.heartbeat("s1", ["a", "b", "c"]) == {"a"}
    after = place.load("s1")
    assert before is not None and after is not None
    assert (after.number, after.states["a"].beat >= before.states["a"].beat) == (before.number, True)


def test_a_row_that_has_ended_does_not_live(place: ProgressStore) -> None:
    create(place)
    update_task("s1", "a", mark_completed("", Report()))
    assert place.heartbeat("s1", ["a"]) == set()


def test_an_owner_has_a_list_the_newest_first(place: ProgressStore) -> None:
    for number in range(3):
        create(place, session=f"s{number}", created=number)
    create(place, session="foreign", owner=Owner(user="8"))
    create(place, session="nobodys", owner=Owner())
    update_task("s1", "a", mark_started)
    listed = place.find_by_owner(owner_key(OWNER))
    assert [kept.header.id for kept in listed] == ["s2", "s1", "s0"]
    assert [kept.states["a"].status for kept in listed] == ["pending", "running", "pending"]
    assert place.find_by_owner("user-9") == []


def test_what_is_on_pages_is_noted(place: ProgressStore) -> None:
    create(place)
    place.add_card("s1", "k", "one")
    place.add_card("s1", "k", "two")
    place.add_card("gone", "k", "one")
    place.add_list_card("user-7", "k", "list")
    kept = place.load("s1")
    assert kept is not None and kept.cards == {"k": "two"}
    assert (place.load_list_cards("user-7"), place.load_list_cards("user-8")) == ({"k": "list"}, {})


def test_kinds_of_cards_are_bounded(place: ProgressStore) -> None:
    create(place)
    for number in range(MAX_CARDS + 5):
        place.add_card("s1", str(number), "card")
    kept = place.load("s1")
    assert kept is not None and len(kept.cards) == MAX_CARDS and str(MAX_CARDS + 4) in kept.cards


def test_tasks_may_have_any_name(place: ProgressStore) -> None:
    create(place, "a:b", "ü" * 300, "with space", "row:x")
    update_task("s1", "ü" * 300, mark_started)
    kept = place.load("s1")
    assert kept is not None
    assert [row.status.value for row in kept.states.values()] == ["pending", "running", "pending", "pending"]


def test_a_session_of_500_tasks_keeps_them_apart(place: ProgressStore) -> None:
    create(place, *(f"t{number}" for number in range(500)))
    for number in range(0, 500, 50):
        update_task("s1", f"t{number}", mark_completed("", Report()))
    kept = place.load("s1")
    assert kept is not None
    assert sum(row.status is ProgressStatus.COMPLETE for row in kept.states.values()) == 10


def test_threads_that_change_one_session_lose_nothing(place: ProgressStore) -> None:
    """One task each in a cache, which cannot compare and swap; everywhere else all change the same one too."""
    create(place, *(f"t{number}" for number in range(4)), "all")
    is_cache = isinstance(place, CacheProgressStore)

    def work(number: int) -> None:
        for _ in range(25):
            update_task("s1", f"t{number}", apply_report(Report(advance=1)))
            if not is_cache:
                update_task("s1", "all", apply_report(Report(advance=1)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = place.load("s1")
    assert kept is not None
    figures = {task: row.current for task, row in kept.states.items()}
    assert figures == {**{f"t{number}": 25 for number in range(4)}, "all": None if is_cache else 100}


def test_a_whole_session_works_in_every_place(place: ProgressStore) -> None:
    session = ProgressSession.create({"a": "A", "b": "B"})
    assert list(session.track("a", range(3))) == [0, 1, 2]
    with session.task("b") as task:
        task.advance(2)
    found = ProgressSession.get(session.session_id)
    assert found is not None
    assert [one["current"] for one in found.to_dict()["tasks"].values()] == [3, 2]
    assert list(found.stream())[-1].startswith('{"overall_percent": 100, ')


def test_settings_choose_the_place(settings: Any) -> None:
    settings.HTMX_LIVE = {}
    assert isinstance(progress_store(), MemoryProgressStore)
    settings.HTMX_LIVE = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    assert isinstance(progress_store(), RedisProgressStore)
    settings.HTMX_LIVE = {"REDIS_URL": "redis://127.0.0.1:1/0", "PROGRESS_CACHE": "default"}
    assert isinstance(progress_store(), CacheProgressStore)


def test_what_a_celery_task_works_on_is_known(place: ProgressStore) -> None:
    for session, task in (("s1", "a"), ("s1", "b"), ("s1", "a")):
        place.link_celery_task("job", session, task)
    assert (sorted(place.find_by_celery_task("job")), place.find_by_celery_task("other")) == (
        [("s1", "a"), ("s1", "b")],
        [],
    )


def test_of_very_many_tasks_of_a_celery_task_the_last_are_known(place: ProgressStore) -> None:
    for number in range(MAX_CARDS + 3):
        place.link_celery_task("job", "s1", str(number))
    assert [task for _, task in place.find_by_celery_task("job")] == [str(number) for number in range(3, MAX_CARDS + 3)]


def test_in_redis_the_list_of_an_owner_lasts_as_long_as_the_last_session_of_it(
    settings: Any, redis_server: RedisServer
) -> None:
    connection = RedisConnection(redis_server.url, prefix=f"{uuid4().hex}:")
    settings.HTMX_LIVE = {"PROGRESS_TTL": 60}
    place = RedisProgressStore(connection)
    with override_progress_store(place), redis_server.client() as client:
        create(place, "a")
        [name] = client.keys(f"{connection.prefix}progress:owner:*")
        lasts = [client.ttl(name)]
        for act in (lambda: update_task("s1", "a", mark_started), lambda: place.heartbeat("s1", ["a"])):
            client.expire(name, 10)
            act()
            lasts.append(client.ttl(name))
    assert all(50 < seconds <= 60 for seconds in lasts), lasts


# Changes of one row


class Contended(MemoryProgressStore):
    """Others always come first."""

    tries = 0

    def create(self, session: SessionHeader, rows: dict[str, TaskState], *, replacing: str = "") -> str:
        self.tries += 1
        return super().create(session, rows) if session.id == "s1" else "gone"

    def compare_and_set(self, session: str, task: str, row: TaskState) -> bool:
        self.tries += 1
        return False


def test_after_a_hundred_tries_a_change_is_given_up() -> None:
    with override_progress_store(Contended()) as place:
        create(place)
        place.tries = 0  # type: ignore[attr-defined]
        with pytest.raises(RuntimeError, match=r"^Task 'a' of session s1 was changed 100 times by others"):
            update_task("s1", "a", mark_started)
        assert place.tries == 100  # type: ignore[attr-defined]


def test_after_a_hundred_tries_a_session_with_a_key_is_given_up() -> None:
    session = SessionHeader(id="s2", owner=OWNER, created=0, names={"a": "A"}, weights={}, key="import")
    with override_progress_store(Contended()) as place:
        with pytest.raises(RuntimeError, match=r"^Sessions with the key 'import' ended 100 times"):
            create_or_join(session, {"a": TaskState()})
        assert place.tries == 100  # type: ignore[attr-defined]


def test_the_time_that_a_change_hears_never_runs_back() -> None:
    heard: list[float] = []
    now = 50.0
    with override_progress_store(MemoryProgressStore(clock=lambda: now)) as place:
        create(place)
        update_task("s1", "a", mark_started)
        update_task("s1", "b", apply_report(Report(current=1)))
        now = 60.0
        update_task("s1", "b", apply_report(Report(current=2)))
        now = 20.0
        for task in ("a", "b"):
            update_task("s1", task, lambda row, now: heard.append(now))
    assert heard == [50.0, 60.0]


def test_a_change_that_is_dropped_gives_the_row_as_it_is() -> None:
    with override_progress_store(MemoryProgressStore()) as place:
        create(place)
        ended = update_task("s1", "a", mark_completed("", Report()))
        assert update_task("s1", "a", mark_started) == ended
        assert ended is not None and ended.rev == 1
        assert update_task("s1", "c", mark_started) is None


def test_the_end_of_a_task_that_wants_it_noticed_is_told_once() -> None:
    told: list[tuple[str, str, str]] = []

    def tell(session: str, task: str, row: TaskState) -> None:
        told.append((session, task, row.status.value))

    session = SessionHeader(id="s1", owner=OWNER, created=0, names={"a": "A", "b": "B"}, weights={})
    with override_progress_store(MemoryProgressStore()) as place:
        place.create(session, {"a": TaskState(notify="A"), "b": TaskState()})
        task_finished_receivers.append(tell)
        try:
            for task in ("a", "b"):
                update_task("s1", task, mark_started)
                update_task("s1", task, mark_completed("", Report()))
                update_task("s1", task, lambda row, now: replace(row, message="Seen"))
        finally:
            task_finished_receivers.remove(tell)
    assert told == [("s1", "a", "complete")]


def test_one_place_is_built_for_one_choice(settings: Any) -> None:
    settings.HTMX_LIVE = {}
    assert progress_store() is progress_store()
    with override_progress_store(MemoryProgressStore()) as outer:
        with override_progress_store(MemoryProgressStore()) as inner:
            assert progress_store() is inner
        assert progress_store() is outer
    assert progress_store() is not outer


# The bounds of the memory


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryProgressStore]:
    """Keeps two of everything."""
    monkeypatch.setattr(memory, "_MAX_SESSIONS", 2)
    with override_progress_store(MemoryProgressStore()) as place:
        assert isinstance(place, MemoryProgressStore)
        yield place


def test_of_too_many_sessions_the_one_unused_for_longest_goes(small: MemoryProgressStore) -> None:
    create(small, session="s1")
    create(small, session="s2")
    update_task("s1", "a", mark_started)
    create(small, session="s3")
    assert [small.load(session) is None for session in ("s1", "s2", "s3")] == [False, True, False]


def test_a_session_that_goes_leaves_nothing_of_its_key(small: MemoryProgressStore) -> None:
    for number in range(4):
        session = SessionHeader(id=f"s{number}", owner=OWNER, created=0, names={"a": "A"}, weights={}, key=f"k{number}")
        small.create(session, {"a": TaskState()})
    assert sorted(small._keys.values()) == ["s2", "s3"]
    again = SessionHeader(id="again", owner=OWNER, created=0, names={"a": "A"}, weights={}, key="k2")
    small.create(again, {"a": TaskState()}, replacing="s2")
    create(small, session="s5")  # s2 goes, whose key has another session
    assert sorted(small._keys.values()) == ["again"]


def test_of_too_many_jobs_and_lists_the_first_go(small: MemoryProgressStore) -> None:
    for word in ("1", "2", "3"):
        small.link_celery_task(word, "s1", "a")
    assert [small.find_by_celery_task(word) for word in ("1", "2", "3")] == [[], [("s1", "a")], [("s1", "a")]]
    for owner in ("1", "2", "1", "3"):
        small.add_list_card(owner, "k", "card")
    assert [small.load_list_cards(owner) for owner in ("1", "2", "3")] == [{"k": "card"}, {}, {"k": "card"}]


def test_the_memory_tells_the_time() -> None:
    assert abs(MemoryProgressStore().now() - time.time()) < 60
