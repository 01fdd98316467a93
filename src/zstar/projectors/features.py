"""Projection that changes the generator's feature maps for the image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch

from zstar.callbacks import Callback
from zstar.config.constraints import POSITIVE, Within, require
from zstar.config.reasons import Unfit
from zstar.config.signatures import nearest
from zstar.generators.reading import map_shapes
from zstar.generators.variables import Group
from zstar.inversion import Inversion
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractDescent

KEY = "projector.features"
Form = Literal["add", "multiply", "both"]


class Features(AbstractDescent):
    """δ* = argmin L(G(z; δ), x) + Σ‖δ_i‖², from where the chain stands: each image changes the maps of some layers.

    A map g becomes (1 + δ)⊙g, g + δ, or both, at each of its places: what is where in one photo, and nothing of other
    images, so that the prior takes no damage at all, while a change does not move with an edit that moves things. The
    multiplicative form with the regularizer ``feature_norm`` is Semantic Photo Manipulation's (Bau et al. 2019,
    https://arxiv.org/abs/2005.07727).

    Arguments:
        problem: The equation without its targets; its optimizer takes the steps.
        steps: Optimizer steps.
        lr: Step size of δ.
        latent_lr: Step size of the latent, which then goes on as well; null keeps it.
        layers: Names of the layers; null for all that the generator offers.
        form: ``multiply``, ``add``, or ``both``.
        keep_best: Return for each image the best v seen instead of the last one, if it is better.
    """

    frees = ("features", "factors")

    def __init__(
        self,
        problem: Problem,
        steps: int = 100,
        lr: float = 0.02,
        latent_lr: float | None = None,
        layers: Sequence[str] | None = None,
        form: Form = "multiply",
        keep_best: bool = True,
    ) -> None:
        super().__init__(problem, steps, keep_best)
        require(KEY, Within(0), steps=steps)
        require(KEY, POSITIVE, lr=lr, latent_lr=1.0 if latent_lr is None else latent_lr)
        known = list(problem.generator.layers)
        if not known:
            name = type(problem.generator).__name__
            raise Unfit(f"{KEY}: {name} offers no feature layers; name some in generator.layers, or choose weights")
        for layer in layers or ():
            if layer not in known:
                raise ValueError(f"{KEY}.layers: G has no layer '{layer}'; {nearest(layer, known)}")
        if form not in get_args(Form):
            raise ValueError(f"{KEY}.form: '{form}' is unknown; choose one of {', '.join(get_args(Form))}")
        self.layers, self.lr, self.latent_lr = list(layers) if layers else known, lr, latent_lr
        self.kinds = {"add": ["features"], "multiply": ["factors"], "both": ["features", "factors"]}[form]

    @torch.no_grad()
    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Fit the maps to each image by itself."""
        problem = self.problem
        v = problem.start(objective.targets) if inversion is None else inversion.v
        shapes = map_shapes(problem.generator, self.layers)
        free = {f"{kind}/{layer}": shape for kind in self.kinds for layer, shape in shapes.items()}
        none = {name: v["latent"].new_zeros(len(v["latent"]), *shape) for name, shape in free.items()}
        groups = [Group(list(free), rate=self.lr)]
        if self.latent_lr is not None:
            kept = [group for group in problem.groups(v) if not set(group.names) & set(free)]
            groups += [replace(group, rate=self.latent_lr) for group in kept]
        return self.descend(objective, {**none, **v}, groups, callbacks).after(inversion)
