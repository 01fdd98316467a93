"""Learned perceptual image patch similarity."""

from pathlib import Path
from typing import Literal
from warnings import catch_warnings, simplefilter

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import FilePath
from zstar.losses.calibrated import AbstractCalibrated
from zstar.losses.networks import fill, read_state
from zstar.stats.streams import seed_global

BACKBONES = {  # those of torchvision's ``IMAGENET1K_V1``, which takes seconds to import and is needed with weights only
    "alex": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "squeeze": "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
}


class LPIPS(AbstractCalibrated):
    """LPIPS 0.1 (Zhang et al. 2018, https://arxiv.org/abs/1801.03924), equal to the package ``lpips``.

    The distance that agrees best with what people call similar, and the standard of the field. ``alex`` is the one to
    report; ``vgg`` is smoother as an objective and about ten times as slow; ``squeeze`` is the smallest.

    The calibrated heads come with the package. The ImageNet backbone is torchvision's: it is taken from torch's cache
    or from a given file, and never downloaded.

    Arguments:
        net: Backbone: ``alex``, ``vgg`` or ``squeeze``.
        backbone: Path of torchvision's state dict of that backbone; the file in torch's cache if not given.
        weight: λ, the factor of this loss in the objective.
        pnet_rand: Use a random backbone (the same one every time) instead of trained weights. Such a distance is *not*
            LPIPS; it lets everything around it run where the weights can't be had.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
        size: Images whose shorter side has more pixels are shrunk to so many (mean over areas) before they are
            compared; StyleGAN2's projector takes 256, with a sixteenth of the work at 1024. ``None`` for never.
    """

    def __init__(
        self,
        net: Literal["alex", "vgg", "squeeze"] = "alex",
        backbone: FilePath | None = None,
        weight: float = 1.0,
        pnet_rand: bool = False,
        target: str = "image",
        mask: str | None = "mask",
        size: int | None = None,
    ) -> None:
        super().__init__(weight, target, mask, size)
        if net not in BACKBONES:
            raise ValueError(f"loss.lpips.net: there is no net '{net}'; choose one of {', '.join(BACKBONES)}")
        if pnet_rand and backbone is not None:
            raise ValueError("loss.lpips.backbone: a file and pnet_rand=true exclude each other; remove one of them")
        state = None if pnet_rand else _backbone(net, backbone)
        model = _package(net)
        if state is not None:
            _fill(model.net, state, net, backbone)
        self.trunk, self.scaling = model.net, model.scaling_layer
        self.heads = nn.ParameterList(head.model[-1].weight for head in model.lins)
        self.eval().requires_grad_(False)

    def activations(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        return list(self.trunk(self.scaling(image)))


def _package(net: str) -> nn.Module:
    """The package's model: calibrated heads on a random backbone; the caller's random numbers stay as they are."""
    import lpips  # brings torchvision

    with torch.random.fork_rng(devices=[]), catch_warnings():
        simplefilter("ignore")  # the package calls torchvision in an old way
        seed_global("random backbone", 0)
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False)


def _backbone(net: str, backbone: FilePath | None) -> dict[str, Tensor]:
    url = BACKBONES[net]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if backbone is None and not cached.is_file():
        raise ValueError(
            f"loss.lpips.backbone: torchvision's {cached.name} is not here; put {url} at {cached}, set "
            "loss.lpips.backbone=<path>, or choose stlpips, which needs no download"
        )
    return read_state(backbone or str(cached), "loss.lpips.backbone", f"torchvision's {cached.name}")


def _fill(trunk: nn.Module, state: dict[str, Tensor], net: str, backbone: FilePath | None) -> None:
    """The package calls ``features.3.weight`` ``slice2.3.weight``, and has no use for the classifier."""
    names = {name: "features." + name.split(".", 1)[1] for name in trunk.state_dict()}
    known = {name: state[source] for name, source in names.items() if source in state}
    fill(trunk, known, "loss.lpips.backbone", backbone or "torch's cache", f"torchvision's weights of net={net}")
