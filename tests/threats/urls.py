"""A site to attack."""

from django.contrib.auth import get_user_model, login, logout, update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.urls import include, path, re_path

from htmx_live.owners import owner_of
from htmx_live.progress import ProgressSession
from htmx_live.progress.placing import status_url
from tests import sample_views
from tests.sample_views import Counter, Private, Report
from tests.threats.views import Board, Guarded, Guestbook, Shared, Tokens


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    """Whoever comes here is ``name`` from now on; the answer is the new CSRF token."""
    user = get_user_model().objects.get(username=name)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(get_token(request))


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
    return HttpResponse(status_url(session.session, owner_of(request)))


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
    path("logout/", log_out),
    path("work/", start_work),
    path("work/<int:current>/", report_work),
    path("live/", include("htmx_live.urls")),
    path("any/<path:rest>", Guestbook.as_view()),
    re_path("^/(?P<rest>.*)", Guestbook.as_view()),  # two slashes, as a careless pattern lets through
]
