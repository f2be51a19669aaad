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
from htmx_live.runtime.files import delete_stored_upload
from htmx_live.runtime.inbox_messages import (
    AppendText,
    ClearText,
    DeleteUpload,
    JobFailure,
    Redirect,
    Rerender,
    ResetForms,
    SendFragments,
    SendNotice,
    ShowToast,
)
from htmx_live.runtime.job_leases import register_start_deadlines
from htmx_live.runtime.notices import deliver_notice
from htmx_live.runtime.rendering import refresh_grant
from htmx_live.runtime.request_context import atomic_if_configured, run_after_commit
from htmx_live.runtime.services import retry_in_background, services
from htmx_live.runtime.turn import PageEffect, Turn, activate_turn
from htmx_live.runtime.turn_queue import enqueue_message, schedule_turn
from htmx_live.runtime.variants import (
    instance_channels,
    override_variant,
    variant_channel,
    viewed_variants,
    with_variant,
)
from htmx_live.runtime.view import import_view

__all__ = [
    "FragmentsByVariant",
    "InitialTurn",
    "TurnResult",
    "build_result",
    "error_result",
    "publish_effects",
    "render_turn",
    "run_initial_turn",
    "start_ticking",
    "store_initial_turn",
]


logger = logging.getLogger("htmx_live.runtime")

_RETRY_DELAY = 1.0  # seconds until a bus that is away is tried again

FragmentsByVariant = Mapping[
    str, Fragment
]  # by variant, those that differ from what was sent last; one user's view has "" alone
Children = Mapping[str, tuple[str, str]]  # as in a record


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult:
    """What a user's event came to: the saved record, and what belongs into the answer.

    ``fragment`` is None when the HTML is what was sent last, or the handler skipped rendering.
    """

    record: Record
    fragment: Fragment | None
    redirect: str = ""
    toasts: tuple[ShowToast, ...] = ()
    resets_forms: bool = False
    url_update: str = ""


def render_turn(turn: Turn, *, is_background: bool) -> tuple[Record, FragmentsByVariant]:
    """The record to be saved, and what is to be shown of it."""
    jobs, lost = tuple(turn.jobs.rows), tuple(turn.jobs.lost)
    record = replace(
        turn.record,
        rev=turn.record.rev + 1,
        state=turn.state,
        unset=_unset_names(turn),
        is_broken=turn.is_broken or (is_background and turn.record.is_broken),
        jobs=jobs,
        lost=lost,
    )
    is_changed = turn.needs_render or record.jobs != turn.record.jobs
    if record.shared:
        return _render_variants(turn, record, is_changed=is_changed, is_background=is_background)
    if not is_changed:
        return record, {}
    inner, children, digest = _render_or_failure(turn, record, is_background=is_background)
    is_sent = digest == record.digest and not turn.force_send
    record = replace(record, children=children, digest=digest)
    return record, {} if is_sent else {"": rendering.build_root_fragment(record, inner)}


def _unset_names(turn: Turn) -> tuple[str, ...]:
    """See ``Record``.  Names that only other code knows stay, for its processes may still run."""
    return tuple(sorted(type(turn.view)._mount_names.union(turn.record.unset) - turn.state.keys()))


def _render_variants(
    turn: Turn, record: Record, *, is_changed: bool, is_background: bool
) -> tuple[Record, FragmentsByVariant]:
    """A shared view, in each variant that is in use; without a change in those that were never sent."""
    fragments: dict[str, Fragment] = {}
    digests: dict[str, str] = {}
    record = replace(record, viewed=viewed_variants(record))
    for variant in record.viewed:
        sent_digest = digests[variant] = record.digests.get(variant, "")
        if sent_digest and not is_changed:
            continue
        with override_variant(variant):
            inner, children, digests[variant] = _render_or_failure(
                turn, with_variant(record, variant), is_background=is_background
            )
            record = replace(record, children=children)
            if digests[variant] != sent_digest or turn.force_send:
                fragments[variant] = rendering.build_root_fragment(record, inner)
    return replace(record, digests=digests), fragments


def _render_or_failure(turn: Turn, record: Record, *, is_background: bool) -> tuple[SafeString, Children, str]:
    try:
        return _render(turn, record)
    except Exception:  # a boundary: a job that has ended must end on the page too, whatever the template does
        if not is_background:
            raise
        turn.new_children.clear()
        inner = _render_failure(record)
        return inner, record.children, rendering.render_digest(record, inner)


def error_result(record: Record, inner: SafeString) -> tuple[Record, FragmentsByVariant]:
    """``inner`` in the view's place, for whoever looks at it."""
    digest = rendering.render_digest(record, inner)
    if not record.shared:
        record = replace(record, digest=digest)
        return record, {"": rendering.build_root_fragment(record, inner)}
    record = replace(record, digests=dict.fromkeys(record.viewed, digest))
    return record, dict.fromkeys(record.viewed, rendering.build_root_fragment(record, inner))


def _render(turn: Turn, record: Record) -> tuple[SafeString, Children, str]:
    """In a savepoint, for a query of the template that fails must not take the turn's own changes with it."""
    with atomic_if_configured():
        turn.begin_rendering(record)
        inner = rendering.render(turn.view, record, turn.synthetic_request)
    return inner, dict(turn.children), rendering.render_digest(record, inner)


def _render_failure(record: Record) -> SafeString:
    error_id = random_id()[:8]
    logger.exception("The template of %s failed in a background turn (error %s)", record.view, error_id)
    return rendering.render_failure(JobFailure(id=error_id))


