"""One big data set in several parts, which launchers carry out like the cells of a sweep.

A shard is no run of its own: all of them work in the folder of the run, each on its batches, and the one that finds all
batches done joins them. So the result is that of the undivided run, whoever does what, however often.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zstar.config.check import SHARD


@dataclass(frozen=True)
class Shard:
    """Share of a process in the batches of a data set: every ``count``-th, from the one at ``index``.

    Arguments:
        index: From 0 to ``count − 1``; ``None`` for all batches.
        count: Number of shards.

    Raises:
        ValueError: There is no such shard.
    """

    index: int | None = None
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"data.shards: {self.count} is no number of parts; give 1 or more")
        if self.index is None and self.count > 1:
            every = f"-m 'data.shard=range(0,{self.count})'"
            raise ValueError(f"data.shards: of {self.count} none is chosen; give {every}, or one of them, data.shard=0")
        if self.index is not None and not 0 <= self.index < self.count:
            last = f"choose 0 to {self.count - 1}" if self.count > 1 else "say how many there are, data.shards=…"
            raise ValueError(f"data.shard: {self.index} of data.shards={self.count} is none; {last}")

    def batches(self, total: int) -> range:
        """The places of its batches among ``total``."""
        return range(total) if self.index is None else range(self.index, total, self.count)

    def __str__(self) -> str:
        return "all batches" if self.index is None else f"shard {self.index} of {self.count}"


def take_shard(plain: Mapping[str, Any]) -> tuple[dict[str, Any], Shard]:
    """A plain configuration without ``data.shard`` and ``data.shards``, which change no result, and their share."""
    share = {key: plain["data"][key] for key in SHARD if key in plain["data"]}
    data = {key: value for key, value in plain["data"].items() if key not in SHARD}
    for key, value in share.items():
        if isinstance(value, bool) or not isinstance(value, int | None):
            raise ValueError(f"data.{key}: {value!r} is no whole number; give one, such as 0")
    return {**plain, "data": data}, Shard(share.get("shard"), share.get("shards", 1))
