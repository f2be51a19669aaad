"""System checks: what cannot work is said before the first request."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery
from celery import _state as celery_state
from django.conf import settings as django_settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.urls import include, path
from django_eventstream.channelmanager import DefaultChannelManager

import htmx_live
from htmx_live import LiveView, checks
from htmx_live.apps import HtmxLiveConfig

LIVE = "htmx_live.middleware.LiveMiddleware"
REDIS = "redis://127.0.0.1:1/0"  # nobody asks it here
ROOT = Path(__file__).resolve().parent.parent


def ids(found: Any) -> list[str]:
    return [message.id for message in found]


def ours() -> list[str]:
    """What all checks of the package find."""
    return sorted({message.id for message in run_checks(tags=["htmx_live"]) if "Guarded" not in message.msg})


@pytest.fixture
def celery_app() -> Iterator[Celery]:
    """A Celery app of the project's, as the one that is loaded."""
    before = celery_state._tls.current_app
    app = Celery("project", broker=REDIS)
    yield app
    app.close()
    celery_state._set_current_app(before)


@pytest.fixture(autouse=True)
def database_for_production(monkeypatch: Any) -> None:
    monkeypatch.setitem(django_settings.DATABASES["default"], "OPTIONS", GOOD)


def test_a_project_that_is_set_up_well_gets_no_message() -> None:
    assert ours() == []


def test_a_misspelt_setting_is_found_with_the_right_one(settings: Any) -> None:
    settings.HTMX_LIVE = {"JOB_THREAD": 3}
    [error] = checks.check_settings()
    assert (error.id, error.msg) == (
        "htmx_live.E001",
        "HTMX_LIVE has no setting 'JOB_THREAD' (did you mean 'JOB_THREADS'?).",
    )


def test_the_error_for_a_setting_that_was_renamed_names_the_new_one(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_MAIL": 3}
    [error] = checks.check_settings()
    assert error.msg == "HTMX_LIVE has no setting 'MAX_MAIL' (it is called 'MAX_PENDING_MESSAGES' now)."


def test_a_setting_like_no_other_is_found_with_all_that_there_are(settings: Any) -> None:
    settings.HTMX_LIVE = {"QQ": 1}
    [error] = checks.check_settings()
    assert error.msg.startswith("HTMX_LIVE has no setting 'QQ'. It knows: PAGE_TEMPLATE, ")


@pytest.mark.parametrize("key", ["STORE", "TURN_CONTEXT", "REDIS_CLIENT"])
def test_a_path_that_cannot_be_imported_is_found(settings: Any, key: str) -> None:
    settings.HTMX_LIVE = {key: "no.such.thing", "REDIS_URL": REDIS}
    assert ours() == ["htmx_live.E002"]


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("STORE", "htmx_live.stores.redis.RedisStore", "htmx_live.backends.redis.store.RedisStore"),
        ("RUNNER", "htmx_live.runners.thread.ThreadRunner", "htmx_live.jobs.runners.thread.ThreadRunner"),
    ],
)
def test_the_error_for_a_path_that_has_moved_names_the_new_one(settings: Any, key: str, old: str, new: str) -> None:
    settings.HTMX_LIVE = {key: old}
    [error] = checks.check_settings()
    assert error.hint == f"It has moved. Use {new!r}."
    assert checks.can_import(new)


