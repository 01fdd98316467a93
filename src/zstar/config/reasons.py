"""Reasons in error messages."""


class Unfit(ValueError):
    """A choice that is right by itself and does not go with the others, or with what is installed: of a sweep, a cell
    that does not fit, and no failure."""


def reason(error: Exception) -> str:
    """The first line of an error, or the name of its class where it has no message."""
    return (str(error) or type(error).__name__).splitlines()[0]


def ended(sentence: str) -> str:
    """A sentence with its full stop, unless it ends in a question."""
    return sentence if sentence.endswith("?") else f"{sentence}."
