"""One code from a residual network."""

from torch import nn

from zstar.config.constraints import Within, require
from zstar.encoders.base import AbstractEncoder, EncoderSpec, Images, Latents
from zstar.encoders.trunk import Trunk


class ResNet(AbstractEncoder):
    """A residual network (He et al., https://arxiv.org/abs/1603.05027) that gives one code per image.

    The choice for z and w. In w_plus all rows get the same code, so what it finds there is a latent of w.

    Arguments:
        spec: Its images and latents.
        width: Channels at half size; they double with each halving, up to ``width_max``.
        blocks: Residual blocks per size.
        hidden: Units between the coarsest map, read whole so that places are known, and the code.
        input_size: Larger images are brought to this side first; null never.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        width: int = 32,
        width_max: int = 192,
        blocks: int = 2,
        hidden: int = 256,
        input_size: int | None = None,
    ) -> None:
        super().__init__(spec)
        require("encoder", Within(1), hidden=hidden)
        self.trunk = Trunk(spec.resolution, spec.channels, width, width_max, blocks, input_size)
        flat = self.trunk.widths[-1] * self.trunk.sizes[-1] ** 2
        self.read = nn.Sequential(nn.Flatten(), nn.Linear(flat, hidden), nn.SiLU(), nn.Linear(hidden, self.width))
        nn.init.zeros_(self.read[-1].weight)
        nn.init.zeros_(self.read[-1].bias)

    def forward(self, images: Images, latent: Latents, reconstruction: Images | None = None) -> Latents:
        """Latents from the images alone."""
        return self.place(self.read(self.trunk(images)[-1])[:, None])
