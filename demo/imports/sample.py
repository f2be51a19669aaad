"""A file of orders to try the import with: as many as wanted, from one seeded random source, a few of them wrong.

The lines come one by one, and so does what they are made of: a file of millions takes no more memory than one of ten.
"""

import csv
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from random import Random

from demo.shop.models import Customer, Product
from demo.shop.sample import FIRST_DAY, LAST_DAY

from .reading import COLUMNS

__all__ = ["ROWS", "lines", "sample_lines"]

ROWS = 20_000
FIRST_NUMBER = 100_001
FAULTS = [  # column and value, one of them about every 800 rows
    ("number", "100-"),
    ("placed", "31.12.2025"),
    ("placed", "2025-02-30"),
    ("email", "nobody@example.com"),
    ("email", "<script>alert(1)</script>"),
    ("article", "D-1"),
    ("quantity", "0"),
    ("quantity", "a dozen"),
    ("price", "12,90"),
    ("price", "=1+1"),
]


def sample_lines(rows: int = ROWS) -> Iterator[str]:
    """The lines for this shop's customers and products.  ``ValueError`` for a shop that has none."""
    emails = list(Customer.objects.order_by("email").values_list("email", flat=True))
    articles = list(Product.objects.order_by("sku").values_list("sku", "price"))
    if not emails or not articles:
        raise ValueError("The shop has no customers or no products yet. Load them: python demo/manage.py sampledata")
    return lines(rows, emails=emails, articles=articles)


def lines(rows: int, *, emails: Sequence[str], articles: Sequence[tuple[str, Decimal]]) -> Iterator[str]:
    """The names of the columns, then ``rows`` orders, the oldest first."""
    random, days = Random(2026), (LAST_DAY - FIRST_DAY).days
    yield ",".join(COLUMNS) + "\r\n"
    for number in range(rows):
        sku, price = random.choice(articles)
        order = {
            "number": f"W-{FIRST_NUMBER + number}",
            "placed": _day(number * days // rows),
            "email": random.choice(emails),
            "article": sku,
            "quantity": random.choice([1, 1, 1, 2, 2, 3, 6]),
            "price": (price * random.randrange(97, 106) / 100).quantize(Decimal("0.1")),
        }
        if random.randrange(800) == 0:
            order |= [random.choice(FAULTS)]
        yield _line(order.values())


def _day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def _line(values: object) -> str:
    out = StringIO()
    csv.writer(out).writerow(values)  # type: ignore[arg-type]
    return out.getvalue()
