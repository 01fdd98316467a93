"""Distance of the layers' style codes from the first one."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.regularizers.rows import require_rows
from zstar.spaces.base import AbstractSpace


class DeltaNorm(AbstractRegularizer):
    """Mean length of Δ_i = w_i − w_0 over the rows i ≥ 1 of a w_plus latent: e4e's penalty on leaving w.

    In units of the prior's spread, as root mean square of coordinates: 0 for a latent of w, about √2 for rows drawn
    independently. e4e (Tov et al. 2021, https://arxiv.org/abs/2102.02766) takes the sum Σ_i ‖Δ_i‖₂ in raw units; for n
    rows of d coordinates its ``delta_norm_lambda``, 2e-4, is the weight μ = 2e-4 · (n − 1) · √d · spread here: 0.03 for
    StyleGAN2 of 1024×1024 faces (n = 18, d = 512, spread 0.4), 0.015 for the cottages.

    Unlike ``spread``, it takes lengths, not their squares, and w_0, not the mean of the rows. A small Δ_i is therefore
    pulled as hard as a large one, until it is 0: rows leave w_0 only where the image asks for it, and coarse structure
    stays in w. The choice for training an encoder whose latents are to be edited; ``spread`` is smoother where a latent
    is optimised.

    Arguments:
        space: w_plus.
        weight: μ, the factor of this regularizer in the objective.
    """

    def __init__(self, space: AbstractSpace, weight: float = 1.0) -> None:
        require_rows("delta_norm", space)
        super().__init__(space, weight)

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        latent = v["latent"]
        delta = (latent[:, 1:] - latent[:, :1]) / max(self.space.spread, 1e-12)
        # The gradient of this norm is 0 where Δ = 0, which every latent lifted from w is; that of √Σx² would be NaN.
        lengths = torch.linalg.vector_norm(delta, dim=2) / math.sqrt(delta.shape[2])
        return lengths.sum(dim=1) / max(lengths.shape[1], 1)  # a single row has none to be far from it
