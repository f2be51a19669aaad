"""The demo's URLs."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from demo.dashboard.views import Dashboard
from demo.inbox.views import celery_task, inbox
from demo.notes.views import SharedNote
from demo.reports.views import download, reports
from demo.shop.views import ProductList

from .views import SignInView, StartView

urlpatterns = [
    path("", StartView.as_view(), name="start"),
    path("login/", SignInView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="start"), name="logout"),
    path("reports/", reports, name="reports"),
    path("exports/<int:pk>/", download, name="download"),
    path("overview/", include("demo.overview.urls")),
    path("dashboard/", Dashboard.as_view(), name="dashboard"),
    path("note/", SharedNote.as_view(pk=1), name="note"),
    path("orders/", include("demo.orders.urls")),
    path("import/", include("demo.imports.urls")),
    path("inbox/", inbox, name="inbox"),
    path("celery/", celery_task, name="celery"),
    path("admin/login/", SignInView.as_view()),  # by a click, as everywhere here
    path("admin/", admin.site.urls),
    path("products/", ProductList.as_view(), name="products"),
    path("gallery/", include("demo.gallery.urls")),
    path("live/", include("htmx_live.urls")),
]
