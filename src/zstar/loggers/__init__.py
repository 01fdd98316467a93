"""Loggers: numbers and pictures of a run while it runs."""
