"""A training that begins with what another one has learned."""

from typing import Any

import torch
from torch.optim import Optimizer

from zstar.checkpoints.io import load_weights, read_card, resolve
from zstar.config.paths import place
from zstar.config.reasons import reason
from zstar.tasks.base import AbstractTask

CHECKPOINT = "checkpoint.pt"


def begin(task: AbstractTask, start: str) -> float:
    """Let ``task`` go on from another training, or begin with weights that one has exported.

    From the folder of a training, or its checkpoint, it takes networks, optimizers and the number of steps done; rates
    and all else are as this training is configured, and schedules are those of its own number of steps. From exported
    weights it takes these, at step 0.

    Arguments:
        task: The training, at its beginning.
        start: A folder, a ``checkpoint.pt``, a safetensors file with its card, or the name of shipped weights.

    Returns:
        The seconds that the training has taken so far.

    Raises:
        ValueError: It is missing or damaged, of networks of other sizes, or has nothing left to be done.
    """
    path = place(start)
    path = path / CHECKPOINT if path.is_dir() else path
    if path.suffix != ".pt":
        _adopt(task, start)
        return 0.0
    if not path.is_file():
        raise ValueError(f"start: there is no {path}; give the folder of a training, or weights that one has exported")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        done, seconds = state["done"], float(state["seconds"])
    except Exception as error:  # a file that is no checkpoint can fail anywhere in torch and pickle
        raise ValueError(f"start: {path} is no checkpoint of a training ({reason(error)})") from None
    if done >= task.steps:
        raise ValueError(
            f"start: {path} has done {done} steps and task.steps is {task.steps}; set task.steps to more, or start "
            "from its weights.safetensors, which begins at step 0"
        )
    optimizers = [part for part in task.parts.values() if isinstance(part, Optimizer)]
    settings = [[_settings(group) for group in optimizer.param_groups] for optimizer in optimizers]
    try:
        task.restore(state)
    except Exception as error:  # torch's of shapes, names that are missing
        raise _misfit(path, task, error) from None
    task.forget()
    for optimizer, groups in zip(optimizers, settings, strict=True):
        for group, own in zip(optimizer.param_groups, groups, strict=True):
            group.update(own)
    return seconds


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    """The settings of a group of an optimizer, which a state brings with it."""
    return {name: value for name, value in group.items() if name != "params"}


def _adopt(task: AbstractTask, start: str) -> None:
    try:
        path = resolve(start)
        tensors, card = load_weights(path), read_card(path)
    except ValueError as error:
        raise ValueError(f"start: {str(error).removeprefix('checkpoint: ')}") from None
    if card.get("kind") != task.kind:
        raise ValueError(f"start: {path} holds {card.get('kind') or 'no card'} and this is a training of {task.kind}")
    try:
        task.adopt(tensors, card)
    except Exception as error:  # torch's of shapes, a card of other content
        raise _misfit(path, task, error) from None


def _misfit(path: Any, task: AbstractTask, error: Exception) -> ValueError:
    lines = [line.strip() for line in str(error).splitlines()] or [""]
    detail = lines[1] if lines[0].startswith("Error(s) in loading") and len(lines) > 1 else reason(error)
    return ValueError(f"start: {path} does not fit the {task.kind} of this training: {detail}")
