"""Long actions in Django's admin: they run in the background, and the changelist shows how far they have come.

class OrderAdmin(LiveActionsMixin, admin.ModelAdmin):
    actions = ["export"]

    @live_action(description="Export selected orders", permissions=["view"])
    def export(self, request, queryset, task):
        for order in task.track(queryset, unit="orders"):
            ...
        return "/exports/3/"

    changelist ─▶ start: a session with the chosen keys, or with the filter ─▶ runner ─▶ perform_action, in any process
                                                                                            │ still allowed?
    changelist ◀── card: bar, cancel, result ◀──────────────────────────────────────────────┘ choose anew ▸ call
"""

from collections.abc import Callable, Iterable
from functools import wraps
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.apps import apps
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.sites import all_sites
from django.contrib.admin.utils import model_format_dict, model_ngettext
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy

from htmx_live.core.exceptions import StoreUnavailable, UserError
from htmx_live.core.records import Owner, Record
from htmx_live.progress.fragments import progress_card, status_url
from htmx_live.progress.model import SessionSnapshot, owner_key
from htmx_live.progress.session import ProgressSession
from htmx_live.progress.store import progress_store
from htmx_live.progress.tasks import RunningTask, current_task
from htmx_live.runtime.owners import get_owner
from htmx_live.runtime.request_context import activate, request_fields, synthetic_request

__all__ = ["LiveActionsMixin", "live_action", "perform_action"]


_HIDDEN_SESSION_KEY = "_htmx_live_hidden"  # in the session: ids of sessions whose cards the admin has put away
_HIDE_FIELD = "_live_hide"
_MAX_HIDDEN = 200

Action = Callable[[Any, HttpRequest, Any, RunningTask], Any]


def live_action(*, description: Any = "", permissions: Iterable[str] = ()) -> Callable[[Action], Callable[..., Any]]:
    """Decorates an action ``(modeladmin, request, queryset, task)``: as ``admin.action()``, but in the background.

    ``request`` is a stand-in with the user, the address and nothing else.  ``task`` reports and hears of ``cancel``.
    What is returned is None, or the URL of the result; it may be ``async``.  ``permissions`` are asked again when the
    action begins.
    """

    def decorate(action: Action) -> Callable[..., Any]:
        @wraps(action)
        def start(modeladmin: Any, request: HttpRequest, queryset: Any) -> None:
            _start_action(modeladmin, request, start)

        start.live = action  # type: ignore[attr-defined]
        start.short_description = description or action.__name__.replace("_", " ").capitalize()  # type: ignore[attr-defined]
        if permissions:
            start.allowed_permissions = tuple(permissions)  # type: ignore[attr-defined]
        return start

    return decorate


if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _Base = ModelAdmin[Any]
else:
    _Base = object


class LiveActionsMixin(_Base):
    """A ``ModelAdmin`` whose changelist shows the user's live actions.  Stands before ``ModelAdmin``.

    Whatever template the changelist has is extended.  ``live_head = False`` leaves the script to a page that has it.
    """

    live_head = True

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Django's changelist, with the cards among its messages."""
        if request.method == "POST" and _HIDE_FIELD in request.POST:
            _hide_card(request, str(request.POST[_HIDE_FIELD]))
            return HttpResponseRedirect(request.get_full_path())
        response: HttpResponseBase = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and "cl" in (response.context_data or {}):
            self._show_actions(request, response)
        return response

    def _show_actions(self, request: HttpRequest, response: TemplateResponse) -> None:
        cards = [] if IS_POPUP_VAR in request.GET else _build_cards(self, request)
        if cards:
            parent = response.resolve_template(response.template_name)
            template_context = {
                "live_parent": parent,
                "live_cards": cards,
                "live_head": self.live_head,
                "live_hide": _HIDE_FIELD,
            }
            response.context_data = {**(response.context_data or {}), **template_context}
            response.template_name = "htmx_live/admin/change_list.html"


def perform_action(admin_names: list[str], name: str, pks: list[str] | None, request_facts: dict[str, Any]) -> None:
    """What the runner calls: choose the objects as the user may see them now, and call the action.

    ``where`` are the names of the admin site, of the model and of the ``ModelAdmin``'s class.  ``pks`` is None for all
    that the changelist's filter lets through.
    """
    task = current_task()
    assert task is not None, "perform_action() is called by session.run()"
    user = request_facts.pop("user")
    record = Record(instance="", view="", owner=Owner(user=user), **request_facts)
    with activate(record):
        request = synthetic_request(record)
        modeladmin = _find_modeladmin(*admin_names)
        action = _get_allowed_action(modeladmin, request, name)
        call = async_to_sync(action.live) if iscoroutinefunction(action.live) else action.live
        result = call(modeladmin, request, _select_objects(modeladmin, request, pks), task)
    if result is not None and not isinstance(result, str):
        raise TypeError(f"The action {name!r} returned {result!r}: expected None, or the URL of its result as a text.")
    if result:
        task.complete(result=result)


