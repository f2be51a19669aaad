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
from htmx_live.progress.cache_store import CacheKeeping
from htmx_live.progress.memory_store import MAX_SHOWN, MemoryKeeping
from htmx_live.progress.model import ProgressStatus, Row, Session, listed_under
from htmx_live.progress.redis_store import RedisKeeping
from htmx_live.progress.store import Keeping, apply, create_or_join, endings, keeping, override_keeping
from htmx_live.progress.transitions import Report, completed, reported, started
from tests.redis_server import RedisServer

OWNER = Owner(token="t", user="7")


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.processes), "cache"])
def place(request: pytest.FixtureRequest, settings: Any) -> Iterator[Keeping]:
    if request.param == "memory":
        made: Keeping = MemoryKeeping()
    elif request.param == "cache":
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "LOCATION": "progress",
                "OPTIONS": {"MAX_ENTRIES": 5000},
            }
        }
        caches["default"].clear()
        made = CacheKeeping("default")
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        made = RedisKeeping(RedisConnection(server.url, prefix=f"{uuid4().hex}:"))
    with override_keeping(made):
        yield made


def create(place: Keeping, *tasks: str, session: str = "s1", created: float = 0, owner: Owner = OWNER) -> None:
    names = {task: task.upper() for task in tasks or ("a", "b")}
    made = Session(id=session, owner=owner, created=created, names=names, weights={"a": 2.0})
    place.create(made, {task: Row() for task in names})


def test_what_was_created_is_loaded(place: Keeping) -> None:
    create(place)
    kept = place.load("s1")
    assert kept is not None
    assert kept.session == Session(id="s1", owner=OWNER, created=0, names={"a": "A", "b": "B"}, weights={"a": 2.0})
    assert (kept.rows, kept.shown, kept.number) == ({"a": Row(), "b": Row()}, {}, 0)
    assert abs(kept.now - place.now()) < 5


def test_what_is_not_there_is_none(place: Keeping) -> None:
    create(place)
    assert (place.load("s2"), place.row("s1", "c"), place.row("s2", "a")) == (None, None, None)
    assert (place.swap("s2", "a", Row(rev=1)), place.beat("s2", ["a"])) == (False, set())


def test_a_row_comes_back_as_it_was_written(place: Keeping) -> None:
    create(place)
    apply("s1", "a", started)
    written = apply("s1", "a", reported(Report(current=3, total=9.5, message="ü <b>", unit="rows")))
    found = place.row("s1", "a")
    assert written is not None and found is not None and found[0] == written


def test_only_the_first_of_two_swaps_is_made(place: Keeping) -> None:
    create(place)
    assert place.swap("s1", "a", Row(rev=1, message="one"))
    assert not place.swap("s1", "a", Row(rev=1, message="other"))
    found = place.row("s1", "a")
    assert found is not None and found[0].message == "one"


def test_the_number_rises_with_every_change_of_any_task(place: Keeping) -> None:
    create(place)
    numbers = []
    for task in ("a", "b", "a"):
        apply("s1", task, reported(Report(advance=1)))
        kept = place.load("s1")
        numbers.append(kept.number if kept else None)
    assert numbers == [1, 2, 3]


def test_signs_of_life_reach_what_runs_and_change_no_number(place: Keeping) -> None:
    create(place)
    apply("s1", "a", started)
    before = place.load("s1")
    assert place.beat("s1", ["a", "b", "c"]) == {"a"}
    after = place.load("s1")
    assert before is not None and after is not None
    assert (after.number, after.rows["a"].beat >= before.rows["a"].beat) == (before.number, True)


def test_a_row_that_has_ended_does_not_live(place: Keeping) -> None:
    create(place)
    apply("s1", "a", completed("", Report()))
    assert place.beat("s1", ["a"]) == set()


def test_an_owner_has_a_list_the_newest_first(place: Keeping) -> None:
    for number in range(3):
        create(place, session=f"s{number}", created=number)
    create(place, session="foreign", owner=Owner(user="8"))
    create(place, session="nobodys", owner=Owner())
    apply("s1", "a", started)
    listed = place.of_owner(listed_under(OWNER))
    assert [kept.session.id for kept in listed] == ["s2", "s1", "s0"]
    assert [kept.rows["a"].status for kept in listed] == ["pending", "running", "pending"]
    assert place.of_owner("user-9") == []


