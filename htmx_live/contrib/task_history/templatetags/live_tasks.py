"""``{% load live_tasks %}``: the tag ``{% task_inbox %}``."""

from typing import Any

from django.template import Context, Library, TemplateSyntaxError
from django.utils.safestring import SafeString

from htmx_live.contrib.task_history.inbox import task_inbox as render_inbox

register = Library()


@register.simple_tag(takes_context=True)
def task_inbox(context: Context, **options: Any) -> SafeString:
    """``{% task_inbox title= class= %}``: the user's tasks; those that start later appear by themselves."""
    css, title = options.pop("class", ""), options.pop("title", "")
    if options:
        raise TemplateSyntaxError(f"{{% task_inbox %}}: {', '.join(options)}= is unknown. It takes title and class.")
    return render_inbox(request=context.get("request"), css=str(css or ""), title=str(title or ""))
