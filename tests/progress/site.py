"""A site with progress and nothing else: a page that shows a session, and an address that works on it."""

from threading import Semaphore

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.template import Context, Template
from django.urls import include, path

from htmx_live.progress import ProgressSession, accepted, current_task

HEAD = """{% load htmx_live static %}<!doctype html><html lang="en"><head><title>t</title>{% if htmx == "2" %}
<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>
<script defer src="{% static 'django_htmx/htmx-2.min.js' %}"></script>{% endif %}{% htmx_live htmx=is_htmx_4 %}
</head><body>"""
PAGES = {
    "card": HEAD + '{% progress session event="over" cancel=True %}</body></html>',
    "leaving": HEAD + '{% progress session redirect="/page/list/?arrived" %}</body></html>',
    "list": HEAD + "{% progress_list %}</body></html>",
    "start": HEAD
    + """{% if live %}{% progress_list %}{% endif %}
<form method="post" action="/accept/" hx-post="/accept/?{{ query }}" hx-target="#here">
<input type="hidden" name="csrfmiddlewaretoken" value="{{ csrf_token }}"><button>Start</button></form>
<div id="here"></div></body></html>""",
}
RELEASES = Semaphore(0)
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; img-src 'self'"


def page(request: HttpRequest, name: str) -> HttpResponse:
    if not request.session.get("known"):
        request.session["known"] = True
    context = {
        "csrf_token": get_token(request),
        "request": request,
        "session": request.GET.get("session"),
        "htmx": request.GET.get("htmx", "4"),
        "is_htmx_4": "plain" not in request.GET and request.GET.get("htmx", "4") == "4",
        "live": "live" in request.GET,
        "query": request.META["QUERY_STRING"],
    }
    return HttpResponse(Template(PAGES[name]).render(Context(context)), headers={"Content-Security-Policy": CSP})


def create(request: HttpRequest) -> HttpResponse:
    """``?a=Name&b=Name``, for the visitor with ``mine``."""
    tasks = {task: name for task, name in request.GET.items() if task != "mine"}
    session = ProgressSession.create(tasks, owner=request if "mine" in request.GET else None)
    return JsonResponse({"id": session.session_id})


def work(request: HttpRequest, session: str, word: str, task: str) -> HttpResponse:
    found = ProgressSession.get(session)
    assert found is not None
    given = {name: value if name == "message" else float(value) for name, value in request.GET.items()}
    getattr(found, word)(task, **given)
    return HttpResponse()


def fail() -> None:
    task = current_task()
    assert task is not None
    task.update(current=3, total=10)
    assert RELEASES.acquire(timeout=20)
    raise ValueError("secret")


def release(request: HttpRequest) -> HttpResponse:
    RELEASES.release()
    return HttpResponse()


def run(request: HttpRequest, session: str, task: str) -> HttpResponse:
    found = ProgressSession.get(session)
    assert found is not None
    found.run(task, fail)
    return HttpResponse()


def accept(request: HttpRequest) -> HttpResponse:
    """``?late``: the work is over before its card has reached the page."""
    session = ProgressSession.create({"a": "Report"}, owner=request)
    session.start("a")
    answer = accepted(request, session, event="over")
    if "late" in request.GET:
        session.complete("a")
        assert RELEASES.acquire(timeout=20)
    return answer  # type: ignore[return-value]


urlpatterns = [
    path("", lambda request: HttpResponse("here")),
    path("page/<name>/", page),
    path("create/", create),
    path("work/<session>/<word>/<task>/", work),
    path("run/<session>/<task>/", run),
    path("accept/", accept),
    path("release/", release),
    path("live/", include("htmx_live.urls")),
]
