"""The inbox: a user's tasks, those that run with their bars and those that have ended, live on any page."""

from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe

from htmx_live.backends.wire import topic_channel
from htmx_live.contrib.task_history.publisher import LIST_NAME, PAGE_PARAM, REGION_NAME, build_topic, render_finished
from htmx_live.contrib.task_history.recorder import reconcile
from htmx_live.events.context import current_view
from htmx_live.messaging.regions import region_id
from htmx_live.progress.cards import get_viewer
from htmx_live.progress.fragments import progress_list
from htmx_live.runtime.rendering import csrf_placeholder
from htmx_live.runtime.subscriptions import subscribe_page

__all__ = ["task_inbox"]


def task_inbox(*, request: HttpRequest | None, css: str = "", title: str = "") -> SafeString:
    """The inbox of whose page this is; "" for who is not logged in.

    The first page of what has ended is live; older pages stand still.
    """
    user = get_viewer(request).user
    if not user or request is None:
        return SafeString("")
    reconcile(owner_id=user)
    language = translation.get_language() or ""
    running = progress_list(request=request, name=LIST_NAME)
    is_first = request.GET.get(PAGE_PARAM, "1") == "1"
    subscription = subscribe_page(request, topic_channel(build_topic(user, language).name)) if is_first else ""
    is_in_live_view = current_view.get() is not None
    finished = render_finished(
        user,
        language=language,
        url=reverse("htmx_live:progress", args=["GRANT"]),
        number=request.GET.get(PAGE_PARAM),
        csrf_token=csrf_placeholder() if is_in_live_view else get_token(request),
        query={name: str(value) for name, value in request.GET.items() if name != PAGE_PARAM},
    )
    context = {
        "class": css,
        "title": title,
        "running": running,
        "region": region_id(REGION_NAME) if is_first else "",
        "subscription": subscription,
        "keep": is_in_live_view,
        "past": finished,
    }
    return mark_safe(render_to_string("htmx_live/task_inbox.html", context))
