"""Runners: where background jobs run."""
