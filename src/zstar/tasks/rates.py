"""Schedules: learning rates over the steps of a training, and the speed of mean weights."""

import math


def cosine_fall(step: int, steps: int, share: float) -> float:
    """Factor of a learning rate: 1, then over the last ``share`` of the steps a cosine to 0."""
    left = min(1.0, (steps - step) / max(1.0, share * steps))
    return 0.5 - 0.5 * math.cos(math.pi * left)


def warmed(step: int, steps: int, warmup: float, decay: float) -> float:
    """Factor of a learning rate that rises over the first share ``warmup`` of the steps and falls over the last share
    ``decay``."""
    return min(1.0, (step + 1) / max(1.0, warmup * steps)) * cosine_fall(step, steps, decay)


def mean_share(step: int, batch: int, half_life: float) -> float:
    """Share of the way that mean weights move towards the present ones after a step.

    Arguments:
        step: Steps finished before this one.
        batch: Images per step.
        half_life: In images; a twentieth of the training so far while that is shorter.
    """
    return 1 - 0.5 ** (batch / min(half_life, (step + 1) * batch / 20))
