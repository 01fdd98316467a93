"""The methods of ``time_to_quality.py``: what is compared with the published projector, and how it is measured."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from zstar.callbacks import Callback
from zstar.encoders.trained import find_encoder
from zstar.generators.stylegan2 import StyleGAN2
from zstar.inversion import Inversion
from zstar.losses.base import AbstractLoss
from zstar.losses.networks import AnnotatorFeatures
from zstar.losses.perceptual import Perceptual
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.metrics.perceptual import Perceptual as Judge
from zstar.metrics.psnr import PSNR
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.optimizers.base import AbstractOptimizer
from zstar.optimizers.lbfgs import LBFGS
from zstar.projectors.base import AbstractProjector, project
from zstar.projectors.encoder import Encoder
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.regularizers.noise_maps import NoiseMaps
from zstar.spaces.base import AbstractSpace
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus

WEIGHT = 0.05  # of the features beside the squared error, as in conf/loss/perceptual.yaml
PLAIN = torch.contiguous_format
GRID = (0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300)  # lengths of the runs that are tried
COARSE = (0, 25, 50, 75, 100, 200, 300, 500, 1000)


@dataclass(frozen=True)
class Method:
    """A way of projecting, but for the number of its steps."""

    name: str
    space: str = "w"
    start: str = "mean"
    optimizer: Callable[[], AbstractOptimizer] = Adam
    as_published: bool = False  # with noise maps and exploration
    patience: int | None = None
    grid: tuple[int, ...] = COARSE
    beyond: int = 1  # points of the grid behind the one that was good enough, for the figure


METHODS = {
    "default": Method("encoder + optimization in w_plus, the default", "w_plus", "encoder", beyond=4),
    "w_plus": Method("mean + optimization in w_plus", "w_plus", grid=GRID),
    "w_encoder": Method("encoder + optimization in w", "w", "encoder"),
    "w": Method("mean + optimization in w"),
    "w_published": Method("the published method in w, in zstar's loop", as_published=True),
    "w_constant": Method("w, constant step size", optimizer=lambda: Adam(ramp_up=0, ramp_down=0)),
    "w_lbfgs": Method("w, L-BFGS", optimizer=LBFGS),
    "w_encoder_lbfgs": Method("encoder + L-BFGS in w", "w", "encoder", LBFGS),
    "w_patience": Method("w, 200 steps with a patience of 20", patience=20, grid=(200,)),
}


class Forgetful(AbstractLoss):
    """A loss that computes the features of its target again at every evaluation."""

    def __init__(self, inner: AbstractLoss) -> None:
        super().__init__(inner.weight)
        self.inner = inner

    def features(self, image: Tensor) -> list[Tensor]:
        """The image itself."""
        return [image]

    def compare(self, features: list[Tensor], target: list[Tensor], weights: Tensor | None = None) -> Tensor:
        """The distance, with the features of both."""
        with torch.no_grad():
            wanted = self.inner.features(target[0])
        return self.inner.compare(self.inner.features(features[0]), wanted, weights)


class Bench:
    """Generator, losses and spaces in one memory layout.

    Arguments:
        plain: Whether weights lie as in an ordinary checkpoint (NCHW), not with the channels last.
        forgetful: Whether the features of the target are computed at every evaluation.
    """

    def __init__(self, plain: bool = False, forgetful: bool = False) -> None:
        self.generator = StyleGAN2(checkpoint="cottages64")
        network = AnnotatorFeatures("annotator64")
        if plain:
            self.generator.to(memory_format=PLAIN), network.to(memory_format=PLAIN)
        perceptual = Perceptual(network, weight=WEIGHT)
        self.losses: dict[str, AbstractLoss] = {
            "pixel": Pixel(),
            "perceptual": Forgetful(perceptual) if forgetful else perceptual,
        }
        self.features = perceptual.features
        self.spaces: dict[str, AbstractSpace] = {"w": W(self.generator), "w_plus": WPlus(self.generator)}
        for space in self.spaces.values():
            space.start(1)  # the mean is computed once for all images of a run
        self.encoders = {name: find_encoder(space) for name, space in self.spaces.items()}

    def see(self, image: Tensor) -> list[Tensor]:
        """What the baseline compares: the picture and its features."""
        return [image, *self.features(image)]

    @staticmethod
    def distance(a: list[Tensor], b: list[Tensor]) -> Tensor:
        """The losses of ``zstar`` in plain words, for one image."""
        maps = [(x - y).square().sum(dim=1).mean() for x, y in zip(a[1:], b[1:], strict=True)]
        return F.mse_loss(a[0], b[0]) + WEIGHT * torch.stack(maps).mean()

    def solve(self, method: Method, images: Tensor, steps: int, watch: Callback | None = None) -> Inversion:
        """Project a batch, from its pixels to its latents and pictures."""
        space = self.spaces[method.space]
        penalties = {"noise_maps": NoiseMaps(space, 1e5)} if method.as_published else {}
        noise = "optimize" if method.as_published else "const"
        problem = Problem(space, self.losses, penalties, method.optimizer(), noise=noise)
        encoder = self.encoders[method.space]
        chain: list[AbstractProjector] = [Mean(problem) if method.start == "mean" else Encoder(problem, encoder)]
        explore = 0.05 if method.as_published else 0.0
        if steps:
            keep = not method.as_published
            chain += [Optimization(problem, steps, explore, keep_best=keep, patience=method.patience)]
        targets = Targets({"image": images}, [f"image {i}" for i in range(len(images))])
        return project(problem, chain, targets, [watch] if watch else [])


class Judges:
    """How good pictures are by measures that nobody minimises: means over the images."""

    def __init__(self) -> None:
        self.metrics = {"psnr": PSNR(), "perceptual": Judge("judge64")}

    @torch.no_grad()
    def __call__(self, image: Tensor, target: Tensor) -> dict[str, float]:
        return {name: metric(image, target).mean().item() for name, metric in self.metrics.items()}


def reached(quality: dict[str, float], wanted: dict[str, float]) -> bool:
    """Whether a picture's numbers are as good as those of the baseline, all of them."""
    return quality["psnr"] >= wanted["psnr"] and quality["perceptual"] <= wanted["perceptual"]
