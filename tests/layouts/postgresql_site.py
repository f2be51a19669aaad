"""The site of the tests with PostgreSQL: that of the other tests, and a page that says whether its panel could ask."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from htmx_live.layouts import Layout, Panel, PanelError, async_layout
from tests.layouts import site


def query(request: HttpRequest) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'answered'")
        (answer,) = cursor.fetchone()
        return str(answer)


class Asking(Layout):
    template = "bench.html"
    a = Panel(query)

    def on_panel_error(self, request: HttpRequest, error: PanelError) -> str:
        return type(error.exception).__name__


@async_layout(Asking)
async def asking(request: HttpRequest) -> HttpResponse:
    return HttpResponse("The database: ")


urlpatterns = [path("asking/", asking), *site.urlpatterns]
