"""Attributes: which of what a view holds is its state."""

from collections.abc import Mapping
from typing import Any

from htmx_live.exceptions import StateError
from htmx_live.state import decode_state

__all__ = ["state_of", "take_state"]


def state_of(view: Any) -> dict[str, Any]:
    """The attributes of ``view`` that its record keeps."""
    cls = type(view)
    # A class attribute with __get__ owns its name: cached_property writes past __setattr__.
    return {
        name: value
        for name, value in vars(view).items()
        if name not in ("_live", "_skip_render") and not hasattr(getattr(cls, name, None), "__get__")
    }


def take_state(view: Any, state: Mapping[str, str]) -> None:
    """Set encoded attributes; ``StateError`` for names that no view's code could have assigned."""
    odd = type(view)._guarded.intersection(state)
    if odd:
        raise StateError(f"The kept state of {type(view).__qualname__} names {sorted(odd)}, which cannot be assigned.")
    view.__dict__.update(decode_state(state))
