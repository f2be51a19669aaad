"""The runtime: the only place where views, stores, runners and the transport meet."""
