"""``{% code "reports.views.ReportView" %}``: a live view's class and template, beside what they do.

Modules that are named behind it are shown as well.
"""

from importlib import import_module
from typing import Any

from django import template
from django.utils.module_loading import import_string

from demo.source import python_of, template_of
from htmx_live import LiveView

register = template.Library()


@register.inclusion_tag("demo/code.html")
def code(path: str, *modules: str) -> dict[str, Any]:
    view: type[LiveView] = import_string(path)
    return {
        "slug": view.__name__.lower(),
        "files": [
            {"name": f"{view.__module__.rpartition('.')[2]}.py", "code": python_of(view)},
            {"name": view.template_name.rpartition("/")[2], "code": template_of(view.template_name)},
            *({"name": f"{path.rpartition('.')[2]}.py", "code": python_of(import_module(path))} for path in modules),
        ],
    }
