"""Keys and results: work with one key is going once, in every place where sessions are kept, and links to what came."""

import threading

import pytest

from htmx_live.core.exceptions import UserError
from htmx_live.core.records import Owner
from htmx_live.progress import ProgressSession, ProgressStatus, current_task
from htmx_live.progress.reporter import reset_reporters
from htmx_live.progress.store import ProgressStore
from htmx_live.testing.environment import LiveEnvironment
from tests.progress.test_store import place

__all__ = ["place"]

SEVEN, EIGHT = Owner(user="7"), Owner(user="8")


def create(key: str = "import-2026", owner: Owner = SEVEN) -> ProgressSession:
    return ProgressSession.create({"import": "Import"}, owner=owner, key=key)


def test_one_key_joins_what_is_going(place: ProgressStore) -> None:
    first, second = create(), create()
    assert (first.session_id, first.is_joined) == (second.session_id, False)
    assert second.is_joined
    assert not ProgressSession.get(first.session_id).is_joined


def test_other_owners_and_other_keys_are_apart(place: ProgressStore) -> None:
    made = [create(), create(owner=EIGHT), create(key="import-2027"), create(key=""), create(key="")]
    assert len({session.session_id for session in made}) == 5


@pytest.mark.parametrize("end", ["complete", "error", "cancel"])
def test_after_the_end_the_key_is_free(place: ProgressStore, end: str) -> None:
    first = create()
    first.start("import")
    getattr(first, end)("import")
    second = create()
    assert not second.is_joined and second.session_id != first.session_id
    assert create().session_id == second.session_id


def test_of_many_that_come_at_once_one_is_made(place: ProgressStore) -> None:
    made: list[ProgressSession] = []
    gate = threading.Barrier(8)

    def come() -> None:
        gate.wait(10)
        made.append(create())

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({session.session_id for session in made}) == 1
    assert [session.is_joined for session in made].count(False) == 1


runs: list[str] = []


def note(word: str) -> None:
    runs.append(word)
    task = current_task()
    assert task is not None
    task.complete("Made", result=f"/made/{word}/")


def refuse() -> None:
    raise UserError("The file ends early")


def fail() -> None:
    raise ValueError("secret")


def test_work_with_a_key_is_started_once(staged: LiveEnvironment) -> None:
    runs.clear()
    create().run("import", note, "first")
    create().run("import", note, "second")
    staged.runner.run_all()
    assert runs == ["first"]


def test_what_was_left_before_it_began_gives_its_key_free(staged: LiveEnvironment) -> None:
    first = create()
    staged.clock.advance(59)
    assert create().is_joined
    staged.clock.advance(2)
    assert create().session_id != first.session_id


def test_a_run_that_lives_keeps_its_key_and_a_lost_one_gives_it_free(staged: LiveEnvironment) -> None:
    first = create()
    first.start("import")
    staged.clock.advance(30)
    assert create().is_joined
    reset_reporters()  # its process dies
    staged.clock.advance(13)
    assert not create().is_joined


def test_a_result_is_told_with_the_end(staged: LiveEnvironment) -> None:
    session = create(key="")
    session.run("import", note, "a")
    staged.runner.run_all()
    assert session.to_dict()["tasks"]["import"]["result"] == "/made/a/"
    assert session.load_snapshot().states["import"].status is ProgressStatus.COMPLETE


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", " /a", "java\nscript:x"]
)
def test_a_result_is_no_address_that_a_browser_would_run(staged: LiveEnvironment, url: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        create(key="").complete("import", result=url)


@pytest.mark.parametrize("url", ["/a/?b=c:d", "https://files.example/a.csv", "../a", "a#b:c", "//files.example/a"])
def test_a_result_may_be_any_link(staged: LiveEnvironment, url: str) -> None:
    session = create(key="")
    session.complete("import", result=url)
    assert session.load_snapshot().states["import"].result == url


def test_what_a_user_error_says_is_shown_and_no_other_text(staged: LiveEnvironment) -> None:
    session = create(key="")
    session.run("import", refuse)
    staged.runner.run_all()
    assert session.to_dict()["tasks"]["import"]["message"] == "The file ends early"
    session.run("import", fail)
    staged.runner.run_all()
    assert session.to_dict()["tasks"]["import"]["message"] == "Import failed"
    assert len(session.load_snapshot().states["import"].error) == 8
