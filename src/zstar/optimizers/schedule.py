"""Schedules of step size and exploration, as published with StyleGAN2's projector."""

import math


def ramp(fraction: float, up: float, down: float) -> float:
    """Share of the full step size, in [0, 1], when ``fraction`` of the run is over.

    It rises linearly over the first share ``up`` of the run (so the very first step moves nothing) and falls along a
    half cosine over the last share ``down``; 0 switches either off (Karras et al. 2020,
    https://arxiv.org/abs/1912.04958).
    """
    rise = min(1.0, fraction / up) if up > 0 else 1.0
    fall = min(1.0, (1 - fraction) / down) if down > 0 else 1.0
    return rise * (0.5 - 0.5 * math.cos(math.pi * fall))


def noise_scale(fraction: float, until: float = 0.75) -> float:
    """Strength of exploration noise relative to its start: max(0, 1 − t / ``until``)², zero from ``until`` on."""
    return max(0.0, 1 - fraction / until) ** 2 if until > 0 else 0.0
