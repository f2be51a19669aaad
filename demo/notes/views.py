"""The shared note: everybody writes in a box of their own, and all that is written becomes one text."""

from htmx_live import LiveView, debounce, event_handler

from .models import Note


class SharedNote(LiveView):
    template_name = "notes/note.html"
    page_template_name = "notes/page.html"
    login_required = True

    def mount(self, request, pk, **kwargs):
        note = Note.objects.get(pk=pk)
        self.title, self.content = note.title, note.content
        self.is_editing = False
        self.draft = ""  # what my box held when it was last heard of
        self.news = ""

    @event_handler
    def edit(self):
        self.is_editing, self.draft, self.news = True, self.content, ""

    @event_handler
    @debounce(wait=0.25)
    def update_content(self, value: str = ""):
        if self.is_editing:
            self._write(value)
            if not self.news:
                self.skip_render()  # my box shows it all: nothing moves under the caret

    @event_handler
    def done(self, value: str = ""):
        if self.is_editing:
            self._write(value)
            self.is_editing, self.news = False, ""

    def _write(self, value):
        value = value.replace("\r\n", "\n")
        note = Note.weave(self.kwargs["pk"], base=self.draft, mine=value, by=self.user)
        self.draft, self.content = value, note.content
        name = self.user.first_name
        self.broadcast("_on_broadcast", {"content": self.content, "news": f"{name} has written, too."})

    def _on_broadcast(self, content, news):
        self.content = content
        self.news = news if self.is_editing else ""
