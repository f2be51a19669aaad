"""What a turn comes to: the record to be saved, what is sent to pages, and what belongs into the answer to a user.

The first turn of an instance: ``mount()`` and the first render.  Nothing is stored or sent yet.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from django.http import HttpRequest
from django.utils.safestring import SafeString

from htmx_live.backends.wire import page_channel
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.fragments import Fragment, text_target
from htmx_live.core.records import Owner, Record
from htmx_live.core.signing import random_id
from htmx_live.core.text import log_unavailable
from htmx_live.runtime import rendering
from htmx_live.runtime.files import delete_file
from htmx_live.runtime.inbox_messages import (
    Again,
    DiscardFile,
    EndText,
    JobFailure,
    Notice,
    Redirect,
    ResetForms,
    SendFragments,
    SendNotice,
    WriteText,
)
from htmx_live.runtime.job_leases import announce
from htmx_live.runtime.mailbox import look_after, post
from htmx_live.runtime.notices import deliver
from htmx_live.runtime.rendering import granted
from htmx_live.runtime.request_context import after_commit, atomic_where_asked
from htmx_live.runtime.services import keep_trying, parts
from htmx_live.runtime.turn import Asked, Turn, current
from htmx_live.runtime.variants import channels_of, in_use, in_variant, speaking, variant_channel
from htmx_live.runtime.view import import_view

__all__ = ["First", "Shown", "Turned", "answer", "first_turn", "keep", "rendered", "send", "watch", "without_view"]


logger = logging.getLogger("htmx_live.runtime")

_PAUSE = 1.0  # seconds until a bus that is away is tried again

Shown = Mapping[str, Fragment]  # by variant, those that differ from what was sent last; one user's view has "" alone
Children = Mapping[str, tuple[str, str]]  # as in a record


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """What a user's event came to: the saved record, and what belongs into the answer.

    ``fragment`` is None when the HTML is what was sent last, or the handler skipped rendering.
    """

    record: Record
    fragment: Fragment | None
    redirect: str = ""
    notices: tuple[Notice, ...] = ()
    resets_forms: bool = False
    address: str = ""


def rendered(turn: Turn, *, is_background: bool) -> tuple[Record, Shown]:
    """The record to be saved, and what is to be shown of it."""
    jobs, lost = tuple(turn.jobs.rows), tuple(turn.jobs.lost)
    record = replace(
        turn.record,
        rev=turn.record.rev + 1,
        state=turn.state,
        unset=_unset(turn),
        is_broken=turn.is_broken or (is_background and turn.record.is_broken),
        jobs=jobs,
        lost=lost,
    )
    is_changed = turn.renders or record.jobs != turn.record.jobs
    if record.shared:
        return _in_variants(turn, record, is_changed=is_changed, is_background=is_background)
    if not is_changed:
        return record, {}
    inner, children, digest = _attempt(turn, record, is_background=is_background)
    is_sent = digest == record.digest and not turn.resends
    record = replace(record, children=children, digest=digest)
    return record, {} if is_sent else {"": rendering.fragment(record, inner)}


def _unset(turn: Turn) -> tuple[str, ...]:
    """See ``Record``.  Names that only other code knows stay, for its processes may still run."""
    return tuple(sorted(type(turn.view)._mounted.union(turn.record.unset) - turn.state.keys()))


def _in_variants(turn: Turn, record: Record, *, is_changed: bool, is_background: bool) -> tuple[Record, Shown]:
    """A shared view, in each variant that is in use; without a change in those that were never sent."""
    shown: dict[str, Fragment] = {}
    digests: dict[str, str] = {}
    record = replace(record, viewed=in_use(record))
    for variant in record.viewed:
        known = digests[variant] = record.digests.get(variant, "")
        if known and not is_changed:
            continue
        with speaking(variant):
            inner, children, digests[variant] = _attempt(turn, in_variant(record, variant), is_background=is_background)
            record = replace(record, children=children)
            if digests[variant] != known or turn.resends:
                shown[variant] = rendering.fragment(record, inner)
    return replace(record, digests=digests), shown


def _attempt(turn: Turn, record: Record, *, is_background: bool) -> tuple[SafeString, Children, str]:
    try:
        return _render(turn, record)
    except Exception:  # a boundary: a job that has ended must end on the page too, whatever the template does
        if not is_background:
            raise
        turn.born.clear()
        inner = _failed(record)
        return inner, record.children, rendering.digest(record, inner)


def without_view(record: Record, inner: SafeString) -> tuple[Record, Shown]:
    """``inner`` in the view's place, for whoever looks at it."""
    digest = rendering.digest(record, inner)
    if not record.shared:
        record = replace(record, digest=digest)
        return record, {"": rendering.fragment(record, inner)}
    record = replace(record, digests=dict.fromkeys(record.viewed, digest))
    return record, dict.fromkeys(record.viewed, rendering.fragment(record, inner))


def _render(turn: Turn, record: Record) -> tuple[SafeString, Children, str]:
    """In a savepoint, for a query of the template that fails must not take the turn's own changes with it."""
    with atomic_where_asked():
        turn.begin_rendering(record)
        inner = rendering.render(turn.view, record, turn.stand_in)
    return inner, dict(turn.children), rendering.digest(record, inner)


