"""Summary run of a leaderboard in Weights & Biases: its table and its figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from zstar.loggers.wandb import WandB
from zstar.runs.ending import failure_reason
from zstar.runs.folder import safe_name
from zstar.runs.record import Record

KEYS = ("mean", "low", "high", "difference", "p")


def log_board(board: Mapping[str, Any], figures: Sequence[Path], folder: Path, logger: WandB | None = None) -> None:
    """Send a board as a run that is tagged with the hash of its protocol, as the runs of the protocol are.

    Arguments:
        figures: PNG files.
        folder: Folder of the board, and of offline records of W&B.
        logger: The logger; by default that of the usual project, online with a login.
    """
    protocol = board["protocol"]
    words = [str(protocol[key]) for key in ("name", "track", "hash") if protocol[key]]
    config = {"protocol": protocol, "baseline": board["baseline"], "level": board["level"], "draws": board["draws"]}
    logger, failure = logger or WandB(), None
    try:
        name = safe_name("-".join(["leaderboard", *words]))
        tags = ["leaderboard", protocol["hash"]]
        logger.start(Record(folder, config, "benchmark", name, tags))
        logger.table("leaderboard", *wide(board))
        for path in figures:
            logger.images(path.stem, picture(path), 0)
        logger.summary({"rows": len(board["rows"]), "failed": len(board["failed"]), "unfit": len(board["unfit"])})
    except BaseException as error:
        failure = failure_reason(error, str(folder))
        raise
    finally:
        logger.finish(failure)


def wide(board: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of one wide table: a row of the board per row."""
    names = [(metric["name"], key) for metric in board["metrics"] for key in KEYS]
    own = ("id", "method", "variant", "space", "seeds", "n", "failures", "excluded")
    rows = [
        [*(row[key] for key in own), *(row["values"][name].get(key) for name, key in names)] for row in board["rows"]
    ]
    return [*own, *(f"{name}/{key}" for name, key in names)], rows


def picture(path: Path) -> Float[Tensor, "c h w"]:
    """An image file as it is, in [−1, 1]."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)
