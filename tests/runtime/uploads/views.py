"""Views that take files."""

from typing import Any

from django import forms
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile

from htmx_live import LiveFormView, LiveView, event_handler, push_to_view


class Inbox(LiveView):
    """Takes files in a form, and one when it is chosen, and hands them to a job."""

    template_name = "uploads/inbox.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.note = ""
        self.read: list[str] = []
        self.breaks = ""
        self._name = ""

    @event_handler
    def upload(self, files: list[UploadedFile], note: str = "") -> None:
        self.note = note
        self.start_async(self._import, {self.store_upload(file): file.name for file in files})
        self.reset_forms()

    @event_handler
    def choose(self, photo: UploadedFile) -> None:
        self.start_async(self._import, {self.store_upload(photo): photo.name})

    def _import(self, labels: dict[str, str]) -> None:
        try:
            for name, label in labels.items():
                with default_storage.open(name) as file:
                    text = file.read().decode()
                if text == "broken":
                    raise ValueError("It is broken.")
                self.read.append(f"{label}: {text}")
        finally:
            for name in labels:
                self.delete_upload(name)

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        """A file that fails is logged."""

    @event_handler
    def hold(self, file: UploadedFile, then: str = "") -> None:
        """Keeps a file beyond this event; ``then`` says how it goes on."""
        self._name = self.store_upload(file)
        self.breaks = then
        if then == "raise":
            raise ValueError("After it was kept.")
        if then == "discard and raise":
            self.delete_upload(self._name)
            raise ValueError("After it was discarded.")

    @event_handler
    def drop(self, then: str = "") -> None:
        self.delete_upload(self._name)
        if then == "raise":
            raise ValueError("After it was discarded.")

    @event_handler
    def drop_any(self, name: str) -> None:
        self.delete_upload(name)

    @event_handler
    def keep_none(self, file: UploadedFile | None = None) -> None:
        self.store_upload(file)  # type: ignore[arg-type]

    @event_handler
    def assign(self, file: UploadedFile) -> None:
        self.note = file  # type: ignore[assignment]

    @event_handler
    def linger(self, file: UploadedFile) -> None:
        self.start_async(self._linger, self.store_upload(file), name="linger")

    def _linger(self, name: str) -> None:
        try:
            push_to_view(Inbox, handler="stop")
            self.check_cancelled()
        finally:
            self.delete_upload(name)

    @event_handler
    def stop(self) -> None:
        self.note = "stopped"
        self.cancel_async("linger")

    @event_handler
    def keep_in_job(self) -> None:
        self.start_async(self._keep, name="keeper")

    def _keep(self) -> None:
        self.store_upload(ContentFile(b"x", "x.txt"))

    @event_handler
    def count(self, files: list[UploadedFile]) -> None:
        self.note = f"{len(files)} files, {sum(file.size or 0 for file in files)} bytes, {type(files[0]).__name__}"

    def pushed(self, then: str) -> None:
        """Called by a push: keeps a file, and may fail."""
        self._name = self.store_upload(ContentFile(b"x", "x.txt"))
        if then == "raise":
            raise ValueError("After it was kept.")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        if self.breaks == "render":
            raise ValueError("While it was rendered.")
        if self.breaks == "keep":
            self.store_upload(ContentFile(b"x", "x.txt"))
        return super().get_context_data(**kwargs)


class OrderForm(forms.Form):
    title = forms.CharField()
    attachment = forms.FileField()


class Order(LiveFormView):
    """Its attachment goes to a job."""

    template_name = "uploads/order.html"
    form_class = OrderForm

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.read: list[str] = []

    def form_valid(self, form: Any) -> None:
        self.start_async(self._attach, self.store_upload(form.cleaned_data["attachment"]))
        super().form_valid(form)

    def _attach(self, name: str) -> None:
        with default_storage.open(name) as file:
            self.read = [file.read().decode()]
        self.delete_upload(name)
