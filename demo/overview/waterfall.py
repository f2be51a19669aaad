"""The waterfall: when each panel began and how long it took, as bars that the server draws.

A page draws those that its ``Server-Timing`` header tells, and its own: ``with_waterfall`` around the layout.  A panel
that comes later is in no header of the page: ``timed`` has it bring its bar, and the style sheet puts it into its row.
There is no script, and no inline style: a bar is an SVG rectangle.
"""

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.template.loader import render_to_string

__all__ = ["MARK", "Bar", "bars_of", "ticks", "timed", "with_waterfall"]

MARK = "<!-- waterfall -->"  # where the page's own bars go
WIDTH = 1000  # of the time axis, in the SVG's units
PACES = 16  # that the axis is long: all panels one after the other, and a bit

METRIC = re.compile(r'(\w+);dur=([\d.]+);desc="at ([\d.]+) ms"')

View = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """``row`` is the panel's name, or "page"; ``started`` and ``seconds`` count from the page's request."""

    row: str
    started: float
    seconds: float

    @property
    def x(self) -> int:
        return min(_units(self.started), WIDTH - 4)

    @property
    def width(self) -> int:
        """At least what can be seen, and never beyond the axis."""
        return min(max(_units(self.seconds), 4), WIDTH - self.x)

    @property
    def ready(self) -> str:
        """When it was ready, in words."""
        ended = self.started + self.seconds
        return f"{ended:.2f} s" if ended >= 1 else f"{ended * 1000:.0f} ms"


def axis() -> float:
    """The axis's length in seconds: the same for all four pages."""
    return max(PACES * float(settings.DEMO_PACE), 0.2)


def ticks() -> list[int]:
    """Where the axis has its whole seconds, in the SVG's units."""
    return [_units(second) for second in range(1, int(axis()) + 1)]


def bars_of(header: str) -> list[Bar]:
    """A bar for each panel that a ``Server-Timing`` header tells the time of."""
    return [
        Bar(row=name, started=float(at) / 1000, seconds=float(duration) / 1000)
        for name, duration, at in METRIC.findall(header)
        if name != "content"
    ]


def with_waterfall(view: View) -> View:
    """Around ``@layout``: put the bars of the answer's ``Server-Timing`` where ``MARK`` is."""
    if iscoroutinefunction(view):

        @wraps(view)
        async def drawn_async(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            began = time.perf_counter()
            return _drawn(await view(request, *args, **kwargs), began)

        return drawn_async

    @wraps(view)
    def drawn(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        began = time.perf_counter()
        return _drawn(view(request, *args, **kwargs), began)

    return drawn


def timed(view: View) -> View:
    """A panel that brings its own bar when it comes after its page, which then says when it was ``opened``."""
    if iscoroutinefunction(view):

        @wraps(view)
        async def timed_async(request: HttpRequest, **kwargs: Any) -> Any:
            with _watched(request, view.__name__) as bars:
                response = await view(request, **kwargs)
            return _with_bars(response, bars)

        return timed_async

    @wraps(view)
    def timed_sync(request: HttpRequest, **kwargs: Any) -> Any:
        with _watched(request, view.__name__) as bars:
            response = view(request, **kwargs)
        return _with_bars(response, bars)

    return timed_sync


@contextmanager
def _watched(request: HttpRequest, row: str) -> Iterator[list[Bar]]:
    """The list has the bar when the block ends; an exception takes it along as ``bars``, for the error template."""
    bars: list[Bar] = []
    began = time.time()
    try:
        yield bars
    except Exception as error:
        _add_bar(request, row, began=began, bars=bars)
        error.bars = bars  # type: ignore[attr-defined]
        raise
    _add_bar(request, row, began=began, bars=bars)


def _add_bar(request: HttpRequest, row: str, *, began: float, bars: list[Bar]) -> None:
    opened = request.layout_context.get("opened")
    if opened is not None:
        bars.append(Bar(row=row, started=began - opened, seconds=time.time() - began))


def _with_bars(response: Any, bars: list[Bar]) -> Any:
    response.content += _html(bars).encode()
    return response


def _drawn(response: Any, began: float) -> HttpResponseBase:
    page = Bar(row="page", started=0, seconds=time.perf_counter() - began)
    html = _html([page, *bars_of(response.headers.get("Server-Timing", ""))]).encode()
    if response.streaming:
        response.streaming_content = _replaced(response.streaming_content, html)
    elif hasattr(response, "content"):
        response.content = response.content.replace(MARK.encode(), html)
    return response


async def _replaced(parts: AsyncIterator[bytes], html: bytes) -> AsyncIterator[bytes]:
    async for part in parts:
        yield part.replace(MARK.encode(), html)


def _html(bars: list[Bar]) -> str:
    return render_to_string("overview/bars.html", {"bars": bars}) if bars else ""


def _units(seconds: float) -> int:
    return round(WIDTH * max(0.0, seconds) / axis())
