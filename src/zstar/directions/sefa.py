"""SeFa: eigenvectors of the first affine map."""

import re
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.constraints import Within, require
from zstar.directions.base import AbstractFinder, Label
from zstar.directions.linear import Linear
from zstar.directions.principal import in_rows, in_units_of, sorted_eigenvectors
from zstar.generators.style_based import AbstractStyleBased
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import stream

KEY = "direction.sefa"


class SeFa(AbstractFinder):
    """Closed-form factorisation (Shen & Zhou 2021, https://arxiv.org/abs/2007.06600): no samples, no labels.

    Eigenvectors of AᵀA, the largest eigenvalue first, where A stacks the affine maps from w to the styles of the chosen
    layers, each output scaled to length 1 as published; they move w, or the rows of w_plus that feed these layers. For
    generators without styles, A is the first layer that the latent goes through. Directions are ``sefa_0``, ``sefa_1``,
    …; α = 1 is one standard deviation of the prior along the vector, and the sign is such that the coordinate of
    largest magnitude is positive. Scores: ``eigenvalue``, as a share of the sum of all.

    Arguments:
        count: Number of directions.
        layers: Which styles: rows of w_plus, as ``3`` or ``0-3``; blocks, as ``b16``; or single styles, as
            ``b16.conv0``. None for all, which moves all of w. Styles of colour layers count where they are named, and
            at the last row; what shares a row with a chosen style moves along.
        normalize: Scale the weights of each output to length 1; without it, outputs with large weights decide.

    Raises:
        ValueError: The generator has no such layers, or no linear layer takes the latent as it is.
    """

    def __init__(self, count: int = 10, layers: Sequence[int | str] | None = None, normalize: bool = True) -> None:
        require(KEY, Within(1), count=count)
        self.count, self.normalize = count, normalize
        self.layers = None if layers is None else list(layers)
        self.candidates = [f"sefa_{index}" for index in range(count)]

    def find(self, space: AbstractSpace) -> dict[str, Linear]:
        generator, rows = space.generator, None
        if isinstance(generator, AbstractStyleBased):
            if space.name not in ("w", "w_plus"):
                raise ValueError(
                    f"{KEY}: the styles are affine maps of w, not of {space.name}; choose space=w or w_plus"
                )
            names, rows = self._styles(generator)
            matrix = torch.cat([generator.affine(name).double() for name in names])
        elif self.layers is not None:
            kind = type(generator).__name__
            raise ValueError(f"{KEY}.layers: {kind} has no styles to choose {self.layers} from; set it to null")
        else:
            names, matrix = first_layer(space)
        matrix = matrix.cpu()
        if self.count > matrix.shape[1]:
            wrong = f"{KEY}.count: {self.count} directions are more than the {matrix.shape[1]} dimensions"
            raise ValueError(f"{wrong} of the space; lower it")
        gram = _gram(matrix, self.normalize)
        values, vectors = sorted_eigenvectors(gram, self.count)
        settings = {"method": "sefa", "layers": list(names), "rows": rows, "normalize": self.normalize}
        directions = {}
        for index in range(self.count):
            label = Label(
                meaning=f"factor {index} of the weights",
                found=settings,
                scores={"eigenvalue": float(values[index] / gram.trace())},
            )
            directions[f"sefa_{index}"] = _direction(space, vectors[index].float(), rows, label)
        return directions

    def _styles(self, generator: AbstractStyleBased) -> tuple[list[str], list[int] | None]:
        """The chosen styles, and the rows of w_plus that feed them; None where all are chosen."""
        rows, last = generator.synthesis.style_rows, generator.num_ws - 1
        usual = [name for name, row in rows.items() if not name.endswith("torgb") or row == last]
        if self.layers is None:
            return usual, None
        chosen: set[str] = set()
        for layer in map(str, self.layers):
            span = re.fullmatch(r"(\d+)(?:-(\d+))?", layer)
            if layer in rows:
                chosen.add(layer)
            elif layer in generator.layers:
                chosen |= {name for name in usual if name.split(".")[0] == layer}
            elif span and int(span[1]) <= int(span[2] or span[1]) <= last:
                chosen |= {name for name in usual if int(span[1]) <= rows[name] <= int(span[2] or span[1])}
            else:
                raise ValueError(
                    f"{KEY}.layers: '{layer}' is no layer; give rows of w_plus from 0 to {last} such as 0-3, or of "
                    f"{', '.join(generator.layers)}, or of {', '.join(rows)}"
                )
        if not chosen:
            raise ValueError(f"{KEY}.layers: the list is empty; name layers, or set it to null for all")
        return [name for name in rows if name in chosen], sorted({rows[name] for name in chosen})


def _gram(matrix: Float[Tensor, "outputs d"], normalize: bool) -> Float[Tensor, "d d"]:
    matrix = F.normalize(matrix, dim=1) if normalize else matrix
    return matrix.T @ matrix


def _direction(space: AbstractSpace, vector: Float[Tensor, " d"], rows: list[int] | None, label: Label) -> Linear:
    if not isinstance(space.generator, AbstractStyleBased):
        return Linear(space.name, in_units_of(space, vector.view(space.shape)), label)
    vector = in_units_of(space, vector)
    if space.name == "w" and rows is None:
        return Linear("w", vector, label)
    return Linear("w_plus", in_rows(space.generator, vector, rows), label)


@torch.no_grad()
def first_layer(space: AbstractSpace) -> tuple[list[str], Float[Tensor, "outputs d"]]:
    """Name and matrix of the linear or convolutional layer that takes latents of ``space`` as they are."""
    generator, calls = space.generator, []
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    layers = {name: layer for name, layer in generator.named_modules() if isinstance(layer, kinds)}
    handles = [
        layer.register_forward_pre_hook(lambda _m, inputs, name=name: calls.append((name, inputs[0].detach())))
        for name, layer in layers.items()
    ]
    try:
        latents = space.sample(2, stream("probe of layers", 0))
        space.decode(latents)
    finally:
        for handle in handles:
            handle.remove()
    if not calls or not _same(calls[0][1], latents):
        raise ValueError(
            f"{KEY}: in {type(generator).__name__} no linear or convolutional layer takes the latents of {space.name} "
            "as they are; choose direction=ganspace with a layer"
        )
    name, inputs = calls[0]
    size = latents[0].numel()
    basis = torch.eye(size, dtype=inputs.dtype, device=inputs.device).view(size, *inputs.shape[1:])
    layer = layers[name]
    # What a linear layer makes of each unit vector are the columns of its matrix, whatever its kind and padding.
    columns = layer(basis) - layer(torch.zeros_like(basis[:1]))
    return [name], columns.flatten(1).T.double()


def _same(inputs: Tensor, latents: Tensor) -> bool:
    """Whether a layer got the latents, in whatever shape."""
    return inputs[0].numel() == latents[0].numel() and torch.equal(inputs.flatten(1), latents.flatten(1))
