"""Health: whether this process can keep state and send messages, for whoever decides where visitors are sent.

    GET live/health/   200 {"store": "ok", "bus": "ok", "epoch": "…"}
                       503 {"store": "away", "bus": "away", "epoch": ""}

It asks for no session, no user and no database, and tells nothing that is not in every page.  The store is written to,
for one that only reads (a full Redis, a replica) keeps nothing.  The epoch is the bus's: processes that belong together
have the same.
"""

from collections.abc import Callable

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from htmx_live.exceptions import StoreUnavailable
from htmx_live.runtime.parts import parts

__all__ = ["health"]

_LEASE = "health"  # a named lease that every process takes, as one and the same holder


@login_not_required
@transaction.non_atomic_requests
@require_safe
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    """See the module; a Redis that does not answer is found out within about a second."""
    here = parts()
    kept, position = _asked(_write), _asked(here.bus.position)
    told = {
        "store": "away" if kept is None else "ok",
        "bus": "away" if position is None else "ok",
        "epoch": (position or "").partition(".")[0],
    }
    return JsonResponse(told, status=503 if kept is None or position is None else 200)


def _write() -> str:
    parts().store.hold(_LEASE, _LEASE, ttl=1.0)
    return _LEASE


def _asked(call: Callable[[], str]) -> str | None:
    """What ``call`` answers; None when it gets no answer."""
    try:
        return call()
    except StoreUnavailable:
        return None
