"""A small site: an admin whose actions the test leads step by step, and a page with the inbox."""

import threading
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Template
from django.urls import include, path

from htmx_live import UserError
from htmx_live.contrib.admin import LiveActionsMixin, live_action
from htmx_live.contrib.task_history.admin import TaskRecordAdmin
from htmx_live.contrib.task_history.models import TaskRecord
from htmx_live.progress import ProgressSession, current_task

go = {word: threading.Event() for word in ("first", "second")}
INBOX = (
    "{% load htmx_live live_tasks %}<!doctype html><html lang='en'><head><title>Tasks</title>{% htmx_live htmx=htmx %}"
    "</head><body>{% task_inbox title='My work' %}</body></html>"
)
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; img-src 'self'"


class GroupAdmin(LiveActionsMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    actions = ["export", "refuse"]
    search_fields = ("name",)
    ordering = ("name",)
    list_per_page = 5

    @live_action(description="Export %(verbose_name_plural)s", permissions=["change"])
    def export(self, request: HttpRequest, queryset: Any, task: Any) -> str:
        names = []
        task.update(total=queryset.count(), unit="groups")
        for group in queryset:
            names.append(group.name)
            task.update(message=group.name)
            if len(names) == 2:
                go["first"].wait(30)
            task.advance()
        go["second"].wait(30)
        task.check_cancelled()
        return "/exports/?" + urlencode({"of": ",".join(names), "for": request.user.get_username()})

    @live_action(description="Refuse")
    def refuse(self, request: HttpRequest, queryset: Any, task: Any) -> None:
        raise UserError("These groups are locked")


class UserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Without the mixin."""

    actions = ["greet"]

    @live_action(description="Greet")
    def greet(self, request: HttpRequest, queryset: Any, task: Any) -> None:
        task.complete(f"{queryset.count()} greeted")


site = admin.AdminSite(name="admin")
site.register(Group, GroupAdmin)
site.register(get_user_model(), UserAdmin)
site.register(TaskRecord, TaskRecordAdmin)


def let_go(request: HttpRequest, word: str) -> HttpResponse:
    go[word].set()
    return HttpResponse()


def hold(request: HttpRequest) -> HttpResponse:
    for event in go.values():
        event.clear()
    return HttpResponse()


def user(request: HttpRequest) -> HttpResponse:
    get_user_model().objects.create_superuser(request.GET["name"], password="secret")
    return HttpResponse()


def inbox(request: HttpRequest) -> HttpResponse:
    context = Context({"request": request, "htmx": "plain" not in request.GET})
    return HttpResponse(Template(INBOX).render(context))


def policy(get_response: Any) -> Any:
    """A middleware: every page has a strict content security policy, the admin's too."""

    def answer(request: HttpRequest) -> Any:
        response = get_response(request)
        response["Content-Security-Policy"] = CSP
        return response

    return answer


def create(request: HttpRequest) -> HttpResponse:
    user = get_user_model().objects.get(username=request.GET["user"])
    session = ProgressSession.create({"a": request.GET["name"]}, owner=user)
    return JsonResponse({"id": session.session_id})


def work(request: HttpRequest, session: str, word: str) -> HttpResponse:
    found = ProgressSession.get(session)
    assert found is not None
    given = {name: float(value) if name in ("current", "total") else value for name, value in request.GET.items()}
    getattr(found, word)("a", **given)
    return HttpResponse()


def fail() -> None:
    task = current_task()
    assert task is not None
    task.update(current=3, total=10)
    raise ValueError("secret")


def run(request: HttpRequest, session: str) -> HttpResponse:
    found = ProgressSession.get(session)
    assert found is not None
    found.run("a", fail)
    return HttpResponse()


urlpatterns = [
    path("", lambda request: HttpResponse("here")),
    path("admin/", site.urls),
    path("go/<word>/", let_go),
    path("hold/", hold),
    path("user/", user),
    path("inbox/", inbox),
    path("create/", create),
    path("work/<session>/<word>/", work),
    path("run/<session>/", run),
    path("exports/", lambda request: HttpResponse(request.GET["of"])),
    path("live/", include("htmx_live.urls")),
]
