"""``{% load htmx_live %}``: the tags of the package, from the modules beside this one."""

from django.template import Library

from htmx_live.templatetags._attributes import register_attributes
from htmx_live.templatetags._components import register_components
from htmx_live.templatetags._notices import register_notices
from htmx_live.templatetags._progress import register_progress
from htmx_live.templatetags._regions import register_regions
from htmx_live.templatetags._views import register_views

register = Library()
register_attributes(register)
register_views(register)
register_regions(register)
register_components(register)
register_notices(register)
register_progress(register)
