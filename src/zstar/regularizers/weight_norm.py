"""How far the generator's weights are from what they were."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from zstar.generators.changes import weight_changes
from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace


class WeightNorm(AbstractRegularizer):
    """‖θ − θ0‖², the weight-space regularizer: the price of changes of the generator, whatever they do to images.

    The cheapest of the regularizers of θ, the choice for small changes of all weights; with ``p=1`` for large changes
    of few. ``feature_drift`` and ``locality`` look at what changes do to maps and to images instead.

    Arguments:
        space: The space that the latents live in; it holds the generator.
        weight: μ, the factor of this regularizer in the objective.
        p: 2 for the mean over all numbers of a change of their squares, 1 for that of their magnitudes.
        per_layer: Take the change of each parameter in units of the parameter's own root mean square (1 where it is
            zero), and all parameters to equal parts, however many numbers they have. An optimizer that moves all
            numbers at one rate, as Adam does, then pays most for the smallest parameters, such as biases.
    """

    of = ("weights",)

    def __init__(
        self, space: AbstractSpace, weight: float = 1.0, p: Literal[1, 2] = 2, per_layer: bool = False
    ) -> None:
        super().__init__(space, weight)
        if p not in (1, 2):
            raise ValueError(f"regularizer.weight_norm.p: {p} is no norm that there is; choose 1 or 2")
        self.p, self.per_layer = p, per_layer
        sizes = {name: value.square().mean().sqrt() for name, value in space.generator.named_parameters()}
        self.sizes = {name: size.where(size > 0, size.new_ones(())) for name, size in sizes.items()}

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        changes = weight_changes(v, self.space.generator)
        if not changes:
            return image.new_zeros(len(image))
        terms = {name: change.reshape(len(change), -1).abs().pow(self.p) for name, change in changes.items()}
        if self.per_layer:
            relative = [terms[name].mean(dim=1) / self.sizes[name] ** self.p for name in terms]
            return sum(relative[1:], relative[0]) / len(relative)
        sums = [term.sum(dim=1) for term in terms.values()]
        return sum(sums[1:], sums[0]) / sum(term.shape[1] for term in terms.values())
