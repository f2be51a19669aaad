"""The grant in an instance's root: made anew only when half of its life is over, so that renders stay equal."""

import time
from dataclasses import replace

from htmx_live.conf import settings
from htmx_live.grants import ViewGrant, sign_view
from htmx_live.records import Record
from htmx_live.runtime.parts import parts

__all__ = ["granted"]


def granted(record: Record) -> Record:
    """``record`` with a grant that stays valid for at least half of ``GRANT_MAX_AGE``."""
    now = int(time.time())
    if record.grant and now - record.granted_at < settings().GRANT_MAX_AGE / 2:
        return record
    grant = ViewGrant(
        instance=record.instance,
        view=record.view,
        kwargs=record.kwargs,
        owner=record.owner,
        epoch=parts().store.epoch,
        key=record.key,
        tag=record.tag,
        css=record.css_class,
        earlier=record.earlier_epochs,
    )
    return replace(record, grant=sign_view(grant), granted_at=now)
