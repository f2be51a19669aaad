"""A bar chart as numbers: where each bar of an SVG of 600 by 320 stands and how high it is.

Pure but for one query.  The template draws it, with attributes only: no script, and no inline style.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Sum
from django.db.models.functions import TruncMonth

from demo.shop.models import Order

__all__ = ["Bar", "Chart", "bars_of", "revenue_chart"]

MONTHS = 12
LEFT, TOP, WIDTH, HEIGHT = 54, 12, 540, 272  # of the area where bars stand, in the SVG's units
GAP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """``x``, ``y``, ``width`` and ``height`` in the SVG's units; ``value`` in euros."""

    month: date
    value: Decimal
    x: int
    y: int
    width: int
    height: int

    @property
    def middle(self) -> int:
        return self.x + self.width // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """``lines`` are the grid's: height in the SVG, and the euros there."""

    bars: list[Bar]
    lines: list[tuple[int, int]]


def revenue_chart(until: datetime) -> Chart:
    """Revenue of the twelve months that end with ``until``, cancelled orders left out."""
    months = _months(until.date())
    sums = (
        Order.objects.exclude(status=Order.Status.CANCELLED)
        .filter(placed_at__date__gte=months[0])
        .annotate(month=TruncMonth("placed_at"))
        .values_list("month")
        .annotate(sum=Sum("total"))
        .order_by("month")
    )
    revenue = {month.date(): sum for month, sum in sums}
    return bars_of([(month, revenue.get(month, Decimal(0))) for month in months])


def bars_of(revenue: list[tuple[date, Decimal]]) -> Chart:
    """One bar for each month, below a top line at a round number of euros."""
    top = _round_up(max((value for _, value in revenue), default=Decimal(0)))
    step = WIDTH // max(1, len(revenue))
    bars = []
    for index, (month, value) in enumerate(revenue):
        height = round(HEIGHT * value / top)
        x = LEFT + index * step + GAP // 2
        bars.append(Bar(month=month, value=value, x=x, y=TOP + HEIGHT - height, width=step - GAP, height=height))
    return Chart(bars=bars, lines=[(TOP + HEIGHT - HEIGHT * part // 4, top * part // 4) for part in range(5)])


def _months(last: date) -> list[date]:
    """The first days of the months up to ``last``, the oldest first."""
    count = last.year * 12 + last.month - 1
    return [date(number // 12, number % 12 + 1, 1) for number in range(count - MONTHS + 1, count + 1)]


def _round_up(value: Decimal) -> int:
    """The next 1, 2, 4 or 8 with zeros, from 400 on: four grid lines stand at round numbers."""
    top = 400
    while top < value:
        top = top * 2 if str(top)[0] in "124" else top // 8 * 10
    return top
