"""Sample data: a delicatessen's customers, products and orders, drawn from one seeded random source.

Nothing depends on today's date or on the machine, so every visitor sees the same shop.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F

from .models import Customer, Order, OrderLine, Product

__all__ = ["OWNER", "USERS", "load"]

USERS = {"anna": ("Anna", "Lindqvist"), "ben": ("Ben", "Okafor")}
OWNER = {"clara": ("Clara", "Moretti")}  # may use the admin
FIRST_DAY = date(2023, 1, 2)
LAST_DAY = date(2026, 9, 30)

PRODUCTS = [  # category, name, price, stock
    ("Oil & vinegar", "Olive oil Kalamata, 500 ml", "14.90", 62),
    ("Oil & vinegar", "Olive oil with lemon, 250 ml", "11.50", 18),
    ("Oil & vinegar", "Balsamic vinegar, aged 8 years", "24.00", 25),
    ("Oil & vinegar", "Walnut oil, 250 ml", "16.20", 9),
    ("Coffee & tea", "Espresso beans Napoli, 1 kg", "22.50", 120),
    ("Coffee & tea", "Filter coffee Ethiopia, 500 g", "15.80", 74),
    ("Coffee & tea", "Earl Grey, loose, 200 g", "9.40", 55),
    ("Coffee & tea", "Sencha, loose, 100 g", "12.30", 31),
    ("Coffee & tea", "Rooibos vanilla, 200 g", "8.10", 6),
    ("Sweet", "Dark chocolate 78 %, 100 g", "4.90", 210),
    ("Sweet", "Sea salt caramels, 150 g", "6.80", 88),
    ("Sweet", "Almond nougat, 200 g", "9.90", 40),
    ("Sweet", "Orange marmalade, 340 g", "5.60", 67),
    ("Sweet", "Forest honey, 500 g", "10.40", 12),
    ("Pasta & grains", "Spelt spaghetti, 500 g", "3.90", 160),
    ("Pasta & grains", "Risotto rice Carnaroli, 1 kg", "7.20", 81),
    ("Pasta & grains", "Bronze-cut fusilli, 500 g", "4.20", 133),
    ("Pasta & grains", "Polenta, stone-ground, 500 g", "4.60", 22),
    ("Pickled & canned", "Sun-dried tomatoes, 280 g", "6.40", 59),
    ("Pickled & canned", "Capers in sea salt, 90 g", "4.30", 47),
    ("Pickled & canned", "Sardines in olive oil, 120 g", "5.90", 94),
    ("Pickled & canned", "Artichoke hearts, 280 g", "7.70", 14),
    ("Gifts", "Breakfast hamper", "49.00", 17),
    ("Gifts", "Tasting box “Five olive oils”", "39.00", 8),
]
FIRST_NAMES = """
    Amelia Bruno Carla Dmitri Elif Farid Greta Hugo Ines Jonas Kaya Liam Mira Noah Olga Pavel Quinn Rosa Sven Tara
    Umar Vera Willem Xenia Yusuf Zoe
"""
LAST_NAMES = """
    Abel Bianchi Costa Duval Eriksen Fischer Garcia Hansen Ivanova Jansen Keller Lopez Moreau Novak Olsen Petrov
    Quist Rossi Schmidt Tanaka Ueda Vogel Weber Yilmaz Zeman
"""
CITIES = ["Berlin", "Hamburg", "Vienna", "Zürich", "Copenhagen", "Rotterdam", "Lyon", "Kraków", "Bologna", "Ghent"]
# How much of the year's business each month brings: a quiet summer, a loud December.
SEASON = [0.8, 0.8, 1.0, 1.1, 0.9, 0.8, 0.6, 0.7, 1.0, 1.1, 1.5, 2.2]


@transaction.atomic
def load() -> int:
    """Fill an empty database.  Returns the number of orders made, 0 when there were some already."""
    _load_users()
    if Order.objects.exists():
        _share_out()
        return 0
    random = Random(2026)
    customers = Customer.objects.bulk_create(_customers(random, 160))
    products = Product.objects.bulk_create(
        Product(sku=f"D-{1000 + 7 * index}", category=category, name=name, price=Decimal(price), stock=stock)
        for index, (category, name, price, stock) in enumerate(PRODUCTS)
    )
    orders: list[Order] = []
    lines: list[OrderLine] = []
    for order, its_lines in _orders(random, customers, products):
        orders.append(order)
        lines += its_lines
    Order.objects.bulk_create(orders)
    OrderLine.objects.bulk_create(lines)
    _share_out()
    return len(orders)


def _share_out() -> None:
    """Let each of the users look after every other order, where nobody does."""
    for number, username in enumerate(USERS):
        mine = Order.objects.annotate(turn=F("pk") % len(USERS)).filter(clerk=None, turn=number)
        mine.update(clerk=get_user_model().objects.get(username=username))


def _load_users() -> None:
    users = get_user_model()
    for username, (first, last) in {**USERS, **OWNER}.items():
        rights = dict.fromkeys(("is_staff", "is_superuser"), username in OWNER)
        user, is_made = users.objects.get_or_create(
            username=username, defaults={"first_name": first, "last_name": last, **rights}
        )
        if is_made:
            user.set_unusable_password()  # the login page signs them in by a click; nobody can guess a password
            user.save()


def _customers(random: Random, count: int) -> Iterator[Customer]:
    names = [f"{first} {last}" for first in FIRST_NAMES.split() for last in LAST_NAMES.split()]
    for name in random.sample(names, count):
        yield Customer(
            name=name,
            email=f"{name.lower().replace(' ', '.')}@example.com",
            city=random.choice(CITIES),
            since=FIRST_DAY + timedelta(days=random.randrange(900)),
        )


def _orders(
    random: Random, customers: list[Customer], products: list[Product]
) -> Iterator[tuple[Order, list[OrderLine]]]:
    """Orders of every day from the first to the last, a few more each year."""
    day, number = FIRST_DAY, 10_000
    while day <= LAST_DAY:
        expected = 1.22 * SEASON[day.month - 1] * (1 + 0.16 * (day.year - FIRST_DAY.year))
        for _ in range(int(expected + random.random())):
            number += random.randrange(1, 4)
            yield _order(random, f"B-{number}", day, random.choice(customers), products)
        day += timedelta(days=1)


def _order(
    random: Random, number: str, day: date, customer: Customer, products: list[Product]
) -> tuple[Order, list[OrderLine]]:
    placed_at = datetime(day.year, day.month, day.day, random.randrange(7, 22), random.randrange(60), tzinfo=UTC)
    order = Order(number=number, customer=customer, placed_at=placed_at, status=_status(random, day))
    years_ago = LAST_DAY.year - day.year
    order.total = Decimal(0)
    lines = []
    for product in random.sample(products, random.choice([1, 1, 2, 2, 3, 4, 6])):
        price = (product.price * (100 - 3 * years_ago) / 100).quantize(Decimal("0.1"))  # prices rose
        line = OrderLine(order=order, product=product, quantity=random.choice([1, 1, 1, 2, 2, 3, 6]), unit_price=price)
        order.total += line.amount
        lines.append(line)
    return order, lines


def _status(random: Random, day: date) -> str:
    if (LAST_DAY - day).days > 45:
        return Order.Status.CANCELLED if random.random() < 0.04 else Order.Status.SHIPPED
    return random.choice([Order.Status.OPEN, Order.Status.PAID, Order.Status.SHIPPED, Order.Status.SHIPPED])