def _start_action(modeladmin: Any, request: HttpRequest, action: Any) -> None:
    is_whole_changelist = request.POST.get("select_across") == "1"
    pks = None if is_whole_changelist else sorted(set(request.POST.getlist(ACTION_CHECKBOX_NAME)))
    task = f"{_task_prefix(modeladmin)}{action.__name__}"
    request_facts = {**request_fields(request), "user": str(request.user.pk)}
    selection_digest = blake2b(
        repr((pks, request_facts["query"] if is_whole_changelist else "")).encode(), digest_size=8
    ).hexdigest()
    session = ProgressSession.create(
        {task: _build_title(modeladmin, action, pks)}, owner=request, key=f"{task}:{selection_digest}"
    )
    admin_names = [modeladmin.admin_site.name, modeladmin.opts.label_lower, _class_path(modeladmin)]
    session.run(task, perform_action, admin_names, action.__name__, pks, request_facts)
    if not isinstance(modeladmin, LiveActionsMixin):
        link = format_html(
            '{} <a href="{}">{}</a>',
            gettext("Started."),
            status_url(session.header, get_owner(request)),
            gettext("Show the progress"),
        )
        modeladmin.message_user(request, link)


def _build_title(modeladmin: Any, action: Any, pks: list[str] | None) -> str:
    description = str(action.short_description) % model_format_dict(modeladmin.opts)
    if pks is None:
        return gettext("%(action)s (all that match)") % {"action": description}
    objects = model_ngettext(modeladmin.opts, len(pks))
    return gettext("%(action)s (%(count)d %(objects)s)") % {
        "action": description,
        "count": len(pks),
        "objects": objects,
    }


def _task_prefix(modeladmin: Any) -> str:
    """What the ids of one changelist's tasks begin with."""
    return f"admin:{modeladmin.admin_site.name}:{modeladmin.opts.label_lower}:"


def _find_modeladmin(site: str, model: str, class_path: str) -> Any:
    """Two sites may have one name: Django's own is there beside the project's."""
    registered: Any = apps.get_model(model)
    for admin_site in all_sites:
        if admin_site.name == site and admin_site.is_registered(registered):
            modeladmin = admin_site.get_model_admin(registered)
            if _class_path(modeladmin) == class_path:
                return modeladmin
    raise LookupError(
        f"No admin site {site!r} has {class_path} for {model}. Register it in a module that is imported where the "
        "worker starts, such as an admin.py."
    )


def _class_path(modeladmin: Any) -> str:
    return f"{type(modeladmin).__module__}.{type(modeladmin).__qualname__}"


def _get_allowed_action(modeladmin: Any, request: HttpRequest, name: str) -> Any:
    """The action, if the user may still do it."""
    if modeladmin.admin_site.has_permission(request):
        action = _unwrap_action(modeladmin.get_actions(request).get(name))
        if hasattr(action, "live"):
            return action
    raise UserError(_NOT_ALLOWED)


def _unwrap_action(action: Any) -> Any:
    """What an action calls: until Django 6.0 an action is a tuple that begins with it, then an object."""
    return action[0] if isinstance(action, tuple) else getattr(action, "func", None)


_NOT_ALLOWED = gettext_lazy("You are not allowed to do this any more.")


def _select_objects(modeladmin: Any, request: HttpRequest, pks: list[str] | None) -> Any:
    if pks is None:
        return modeladmin.get_changelist_instance(request).get_queryset(request)
    return modeladmin.get_queryset(request).filter(pk__in=pks)


def _build_cards(modeladmin: Any, request: HttpRequest) -> list[dict[str, Any]]:
    """The cards of a changelist's actions, the newest first; none while the store is away."""
    try:
        mine = _find_sessions(_task_prefix(modeladmin), request)
        return [
            {"id": snapshot.header.id, "html": progress_card(snapshot.header.id, request=request)} for snapshot in mine
        ]
    except StoreUnavailable:
        return []


def _find_sessions(prefix: str, request: HttpRequest) -> list[SessionSnapshot]:
    hidden = set(request.session.get(_HIDDEN_SESSION_KEY, ()))
    mine = progress_store().find_by_owner(owner_key(Owner(user=str(request.user.pk))))
    shown = [snapshot for snapshot in mine if snapshot.header.id not in hidden]
    return [snapshot for snapshot in shown if any(task.startswith(prefix) for task in snapshot.header.names)]


def _hide_card(request: HttpRequest, session_id: str) -> None:
    """Put a card away, in this browser."""
    hidden = [*(one for one in request.session.get(_HIDDEN_SESSION_KEY, ()) if one != session_id), session_id[:64]]
    request.session[_HIDDEN_SESSION_KEY] = hidden[-_MAX_HIDDEN:]