def test_an_app_that_has_moved_is_named_at_start(monkeypatch: Any) -> None:
    monkeypatch.setattr(django_settings, "INSTALLED_APPS", ["htmx_live", "htmx_live.tasks_db"])
    message = r"INSTALLED_APPS names 'htmx_live\.tasks_db', which has moved\. Use 'htmx_live\.contrib\.task_history'\."
    with pytest.raises(ImproperlyConfigured, match=message):
        HtmxLiveConfig("htmx_live", htmx_live)


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("HEARTBEAT", "15", "Give it a number of seconds."),
        ("HEARTBEAT", 0, "Give it a number above 0."),
        ("HEARTBEAT", float("inf"), "Give it a number of seconds."),
        ("SLOW_AFTER", -1, "Give it 0 or more."),
        ("JOB_THREADS", 2.5, "Give it a whole number."),
        ("MAX_STREAMS", True, "Give it a whole number."),
        ("REDIRECT_HOSTS", "example.com", "Give it a list or tuple of texts."),
        ("REDIS_URL", None, "Give it a text."),
        ("TURN_CONTEXT", print, "Give it a text."),
        ("LAYOUTS", ["x"], "Give it a dict."),
    ],
)
def test_a_value_of_the_wrong_kind_is_found_with_the_right_kind(settings: Any, key: str, value: Any, hint: str) -> None:
    settings.HTMX_LIVE = {key: value}
    [error] = [one for one in run_checks(tags=["htmx_live"]) if one.id != "htmx_live.E020"]
    assert (error.id, error.hint) == ("htmx_live.E009", hint)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"RUNNER": "threads"}, "E003"),
        ({"TICKS": "cron"}, "E004"),
        ({"RUNNER": "tasks", "STORE": "htmx_live.backends.memory.store.MemoryStore"}, "E005"),
        ({"REPLAY_TTL": 20}, "E006"),
        ({"STREAM_LIFETIME": 10}, "E006"),
        ({"GRANT_MAX_AGE": 600, "HIDDEN_TTL": 600, "STATE_TTL": 600}, "E006"),
        ({"GRANT_MAX_AGE": 3600}, "W007"),
        ({"HEARTBEAT": 60}, "W007"),
        ({"MAX_STREAMS": 20}, "W007"),
        ({"REDIS_PREFIX": ""}, "W007"),
        ({"REDIS_CLIENT": "redis.Redis.from_url"}, "W007"),
        ({"MAX_ARGUMENT_SIZE": 3_000_000}, "W008"),
        ({"MAX_UPLOADS": 101}, "W008"),
        ({"TICKS": "command"}, "E041"),
        ({"REDIS_URL": REDIS, "STORE": "htmx_live.backends.memory.store.MemoryStore"}, "W042"),
        ({"STORE": "htmx_live.backends.redis.store.RedisStore"}, "E043"),
        ({"REDIS_URL": "http://127.0.0.1"}, "E043"),
        ({"PROGRESS_CACHE": "no-such-cache"}, "E047"),
        ({"PROGRESS_CACHE": "default", "REDIS_URL": REDIS}, "E047"),
    ],
)
def test_settings_that_cannot_work_together_are_found(settings: Any, given: dict[str, Any], expected: str) -> None:
    settings.HTMX_LIVE = given
    assert f"htmx_live.{expected}" in ours()


@pytest.mark.parametrize("runner", ["celery", "tasks"])
def test_workers_without_a_store_of_all_processes_are_found(settings: Any, runner: str) -> None:
    settings.HTMX_LIVE = {"RUNNER": runner}
    assert ids(checks.check_stores()) == ["htmx_live.E005"]
    settings.HTMX_LIVE = {"RUNNER": runner, "REDIS_URL": REDIS}
    assert ids(checks.check_stores()) == []


def test_records_that_are_shared_while_messages_are_not_are_found(settings: Any) -> None:
    settings.HTMX_LIVE = {"RUNNER": "celery", "STORE": "tests.test_checks.SharedStore"}
    assert ids(checks.check_stores()) == ["htmx_live.E005"]


class SharedStore:
    """A store of a project's own, wherever it keeps records."""


def test_a_cache_of_one_process_is_good_for_progress_in_one_process(settings: Any) -> None:
    settings.HTMX_LIVE = {"PROGRESS_CACHE": "default"}
    assert checks.check_progress() == []


# Celery


@pytest.fixture
def celery_runner(settings: Any, celery_app: Celery) -> Celery:
    settings.HTMX_LIVE = {"RUNNER": "celery", "REDIS_URL": REDIS}
    return celery_app


def test_a_celery_app_as_the_guide_makes_it_is_well(celery_runner: Celery) -> None:
    assert checks.check_celery() == []


def test_a_project_without_a_celery_app_is_found(celery_runner: Celery, monkeypatch: Any) -> None:
    celery_state._set_current_app(None)
    monkeypatch.setattr(celery_state, "default_app", None)
    assert ids(checks.check_celery()) == ["htmx_live.E050"]


