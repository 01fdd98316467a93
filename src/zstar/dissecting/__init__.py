"""``dissect.py``: the units of a generator, from a configuration to a folder with a report."""
