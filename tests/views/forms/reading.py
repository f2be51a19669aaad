"""What a form in a page shows."""

from typing import Any

from htmx_live.testing.page import Element, parse

__all__ = ["element", "errors", "said", "values"]


def element(client: Any, id: str) -> Element:
    return next(one for one in parse(client.html).all() if one.attributes.get("id") == id)


def errors(client: Any) -> dict[str, str]:
    """Errors by the id of their field, "" for those of no field."""
    return {
        one.attributes.get("id", "").removesuffix("_error").removeprefix("id_"): one.text
        for one in parse(client.html).all()
        if "errorlist" in one.attributes.get("class", "").split()
    }


def values(client: Any) -> dict[str, list[str]]:
    """What would be sent of the form now, but for what every form sends."""
    form = next(one for one in parse(client.html).all() if one.tag == "form")
    return {name: sent for name, sent in form.form_values().items() if name not in ("csrfmiddlewaretoken", "_live")}


def said(client: Any) -> str:
    """What the view says was saved."""
    return next((one.text for one in parse(client.html).all() if one.tag == "output"), "")
