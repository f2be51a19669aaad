"""Records: what a store keeps of one instance, and whose it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["SHARED_DIGEST", "JobRow", "Owner", "Record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who an instance belongs to: ``token`` digests a random value, see ``owners.py``; ``user`` is the pk as text.

    Both are empty for a visitor without a token.
    """

    token: str = ""
    user: str = ""

    @property
    def key(self) -> str:
        """One word for caps and indexes."""
        return f"{self.token}.{self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A running job in its instance's record: ``handler`` started it, (``name``, ``key``) tells it from others.

    ``page`` is the page whose event started it; ``notify`` what notices about it call it, "" for none.  ``stage`` is ""
    for one that goes its way, ``waiting`` when nobody has begun it, ``retrying`` when it died and was started anew,
    ``late`` when half of its time limit is over.
    """

    ref: str
    handler: str
    name: str
    key: str = ""
    page: str = ""
    stage: Literal["", "waiting", "retrying", "late"] = ""
    notify: str = ""


SHARED_DIGEST = "shared"  # stands for a child's digest when the child is a shared instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a store keeps of one instance.  ``rev`` rises by one with each turn.

    ``lost`` are jobs that were given up and may come back, the newest last: see ``runtime.jobs``.
    ``kwargs`` are encoded; ``digest`` is the hash of the HTML that was sent last; ``nonces`` are those of the last
    16 user events; ``pages`` are the ids of the pages that show it, newest last: none for a ``shared``
    one, which any page may show.  ``children`` maps a nested view's
    key to its instance and a digest of its kwargs, ``parent`` is the instance that contains this one.  ``language``
    to ``query`` describe the page as its user last saw it, ``url`` holds what its address leaves out of ``url_state``.
    ``earlier_epochs`` are those of the stores that lost it, newest last: it has been mounted again since.
    ``unset`` are attributes that ``mount()`` may set and that the view did without when it was last saved, as a
    conditional one: code that misses no others can read the state.  ``is_broken``: its last turn failed because the
    view lacked an attribute.
    A shared one is rendered in variants (runtime/variants.py): ``viewed`` says when each was last seen to be in use,
    in seconds since 1970, and ``digests`` stand in the place of ``digest``.
    """

    instance: str
    view: str
    owner: Owner
    kwargs: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    shared: bool = False
    rev: int = 0
    state: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    is_broken: bool = False
    jobs: tuple[JobRow, ...] = ()
    lost: tuple[JobRow, ...] = ()
    pages: tuple[str, ...] = ()
    parent: str = ""
    children: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    nonces: tuple[str, ...] = ()
    digest: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    viewed: dict[str, int] = field(default_factory=dict)
    grant: str = ""
    granted_at: int = 0  # seconds since 1970
    earlier_epochs: tuple[str, ...] = ()
    tag: str = "div"
    css_class: str = ""
    language: str = ""
    time_zone: str = ""
    script_prefix: str = "/"
    secure: bool = False
    host: str = ""
    path: str = "/"
    query: str = ""
    url: dict[str, list[str]] = field(default_factory=dict)

    def own_children(self) -> set[str]:
        """The ids of its children but for shared ones, which are not its to end or to adopt."""
        return {instance for instance, digest in self.children.values() if digest != SHARED_DIGEST}
