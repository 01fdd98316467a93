"""Parameters of tests."""

from typing import Any

import pytest


def slowly(name: str, *slow: str) -> Any:
    """A parameter, marked as slow if it is one of those."""
    return pytest.param(name, marks=pytest.mark.slow) if name in slow else name
