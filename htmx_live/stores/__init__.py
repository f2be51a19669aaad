"""Stores: where records live between turns."""
