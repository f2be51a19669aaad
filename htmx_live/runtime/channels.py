"""Which channels an instance speaks on."""

from htmx_live.records import Record
from htmx_live.runtime.parts import parts
from htmx_live.transport.channels import page_channel, view_channel

__all__ = ["channels_of", "shared_channels"]


def channels_of(record: Record) -> list[str]:
    """Those of the pages that show it; a shared one has a channel of its own, which all its viewers listen on.

    What a shared one renders goes to the channels of its variants instead.
    """
    return [view_channel(record.instance)] if record.shared else [page_channel(page) for page in record.pages]


def shared_channels(page: str) -> list[str]:
    """What a page listens on beside its own: the shared instances that it shows, and what it has subscribed to."""
    store = parts().store
    loaded = [store.load(instance) for instance in store.members(page)]
    shared = [channel for one in loaded if one and one.record.shared for channel in channels_of(one.record)]
    return [*shared, *store.channels(page)]
