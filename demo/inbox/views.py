"""Plain views, none of them live: the inbox, and the page of a Celery task."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.module_loading import import_string

from demo.source import file_of, python_of, template_of
from htmx_live.progress import ProgressSession, accepted

from .work import order_more, recount

WORK = {"recount": ("Recount the stock", recount), "order": ("Order what runs out", order_more)}


@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        name, function = WORK[request.POST["work"]] if request.POST.get("work") in WORK else WORK["recount"]
        session = ProgressSession.create({"work": name}, owner=request, key=name)
        session.run("work", function)
        return HttpResponse(status=204) if request.htmx else redirect("inbox")
    files = {
        "views.py": python_of(inbox),
        "work.py": file_of("demo.inbox.work"),
        "page.html": template_of("inbox/page.html"),
    }
    return render(request, "inbox/page.html", {"work": WORK, **_shown("inbox", files)})


@login_required
def celery_task(request: HttpRequest) -> HttpResponseBase:
    has_workers = hasattr(settings, "CELERY_BROKER_URL")
    if request.method == "POST":
        session = ProgressSession.create({"recount": "Recount the stock"}, owner=request)
        if has_workers:
            job = import_string("demo.inbox.tasks.recount_stock").delay(session.session_id)
            session.queued("recount", job.id)
        else:
            session.run("recount", recount)  # the same work on a thread of this process
        request.session["recount"] = session.session_id
        return accepted(request, session, redirect=request.path)
    session = ProgressSession.get(request.session.get("recount", ""), owner=request)
    files = {
        "tasks.py": file_of("demo.inbox.tasks"),
        "views.py": python_of(celery_task),
        "celery.html": template_of("inbox/celery.html"),
    }
    context = {"session": session, "has_workers": has_workers, **_shown("celery", files)}
    return render(request, "inbox/celery.html", context)


def _shown(slug: str, files: dict[str, Any]) -> dict[str, Any]:
    return {"slug": slug, "files": [{"name": name, "code": code} for name, code in files.items()]}
