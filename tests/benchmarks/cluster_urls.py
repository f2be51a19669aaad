"""The URLs of the cluster that is measured: the site of pushes, and a view that starts jobs."""

from django.urls import path

from tests.faults.site import Desk
from tests.messaging import push_site

urlpatterns = [*push_site.urlpatterns, path("Desk/", Desk.as_view())]
