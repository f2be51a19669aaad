"""Reading: the rows of a CSV file, one by one, and what is wrong with them.

Pure but for the file.  A row becomes an ``Entry``, or the ``Fault`` for which it is left out: the first, from the left.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from io import TextIOWrapper
from typing import Any

from htmx_live import UserError

from .models import VALUE_LENGTH, Fault

__all__ = ["COLUMNS", "Entry", "Shop", "Unreadable", "count_lines", "opened", "read"]

COLUMNS = ("number", "placed", "email", "article", "quantity", "price")
BLOCK = 1 << 16  # bytes


class Unreadable(UserError):
    """The file as a whole cannot be read; the text is meant for its user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Whom and what an order may name: primary keys by e-mail address and by article number."""

    customers: Mapping[str, int]
    products: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One order of one product."""

    number: str
    placed: datetime
    email: int
    article: int
    quantity: int
    price: Decimal


def count_lines(file: Any) -> int:
    """Lines below the first.  A value with a line break in it makes this more than there are rows."""
    with file.storage.open(file.name, "rb") as content:
        count = sum(block.count(b"\n") for block in iter(lambda: content.read(BLOCK), b""))
    return max(count - 1, 0)


@contextmanager
def opened(file: Any) -> Iterator[Iterator[tuple[int, dict[str, Any]]]]:
    """The rows of a file, one at a time: line number and values by column.  Empty lines are left out.

    Where there is no going on, the next row is an ``Unreadable``.
    """
    with file.storage.open(file.name, "rb") as content, closing(_rows(content)) as rows:
        yield rows


def _rows(file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.DictReader(text, restval="")
    try:
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise Unreadable(f"The first line must name the columns. Missing: {', '.join(missing)}.")
        for row in reader:
            yield reader.line_num, row
    except UnicodeDecodeError:
        raise Unreadable("This is no text in UTF-8. Save it as “CSV UTF-8” and try again.") from None
    except csv.Error:
        raise Unreadable(f"Line {reader.line_num + 1} is no CSV.") from None
    finally:
        text.detach()


def read(line: int, row: Mapping[Any, Any], shop: Shop) -> Entry | Fault:
    """``row`` as an order, or its first fault."""
    found = {}
    for column, reader in READERS.items():
        value = row[column].strip()
        try:
            found[column] = reader(value, shop)
        except ValueError as error:
            return Fault(line=line, column=column, value=value[:VALUE_LENGTH], reason=str(error))
    if more := row.get(None):  # where csv puts what has no column
        return Fault(line=line, column="", value=more[0][:VALUE_LENGTH], reason="there are more values than columns")
    return Entry(**found)


def _number(value: str, shop: Shop) -> str:
    return _fitting(value, r"W-[0-9]{1,9}", "expected W- and digits, such as W-100001")


def _placed(value: str, shop: Shop) -> datetime:
    day = date.fromisoformat(_fitting(value, r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", "expected a day, such as 2026-09-30"))
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _email(value: str, shop: Shop) -> int:
    return _known(value.lower(), shop.customers, "no customer has this address")


def _article(value: str, shop: Shop) -> int:
    return _known(value, shop.products, "the shop has no such article")


def _quantity(value: str, shop: Shop) -> int:
    return int(_fitting(value, r"0*[1-9][0-9]{0,2}", "expected a whole number from 1 to 999"))


def _price(value: str, shop: Shop) -> Decimal:
    return Decimal(_fitting(value, r"[0-9]{1,5}(\.[0-9]{1,2})?", "expected euros with a point, such as 12.90"))


READERS: dict[str, Callable[[str, Shop], Any]] = {
    "number": _number,
    "placed": _placed,
    "email": _email,
    "article": _article,
    "quantity": _quantity,
    "price": _price,
}


def _fitting(value: str, pattern: str, reason: str) -> str:
    if not re.fullmatch(pattern, value):
        raise ValueError(reason)
    return value


def _known(value: str, known: Mapping[str, int], reason: str) -> int:
    if value not in known:
        raise ValueError(reason)
    return known[value]
