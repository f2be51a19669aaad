"""A Celery task like any other, which its user can follow."""

from celery import shared_task

from demo.shop.models import Product
from htmx_live.progress import ProgressSession

from .work import count


@shared_task
def recount_stock(session_id):
    session = ProgressSession.get(session_id)
    for product in session.track("recount", Product.objects.all(), unit="products"):
        count(product)
