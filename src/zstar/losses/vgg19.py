"""VGG-19 to its fifth group of convolutions, with torchvision's weights."""

from pathlib import Path
from warnings import catch_warnings, simplefilter

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import FilePath
from zstar.losses.networks import as_rgb, fill, read_state

URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
MAPS = {1: "relu1_1", 6: "relu2_1", 11: "relu3_1", 20: "relu4_1", 22: "relu4_2", 29: "relu5_1"}


class VGG19(nn.Module):
    """VGG-19 (https://arxiv.org/abs/1409.1556) as the six maps of style transfer: relu1_1, 2_1, 3_1, 4_1, 4_2, 5_1.

    The network of Gatys et al. 2016, whose style is of the five first maps of groups (``loss.gram.layers=[0,1,2,3,5]``)
    and whose content is relu4_2 (``loss.content.layers=[4]``). torchvision's weights see RGB with ImageNet's mean and
    deviation, and give other colours than Caffe's.

    Arguments:
        checkpoint: Path of torchvision's state dict; the file in torch's cache if not given.
        key: How the configuration calls ``checkpoint``, for error messages.
    """

    def __init__(self, checkpoint: FilePath | None = None, key: str = "loss.*.network.checkpoint") -> None:
        super().__init__()
        from torchvision.models import vgg19

        cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name
        if checkpoint is None and not cached.is_file():
            raise ValueError(
                f"{key}: torchvision's {cached.name} is not here; put {URL} at {cached}, or set {key}=<path>, or "
                f"{key}=annotator64, which ships"
            )
        wanted = f"torchvision's {cached.name}"
        state = read_state(checkpoint or str(cached), key, wanted)
        with torch.random.fork_rng(devices=[]), catch_warnings():
            simplefilter("ignore")
            self.body = vgg19(weights=None).features[: max(MAPS) + 1]
        for module in self.body.modules():  # in place they would overwrite maps that were already handed out
            if isinstance(module, nn.ReLU):
                module.inplace = False
        names = {name: f"features.{name}" for name in self.body.state_dict()}
        known = {name: state[source] for name, source in names.items() if source in state}
        fill(self.body, known, key, checkpoint or "torch's cache", wanted)
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", deviation.view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Six maps with 64, 128, 256, 512, 512, 512 channels, at 1, 1/2, 1/4, 1/8, 1/8, 1/16 of the size."""
        x, maps = (as_rgb(image) / 2 + 0.5 - self.mean) / self.deviation, []
        for place, layer in enumerate(self.body):
            x = layer(x)
            if place in MAPS:
                maps.append(x)
        return maps
