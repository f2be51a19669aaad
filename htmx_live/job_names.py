"""The names that ``{% loading for= %}`` may use in a live view: its handlers, and its jobs as its source names them."""

import ast
import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from textwrap import dedent

from django.template import TemplateSyntaxError

from htmx_live.loading import guess

__all__ = ["check_names", "job_names"]

_STARTS_NONE = ("htmx_live", "builtins", "typing", "abc")  # packages whose classes start no jobs


def check_names(words: Iterable[str], view: type, handlers: Iterable[str]) -> None:
    """Raise ``TemplateSyntaxError`` for a word that can match nothing in ``view``.

    A word with ``*:`` may mean another view or a script, and is not checked.
    """
    jobs = job_names(view)
    known = [*handlers, *sorted(jobs or ())]
    for word in words:
        # A job that no handler has started goes by its callback's name.
        if jobs is not None and not word.startswith("*:") and word not in known and not hasattr(view, word):
            raise TemplateSyntaxError(
                f"{{% loading %}}: {view.__name__} has no handler or job {word!r}. {guess(word, known)} "
                f'Write for="*:{word}" for what another view or a script starts.'
            )


@cache
def job_names(view: type) -> frozenset[str] | None:
    """The names that the source of ``view`` gives to its jobs.

    None if they cannot be known: one is computed, ``self`` is passed to other code, or there is no source.
    """
    found: set[str] = set()
    for cls in view.__mro__:
        if cls.__module__.partition(".")[0] in _STARTS_NONE:
            continue
        try:
            tree = ast.parse(dedent(inspect.getsource(cls)))
        except (OSError, TypeError, SyntaxError):
            return None
        names = list(_names_in(tree))
        if None in names:
            return None
        found.update(name for name in names if name)
    return frozenset(found)


def _names_in(tree: ast.AST) -> Iterator[str | None]:
    """The names of jobs that are started in ``tree``; None for one that only running it would tell."""
    nodes = list(ast.walk(tree))
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == "self" and id(node) not in owners:
            yield None  # other code may start jobs
        elif isinstance(node, ast.Attribute) and node.attr == "start_async":
            yield from _names_of(calls.get(id(node)))


def _names_of(call: ast.Call | None) -> Iterator[str | None]:
    if call is None:  # it is passed to other code
        yield None
        return
    if call.args and isinstance(call.args[0], ast.Name):
        yield call.args[0].id
    for keyword in call.keywords:
        is_known = isinstance(keyword.value, ast.Constant) and keyword.arg is not None
        if keyword.arg in (None, "name"):
            yield str(keyword.value.value or "") if is_known else None  # type: ignore[attr-defined]
