"""The gallery's pages, and the live views that its examples stand in."""

import asyncio
from typing import Any

from django import forms
from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.generic import TemplateView

from demo.gallery.examples import arguments_of, component_names, examples_of, sentence_of, slots_of
from htmx_live import LiveView, UserError, event_handler
from htmx_live.progress import ProgressSession

# Style sheets that are looked for, and the words by which each framework makes a button and a card.
FRAMEWORKS: dict[str, dict[str, Any]] = {
    "bootstrap": {
        "title": "Bootstrap 5",
        "sheets": ["bootstrap/dist/css/bootstrap.min.css"],
        "button": "btn btn-primary",
        "other": "btn btn-outline-secondary",
        "card": "card card-body mb-3",
        "body": "container py-4",
    },
    "tailwind": {
        "title": "Tailwind",
        "sheets": ["tailwind/theme.css", "tailwind/preflight.css"],
        "button": "",
        "other": "",
        "card": "beside-card",
        "body": "beside-body",
    },
    "admin": {
        "title": "the Django admin",
        "sheets": ["admin/css/base.css", "admin/css/dark_mode.css", "admin/css/forms.css"],
        "button": "button default",
        "other": "button",
        "card": "module beside-card",
        "body": "colM beside-body",
    },
}


class NoteForm(forms.Form):
    """What the example of a form asks for."""

    note = forms.CharField(max_length=80)


class Sample(LiveView):
    """One example.  ``save`` works for two seconds; in a busy example for a minute from the start."""

    template_name = "gallery/sample.html"

    def mount(self, request, example="", **kwargs):
        self.saved = 0
        self.error = ""
        found = find_example(example)
        if found.is_busy:
            self.start_async(self._work, 60, name="save")
        self.session = session_for(request, example)
        if "written" in example:
            self.start_async(self._write)

    @event_handler
    def save(self, **kwargs):
        self.error = ""
        self.start_async(self._work, 2, name="save")

    @event_handler
    def fail(self):
        self.start_async(self._fail)

    async def _work(self, seconds):
        for _ in range(seconds * 4):
            await asyncio.sleep(0.25)
            self.check_cancelled()
        self.saved += 1

    async def _fail(self):
        await asyncio.sleep(0.5)
        raise UserError("The printer is out of paper.")

    async def _write(self):
        await self.astream_text("story", "Once upon a time there was a page that never made anybody wait.")

    def handle_async_result(self, name, result=None, error=None):
        self.error = str(error or "")

    def get_context_data(self, **kwargs):
        return {"template": find_example(self.kwargs["example"]).template, "form": NoteForm(), **kwargs}


class Tally(LiveView):
    """A live view to be put into others."""

    template_name = "gallery/tally.html"

    def mount(self, request, start=0, **kwargs):
        self.count = start

    @event_handler
    def add(self):
        self.count += 1


class Locked(LiveView):
    """A live view that nobody may see."""

    template_name = "gallery/tally.html"

    def has_permission(self):
        return False


class Beside(LiveView):
    """The components with the classes of a framework: idle, busy and with an error."""

    template_name = "gallery/beside_sample.html"

    def mount(self, request, framework="", **kwargs):
        self.start_async(self._work, name="export")

    @event_handler
    def export(self): ...

    @event_handler
    def save(self, **kwargs):
        self.start_async(self._rest, name="save")

    async def _work(self):
        for _ in range(240):
            await asyncio.sleep(0.25)
            self.check_cancelled()

    async def _rest(self):
        await asyncio.sleep(2)

    def get_context_data(self, **kwargs):
        return {"looks": FRAMEWORKS[self.kwargs["framework"]], "form": NoteForm(), **kwargs}


class GalleryPage(TemplateView):
    """``?dir=rtl`` writes from right to left."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(direction=_one_of(self.request, "dir", ["ltr", "rtl"]), **kwargs)


class IndexView(GalleryPage):
    template_name = "gallery/index.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        names = [
            {"name": name, "sentence": sentence_of(name), "count": len(examples_of(name))} for name in component_names()
        ]
        return super().get_context_data(components=names, frameworks=FRAMEWORKS, **kwargs)


class ComponentView(GalleryPage):
    template_name = "gallery/component.html"

    def get_context_data(self, name: str, **kwargs: Any) -> dict[str, Any]:
        if name not in component_names():
            raise Http404(f"There is no component {name}.")
        return super().get_context_data(
            name=name,
            names=component_names(),
            sentence=sentence_of(name),
            examples=examples_of(name),
            arguments=arguments_of(name),
            slots=slots_of(name),
            **kwargs,
        )


def beside(request: HttpRequest, framework: str) -> HttpResponse:
    """A page in a framework's looks; it says so where the framework's style sheet is not installed."""
    if framework not in FRAMEWORKS:
        raise Http404(f"There is no framework {framework}.")
    looks = FRAMEWORKS[framework]
    missing = [sheet for sheet in looks["sheets"] if finders.find(sheet) is None]
    theme, direction = _one_of(request, "theme", ["light", "dark"]), _one_of(request, "dir", ["ltr", "rtl"])
    context = {"framework": framework, "looks": looks, "missing": missing, "theme": theme, "direction": direction}
    return render(request, "gallery/beside.html", context)


def part(request: HttpRequest) -> HttpResponse:
    """What the examples of a lazy panel load."""
    return render(request, "gallery/part.html")


def session_for(request: HttpRequest, example: str) -> str:
    """The id of a session of long work in the state that the example shows; "" where it shows none."""
    component, _, state = example.partition("/")
    if component not in ("live_progress", "live_progress_list", "live_cancel_button", "live_retry_button"):
        return ""
    session = ProgressSession.create({"import": "Import", "check": "Check"}, owner=request)
    if "running" in state:
        session.update("import", current=840, total=2000, unit="rows", message="Reading orders.csv")
    if "complete" in state:
        session.complete("import")
        session.complete("check")
    if "error" in state:
        session.run("import", read_nothing)
    return session.session_id


def read_nothing() -> None:
    """Work that fails at once."""
    raise UserError("Row 7 has no price.")


def find_example(name: str) -> Any:
    """``KeyError`` for a name that no example has."""
    return {example.name: example for example in examples_of(name.partition("/")[0])}[name]


def _one_of(request: HttpRequest, name: str, words: list[str]) -> str:
    return request.GET[name] if request.GET.get(name) in words else words[0]
