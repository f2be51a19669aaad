"""Saves: a region that follows an object of the database.

Whatever saves or deletes the object, its region is told once the transaction is committed: once for each object,
however often it was saved.  What is sent is read from the database then, by one reader at a time for each object: of
two who save it at once, the last to read sends what both have made of it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from string import Formatter
from typing import Any

from django.db import connections
from django.db.models import Model
from django.db.models.signals import post_delete, post_save

from htmx_live.core.conf import settings
from htmx_live.core.fragments import Fragment
from htmx_live.messaging.regions import Topic, publish_fragments, region
from htmx_live.runtime.request_context import run_after_commit
from htmx_live.runtime.services import services

__all__ = ["push_on_save"]


logger = logging.getLogger("htmx_live.messaging")

_BATCH_ATTRIBUTE = "_htmx_live_saves"  # attribute of a connection: the objects that its transaction has told of

BuildContext = Callable[[Any], Mapping[str, Any]]


def push_on_save(
    model: type[Model], name: str, *, template: str, topic: str, append_to: str | None = None
) -> Callable[[BuildContext], BuildContext]:
    """From now on the region ``name`` of ``topic`` shows ``template`` of each object of ``model`` that is saved.

    ``name`` and ``topic`` may hold fields: ``"orders:{pk}"``.  The template finds the object under its model's name;
    as a decorator, this takes what the function returns for an object as the context.  With ``append_to``, the name of
    a region, a new object is added there, and the template holds the object's own ``{% region %}``.  A deleted object's
    region is removed.  ``TypeError`` and ``ValueError`` say what does not fit.
    """
    is_model = isinstance(model, type) and issubclass(model, Model) and hasattr(model, "_meta")
    if not is_model or model._meta.abstract:
        raise TypeError(f"push_on_save({model!r}, …): expected a model that has a table.")
    if not template or not isinstance(template, str):
        raise TypeError(f"push_on_save(template={template!r}): expected the path of a template.")
    fields = _validate_pattern(model, name, "name")
    if not fields:
        raise ValueError(
            f"push_on_save(name={name!r}): all objects would share one region. Name them: '{name}:{{pk}}'."
        )
    _validate_pattern(model, topic, "topic")
    binding = _ModelBinding(model=model, name=name, template=template, topic=topic, append_to=append_to)
    post_save.connect(binding.on_save, sender=model, weak=False)
    post_delete.connect(binding.on_delete, sender=model, weak=False)
    return binding.set_context


def _validate_pattern(model: type[Model], pattern: str, argument: str) -> list[str]:
    """The names in a pattern; ``ValueError`` for one that no object of ``model`` has."""
    if not pattern or not isinstance(pattern, str):
        raise TypeError(f"push_on_save({argument}={pattern!r}): expected a text such as 'orders:{{pk}}'.")
    known = {"pk", *(word for field in model._meta.concrete_fields for word in (field.name, field.attname))}
    names = [found for _, found, _, _ in Formatter().parse(pattern) if found is not None]
    for name in names:
        if name not in known and not (name.isidentifier() and hasattr(model, name)):
            offered = ", ".join(sorted(known))
            raise ValueError(
                f"push_on_save({argument}={pattern!r}): {model.__name__} has no {name!r}. It has: {offered}."
            )
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """An object as it was when it was saved; a deleted one has lost its pk by the commit."""

    pk: Any
    using: str
    name: str
    topic: str
    is_new: bool


class _ModelBinding:
    """One call of ``push_on_save``."""

    def __init__(self, *, model: type[Model], name: str, template: str, topic: str, append_to: str | None) -> None:
        self._model, self._name, self._template, self._topic, self._append_to = model, name, template, topic, append_to
        self._build_context: BuildContext = lambda found: {str(model._meta.model_name): found}

    def set_context(self, context: BuildContext) -> BuildContext:
        self._build_context = context
        return context

    def on_save(self, instance: Model, using: str, created: bool, raw: bool, **kwargs: Any) -> None:
        if not raw:  # the objects of a fixture come before those that they name
            self._publish_after_commit(instance, using, is_new=created)

    def on_delete(self, instance: Model, using: str, **kwargs: Any) -> None:
        self._publish_after_commit(instance, using, is_new=False)

    def _publish_after_commit(self, instance: Model, using: str, *, is_new: bool) -> None:
        change = _Change(
            pk=instance.pk,
            using=using,
            name=_format_pattern(self._name, instance),
            topic=_format_pattern(self._topic, instance),
            is_new=is_new,
        )
        batch = connections[using].__dict__.setdefault(_BATCH_ATTRIBUTE, set())
        # One for each save, for a savepoint that is rolled back takes its own with it.  The first to run tells all.
        run_after_commit(partial(self._publish, change, batch))

    def _publish(self, change: _Change, batch: set[Any]) -> None:
        connection = connections[change.using]
        if connection.__dict__.get(_BATCH_ATTRIBUTE) is batch:
            del connection.__dict__[_BATCH_ATTRIBUTE]  # the next transaction has its own
        if (self, change.pk) in batch:
            return
        batch.add((self, change.pk))
        try:
            with _object_lock(f"saved-{self._model._meta.label}-{change.pk}"):
                publish_fragments([self._fragment(change)], to=Topic(change.topic))
        except Exception:  # a boundary: the object is saved, whatever becomes of the pages that show it
            logger.exception("What became of %s %s could not be sent", self._model._meta.label, change.pk)

    def _fragment(self, change: _Change) -> Fragment:
        found = self._model._base_manager.using(change.using).filter(pk=change.pk).first()
        if found is None:
            return region(change.name, swap="remove")
        context = self._build_context(found)
        if self._append_to is None:
            return region(change.name, template=self._template, context=context)
        if change.is_new:
            return region(self._append_to, template=self._template, context=context, swap="append")
        return region(change.name, template=self._template, context=context, swap="replace")


def _format_pattern(pattern: str, instance: Model) -> str:
    names = [name for _, name, _, _ in Formatter().parse(pattern) if name is not None]
    return pattern.format(**{name: getattr(instance, name) for name in names})


@contextmanager
def _object_lock(name: str) -> Iterator[None]:
    """In all processes that share the store; one that takes too long is not waited for."""
    store = services().store
    lease = store.acquire(name, wait=settings().BUSY_TIMEOUT)
    try:
        yield
    finally:
        if lease is not None:
            store.release(lease)