def _failed(record: Record) -> SafeString:
    error = random_id()[:8]
    logger.exception("The template of %s failed in a background turn (error %s)", record.view, error)
    return rendering.failure(JobFailure(id=error))


def send(record: Record, asked: list[Asked], shown: Shown, *, to_user: bool) -> None:
    """Publish what the turn has to say.  What belongs into a user's answer is left to it.

    The turn is saved, whatever the bus says: what it does not take is sent by a later turn.
    """
    left = [entry for entry in asked if not (to_user and isinstance(entry.effect, Notice | Redirect))]
    try:
        while left:
            _say(record, left[0])
            left.pop(0)
        for variant, fragment in shown.items():
            own = [variant_channel(record.instance, variant)] if variant else channels_of(record)
            # The script fills a new form's token in; what many pages get holds none.
            html = str(fragment.__html__()).replace(rendering.csrf_slot(), "")
            parts().bus.publish(own, fragment.target, html)
    except StoreUnavailable as error:
        log_unavailable(logger, error, "turns sent later", "What %s has to say is sent later", record.view)
        keep_trying(partial(_ask_again, record.instance, left), after=_PAUSE)


def _say(record: Record, entry: Asked) -> None:
    bus, effect = parts().bus, entry.effect
    if isinstance(effect, WriteText):
        target = text_target(record.instance, effect.stream)
        bus.append(channels_of(record), target, effect.text, replace=effect.replace)
    elif isinstance(effect, EndText):
        bus.end_texts([text_target(record.instance, effect.stream)])
    elif isinstance(effect, SendFragments):
        # A first turn runs in the transaction of its page.
        after_commit(partial(bus.publish, effect.channels, effect.target, effect.data))
    elif isinstance(effect, SendNotice):
        after_commit(partial(deliver, effect))
    elif isinstance(effect, DiscardFile):
        after_commit(partial(delete_file, effect.name))
    elif isinstance(effect, Notice):
        notice = {"message": effect.message, "level": effect.level}
        bus.publish(channels_of(record), f"notice-{random_id()}", json.dumps(notice), event="notice")
    elif isinstance(effect, Redirect) and entry.page:
        where = json.dumps({"url": effect.url, "page": entry.page})
        bus.publish([page_channel(entry.page)], "redirect", where, event="redirect")


def _ask_again(instance: str, left: list[Asked]) -> None:
    """Have a later turn say what is left, and show the view as it is then."""
    while left:
        page, alike = next(groupby(left, key=lambda entry: entry.page))
        effects = [entry.effect for entry in alike]
        if not post(instance, Again(effects=effects, page=page)):
            return
        del left[: len(effects)]
    if post(instance, Again()):
        look_after(instance)


def answer(record: Record, fragment: Fragment | None, asked: list[Asked]) -> Turned:
    effects = [entry.effect for entry in asked]
    redirects = [effect.url for effect in effects if isinstance(effect, Redirect)]
    return Turned(
        record=record,
        fragment=fragment,
        redirect=redirects[-1] if redirects else "",
        notices=tuple(effect for effect in effects if isinstance(effect, Notice)),
        resets_forms=any(isinstance(effect, ResetForms) for effect in effects),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """``turned.fragment`` is None when ``mount()`` asked for a redirect, or skipped the render."""

    turn: Turn
    turned: Turned


def first_turn(record: Record, *, request: HttpRequest | None, page: str, owner: Callable[[bool], Owner]) -> First:
    """Mount and render ``record``, whose rev is that before the first.

    ``owner(create)`` says whose it is; a token is made only for a view that can be used.  Raises
    ``PermissionDenied`` and whatever the view's code raises.
    """
    turn = Turn(record, request=request, owner=owner)
    with current(turn):
        turn.mount(page)
    is_used = bool(type(turn.view).handlers or turn.jobs.starts)
    turn.record = granted(replace(turn.record, owner=owner(is_used)))
    early = answer(turn.record, None, turn.asked)
    if early.redirect:
        return First(turn=turn, turned=early)
    saved, shown = rendered(turn, is_background=False)
    fragment = next(iter(shown.values()), None)
    # What mount() asks for is sent by keep(): nobody reads it from the answer to a page load.
    return First(turn=turn, turned=answer(saved, fragment, []))


def watch(record: Record) -> None:
    """Have a view with ``tick_interval`` ticked while somebody looks at it, unless a command does."""
    interval = import_view(record.view).tick_interval
    if interval and settings().TICKS == "web":
        parts().ticker.watch(record.instance, interval / 1000)


def keep(first: First, *, once: bool = False) -> bool:
    """Store what a first turn came to, the children's first: a parent never names what is not there.

    With ``once`` False, and nothing is kept, if the instance is there already.
    """
    for born in first.turn.born:
        keep(born)
    announce(first.turned.record.instance, first.turn.jobs.starts)
    if not parts().store.create(first.turned.record, once=once):
        return False
    watch(first.turned.record)
    parts().watcher.start()
    send(first.turned.record, first.turn.asked, {}, to_user=False)
    return True
