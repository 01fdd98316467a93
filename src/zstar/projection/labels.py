"""The columns that say which run a row of results is of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Labels:
    """The columns that are the same for every row of a run."""

    protocol_hash: str
    method: str
    space: str
    seed: int
