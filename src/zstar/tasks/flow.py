"""Training of a normalising flow."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from zstar.config.build import build
from zstar.data.base import AbstractData
from zstar.generators.invertible import LEVELS, Invertible
from zstar.images import to_unit
from zstar.stats.streams import stream
from zstar.tasks.fitting import AbstractFit, in_rows
from zstar.tasks.reconstruction import COLUMNS
from zstar.tasks.trainable import make_generator

TEMPERATURES = (0.5, 0.7, 1.0)


class FlowTask(AbstractFit):
    """Maximum likelihood: argmin E_x [−log₂ p(x + u)] per colour value, with u within the bin of each 8-bit value.

    Without u the flow would raise its density at the few values that there are without bound; with it the loss bounds
    the bits of a lossless code from above (Theis et al. 2016, https://arxiv.org/abs/1511.01844). It is computed in
    single precision, whatever the trainer has. What a flow sets by its first batch it sets by the whole of it, where
    several processes share the work.

    The mean of the weights over the last images is scored and exported, in half precision, which an exact inverse
    does not mind.

    Arguments:
        generator: What to train.
        lr, warmup, decay, clip, ema_images, flip, steps, batch, seed, log_every: As of
            :class:`~zstar.tasks.fitting.AbstractFit`.
    """

    groups = ("generator",)

    def __init__(
        self,
        generator: Invertible,
        lr: float = 1e-3,
        warmup: float = 0.05,
        decay: float = 0.5,
        clip: float = 1.0,
        ema_images: float = 5000.0,
        flip: float = 0.0,
        steps: int = 10_000,
        batch: int = 16,
        seed: int = 0,
        log_every: int = 50,
    ) -> None:
        super().__init__(generator, lr, warmup, decay, clip, ema_images, flip, steps, batch, seed, log_every)

    @classmethod
    def compose(cls, cfg: DictConfig) -> "FlowTask":
        """The task that a composed configuration describes."""
        return build(cfg.task, at="task", generator=make_generator(cfg, "flow"), seed=cfg.seed)

    def terms(self, named: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        images = dequantised(named["image"], self.generator.levels, rng)
        with torch.autocast(images.device.type, enabled=False):
            if self.done == 0 and self._place[1] > 1:
                with torch.no_grad():
                    self.generator.log_likelihood(self._gather(images))
            return {"bits_per_dimension": self.generator.bits_per_dimension(images).mean()}

    @torch.no_grad()
    def evaluate(self, data: AbstractData, size: int = 32) -> dict[str, float]:
        """Bits per dimension of held-out images, always with the same noise within their bins."""
        generator, found = self.rounded(), []
        for number, batch in enumerate(data.batches(size)):
            if not batch.ids:
                continue
            rng = stream("noise of held-out images", self.seed, index=number, device=self.device)
            images = dequantised(batch.images.to(self.device), generator.levels, rng)
            found.append(generator.bits_per_dimension(images).cpu())
        return {"bits_per_dimension": torch.cat(found).double().mean().item()} if found else {}

    @torch.no_grad()
    def pictures(self, data: AbstractData | None) -> Float[Tensor, "n c h w"]:
        """A row of held-out images, where there are any; then samples of the same latents at several temperatures, two
        rows each."""
        generator = self.rounded()
        normal = generator.sample(2 * COLUMNS, stream("samples of a flow", self.seed)).to(self.device)
        samples = torch.cat([generator.synthesize(t * normal, generator.drawn) for t in TEMPERATURES])
        samples = samples.nan_to_num().clamp(-1, 1)  # a flow in training may be far off at some latents
        if data is None:
            return samples
        return torch.cat([in_rows(data.read(range(min(COLUMNS, len(data)))).images.to(samples)), samples])


def dequantised(images: Float[Tensor, "b c h w"], levels: int, rng: torch.Generator) -> Float[Tensor, "b c h w"]:
    """Images in [−1, 1] whose 8-bit values k are brought to ``levels`` levels and then spread evenly over the bin of
    each, from k / levels to (k + 1) / levels of the range."""
    levels = min(levels, LEVELS)
    values = (to_unit(images) * (LEVELS - 1)).round().clamp(0, LEVELS - 1)
    noise = torch.rand(values.shape, generator=rng, device=rng.device).to(values.device)
    return 2 * ((values * levels / LEVELS).floor() + noise) / levels - 1
