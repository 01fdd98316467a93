"""Reasons in error messages."""


def reason(error: Exception) -> str:
    """The first line of an error, or the name of its class where it has no message."""
    return (str(error) or type(error).__name__).splitlines()[0]
