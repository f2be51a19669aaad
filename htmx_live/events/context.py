"""What a template tag knows of the live view around it.

A context variable, not a template variable: it reaches into `{% include … only %}` and into components, and
belongs to one thread or task.  ``None`` outside of a live view.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from htmx_live.events.handlers import Handler

__all__ = ["RenderContext", "current_view"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderContext:
    """One live view while its template is rendered.

    ``instance`` is the record's id, ``view`` the class's dotted path.  ``hidden_fields`` are the fields that a form
    needs to work without JavaScript (``_live``, ``_live_page``).
    """

    instance: str
    view_path: str
    handlers: Mapping[str, Handler]
    event_url: Callable[[str], str]
    hidden_fields: Mapping[str, str]
    view: Any  # the view itself, for {% live %} (its children) and {% stream %}

    @property
    def root_id(self) -> str:
        """The id of the root element."""
        return f"live-{self.instance}"


current_view: ContextVar[RenderContext | None] = ContextVar("current_view", default=None)
