"""System checks: what cannot work is said before the first request, each with an id and a hint.

`manage.py check --tag htmx_live` runs these alone.  docs/reference.md lists the ids.
"""

from django.core.checks import Tags
from django.core.checks import register as register_check

from htmx_live.checks.access import check_channel_manager, check_cors, check_csrf, check_sessions, check_views
from htmx_live.checks.databases import check_connections, check_sqlite
from htmx_live.checks.limits import check_limits
from htmx_live.checks.processes import check_progress, check_runner_in_production, check_runners, check_stores
from htmx_live.checks.project import check_apps, check_asgi, check_eventstream, check_middleware, check_urls
from htmx_live.checks.values import check_settings
from htmx_live.checks.workers import check_celery

__all__ = [
    "check_apps",
    "check_asgi",
    "check_celery",
    "check_channel_manager",
    "check_connections",
    "check_cors",
    "check_csrf",
    "check_eventstream",
    "check_limits",
    "check_middleware",
    "check_progress",
    "check_runner_in_production",
    "check_runners",
    "check_sessions",
    "check_settings",
    "check_sqlite",
    "check_stores",
    "check_urls",
    "check_views",
    "register",
]

_CHECKS = (
    check_apps,
    check_asgi,
    check_celery,
    check_channel_manager,
    check_connections,
    check_cors,
    check_csrf,
    check_eventstream,
    check_limits,
    check_middleware,
    check_progress,
    check_runners,
    check_sessions,
    check_settings,
    check_sqlite,
    check_stores,
    check_urls,
    check_views,
)


def register() -> None:
    """Called when the apps are ready."""
    for check in _CHECKS:
        register_check(check, Tags.compatibility, "htmx_live")
    register_check(check_runner_in_production, Tags.compatibility, "htmx_live", deploy=True)
