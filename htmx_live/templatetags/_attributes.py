"""The tags that stand in a start tag or a form: ``{% on %}``, ``{% loading %}``, ``{% live_fields %}``.

They stand in the loops of tables, so what does not change from row to row is built once per node: a node keeps the
last text that it built and what that was built from.  Nodes are shared by threads: it is one tuple, replaced whole.

The tags for components: those of django-components that our users need, and ``{% live_spinner %}``.

A component costs several times an ``{% include %}``, so what stands in the loops of tables is a tag as well.  Its node
keeps the HTML that it built, but for the key, for each language; it is one dict entry, written whole.
"""

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Any, cast

from django.template import Context, Library, Node, TemplateSyntaxError, VariableDoesNotExist
from django.template.base import FilterExpression, Parser, Token, Variable, token_kwargs
from django.template.defaulttags import CsrfTokenNode
from django.template.loader import render_to_string
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django_components import registry
from django_components.templatetags import component_tags

from htmx_live.events.attributes import (
    Trigger,
    check_options,
    dumps,
    key_text,
    loading,
    render_attributes,
    require_current_view,
    to_json_value,
)
from htmx_live.events.context import current_view
from htmx_live.runtime.services import services
from htmx_live.views.component import check_loading_names

__all__ = ["register_attributes", "register_components"]


Resolve = Callable[[Context], Any]


def register_attributes(register: Library) -> None:
    """Add the tags to ``{% load htmx_live %}``."""
    register.tag("on", _on_tag)
    register.tag("loading", _loading_tag)
    register.tag("live_fields", _live_fields_tag)


class _TagValue:
    """One value of a tag: a constant, known while the template is compiled, or looked up at each render."""

    def __init__(self, expression: FilterExpression) -> None:
        self.expression = expression
        source = expression.var
        literal = isinstance(source, Variable) and source.lookups is None and not source.translate
        self.is_constant = not expression.filters and (type(source) in (str, SafeString) or literal)
        self.constant = expression.resolve(Context()) if self.is_constant else None
        is_plain_lookup = not expression.filters and isinstance(source, Variable)
        self.look_up: Resolve = source.resolve if is_plain_lookup else expression.resolve

    def resolve(self, context: Context) -> Any:
        """The value; ``TemplateSyntaxError`` where a variable is missing, for a handler must not get "" instead."""
        if self.is_constant:
            return self.constant
        try:
            return self.look_up(context)
        except VariableDoesNotExist:
            raise TemplateSyntaxError(
                f"{self.expression.token} is not there. Correct the name, or give a default: "
                f"{self.expression.token}|default:None"
            ) from None


class _OnNode(Node):
    def __init__(self, positional: list[_TagValue], keywords: dict[str, _TagValue]) -> None:
        self.event, self.handler, *positional = positional
        self.positional, self.keywords = len(positional), list(keywords)
        self.values = [*positional, *keywords.values()]
        self.is_constant = all(value.is_constant for value in self.values)
        self.cached: _OnText | None = None

    def render(self, context: Context) -> SafeString:
        rendering = current_view.get() or require_current_view("on")
        event, name = str(self.event.resolve(context)), str(self.handler.resolve(context))
        built = self.cached
        if (
            built is None
            or built.trigger.instance != rendering.instance
            or built.trigger.handler is not rendering.handlers.get(name)
            or built.trigger.hx_trigger != event
            or built.trigger.url != rendering.event_url(name)
        ):
            built = self.cached = _OnText(self, Trigger.find(rendering, event, name))
        return built.text if self.is_constant else built.with_values(self.values, context)


class _OnText:
    """The text of an ``{% on %}`` for one trigger, complete but for the values that change."""

    def __init__(self, node: _OnNode, trigger: Trigger) -> None:
        self.trigger = trigger
        self.names = trigger.argument_names(node.positional, node.keywords)
        constants = {}
        if node.is_constant:
            constants = {
                name: to_json_value(value.constant, name) for name, value in zip(self.names, node.values, strict=True)
            }
        attributes = trigger.attributes(constants)
        self.text = render_attributes(attributes)
        self.is_form = "action" in attributes
        self.has_key = trigger.handler.key in self.names

    def with_values(self, values: Sequence[_TagValue], context: Context) -> SafeString:
        arguments = {
            name: to_json_value(value.resolve(context), name) for name, value in zip(self.names, values, strict=True)
        }
        if self.is_form:
            return render_attributes(self.trigger.attributes(arguments))
        text = f'{self.text} data-live-args="{escape(dumps(arguments))}"'
        if self.has_key and (key := self.trigger.job_key(arguments)):
            text += f' data-live-key="{escape(key)}"'
        return mark_safe(text)


class _LoadingNode(Node):
    """``constant`` is the whole text, or the text but for the key where only the key changes, or None."""

    def __init__(self, directives: list[_TagValue], options: dict[str, _TagValue]) -> None:
        self.directives, self.options = directives, options
        self.key = None if "key" not in options or options["key"].is_constant else options["key"]
        fixed = {name: value for name, value in options.items() if value is not self.key}
        self.constant: SafeString | None = None
        if all(value.is_constant for value in [*directives, *fixed.values()]):
            self.constant = render_attributes(_loading_attributes(directives, fixed))

    def render(self, context: Context) -> SafeString:
        if "for" in self.options and services().is_strict:
            check_loading_names(self.options["for"].expression.resolve(context), context.get("request"))
        if self.constant is None:
            return render_attributes(_loading_attributes(self.directives, self.options, context))
        if self.key is None or not (key := key_text(self.key.expression.resolve(context))):
            return self.constant
        return mark_safe(f'{self.constant} data-live-key="{escape(key)}"')


