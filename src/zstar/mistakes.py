"""What Hydra says of a wrong command line, in one sentence with the fix."""

import re

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException

from zstar.config import MULTI_SELECT
from zstar.signatures import nearest


def explain(error: HydraException) -> str:
    """The key, what is wrong with it, and the nearest right one."""
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    key = re.search(r"Could not override '([^']+)'", str(error))
    if isinstance(error, ConfigCompositionException) and key:
        return _unknown_key(key[1], error)
    return " ".join(str(error).split())


def _missing_option(error: MissingConfigException) -> str:
    wanted = re.search(r"Could not find '([^']+)'", str(error))
    if not wanted:
        return " ".join(str(error).split())
    group, _, option = wanted[1].rpartition("/")
    return f"{group}: there is no option '{option}'; {nearest(option, error.options or [])}"


def _unknown_key(key: str, error: ConfigCompositionException) -> str:
    """Walk down the part of the config that is there, and say where the key leaves it."""
    parent = getattr(error.__cause__, "parent_node", None)
    present = list(parent.keys()) if parent is not None and hasattr(parent, "keys") else []
    names = key.split(".")
    missing = next(
        (name for name in names if re.search(rf"[Kk]ey '{re.escape(name)}'", str(error.__cause__))), names[-1]
    )
    path = ".".join(names[: names.index(missing)])
    if path in MULTI_SELECT:
        choice = ",".join([*present, missing])
        return f"{key}: '{missing}' was not chosen; add it: {path}=[{choice}], or drop the value"
    where = f"'{path}'" if path else "the config"
    return f"{key}: {where} has no key '{missing}'; {nearest(missing, present)}"
