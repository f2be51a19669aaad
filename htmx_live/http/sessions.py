"""Sessions and users of streams: who opened one, whether that still holds, and ``end_streams()``.

A stream's request passes through no middleware, so its session and user are read here as the middlewares would.  While
it is open, ``visitors()`` reads the sessions, users and permissions of many streams with five queries.  What they say
about a sign-in is compared with what they said when the stream was opened; only where that differs is Django asked
again.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_backends,
    get_user,
    get_user_model,
)
from django.contrib.sessions.backends.db import SessionStore as DatabaseSession
from django.http import HttpRequest, parse_cookie
from django.utils import timezone
from django.utils.module_loading import import_string

from htmx_live.backends.wire import user_channel
from htmx_live.core.conf import session_cookie_name, session_engine
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.runtime.owners import get_owner, stream_session_keys
from htmx_live.runtime.request_context import run_after_commit
from htmx_live.runtime.services import services

__all__ = [
    "SignIn",
    "Visitor",
    "aend_streams",
    "build_request",
    "close_streams_of_browser",
    "close_streams_of_user",
    "end_streams",
    "load_visitors",
    "read_sign_in",
]


logger = logging.getLogger("htmx_live.http")

SessionData = Mapping[str, Any]

_ANONYMOUS = (None,)  # the mark of a visitor whose session says nothing


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who opened a stream: the session's key, the user's primary key, and what the sign-in depended on."""

    session: str = field(repr=False)
    user: str
    fingerprint: tuple[Any, ...] = field(repr=False)


@dataclass(slots=True)
class Visitor:
    """Who a stream belongs to now: a request with their session and user, for the permissions of views.

    ``answers`` are the views' answers so far; streams that are checked together share them.
    """

    request: HttpRequest
    permission_cache: dict[tuple[str, str], bool] = field(default_factory=dict)


def build_request(headers: Mapping[str, str]) -> HttpRequest:
    """A request with the cookies in ``headers``, of lower-case names, and with their session and user."""
    request = HttpRequest()
    request.COOKIES = parse_cookie(headers.get("cookie", ""))
    request.session = _build_session(request.COOKIES.get(session_cookie_name()))
    request.user = get_user(request)
    return request


def read_sign_in(request: HttpRequest) -> SignIn:
    """What ``visitors()`` compares later."""
    return SignIn(
        session=request.COOKIES.get(session_cookie_name(), ""),
        user=get_owner(request).user,
        fingerprint=_fingerprint(request.session, request.user),
    )


def load_visitors(sign_ins: Sequence[SignIn]) -> list[Visitor | None]:
    """Who these are now; None for a session that ended, a changed password, a user who may not sign in any more."""
    sessions = _load_sessions({one.session for one in sign_ins if one.session})
    users = _load_users(session[SESSION_KEY] for session in sessions.values() if SESSION_KEY in session)
    known: dict[SignIn, Visitor | None] = {}
    for one in sign_ins:
        if one not in known:
            known[one] = _build_visitor(one, sessions.get(one.session, {}), users)
    return [known[one] for one in sign_ins]


def end_streams(user: Any) -> None:
    """End every open stream of ``user``, in all processes, once the current transaction has been committed.

    Call it where you take a right away: pages reconnect at once and are let in only with what the user may still see.
    Raise ``StoreUnavailable`` if Redis is away; the streams then end with the check at the next heartbeat.
    """
    if getattr(user, "pk", None) is None:
        raise TypeError(f"end_streams({user!r}): expected a user that has been saved.")
    run_after_commit(lambda: services().bus.close_streams(user_channel(user.pk)))


async def aend_streams(user: Any) -> None:
    """See ``end_streams()``."""
    await sync_to_async(end_streams)(user)


def close_streams_of_user(pk: object) -> None:
    """``end_streams()`` for signals: what they announce must not fail because Redis is away."""
    run_after_commit(lambda: _close_streams(user_channel(pk)))


def close_streams_of_browser(request: HttpRequest) -> None:
    """End the streams that were opened with the cookies of ``request``, in all processes."""
    for key in stream_session_keys(request):
        _close_streams(key)


def _close_streams(key: str) -> None:
    try:
        services().bus.close_streams(key)
    except StoreUnavailable as error:
        logger.warning("Streams end with their next check, because other processes cannot be told: %s", error)


def _build_session(key: str | None) -> Any:
    engine: Any = import_module(session_engine())
    session = engine.SessionStore(key)
    # get_user() renews a session that one of SECRET_KEY_FALLBACKS signed, and no new cookie would be sent here.
    session.cycle_key = lambda: None
    return session


