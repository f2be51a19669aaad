"""Live Django pages without writing JavaScript."""
