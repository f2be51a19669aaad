"""The tag ``{% region %}``: an element that ``send_fragment`` writes to."""

import re
from difflib import get_close_matches
from typing import Any

from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import Parser, Token
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from htmx_live.listening import listen
from htmx_live.regions import is_sending, region_id
from htmx_live.rendering import current_rendering
from htmx_live.templatetags._attributes import _read, _Value
from htmx_live.transport.channels import topic_channel

__all__ = ["register_regions"]

_OPTIONS = ("topic", "refresh", "tag", "class")
_TAG_NAME = re.compile(r"[a-z][a-z0-9-]*")


def register_regions(register: Library) -> None:
    """Add the tag to ``{% load htmx_live %}``."""
    register.tag("region", _region_tag)


class _Region(Node):
    def __init__(self, name: _Value, options: dict[str, _Value], nodelist: NodeList) -> None:
        self.name, self.options, self.nodelist = name, options, nodelist

    def render(self, context: Context) -> SafeString:
        given = {name: value.resolve(context) for name, value in self.options.items()}
        tag = str(given.get("tag") or "div")
        if not _TAG_NAME.fullmatch(tag):
            raise TemplateSyntaxError(f"{{% region tag={tag!r} %}}: expected the name of an element, such as 'tr'.")
        attributes = _attributes(str(self.name.resolve(context)), given, context)
        # Listening comes before the content is made: what changes meanwhile is sent.
        # Also what is safe is escaped: literals of a template are, and a URL in one may hold "&".
        written = format_html_join("", ' {}="{}"', ((name, escape(value)) for name, value in attributes.items()))
        return format_html("<{}{}>{}</{}>", mark_safe(tag), written, self.nodelist.render(context), mark_safe(tag))


def _attributes(name: str, given: dict[str, Any], context: Context) -> dict[str, str]:
    try:
        target = region_id(name)
    except ValueError as error:
        raise TemplateSyntaxError(f"{{% region %}}: {error}") from None
    attributes = {"id": target}
    if given.get("class"):
        attributes["class"] = str(given["class"])
    if given.get("refresh"):
        attributes |= {
            "hx-get": str(given["refresh"]),
            "hx-trigger": "live:reset from:document",
            # Out of band: an answer without the region, such as a login page, changes nothing.
            "hx-select-oob": f"#{target}:outerMorph",
            "hx-swap": "none ignoreTitle:true",
            "hx-disinherit": "*",  # in htmx 2 what stands in the region would inherit these
        }
    if is_sending():
        return attributes
    topic = given.get("topic")
    word = listen(context.get("request"), "" if topic is None else topic_channel(_name_of(topic)))
    if word:
        attributes["data-live-word"] = word
    if current_rendering.get() is not None:
        attributes["data-live-keep"] = ""  # what was sent stays when the view around it renders again
    return attributes


def _name_of(topic: Any) -> str:
    name = str(getattr(topic, "name", topic))
    if not name:
        raise TemplateSyntaxError("{% region topic='' %}: a topic's name is not empty. Leave topic= out for none.")
    return name


def _region_tag(parser: Parser, token: Token) -> Node:
    """``{% region NAME topic=None refresh=None tag="div" class="" %}…{% endregion %}``: a place for fragments.

    With ``topic`` it hears what is sent to that topic; without, what is sent to this page or its user.  ``refresh`` is
    a URL whose answer holds the region as it is now, asked for when the page has missed more than the server remembers.
    """
    positional, options = _read(parser, token)
    nodelist = parser.parse(("endregion",))
    parser.delete_first_token()
    if len(positional) != 1:
        raise TemplateSyntaxError(f'{{% {token.contents} %}}: write {{% region "name" topic="topic" %}}…')
    for name in options:
        if name not in _OPTIONS:
            close = get_close_matches(name, _OPTIONS, n=1)
            hint = f"Did you mean {close[0]}=?" if close else f"It takes {', '.join(_OPTIONS)}."
            raise TemplateSyntaxError(f"{{% {token.contents} %}}: {name}= is unknown. {hint}")
    return _Region(positional[0], options, nodelist)
