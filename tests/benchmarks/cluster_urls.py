"""The URLs of the cluster that is measured: the site of pushes, and a view that starts jobs."""

from django.urls import path

from tests import push_site
from tests.faults.site import Desk

urlpatterns = [*push_site.urlpatterns, path("Desk/", Desk.as_view())]
