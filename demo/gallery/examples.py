"""The gallery's examples: templates in ``gallery/examples/<component>/``, the first line says what."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.safestring import SafeString, mark_safe
from django_components import registry
from pygments import highlight
from pygments.lexers import HtmlDjangoLexer

from demo.source import SPANS

__all__ = ["Argument", "Example", "arguments_of", "component_names", "examples_of", "sentence_of", "slots_of"]

FOLDER = Path(__file__).parent / "templates/gallery/examples"
FIRST_LINE = re.compile(r"\{# (?P<title>.*?) #\}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One state of one component.  ``is_busy``: a job runs for a minute from the start."""

    name: str
    template: str
    title: str
    code: SafeString
    is_busy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One row of the table of arguments, as the class says it."""

    name: str
    type: str
    default: str
    help: str


def component_names() -> list[str]:
    """The components that have examples, in the order of the alphabet."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


@cache
def examples_of(component: str) -> list[Example]:
    """In the order of their files' names; ``KeyError`` for a component without any."""
    if component not in component_names():
        raise KeyError(component)
    return [_read(path) for path in sorted((FOLDER / component).glob("*.html"))]


def sentence_of(component: str) -> str:
    """What the component is, from the docstring of its class."""
    return " ".join((registry.get(component).__doc__ or "").split()).replace("``", "")


def arguments_of(component: str) -> list[Argument]:
    """Its arguments, from the fields of ``Kwargs``."""
    kwargs: Any = registry.get(component).Kwargs
    return [
        Argument(
            name=field.name.removesuffix("_"),
            type=_type_of(kwargs.type_hints()[field.name]),
            default="" if field.default in ("", None) else str(field.default),
            help=field.metadata["help"],
        )
        for field in kwargs.option_fields()
    ]


def slots_of(component: str) -> list[tuple[str, str]]:
    """The names of its slots, and what each is for."""
    return list(registry.get(component).slot_descriptions.items())  # type: ignore[attr-defined]


def _read(path: Path) -> Example:
    source = path.read_text(encoding="utf-8")
    first = FIRST_LINE.match(source)
    assert first is not None, f"{path} does not begin with a comment that says what it shows."
    return Example(
        name=f"{path.parent.name}/{path.stem}",
        template=f"gallery/examples/{path.parent.name}/{path.name}",
        title=first["title"],
        code=mark_safe(highlight(source[first.end() :], HtmlDjangoLexer(), SPANS)),
        is_busy="busy" in path.stem,
    )


def _type_of(hint: Any) -> str:
    if hint is Any:
        return "any"
    return (
        " | ".join(f"“{value}”" for value in hint.__args__ if value) if hasattr(hint, "__origin__") else _name_of(hint)
    )


def _name_of(hint: Any) -> str:
    names = [one.__name__ for one in getattr(hint, "__args__", [hint])]
    return " | ".join({"str": "text", "int": "number", "bool": "True | False"}.get(name, name) for name in names)
