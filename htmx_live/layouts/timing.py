"""``Server-Timing``: how long each panel took, for the browser's network view."""

from collections.abc import Iterable

from django.http import HttpResponseBase

from htmx_live.layouts.execution import Outcome
from htmx_live.layouts.plan import PanelRun

__all__ = ["add_timing", "entry"]


def entry(name: str, *, started: float, seconds: float) -> str:
    """One metric.  ``started`` is seconds after the page's; both are shown in milliseconds."""
    return f'{name};dur={seconds * 1000:.1f};desc="at {max(0.0, started) * 1000:.1f} ms"'


def add_timing(response: HttpResponseBase, entries: Iterable[str]) -> None:
    """Add to what the view itself measured."""
    own = response.headers.get("Server-Timing")
    response.headers["Server-Timing"] = ", ".join([*([own] if own else []), *entries])


def panel_entries(runs: Iterable[PanelRun], outcomes: Iterable[Outcome], page_started: float) -> list[str]:
    """One entry for each panel, in definition order; one that comes later has no duration yet."""
    ended = {outcome.run.name: outcome for outcome in outcomes}
    return [_panel_entry(run, ended.get(run.name), page_started) for run in runs]


def _panel_entry(run: PanelRun, outcome: Outcome | None, page_started: float) -> str:
    if outcome is None:
        return f'{run.name};desc="{run.way}"'
    return entry(run.name, started=outcome.started - page_started, seconds=outcome.seconds)
