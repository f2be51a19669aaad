"""The table of tasks."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="TaskRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("session", models.CharField(max_length=64, unique=True, verbose_name="session")),
                ("owner_word", models.CharField(blank=True, max_length=100)),
                ("key", models.CharField(blank=True, max_length=200, verbose_name="key")),
                ("name", models.CharField(max_length=300, verbose_name="name")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "waiting"),
                            ("running", "running"),
                            ("complete", "complete"),
                            ("error", "failed"),
                            ("cancelled", "cancelled"),
                            ("lost", "interrupted"),
                        ],
                        default="queued",
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("percent", models.PositiveSmallIntegerField(default=0, verbose_name="percent")),
                ("message", models.CharField(blank=True, max_length=300, verbose_name="message")),
                ("result_url", models.CharField(blank=True, max_length=2000, verbose_name="result")),
                ("error_id", models.CharField(blank=True, max_length=64, verbose_name="error id")),
                ("created", models.DateTimeField(verbose_name="created")),
                ("started", models.DateTimeField(blank=True, null=True, verbose_name="started")),
                ("finished", models.DateTimeField(blank=True, null=True, verbose_name="finished")),
                ("number", models.PositiveBigIntegerField(default=0)),
                ("seen", models.DateTimeField()),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="owner",
                    ),
                ),
            ],
            options={
                "verbose_name": "task",
                "verbose_name_plural": "tasks",
                "ordering": ["-created", "-pk"],
                "indexes": [
                    models.Index(fields=["owner", "-finished"], name="htmx_live_task_of_owner"),
                    models.Index(fields=["finished", "seen"], name="htmx_live_task_unseen"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("finished", None), models.Q(("key", ""), _negated=True)),
                        fields=("owner_word", "key"),
                        name="htmx_live_task_once",
                    )
                ],
            },
        ),
    ]