def _loading_attributes(
    directives: list[_TagValue], options: dict[str, _TagValue], context: Context | None = None
) -> dict[str, str]:
    lookup_context = context or Context()
    return loading(
        *(value.expression.resolve(lookup_context) for value in directives),
        **{name: value.expression.resolve(lookup_context) for name, value in options.items()},
    )


class _LiveFieldsNode(Node):
    def render(self, context: Context) -> SafeString:
        fields = require_current_view("live_fields").hidden_fields
        return mark_safe(CsrfTokenNode().render(context)) + format_html_join(
            "", '<input type="hidden" name="{}" value="{}">', fields.items()
        )


def _on_tag(parser: Parser, token: Token) -> Node:
    """``{% on EVENT HANDLER value… name=value… %}``: call a handler when the element hears an event.

    EVENT is an hx-trigger specification.  Values by position go to the handler's parameters in declared order; they
    reach it with their types, and win over form fields.  On a form, ``{% on "submit" … %}`` also writes ``method`` and
    ``action``.
    """
    positional, keywords = _parse_arguments(parser, token)
    if len(positional) < 2:
        raise TemplateSyntaxError(f'{{% {token.contents} %}}: write {{% on "click" "handler" name=value %}}.')
    return _OnNode(positional, keywords)


def _loading_tag(parser: Parser, token: Token) -> Node:
    """``{% loading "show" "disable" display= class= remove_class= for= key= delay= min= %}``: change while it works.

    Without ``for`` while the nearest enclosing trigger works; ``for="save export"`` names handlers or jobs of this live
    view and ``for="*:save"`` of any.  ``delay`` and ``min`` are milliseconds, or "0.5s".
    """
    directives, options = _parse_arguments(parser, token)
    check_options(options)
    return _LoadingNode(directives, options)


def _live_fields_tag(parser: Parser, token: Token) -> Node:
    """``{% live_fields %}``: the hidden fields by which a form works without JavaScript, CSRF token included."""
    if len(token.split_contents()) > 1:
        raise TemplateSyntaxError("{% live_fields %} takes no arguments.")
    return _LiveFieldsNode()


def _parse_arguments(parser: Parser, token: Token) -> tuple[list[_TagValue], dict[str, _TagValue]]:
    """The values of a tag by position and by name; ``for=`` and ``class=`` are names here."""
    positional: list[_TagValue] = []
    keywords: dict[str, _TagValue] = {}
    for bit in token.split_contents()[1:]:
        named = token_kwargs([bit], parser)
        if not named and keywords:
            raise TemplateSyntaxError(f"{{% {token.contents} %}}: {bit} stands after a named value. Put it before.")
        for name, expression in named.items():
            if name in keywords:
                raise TemplateSyntaxError(f"{{% {token.contents} %}}: {name}= is given twice.")
            keywords[name] = _TagValue(expression)
        if not named:
            positional.append(_TagValue(parser.compile_filter(bit)))
    return positional, keywords


_COMPONENT_TAGS = ("component", "fill", "slot", "html_attrs")
_KEY_PLACEHOLDER = "live-key-of-this-row"  # stands in the kept HTML for the key, which changes from row to row


def register_components(register: Library) -> None:
    """Add the tags to ``{% load htmx_live %}``."""
    for name in _COMPONENT_TAGS:
        register.tag(name, partial(_component_tag, name))
    register.tag("live_spinner", _live_spinner_tag)


class _SpinnerNode(Node):
    def __init__(self, positional: list[_TagValue], keywords: dict[str, _TagValue]) -> None:
        self.positional, self.keywords = positional, keywords
        self.key = keywords.get("key")
        values = [*positional, *keywords.values()]
        self.is_constant = all(value.is_constant for value in values if value is not self.key)
        self.html_by_variant: dict[tuple[str | None, bool], str] = {}

    def render(self, context: Context) -> SafeString:
        key = key_text(self.key.resolve(context)) if self.key is not None else ""
        if not self.is_constant:
            return mark_safe(self._render_component(context, key))
        variant = get_language(), bool(key)
        html = self.html_by_variant.get(variant)
        if html is None:
            html = self.html_by_variant[variant] = self._render_component(context, _KEY_PLACEHOLDER if key else "")
        return mark_safe(html.replace(_KEY_PLACEHOLDER, escape(key)) if key else html)

    def _render_component(self, context: Context, key: str) -> str:
        options: dict[str, Any] = {name: value.resolve(context) for name, value in self.keywords.items()}
        if self.positional:
            options["label"] = self.positional[0].resolve(context)
        component: Any = registry.get("live_spinner")
        shown = component.build_tag_context(**options | {"key": key or None})
        return render_to_string(component.template_file, {"shown": shown}).rstrip("\n")


def _live_spinner_tag(parser: Parser, token: Token) -> Node:
    """``{% live_spinner "Loading" for= key= delay= min= size= always= class= %}``: the component, for loops."""
    positional, keywords = _parse_arguments(parser, token)
    if len(positional) > 1:
        raise TemplateSyntaxError(f'{{% {token.contents} %}}: write {{% live_spinner "Loading" for="save" %}}.')
    return _SpinnerNode(positional, keywords)


def _component_tag(name: str, parser: Parser, token: Token) -> Node:
    # Looked up late: a registry puts its own `component` there when the first component is registered.
    return cast(Node, component_tags.register.tags[name](parser, token))
