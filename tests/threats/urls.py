"""A site to attack."""

from typing import Any

from django.contrib.auth import get_user_model, login, logout, update_session_auth_hash
from django.contrib.auth.models import Permission
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.urls import include, path, re_path

from htmx_live import end_streams
from htmx_live.progress import ProgressSession
from htmx_live.progress.fragments import status_url
from htmx_live.runtime.owners import get_owner
from tests import sample_views
from tests.sample_views import Counter, Private, Report
from tests.threats.views import Board, Guarded, Guestbook, Shared, Tokens


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    """Whoever comes here is ``name`` from now on; the answer is the new CSRF token."""
    user = get_user_model().objects.get(username=name)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(get_token(request))


def join(request: HttpRequest, name: str) -> HttpResponse:
    """Log in ``name``, a user who may see guarded pages; the user is created unless there is one."""
    user, _ = get_user_model().objects.get_or_create(username=name)
    user.user_permissions.add(Permission.objects.get(codename="view_user"))  # type: ignore[attr-defined]
    return log_in(request, name)


def change(request: HttpRequest, what: str, name: str) -> HttpResponse:
    """Change the user ``name`` as an administrator does."""
    user: Any = get_user_model().objects.get(username=name)
    if what == "end_streams":
        end_streams(user)
    elif what == "deactivated":
        user.is_active = False
        user.save()
    elif what == "password":
        user.set_password("x")
        user.save()
    elif what == "deleted":
        user.delete()
    elif what == "permission":
        user.user_permissions.clear()
    elif what == "group":
        user.groups.clear()
    return HttpResponse()


def change_password(request: HttpRequest) -> HttpResponse:
    request.user.set_password("new")
    request.user.save()  # type: ignore[union-attr]
    update_session_auth_hash(request, request.user)  # type: ignore[arg-type]
    return HttpResponse()


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse(get_token(request))


def start_work(request: HttpRequest) -> HttpResponse:
    """Start a task that the visitor owns, or anyone with ``?ownerless``; the answer is the address to follow it."""
    session = ProgressSession.create({"import": "Import"}, owner=None if "ownerless" in request.GET else request)
    session.start("import")
    request.session["work"] = session.session_id
    return HttpResponse(status_url(session.header, get_owner(request)))


def report_work(request: HttpRequest, current: int) -> HttpResponse:
    """Report a figure of the visitor's task; 100 completes it."""
    session = ProgressSession.get(request.session["work"])
    assert session is not None
    session.update("import", current=current, total=100)
    if current == 100:
        session.complete("import")
    return HttpResponse()


def any_view(request: HttpRequest, name: str) -> HttpResponseBase:
    """A live view of the tests by its name."""
    return getattr(sample_views, name).as_view()(request)  # type: ignore[no-any-return]


urlpatterns = [
    path("views/<str:name>/", any_view),
    path("password/", change_password),
    path("counter/", Counter.as_view()),
    path("report/", Report.as_view()),
    path("private/", Private.as_view()),
    path("guestbook/", Guestbook.as_view()),
    path("guarded/", Guarded.as_view()),
    path("shared/", Shared.as_view()),
    path("board/", Board.as_view()),
    path("tokens/", Tokens.as_view()),
    path("login/<str:name>/", log_in),
    path("join/<str:name>/", join),
    path("change/<str:what>/<str:name>/", change),
    path("logout/", log_out),
    path("work/", start_work),
    path("work/<int:current>/", report_work),
    path("live/", include("htmx_live.urls")),
    path("any/<path:rest>", Guestbook.as_view()),
    re_path("^/(?P<rest>.*)", Guestbook.as_view()),  # two slashes, as a careless pattern lets through
]
