"""Form views that tests share."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import Group
from django.forms import formset_factory, modelform_factory, modelformset_factory
from django.shortcuts import get_object_or_404
from django.urls import reverse_lazy

from htmx_live import LiveFormView, UserError, event_handler

SIZES = [("s", "Small"), ("m", "Medium"), ("l", "Large")]


class SignUpForm(forms.Form):
    """One field of each kind that browsers send differently."""

    name = forms.CharField(max_length=10, help_text="As friends call you.")
    email = forms.EmailField()
    password = forms.CharField(widget=forms.PasswordInput, min_length=8)
    pin = forms.CharField(widget=forms.TextInput(attrs={"type": "text"}), required=False)
    sizes = forms.MultipleChoiceField(choices=SIZES, required=False)
    fits = forms.ChoiceField(choices=SIZES, widget=forms.RadioSelect, required=False)
    extras = forms.MultipleChoiceField(choices=SIZES, widget=forms.CheckboxSelectMultiple, required=False)
    agree = forms.BooleanField()
    at = forms.SplitDateTimeField(required=False)
    born = forms.DateField(widget=forms.SelectDateWidget, required=False)
    photo = forms.FileField(required=False)

    def clean(self) -> None:
        if self.cleaned_data.get("name") == self.cleaned_data.get("email"):
            self.add_error(None, "Name and address are the same.")


class SignUp(LiveFormView):
    template_name = "forms/form.html"
    form_class = SignUpForm

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.saved: list[Any] = []
        self.other = ""

    def form_valid(self, form: Any) -> Any:
        photo = form.cleaned_data["photo"]
        self.saved = [form.cleaned_data["name"], form.cleaned_data["sizes"], photo and photo.read().decode()]
        messages.success(self.request, "Welcome!")
        super().form_valid(form)

    @event_handler
    def type_elsewhere(self) -> None:
        self.other = ",".join([*self.request.POST.getlist("other"), *(one.name for one in self.request.FILES.values())])


class NoteForm(forms.Form):
    text = forms.CharField(initial="Dear", strip=False)
    code = forms.CharField(required=False)


class Note(LiveFormView):
    """The smallest one, with no more than a form and where it leads."""

    template_name = "forms/form.html"
    form_class = NoteForm
    success_url = "/done/"


class LazyNote(Note):
    success_url = reverse_lazy("htmx_live:sync")


class Letter(Note):
    """What it begins with is state."""

    def mount(self, request: Any, to: str = "", **kwargs: Any) -> None:
        self.initial = {"text": f"Dear {to}"}


class Checked(Note):
    """Finds out only in ``form_valid`` that something is wrong; async."""

    success_url = ""

    async def form_valid(self, form: Any) -> None:
        if form.cleaned_data["code"] == "no":
            form.add_error("code", "Used up.")
        elif form.cleaned_data["code"] == "never":
            raise UserError("Not today.")


class GroupName(LiveFormView):
    """Renames a group, if the visitor is in it."""

    template_name = "forms/form.html"
    form_class = modelform_factory(Group, fields=["name"])
    login_required = True

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "instance": get_object_or_404(self.user.groups, pk=self.kwargs["pk"])}

    @event_handler
    def nothing(self) -> None: ...


class LineForm(forms.Form):
    name = forms.CharField()
    secret = forms.CharField(widget=forms.PasswordInput, required=False)
    count = forms.IntegerField(initial=1)


class Lines(LiveFormView):
    template_name = "forms/rows.html"
    form_class = formset_factory(LineForm, extra=1, max_num=3, absolute_max=5, validate_max=True, can_delete=True)
    initial = [{"name": "first", "count": 2}]

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.saved: list[Any] = []

    def form_valid(self, form: Any) -> None:
        self.saved = [row.cleaned_data["name"] for row in form if row not in form.deleted_forms and row.has_changed()]
        super().form_valid(form)


class Groups(LiveFormView):
    """Groups whose name begins with "my" are the visitor's."""

    template_name = "forms/rows.html"
    form_class = modelformset_factory(Group, fields=["name"], extra=0, can_delete=True)

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "queryset": Group.objects.filter(name__startswith="my")}


class Keeping(LiveFormView):
    """Its rows cannot be deleted."""

    template_name = "forms/rows.html"
    form_class = formset_factory(LineForm, extra=1)
    initial = [{"name": "first", "count": 2}]


class TwoForms(LiveFormView):
    """Two children of one class in one page."""

    template_name = "forms/two.html"
    form_class = NoteForm


class Formless(LiveFormView):
    template_name = "forms/form.html"
