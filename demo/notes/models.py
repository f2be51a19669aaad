"""A note that several people write."""

from django.conf import settings
from django.db import models, transaction

from htmx_live import UserError

from .weaving import joined, woven

LONGEST = 2000  # characters: texts that long are woven in well under a second, whatever they are


class Note(models.Model):
    title = models.CharField(max_length=100)
    content = models.TextField(blank=True)
    edited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    edited_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title

    @classmethod
    def weave(cls, pk, *, base, mine, by):
        """Make the changes from ``base`` to ``mine`` in the note as it is now; returns the note.

        Without a base nothing that is there is taken for deleted.
        """
        with transaction.atomic():
            note = cls.objects.select_for_update().get(pk=pk)
            both = joined(mine, note.content) if base is None else woven(base, mine, note.content)
            if max(len(mine), len(both)) > LONGEST:
                raise UserError(f"A note has room for {LONGEST} characters.")
            note.content, note.edited_by = both, by
            note.save()
        return note
