"""Found when the apps are ready."""

from htmx_live.layouts import Layout


class Discovered(Layout):
    template = "discovered.html"
