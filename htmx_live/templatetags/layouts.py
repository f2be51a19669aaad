"""Tags of layouts: ``{% panel %}`` in layout templates, and the queues' tags in all of them."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.http import HttpRequest
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.template.context import Context
from django.utils.safestring import SafeString, mark_safe

from htmx_live.layouts.page import Slots, render_placeholder
from htmx_live.layouts.queues import Queue, add_script, add_style, add_to_queue

register = template.Library()

_FLAGS = {"async": "is_async", "defer": "is_deferred"}
_SCRIPT_OPTIONS = {"is_async", "is_deferred", "type", "nonce", "integrity", "crossorigin"}
_STYLE_OPTIONS = {"media", "nonce", "integrity", "crossorigin"}


class PanelNode(template.Node):
    """``{% panel name %}fallback{% endpanel %}``: the panel, or the fallback where it is empty or not there yet."""

    def __init__(self, name: FilterExpression, fallback: NodeList) -> None:
        self.name, self.nodelist = name, fallback

    def render(self, context: Context) -> SafeString:
        slots: Slots | None = context.get("layout_slots")
        slot = slots.get(str(self.name.resolve(context))) if slots is not None else None
        if slots is None or slot is None:
            return self.nodelist.render(context)
        if slot.delivery != "inline":
            return render_placeholder(slot, context["request"], slots=slots, fallback=self.nodelist.render(context))
        return mark_safe(slot.html) if slot.html.strip() else self.nodelist.render(context)


class QueueNode(template.Node):
    """Queues a script or a style: an address, or what stands between the tags."""

    def __init__(
        self, kind: str, address: FilterExpression | None, options: Mapping[str, Any], body: NodeList | None
    ) -> None:
        self.kind, self.address, self.options = kind, address, options
        self.nodelist = body or NodeList()
        self.is_block = body is not None

    def render(self, context: Context) -> str:
        add = add_script if self.kind == "script" else add_style
        options = {name: _resolve_value(value, context) for name, value in self.options.items()}
        if self.is_block:
            add(_require_request(context), inline=self.nodelist.render(context).strip(), **options)
        elif self.address is not None:
            add(_require_request(context), str(self.address.resolve(context)), **options)
        return ""


class EnqueueNode(template.Node):
    """``{% enqueue name %}HTML{% endenqueue %}``."""

    def __init__(self, name: FilterExpression, body: NodeList) -> None:
        self.name, self.nodelist = name, body

    def render(self, context: Context) -> str:
        add_to_queue(_require_request(context), str(self.name.resolve(context)), self.nodelist.render(context))
        return ""


@register.tag
def panel(parser: Parser, token: Token) -> PanelNode:
    """``{% panel "name" %}shown while it is empty{% endpanel %}``"""
    name = _parse_single_argument(parser, token)
    fallback = parser.parse(("endpanel",))
    parser.delete_first_token()
    return PanelNode(name, fallback)


@register.tag
def enqueue(parser: Parser, token: Token) -> EnqueueNode:
    """``{% enqueue "name" %}HTML{% endenqueue %}``"""
    name = _parse_single_argument(parser, token)
    body = parser.parse(("endenqueue",))
    parser.delete_first_token()
    return EnqueueNode(name, body)


@register.tag
def addscript(parser: Parser, token: Token) -> QueueNode:
    """``{% addscript "/a.js" defer type="module" %}``, or ``{% addscript %}JavaScript{% endaddscript %}``"""
    return _parse_queue_tag(parser, token, "script", _SCRIPT_OPTIONS)


@register.tag
def addstyle(parser: Parser, token: Token) -> QueueNode:
    """``{% addstyle "/a.css" media="print" %}``, or ``{% addstyle %}CSS{% endaddstyle %}``"""
    return _parse_queue_tag(parser, token, "style", _STYLE_OPTIONS)


@register.simple_tag(takes_context=True)
def renderscripts(context: Context) -> SafeString:
    """The queue ``scripts``; nothing where the layout has none."""
    return _render_queue(context, "scripts")


@register.simple_tag(takes_context=True)
def renderstyles(context: Context) -> SafeString:
    """The queue ``styles``; nothing where the layout has none."""
    return _render_queue(context, "styles")


@register.simple_tag(takes_context=True)
def renderqueue(context: Context, name: str) -> SafeString:
    """The queue called ``name``.  ``KeyError`` where the layout has none of that name."""
    queues = _get_queues(context)
    if name not in queues:
        raise KeyError(f"The layout has no queue {name!r}. It has: {', '.join(sorted(queues)) or 'none'}.")
    return _render_queue(context, name)


def _render_queue(context: Context, name: str) -> SafeString:
    queue = _get_queues(context).get(name)
    return queue.render(_require_request(context)) if queue is not None else SafeString()


def _get_queues(context: Context) -> Mapping[str, Queue]:
    return getattr(_require_request(context), "layout_queues", {})


def _require_request(context: Context) -> HttpRequest:
    request: HttpRequest | None = context.get("request")
    if request is None:
        raise RuntimeError("The queues' tags need the request: render the template with it, as render() does.")
    return request


def _parse_single_argument(parser: Parser, token: Token) -> FilterExpression:
    tag, *bits = token.split_contents()
    if len(bits) != 1:
        raise template.TemplateSyntaxError(f'{{% {tag} %}} takes one name, as in {{% {tag} "sidebar" %}}.')
    return parser.compile_filter(bits[0])


def _parse_queue_tag(parser: Parser, token: Token, kind: str, allowed_options: set[str]) -> QueueNode:
    tag, *bits = token.split_contents()
    address: FilterExpression | None = None
    options: dict[str, Any] = {}
    for bit in bits:
        name, equals, value = bit.partition("=")
        if equals and name in allowed_options:
            options[name] = parser.compile_filter(value)
        elif _FLAGS.get(bit) in allowed_options:
            options[_FLAGS[bit]] = True
        elif address is None and (not equals or bit[0] in "\"'"):
            address = parser.compile_filter(bit)
        else:
            raise template.TemplateSyntaxError(
                f"{{% {tag} %}} does not know {bit!r}. It knows: {', '.join(sorted(allowed_options))}."
            )
    body = None
    if address is None:
        body = parser.parse((f"end{tag}",))
        parser.delete_first_token()
    return QueueNode(kind, address, options, body)


def _resolve_value(value: Any, context: Context) -> Any:
    return value.resolve(context) if isinstance(value, FilterExpression) else value
