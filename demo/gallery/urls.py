"""The gallery's URLs."""

from django.urls import path

from . import views

app_name = "gallery"

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("part/", views.part, name="part"),
    path("beside/<slug:framework>/", views.beside, name="beside"),
    path("<slug:name>/", views.ComponentView.as_view(), name="component"),
]
