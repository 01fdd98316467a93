"""The "vanilla" DCGAN of CMU 16-726, trained on 64×64 pictures of Grumpy cat: a network of one's own for ``zstar``."""

from torch import Tensor, nn


class Generator(nn.Module):
    """z ~ U(−1, 1), [b, noise_size, 1, 1] → images [b, 3, 64, 64] in [−1, 1].

    Arguments:
        noise_size: Length of z.
        width: Channels of the widest layer but the first one, halved twice.
    """

    def __init__(self, noise_size: int = 100, width: int = 128) -> None:
        super().__init__()
        # 4×4 with padding 3 turns the single pixel of z into 4×4 of them.
        first = nn.Conv2d(noise_size, 2 * width, 4, padding=3, bias=False)
        self.up_conv1 = nn.Sequential(first, nn.InstanceNorm2d(2 * width), nn.ReLU())
        self.up_conv2 = self.twice(2 * width, width)
        self.up_conv3 = self.twice(width, width // 2)
        self.up_conv4 = self.twice(width // 2, width // 4)
        self.up_conv5 = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width // 4, 3, 3, padding=1), nn.Tanh())

    @staticmethod
    def twice(inputs: int, outputs: int) -> nn.Sequential:
        """A convolution at twice the size."""
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return nn.Sequential(nn.Upsample(scale_factor=2), convolution, nn.InstanceNorm2d(outputs), nn.ReLU())

    def forward(self, z: Tensor) -> Tensor:
        for layer in (self.up_conv1, self.up_conv2, self.up_conv3, self.up_conv4, self.up_conv5):
            z = layer(z)
        return z
