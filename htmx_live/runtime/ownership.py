"""Ownership: which record or page a grant still opens, for whom."""

import logging

from django.http import HttpRequest

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import GrantError, InstanceGone, StateError
from htmx_live.core.records import Owner, Record
from htmx_live.core.signing import PageGrant, ViewGrant, unsign_view
from htmx_live.runtime.owners import get_owners
from htmx_live.runtime.services import services
from htmx_live.runtime.turn import Turn
from htmx_live.runtime.view import import_view

__all__ = ["can_join", "get_owned_record", "has_page_permission", "has_view_permission", "read_view_grant"]


logger = logging.getLogger("htmx_live.runtime")


def read_view_grant(text: str) -> ViewGrant:
    """The grant in ``text``; ``GrantError`` when it is none of ours or too old."""
    if not text:
        raise GrantError("The request names no live view. It comes in the header X-Live, or in the field _live.")
    return unsign_view(text, max_age=settings().GRANT_MAX_AGE)


def get_owned_record(grant: ViewGrant, request: HttpRequest) -> Record | None:
    """The record that ``grant`` names, None when it must be mounted again; ``InstanceGone`` for a stranger's.

    A grant opens the record of exactly its owner.  The same user in another session, and a visitor who has logged in
    since, may mount the view again and never read the old record.  A visitor without a token owns by the grant.
    """
    owners = get_owners(request)
    if grant.owner in (*owners, Owner()):
        store = services().store
        loaded = store.load(grant.instance) if grant.epoch == store.epoch else None
        is_owned = loaded is not None and loaded.record.owner == grant.owner and loaded.record.view == grant.view
        return loaded.record if loaded is not None and is_owned and _is_importable(grant.view) else None
    if grant.owner.user and grant.owner.user in {owner.user for owner in owners}:
        return None
    if grant.owner.user == "" and grant.owner.token in {owner.token for owner in owners}:
        return None
    raise InstanceGone(f"Instance {grant.instance} belongs to somebody else.")


def can_join(grant: PageGrant, request: HttpRequest) -> bool:
    """Whether ``request`` may hear what is said to the page.

    A page that was loaded without a token opens for each request with its grant, until it shows a view that has an
    owner.
    """
    owners = get_owners(request)
    if grant.owner != Owner():
        return grant.owner in owners
    store = services().store
    records = [loaded.record for loaded in map(store.load, store.instances_on(grant.page)) if loaded]
    return all(record.owner in (*owners, Owner()) for record in records)


def has_page_permission(page: str, request: HttpRequest) -> bool:
    """Whether every view on a page still lets its user in, who hears what is said to any of them."""
    owners = get_owners(request)
    store = services().store
    for instance in store.instances_on(page):
        loaded = store.load(instance)
        if loaded is None or loaded.record.owner not in (*owners, Owner()):
            continue
        if not has_view_permission(loaded.record, request):
            return False
    return True


def has_view_permission(record: Record, request: HttpRequest) -> bool:
    """Whether a view lets the user of ``request`` in; True when it cannot be restored: the next sync finds that out."""
    try:
        return Turn(record, request=request).view.has_permission()
    except (StateError, ImportError):
        return True


def _is_importable(view: str) -> bool:
    """Whether the code of a view is still there; a deploy may have removed it."""
    try:
        import_view(view)
    except ImportError:
        logger.exception("The view %s of an open page is gone", view)
        return False
    return True
