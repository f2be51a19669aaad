"""Variants: a shared view in each language and time zone in which it is looked at.

The record is one, and the view's code runs in the site's own language and time zone.  It is rendered once for each
variant in use, and sent on the variant's own channel:

    the first page mounts it ────────▶ its variant is in the record
    a page in another ───────────────▶ listens, then posts ``Viewed``: that turn renders what was never sent
    a stream's beat, a page's question ▶ ``Viewed`` again, if the last is old
    nobody for a while ──────────────▶ left out of the next render; whoever returns is ``Viewed``, and gets it

A page keeps the variant in which it was loaded: the channel that it has subscribed to says which.

Which channels an instance speaks on.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import unquote

from django.utils import timezone, translation

from htmx_live.backends.wire import page_channel, view_channel
from htmx_live.core.conf import settings
from htmx_live.core.records import Record
from htmx_live.runtime.request_context import current_zone_name, get_zone
from htmx_live.runtime.services import services

__all__ = [
    "active_variant",
    "for_page",
    "instance_channels",
    "is_recently_viewed",
    "override_variant",
    "page_variant",
    "subscribed_channels",
    "touch_variant",
    "variant_channel",
    "viewed_variants",
    "with_variant",
]


_MIN_VIEWED_TTL = 600.0  # seconds that a variant is rendered after somebody was last seen to look at it
_MAX_VARIANTS = 100  # variants of one instance; of more, those that were seen longest ago go


def active_variant() -> str:
    """The variant of whatever is being rendered: the thread's language and time zone."""
    return f"{translation.get_language() or ''}~{current_zone_name()}"


def variant_channel(instance: str, variant: str) -> str:
    return view_channel(f"{instance}~{variant}")


def page_variant(page: str, instance: str) -> str:
    """The variant in which a page shows a shared instance, "" when it is not known to."""
    own = view_channel(f"{instance}~")
    return next(
        (
            unquote(name.removeprefix(own))
            for name in services().store.subscribed_channels(page)
            if name.startswith(own)
        ),
        "",
    )


def for_page(page: str, record: Record) -> Record:
    """The record as a page shows it: a shared one in the page's variant."""
    return with_variant(record, page_variant(page, record.instance) or active_variant()) if record.shared else record


def with_variant(record: Record, variant: str) -> Record:
    """The record as it is rendered in a variant; one in which it is not to be stored."""
    language, _, zone = variant.partition("~")
    return replace(record, language=language, time_zone=zone)


@contextmanager
def override_variant(variant: str) -> Iterator[None]:
    language, _, zone = variant.partition("~")
    with translation.override(language or None), timezone.override(get_zone(zone)):
        yield


def touch_variant(record: Record, variant: str, *, now: float | None = None) -> Record:
    """The record with one variant seen to be in use."""
    seen = {**record.viewed, variant: int(time.time() if now is None else now)}
    newest = sorted(seen, key=seen.__getitem__)[-_MAX_VARIANTS:]
    return replace(record, viewed={each: seen[each] for each in seen if each in newest})


def viewed_variants(record: Record, *, now: float | None = None) -> dict[str, int]:
    """Its variants without those that nobody was seen to look at for a while."""
    oldest = (time.time() if now is None else now) - _viewed_ttl()
    return {variant: seen for variant, seen in record.viewed.items() if seen >= oldest}


def is_recently_viewed(record: Record, variant: str, *, now: float | None = None) -> bool:
    """Whether there is nothing to say about this variant's being in use."""
    return record.viewed.get(variant, 0) >= (time.time() if now is None else now) - _viewed_ttl() / 3


def _viewed_ttl() -> float:
    return max(_MIN_VIEWED_TTL, 10 * settings().HEARTBEAT)


def instance_channels(record: Record) -> list[str]:
    """Those of the pages that show it; a shared one has a channel of its own, which all its viewers listen on.

    What a shared one renders goes to the channels of its variants instead.
    """
    return [view_channel(record.instance)] if record.shared else [page_channel(page) for page in record.pages]


def subscribed_channels(page: str) -> list[str]:
    """What a page listens on beside its own: the shared instances that it shows, and what it has subscribed to."""
    store = services().store
    loaded = [store.load(instance) for instance in store.instances_on(page)]
    shared = [channel for one in loaded if one and one.record.shared for channel in instance_channels(one.record)]
    return [*shared, *store.subscribed_channels(page)]