def test_what_is_on_pages_is_noted(place: Keeping) -> None:
    create(place)
    place.show("s1", "k", "one")
    place.show("s1", "k", "two")
    place.show("gone", "k", "one")
    place.show_list("user-7", "k", "list")
    kept = place.load("s1")
    assert kept is not None and kept.shown == {"k": "two"}
    assert (place.shown_lists("user-7"), place.shown_lists("user-8")) == ({"k": "list"}, {})


def test_kinds_of_cards_are_bounded(place: Keeping) -> None:
    create(place)
    for number in range(MAX_SHOWN + 5):
        place.show("s1", str(number), "card")
    kept = place.load("s1")
    assert kept is not None and len(kept.shown) == MAX_SHOWN and str(MAX_SHOWN + 4) in kept.shown


def test_tasks_may_have_any_name(place: Keeping) -> None:
    create(place, "a:b", "ü" * 300, "with space", "row:x")
    apply("s1", "ü" * 300, started)
    kept = place.load("s1")
    assert kept is not None
    assert [row.status.value for row in kept.rows.values()] == ["pending", "running", "pending", "pending"]


def test_a_session_of_500_tasks_keeps_them_apart(place: Keeping) -> None:
    create(place, *(f"t{number}" for number in range(500)))
    for number in range(0, 500, 50):
        apply("s1", f"t{number}", completed("", Report()))
    kept = place.load("s1")
    assert kept is not None
    assert sum(row.status is ProgressStatus.COMPLETE for row in kept.rows.values()) == 10


