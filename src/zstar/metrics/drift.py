"""What an image's own change of the generator does to all other images: the price of fitting θ to a photo."""

from collections.abc import Iterable
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints.io import load_weights, read_card
from zstar.config.constraints import FilePath, RunPath, Within, require
from zstar.config.paths import place
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
        inversion: A run of ``invert.py``, or its latents: other images' latents in the place of random ones, so that it
            says what becomes of their reconstructions.
        checkpoint: An annotator for ``perceptual`` and ``kid``: a file, or the name of a shipped one.
        network: Any module that takes images in [−1, 1] and returns a list of feature maps, in its place.
    """

    needs = "weights of each image's own, such as those of projector=[…,weights]"

    def __init__(
        self,
        measure: Measure = "psnr",
        samples: int = 256,
        inversion: RunPath | None = None,
        checkpoint: FilePath = "judge64",
        network: nn.Module | None = None,
    ) -> None:
        if measure not in get_args(Measure):
            raise ValueError(
                f"metric.drift.measure: '{measure}' is unknown; choose one of {', '.join(get_args(Measure))}"
            )
        require("metric.drift", Within(3), samples=samples)
        self.measure, self.samples, self.inversion = measure, samples, inversion
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
        noise = "const" if noise == "optimize" else noise
        latents, home = self._latents(generator)
        kept = [generator.synthesize(latent, home, noise).clamp(-1, 1) for latent in latents]
        found = []
        for i in range(len(v["latent"])):  # one change for all samples
            own = {name: value[i : i + 1] for name, value in v.items() if name.startswith("weights/")}
            moved = (generator.render({"latent": z, **own}, home, noise).clamp(-1, 1) for z in latents)
            found.append(self._compare(moved, kept))
        return torch.stack(found)

    def _latents(self, generator: AbstractGenerator) -> tuple[list[Tensor], str]:
        """Latents to compare at, some at a time, and their space."""
        if self.inversion is None:
            rng, home = stream("samples of drift", 0), generator.drawn
            return [generator.sample(size, rng, space=home) for size in chunks(self.samples, AT_ONCE)], home
        path = place(self.inversion)
        file = path / "latents.safetensors" if path.is_dir() else path
        card, tensors = read_card(file), load_weights(file)
        if card.get("kind") != "inversion" or tuple(tensors["latent"].shape[1:]) != generator.shape(card["space"]):
            raise ValueError(
                f"metric.drift.inversion: {file} holds no latents of this generator; give a run of its own"
            )
        return list(generator.bring(tensors["latent"]).split(AT_ONCE)), card["space"]

    def _compare(self, moved: Iterable[Tensor], kept: list[Tensor]) -> Float[Tensor, ""]:
        """The number of pictures with the change and without it."""
        if self.sets is not None:
            features = [
                (self.sets.features(new), self.sets.features(old)) for new, old in zip(moved, kept, strict=True)
            ]
            made, wanted = (torch.cat(side).double().cpu().numpy() for side in zip(*features, strict=True))
            return torch.tensor(kernel_distance(wanted, made[None]).mean(), dtype=kept[0].dtype, device=kept[0].device)
        mean = torch.cat([self.pair(new, old) for new, old in zip(moved, kept, strict=True)]).mean()
        return -10 * mean.clamp_min(1e-10).log10() if self.measure == "psnr" else mean
