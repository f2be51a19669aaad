"""The gallery: each component in each of its states, with its code and its arguments."""

from django.apps import AppConfig


class GalleryConfig(AppConfig):
    name = "demo.gallery"
