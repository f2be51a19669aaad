"""The live views of the reports page, and the plain views around them."""

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.timezone import now

from demo.shop.models import Export, Order
from htmx_live import LiveView, UserError, background, event_handler

from . import numbers


class SalesReport(LiveView):
    template_name = "reports/sales.html"
    login_required = True

    def mount(self, request, **kwargs):
        self.years = numbers.years()
        self.year = self.years[-1]
        self.months = []

    @event_handler
    def generate(self, year: int):
        self.year, self.months = year, []
        self.start_async(self._generate, year, name="report")

    def _generate(self, year):  # runs in the background
        for month in numbers.months_of(year):
            self.months = [*self.months, month]
            self.flush()  # shows the rows so far

    @event_handler
    def stop(self):
        self.cancel_async("report")

    def get_context_data(self, **kwargs):
        revenues = [month["revenue"] for month in self.months]
        return {"sum": sum(revenues), "highest": max(revenues, default=0), **kwargs}


class OrderExport(LiveView):
    template_name = "reports/export.html"
    login_required = True

    def mount(self, request, **kwargs):
        self.total = Order.objects.count()
        self.written = 0
        self.file = None
        self.note = ""

    @event_handler
    @background  # the whole handler is the job
    def export(self):
        self.written, self.file, self.note = 0, None, ""
        text = ""
        for count, lines in numbers.csv_of_orders():
            text += lines
            self.written += count
            self.flush()
        self.file = Export.objects.create(owner=self.user, name="orders.csv", content=text)

    @event_handler
    def cancel(self):
        self.cancel_async("export")
        self.note = f"Cancelled after {self.written} orders. Nothing was kept."
        self.written = 0


class StockCheck(LiveView):
    template_name = "reports/stock.html"
    login_required = True

    @event_handler
    @background
    def check(self):
        self.stream_text("log", "", mode="replace")
        for line in numbers.stock_lines():
            self.stream_text("log", line + "\n")  # sends this line only


class Forecast(LiveView):
    template_name = "reports/forecast.html"
    login_required = True

    def mount(self, request, **kwargs):
        self.forecast = None
        self.error = ""

    @event_handler
    def predict(self, year: int):
        self.forecast, self.error = None, ""
        self.start_async(self._predict, year, name="predict", key=year)

    def _predict(self, year):
        numbers.pace()
        before, last = numbers.revenue_of(year - 2), numbers.revenue_of(year - 1)
        if not last:
            raise UserError(f"There are no orders in {year - 1} to go by.")
        return {"year": year, "revenue": last * last / before}  # nobody thought of before == 0

    def handle_async_result(self, name, result=None, error=None):
        self.forecast, self.error = result, str(error or "")


class Reminders(LiveView):
    template_name = "reports/reminders.html"
    login_required = True

    def get_context_data(self, **kwargs):
        unpaid = Order.objects.filter(status=Order.Status.OPEN).select_related("customer")
        return {"orders": unpaid[:6], **kwargs}

    @event_handler
    @background(key="pk")  # one job per row
    def remind(self, pk: int):
        order = Order.objects.filter(pk=pk, status=Order.Status.OPEN).first()
        if order is None:
            raise UserError("This order has been paid meanwhile.")
        for _line in order.lines.all():
            numbers.pace()  # a slow mail server
        order.reminded_at = now()
        order.save(update_fields=["reminded_at"])


class Audit(LiveView):
    template_name = "reports/audit.html"
    login_required = True

    def mount(self, request, **kwargs):
        self.checked = self.wrong = 0

    @event_handler
    @background
    def audit(self):
        for self.checked, self.wrong in numbers.wrong_totals():
            self.flush()
        self.notify(f"{self.checked} orders audited.", level="success")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A live view of the page, what it shows, and what to try on it."""

    view: type[LiveView]
    title: str
    shows: str
    to_try: str

    @property
    def path(self) -> str:
        return f"{self.view.__module__}.{self.view.__qualname__}"

    @property
    def slug(self) -> str:
        return self.view.__name__.lower()


EXAMPLES = [
    Example(
        view=SalesReport,
        title="Sales by month",
        shows="A background job adds up the orders and shows each month as soon as it is known.",
        to_try="Generate, then reload the page in the middle: the job and its rows are still there.",
    ),
    Example(
        view=OrderExport,
        title="Export of all orders",
        shows="A whole handler as a job, its progress, and a cancel button that works at once.",
        to_try="Export, cancel half-way, export again.",
    ),
    Example(
        view=StockCheck,
        title="Stock check",
        shows="Text streamed line by line: each message carries one line, however long the text has become.",
        to_try="Start it here and scroll to another report: everything on this page runs side by side.",
    ),
    Example(
        view=Forecast,
        title="Forecast",
        shows="What a user sees when a job fails: a short id that is in the log too, or the words meant for them.",
        to_try="The forecast for 2024 divides by zero. The one for 2020 has nothing to go by.",
    ),
    Example(
        view=Reminders,
        title="Unpaid orders",
        shows="Each row has its own button, its own spinner and its own job.",
        to_try="Remind three customers one after the other, quickly.",
    ),
    Example(
        view=Audit,
        title="Audit",
        shows="An overlay over the whole page while a job runs that nobody should disturb.",
        to_try="Start it, and reload while the overlay is there.",
    ),
]


@login_required
def reports(request: HttpRequest) -> HttpResponse:
    return render(request, "reports/page.html", {"examples": EXAMPLES})


@login_required
def download(request: HttpRequest, pk: int) -> HttpResponse:
    export = get_object_or_404(request.user.exports, pk=pk)
    headers = {"Content-Disposition": f'attachment; filename="{export.name}"'}
    return HttpResponse(export.content, content_type="text/csv; charset=utf-8", headers=headers)
