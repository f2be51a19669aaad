"""A site with regions and nothing else: one page, and an address that sends what it is told to."""

from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.urls import include, path
from django.utils.safestring import mark_safe

from htmx_live import Topic, notify, region, send_fragment
from htmx_live.runtime.owners import get_owner

PAGE = """{% load htmx_live %}<!doctype html><html><head>{% htmx_live htmx=htmx %}</head><body>
{% region "list" topic="t" %}<i id="first">first</i>{% endregion %}
{% region "kept" topic="t" refresh="/" tag="section" %}{{ kept }}{% endregion %}
{% region "signed-out" topic="t" refresh="/elsewhere/" %}kept{% endregion %}</body></html>"""
BRINGING = """{% load htmx_live static %}<!doctype html><html><head>
{% if htmx == "2" %}<script defer src="{% static 'django_htmx/htmx-2.min.js' %}"></script>{% endif %}
{% htmx_live htmx=is_htmx_4 %}</head><body><button hx-get="/brought/" hx-target="#here">Bring</button>
<div id="here"></div></body></html>"""
BROUGHT = """{% load htmx_live %}{% toasts %}
{% region "brought" topic="t" refresh="/brought/" %}<i>first</i>{% endregion %}"""
KEPT = ["as rendered"]


def page(request: HttpRequest) -> HttpResponse:
    context = {"request": request, "kept": KEPT[-1], "htmx": "plain" not in request.GET}
    return HttpResponse(Template(PAGE).render(Context(context)))


def bringing(request: HttpRequest) -> HttpResponse:
    """A page without anything live, until its button is pressed.  ``?htmx=2`` is htmx 2."""
    htmx = request.GET.get("htmx", "4")
    get_owner(request, create=True)  # a visitor whom notices find
    return HttpResponse(
        Template(BRINGING).render(Context({"request": request, "htmx": htmx, "is_htmx_4": htmx == "4"}))
    )


def brought(request: HttpRequest) -> HttpResponse:
    return HttpResponse(Template(BROUGHT).render(Context({"request": request})))


def part(request: HttpRequest) -> HttpResponse:
    return HttpResponse("loaded")


def send(request: HttpRequest) -> HttpResponse:
    """``?append=html&remove=`` sends one message of two fragments for the region ``name``."""
    name = request.GET.get("name", "list")
    send_fragment(
        [
            region(name, html=None if word == "remove" else mark_safe(html), swap=word)  # type: ignore[arg-type]
            for word, html in request.GET.items()
            if word != "name"
        ],
        to=Topic("t"),
    )
    return HttpResponse()


def toasts(request: HttpRequest) -> HttpResponse:
    head = "{% load htmx_live %}<!doctype html><html><head>{% htmx_live %}</head><body>{% toasts %}</body></html>"
    return HttpResponse(Template(head).render(Context({"request": request})))


def tell(request: HttpRequest) -> HttpResponse:
    notify(request, request.GET["message"], level=request.GET.get("level", "info"), url="/elsewhere/", key="k")
    return HttpResponse()


def elsewhere(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<title>Log in</title><p>An answer without the region</p>")


def change(request: HttpRequest) -> HttpResponse:
    """Something changes, and nobody is told."""
    KEPT.append(request.GET["kept"])
    return HttpResponse()


urlpatterns = [
    path("", page),
    path("bringing/", bringing),
    path("brought/", brought),
    path("part/", part),
    path("send/", send),
    path("change/", change),
    path("toasts/", toasts),
    path("tell/", tell),
    path("elsewhere/", elsewhere),
    path("live/", include("htmx_live.urls")),
]
