"""Files of the page that come with the program."""

from importlib import resources


def asset(name: str) -> str:
    """The text of a file in ``assets``."""
    return (resources.files("zstar.app") / "assets" / name).read_text(encoding="utf-8")
