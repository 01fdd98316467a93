"""Checkpoints, read and restored."""

from pathlib import Path
from typing import Any

import torch

from zstar.tasks.base import AbstractTask


def read_checkpoint(path: Path, key: str) -> dict[str, Any]:
    """The checkpoint at ``path``, empty if there is none.

    Arguments:
        key: Hash of the configuration that it has to be of.

    Raises:
        ValueError: It is damaged, or of another configuration.
    """
    if not path.is_file():
        return {}
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        other = state["key"] != key
    except OSError:
        raise
    except Exception as error:  # a file that is no checkpoint can fail anywhere in torch and pickle
        raise _damaged(path, error) from error
    if other:
        raise ValueError(f"output: {path} is of a training with another configuration; choose another name or output")
    return state


def restore(task: AbstractTask, state: dict[str, Any], path: Path) -> None:
    """Go on from the content of the checkpoint at ``path``, if there is any; what does not fit is a ``ValueError``."""
    if not state:
        return
    try:
        task.restore(state)
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = (str(error).splitlines() or [""])[0]
    wrong = f"is no checkpoint of this training ({type(error).__name__}: {reason})"
    return ValueError(f"output: {path} {wrong}; delete it or choose another output")