def test_a_broker_in_memory_is_found_but_while_developing(celery_runner: Celery, settings: Any) -> None:
    celery_runner.conf.broker_url = "memory://"
    assert ids(checks.check_celery()) == ["htmx_live.E051"]
    settings.DEBUG = True
    assert checks.check_celery() == []


def test_a_visibility_timeout_below_twice_the_time_limit_is_found(celery_runner: Celery) -> None:
    celery_runner.conf.broker_transport_options = {"visibility_timeout": 3599}
    [warning] = checks.check_celery()
    assert warning.id == "htmx_live.W052"
    assert "{'visibility_timeout': 3600} or more" in str(warning.hint)
    celery_runner.conf.broker_transport_options = {"visibility_timeout": 3600}
    assert checks.check_celery() == []


def test_the_time_limit_that_outgrows_redis_own_visibility_timeout_is_found(
    celery_runner: Celery, settings: Any
) -> None:
    settings.HTMX_LIVE = {**settings.HTMX_LIVE, "JOB_TIME_LIMIT": 7200}
    assert ids(checks.check_celery()) == ["htmx_live.W052"]
    celery_runner.conf.broker_url = "amqp://127.0.0.1"  # RabbitMQ knows when a worker is gone
    assert checks.check_celery() == []


def test_eager_tasks_are_found(celery_runner: Celery) -> None:
    celery_runner.conf.task_always_eager = True
    assert ids(checks.check_celery()) == ["htmx_live.W053"]


def test_workers_that_take_no_json_are_found(celery_runner: Celery) -> None:
    celery_runner.conf.accept_content = ["msgpack"]
    assert ids(checks.check_celery()) == ["htmx_live.E054"]


@pytest.mark.parametrize("missing", ["celery", "redis"])
def test_an_extra_that_is_not_installed_is_found(settings: Any, monkeypatch: Any, missing: str) -> None:
    settings.HTMX_LIVE = {"RUNNER": "celery", "REDIS_URL": REDIS}
    found = checks.find_spec
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == missing else found(name))
    expected = {"celery": "htmx_live.E044", "redis": "htmx_live.E043"}[missing]
    [error] = [*checks.check_runners(), *checks.check_stores()]
    assert (error.id, f"pip install 'htmx-live[{missing}]'" in str(error.hint)) == (expected, True)


@pytest.mark.parametrize("version", [(5, 2, 0, "final", 0), (6, 0, 0, "final", 0)])
def test_django_tasks_are_found_where_there_are_none_or_no_worker(
    settings: Any, monkeypatch: Any, version: tuple[Any, ...]
) -> None:
    monkeypatch.setattr("django.VERSION", version)
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    settings.HTMX_LIVE = {"RUNNER": "tasks", "REDIS_URL": REDIS}
    assert ids(checks.check_runners()) == ["htmx_live.E044" if version < (6,) else "htmx_live.W045"]


def test_a_runner_for_tests_is_found_before_a_deployment_only(settings: Any) -> None:
    settings.HTMX_LIVE = {"RUNNER": "immediate"}
    deployed = run_checks(tags=["htmx_live"], include_deployment_checks=True)
    assert "htmx_live.W046" in ids(deployed) and "htmx_live.W046" not in ours()


# The project


def test_missing_middleware_is_found(settings: Any) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != LIVE]
    assert ours() == ["htmx_live.E010"]


def test_middleware_before_what_it_builds_on_is_found_with_the_hint(settings: Any) -> None:
    settings.MIDDLEWARE = [LIVE, *(name for name in settings.MIDDLEWARE if name != LIVE)]
    [error] = checks.check_middleware()
    assert error.id == "htmx_live.E011"
    assert "SessionMiddleware, AuthenticationMiddleware, HtmxMiddleware" in str(error.hint)


@pytest.mark.parametrize(("name", "expected"), [("CsrfViewMiddleware", "E024"), ("SessionMiddleware", "W025")])
def test_middleware_that_protects_live_views_is_missed(settings: Any, name: str, expected: str) -> None:
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if not path.endswith(name)]
    assert ours() == [f"htmx_live.{expected}"]