def _load_sessions(keys: set[str]) -> dict[str, SessionData]:
    """The data of the sessions that are still there, by key: one query if the database holds them."""
    engine: Any = import_module(session_engine())
    store = engine.SessionStore
    if getattr(store, "load", None) is not DatabaseSession.load:
        return {key: store(key).load() for key in keys}
    rows = store.get_model_class().objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return {key: store().decode(data) for key, data in rows.values_list("session_key", "session_data")}


def _load_users(keys: Iterable[str]) -> dict[str, Any]:
    """Users by their primary key as sessions hold it."""
    wanted = set(keys)
    if not wanted:
        return {}
    model = get_user_model()
    found = list(model._default_manager.filter(pk__in=[model._meta.pk.to_python(key) for key in wanted]))
    _prefetch_permissions(found)
    return {model._meta.pk.value_to_string(user): user for user in found}


def _prefetch_permissions(users: Sequence[Any]) -> None:
    """Fill the caches of ``ModelBackend`` for all users with three queries; each ``has_perm()`` would need two.

    Leave them alone where the user model or a backend has permissions of its own.
    """
    from django.contrib.auth.models import Permission, PermissionsMixin  # needs the app registry

    model = get_user_model()
    names = ("content_type__app_label", "codename")
    if not issubclass(model, PermissionsMixin) or not all(map(_has_stock_permissions, get_backends())):
        return
    those = model._default_manager.filter(pk__in=[user.pk for user in users if not user.is_superuser])
    groups = _group_pairs(those.filter(groups__isnull=False).values_list("pk", "groups"))
    own = _group_pairs(
        (user, f"{app}.{name}")
        for user, app, name in those.filter(user_permissions__isnull=False).values_list(
            "pk", *(f"user_permissions__{name}" for name in names)
        )
    )
    granted = Permission.objects.order_by().filter(group__in=set().union(*groups.values()))
    of_group = _group_pairs((group, f"{app}.{name}") for group, app, name in granted.values_list("group", *names))
    for user in users:
        if not user.is_superuser:
            user._user_perm_cache = own[user.pk]
            user._group_perm_cache = set().union(*(of_group[group] for group in groups[user.pk]))


def _group_pairs(pairs: Iterable[tuple[Any, Any]]) -> defaultdict[Any, set[Any]]:
    found = defaultdict[Any, set[Any]](set)
    for key, value in pairs:
        found[key].add(value)
    return found


def _has_stock_permissions(backend: Any) -> bool:
    from django.contrib.auth.backends import ModelBackend  # needs the app registry

    names = ("_get_permissions", "_get_user_permissions", "_get_group_permissions")
    return not isinstance(backend, ModelBackend) or all(
        getattr(type(backend), name) is getattr(ModelBackend, name) for name in names
    )


def _build_visitor(sign_in: SignIn, session: SessionData, users: Mapping[str, Any]) -> Visitor | None:
    user = users.get(session.get(SESSION_KEY, ""))
    is_still_anonymous = sign_in.fingerprint == _ANONYMOUS and SESSION_KEY not in session
    if is_still_anonymous or (_fingerprint(session, user) == sign_in.fingerprint and _uses_stock_get_user(session)):
        request = HttpRequest()
        request.COOKIES = {session_cookie_name(): sign_in.session}
        request.session = _build_session(sign_in.session)
        request.user = user or _anonymous()
        return Visitor(request)
    request = build_request({"cookie": f"{session_cookie_name()}={sign_in.session}"})
    is_same = get_owner(request).user == sign_in.user != ""
    return Visitor(request) if is_same else None


def _anonymous() -> Any:
    from django.contrib.auth.models import AnonymousUser  # needs the app registry

    return AnonymousUser()


def _fingerprint(session: SessionData, user: Any) -> tuple[Any, ...]:
    """What a sign-in depends on.  A visitor who has not signed in is known by our token in their session."""
    if session.get(SESSION_KEY) is None:
        return (session.get("_htmx_live"),)
    session_values = [session.get(name) for name in (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY)]
    password_hash = user.get_session_auth_hash() if hasattr(user, "get_session_auth_hash") else ""
    return (*session_values, password_hash, getattr(user, "is_active", None))


def _uses_stock_get_user(session: SessionData) -> bool:
    """Whether the backend of a sign-in reads users as Django's own: another one may have rules of its own."""
    from django.contrib.auth.backends import ModelBackend  # needs the app registry

    path = session.get(BACKEND_SESSION_KEY)
    return path is None or import_string(path).get_user is ModelBackend.get_user
