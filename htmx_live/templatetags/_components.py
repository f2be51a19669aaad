"""The tags for components: those of django-components that our users need, and ``{% live_spinner %}``.

A component costs several times an ``{% include %}``, so what stands in the loops of tables is a tag as well.  Its node
keeps the HTML that it built, but for the key, for each language; it is one dict entry, written whole.
"""

from functools import partial
from html import escape
from typing import Any, cast

from django.template import Context, Library, Node, TemplateSyntaxError
from django.template.base import Parser, Token
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django_components import registry
from django_components.templatetags import component_tags

from htmx_live.loading import key_text
from htmx_live.templatetags._attributes import _read, _Value

__all__ = ["register_components"]

_THEIRS = ("component", "fill", "slot", "html_attrs")
_KEY = "live-key-of-this-row"  # stands in the kept HTML for the key, which changes from row to row


def register_components(register: Library) -> None:
    """Add the tags to ``{% load htmx_live %}``."""
    for name in _THEIRS:
        register.tag(name, partial(_their_tag, name))
    register.tag("live_spinner", _live_spinner_tag)


class _Spinner(Node):
    def __init__(self, positional: list[_Value], keywords: dict[str, _Value]) -> None:
        self.positional, self.keywords = positional, keywords
        self.key = keywords.get("key")
        values = [*positional, *keywords.values()]
        self.is_constant = all(value.is_constant for value in values if value is not self.key)
        self.built: dict[tuple[str | None, bool], str] = {}

    def render(self, context: Context) -> SafeString:
        key = key_text(self.key.resolve(context)) if self.key is not None else ""
        if not self.is_constant:
            return mark_safe(self._build(context, key))
        variant = get_language(), bool(key)
        html = self.built.get(variant)
        if html is None:
            html = self.built[variant] = self._build(context, _KEY if key else "")
        return mark_safe(html.replace(_KEY, escape(key)) if key else html)

    def _build(self, context: Context, key: str) -> str:
        given: dict[str, Any] = {name: value.resolve(context) for name, value in self.keywords.items()}
        if self.positional:
            given["label"] = self.positional[0].resolve(context)
        component: Any = registry.get("live_spinner")
        shown = component.show_for(**given | {"key": key or None})
        return render_to_string(component.template_file, {"shown": shown}).rstrip("\n")


def _live_spinner_tag(parser: Parser, token: Token) -> Node:
    """``{% live_spinner "Loading" for= key= delay= min= size= always= class= %}``: the component, for loops."""
    positional, keywords = _read(parser, token)
    if len(positional) > 1:
        raise TemplateSyntaxError(f'{{% {token.contents} %}}: write {{% live_spinner "Loading" for="save" %}}.')
    return _Spinner(positional, keywords)


def _their_tag(name: str, parser: Parser, token: Token) -> Node:
    # Looked up late: a registry puts its own `component` there when the first component is registered.
    return cast(Node, component_tags.register.tags[name](parser, token))
