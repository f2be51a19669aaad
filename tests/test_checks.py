"""System checks: what cannot work is said before the first request."""

from typing import Any

import pytest
from django.contrib.auth.mixins import LoginRequiredMixin

from htmx_live import LiveView, checks

LIVE = "htmx_live.middleware.LiveMiddleware"


def ids(found: Any) -> list[str]:
    return [message.id for message in found]


def test_a_project_that_is_set_up_well_gets_no_message() -> None:
    run = (checks.check_settings, checks.check_middleware, checks.check_urls, checks.check_eventstream)
    assert [ids(check()) for check in run] == [[], [], [], []]


def test_a_misspelt_setting_is_found_with_the_right_one(settings: Any) -> None:
    settings.HTMX_LIVE = {"JOB_THREAD": 3}
    [error] = checks.check_settings()
    assert (error.id, "did you mean 'JOB_THREADS'?" in error.msg) == ("htmx_live.E001", True)


@pytest.mark.parametrize("key", ["STORE", "AROUND"])
def test_a_path_that_cannot_be_imported_is_found(settings: Any, key: str) -> None:
    settings.HTMX_LIVE = {key: "no.such.thing"}
    assert ids(checks.check_settings()) == ["htmx_live.E002"]


def test_an_unknown_runner_is_found(settings: Any) -> None:
    settings.HTMX_LIVE = {"RUNNER": "threads"}
    assert ids(checks.check_settings()) == ["htmx_live.E003"]


@pytest.mark.parametrize("runner", ["celery", "tasks"])
def test_workers_without_a_store_of_all_processes_are_found(settings: Any, runner: str) -> None:
    settings.HTMX_LIVE = {"RUNNER": runner}
    assert ids(checks.check_settings()) == ["htmx_live.E005"]
    settings.HTMX_LIVE = {"RUNNER": runner, "REDIS_URL": "redis://127.0.0.1:1/0"}
    assert ids(checks.check_settings()) == []


def test_missing_middleware_is_found(settings: Any) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != LIVE]
    assert ids(checks.check_middleware()) == ["htmx_live.E010"]


def test_middleware_before_what_it_builds_on_is_found_with_the_hint(settings: Any) -> None:
    settings.MIDDLEWARE = [LIVE, *(name for name in settings.MIDDLEWARE if name != LIVE)]
    [error] = checks.check_middleware()
    assert error.id == "htmx_live.E011"
    assert "SessionMiddleware, AuthenticationMiddleware, HtmxMiddleware" in error.hint


def test_urls_that_are_not_included_are_found(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.foreign_urls"
    import sys
    from types import ModuleType

    empty = ModuleType("tests.foreign_urls")
    empty.urlpatterns = []  # type: ignore[attr-defined]
    sys.modules["tests.foreign_urls"] = empty
    try:
        assert ids(checks.check_urls()) == ["htmx_live.E012"]
    finally:
        del sys.modules["tests.foreign_urls"]


def test_an_access_mixin_is_found_with_what_to_use_instead() -> None:
    class Guarded(LoginRequiredMixin, LiveView):
        pass

    found = [error for error in checks.check_views() if "Guarded" in error.msg]
    assert ids(found) == ["htmx_live.E020"]
    assert "login_required = True" in str(found[0].hint)


def test_every_message_has_a_hint(settings: Any) -> None:
    settings.HTMX_LIVE = {"STORE": "no.such.thing", "RUNNER": "threads"}
    settings.MIDDLEWARE = []
    found = [*checks.check_settings(), *checks.check_middleware()]
    assert len(found) == 3 and all(message.hint for message in found)
