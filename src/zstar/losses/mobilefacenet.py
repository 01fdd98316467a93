"""A small network that recognises faces."""

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import FilePath
from zstar.losses.networks import fill, read_state

HEIGHT, WIDTH = 112, 96
# Of each bottleneck: channels in, channels inside, channels out, stride.
BOTTLENECKS = (
    (64, 128, 64, 2), *[(64, 128, 64, 1)] * 4,
    (64, 256, 128, 2), *[(128, 256, 128, 1)] * 6,
    (128, 512, 128, 2), *[(128, 256, 128, 1)] * 2,
)  # fmt: skip


class MobileFaceNet(nn.Module):
    """MobileFaceNet (Chen et al. 2018, https://arxiv.org/abs/1804.07573): a face as 128 numbers, by 1 M parameters.

    The choice for an identity loss on a CPU; vectors of one person's pictures point the same way, those of strangers
    are about perpendicular. It was trained on faces that are aligned and cut to 112×96 pixels such that the eyes are
    at about 46 % of the height and 32 % and 68 % of the width, and knows no others: give the loss that part as its
    ``crop``.

    Arguments:
        checkpoint: Path of a state dict, or of a checkpoint with one under ``net_state_dict``, whose layers are called
            ``conv1``, ``dw_conv1``, ``blocks.0`` to ``blocks.14``, ``conv2``, ``linear7`` and ``linear1``.
        key: How the configuration calls ``checkpoint``, for error messages.
    """

    def __init__(self, checkpoint: FilePath | None = None, key: str = "loss.identity.network.checkpoint") -> None:
        super().__init__()
        wanted = "MobileFaceNet's weights for 112×96 pixels"
        state = read_state(checkpoint, key, wanted)
        # Named as the layers are in the file.
        self.conv1 = _layer(3, 64, 3, stride=2, padding=1)
        self.dw_conv1 = _layer(64, 64, 3, padding=1, groups=64)
        self.blocks = nn.Sequential(*[Bottleneck(*sizes) for sizes in BOTTLENECKS])
        self.conv2 = _layer(128, 512, 1)
        self.linear7 = _layer(512, 512, (7, 6), groups=512, active=False)
        self.linear1 = _layer(512, 128, 1, active=False)
        fill(self, state, key, checkpoint, wanted)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 128"]:
        """Vectors, of any length, for faces in [−1, 1] of 112×96 pixels."""
        height, width = image.shape[-2:]
        if (height, width) != (HEIGHT, WIDTH):
            raise ValueError(
                f"loss.*.size: MobileFaceNet sees {HEIGHT}×{WIDTH} pixels, not {height}×{width}; "
                f"set size to [{HEIGHT}, {WIDTH}]"
            )
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(image))))
        return self.linear1(self.linear7(x)).flatten(1)


class Bottleneck(nn.Module):
    """Widen, filter each channel, narrow; with a shortcut where the size stays."""

    def __init__(self, inputs: int, inside: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *_layer(inputs, inside, 1),
            *_layer(inside, inside, 3, stride=stride, padding=1, groups=inside),
            *_layer(inside, outputs, 1, active=False),
        )

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs hh ww"]:
        """Maps of the same size, or of half of it."""
        return x + self.conv(x) if self.shortcut else self.conv(x)


def _layer(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    active: bool = True,
) -> nn.Sequential:
    layers = OrderedDict(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False), bn=nn.BatchNorm2d(outputs)
    )
    if active:
        layers["prelu"] = nn.PReLU(outputs)
    return nn.Sequential(layers)
