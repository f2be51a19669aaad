"""The components: one per module, registered as `live_*`, imported as `htmx_live.components.<name>` only."""