@pytest.mark.parametrize("app", ["django_components", "django_htmx"])
def test_an_app_that_is_not_installed_is_found(settings: Any, app: str) -> None:
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != app]
    assert ids(checks.check_apps()) == ["htmx_live.E013"]


def test_urls_that_are_not_included_are_found(settings: Any, monkeypatch: Any) -> None:
    settings.ROOT_URLCONF = "tests.foreign_urls"
    empty = ModuleType("tests.foreign_urls")
    empty.urlpatterns = []  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests.foreign_urls", empty)
    assert ids(checks.check_urls()) == ["htmx_live.E012"]


def test_an_asgi_module_without_live_asgi_is_found(settings: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "plain_site.py").write_text("application = get_asgi_application()\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings.ASGI_APPLICATION = "plain_site.application"
    assert ids(checks.check_asgi()) == ["htmx_live.W014"]
    (tmp_path / "plain_site.py").write_text("application = live_asgi(get_asgi_application())\n")
    assert checks.check_asgi() == []


@pytest.mark.processes
def test_a_project_without_base_dir_is_told_so_before_django_components_fails() -> None:
    code = """
import django
from django.conf import settings
apps = ["contenttypes", "auth", "sessions"]
settings.configure(INSTALLED_APPS=[f"django.contrib.{app}" for app in apps] + ["django_components", "htmx_live"])
django.setup()
"""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "ImproperlyConfigured: htmx_live.E018: there is no BASE_DIR in settings" in ended.stderr


# Access


def test_an_access_mixin_is_found_with_what_to_use_instead() -> None:
    class Guarded(LoginRequiredMixin, LiveView):
        pass

    found = [error for error in checks.check_views() if "Guarded" in error.msg]
    assert set(ids(found)) == {"htmx_live.E020"}
    assert "login_required = True" in str(found[0].hint)


@pytest.mark.parametrize(
    "given",
    [
        {"CORS_ALLOW_ALL_ORIGINS": True, "CORS_ALLOW_CREDENTIALS": True},
    ],
)
def test_credentials_for_any_origin_are_found(settings: Any, given: dict[str, Any]) -> None:
    for name, value in given.items():
        setattr(settings, name, value)
    assert ours() == ["htmx_live.E021"]
    setattr(settings, list(given)[-1], False)  # without credentials it is nobody's page that they read
    assert ours() == []


class Careful(DefaultChannelManager):
    """A project's own, which decides."""

    def can_read_channel(self, user: object, channel: str) -> bool:
        return user is not None


class Deriving(DefaultChannelManager):
    """A project's own, which takes no channel from the address."""

    def get_channels_for_request(self, request: Any, view_kwargs: Any) -> set[str]:
        return {f"user-{request.user.pk}"}


@pytest.fixture
def event_urls(settings: Any, monkeypatch: Any) -> list[Any]:
    """The URLconf of a project; the test fills it."""
    settings.ROOT_URLCONF = "tests.event_urls"
    module = ModuleType("tests.event_urls")
    module.urlpatterns = []  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests.event_urls", module)
    return module.urlpatterns  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("route", "fixed", "is_open"),
    [
        ("asked/", {}, True),
        ("captured/<str:channel>/", {}, True),
        ("rooms/<str:room>/", {"format-channels": ["room-{room}"]}, True),
        ("fixed/", {"channels": ["news"]}, False),
        ("fixed/", {"channel": "news"}, False),
    ],
)
def test_an_event_url_on_which_anybody_writes_the_channel_is_found(
    event_urls: list[Any], route: str, fixed: dict[str, Any], is_open: bool
) -> None:
    event_urls.append(path("site/", include([path(route, include("django_eventstream.urls"), fixed)])))
    found = checks.check_channel_manager()
    assert [(warning.id, f"'site/{route}'" in warning.msg) for warning in found] == [("htmx_live.W022", True)] * is_open


@pytest.mark.parametrize(
    ("manager", "expected"),
    [
        ("django_eventstream.channelmanager.DefaultChannelManager", ["htmx_live.W022"]),
        ("no.such.Manager", ["htmx_live.E023"]),
        ("tests.test_checks.Careful", []),
        ("tests.test_checks.Deriving", []),
    ],
)
def test_a_channel_manager_that_lets_all_in_is_found(
    settings: Any, event_urls: list[Any], manager: str, expected: list[str]
) -> None:
    event_urls.append(path("events/", include("django_eventstream.urls")))
    settings.EVENTSTREAM_CHANNELMANAGER_CLASS = manager
    assert ids(checks.check_channel_manager()) == expected


