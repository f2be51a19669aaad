"""The tags ``{% progress %}`` and ``{% progress_list %}``: long work, live on any page."""

from typing import Any

from django.template import Context, Library, TemplateSyntaxError
from django.utils.safestring import SafeString

from htmx_live.progress.placing import progress_card
from htmx_live.progress.placing import progress_list as draw_list

__all__ = ["register_progress"]


def register_progress(register: Library) -> None:
    """Add the tags to ``{% load htmx_live %}``."""
    register.simple_tag(progress, takes_context=True)
    register.simple_tag(progress_list, takes_context=True)


def progress(context: Context, session: Any, *task_ids: Any, **options: Any) -> SafeString:
    """``{% progress session *task_ids redirect= event= class= cancel= %}``: a bar per task, or for these tasks only.

    ``session`` is a ``ProgressSession`` or its id; of one that is gone nothing is shown.  ``redirect`` is the URL to go
    to at the end and ``event`` the DOM event to fire then, once for each viewer.  The owner may cancel; ``cancel=True``
    lets anybody who sees a session without an owner.
    """
    css, may_cancel = options.pop("class", ""), options.pop("cancel", None)
    redirect, event = options.pop("redirect", ""), options.pop("event", "")
    if options:
        raise TemplateSyntaxError(
            f"{{% progress %}}: {', '.join(options)}= is unknown. It takes redirect, event, class and cancel."
        )
    try:
        return progress_card(
            session,
            [str(task) for task in task_ids],
            request=context.get("request"),
            redirect=str(redirect or ""),
            event=str(event or ""),
            css=str(css or ""),
            may_cancel=None if may_cancel is None else bool(may_cancel),
        )
    except KeyError as error:
        raise TemplateSyntaxError(f"{{% progress %}}: {error.args[0]}") from None


def progress_list(context: Context, **options: Any) -> SafeString:
    """``{% progress_list class= %}``: all running work of whose page this is; what starts later appears by itself."""
    css = options.pop("class", "")
    if options:
        raise TemplateSyntaxError(f"{{% progress_list %}}: {', '.join(options)}= is unknown. It takes class.")
    return draw_list(request=context.get("request"), css=str(css or ""))
