"""The URLs of the import."""

from django.urls import path

from .views import ImportOrders, report, sample

urlpatterns = [
    path("", ImportOrders.as_view(), name="imports"),
    path("sample.csv", sample, name="import_sample"),
    path("<int:pk>/", ImportOrders.as_view(), name="import"),
    path("<int:pk>/left-out.csv", report, name="import_report"),
]
