"""Signals of Django: a login makes its session's token; logging in and out and changes of a user end streams.

A login or logout comes with the request's old cookies, by which the streams are known.  What no signal tells (an update
of many users, a group's permissions) is found by the check that each open stream gets before a heartbeat has passed.
The deletion of sessions is left to that check on purpose: with a receiver for it, ``clearsessions`` would have to load
every session that it deletes.
"""

from collections.abc import Collection
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.http import HttpRequest

from htmx_live.owners import keep_owner, leave_visitor
from htmx_live.sessions import close_streams_of_browser, close_streams_of_user

__all__ = ["connect"]

_RIGHTS = {"password", "is_active", "is_staff", "is_superuser"}  # fields of a user


def connect() -> None:
    """Listen for as long as the process lives."""
    user_logged_in.connect(_logged_in, dispatch_uid="htmx_live")
    user_logged_out.connect(_logged_out, dispatch_uid="htmx_live")
    if not apps.is_installed("django.contrib.auth"):
        return
    model = get_user_model()
    post_save.connect(_user_saved, sender=model, dispatch_uid="htmx_live")
    post_delete.connect(_user_deleted, sender=model, dispatch_uid="htmx_live")
    for name in ("groups", "user_permissions"):
        if relation := getattr(model, name, None):
            m2m_changed.connect(_rights_changed, sender=relation.through, dispatch_uid="htmx_live")


def _logged_in(request: HttpRequest | None = None, **kwargs: Any) -> None:
    if request is not None:
        close_streams_of_browser(request)
        keep_owner(request)


def _logged_out(request: HttpRequest | None = None, **kwargs: Any) -> None:
    if request is not None:
        close_streams_of_browser(request)
        leave_visitor(request)


def _user_saved(instance: Any, created: bool, update_fields: Collection[str] | None, **kwargs: Any) -> None:
    """End the streams of a user who was deactivated, or whose password or rights were saved."""
    # AbstractBaseUser keeps a password that set_password() was given until the user has been saved.
    is_new_password = getattr(instance, "_password", None) is not None
    is_named = not _RIGHTS.isdisjoint(update_fields or ())
    if not created and (is_new_password or is_named or not getattr(instance, "is_active", True)):
        close_streams_of_user(instance.pk)


def _user_deleted(instance: Any, **kwargs: Any) -> None:
    close_streams_of_user(instance.pk)


def _rights_changed(instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, **kwargs: Any) -> None:
    """End the streams of users who lost a group or a permission of their own."""
    if action in ("post_remove", "post_clear"):
        for pk in (pk_set or ()) if reverse else (instance.pk,):
            close_streams_of_user(pk)
