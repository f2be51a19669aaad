"""Celery's settings, as far as jobs depend on them."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.core.checks import CheckMessage, Error, Warning

from htmx_live.checks.reading import given_settings
from htmx_live.conf import Settings, is_debug

__all__ = ["check_celery"]

_REDELIVERING = {"redis": 3600, "rediss": 3600, "sentinel": 3600, "sqs": 1800}  # visibility timeouts, kombu's defaults
_JSON = {"json", "application/json"}


@given_settings
def check_celery(chosen: Settings) -> Iterator[CheckMessage]:
    if chosen.RUNNER != "celery" or find_spec("celery") is None:
        return
    from celery import current_app

    conf = current_app.conf
    broker = str(conf.broker_write_url or conf.broker_url or "")
    if not broker:
        hint = (
            "Write project/celery.py as Celery's guide for Django says, put `from .celery import app` into the "
            "project's __init__.py, and set CELERY_BROKER_URL."
        )
        yield Error("RUNNER is 'celery', but no Celery app with a broker is loaded.", hint=hint, id="htmx_live.E050")
        return
    yield from _broker(conf, broker, chosen)
    if conf.task_always_eager:
        text = "CELERY_TASK_ALWAYS_EAGER has no effect on jobs: they are sent to the broker, and wait for a worker."
        hint = "Use HTMX_LIVE['RUNNER'] = 'immediate' in tests and 'thread' without a worker."
        yield Warning(text, hint=hint, id="htmx_live.W053")
    if not _JSON & set(conf.accept_content):
        text = f"CELERY_ACCEPT_CONTENT is {list(conf.accept_content)!r}: workers refuse jobs, which are JSON."
        yield Error(text, hint="Add 'json' to CELERY_ACCEPT_CONTENT.", id="htmx_live.E054")


def _broker(conf: Any, broker: str, chosen: Settings) -> Iterator[CheckMessage]:
    scheme = broker.partition(":")[0]
    if scheme == "memory" and not is_debug():
        text = "Celery's broker is memory://: a job reaches no other process, and is lost with this one."
        yield Error(text, hint="Set CELERY_BROKER_URL to Redis or RabbitMQ.", id="htmx_live.E051")
    if scheme not in _REDELIVERING:
        return
    timeout = (conf.broker_transport_options or {}).get("visibility_timeout", _REDELIVERING[scheme])
    if timeout < 2 * chosen.JOB_TIME_LIMIT:
        text = (
            f"The broker gives a message to another worker after {timeout} s (visibility_timeout), less than twice "
            f"JOB_TIME_LIMIT ({chosen.JOB_TIME_LIMIT:g} s): what waits behind a long job is handed round."
        )
        hint = (
            "Set CELERY_BROKER_TRANSPORT_OPTIONS = {'visibility_timeout': "
            f"{2 * chosen.JOB_TIME_LIMIT:.0f}}} or more, or lower JOB_TIME_LIMIT."
        )
        yield Warning(text, hint=hint, id="htmx_live.W052")
