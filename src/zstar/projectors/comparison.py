"""Candidates that all images share, compared with each of them."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.generators.variables import Variables
from zstar.objective import Objective


def compare(objective: Objective, draws: Float[Tensor, "n ..."], noise: list[Variables]) -> Float[Tensor, "n b"]:
    """Value of the equation of each candidate for each image, in the memory of one image's comparison with all of them.

    Arguments:
        objective: The equation and its targets.
        draws: Latents of the candidates, which are synthesised once for all images.
        noise: What :func:`first_maps` gives.
    """
    problem, count = objective.problem, len(draws)
    # Draws are compared under fixed noise: maps that are to be optimised do not exist for a mere candidate.
    images = problem.space.decode(draws, "none" if problem.noise == "none" else "const")
    reads = {name for operator in problem.operators.values() for name in operator.reads}
    maps = reads | {loss.mask for loss in problem.losses.values()}
    degraded = None if reads else problem.degrade(images, {})  # D is another for each image where it reads targets
    shared: dict[str, list[Tensor]] = {}
    columns = []
    for i in range(len(objective.targets.ids)):
        row = slice(i, i + 1)
        named = {n: every(value[row], count) for n, value in objective.targets.named.items() if n in maps}
        own, total = problem.degrade(images, named) if degraded is None else degraded, 0.0
        for name, loss in problem.losses.items():
            weights = loss.weights(named)
            seen = loss.seen(own, every(objective.goals[name][row], count), weights)
            if seen is degraded and name not in shared:
                shared[name] = loss.look(seen)
            made = shared[name] if seen is degraded else loss.look(seen)
            wanted = [every(feature, count) for feature in objective.wanted(name, row)]
            total = total + loss.weight * loss.compare(made, wanted, weights)
        for regularizer in problem.regularizers.values():
            own_noise = {name: every(value, count) for name, value in noise[i % len(noise)].items()}
            total = total + regularizer.weight * regularizer({"latent": draws, **own_noise}, images)
        columns.append(total)
    return torch.stack(columns, dim=1)


def first_maps(objective: Objective) -> list[Variables]:
    """The noise maps that each image begins with, which regularizers may look at; one of none for all images where
    noise is not free."""
    maps = objective.problem.initial_noise(objective.targets)
    count = len(objective.targets.ids) if maps else 1
    return [{name: value[row : row + 1] for name, value in maps.items()} for row in range(count)]


def every(value: Tensor, count: int) -> Tensor:
    """One row as if it were ``count`` of them, without a copy."""
    return value.expand(count, *[-1] * (value.dim() - 1))