GOOD = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["htmx_live.W048"]),
        ({"transaction_mode": "IMMEDIATE"}, ["htmx_live.W048"]),
        ({"init_command": GOOD["init_command"]}, ["htmx_live.W048"]),
        (GOOD, []),
    ],
)
def test_sqlite_with_its_default_locking_is_found(monkeypatch: Any, options: Any, expected: list[str]) -> None:
    monkeypatch.setitem(django_settings.DATABASES["default"], "OPTIONS", options)
    assert ids(checks.check_sqlite()) == expected


@pytest.mark.parametrize("chosen", [{"DEBUG": True}, {"HTMX_LIVE": {"RUNNER": "immediate"}}])
def test_a_developers_sqlite_may_be_as_startproject_writes_it(monkeypatch: Any, settings: Any, chosen: Any) -> None:
    monkeypatch.setitem(django_settings.DATABASES["default"], "OPTIONS", {})
    for name, value in chosen.items():
        setattr(settings, name, value)
    assert checks.check_sqlite() == []


@pytest.mark.parametrize(
    ("age", "engine", "expected"),
    [
        (60, "django.db.backends.postgresql", ["htmx_live.W015"]),
        (None, "django.db.backends.mysql", ["htmx_live.W015"]),
        (0, "django.db.backends.postgresql", []),
        (60, "django.db.backends.sqlite3", []),
    ],
)
def test_persistent_connections_under_asgi_are_found(
    monkeypatch: Any, settings: Any, age: Any, engine: str, expected: list[str]
) -> None:
    monkeypatch.setitem(django_settings.DATABASES, "more", {"ENGINE": engine, "CONN_MAX_AGE": age})
    settings.ASGI_APPLICATION = "tests.threats.asgi.application"
    assert ids(checks.check_connections()) == expected
    settings.ASGI_APPLICATION = "tests.no_such_module.application"
    assert checks.check_connections() == []


def test_event_streams_on_a_redis_of_their_own_are_found(settings: Any) -> None:
    settings.EVENTSTREAM_REDIS = {"host": "127.0.0.1"}
    assert ids(checks.check_eventstream()) == ["htmx_live.W031"]


def test_a_django_eventstream_with_another_inside_is_found(monkeypatch: Any) -> None:
    monkeypatch.delattr("django_eventstream.views.get_listener_manager")
    [warning] = checks.check_eventstream()
    assert (warning.id, warning.msg.endswith("views has no get_listener_manager")) == ("htmx_live.W030", True)


@pytest.mark.parametrize(
    ("engine", "expected"), [("signed_cookies", ["htmx_live.W026"]), ("cache", ["htmx_live.E027"]), ("cached_db", [])]
)
def test_sessions_that_outlive_a_logout_or_stay_in_one_process_are_found(
    settings: Any, engine: str, expected: list[str]
) -> None:
    settings.HTMX_LIVE = {"REDIS_URL": REDIS}
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    assert ids(checks.check_sessions()) == expected


# All of them


def test_every_message_has_a_hint(settings: Any) -> None:
    settings.HTMX_LIVE = {"STORE": "no.such.thing", "RUNNER": "threads", "REPLAY_TTL": 1, "HEARTBEAT": 90}
    settings.MIDDLEWARE = []
    settings.CORS_ALLOW_ALL_ORIGINS = settings.CORS_ALLOW_CREDENTIALS = True
    found = run_checks(tags=["htmx_live"])
    assert len(found) >= 8 and all(message.hint for message in found)


def test_every_id_says_one_thing_and_is_tested_here() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "htmx_live" / "checks").glob("*.py"))
    tested = Path(__file__).read_text()
    found = sorted(set(re.findall(r"htmx_live\.([EW]\d{3})", sources)))
    assert [number for number in found if number not in tested] == []
    assert len({number[1:] for number in found}) == len(found)
