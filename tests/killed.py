"""A projection that is killed in its middle."""

from typing import Any

import pytest
from omegaconf import DictConfig

from zstar.projection.run import run


class Killed(Exception):
    """In the middle of a run."""


def kill(cfg: DictConfig) -> None:
    """Run until the first batch is done, and no further."""
    seen = []

    def watch(rows: Any) -> None:
        seen.append(rows)
        raise Killed

    with pytest.raises(Killed):
        run(cfg, watch=watch)
    assert len(seen) == 1