def publish_effects(
    record: Record, page_effects: list[PageEffect], fragments: FragmentsByVariant, *, is_user_event: bool
) -> None:
    """Publish what the turn has to say.  What belongs into a user's answer is left to it.

    The turn is saved, whatever the bus says: what it does not take is sent by a later turn.
    """
    remaining = [
        entry for entry in page_effects if not (is_user_event and isinstance(entry.effect, ShowToast | Redirect))
    ]
    try:
        while remaining:
            _publish(record, remaining[0])
            remaining.pop(0)
        for variant, fragment in fragments.items():
            channels = [variant_channel(record.instance, variant)] if variant else instance_channels(record)
            # The script fills a new form's token in; what many pages get holds none.
            html = str(fragment.__html__()).replace(rendering.csrf_placeholder(), "")
            services().bus.publish(channels, fragment.target, html)
    except StoreUnavailable as error:
        log_unavailable(logger, error, "turns sent later", "What %s has to say is sent later", record.view)
        retry_in_background(partial(_requeue, record.instance, remaining), delay=_RETRY_DELAY)


def _publish(record: Record, entry: PageEffect) -> None:
    bus, effect = services().bus, entry.effect
    if isinstance(effect, AppendText):
        target = text_target(record.instance, effect.stream)
        bus.append(instance_channels(record), target, effect.text, replace=effect.replace)
    elif isinstance(effect, ClearText):
        bus.clear_texts([text_target(record.instance, effect.stream)])
    elif isinstance(effect, SendFragments):
        # A first turn runs in the transaction of its page.
        run_after_commit(partial(bus.publish, effect.channels, effect.target, effect.data))
    elif isinstance(effect, SendNotice):
        run_after_commit(partial(deliver_notice, effect))
    elif isinstance(effect, DeleteUpload):
        run_after_commit(partial(delete_stored_upload, effect.name))
    elif isinstance(effect, ShowToast):
        notice = {"message": effect.message, "level": effect.level}
        bus.publish(instance_channels(record), f"notice-{random_id()}", json.dumps(notice), event="notice")
    elif isinstance(effect, Redirect) and entry.page:
        where = json.dumps({"url": effect.url, "page": entry.page})
        bus.publish([page_channel(entry.page)], "redirect", where, event="redirect")


def _requeue(instance: str, remaining: list[PageEffect]) -> None:
    """Have a later turn say what is left, and show the view as it is then."""
    while remaining:
        page, group = next(groupby(remaining, key=lambda entry: entry.page))
        effects = [entry.effect for entry in group]
        if not enqueue_message(instance, Rerender(effects=effects, page=page)):
            return
        del remaining[: len(effects)]
    if enqueue_message(instance, Rerender()):
        schedule_turn(instance)


def build_result(record: Record, fragment: Fragment | None, page_effects: list[PageEffect]) -> TurnResult:
    effects = [entry.effect for entry in page_effects]
    redirects = [effect.url for effect in effects if isinstance(effect, Redirect)]
    return TurnResult(
        record=record,
        fragment=fragment,
        redirect=redirects[-1] if redirects else "",
        toasts=tuple(effect for effect in effects if isinstance(effect, ShowToast)),
        resets_forms=any(isinstance(effect, ResetForms) for effect in effects),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialTurn:
    """``turned.fragment`` is None when ``mount()`` asked for a redirect, or skipped the render."""

    turn: Turn
    result: TurnResult


def run_initial_turn(
    record: Record, *, request: HttpRequest | None, page: str, get_owner: Callable[[bool], Owner]
) -> InitialTurn:
    """Mount and render ``record``, whose rev is that before the first.

    ``owner(create)`` says whose it is; a token is made only for a view that can be used.  Raises
    ``PermissionDenied`` and whatever the view's code raises.
    """
    turn = Turn(record, request=request, get_owner=get_owner)
    with activate_turn(turn):
        turn.mount(page)
    is_used = bool(type(turn.view).handlers or turn.jobs.to_start)
    turn.record = refresh_grant(replace(turn.record, owner=get_owner(is_used)))
    early_result = build_result(turn.record, None, turn.page_effects)
    if early_result.redirect:
        return InitialTurn(turn=turn, result=early_result)
    saved_record, fragments = render_turn(turn, is_background=False)
    fragment = next(iter(fragments.values()), None)
    # What mount() asks for is sent by store_initial_turn(): nobody reads it from the answer to a page load.
    return InitialTurn(turn=turn, result=build_result(saved_record, fragment, []))


def start_ticking(record: Record) -> None:
    """Have a view with ``tick_interval`` ticked while somebody looks at it, unless a command does."""
    interval = import_view(record.view).tick_interval
    if interval and settings().TICKS == "web":
        services().ticker.schedule(record.instance, interval / 1000)


def store_initial_turn(initial: InitialTurn, *, once: bool = False) -> bool:
    """Store what a first turn came to, the children's first: a parent never names what is not there.

    With ``once`` False, and nothing is kept, if the instance is there already.
    """
    for child in initial.turn.new_children:
        store_initial_turn(child)
    register_start_deadlines(initial.result.record.instance, initial.turn.jobs.to_start)
    if not services().store.create(initial.result.record, once=once):
        return False
    start_ticking(initial.result.record)
    services().deadline_monitor.start()
    publish_effects(initial.result.record, initial.turn.page_effects, {}, is_user_event=False)
    return True
