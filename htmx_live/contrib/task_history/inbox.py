"""The inbox: a user's tasks, those that run with their bars and those that have ended, live on any page."""

from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe

from htmx_live.backends.wire import topic_channel
from htmx_live.contrib.task_history.publisher import LIST, PAGE, REGION, draw_past, topic_of
from htmx_live.contrib.task_history.recorder import settle
from htmx_live.events.context import current_rendering
from htmx_live.messaging.regions import region_id
from htmx_live.progress.cards import viewer_of
from htmx_live.progress.fragments import progress_list
from htmx_live.runtime.rendering import csrf_slot
from htmx_live.runtime.subscriptions import listen

__all__ = ["task_inbox"]


def task_inbox(*, request: HttpRequest | None, css: str = "", title: str = "") -> SafeString:
    """The inbox of whose page this is; "" for who is not logged in.

    The first page of what has ended is live; older pages stand still.
    """
    user = viewer_of(request).user
    if not user or request is None:
        return SafeString("")
    settle(owner_id=user)
    language = translation.get_language() or ""
    running = progress_list(request=request, name=LIST)
    is_first = request.GET.get(PAGE, "1") == "1"
    word = listen(request, topic_channel(topic_of(user, language).name)) if is_first else ""
    is_in_view = current_rendering.get() is not None
    past = draw_past(
        user,
        language=language,
        url=reverse("htmx_live:progress", args=["GRANT"]),
        number=request.GET.get(PAGE),
        csrf_token=csrf_slot() if is_in_view else get_token(request),
        query={name: str(value) for name, value in request.GET.items() if name != PAGE},
    )
    context = {
        "class": css,
        "title": title,
        "running": running,
        "region": region_id(REGION) if is_first else "",
        "word": word,
        "keep": is_in_view,
        "past": past,
    }
    return mark_safe(render_to_string("htmx_live/task_inbox.html", context))
