"""A learned perceptual distance whose backbone is in a package of the registry."""

from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.config.constraints import FilePath
from zstar.losses.calibrated import AbstractCalibrated
from zstar.losses.networks import fill, read_state

PACKAGE = "stlpips_pytorch"


class STLPIPS(AbstractCalibrated):
    """Shift-tolerant LPIPS (Ghildyal and Liu 2022, https://arxiv.org/abs/2207.13686), equal to ``stlpips-pytorch``.

    A learned distance that needs no download: ``pip install 'zstar[stlpips]'`` brings backbone and heads. It hardly
    minds a shift by a pixel, which LPIPS does. Its backbones were trained on judgements of similarity and not on
    ImageNet alone, and they blur before they subsample, so its numbers are near those of LPIPS but no LPIPS.

    Arguments:
        net: Backbone: ``alex``, or ``vgg``, about ten times as slow.
        checkpoint: Path of the package's state dict of that net; the one in the installed package if not given.
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
        size: Images whose shorter side has more pixels are shrunk to so many (mean over areas) before they are
            compared; StyleGAN2's projector takes 256, with a sixteenth of the work at 1024. ``None`` for never.

    Raises:
        ImportError: No path is given and the package is not installed.
        ValueError: The file is missing, or is none of this net.
    """

    def __init__(
        self,
        net: Literal["alex", "vgg"] = "alex",
        checkpoint: FilePath | None = None,
        weight: float = 1.0,
        target: str = "image",
        mask: str | None = "mask",
        size: int | None = None,
    ) -> None:
        super().__init__(weight, target, mask, size)
        key, wanted = "loss.stlpips.checkpoint", f"stlpips-pytorch's {net}_shift_tolerant.pth"
        state = read_state(checkpoint or _installed(net), key, wanted)
        self.net = nn.ModuleList(_alex() if net == "alex" else _vgg())
        slices = {f"{i}.{name}": value for name, value in state.items() for i, name in _place(name)}
        fill(self.net, slices, key, checkpoint, wanted)
        try:
            heads = [state[f"lin{layer}.model.1.weight"].float() for layer in range(len(self.net))]
            self.register_buffer("shift", state["scaling_layer.shift"].float())
            self.register_buffer("scale", state["scaling_layer.scale"].float())
        except KeyError as error:
            raise ValueError(f"{key}: '{checkpoint}' has no {error}; set it to {wanted}") from None
        self.heads = nn.ParameterList(heads)
        self.eval().requires_grad_(False)

    def activations(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        x, layers = (image - self.shift) / self.scale, []
        for part in self.net:
            x = part(x)
            layers.append(x)
        return layers


class Halve(nn.Module):
    """Every other pixel of what is blurred by [1, 2, 1] in both directions, reflected by two pixels at the sides.

    Arguments:
        channels: Channels of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", torch.zeros(channels, 1, 3, 3))  # the file holds it

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c hh ww"]:
        """The maps at about half of their size."""
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), self.filt, stride=2, groups=x.shape[1])


def _installed(net: str) -> str:
    """The package's own file; the package itself is not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("stlpips: its networks are not here; pip install 'zstar[stlpips]'")
    return str(Path(next(iter(spec.submodule_search_locations))) / "weights" / "vST0.0" / f"{net}_shift_tolerant.pth")


def _place(name: str) -> list[tuple[int, str]]:
    """The slice that a tensor of the file belongs to, and its name there; nothing for one of no slice."""
    first, _, rest = name.removeprefix("net.slice").partition(".")
    return [(int(first) - 1, rest)] if name.startswith("net.slice") and first.isdigit() else []


def _numbered(first: int, *layers: nn.Module) -> nn.Sequential:
    """Layers under the numbers that the file has for them."""
    return nn.Sequential(OrderedDict({str(first + i): layer for i, layer in enumerate(layers)}))


def _alex() -> list[nn.Sequential]:
    """AlexNet in which each step of more than a pixel is a blurred one."""
    conv, relu = nn.Conv2d, nn.ReLU
    return [
        _numbered(0, conv(3, 64, 11, padding=2), Halve(64), relu()),
        _numbered(3, nn.MaxPool2d(3, 1), Halve(64), conv(64, 192, 5, padding=2), relu()),
        _numbered(7, nn.MaxPool2d(3, 1), Halve(192), conv(192, 384, 3, padding=1), relu()),
        _numbered(11, conv(384, 256, 3, padding=1), relu()),
        _numbered(13, conv(256, 256, 3, padding=1), relu()),
    ]


def _vgg() -> list[nn.Sequential]:
    """VGG-16 likewise."""
    slices, first, channels = [], 0, 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers: list[nn.Module] = [nn.MaxPool2d(2, 1), Halve(channels)] if slices else []
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        slices.append(_numbered(first, *layers))
        first += len(layers)
    return slices
