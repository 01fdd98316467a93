"""Features learned without labels."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import FilePath
from zstar.losses.networks import fill, read_state

PREFIX = "encoder_q."


class MoCoResNet50(nn.Module):
    """ResNet-50 as momentum contrast (MoCo v2, Chen et al. 2020, https://arxiv.org/abs/2003.04297) leaves it.

    It was trained to tell each photo of ImageNet from every other, whatever was cut off or done to the colours. The
    choice for a similarity loss on things that are no faces (Tov et al. 2021, https://arxiv.org/abs/2102.02766). Its
    head, ``fc``, is left out: the vector is the mean of the last maps.

    Arguments:
        checkpoint: Path of a checkpoint of MoCo, such as ``moco_v2_800ep_pretrain.pth.tar``: a ``state_dict`` with
            names ``module.encoder_q.*``.
        key: How the configuration calls ``checkpoint``, for error messages.
    """

    def __init__(self, checkpoint: FilePath | None = None, key: str = "loss.moco.network.checkpoint") -> None:
        super().__init__()
        from torchvision.models import resnet50  # takes seconds to import

        wanted = "a checkpoint of MoCo v2 for ResNet-50, with names 'module.encoder_q.*'"
        state = read_state(checkpoint, key, wanted)
        names = [name for name in state if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}fc.")]
        with torch.random.fork_rng(devices=[]):
            self.body = resnet50(weights=None)
        self.body.fc = nn.Identity()
        fill(self.body, {name.removeprefix(PREFIX): state[name] for name in names}, key, checkpoint, wanted)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2048"]:
        """Vectors, of any length, for images in [−1, 1]; trained on 224×224 pixels."""
        return self.body((image / 2 + 0.5 - self.mean) / self.std)
