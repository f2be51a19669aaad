"""The shared note: everybody writes in a box of their own, and all that is written becomes one text."""

from uuid import uuid4

from htmx_live import LiveView, debounce, event_handler

from .models import Note


class SharedNote(LiveView):
    template_name = "notes/note.html"
    page_template_name = "notes/page.html"
    login_required = True
    url_state = ("is_editing",)  # so that the box stays when the server was restarted and knows nothing any more

    def mount(self, request, pk, **kwargs):
        note = Note.objects.get(pk=pk)
        self.title, self.content = note.title, note.content
        self.is_editing, self.news = False, ""
        self._new_box(is_known=False)

    @event_handler
    def edit(self):
        self._new_box(is_known=True)
        self.is_editing, self.news = True, ""

    @event_handler
    @debounce(wait=0.25)
    def update_content(self, box: str, value: str = ""):
        self._write(box, value)
        if not self.news:
            self.skip_render()  # my box shows it all: nothing moves under the caret

    @event_handler
    def done(self, box: str, value: str = ""):
        self._write(box, value)
        self.is_editing, self.news = False, ""

    def _new_box(self, is_known):
        self.box, self.draft = uuid4().hex, self.content  # what the box held when it was last heard of
        self._is_known = is_known

    def _write(self, box, value):
        if not self.is_editing or (self._is_known and box != self.box):
            return  # a late word of a box that is gone; "done" has brought it
        value = value.replace("\r\n", "\n")
        base = self.draft if box == self.box else None  # None: a box from before a restart
        self.content = Note.weave(self.kwargs["pk"], base=base, mine=value, by=self.user).content
        self.box, self.draft, self._is_known = box, value, True
        self.broadcast("_on_broadcast", {"news": f"{self.user.first_name} has written, too."})

    def _on_broadcast(self, news):
        self.content = Note.objects.get(pk=self.kwargs["pk"]).content  # broadcasts may overtake each other
        self.news = news if self.is_editing else ""
        if not self.is_editing:
            self.draft = self.content
