"""Grumpy cats by their colours, as a segmenter for ``zstar``: no network is at hand that knows parts of cats."""

import torch
from kornia.color import rgb_to_lab
from torch import Tensor, nn

# Name of each class, in the order of the scores, and what it looks like: L, a and b. Three are nearly centres of four
# clusters of the photos' pixels (the browns are one here); eyes are what is bluer than any fur.
COLOURS = {"dark": (22.0, 3.0, 5.0), "white": (85.0, 1.0, 3.0), "brown": (55.0, 5.0, 14.0), "blue": (60.0, -8.0, -14.0)}
STRETCH = (0.6, 1.5, 1.5)  # of L, a and b: light and shade count less than what colour it is
WIDTH = 8.0  # distance at which the likelihood of a class has fallen to 60 %


class Colours(nn.Module):
    """Pictures [b, 3, h, w] in [−1, 1] → scores [b, 4, h, w] of the classes of ``COLOURS``, log-likelihoods."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centres", torch.tensor(list(COLOURS.values()))[None, :, :, None, None], persistent=False)
        self.register_buffer("stretch", torch.tensor(STRETCH)[None, None, :, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        lab = rgb_to_lab((images.clamp(-1, 1) + 1) / 2)
        return -((lab[:, None] - self.centres) * self.stretch / WIDTH).square().sum(dim=2) / 2
