"""The demo shows its own code: read from the files that run, coloured for reading."""

import inspect
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.template.loader import get_template
from django.utils.safestring import SafeString, mark_safe
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import HtmlDjangoLexer, PythonLexer

__all__ = ["file_of", "python_of", "template_of"]

# Bare spans with classes, no wrapper and no inline style.  The formatter escapes the code itself.
SPANS = HtmlFormatter(nowrap=True, classprefix="code-")


@cache
def python_of(part: Any) -> SafeString:
    """The source of a class, a function or a module, as highlighted HTML."""
    return mark_safe(highlight(inspect.getsource(part), PythonLexer(), SPANS))


@cache
def file_of(module: str) -> SafeString:
    """The source of a module that need not be imported, as highlighted HTML."""
    found = find_spec(module)
    assert found is not None and found.origin is not None, module
    return mark_safe(highlight(Path(found.origin).read_text(encoding="utf-8"), PythonLexer(), SPANS))


@cache
def template_of(name: str) -> SafeString:
    """The source of a template, as highlighted HTML."""
    path = Path(get_template(name).template.origin.name)
    return mark_safe(highlight(path.read_text(encoding="utf-8"), HtmlDjangoLexer(), SPANS))
