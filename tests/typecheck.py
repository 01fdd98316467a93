"""How annotations are checked while the tests run: each of them once in a call, and from a function's first call on.

jaxtyping's own decorator compiles two checkers when a function is defined; with each call it binds the arguments by
name and checks them twice, whether there are shapes or not. That was a third of the time of all tests.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

# An int is a float, as everywhere in Python.
typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
thorough = jaxtyping.jaxtyped


def install() -> None:
    """Check what is imported from ``zstar`` from now on."""
    jaxtyping.jaxtyped = quick  # what the hook puts before each function and class
    jaxtyping.install_import_hook("zstar", "typecheck.typechecker")


def quick(target: Any = None, *, typechecker: Callable[..., Any]) -> Any:
    """A function or class as ``jaxtyping.jaxtyped`` returns it, with the same checks."""
    if target is None:
        return functools.partial(quick, typechecker=typechecker)
    if inspect.isclass(target):
        if is_dataclass(target) and inspect.isfunction(vars(target).get("__init__")):
            target.__init__ = quick(target.__init__, typechecker=typechecker)
        return target
    hints = [text for text in map(repr, target.__annotations__.values()) if "jaxtyping." in text]
    if any("{" in text for text in hints):  # a size that is an argument, which only the original looks up
        return thorough(target, typechecker=typechecker)
    shapes, checked = bool(hints), None

    @functools.wraps(target)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal checked
        if checked is None:
            checked = typechecker(target)
        if not shapes:
            return checked(*args, **kwargs)
        with thorough("context"):  # in which a name is one size, among the arguments and in the result
            return checked(*args, **kwargs)

    if not inspect.isgeneratorfunction(target):
        return wrapper

    @functools.wraps(target)
    def generator(*args: Any, **kwargs: Any) -> Any:  # still one for those who ask, as Gradio does
        return (yield from wrapper(*args, **kwargs))

    return generator
