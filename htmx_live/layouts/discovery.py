"""Finding layouts: the module ``layouts`` of each installed app is imported, which registers what it declares."""

from django.utils.module_loading import autodiscover_modules

__all__ = ["autodiscover"]


def autodiscover() -> None:
    """Import every app's ``layouts.py``; called when the apps are ready."""
    autodiscover_modules("layouts")
