"""Feature networks from files, for perceptual and style losses: images in [−1, 1] → a list of feature maps."""

from collections import OrderedDict
from warnings import catch_warnings, simplefilter

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.annotators.load import load_annotator
from zstar.checkpoints.io import load_weights
from zstar.config.constraints import FilePath
from zstar.config.paths import place

SMALLEST = 64


def as_rgb(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
    """Three channels: grey images are repeated, colour images pass."""
    if image.shape[1] not in (1, 3):
        raise ValueError(f"loss: feature networks see 1 or 3 channels, not {image.shape[1]}; use loss=pixel instead")
    return image.expand(-1, 3, -1, -1)


def at_least(image: Float[Tensor, "b c h w"], side: int = SMALLEST) -> Float[Tensor, "b c hh ww"]:
    """Enlarge images (bilinear) until their shorter side has ``side`` pixels; larger ones pass."""
    short = min(image.shape[-2:])
    if short >= side:
        return image
    size = [max(side, round(length * side / short)) for length in image.shape[-2:]]
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def at_most(image: Float[Tensor, "b c h w"], side: int | None) -> Float[Tensor, "b c hh ww"]:
    """Shrink images (mean over areas) until their shorter side has ``side`` pixels; smaller ones pass, and all do where
    ``side`` is ``None``."""
    short = min(image.shape[-2:])
    if side is None or short <= side:
        return image
    size = [round(length * side / short) for length in image.shape[-2:]]
    return F.interpolate(image, size=size, mode="area")


def unit_length(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The channels of each pixel as a vector of length 1.

    The tiny constant is inside the root: the gradient of √x at a pixel without any activation would be NaN.
    """
    return features / ((features.square().sum(dim=1, keepdim=True) + 1e-20).sqrt() + 1e-10)


def read_state(checkpoint: str | None, key: str, wanted: str) -> dict[str, Tensor]:
    """The tensors in a file of any kind that ``zstar.checkpoints.io`` reads, without executing anything in it.

    Raises:
        ValueError: One sentence with ``key``, the reason, and ``wanted``, what the file should be.
    """
    if checkpoint is None:
        raise ValueError(f"{key}: no file is given; set {key}=<path> to {wanted}")
    if not place(checkpoint).is_file():
        raise ValueError(f"{key}: there is no file '{checkpoint}'; set {key}=<path> to {wanted}")
    try:
        return load_weights(checkpoint)
    except ValueError as error:
        raise ValueError(f"{key}: {str(error).removeprefix('checkpoint: ')}; set it to {wanted}") from None


def fill(network: nn.Module, state: dict[str, Tensor], key: str, checkpoint: str | None, wanted: str) -> nn.Module:
    """Load ``state`` into ``network``, all of it, and freeze it."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{key}: the tensors of '{checkpoint}' do not fit; set it to {wanted}") from error
    return network.eval().requires_grad_(False)


class AnnotatorFeatures(nn.Module):
    """The feature maps of an annotator's encoder, fine to coarse; its two heads are not run.

    The choice for cottages, and wherever nothing may be downloaded: the default annotator ships with the package.

    Arguments:
        checkpoint: A safetensors file with its card, or the name of a shipped one.
    """

    def __init__(self, checkpoint: FilePath = "annotator64") -> None:
        super().__init__()
        self.annotator, _ = load_annotator(checkpoint)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Maps at 1, 1/2, 1/4, … of the size of images in [−1, 1]."""
        return self.annotator.encode(as_rgb(image))


class VGG19Conv3(nn.Module):
    """The first five convolutions of VGG-19, as five maps after their ReLU: relu1_1, 1_2, 2_1, 2_2, 3_1.

    The choice for textures and colours that generalise to any photo: an ImageNet network with small receptive fields
    (up to 24 pixels). Weights are the "normalised" ones (mean activation 1 per channel over ImageNet) in the layout of
    universal style transfer (https://arxiv.org/abs/1705.08086), ``vgg_normalised_conv3_1.pth``: an ``nn.Sequential``
    whose first 1×1 convolution turns RGB in [0, 1] into the colours that VGG was trained on; reflection padding.

    Arguments:
        checkpoint: Path of that state dict.
        key: How the configuration calls ``checkpoint``, for error messages.
    """

    layers = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")

    def __init__(self, checkpoint: FilePath | None = None, key: str = "loss.vgg19.network.checkpoint") -> None:
        super().__init__()
        wanted = "VGG-19's vgg_normalised_conv3_1.pth"
        state = read_state(checkpoint, key, wanted)
        self.body = nn.Sequential(
            OrderedDict(
                colour=nn.Conv2d(3, 3, 1),
                conv1_1=_conv(3, 64), relu1_1=nn.ReLU(), conv1_2=_conv(64, 64), relu1_2=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2_1=_conv(64, 128), relu2_1=nn.ReLU(), conv2_2=_conv(128, 128), relu2_2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                conv3_1=_conv(128, 256), relu3_1=nn.ReLU(),
            )
        )  # fmt: skip
        # The file numbers its layers (0, 2, 5, …) and counts paddings and activations; its order is ours.
        names = [name for name, layer in self.body.named_children() if isinstance(layer, nn.Conv2d)]
        numbers = sorted({int(name.split(".")[0]) for name in state if name.split(".")[0].isdigit()})
        rename = dict(zip(map(str, numbers), names, strict=False))
        state = {".".join([rename.get(name.split(".")[0], "?"), *name.split(".")[1:]]): v for name, v in state.items()}
        fill(self.body, state, key, checkpoint, wanted)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Five maps: 64, 64 channels at full size, 128, 128 at half, 256 at a quarter."""
        x, maps = as_rgb(image) / 2 + 0.5, []
        for name, layer in self.body.named_children():
            x = layer(x)
            if name in self.layers:
                maps.append(x)
        return maps


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")


class SqueezeNet11(nn.Module):
    """SqueezeNet 1.1 (https://arxiv.org/abs/1602.07360) with Caffe's ImageNet weights, as seven maps.

    The choice where an ImageNet network must be small (0.7 M parameters). The maps are those that LPIPS reads from a
    SqueezeNet, but LPIPS was calibrated on other weights: a distance made with this network is not LPIPS.

    Arguments:
        checkpoint: Path of a state dict with torchvision's names ``features.*``, for BGR in 0..255 minus the mean.
        key: How the configuration calls ``checkpoint``, for error messages.
    """

    layers = ("1", "4", "7", "9", "10", "11", "12")

    def __init__(self, checkpoint: FilePath | None = None, key: str = "loss.squeezenet11.network.checkpoint") -> None:
        super().__init__()
        from torchvision.models import squeezenet1_1

        wanted = "SqueezeNet 1.1's Caffe weights under torchvision's names 'features.*'"
        state = read_state(checkpoint, key, wanted)
        with torch.random.fork_rng(devices=[]), catch_warnings():
            simplefilter("ignore")
            self.body = squeezenet1_1(weights=None).features
        # Activations in place would overwrite maps that were already handed out.
        for module in self.body.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        fill(self.body, {k.removeprefix("features."): v for k, v in state.items()}, key, checkpoint, wanted)
        self.register_buffer("mean", torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Seven maps with 64, 128, 256, 384, 384, 512, 512 channels; images under 64 pixels are enlarged to 64."""
        x, maps = (at_least(as_rgb(image)).flip(1) + 1) * 127.5 - self.mean, []
        for name, layer in self.body.named_children():
            x = layer(x)
            if name in self.layers:
                maps.append(x)
        return maps
