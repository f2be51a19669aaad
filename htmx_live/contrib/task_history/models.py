"""``TaskRecord``: one session of progress as the database remembers it."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

__all__ = ["MAX_TEXT_LENGTH", "TaskRecord"]


MAX_TEXT_LENGTH = 300  # characters kept of a name or a message


class TaskRecord(models.Model):
    """What is known of a session: whose it is, how far it came, how it ended, and when.

    ``number`` is the session's sequence number; an older one never takes a newer one's place.  ``seen`` is when a
    process last vouched for it: one that is not finished and was not seen for long is looked into by
    ``htmx_live.contrib.task_history.recorder``.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("waiting")
        RUNNING = "running", _("running")
        COMPLETE = "complete", _("complete")
        ERROR = "error", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        LOST = "lost", _("interrupted")

    session = models.CharField(_("session"), max_length=64, unique=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
    )
    owner_word = models.CharField(max_length=100, blank=True)  # as progress tells owners apart, visitors too
    key = models.CharField(_("key"), max_length=200, blank=True)
    name = models.CharField(_("name"), max_length=MAX_TEXT_LENGTH)
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.QUEUED)
    percent = models.PositiveSmallIntegerField(_("percent"), default=0)
    message = models.CharField(_("message"), max_length=MAX_TEXT_LENGTH, blank=True)
    result_url = models.CharField(_("result"), max_length=2000, blank=True)
    error_id = models.CharField(_("error id"), max_length=64, blank=True)
    created = models.DateTimeField(_("created"))
    started = models.DateTimeField(_("started"), null=True, blank=True)
    finished = models.DateTimeField(_("finished"), null=True, blank=True)
    number = models.PositiveBigIntegerField(default=0)
    seen = models.DateTimeField()

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        ordering: ClassVar = ["-created", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["owner", "-finished"], name="htmx_live_task_of_owner"),
            models.Index(fields=["finished", "seen"], name="htmx_live_task_unseen"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["owner_word", "key"],
                condition=Q(finished=None) & ~Q(key=""),
                name="htmx_live_task_once",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_failed(self) -> bool:
        return self.status in (self.Status.ERROR, self.Status.LOST)
