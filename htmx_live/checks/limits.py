"""Settings beside each other: those that defeat one another."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from django.core.checks import CheckMessage, Error, Warning

from htmx_live.checks.reading import given_settings
from htmx_live.conf import Settings, project_setting

__all__ = ["check_limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conflict:
    """``text`` and ``hint`` may name settings in braces, which become their values."""

    is_there: Callable[[Settings], bool]
    text: str
    hint: str


_FATAL = (
    _Conflict(
        is_there=lambda one: one.LOG_TTL <= 2 * one.HEARTBEAT,
        text="Messages are kept for LOG_TTL ({LOG_TTL} s), and pages read them again after HEARTBEAT ({HEARTBEAT} s).",
        hint="Make LOG_TTL several times HEARTBEAT: pages would lose what they have not read yet.",
    ),
    _Conflict(
        is_there=lambda one: one.STREAM_LIFETIME <= one.HEARTBEAT,
        text="A stream ends after STREAM_LIFETIME ({STREAM_LIFETIME} s), before its first HEARTBEAT ({HEARTBEAT} s).",
        hint="Make STREAM_LIFETIME many times HEARTBEAT, or leave it out.",
    ),
    _Conflict(
        is_there=lambda one: one.GRANT_MAX_AGE <= one.STREAM_LIFETIME,
        text="A page is good for GRANT_MAX_AGE ({GRANT_MAX_AGE} s), and its stream lasts STREAM_LIFETIME "
        "({STREAM_LIFETIME} s): the second one would be refused.",
        hint="Make GRANT_MAX_AGE as long as a page may stay open; a day is the default.",
    ),
)
_DOUBTFUL = (
    _Conflict(
        is_there=lambda one: max(one.HIDDEN_TTL, one.STATE_TTL) > one.GRANT_MAX_AGE,
        text="What a page shows is kept for up to {HIDDEN_TTL} s (HIDDEN_TTL, STATE_TTL), but its grant is good for "
        "GRANT_MAX_AGE ({GRANT_MAX_AGE} s) only.",
        hint="Lower HIDDEN_TTL and STATE_TTL to GRANT_MAX_AGE, or raise that.",
    ),
    _Conflict(
        is_there=lambda one: one.HEARTBEAT >= 60,
        text="HEARTBEAT is {HEARTBEAT} s: many proxies cut a connection that is silent for 60 s.",
        hint="Keep HEARTBEAT below the time after which the proxy in front cuts; 15 s is the default.",
    ),
    _Conflict(
        is_there=lambda one: one.MAX_STREAMS_PER_OWNER >= one.MAX_STREAMS,
        text="One visitor may have MAX_STREAMS_PER_OWNER ({MAX_STREAMS_PER_OWNER}) streams, which are all MAX_STREAMS.",
        hint="Lower MAX_STREAMS_PER_OWNER.",
    ),
    _Conflict(
        is_there=lambda one: not one.REDIS_PREFIX,
        text="REDIS_PREFIX is empty: keys in Redis would have names like 'epoch'.",
        hint="Give each site that uses this Redis a prefix of its own.",
    ),
    _Conflict(
        is_there=lambda one: bool(one.REDIS_CLIENT and not one.REDIS_URL),
        text="REDIS_CLIENT is set, but not REDIS_URL: it is never used.",
        hint="Set REDIS_URL too; the factory is given it.",
    ),
)


@given_settings
def check_limits(chosen: Settings) -> Iterator[CheckMessage]:
    values = asdict(chosen)
    for conflict in _FATAL:
        if conflict.is_there(chosen):
            yield Error(conflict.text.format(**values), hint=conflict.hint, id="htmx_live.E006")
    for conflict in _DOUBTFUL:
        if conflict.is_there(chosen):
            yield Warning(conflict.text.format(**values), hint=conflict.hint, id="htmx_live.W007")
    for ours, django in (
        ("MAX_ARGUMENT_SIZE", "DATA_UPLOAD_MAX_MEMORY_SIZE"),
        ("MAX_UPLOADS", "DATA_UPLOAD_MAX_NUMBER_FILES"),
    ):
        limit = project_setting(django)
        if limit is not None and values[ours] > limit:
            text = f"HTMX_LIVE[{ours!r}] is {values[ours]}, but Django refuses more than {limit} ({django})."
            yield Warning(text, hint=f"Raise {django}, or lower {ours}.", id="htmx_live.W008")
