"""An app with layouts, to be found."""
