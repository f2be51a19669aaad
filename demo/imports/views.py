"""The import page: one live view, and the two files that it offers."""

import csv
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

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
        if self._is_busy(self._newest()):
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
        session = ProgressSession.get(run.session) if run else None
        return {
            "run": run,
            "session": session,
            "is_busy": self._is_busy(run),
            "is_done": session is not None and session.is_complete,
            "faults": run.faults.all()[:12] if run else [],
            "earlier": self.user.imports.exclude(pk=run and run.pk)[:5],
            **kwargs,
        }

    def get_page_context(self):
        return {"refresh": self._is_busy(self._shown())}

    def _newest(self):
        return self.user.imports.first()

    def _shown(self):
        return self.user.imports.filter(pk=self._pk).first() if self._pk else self._newest()

    def _is_busy(self, run):
        session = ProgressSession.get(run.session) if run and not run.ended_at else None
        return session is not None and session.status in ("pending", "running")


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
