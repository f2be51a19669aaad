"""The three steps of an import, each a task of one progress session that starts the next one.

    check ──▶ add ──▶ prices          on threads, or in Celery's workers: what a step gets is a number

Every chunk of ``add`` is one short transaction, with the import's ``position`` in it: a step that is cancelled, that
fails or whose process dies leaves whole chunks behind, and goes on after them when it is started again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from demo.reports.numbers import pace
from demo.shop.models import Customer, Order, OrderLine, Product
from htmx_live import Cancelled, UserError, notify, push_to_view
from htmx_live.progress import ProgressSession, current_task

from .models import Fault, Import
from .reading import Entry, Shop, count_lines, opened, read

__all__ = ["CHUNK", "TASKS", "add", "check", "prices", "start"]

TASKS = {"check": "Check the rows", "add": "Import the orders", "prices": "Update prices"}
WEIGHTS = {"check": 2, "add": 7, "prices": 1}  # about the time that each takes
CHUNK = 500  # rows
PAGE = "demo.imports.views.ImportOrders"
MOST_FAULTS = 1000  # that are kept; the others are counted


def start(run: Import) -> None:
    """Begin, or go on where an import stands whose progress is kept no more."""
    session = ProgressSession.create(TASKS, owner=run.owner, weights=WEIGHTS)
    Import.objects.filter(pk=run.pk).update(session=session.session_id)
    session.run("check", check, run.pk)
    push_to_view(PAGE, user=run.owner_id)


def check(pk: int) -> None:
    """Read every row and keep what is wrong with it."""
    task = current_task()
    with telling(pk) as run, opened(run.file) as rows:
        run.faults.all().delete()
        run.rows = run.faulty = 0
        task.update(current=0, total=count_lines(run.file), unit="rows")
        for chunk in chunks(rows, 2 * CHUNK):
            check_chunk(run, chunk)
            task.update(current=run.rows, message=words_of(run))
            pace()
        run.save(update_fields=["rows", "faulty"])
    then(task, "add", add, pk)
    task.update(total=run.rows)
    task.complete(words_of(run))


def add(pk: int) -> None:
    """Save the orders, a chunk in each transaction; those whose number is known already are skipped."""
    task = current_task()
    with telling(pk) as run, opened(run.file) as rows:
        task.update(current=run.position, total=run.rows, unit="rows")
        for chunk in chunks(islice(rows, run.position, None), CHUNK):
            with transaction.atomic():
                add_chunk(run, chunk)
                task.check_cancelled()  # leaves the block, and nothing of this chunk stays
            task.update(current=run.position, message=f"{run.added:,} orders are in the shop")
            pace()
    then(task, "prices", prices, pk)
    task.complete(f"{run.added:,} orders imported, {run.skipped:,} were there already")


def prices(pk: int) -> None:
    """Each product costs what it cost in its newest order."""
    task = current_task()
    with telling(pk) as run:
        for number, product in enumerate(task.track(Product.objects.all(), unit="products"), 1):
            newest = product.lines.order_by("-order__placed_at", "-pk").first()
            if newest and newest.unit_price != product.price:
                run.prices += Product.objects.filter(pk=product.pk).update(price=newest.unit_price)
            if number % 4 == 0:
                pace()
        run.file.delete(save=False)
        run.ended_at = now()
        run.save(update_fields=["prices", "file", "ended_at"])
    tell(run, end_of(run), level="warning" if run.faulty else "success")
    push_to_view("demo.dashboard.views.Dashboard")
    push_to_view("demo.orders.views.OrderList")
    task.complete(f"{run.prices} prices changed", result=run.get_absolute_url())


def check_chunk(run: Import, chunk: list[tuple[int, Any]]) -> None:
    """Save the faults of a chunk."""
    shop = known()
    faults = [found for line, row in chunk if isinstance(found := read(line, row, shop), Fault)]
    for fault in faults:
        fault.run = run
    Fault.objects.bulk_create(faults[: max(MOST_FAULTS - run.faulty, 0)])
    run.rows += len(chunk)
    run.faulty += len(faults)


def add_chunk(run: Import, chunk: list[tuple[int, Any]]) -> None:
    """Save a chunk and ``run``'s new position.  ``Cancelled`` if another process has saved it meanwhile."""
    shop = known()
    entries = [found for line, row in chunk if isinstance(found := read(line, row, shop), Entry)]
    numbers = Order.objects.filter(number__in=[entry.number for entry in entries])
    taken = set(numbers.values_list("number", flat=True))
    fresh = {entry.number: entry for entry in entries if entry.number not in taken}
    position = run.position + len(chunk)
    added, skipped = run.added + len(fresh), run.skipped + len(entries) - len(fresh)
    mine = Import.objects.filter(pk=run.pk, position=run.position)
    if not mine.update(position=position, added=added, skipped=skipped):
        raise Cancelled  # it was started again, and there it goes on
    orders = Order.objects.bulk_create(order_of(entry, run) for entry in fresh.values())
    OrderLine.objects.bulk_create(
        OrderLine(order=order, product_id=entry.article, quantity=entry.quantity, unit_price=entry.price)
        for order, entry in zip(orders, fresh.values(), strict=True)
    )
    run.position, run.added, run.skipped = position, added, skipped


def order_of(entry: Entry, run: Import) -> Order:
    return Order(
        number=entry.number,
        customer_id=entry.email,
        placed_at=entry.placed,
        status=Order.Status.SHIPPED,
        total=entry.quantity * entry.price,
        clerk_id=run.owner_id,
    )


def then(task: Any, name: str, step: Any, pk: int) -> None:
    """Start the next step, unless somebody cancels meanwhile: either they still find it, or we see that they did."""
    task.session.run(name, step, pk)
    try:
        task.check_cancelled()
    except Cancelled:
        task.session.cancel(name)
        raise


@contextmanager
def telling(pk: int) -> Iterator[Import]:
    """The import; however the block ends, pages that show it are told, and its owner if it fails."""
    run = Import.objects.select_related("owner").get(pk=pk)
    push_to_view(PAGE, user=run.owner_id)
    try:
        yield run
    except Exception as error:
        reason = str(error) if isinstance(error, UserError) else "The import failed."
        tell(run, f"{run.name}: {reason}", level="error")
        steps = list(TASKS)
        for later in steps[steps.index(current_task().task_id) + 1 :]:
            current_task().session.cancel(later)
        raise
    finally:
        push_to_view(PAGE, user=run.owner_id)


def tell(run: Import, words: str, *, level: str) -> None:
    """One toast: the newest takes the place of what was said of an import before."""
    notify(run.owner, words, level=level, url=run, key="import")


def end_of(run: Import) -> str:
    left_out = f", {run.faulty:,} rows left out" if run.faulty else ""
    skipped = f", {run.skipped:,} were there already" if run.skipped else ""
    return f"{run.name}: {run.added:,} orders imported{skipped}{left_out}."


def words_of(run: Import) -> str:
    return f"{run.faulty:,} rows do not fit" if run.faulty else "All rows fit"


def known() -> Shop:
    return Shop(
        customers=dict(Customer.objects.values_list("email", "pk")),
        products=dict(Product.objects.values_list("sku", "pk")),
    )


def chunks(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, size)):
        yield chunk
