"""A site of forms."""

from django.urls import include, path

from tests.views.forms.nested import Table, TickingTable
from tests.views.forms.views import Checked, Lines, Note, SignUp

urlpatterns = [
    path("sign-up/", SignUp.as_view()),
    path("note/", Note.as_view()),
    path("checked/", Checked.as_view()),
    path("lines/", Lines.as_view()),
    path("table/", Table.as_view()),
    path("ticking/", TickingTable.as_view()),
    path("live/", include("htmx_live.urls")),
]
