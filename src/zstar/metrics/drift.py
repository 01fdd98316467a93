"""What an image's own change of the generator does to all other images: the price of fitting θ to a photo."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import FilePath, Within, require
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Variables, kinds_of
from zstar.metrics.base import AbstractMetric, AbstractPriorMetric
from zstar.metrics.kid import KID
from zstar.metrics.mse import MSE
from zstar.metrics.perceptual import Perceptual
from zstar.stats.kernel_distance import kernel_distance
from zstar.stats.streams import chunks, stream

Measure = Literal["psnr", "perceptual", "kid"]
AT_ONCE = 32  # samples


class Drift(AbstractPriorMetric):
    """How far random samples of G(·; θ) are from those of G(·; θ0) at the same latents: the damage to the prior.

    The samples are the same for each image and run. Reconstruction says what a change of weights has brought, this what
    it has cost: a generator that draws one photo everywhere reconstructs it best.

    Arguments:
        measure: ``psnr`` of each pair of samples (of their mean squared error, in dB), ``perceptual`` (mean distance of
            pairs), or ``kid`` (kernel distance of one set from the other, whichever sample is of which latent).
        samples: Number of samples.
        checkpoint: An annotator for ``perceptual`` and ``kid``: a file, or the name of a shipped one.
        network: Any module that takes images in [−1, 1] and returns a list of feature maps, in its place.
    """

    needs = "weights of each image's own, such as those of projector=[…,weights]"

    def __init__(
        self,
        measure: Measure = "psnr",
        samples: int = 256,
        checkpoint: FilePath = "judge64",
        network: nn.Module | None = None,
    ) -> None:
        if measure not in get_args(Measure):
            raise ValueError(
                f"metric.drift.measure: '{measure}' is unknown; choose one of {', '.join(get_args(Measure))}"
            )
        require("metric.drift", Within(3), samples=samples)
        self.measure, self.samples = measure, samples
        self.better = "higher" if measure == "psnr" else "lower"
        self.unit = "dB" if measure == "psnr" else ""
        self.pair: AbstractMetric = MSE() if measure == "psnr" else Perceptual(checkpoint, network)
        self.sets = KID(checkpoint, network) if measure == "kid" else None
        self.network = "" if measure == "psnr" else (self.sets or self.pair).network

    @torch.no_grad()
    def __call__(
        self, generator: AbstractGenerator, v: Variables, space: str, noise: str
    ) -> Float[Tensor, " b"] | None:
        if "weights" not in kinds_of(v):
            return None
        rng = stream("samples of drift", 0)
        latents = [generator.sample(size, rng, space=generator.drawn) for size in chunks(self.samples, AT_ONCE)]
        noise = "const" if noise == "optimize" else noise
        kept = [generator.synthesize(latent, generator.drawn, noise).clamp(-1, 1) for latent in latents]
        own = {name: value for name, value in v.items() if name.startswith("weights/")}
        return torch.stack([self._of_one(generator, own, i, latents, kept, noise) for i in range(len(v["latent"]))])

    def _of_one(
        self,
        generator: AbstractGenerator,
        own: Variables,
        i: int,
        latents: list[Tensor],
        kept: list[Tensor],
        noise: str,
    ) -> Float[Tensor, ""]:
        """The number of the image at place ``i``."""
        weights = {name: value[i : i + 1] for name, value in own.items()}  # one change for all samples
        moved = (generator.render({"latent": z, **weights}, generator.drawn, noise).clamp(-1, 1) for z in latents)
        if self.sets is not None:
            features = [
                (self.sets.features(new), self.sets.features(old)) for new, old in zip(moved, kept, strict=True)
            ]
            made, wanted = (torch.cat(side).double().cpu().numpy() for side in zip(*features, strict=True))
            return torch.tensor(kernel_distance(wanted, made[None]).mean(), dtype=kept[0].dtype, device=kept[0].device)
        mean = torch.cat([self.pair(new, old) for new, old in zip(moved, kept, strict=True)]).mean()
        return -10 * mean.clamp_min(1e-10).log10() if self.measure == "psnr" else mean
