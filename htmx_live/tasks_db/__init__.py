"""Durable tasks: an optional app that keeps in the database what became of every session of progress."""
