"""``{% code view %}``: a live view's class and template, side by side with what they do."""

from typing import Any

from django import template

from demo.source import python_of, template_of
from htmx_live import LiveView

register = template.Library()


@register.inclusion_tag("demo/code.html")
def code(view: type[LiveView]) -> dict[str, Any]:
    return {
        "slug": view.__name__.lower(),
        "files": [
            {"name": f"{view.__module__.rpartition('.')[2]}.py", "code": python_of(view)},
            {"name": view.template_name.rpartition("/")[2], "code": template_of(view.template_name)},
        ],
    }
