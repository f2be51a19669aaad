"""The import page: one live view, and the two files that it offers."""

import csv
from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.timezone import now

from htmx_live import LiveView, UserError, event_handler
from htmx_live.progress import ProgressSession

from .models import Import
from .sample import sample_lines
from .steps import MOST_FAULTS, start


class ImportOrders(LiveView):
    template_name = "imports/import.html"
    page_template_name = "imports/page.html"
    login_required = True

    def mount(self, request, pk=None, **kwargs):
        self._pk = get_object_or_404(request.user.imports, pk=pk).pk if pk else None

    @event_handler
    def upload(self, file: UploadedFile | None = None):
        if file is None:
            raise UserError("Choose a file first.")
        run = self._newest()
        if is_busy(run, status_of(run)):
            raise UserError("Your import is still running: one at a time.")
        start(Import.objects.create(owner=self.user, name=file.name[-200:], file=file))
        self._pk = None  # the newest
        self.reset_forms()

    @event_handler
    def look(self):
        """The work has ended, in whatever way: render again."""

    @event_handler
    def resume(self):
        run = self._shown()
        if run and run.file and not run.ended_at and not ProgressSession.get(run.session):
            start(run)

    def get_context_data(self, **kwargs):
        run = self._shown()
        status = status_of(run)
        if status == "complete":
            run.refresh_from_db()  # the last step has saved it before it completed, maybe after it was read here
        return {
            "run": run,
            "session": ProgressSession.get(run.session) if run else None,
            "is_busy": is_busy(run, status),
            "is_done": status == "complete",
            "faults": run.faults.all()[:12] if run else [],
            "earlier": self.user.imports.exclude(pk=run and run.pk)[:5],
            **kwargs,
        }

    def get_page_context(self):
        run = self._shown()
        # What ended just now may have been running when the view was rendered for this page.
        has_just_ended = run and run.ended_at and now() - run.ended_at < timedelta(seconds=10)
        return {"refresh": has_just_ended or is_busy(run, status_of(run))}

    def _newest(self):
        return self.user.imports.first()

    def _shown(self):
        return self.user.imports.filter(pk=self._pk).first() if self._pk else self._newest()


def status_of(run: Import | None) -> str | None:
    """Return the status of the import's progress now, None if none is kept."""
    session = ProgressSession.get(run.session) if run else None
    return session.status if session else None


def is_busy(run: Import | None, status: str | None) -> bool:
    return run is not None and not run.ended_at and status in ("pending", "running")


@login_required
def sample(request: HttpRequest) -> HttpResponse:
    return _csv("orders.csv", "".join(sample_lines()))


@login_required
def report(request: HttpRequest, pk: int) -> HttpResponse:
    """The rows that do not fit, as CSV.  A spreadsheet takes none of the values for a formula."""
    run = get_object_or_404(request.user.imports, pk=pk)
    response = _csv(f"import-{pk}-left-out.csv")
    writer = csv.writer(response)
    writer.writerow(["line", "column", "value", "reason"])
    for fault in run.faults.all()[:MOST_FAULTS]:
        writer.writerow([fault.line, fault.column, _harmless(fault.value), fault.reason])
    return response


def _harmless(value: str) -> str:
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _csv(name: str, content: Any = "") -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)
