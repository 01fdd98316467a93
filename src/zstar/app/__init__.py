"""Painting: brushes for the classes of a generator's world, as sessions, as files and as a page in the browser."""
