"""What a template tag knows of the live view around it.

A context variable, not a template variable: it reaches into `{% include … only %}` and into components, and
belongs to one thread or task.  ``None`` outside of a live view.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from htmx_live.events.handlers import Handler

__all__ = ["Rendering", "current_rendering"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """One live view while its template is rendered.

    ``instance`` is the record's id, ``view`` the class's dotted path.  ``hidden_fields`` are the fields that a form
    needs to work without JavaScript (``_live``, ``_live_page``).
    """

    instance: str
    view: str
    handlers: Mapping[str, Handler]
    event_url: Callable[[str], str]
    hidden_fields: Mapping[str, str]
    live: Any  # the view itself, for {% live %} (its children) and {% stream %}

    @property
    def root(self) -> str:
        """The id of the root element."""
        return f"live-{self.instance}"


current_rendering: ContextVar[Rendering | None] = ContextVar("current_rendering", default=None)