def test_threads_that_change_one_session_lose_nothing(place: Keeping) -> None:
    """One task each in a cache, which cannot compare and swap; everywhere else all change the same one too."""
    create(place, *(f"t{number}" for number in range(4)), "all")
    is_cache = isinstance(place, CacheKeeping)

    def work(number: int) -> None:
        for _ in range(25):
            apply("s1", f"t{number}", reported(Report(advance=1)))
            if not is_cache:
                apply("s1", "all", reported(Report(advance=1)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = place.load("s1")
    assert kept is not None
    figures = {task: row.current for task, row in kept.rows.items()}
    assert figures == {**{f"t{number}": 25 for number in range(4)}, "all": None if is_cache else 100}


def test_a_whole_session_works_in_every_place(place: Keeping) -> None:
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
    assert isinstance(keeping(), MemoryKeeping)
    settings.HTMX_LIVE = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    assert isinstance(keeping(), RedisKeeping)
    settings.HTMX_LIVE = {"REDIS_URL": "redis://127.0.0.1:1/0", "PROGRESS_CACHE": "default"}
    assert isinstance(keeping(), CacheKeeping)


def test_what_a_celery_task_works_on_is_known(place: Keeping) -> None:
    for session, task in (("s1", "a"), ("s1", "b"), ("s1", "a")):
        place.bind("job", session, task)
    assert (sorted(place.bound("job")), place.bound("other")) == ([("s1", "a"), ("s1", "b")], [])


def test_of_very_many_tasks_of_a_celery_task_the_last_are_known(place: Keeping) -> None:
    for number in range(MAX_SHOWN + 3):
        place.bind("job", "s1", str(number))
    assert [task for _, task in place.bound("job")] == [str(number) for number in range(3, MAX_SHOWN + 3)]


def test_in_redis_the_list_of_an_owner_lasts_as_long_as_the_last_session_of_it(
    settings: Any, redis_server: RedisServer
) -> None:
    connection = RedisConnection(redis_server.url, prefix=f"{uuid4().hex}:")
    settings.HTMX_LIVE = {"PROGRESS_TTL": 60}
    place = RedisKeeping(connection)
    with override_keeping(place), redis_server.client() as client:
        create(place, "a")
        [name] = client.keys(f"{connection.prefix}progress:owner:*")
        lasts = [client.ttl(name)]
        for act in (lambda: apply("s1", "a", started), lambda: place.beat("s1", ["a"])):
            client.expire(name, 10)
            act()
            lasts.append(client.ttl(name))
    assert all(50 < seconds <= 60 for seconds in lasts), lasts


# Changes of one row


class Contended(MemoryKeeping):
    """Others always come first."""

    tries = 0

    def create(self, session: Session, rows: dict[str, Row], *, instead_of: str = "") -> str:
        self.tries += 1
        return super().create(session, rows) if session.id == "s1" else "gone"

    def swap(self, session: str, task: str, row: Row) -> bool:
        self.tries += 1
        return False


def test_after_a_hundred_tries_a_change_is_given_up() -> None:
    with override_keeping(Contended()) as place:
        create(place)
        place.tries = 0  # type: ignore[attr-defined]
        with pytest.raises(RuntimeError, match=r"^Task 'a' of session s1 was changed 100 times by others"):
            apply("s1", "a", started)
        assert place.tries == 100  # type: ignore[attr-defined]


def test_after_a_hundred_tries_a_session_with_a_key_is_given_up() -> None:
    session = Session(id="s2", owner=OWNER, created=0, names={"a": "A"}, weights={}, key="import")
    with override_keeping(Contended()) as place:
        with pytest.raises(RuntimeError, match=r"^Sessions with the key 'import' ended 100 times"):
            create_or_join(session, {"a": Row()})
        assert place.tries == 100  # type: ignore[attr-defined]


def test_the_time_that_a_change_hears_never_runs_back() -> None:
    heard: list[float] = []
    now = 50.0
    with override_keeping(MemoryKeeping(clock=lambda: now)) as place:
        create(place)
        apply("s1", "a", started)
        apply("s1", "b", reported(Report(current=1)))
        now = 60.0
        apply("s1", "b", reported(Report(current=2)))
        now = 20.0
        for task in ("a", "b"):
            apply("s1", task, lambda row, now: heard.append(now))
    assert heard == [50.0, 60.0]


def test_a_change_that_is_dropped_gives_the_row_as_it_is() -> None:
    with override_keeping(MemoryKeeping()) as place:
        create(place)
        ended = apply("s1", "a", completed("", Report()))
        assert apply("s1", "a", started) == ended
        assert ended is not None and ended.rev == 1
        assert apply("s1", "c", started) is None


def test_the_end_of_a_task_that_wants_it_noticed_is_told_once() -> None:
    told: list[tuple[str, str, str]] = []

    def tell(session: str, task: str, row: Row) -> None:
        told.append((session, task, row.status.value))

    session = Session(id="s1", owner=OWNER, created=0, names={"a": "A", "b": "B"}, weights={})
    with override_keeping(MemoryKeeping()) as place:
        place.create(session, {"a": Row(notify="A"), "b": Row()})
        endings.append(tell)
        try:
            for task in ("a", "b"):
                apply("s1", task, started)
                apply("s1", task, completed("", Report()))
                apply("s1", task, lambda row, now: replace(row, message="Seen"))
        finally:
            endings.remove(tell)
    assert told == [("s1", "a", "complete")]


def test_one_place_is_built_for_one_choice(settings: Any) -> None:
    settings.HTMX_LIVE = {}
    assert keeping() is keeping()
    with override_keeping(MemoryKeeping()) as outer:
        with override_keeping(MemoryKeeping()) as inner:
            assert keeping() is inner
        assert keeping() is outer
    assert keeping() is not outer


# The bounds of the memory


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeeping]:
    """Keeps two of everything."""
    monkeypatch.setattr(memory, "_MAX_SESSIONS", 2)
    with override_keeping(MemoryKeeping()) as place:
        assert isinstance(place, MemoryKeeping)
        yield place


def test_of_too_many_sessions_the_one_unused_for_longest_goes(small: MemoryKeeping) -> None:
    create(small, session="s1")
    create(small, session="s2")
    apply("s1", "a", started)
    create(small, session="s3")
    assert [small.load(session) is None for session in ("s1", "s2", "s3")] == [False, True, False]


def test_a_session_that_goes_leaves_nothing_of_its_key(small: MemoryKeeping) -> None:
    for number in range(4):
        session = Session(id=f"s{number}", owner=OWNER, created=0, names={"a": "A"}, weights={}, key=f"k{number}")
        small.create(session, {"a": Row()})
    assert sorted(small._keys.values()) == ["s2", "s3"]
    again = Session(id="again", owner=OWNER, created=0, names={"a": "A"}, weights={}, key="k2")
    small.create(again, {"a": Row()}, instead_of="s2")
    create(small, session="s5")  # s2 goes, whose key has another session
    assert sorted(small._keys.values()) == ["again"]


def test_of_too_many_jobs_and_lists_the_first_go(small: MemoryKeeping) -> None:
    for word in ("1", "2", "3"):
        small.bind(word, "s1", "a")
    assert [small.bound(word) for word in ("1", "2", "3")] == [[], [("s1", "a")], [("s1", "a")]]
    for owner in ("1", "2", "1", "3"):
        small.show_list(owner, "k", "card")
    assert [small.shown_lists(owner) for owner in ("1", "2", "3")] == [{"k": "card"}, {}, {"k": "card"}]


def test_the_memory_tells_the_time() -> None:
    assert abs(MemoryKeeping().now() - time.time()) < 60
