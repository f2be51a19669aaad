"""The workers' Celery app, made as Celery's documentation tells a Django project to."""

from celery import Celery

app = Celery("tests")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["tests.jobs.celery"], related_name="chores")
