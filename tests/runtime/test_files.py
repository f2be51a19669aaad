"""Uploads: what may come in, and what is kept of it."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.template import TemplateSyntaxError
from django.test import override_settings

from htmx_live import LiveView, background, event_handler, push_to_view
from htmx_live.backends.memory.store import MemoryStore
from htmx_live.core.exceptions import StateError, StoreUnavailable, TurnError
from htmx_live.events.template_checks import check_markup
from htmx_live.runtime.files import UPLOAD_FOLDER, HourlyThrottle, sweep_expired_uploads, sweep_uploads
from htmx_live.runtime.services import override_services
from htmx_live.testing.page import parse
from tests.runtime.uploads.views import Inbox, Order

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def site(tmp_path: Path) -> Iterator[None]:
    """A site with folders of its own, on which files of more than 1000 bytes go to disk, and small limits."""
    (tmp_path / "temporary").mkdir()
    with override_settings(
        ROOT_URLCONF="tests.runtime.uploads.urls",
        MEDIA_ROOT=tmp_path / "media",
        FILE_UPLOAD_TEMP_DIR=tmp_path / "temporary",
        FILE_UPLOAD_MAX_MEMORY_SIZE=1000,
        HTMX_LIVE={"MAX_UPLOAD_SIZE": 100_000, "MAX_UPLOADS": 3},
    ):
        yield


def small(name: str = "a.txt", text: str = "hello") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode())


def large(size: int = 5000) -> SimpleUploadedFile:
    return SimpleUploadedFile("large.bin", b"x" * size)


def stored() -> list[str]:
    try:
        return sorted(default_storage.listdir(UPLOAD_FOLDER)[1])
    except FileNotFoundError:
        return []


def storage(name: str) -> Any:
    """Another default storage, of this module."""
    static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    return override_settings(
        STORAGES={"default": {"BACKEND": f"tests.runtime.test_files.{name}"}, "staticfiles": static}
    )


def temporary(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "temporary").iterdir())


# Keeping


def test_a_job_reads_what_an_event_kept_and_discards_it(live: Any) -> None:
    page = live(Inbox).submit("upload", files=[small(), small("b.txt", "world")])
    assert len(stored()) == 2
    page.run_jobs()
    assert page.state["read"] == ["a.txt: hello", "b.txt: world"]
    assert stored() == []


def test_a_file_on_disk_is_kept_too_and_no_temporary_file_is_left(live: Any, tmp_path: Path) -> None:
    page = live(Inbox).send("upload", {"files": large()})
    assert temporary(tmp_path) == []
    page.run_jobs()
    assert page.state["read"] == [f"large.bin: {'x' * 5000}"]


def test_a_form_s_file_reaches_a_job(live: Any) -> None:
    page = live(Order).submit("save", title="x", attachment=small())
    page.run_jobs()
    assert (page.state["read"], stored()) == (["hello"], [])


@pytest.mark.parametrize(
    ("sent", "ending"),
    [
        ("report.PDF", ".pdf"),
        ("../../etc/passwd", ""),
        ("archive.tar.gz", ".gz"),
        ("x.p?p", ""),
        ("x.p\u202ehp", ".php"),  # Django has dropped what cannot be printed
        ("no", ""),
        (f"x.{'e' * 40}", ""),
    ],
)
def test_a_name_keeps_the_ending_and_nothing_else_of_what_was_sent(live: Any, sent: str, ending: str) -> None:
    page = live(Inbox).send("hold", {"file": small(sent)})
    pattern = rf"htmx_live/kept/[0-9a-f]{{8}}-{page.instance}-[0-9a-f]{{32}}{re.escape(ending)}"
    assert re.fullmatch(pattern, page.state["_name"])


def test_two_files_of_one_name_have_two_names(live: Any) -> None:
    live(Inbox).send("upload", {"files": [small(), small()]})
    assert len(set(stored())) == 2


def test_a_job_that_fails_discards_its_file_as_well(live: Any) -> None:
    page = live(Inbox).send("upload", {"files": small(text="broken")})
    page.run_jobs(raise_errors=False)
    assert (page.state["read"], stored()) == ([], [])


def test_a_job_that_is_cancelled_while_it_runs_discards_its_file_all_the_same(live: Any) -> None:
    page = live(Inbox).send("linger", {"file": small()})
    page.run_jobs()
    assert (page.pending, page.state["note"], stored()) == ([], "stopped", [])


def test_a_job_that_is_cancelled_before_it_runs_leaves_its_file_to_the_sweep(live: Any) -> None:
    page = live(Inbox).send("linger", {"file": small()}).send("stop", {})
    page.run_jobs()
    assert len(stored()) == 1
    page.advance(100_000)
    sweep_expired_uploads(time.time() + 86_401)
    assert stored() == []


# When the turn fails


@pytest.mark.parametrize("then", ["raise", "discard and raise", "render", "keep"])
def test_what_a_failed_turn_kept_is_gone(live: Any, then: str) -> None:
    page = live(Inbox, raise_errors=False).send("hold", {"file": small(), "then": then})
    assert (page.status, stored(), page.state["_name"]) == (500, [], "")


class _Away(MemoryStore):
    """A store that does not answer when something is to be saved."""

    def save(self, *args: Any, **kwargs: Any) -> bool:
        raise StoreUnavailable("It is away.")


class _Ended(MemoryStore):
    """A store in which instances end while their turn runs."""

    def save(self, *args: Any, **kwargs: Any) -> bool:
        return False


@pytest.mark.parametrize(("store", "error"), [(_Away, StoreUnavailable), (_Ended, None)])
def test_what_was_kept_is_gone_when_the_turn_cannot_be_saved(live: Any, store: Any, error: Any) -> None:
    with override_services(store=store()):
        page = live(Inbox, raise_errors=False).send("hold", {"file": small()})
        assert (page.status, stored()) == (503 if error else 200, [])
        assert page.is_remounted == (error is None)


def test_what_was_kept_is_gone_when_the_commit_fails(live: Any) -> None:
    page = live(Uncommitted, raise_errors=False)
    with override_settings(HTMX_LIVE={"TURN_CONTEXT": "tests.runtime.test_files.broken_commit"}):
        page.send("hold", {"file": small()})
    assert (page.status, stored()) == (500, [])


class Uncommitted(Inbox):
    pass


class broken_commit:
    """Stands around a turn, and fails when it ends."""

    def __init__(self, record: Any) -> None:
        """Any record."""

    def __enter__(self) -> None:
        assert stored() == []

    def __exit__(self, *exc: object) -> None:
        if exc == (None, None, None):
            assert len(stored()) == 1
            raise ValueError("The commit failed.")


def test_a_storage_that_fails_half_way_leaves_nothing(live: Any) -> None:
    with storage("FullStorage"):
        page = live(Inbox, raise_errors=False).send("hold", {"file": small()})
        assert (page.status, stored()) == (500, [])


class FullStorage(FileSystemStorage):
    """Its disk is full after the first bytes."""

    def _save(self, name: str, content: Any) -> str:
        super()._save(name, ContentFile(content.read(2)))
        raise OSError("No space left on device")


def test_a_push_that_fails_leaves_nothing_and_one_that_does_not_keeps_its_file(live: Any) -> None:
    page = live(Inbox)
    push_to_view(Inbox, handler="pushed", payload={"then": "raise"})
    assert (stored(), page.state["_name"]) == ([], "")
    push_to_view(Inbox, handler="pushed", payload={"then": ""})
    assert [f"{UPLOAD_FOLDER}/{name}" for name in stored()] == [page.state["_name"]]


def test_a_storage_that_cannot_delete_does_not_hide_why_the_turn_failed(live: Any) -> None:
    with storage("StubbornStorage"), pytest.raises(ValueError, match="After it was kept"):
        live(Inbox).send("hold", {"file": small(), "then": "raise"})


class StubbornStorage(FileSystemStorage):
    """Deletes nothing."""

    def delete(self, name: str) -> None:
        raise PermissionError(name)


# Discarding


def test_a_handler_discards_when_its_turn_is_saved_and_not_when_it_fails(live: Any) -> None:
    page = live(Inbox, raise_errors=False).send("hold", {"file": small()})
    assert page.send("drop", {"then": "raise"}).status == 500
    assert len(stored()) == 1
    page.send("drop", {})
    assert stored() == []
    assert page.send("drop", {}).status == 204  # it is gone already


@pytest.mark.parametrize(
    "name", ["", "secret.txt", "htmx_live/kept/../../secret.txt", "/etc/passwd", f"{UPLOAD_FOLDER}/x"]
)
def test_only_what_was_kept_can_be_discarded(live: Any, name: str) -> None:
    default_storage.save("secret.txt", small())
    with pytest.raises(TurnError, match=r"no name that store_upload\(\) returned"):
        live(Inbox).send("drop_any", {"name": name})
    assert default_storage.exists("secret.txt")


# Mistakes


def test_keep_without_a_file_is_an_error(live: Any) -> None:
    with pytest.raises(TurnError, match=r"store_upload\(\) got None, and takes an uploaded file"):
        live(Inbox).send("keep_none", {})


def test_keep_in_a_job_is_an_error_that_names_the_storage(live: Any) -> None:
    page = live(Inbox).send("keep_in_job", {})
    with pytest.raises(TurnError, match=r"Elsewhere, in a job for example, use default_storage\.save\(\)"):
        page.run_jobs()
    assert stored() == []


def test_a_file_in_the_state_is_an_error_that_names_keep(live: Any) -> None:
    with pytest.raises(StateError, match=r"note is a file, .* self\.store_upload\(file\) returns"):
        live(Inbox).send("assign", {"file": small()})


@pytest.mark.parametrize("kind", [UploadedFile, list[UploadedFile], UploadedFile | None])
def test_a_background_handler_cannot_take_a_file(kind: Any) -> None:
    def work(self, file) -> None: ...  # type: ignore[no-untyped-def]

    work.__annotations__["file"] = kind
    with pytest.raises(TypeError, match=r"file is an uploaded file, which is gone .* self\.store_upload\(file\)"):
        type("Working", (LiveView,), {"work": event_handler(background(work))})


# Limits


def test_a_file_over_the_limit_is_413_in_words_and_nothing_changes(live: Any, tmp_path: Path) -> None:
    page = live(Inbox, raise_errors=False).send("upload", {"note": "x", "files": [small(), large(100_001), small()]})
    assert (page.status, page.rev, page.state["note"], stored(), temporary(tmp_path)) == (413, 1, "", [], [])
    assert page.notices == [
        {"message": "large.bin is too large: a file may have 97.7\xa0KB.", "level": "error"},
    ]


def test_a_file_of_just_the_limit_is_taken(live: Any) -> None:
    page = live(Inbox).send("count", {"files": large(100_000)})
    assert page.state["note"] == "1 files, 100000 bytes, TemporaryUploadedFile"


def test_one_file_too_many_is_413_in_words(live: Any, tmp_path: Path) -> None:
    page = live(Inbox, raise_errors=False).send("count", {"files": [large() for _ in range(4)]})
    assert (page.status, page.state["note"], temporary(tmp_path)) == (413, "", [])
    assert page.notices == [{"message": "Too many files: at most 3 can be sent at once.", "level": "error"}]
    assert page.send("count", {"files": [small() for _ in range(3)]}).status == 200


def test_nothing_past_the_limit_is_written_to_disk(live: Any, tmp_path: Path) -> None:
    with override_settings(FILE_UPLOAD_HANDLERS=["tests.runtime.test_files.Measuring"]):
        page = live(Inbox, raise_errors=False).send("count", {"files": large(1_000_000)})
    assert page.status == 413
    assert 0 < Measuring.written <= 100_000


class Measuring(TemporaryFileUploadHandler):
    """Counts what it writes."""

    written = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        Measuring.written += len(raw_data)
        super().receive_data_chunk(raw_data, start)


@pytest.mark.parametrize("checks_csrf", [True, False])
@pytest.mark.parametrize(
    "setting",
    [{"DATA_UPLOAD_MAX_NUMBER_FILES": 1}, {"DATA_UPLOAD_MAX_NUMBER_FIELDS": 1}, {"DATA_UPLOAD_MAX_MEMORY_SIZE": 90}],
)
def test_django_s_own_limits_are_413_as_well(live: Any, setting: Any, checks_csrf: bool, tmp_path: Path) -> None:
    page = live(Inbox, raise_errors=False)
    page.http.handler.enforce_csrf_checks = checks_csrf
    fields = {"csrfmiddlewaretoken": _token(page), "a": "1", "b": "2", "note": "x" * 100, "files": [large(), large()]}
    with override_settings(**setting):
        assert page.send("count", fields).status == 413
    assert (page.state["note"], stored(), temporary(tmp_path)) == ("", [], [])


def _token(page: Any) -> str:
    return re.search('data-csrf="(.*?)"', page.http.get("/inbox/").content.decode())[1]  # type: ignore[index]


def test_files_are_no_part_of_the_arguments_limit(live: Any) -> None:
    limits = {"MAX_ARGUMENT_SIZE": 10, "MAX_UPLOAD_SIZE": 100_000}
    with override_settings(HTMX_LIVE=limits, DATA_UPLOAD_MAX_MEMORY_SIZE=500):
        page = live(Inbox).send("count", {"files": large(50_000)})
    assert page.state["note"] == "1 files, 50000 bytes, TemporaryUploadedFile"


def test_what_another_middleware_has_read_before_is_measured_too(live: Any) -> None:
    with override_settings(MIDDLEWARE=["tests.runtime.test_files.early", *settings.MIDDLEWARE]):
        page = live(Inbox, raise_errors=False)
        assert page.send("count", {"files": large(100_001)}).status == 413
        assert page.send("count", {"files": [small() for _ in range(4)]}).status == 413
        assert page.send("count", {"files": small()}).status == 200


def early(get_response: Any) -> Any:
    """A middleware that reads every body."""

    def middleware(request: Any) -> Any:
        assert request.POST is not None
        return get_response(request)

    return middleware


def test_other_views_of_the_project_have_no_limits_of_ours(live: Any) -> None:
    page = live(Inbox)
    assert page.http.post("/inbox/", {"files": large(200_000)}).status_code == 405


@pytest.mark.parametrize(
    ("handler", "status"), [("count", 200), ("nothing", 404), ("choose", 422), ("hold", 500), ("assign", 500)]
)
def test_no_temporary_file_outlives_its_request(live: Any, tmp_path: Path, handler: str, status: int) -> None:
    page = live(Inbox, raise_errors=False)
    page.send(handler, {"files": large(), **({"file": large(), "then": "raise"} if status == 500 else {})})
    assert (page.status, temporary(tmp_path), stored()) == (status, [], [])


# In the page


def test_a_trigger_of_a_handler_that_takes_files_sends_them(live: Any) -> None:
    page = live(Inbox)
    triggers = {one.attributes["data-live-event"]: one.attributes for one in _elements(page, "data-live-event")}
    assert (triggers["upload"]["enctype"], "hx-encoding" in triggers["upload"]) == ("multipart/form-data", False)
    assert (triggers["choose"]["hx-encoding"], "enctype" in triggers["choose"]) == ("multipart/form-data", False)
    assert not {"enctype", "hx-encoding"} & set(triggers["drop"])


def _elements(page: Any, attribute: str) -> list[Any]:
    return [one for one in parse(page.html).all() if attribute in one.attributes]


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ('<form data-live-event="save"><input type="file" name="f"></form>', "<form> with the file field f has no enc"),
        ('<input type="file" name="f" data-live-event="a">', "<input type=file name=f> has {% on %} and no encoding"),
        (
            '<form><input type="file" name="f" data-live-event="a"></form>',
            "and no encoding: its file would not be sent",
        ),
        ('<input type="file" data-live-event="a" hx-encoding="multipart/form-data">', "{% on %} and no name"),
    ],
)
def test_a_file_that_no_event_would_bring_is_an_error(html: str, said: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=re.escape(said)):
        check_markup(html)


@pytest.mark.parametrize(
    "html",
    [
        '<form data-live-event="a" enctype="multipart/form-data"><input type="file" name="f"></form>',
        '<form data-live-event="a"></form><input type="file" name="f">',
        '<form enctype="multipart/form-data"><input type="file" name="f" data-live-event="a"></form>',
        '<input type="file" name="f" data-live-event="a" hx-encoding="multipart/form-data">',
        '<form method="post"><input type="file" name="f"></form><b data-live-event="a">',
    ],
)
def test_a_file_that_is_sent_passes(html: str) -> None:
    check_markup(html)


# Without JavaScript


def test_a_form_posted_without_javascript_brings_its_files(live: Any) -> None:
    page = live(Inbox)
    form = next(one for one in parse(page.html).all() if one.tag == "form")
    answer = page.http.post(form.attributes["action"], {**form.form_values(), "files": [small(), small("b.txt")]})
    page.run_jobs()
    assert (answer.status_code, page.state["read"]) == (303, ["a.txt: hello", "b.txt: hello"])


def test_without_javascript_a_page_says_what_is_too_large(live: Any) -> None:
    page = live(Inbox, raise_errors=False)
    page.http.handler.enforce_csrf_checks = True
    form = next(one for one in parse(page.html).all() if one.tag == "form")
    fields = {"csrfmiddlewaretoken": _token(page), **form.form_values(), "files": [large(100_001)]}
    answer = page.http.post(form.attributes["action"], {**fields, "csrfmiddlewaretoken": _token(page)})
    assert (answer.status_code, "large.bin is too large" in answer.content.decode()) == (413, True)


# Sweeping


def put(instance: str, kept_at: int) -> str:
    return default_storage.save(f"{UPLOAD_FOLDER}/{kept_at:08x}-{instance}-{'0' * 32}.txt", small())


def test_old_files_of_views_that_are_gone_are_swept(live: Any) -> None:
    page, day = live(Inbox), 86_400
    now = 100 * day
    gone = put("a" * 32, now - day - 1)
    young, alive = put("b" * 32, now - day + 1), put(page.instance, now - 50 * day)
    foreign = default_storage.save(f"{UPLOAD_FOLDER}/readme.txt", small())
    sweep_expired_uploads(now)
    assert [default_storage.exists(name) for name in (gone, young, alive, foreign)] == [False, True, True, True]


def test_a_sweep_where_nothing_was_ever_kept_does_nothing() -> None:
    sweep_uploads(before=1e12, is_alive=lambda instance: False)
    assert not default_storage.exists("htmx_live")


def test_a_sweep_is_due_once_an_hour() -> None:
    hourly = HourlyThrottle()
    assert [hourly.allow(now) for now in (5.0, 5.0, 3604.0, 3605.0, 3606.0)] == [True, False, False, True, False]


def test_keeping_a_file_sweeps_when_it_is_due(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htmx_live.runtime.files._sweep_throttle", HourlyThrottle())
    page, old = live(Inbox), put("a" * 32, 1)
    page.send("count", {"files": small()})
    assert default_storage.exists(old)
    page.send("hold", {"file": small()})
    assert not default_storage.exists(old)
