"""The tags for components: those of django-components that our users need, and components cheap enough for a loop."""

from functools import partial
from typing import cast

from django.template import Library, Node
from django.template.base import Parser, Token
from django_components.templatetags import component_tags

__all__ = ["register_components"]

_THEIRS = ("component", "fill", "slot", "html_attrs")


def register_components(register: Library) -> None:
    """Add the tags to ``{% load htmx_live %}``."""
    for name in _THEIRS:
        register.tag(name, partial(_their_tag, name))


def _their_tag(name: str, parser: Parser, token: Token) -> Node:
    # Looked up late: a registry puts its own `component` there when the first component is registered.
    return cast(Node, component_tags.register.tags[name](parser, token))
